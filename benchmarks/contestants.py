"""The codes that `benchmarks.speed` times, each on one structure: ours, n2p2, torchani."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from ase import Atoms
from torch import Tensor

import nnmd_graph as ng
from benchmarks.systems import System
from benchmarks.timing import clock, median_seconds
from nnmd_graph.data.reading.runner import write_runner
from nnmd_graph.formats.n2p2.write import save_n2p2
from nnmd_graph.native import library, status
from nnmd_graph.units import energy_factor

Jobs = dict[str, Callable[[], Any]]
N2P2_TIMES = ("neighbor_list", "values", "derivatives", "energy_forces")


class _InThisProcess:
    """Jobs by the name of what they measure."""

    label: dict[str, Any]
    jobs: Jobs
    num_atoms: int

    def turn(self, repeats: int) -> dict[str, float]:
        """Median time of each job over the repeats, µs per atom."""
        return {
            name: 1e6 * median_seconds(job, repeats, self.clock) / self.num_atoms
            for name, job in self.jobs.items()
        }

    def warm_up(self) -> None:
        """Run everything once: what is compiled or allocated the first time is not timed."""
        self.clock = clock(torch.get_num_threads())
        for job in self.jobs.values():
            job()


class Ours(_InThisProcess):
    """This package with its native core, if there is one, or on tensor operations."""

    def __init__(
        self,
        atoms: Atoms,
        potential: ng.Potential,
        dtype: torch.dtype,
        *,
        native: bool = True,
    ) -> None:
        self.native = native and status().used
        with self.way():
            self._prepare(atoms, potential, dtype)

    def turn(self, repeats: int) -> dict[str, float]:
        """See the base class."""
        with self.way():
            return super().turn(repeats)

    @contextmanager
    def way(self) -> Iterator[None]:
        """Leave the native core out as long as this lasts, if it takes no part."""
        if self.native:
            yield
            return
        before = os.environ.get(library.SWITCH)
        os.environ[library.SWITCH] = "0"
        library.forget()
        try:
            yield
        finally:
            del os.environ[library.SWITCH]
            os.environ |= {library.SWITCH: before} if before is not None else {}
            library.forget()

    def _prepare(self, atoms: Atoms, potential: ng.Potential, dtype: torch.dtype) -> None:
        self.num_atoms = len(atoms)
        self.atoms, self.dtype = atoms, dtype
        self.potential = copy.deepcopy(potential).to(dtype).eval()
        self.training = copy.deepcopy(self.potential).train()
        self.graph = self.neighbor_list()
        self.dx = torch.randn_like(self.values())
        self.forces = torch.zeros_like(self.graph.pos)
        self.jobs = {
            "neighbor_list": self.neighbor_list,
            "values": self.values,
            "derivatives": self.derivatives,
            "energy_forces": self.energy_forces,
            "training_step": self.training_step,
        }
        code = "nnmd_graph" if self.native else "nnmd_graph, tensors"
        self.warm_up()
        energy = float(self.energy_forces()["energy"]) / self.num_atoms
        self.label = {"code": code, "dtype": _name(dtype), "energy": energy}

    def neighbor_list(self) -> ng.AtomicGraph:
        """From `ase.Atoms` to the graph."""
        return ng.AtomicGraph.from_atoms(self.atoms, self.potential.cutoff, dtype=self.dtype)

    def values(self) -> Tensor:
        """Symmetry functions."""
        with torch.no_grad():
            return self.potential.model.representation(self.graph)

    def derivatives(self) -> Tensor:
        """Symmetry functions and, for a given dE/dx, the gradient of the positions."""
        moved = copy.copy(self.graph)
        moved.pos = self.graph.pos.detach().requires_grad_()
        x = self.potential.model.representation(moved)
        return torch.autograd.grad(x, moved.pos, self.dx)[0]

    def energy_forces(self) -> Any:
        """What a step of MD asks for, on a ready graph."""
        return self.potential(self.graph, stress=False)

    def training_step(self) -> None:
        """Gradient of a loss on forces by all weights."""
        self.training.zero_grad()
        forces = self.training(self.graph, stress=False)["forces"]
        (forces - self.forces).square().mean().backward()


class N2p2:
    """n2p2 through `benchmarks/n2p2_timing.cpp`; files are written where there are none."""

    def __init__(self, binary: Path, it: System) -> None:
        self._written = TemporaryDirectory()
        folder = it.folder or Path(self._written.name)
        if it.folder is None:
            save_n2p2(it.potential, folder)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*lack energy or forces")
                write_runner(it.atoms, folder / "input.data")
        self.command = [str(binary.absolute()), str(folder), "1"]
        first = self._run(1)
        energy = first["energy"] * energy_factor(it.energy_unit) / first["atoms"]
        self.label = {"code": "n2p2", "dtype": "float64", "energy": energy}

    def turn(self, repeats: int) -> dict[str, float]:
        """Median times over the repeats, µs per atom."""
        result = self._run(repeats)
        return {name: result[name] for name in N2P2_TIMES}

    def _run(self, repeats: int) -> dict[str, float]:
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        command = [*self.command, str(repeats)]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        return json.loads(done.stdout)


class TorchANI(_InThisProcess):
    """torchani with random weights on the same structure; AEVs as in ANI-2x unless told.

    Args:
        atoms: the structure.
        dtype: floating type.
        name: of the code in the table.
        options: of `torchani.arch.simple_ani`.
    """

    def __init__(
        self, atoms: Atoms, dtype: torch.dtype, name: str = "torchani, ANI-2x", **options: Any
    ) -> None:
        from torchani.arch import simple_ani
        from torchani.neighbors import narrow_down

        ani2x = {"radial_start": 0.8, "angular_start": 0.8, "radial_cutoff": 5.1}
        symbols = sorted(set(atoms.get_chemical_symbols()))
        self.model = simple_ani(
            symbols, lot="none", repulsion=False, self_energies="zero", cutoff_fn="cosine",
            neighborlist="adaptive", **(ani2x | options),
        ).to(dtype)  # fmt: skip
        self.num_atoms = len(atoms)
        inside = atoms.copy()
        inside.wrap()  # pairs from outside need that
        self.z = torch.from_numpy(inside.numbers)[None]
        self.ids = self.model.species_converter(self.z)
        self.pos = torch.tensor(inside.positions, dtype=dtype)[None].requires_grad_()
        self.cell = torch.tensor(inside.cell.array, dtype=dtype)
        self._narrow_down = narrow_down
        found = self.neighbor_list()
        self.pairs = found.indices
        ends = self.pos.detach()[0][self.pairs]
        self.shifts = found.diff_vectors - (ends[0] - ends[1])
        self.dx = torch.randn_like(self.values())
        self.jobs = {
            "neighbor_list": self.neighbor_list,
            "values": self.values,
            "derivatives": self.derivatives,
            "energy_forces": self.forces,
            "training_step": self.training_step,
        }
        self.warm_up()
        self.label = {"code": name, "dtype": _name(dtype)}

    def neighbor_list(self) -> Any:
        """Pairs, each once."""
        periodic = torch.ones(3, dtype=torch.bool)
        with torch.no_grad():
            return self.model.neighborlist(
                self.model.cutoff, self.ids, self.pos, self.cell, periodic
            )

    def values(self) -> Tensor:
        """AEVs."""
        with torch.no_grad():
            return self._aev()

    def derivatives(self) -> Tensor:
        """AEVs and, for a given dE/dx, the gradient of the positions."""
        return torch.autograd.grad(self._aev(), self.pos, self.dx)[0]

    def forces(self, *, training: bool = False) -> Tensor:
        """Energy and forces from ready pairs."""
        energy = self.model.compute_from_external_neighbors(
            self.z, self.pos, self.pairs, self.shifts
        ).energies
        return -torch.autograd.grad(energy.sum(), self.pos, create_graph=training)[0]

    def training_step(self) -> None:
        """Gradient of a loss on forces by all weights."""
        self.model.zero_grad()
        self.forces(training=True).square().mean().backward()
        self.pos.grad = None

    def _aev(self) -> Tensor:
        near = self._narrow_down(self.model.cutoff, self.ids, self.pos, self.pairs, self.shifts)
        return self.model.aev_computer.compute_from_neighbors(self.ids, self.pos, near)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
