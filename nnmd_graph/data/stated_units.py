"""Units that a file states beside its numbers, and structures brought to eV and Å."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import ase
from ase.calculators.singlepoint import SinglePointCalculator

from nnmd_graph.graph import Labels
from nnmd_graph.graph.labels import Key, is_virial_name, key_names
from nnmd_graph.units import (
    LabelUnits,
    energy_factor,
    forces_factor,
    label_units,
    length_factor,
    stress_factor,
)

FACTORS = {
    "length_unit": length_factor,
    "energy_unit": energy_factor,
    "forces_unit": forces_factor,
    "stress_unit": stress_factor,
}

_WORDS = {
    "length_unit": ("length", "distance", "position", "pos", "coordinate", "coord", "lattice"),
    "energy_unit": ("energy", "energie"),
    "forces_unit": ("force",),
    "stress_unit": ("stresse", "stress"),
}
"""Words after which a unit may be named, without the s of a plural."""

_OURS = {"length_unit": "angstrom", "energy_unit": "eV", "forces_unit": "eV/angstrom",
         "stress_unit": "eV/angstrom^3"}  # fmt: skip
_SYSTEMS = ("real", "electron", "si", "cgs", "micro", "nano", "lj")
"""Units of LAMMPS; its `metal` is eV and Å."""

_UNIT = re.compile(r"^(?:(?P<before>.+?)_?units?|units?_(?P<behind>.+))$")


class UnitReader:
    """Finds the units of frame after frame: those given as arguments, else those a frame states.

    Keys of `atoms.info` such as `energy_unit`, `energy-units`, `Force_Unit`, `unit_length` or, for
    an energy called U0, `U0_unit` state a unit.

    Args:
        given: `length_unit`, `energy_unit`, `forces_unit`, `stress_unit`; None: as the frames
            state, else Å and eV.
        keys: names of labels, by argument (`energy_key`, ...).

    Raises:
        ValueError: a given unit is unknown.
    """

    def __init__(self, given: Mapping[str, str | None], keys: Mapping[str, Key]) -> None:
        self.given = dict(given)
        label_units(**self.given)
        self._words = {argument: set(words) for argument, words in _WORDS.items()}
        for argument in ("energy_unit", "forces_unit", "stress_unit"):
            names = key_names(keys.get(argument.replace("_unit", "_key")))
            self._words[argument].update(_plain(name) for name in names)
        self._unclear: dict[str, int] = {}
        self._stated: dict[tuple[tuple[str, str], ...], tuple[int, dict[str, Any]]] = {}

    def units(self, atoms: ase.Atoms, number: int) -> LabelUnits:
        """Units of a frame."""
        stated = self.stated(atoms)
        unclear = ", ".join(f"{key}: {value}" for key, value in self._foreign(atoms).items())
        if unclear and self.given["energy_unit"] is self.given["length_unit"] is None:
            self._unclear.setdefault(unclear, number)
        if stated:
            listing = tuple(sorted((key, str(atoms.info[key])) for key in stated.values()))
            self._stated.setdefault(listing, (number, dict(atoms.info)))
        known = {a: str(atoms.info[key]) for a, key in stated.items()}
        known = {a: unit for a, unit in known.items() if _is_known(a, unit)}
        return label_units(**{a: unit or known.get(a) for a, unit in self.given.items()})

    def stated(self, atoms: ase.Atoms) -> dict[str, str]:
        """Keys of `atoms.info` that state units, by the argument that means the same."""
        found: dict[str, str] = {}
        for key, value in atoms.info.items():
            if isinstance(key, str) and isinstance(value, str) and "unit" in key.lower():
                argument = self._argument(key)
                if argument is not None:
                    found.setdefault(argument, key)
        return found

    def _foreign(self, atoms: ase.Atoms) -> dict[str, str]:
        """Keys that name units which are not eV and Å, and do not say of what."""
        return {
            key: str(value)
            for key, value in atoms.info.items()
            if isinstance(key, str)
            and "unit" in key.lower()
            and re.search(r"(^|_)units?($|_)", _plain(key))
            and self._argument(key) is None
            and _names_foreign_units(str(value))
        }

    def _argument(self, key: str) -> str | None:
        match = _UNIT.match(_plain(key))
        what = match and (match["before"] or match["behind"])
        for argument, words in self._words.items():
            if what and (what in words or what.rstrip("s") in words):
                return argument
        return None

    def warn(self, sources: Sequence[str]) -> None:
        """Warn once which units the frames state, and how they were treated."""
        for listing, number in self._unclear.items():
            warnings.warn(
                f"`energy_unit`: {sources[number] or f'frame {number}'} states {listing}, and not "
                "of what; the numbers are taken to be in eV and Å, give `energy_unit` and "
                "`length_unit` if they are not",
                stacklevel=4,
            )
        for number, info in self._stated.values():
            atoms = ase.Atoms(info=info)
            stated = {a: (key, str(info[key])) for a, key in self.stated(atoms).items()}
            foreign = {
                a: (key, unit)
                for a, (key, unit) in stated.items()
                if self.given[a] is None and not _is_ours(a, unit)
            }
            against = {
                a: (key, unit)
                for a, (key, unit) in stated.items()
                if self.given[a] is not None and not _same(a, unit, str(self.given[a]))
            }
            frame = sources[number] or f"frame {number}"
            self._warn_of_foreign(frame, foreign)
            for argument, (key, unit) in against.items():
                warnings.warn(
                    f"`{argument}`: {frame} states {key}: {unit}, and {self.given[argument]!r} was "
                    "given, which counts",
                    stacklevel=4,
                )

    def _warn_of_foreign(self, frame: str, foreign: Mapping[str, tuple[str, str]]) -> None:
        unknown = {a: pair for a, pair in foreign.items() if not _is_known(a, pair[1])}
        for argument, (key, unit) in unknown.items():
            warnings.warn(
                f"`{argument}`: {frame} states {key}: {unit}, which is no unit known here; the "
                f"numbers are taken as they are, give the unit as `{argument}`",
                stacklevel=5,
            )
        known = {a: pair for a, pair in foreign.items() if a not in unknown}
        if known:
            listing = ", ".join(f"{key}: {unit}" for key, unit in known.values())
            resolved = self.given | {a: unit for a, (_, unit) in known.items()}
            ours = ", ".join(f"{a}={_OURS[a]!r}" for a in known)
            warnings.warn(
                f"`frames`: {frame} states {listing}; so it is converted from {_words(resolved)} "
                f"to eV and Å, give {ours} if the numbers are in these already",
                stacklevel=5,
            )


def _words(units: Mapping[str, str | None]) -> str:
    length, energy = units["length_unit"] or "Å", units["energy_unit"] or "eV"
    return (
        f"lengths in {length}, energies in {energy}, forces in "
        f"{units['forces_unit'] or f'{energy}/{length}'}, stress in "
        f"{units['stress_unit'] or f'{energy}/{length}^3'}"
    )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _is_known(argument: str, unit: str) -> bool:
    try:
        FACTORS[argument](unit)
    except ValueError:
        return False
    return True


def _names_foreign_units(text: str) -> bool:
    """Tell whether a word of a text is a unit, or a system of units, other than eV and Å."""
    for word in re.split(r"[^\w/^.*³-]+", text.lower()):
        kinds = [argument for argument in FACTORS if word and _is_known(argument, word)]
        if word in _SYSTEMS or kinds and not any(_is_ours(kind, word) for kind in kinds):
            return True
    return False


def _same(argument: str, unit: str, other: str) -> bool:
    factor = FACTORS[argument]
    return not _is_known(argument, unit) or abs(factor(unit) / factor(other) - 1) < 1e-6


def _is_ours(argument: str, unit: str) -> bool:
    return _is_known(argument, unit) and abs(FACTORS[argument](unit) - 1) < 1e-6


def converted(
    atoms: ase.Atoms,
    labels: Labels,
    units: LabelUnits,
    keys: Mapping[str, Key],
    stated: Mapping[str, str],
) -> ase.Atoms:
    """Copy a frame in eV and Å, with its labels in them, and without the units that it stated."""
    frame = atoms.copy()
    frame.set_cell(atoms.cell.array * units.length)
    frame.positions = atoms.positions * units.length
    for key in stated.values():
        frame.info.pop(key, None)
    results = dict(getattr(atoms.calc, "results", None) or {})
    for name in ("energy", "free_energy", "energies", "forces", "stress", "stresses"):
        results.pop(name, None)
    values = labels.results()
    for argument, names in keys.items():
        label = argument.removesuffix("_key")
        for word in key_names(names):
            for table in (frame.info, frame.arrays):
                if word not in table:
                    continue
                if label == "virial" or is_virial_name(word):
                    table[word] = table[word] * units.energy
                elif label in values:
                    table[word] = values[label]
    results |= values
    if results:
        frame.calc = SinglePointCalculator(frame, **results)
    assert isinstance(frame, ase.Atoms)
    return frame
