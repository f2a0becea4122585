"""Molecular dynamics with a potential, its energies logged and its drift measured."""

from __future__ import annotations

import csv
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import torch
from ase import Atoms, units
from ase.io.trajectory import Trajectory
from ase.md.langevin import Langevin
from ase.md.md import MolecularDynamics
from ase.md.verlet import VelocityVerlet
from numpy.typing import NDArray

from nnmd_graph.addresses import model_file
from nnmd_graph.calculators import NNMDCalculator
from nnmd_graph.calculators.results import NotFiniteError
from nnmd_graph.errors import MessageError, check_choice
from nnmd_graph.evaluation import energy_drift
from nnmd_graph.evaluation.plots import numbers_first
from nnmd_graph.folders import check_apart, check_writable, work_in
from nnmd_graph.models import Committee, ExtrapolationError, Potential
from nnmd_graph.progress import track
from nnmd_graph.units import MEV
from nnmd_graph.workflow.velocities import CHOICES, start_velocities

COLUMNS = (
    "time_fs",
    "potential_energy_eV",
    "kinetic_energy_eV",
    "total_energy_eV",
    "temperature_K",
)
ENSEMBLES = ("nve", "nvt")
TRAJECTORIES = (".traj", ".extxyz", ".xyz")
FRICTION = 0.01
"""1/fs, of the Langevin thermostat."""
MAX_TEMPERATURE = 1e5
"""K; higher temperatures count as a blow-up."""


class UnstableError(MessageError):
    """The simulation blew up."""


@dataclass
class MDResult:
    """Samples of a simulation.

    Attributes:
        atoms: the structure at the end, with its velocities.
        timestep: fs.
        seconds: how long it took.
        num_rebuilds: how often the neighbour list was made.
        num_extrapolations: pairs of atom and function outside the range of the training set, summed
            over all steps; None if they were not counted.
        num_extrapolating_steps: steps with one or more.
        files: what was written, by kind: "trajectory", "energies", "plot".
        velocities: what it started with, in words.
        rows: the samples, one a list: time fs, potential, kinetic and total energy eV,
            temperature K.
    """

    atoms: Atoms
    timestep: float
    seconds: float = 0.0
    num_rebuilds: int = 0
    num_extrapolations: int | None = None
    num_extrapolating_steps: int = 0
    files: dict[str, Path] = field(default_factory=dict)
    velocities: str = ""
    rows: list[list[float]] = field(default_factory=list)

    @property
    def samples(self) -> NDArray[np.float64]:
        """The rows as an array, [T, 5]."""
        return np.array(self.rows).reshape(-1, len(COLUMNS))

    @property
    def mean_temperature(self) -> float:
        """Average over the samples after the first, K."""
        return float(self.samples[1:, 4].mean())

    @property
    def drift(self) -> float:
        """Slope of the total energy by least squares times the length of the run, meV/atom."""
        t, energy = self.samples[:, 0], self._change_per_atom()
        return float(np.polyfit(t, energy, 1)[0] * (t[-1] - t[0]))

    @property
    def difference(self) -> float:
        """Total energy at the end minus that at the start, meV/atom."""
        energy = self._change_per_atom()
        return float(energy[-1] - energy[0])

    def _change_per_atom(self) -> NDArray[np.float64]:
        total = self.samples[:, 3]
        return (total - total[0]) / len(self.atoms) / MEV


def run_md(
    potential: Potential | Committee | str | os.PathLike[str],
    atoms: Atoms,
    *,
    temperature: float = 300.0,
    steps: int = 1000,
    timestep: float = 1.0,
    ensemble: str = "nve",
    velocities: str = "keep",
    output: str | os.PathLike[str] | None = None,
    log_interval: int = 10,
    seed: int = 0,
    device: str | torch.device = "cpu",
    extrapolation: str = "count",
    max_extrapolations: int | None = None,
    compile: bool = False,
    overwrite: bool = False,
    progress: bool = False,
) -> MDResult:
    """Simulate, with the velocities of the start or with new ones drawn at `temperature`.

    NVE is velocity Verlet. From a relaxed structure half of the initial kinetic energy becomes
    potential energy, so it ends near half of the temperature. NVT is Langevin dynamics. Constraints
    hold; their degrees of freedom do not count in the temperature.

    Args:
        potential: the model, a committee or a file.
        atoms: where to start; it is copied.
        temperature: K, of velocities that are drawn and of the thermostat.
        steps: number of steps.
        timestep: fs.
        ensemble: "nve" or "nvt".
        velocities: "keep" those of `atoms` as they are, drift included, and draw where it has none
            (or all are zero); "draw" new ones in any case.
        output: trajectory to write (.traj, .extxyz or .xyz), with the energies beside it as .csv
            and .png; None writes nothing.
        log_interval: steps between samples.
        seed: of velocities and thermostat.
        device: where the model runs.
        extrapolation: "count", "warn", "error" or "ignore" atoms outside the range of the training
            set, see `NNMDCalculator`.
        max_extrapolations: largest number of them, summed over all steps; None for no limit.
        compile: compile graph convolutions, for long simulations, see `NNMDCalculator`.
        overwrite: replace files of an earlier simulation.
        progress: show a bar.

    Raises:
        ValueError: an argument is out of range, a file is there already, all atoms are fixed, or
            the potential refuses the structure (an unknown element, atoms on top of each other).
        UnstableError: energies became NaN or the temperature absurd.
        ExtrapolationError: more extrapolation than allowed.
    """
    _check(temperature, steps, timestep, ensemble, velocities, log_interval, seed)
    files = _files(output, overwrite)
    if isinstance(potential, (str, os.PathLike)):
        check_apart(files.values(), {"potential": [model_file(potential)]})
    random = np.random.RandomState(seed)
    atoms = atoms.copy()
    calculator = NNMDCalculator(
        potential,
        device=device,
        extrapolation=extrapolation,
        max_extrapolations=max_extrapolations,
        compile=compile,
    )
    atoms.calc = calculator
    try:
        atoms.get_potential_energy()  # a faulty start raises an error of its own
    except NotFiniteError as error:
        raise UnstableError(f"the simulation broke down in step 0: {error}") from error
    started_with = start_velocities(atoms, velocities, temperature, random)
    dynamics: MolecularDynamics
    if ensemble == "nve":
        dynamics = VelocityVerlet(atoms, timestep * units.fs)
    else:
        dynamics = Langevin(
            atoms, timestep * units.fs, temperature_K=temperature, friction=FRICTION / units.fs,
            fixcm=False, rng=random,
        )  # fmt: skip
    result = MDResult(atoms, timestep, files=files, velocities=started_with)
    start = time.monotonic()
    with ExitStack() as stack:
        record = _recorder(result, stack)
        for step in track(_steps(dynamics, steps), "md", total=steps + 1, enabled=progress):
            _check_stable(atoms, step, timestep, files)
            if step % log_interval == 0 or step == steps:
                record(step * timestep)
    result.seconds = time.monotonic() - start
    result.num_rebuilds = calculator.num_rebuilds
    result.num_extrapolations = calculator.num_extrapolations
    result.num_extrapolating_steps = calculator.num_extrapolating_evaluations
    if files:
        t, energy, heat = result.samples[:, 0], result.samples[:, 3], result.samples[:, 4]
        files["plot"].unlink(missing_ok=True)
        with numbers_first(files["plot"].name):
            energy_drift(t, energy, len(atoms), files["plot"], temperature=heat)
        if not files["plot"].is_file():
            del files["plot"]
    return result


def _steps(dynamics: MolecularDynamics, steps: int) -> Iterator[int]:
    """Number of each step that is done, from 0 on."""
    done = -1
    try:
        for done, _ in enumerate(dynamics.irun(steps)):
            yield done
    except ValueError as error:  # atoms that were thrown together, positions that are not finite
        raise UnstableError(
            f"the simulation broke down in step {done + 1}: {error}. {_ADVICE}"
        ) from error
    except ExtrapolationError as error:
        raise ExtrapolationError(f"the simulation ended in step {done + 1}: {error}") from error


_ADVICE = (
    "Shorten `timestep`, relax the start, or train on structures like those that it passes through"
)


def _check_stable(atoms: Atoms, step: int, timestep: float, files: dict[str, Path]) -> None:
    temperature = atoms.get_temperature()
    if temperature < MAX_TEMPERATURE and math.isfinite(atoms.get_potential_energy()):
        return
    kept = f"; what came before is in '{files['trajectory']}'" if files else ""
    raise UnstableError(
        f"the simulation blew up in step {step} (t = {step * timestep:g} fs): temperature "
        f"{temperature:.3g} K, potential energy {atoms.get_potential_energy():.6g} eV{kept}. "
        f"{_ADVICE}"
    )


def _recorder(result: MDResult, stack: ExitStack) -> Callable[[float], None]:
    """A function that samples the run, and writes it to the files as it goes."""
    files, atoms = result.files, result.atoms
    writer: Any = None
    if files:
        table = stack.enter_context(files["energies"].open("w", newline="", encoding="utf-8"))
        writer = csv.writer(table)
        writer.writerow(COLUMNS)
    write_frame = _frame_writer(files, stack)

    def record(t: float) -> None:
        potential, kinetic = atoms.get_potential_energy(), atoms.get_kinetic_energy()
        row = [t, potential, kinetic, potential + kinetic, atoms.get_temperature()]
        result.rows.append(row)
        if files:
            writer.writerow([repr(float(value)) for value in row])
            table.flush()
            write_frame(atoms)

    return record


def _frame_writer(files: dict[str, Path], stack: ExitStack) -> Callable[[Atoms], None]:
    if not files:
        return lambda atoms: None
    path = files["trajectory"]
    if path.suffix == ".traj":
        trajectory = stack.enter_context(Trajectory(str(path), "w"))
        return trajectory.write
    path.unlink(missing_ok=True)
    return lambda atoms: ase.io.write(path, atoms, format="extxyz", append=True)


def md_files(output: str | os.PathLike[str]) -> dict[str, Path]:
    """Files that a simulation writes, by kind.

    Args:
        output: name of the trajectory.

    Raises:
        ValueError: its ending is of no trajectory.
    """
    path = Path(output)
    if path.suffix not in TRAJECTORIES:
        raise ValueError(
            f"`output`: expected a name that ends in one of {', '.join(TRAJECTORIES)}, got "
            f"'{path}'; write for example md.traj"
        )
    return {
        "trajectory": path,
        "energies": path.with_suffix(".csv"),
        "plot": path.with_suffix(".png"),
    }


def _files(output: str | os.PathLike[str] | None, overwrite: bool) -> dict[str, Path]:
    if output is None:
        return {}
    files = md_files(output)
    there = [str(file) for file in files.values() if file.exists()]
    is_other = files["trajectory"].exists() or work_in(files["trajectory"].parent)
    if there and overwrite and is_other and not _is_simulation(files["energies"]):
        raise ValueError(
            f"`output`: expected new files, or those of a simulation, got {', '.join(there)}, "
            "which no simulation wrote; choose another name (`output`)"
        )
    if there and not overwrite:
        raise ValueError(
            f"`output`: expected new files, got {', '.join(there)}, which exist; replace them "
            "(`overwrite=True`) or choose another name (`output`)"
        )
    folder = files["trajectory"].parent
    check_writable(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return files


def _is_simulation(energies: Path) -> bool:
    """Tell whether the table of a simulation exists, which is written first."""
    if not energies.is_file():
        return False
    with energies.open("rb") as file:
        return file.readline().strip() == ",".join(COLUMNS).encode()


def _check(
    temperature: float,
    steps: int,
    timestep: float,
    ensemble: str,
    velocities: str,
    log_interval: int,
    seed: int,
) -> None:
    check_choice("ensemble", ensemble, ENSEMBLES)
    check_choice("velocities", velocities, CHOICES, "'keep' takes those of the start")
    if not 0 <= temperature < MAX_TEMPERATURE:
        raise ValueError(f"`temperature`: expected 0 K or more, got {temperature}")
    if not 0 < timestep < math.inf:
        raise ValueError(f"`timestep`: expected a positive time in fs, got {timestep}")
    for name, value in (("steps", steps), ("log_interval", log_interval)):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"`{name}`: expected a positive integer, got {value!r}")
    if not 0 <= seed < 2**32:
        raise ValueError(f"`seed`: expected 0 <= seed < 2^32, got {seed}")
