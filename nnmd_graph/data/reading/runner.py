"""Structures in the format of RuNNer and n2p2, `input.data`.

    begin [set=train|set=test]
    comment any text
    lattice x y z                           three times, or not at all
    atom x y z element charge 0 fx fy fz    one line per atom
    energy E
    charge Q
    end

The format knows no units. Files written here state them in the comments
(`length_unit=angstrom energy_unit=eV`); for others they are arguments.
"""

from __future__ import annotations

import gzip
import math
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import ase
import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator

from nnmd_graph.addresses import missing
from nnmd_graph.data.reading.text import ReadError, open_text
from nnmd_graph.elements import atomic_number
from nnmd_graph.files import replacing
from nnmd_graph.graph import read_labels
from nnmd_graph.units import energy_factor, length_factor

SETS = ("train", "test")
_UNIT = re.compile(r"\s*\b(length|energy)_unit\s*=\s*([\w/]+)")


class Normalization(NamedTuple):
    """n2p2's internal units of energies and lengths, as `input.nn` names them.

    r' = conv_length r, E' = conv_energy (E - N mean_energy) for N atoms; the physical units are
    those of the file. Source: A. Singraber et al., J. Chem. Theory Comput. 15, 3075 (2019), doi
    10.1021/acs.jctc.8b01092.
    """

    mean_energy: float = 0.0
    conv_energy: float = 1.0
    conv_length: float = 1.0


class Units(NamedTuple):
    """Length (Å) and energy (eV) of one unit of a file."""

    length: float
    energy: float


# -------------------------------------------------------------------------------------- reading
def read_runner(
    path: str | os.PathLike[str],
    *,
    length_unit: str | None = None,
    energy_unit: str | None = None,
    normalization: Normalization | None = None,
) -> list[ase.Atoms]:
    """Read all structures of a RuNNer or n2p2 data file.

    Args:
        path: the file; compressed (.gz, .bz2, .xz) or not.
        length_unit: "angstrom", "bohr" or "nm"; None if the comments of the file state it.
        energy_unit: "eV", "hartree", ..., see `nnmd_graph.units`; None if the comments state it.
            Forces are in energy_unit/length_unit.
        normalization: for a file in n2p2's normalised units, `Normalization(mean_energy,
            conv_energy, conv_length)` of its `input.nn`; data files are normally not.

    Returns:
        Structures in Å, with energy (eV) and forces (eV/Å) in a SinglePointCalculator, charges of
        atoms as initial charges if any is not zero, and in `atoms.info` what is there of
        "comment", "set" ("train" or "test") and "charge" (of the structure).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line cannot be understood (the message says which), or units are not known.
    """
    frames = iread_runner(
        path, length_unit=length_unit, energy_unit=energy_unit, normalization=normalization
    )
    return list(frames)


def iread_runner(
    path: str | os.PathLike[str],
    *,
    length_unit: str | None = None,
    energy_unit: str | None = None,
    normalization: Normalization | None = None,
) -> Iterator[ase.Atoms]:
    """Read structures one after the other; arguments and errors as `read_runner`."""
    file = Path(path)
    if not file.is_file():
        raise missing(file)
    given = {"length_unit": length_unit, "energy_unit": energy_unit}
    units, count = None, 0
    for block in _blocks(file):
        stated = stated_units(block.comment or "")
        if units is None or stated:
            units = resolve_units(stated, given, f"{file}:{block.first}")
        # Units stated in one comment hold for the structures that follow.
        given = {key: given[key] or stated.get(key) for key in given}
        yield _atoms(block, units, normalization or Normalization())
        count += 1
    if not count:
        raise ValueError(f"`path`: expected structures, got none in '{file}'; check the file")


def stated_units(text: str) -> dict[str, str]:
    """Units that a comment states, `length_unit=bohr energy_unit=hartree`, by argument."""
    return {f"{kind}_unit": unit for kind, unit in _UNIT.findall(text)}


def resolve_units(stated: Mapping[str, str], given: Mapping[str, str | None], where: str) -> Units:
    """Units that are given as arguments, or stated in a file.

    Raises:
        ValueError: neither, both but not the same, or an unknown unit.
    """
    factors = []
    for argument, factor in (("length_unit", length_factor), ("energy_unit", energy_factor)):
        unit, other = given[argument], stated.get(argument)
        if unit is None and other is None:
            example = "bohr" if argument == "length_unit" else "hartree"
            raise ValueError(
                f"`{argument}`: expected the unit of '{where}', which does not state it, got None; "
                f"give for example {example!r}, or state it in a comment of the file "
                f"({argument}={example})"
            )
        if unit is not None and other is not None and factor(unit) != factor(other):
            raise ValueError(
                f"`{argument}`: expected {other!r}, as '{where}' states, got {unit!r}; leave the "
                "argument out"
            )
        factors.append(factor(unit if unit is not None else str(other)))
    return Units(*factors)


@dataclass
class _Block:
    """The lines of one structure, each with its number."""

    file: Path
    first: int
    set: str | None = None
    comment: str | None = None
    lattice: list[tuple[int, list[str]]] = field(default_factory=list)
    atoms: list[tuple[int, list[str]]] = field(default_factory=list)
    values: dict[str, float] = field(default_factory=dict)

    def error(self, line: int, expected: str, got: str, advice: str) -> ValueError:
        return ValueError(f"`path`: {self.file}:{line}: expected {expected}, got {got}; {advice}")

    def number(self, line: int, word: str) -> float:
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.error(line, "a finite number", repr(word), "correct the file")
        return value

    def numbers(self, rows: list[tuple[int, list[str]]]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Words as an array; words one by one only where something is wrong."""
        try:
            array = np.array([words for _, words in rows], dtype=np.float64)
            if np.isfinite(array).all():
                return array
        except ValueError:
            pass
        return np.array([[self.number(line, word) for word in words] for line, words in rows])


def _blocks(file: Path) -> Iterator[_Block]:
    block: _Block | None = None
    for number, line in _lines(file):
        key, *words = line.split() or [""]
        if not key:
            continue
        if block is None:
            block = _begin(file, number, key, words)
        elif key == "end":
            _check_complete(block, number)
            yield block
            block = None
        else:
            _take(block, number, key, words, line)
    if block is not None:
        raise block.error(block.first, "an 'end' of this structure", "none", "the file is cut off")


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    try:
        with open_text(file) as text:
            yield from enumerate(text, start=1)
    except (OSError, ReadError) as error:
        raise ValueError(
            f"`path`: expected text, compressed or not, got '{file}' ({error}); check the file"
        ) from error


def _begin(file: Path, number: int, key: str, words: list[str]) -> _Block:
    block = _Block(file, number)
    if key != "begin":
        raise block.error(number, "'begin'", repr(key), "is this a RuNNer data file?")
    for word in words:
        name, _, value = word.partition("=")
        if name != "set" or value not in SETS:
            raise block.error(number, "'set=train' or 'set=test'", repr(word), "correct the file")
        block.set = value
    return block


def _take(block: _Block, number: int, key: str, words: list[str], line: str) -> None:
    """Read one line between begin and end."""
    if key == "comment":
        text = line.strip().removeprefix("comment").strip()
        block.comment = text if block.comment is None else f"{block.comment} {text}"
    elif key == "lattice":
        if len(words) < 3 or len(block.lattice) == 3:
            raise block.error(number, "three vectors of 3 numbers", line.strip(), "correct it")
        block.lattice.append((number, words[:3]))
    elif key == "atom":
        if len(words) < 9:
            raise block.error(
                number, "atom x y z element charge 0 fx fy fz", line.strip(),
                "write 0 where nothing is known",
            )  # fmt: skip
        try:
            atomic_number(words[3], None)
        except ValueError as error:
            raise ValueError(f"`path`: {block.file}:{number}: {error}; correct it") from None
        block.atoms.append((number, words))
    elif key in ("energy", "charge"):
        if not words:
            raise block.error(number, f"a number after {key!r}", "none", "correct the file")
        block.values[key] = block.number(number, words[0])
    else:
        keys = "comment, lattice, atom, energy, charge or end"
        raise block.error(number, keys, repr(key), "correct the file")


def _check_complete(block: _Block, number: int) -> None:
    if not block.atoms:
        raise block.error(number, "one atom or more before 'end'", "none", "remove the structure")
    if len(block.lattice) not in (0, 3):
        raise block.error(
            number, "no lattice vector or three", str(len(block.lattice)), "correct the file"
        )


def _atoms(block: _Block, units: Units, normalization: Normalization) -> ase.Atoms:
    mean_energy, conv_energy, conv_length = normalization
    length, energy = units.length / conv_length, units.energy / conv_energy
    # x, y, z, charge, fx, fy, fz
    columns = (0, 1, 2, 4, 6, 7, 8)
    rows = block.numbers([(n, [words[c] for c in columns]) for n, words in block.atoms])
    atoms = ase.Atoms([words[3] for _, words in block.atoms], rows[:, :3] * length)
    if block.lattice:
        atoms.cell = block.numbers(block.lattice) * length
        atoms.pbc = True
        if not atoms.cell.volume > 0.0:
            line = block.lattice[0][0]
            raise block.error(line, "a lattice with a volume", "none", "correct the vectors")
    if rows[:, 3].any():
        atoms.set_initial_charges(rows[:, 3])
    comment = None if block.comment is None else _UNIT.sub("", block.comment).strip()
    found = {"comment": comment or None, "set": block.set, "charge": block.values.get("charge")}
    atoms.info.update({key: value for key, value in found.items() if value is not None})
    results: dict[str, Any] = {"forces": rows[:, 4:] * (energy / length)}
    if "energy" in block.values:
        physical = block.values["energy"] / conv_energy + len(atoms) * mean_energy
        results["energy"] = physical * units.energy
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


# -------------------------------------------------------------------------------------- writing
def write_runner(
    frames: ase.Atoms | Iterable[ase.Atoms],
    path: str | os.PathLike[str],
    *,
    length_unit: str = "angstrom",
    energy_unit: str = "eV",
    normalization: Normalization | None = None,
) -> None:
    """Write structures as RuNNer and n2p2 read them; `read_runner` is the inverse.

    Energy and forces come from the results in `atoms.calc`; without them zeros stand there, and a
    warning says so once. Stress has no place in the format. The units are stated in the comments.

    Args:
        frames: structures, all periodic or not periodic at all; comment, set and charge in
            `atoms.info` are kept.
        path: the file; compressed if it ends in .gz.
        length_unit: see `read_runner`.
        energy_unit: see `read_runner`.
        normalization: see `read_runner`.

    Raises:
        ValueError: no structures, a structure that is periodic in some directions only, or labels
            that are not finite.
        TypeError: something else than structures.
    """
    given = {"length_unit": length_unit, "energy_unit": energy_unit}
    units = resolve_units({}, given, str(path))
    texts, unlabelled = [], 0
    for n, atoms in enumerate([frames] if isinstance(frames, ase.Atoms) else frames):
        if not isinstance(atoms, ase.Atoms):
            raise TypeError(f"`frames[{n}]`: expected an ase.Atoms, got {type(atoms).__name__}")
        try:
            text, labelled = _text(atoms, given, units, normalization or Normalization())
        except ValueError as error:
            raise ValueError(f"`frames[{n}]`: {error}") from error
        texts.append(text)
        unlabelled += not labelled
    if not texts:
        raise ValueError("`frames`: expected at least one structure, got none")
    if unlabelled:
        warnings.warn(
            f"`frames`: {unlabelled} of {len(texts)} structures lack energy or forces; zeros stand "
            "in their place",
            stacklevel=2,
        )
    _replace(Path(path), "".join(texts))


def _text(
    atoms: ase.Atoms, given: Mapping[str, str], units: Units, normalization: Normalization
) -> tuple[str, bool]:
    """Lines of one structure, and whether it has both labels."""
    if atoms.pbc.any() != atoms.pbc.all():
        raise ValueError(
            f"expected a structure that is periodic in all directions or in none, got pbc "
            f"{atoms.pbc.tolist()}; put vacuum into the cell and set pbc=True"
        )
    labels = read_labels(atoms)
    mean_energy, conv_energy, conv_length = normalization
    length, energy = units.length / conv_length, units.energy / conv_energy
    forces = np.zeros((len(atoms), 3)) if labels.forces is None else labels.forces
    if not np.isfinite(forces).all():
        atom = int(np.argwhere(np.isnan(forces))[0, 0])
        raise ValueError(
            f"`forces`: expected those of all atoms, got none for atom {atom}; the format has no "
            "place for missing labels, so leave the frame out"
        )
    chosen = f" set={atoms.info['set']}" if atoms.info.get("set") in SETS else ""
    comment = " ".join(str(atoms.info.get("comment", "")).split())
    stated = " ".join(f"{key}={value}" for key, value in given.items())
    lines = [f"begin{chosen}", f"comment {comment} {stated}".replace("  ", " ")]
    if atoms.pbc.all():
        lines += [f"lattice {_row(vector)}" for vector in atoms.cell.array / length]
    lines += [
        f"atom {_row(pos)} {symbol:>2s} {float(charge)!r} 0.0 {_row(force)}"
        for pos, symbol, charge, force in zip(
            atoms.positions / length,
            atoms.get_chemical_symbols(),
            atoms.get_initial_charges(),
            forces * (length / energy),
            strict=True,
        )
    ]
    total = 0.0
    if labels.energy is not None:
        total = (labels.energy / units.energy - len(atoms) * mean_energy) * conv_energy
    lines += [f"energy {total!r}", f"charge {float(atoms.info.get('charge', 0.0))!r}", "end\n"]
    return "\n".join(lines), labels.energy is not None and labels.forces is not None


def _row(values: Iterable[float]) -> str:
    return " ".join(f"{float(value)!r:>24s}" for value in values)


def _replace(path: Path, text: str) -> None:
    """Write under a temporary name, then rename: either the old file is there or the new one."""
    content = text.encode()
    with replacing(path) as temporary:
        temporary.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
