"""The ASE calculator: `atoms.calc = NNMDCalculator("model.pt")`."""

from __future__ import annotations

import copy
import os
import threading
import warnings
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import (
    Calculator,
    PropertyNotImplementedError,
    all_changes,
    all_properties,
)

from nnmd_graph.calculators.results import results_of
from nnmd_graph.devices import find_device
from nnmd_graph.elements import symbol
from nnmd_graph.errors import check_choice
from nnmd_graph.graph import AtomicGraph, volume
from nnmd_graph.graph.atomic_graph import placed
from nnmd_graph.graph.geometry import check_apart
from nnmd_graph.graph.placement import Placement
from nnmd_graph.models import Committee, ExtrapolationError, ExtrapolationReport, Potential
from nnmd_graph.models.compiled import CompiledPotential, why_not_compilable
from nnmd_graph.models.extrapolation import counted, known_limits, why_unknown
from nnmd_graph.quantities import QUANTITIES

EXTRAPOLATION = ("count", "warn", "error", "ignore")
COMMITTEE_RANGE = (
    "`extrapolation`: expected one potential, got a committee, which has no range of its own; see "
    "`uncertainty`, or ask a member"
)


class NNMDCalculator(Calculator):
    """Energy, forces and stress of a `Potential` for ASE: MD, relaxations, phonons, anything.

    The neighbour list is made at `cutoff + skin` and kept while no atom has moved more than
    skin/2 since: two atoms that were further apart than cutoff + skin are then still further
    apart than the cutoff, and the model gives nothing for the edges in between. So the skin
    changes how long a step takes and never the numbers (Verlet, Phys. Rev. 159, 98 (1967)).

    Forces and stress come with every evaluation, whichever property is asked for. Several threads
    may ask one calculator: each property that it gives belongs to the structure it was asked for,
    while `results` and `graph` are those of the latest evaluation, whoever asked.

    Args:
        potential: a file written by `Potential.save`, the folder of a run, a `Potential` or a
            `Committee`. The calculator works on a copy of its own: training it further does not
            change that.
        device: where the model runs, "cpu" or "cuda".
        skin: extra radius of the neighbour list, Å. 0 makes a new list for every new structure.
        dtype: torch.float32 or torch.float64 (or their names); None keeps the potential's own.
        extrapolation: what to do when atoms leave the range of the training set: "count" (where
            the potential knows that range, which a committee does not), "warn" (once, and count),
            "error", or "ignore".
        max_extrapolations: largest sum of extrapolations (pairs of atom and function) over all
            evaluations before an error, as `maxew` in LAMMPS; None for no limit.
        compile: for long simulations: graph convolutions (with a shared readout) are compiled as
            a whole; the first steps then take some tens of seconds (see `CompiledPotential`).
            Other models stay as they are.

    Attributes:
        num_rebuilds: how often a neighbour list was made.
        num_extrapolations: extrapolations of all evaluations so far; None if they are not counted.
        num_extrapolating_evaluations: evaluations with one or more.
        graph: what was evaluated last; another object for each structure.
        uncertainty: `energy_uncertainty` eV and `forces_uncertainty` [N, 3] eV/Å of the last
            evaluation by a committee; empty for one potential.

    Results: `energy` and `free_energy` (the same) eV; `energies` [N] eV; `forces` [N, 3] eV/Å;
        `stress` [6] eV/Å^3, xx yy zz yz xz xy, tension positive. Arrays are float64 and new in each
        call. `results` holds these, so that ASE can store them; the uncertainties of a committee
        can be looked up there too, but are none of its keys.

    Raises:
        TypeError: `potential` is neither a path, a `Potential` nor a `Committee`; `skin` is no
            number, `device` no name.
        FileNotFoundError: there is no such file.
        ValueError: negative `skin`, a `dtype` that is not floating point, a missing device, an
            unknown `extrapolation` or one that needs a range that the potential does not know; on
            calculation: no atoms, an element that the potential does not know, positions that are
            not finite, atoms on top of each other, an energy or a force that is not finite.
        PropertyNotImplementedError: the stress of a structure whose cell has no volume.
        ExtrapolationError: too many extrapolations, see `extrapolation`.
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress"]
    # The energy does not depend on these, so a change of them keeps the results.
    ignored_changes = {"initial_charges", "initial_magmoms"}

    def __init__(
        self,
        potential: str | os.PathLike[str] | Potential | Committee,
        *,
        device: str | torch.device = "cpu",
        skin: float = 0.5,
        dtype: torch.dtype | str | None = None,
        extrapolation: str = "count",
        max_extrapolations: int | None = None,
        compile: bool = False,
    ) -> None:
        super().__init__()
        self._lock = threading.RLock()
        self.skin = _checked_skin(skin)
        with torch.inference_mode(False):  # its weights are to be differentiated through
            self.potential = _own_copy(potential, find_device(device), _checked_dtype(dtype))
        names = {QUANTITIES[name].ase for name in self.potential.quantities}
        self._of_heads = sorted(names & set(all_properties))
        self.implemented_properties = [*type(self).implemented_properties, *self._of_heads]
        self._compiled: CompiledPotential | None = None
        one = self.potential if isinstance(self.potential, Potential) else None
        if compile and one is not None and why_not_compilable(one) is None:
            self._compiled = CompiledPotential(one)
        self.num_rebuilds = 0
        self.graph: AtomicGraph | None = None
        self._list_atoms: Atoms | None = None  # the structure that the edges were searched for
        self._placement: Placement | None = None  # and how its positions became those of the graph
        self._on_extrapolation = _checked_extrapolation(
            self.potential, extrapolation, max_extrapolations
        )
        self.max_extrapolations = 0 if extrapolation == "error" else max_extrapolations
        self.num_extrapolations = None if self._on_extrapolation == "ignore" else 0
        self.num_extrapolating_evaluations = 0

    @property
    def cutoff(self) -> float:
        """Cutoff of the model in Å, without the skin."""
        return float(self.potential.cutoff)

    @property
    def uncertainty(self) -> dict[str, Any]:
        """Standard deviations over the members of a committee, of the last evaluation."""
        return dict(getattr(self.results, "uncertainty", {}))

    def get_property(
        self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True
    ) -> Any:
        """Give a property of a structure (called by ASE); one thread at a time."""
        with self._lock:
            return super().get_property(name, atoms, allow_calculation)

    def __getstate__(self) -> dict[str, Any]:
        """State without the lock, which belongs to this process."""
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the state, with a new lock."""
        self.__dict__.update(state, _lock=threading.RLock())

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Evaluate the potential for `atoms` and fill `results` (called by ASE)."""
        with self._lock, torch.inference_mode(False):
            super().calculate(atoms, properties, system_changes)
            self.results: dict[str, Any] = {}
            if self.atoms is None:
                raise ValueError("`atoms`: expected a structure, got None; give one")
            has_volume = _has_volume(self.atoms)
            if "stress" in properties and not has_volume:
                raise PropertyNotImplementedError(
                    "`atoms`: expected a cell with a volume, got none; there is no stress without "
                    "it, ask for energy and forces only"
                )
            self.graph = self._graph_of(self.atoms)
            heads = not set(properties).isdisjoint(self._of_heads)
            if heads and "dipole" in properties and self.atoms.pbc.any():
                raise PropertyNotImplementedError(
                    "`atoms`: expected a molecule, got a periodic structure, which has no dipole "
                    "moment; set `pbc` to False if it is one"
                )
            output = self._evaluate(self.graph, has_volume, heads)
            self.results = results_of(output, self.atoms, has_volume)

    def extrapolation(self) -> ExtrapolationReport:
        """Atoms outside the range of the training set in the structure that was evaluated last.

        Raises:
            ValueError: nothing was evaluated yet, or the potential does not know that range.
        """
        with self._lock, torch.inference_mode(False):
            if self.graph is None:
                raise ValueError(
                    "`atoms`: expected a structure, got none yet; ask for its energy first"
                )
            if isinstance(self.potential, Committee):
                raise ValueError(COMMITTEE_RANGE)
            return self.potential.extrapolation(self.graph)

    def _evaluate(self, graph: AtomicGraph, has_volume: bool, heads: bool) -> Mapping[str, Any]:
        if self._compiled is not None:  # features that are trained themselves have no limits
            return self._compiled(graph, stress=has_volume)
        asked = {"forces": True, "stress": has_volume, "heads": heads}
        if self.num_extrapolations is None:
            return self.potential(graph, **asked)
        output, count = counted(self.potential, graph, **asked)
        if count:
            self.num_extrapolations += count
            self.num_extrapolating_evaluations += 1
            self._tell_extrapolation()
        return output

    def _tell_extrapolation(self) -> None:
        """Warn or raise, as `extrapolation` says."""
        total, limit = self.num_extrapolations or 0, self.max_extrapolations
        if limit is not None and total > limit:
            raise ExtrapolationError(
                f"`max_extrapolations`: expected at most {limit}, got {total} in all; now "
                f"{_in_short(self.extrapolation())}; train on such structures, or allow more"
            )
        if self._on_extrapolation == "warn" and self.num_extrapolating_evaluations == 1:
            warnings.warn(
                "`atoms`: expected a structure like those of the training set, got "
                f"{_in_short(self.extrapolation())}; from here on they are only counted, see "
                "`num_extrapolations`",
                stacklevel=2,
            )

    def _graph_of(self, atoms: Atoms) -> AtomicGraph:
        """A graph of `atoms`, with the edges of the last one where the skin allows it."""
        if self.graph is None or self._placement is None or self._needs_new_edges(atoms):
            self._check_elements(atoms)
            self._list_atoms = None  # what is refused leaves no list
            dtype = self.potential.dtype
            graph, self._placement = placed(atoms, self.cutoff + self.skin, dtype=dtype)
            graph = graph.to(self.potential.device)
            self._list_atoms = atoms.copy()
            self.num_rebuilds += 1
            return graph if self._compiled is None else self._compiled.prepare(graph)
        graph = copy.copy(self.graph)  # shares its tensors with the old graph, which is left alone
        pos = self._placement.positions(atoms.positions)
        graph.pos = torch.tensor(pos, dtype=graph.pos.dtype, device=graph.pos.device)
        check_apart(graph)
        return graph

    def _needs_new_edges(self, atoms: Atoms) -> bool:
        old = self._list_atoms
        if (
            old is None
            or not np.array_equal(atoms.numbers, old.numbers)
            or not np.array_equal(atoms.cell.array, old.cell.array)
            or not np.array_equal(atoms.pbc, old.pbc)
        ):
            return True
        with np.errstate(over="ignore", invalid="ignore"):
            squared = ((atoms.positions - old.positions) ** 2).sum(axis=1).max()
        # Written with `not`, so that a NaN position asks for a new list, which then refuses it.
        return not squared <= (0.5 * self.skin) ** 2

    def _check_elements(self, atoms: Atoms) -> None:
        if len(atoms) == 0:
            raise ValueError("`atoms`: expected at least one atom, got an empty structure; fill it")
        unknown = np.flatnonzero(~np.isin(atoms.numbers, list(self.potential.species)))
        if len(unknown):
            atom = int(unknown[0])
            known = ", ".join(symbol(z) for z in self.potential.species)
            raise ValueError(
                f"`atoms`: expected elements that the potential knows ({known}), got "
                f"{symbol(int(atoms.numbers[atom]))} (atom {atom}); take a potential trained "
                "with that element"
            )


def _own_copy(
    potential: str | os.PathLike[str] | Potential | Committee,
    device: torch.device,
    dtype: torch.dtype | None,
) -> Potential | Committee:
    """A copy for evaluation only, independent of the potential that the user holds."""
    own: Potential | Committee
    if isinstance(potential, Potential | Committee):
        own = copy.deepcopy(potential).to(device)
    elif isinstance(potential, (str, os.PathLike)):
        own = Potential.load(potential, device=device)
    else:
        raise TypeError(
            "`potential`: expected the path of a saved potential, a Potential or a Committee, got "
            f"{type(potential).__name__}; wrap a model as Potential(model)"
        )
    if dtype is not None:
        own = own.to(dtype)
    return own.eval().requires_grad_(False)


def _in_short(report: ExtrapolationReport) -> str:
    return f"{report.summary()}, the worst: {report.worst(1)[0]}"


def _checked_extrapolation(potential: Potential | Committee, wanted: str, limit: int | None) -> str:
    """Check the reaction to extrapolation; "ignore" where it cannot be known and need not be."""
    check_choice("extrapolation", wanted, EXTRAPOLATION, "'count' is the default")
    whole = isinstance(limit, int) and not isinstance(limit, bool)
    if limit is not None and (not whole or limit < 0 or wanted == "ignore"):
        raise ValueError(
            "`max_extrapolations`: expected an integer >= 0 and `extrapolation` that is not "
            f"'ignore', got {limit!r} and {wanted!r}; None is no limit"
        )
    if isinstance(potential, Committee):
        if wanted not in ("count", "ignore") or limit is not None:
            raise ValueError(COMMITTEE_RANGE)
        return "ignore"
    if wanted == "count" and limit is None and why_unknown(potential.model) is not None:
        return "ignore"
    if wanted != "ignore":
        known_limits(potential.model)  # says why they are unknown
    return wanted


def _has_volume(atoms: Atoms) -> bool:
    return bool(volume(torch.tensor(atoms.cell.array)[None]) > 0.0)


def _checked_skin(skin: Any) -> float:
    if isinstance(skin, bool) or not isinstance(skin, Real):
        raise TypeError(f"`skin`: expected a number in Å, got {skin!r}; 0.5 is the default")
    if not 0.0 <= float(skin) < float("inf"):
        raise ValueError(f"`skin`: expected a length >= 0 in Å, got {skin!r}; 0 is none")
    return float(skin)


def _checked_dtype(dtype: torch.dtype | str | None) -> torch.dtype | None:
    named = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if dtype is not None and named not in (torch.float32, torch.float64):
        raise ValueError(
            f"`dtype`: expected torch.float32, torch.float64 or None, got {dtype!r}; None keeps "
            "the potential's own"
        )
    return named
