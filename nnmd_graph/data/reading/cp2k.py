"""CP2K: the trajectory of a run, with the forces and cells that stand in files beside it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import ase
import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator
from numpy.typing import NDArray

from nnmd_graph.data.reading.extxyz import Frame, FrameError, iread_extxyz, parse
from nnmd_graph.data.reading.text import ReadError, check_last_line, open_text
from nnmd_graph.units import energy_factor, length_factor

HARTREE = energy_factor("hartree")
BOHR = length_factor("bohr")
SMALLEST = 0.5
"""Å; several atoms extend further, unlike forces or velocities mistaken for positions."""

_COMMENT = re.compile(r"\s*i\s*=\s*(?P<step>\d+),.*\bE\s*=\s*(?P<energy>[-+.\dEe]+)\s*$")
_NAME = re.compile(r"(?P<project>.+)-(?P<what>pos|frc|vel)-(?P<n>\d+)\.xyz(?P<end>\.\w+)?")
_ENDS = ("", ".gz", ".bz2", ".xz")
_TABLES = {
    "cell": r"#\s+Step\s+Time \[fs\]\s+Ax",
    "stress": r"#\s+Step\s+Time \[fs\]\s+xx",
    "ener": r"#\s+Step Nr\.\s+Time\[fs\]\s+Kin",
}
_HOW = (
    "read the run's trajectory of positions, NAME-pos-1.xyz, whose comments hold the energies; "
    "forces (NAME-frc-1.xyz) and cells (NAME-1.cell) that stand beside it come along"
)


class _Step(NamedTuple):
    step: int
    energy: float


def is_trajectory(text: str) -> bool:
    """Tell whether an XYZ file begins with a comment such as "i = 3, time = 1.5, E = -96.1"."""
    lines = text.lstrip("\ufeff").splitlines()
    return len(lines) > 1 and _COMMENT.match(lines[1]) is not None


def what_it_is(file: Path, text: str) -> str | None:
    """Refuse a CP2K file without structures: say what it is and how to read the run.

    Args:
        file: its name is looked at.
        text: how it begins.
    """
    kind = None
    for end, pattern in _TABLES.items():
        if re.match(pattern, text.lstrip()):
            kind = f"the table NAME-1.{end} of a CP2K run"
    name = _NAME.fullmatch(file.name)
    if is_trajectory(text) and name is not None and name["what"] != "pos":
        words = {"frc": "forces (hartree/bohr)", "vel": "velocities"}
        kind = f"the {words[name['what']]} of a CP2K run, not its positions"
    if re.search(r"^\s*(CP2K\||DBCSR\|)", text, re.MULTILINE):
        kind = "the log of a CP2K run"
    elif re.match(r"\s*(#.*\n\s*|@.*\n\s*)*&(GLOBAL|FORCE_EVAL|MOTION)\b", text, re.IGNORECASE):
        kind = "the input of a CP2K run"
    return None if kind is None else f"{kind}; {_HOW}"


def iread_cp2k(file: Path) -> Iterator[ase.Atoms]:
    """Read a trajectory of CP2K in eV and Å, forces and cells from the files beside it.

    Energies (hartree) stand in the comments. If the file is called NAME-pos-1.xyz, forces
    (hartree/bohr) are taken from NAME-frc-1.xyz and cells (Å) from NAME-1.cell, for the steps that
    they have. Without a file of cells the structures are not periodic; a warning names it.

    Raises:
        FrameError: a frame cannot be understood, or the files are not of one run.
    """
    forces_file, cell_file = (_beside(file, kind) for kind in ("frc", "cell"))
    forces = {} if forces_file is None else _forces(forces_file)
    cells = {} if cell_file is None else _cells(cell_file)
    _say_what_lacks(file, forces_file, cell_file)
    for frame in iread_extxyz(file):
        atoms = parse(frame)
        step = _step(frame)
        try:
            _check_size(atoms)
            results: dict[str, object] = {"energy": step.energy * HARTREE}
            if step.step in forces:
                results["forces"] = _matching(step, atoms, *forces[step.step], forces_file)
            if cells:
                atoms.set_cell(_cell(step, cells, cell_file))
                atoms.pbc = True
        except ReadError as error:
            raise FrameError(frame.number, error) from None
        atoms.info = {"step": step.step}
        atoms.calc = SinglePointCalculator(atoms, **results)
        yield atoms


def _step(frame: Frame) -> _Step:
    match = _COMMENT.match(frame.lines[1])
    try:
        if match is not None:
            return _Step(int(match["step"]), float(match["energy"]))
    except ValueError:
        pass
    found = frame.lines[1].strip()[:60]
    raise FrameError(
        frame.number, ReadError(f"{found!r} for 'i = ..., E = ...' in line {frame.first + 1}")
    )


def _beside(file: Path, kind: str) -> Path | None:
    name = _NAME.fullmatch(file.name)
    if name is None:
        return None
    project, n = name["project"], name["n"]
    other = f"{project}-frc-{n}.xyz" if kind == "frc" else f"{project}-{n}.cell"
    there = [file.with_name(other + end) for end in _ENDS]
    return next((path for path in there if path.is_file()), None)


def _say_what_lacks(file: Path, forces: Path | None, cell: Path | None) -> None:
    name = _NAME.fullmatch(file.name)
    project, n = ("NAME", "1") if name is None else (name["project"], name["n"])
    lacks = []
    if forces is None:
        lacks.append(f"no '{project}-frc-{n}.xyz', so there are no forces")
    if cell is None:
        lacks.append(f"no '{project}-{n}.cell', so the structures are not periodic")
    if lacks:
        called = "" if name is not None else f", and is not called {project}-pos-{n}.xyz"
        warnings.warn(
            f"`path`: '{file}' is a trajectory of CP2K (energies in hartree, converted to eV)"
            f"{called}; beside it stands {', and '.join(lacks)}",
            stacklevel=2,
        )


def _forces(file: Path) -> dict[int, tuple[_Step, list[str], NDArray[np.float64]]]:
    """Forces by step, eV/Å; for a step that occurs twice (a restart) the last ones."""
    found = {}
    try:
        for frame in iread_extxyz(file):
            atoms, step = parse(frame), _step(frame)
            found[step.step] = step, atoms.get_chemical_symbols(), atoms.positions * HARTREE / BOHR
    except FrameError as error:
        cause = ReadError(f"{error.cause} in the forces of '{file.name}'")
        raise FrameError(error.number, cause) from error
    return found


def _matching(
    step: _Step,
    atoms: ase.Atoms,
    other: _Step,
    symbols: list[str],
    forces: NDArray[np.float64],
    file: Path | None,
) -> NDArray[np.float64]:
    name = "" if file is None else file.name
    if symbols != atoms.get_chemical_symbols():
        raise ReadError(f"forces of other atoms in '{name}' at step {step.step}")
    if abs(other.energy - step.energy) > 1e-6 * max(1.0, abs(step.energy)):
        raise ReadError(
            f"forces of another run in '{name}': E = {other.energy} there at step {step.step}, "
            f"here {step.energy}"
        )
    return forces


def _cells(file: Path) -> dict[int, NDArray[np.float64]]:
    """Cells by step, Å: step, time, nine components, volume."""
    check_last_line(file)
    cells = {}
    with open_text(file) as text:
        for number, line in enumerate(text, start=1):
            words = line.split("#")[0].split()
            if not words:
                continue
            try:
                cells[int(words[0])] = np.array(words[2:11], dtype=np.float64).reshape(3, 3)
            except (ValueError, IndexError):
                raise ReadError(f"a line without a cell in '{file.name}', line {number}") from None
    return cells


def _cell(
    step: _Step, cells: dict[int, NDArray[np.float64]], file: Path | None
) -> NDArray[np.float64]:
    if step.step in cells:
        return cells[step.step]
    every = list(cells.values())
    if all(np.array_equal(every[0], cell) for cell in every):
        return every[0]
    raise ReadError(f"no cell of step {step.step} in '{'' if file is None else file.name}'")


def _check_size(atoms: ase.Atoms) -> None:
    if len(atoms) > 1 and np.linalg.norm(np.ptp(atoms.positions, axis=0)) < SMALLEST:
        raise ReadError(
            f"{len(atoms)} atoms within {SMALLEST} Å, so probably the forces or velocities of a "
            f"CP2K run; {_HOW}"
        )
