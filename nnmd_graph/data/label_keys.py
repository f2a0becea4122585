"""Names of labels: which ones the frames have, and which one was probably meant."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import ase
import numpy as np

from nnmd_graph.data.labelled import LabelledFrames
from nnmd_graph.errors import did_you_mean
from nnmd_graph.graph import Labels
from nnmd_graph.graph.labels import Key, is_virial_name, key_names
from nnmd_graph.quantities import OF_EVERY_POTENTIAL, QUANTITIES, quantity_of

TABLES = {"energy": "atoms.info", "forces": "atoms.arrays", "stress": "atoms.info"}
_SHORT = {"energy": ("e", "etot", "e_tot", "e_total", "toten", "u0")}
"""Whole names that mean a label, in lower case."""

_PLAIN_ARRAYS = {"numbers", "positions"}


def check_keys(
    frames: Sequence[ase.Atoms], labels: Sequence[Labels], keys: Mapping[str, Key]
) -> None:
    """Refuse a named key that no frame has.

    Args:
        frames: the structures.
        labels: what was read from them.
        keys: the names, by argument: `energy_key`, `forces_key`, `stress_key`, ...

    Raises:
        ValueError: a key gave no label in any frame; says which keys there are.
    """
    there = _keys(frames)
    every = sorted({name for names in there.values() for name in names})
    for argument, key in keys.items():
        for name in key_names(key):
            if name in every:
                continue
            hint = did_you_mean(name, every, cutoff=0.5)
            listing = ", ".join(
                f"{table}: {sorted(names)}" for table, names in there.items() if names
            )
            raise ValueError(
                f"`{argument}`: expected a key of the frames, got {name!r}, which none of "
                f"{len(frames)} has{hint}; there is {listing or 'nothing but the structure'}"
            )


def wanted_quantities(given: Iterable[str] | Mapping[str, Key]) -> dict[str, Key]:
    """Further quantities with the names that they have in the frames, or None.

    Raises:
        ValueError: there is no such quantity, or it is one that every data set has.
    """
    names = [given] if isinstance(given, str) else list(given)
    for name in names:
        if quantity_of(name, "quantities") in OF_EVERY_POTENTIAL:
            raise ValueError(
                f"`quantities`: expected further ones, got {name!r}, which is read in any case; "
                f"name its key by `{name}_key`"
            )
    return {name: given[name] if isinstance(given, Mapping) else None for name in names}


def check_quantities(dataset: LabelledFrames) -> None:
    """Refuse a quantity that no frame is labelled with.

    Raises:
        ValueError: says where it was looked for, and what there is.
    """
    for name, key in dataset.quantities.items():
        if dataset.has(name) or not len(dataset):
            continue
        there = _keys(dataset.frames)
        listing = ", ".join(f"{table}: {sorted(names)}" for table, names in there.items() if names)
        quantity = QUANTITIES[name]
        molecules = " in structures without periodicity" if quantity.for_molecules else ""
        raise ValueError(
            f"`quantities`: expected labels of {name}{molecules} under "
            f"{key or quantity.ase or name!r}, got none in {len(dataset)} frames; there is "
            f"{listing or 'nothing but the structure'}"
        )


def warn_of_unread_labels(dataset: LabelledFrames, keys: Mapping[str, Key]) -> None:
    """Warn of missing labels, above all where an entry has a similar name.

    Args:
        dataset: the frames and what was read from them.
        keys: the names, by argument: `energy_key`, `forces_key`, `stress_key`, `virial_key`.
    """
    for name in key_names(keys["stress_key"]):
        if is_virial_name(name):
            warnings.warn(
                f"`stress_key`: {name!r} is a virial by its name and read as one: stress = -virial "
                f"/ volume, eV; say so with virial_key={name!r}",
                stacklevel=4,
            )
    _warn_of_masked_atoms(dataset)
    missing: list[str] = []
    for label in TABLES:
        lacking = [i for i, found in enumerate(dataset.labels) if getattr(found, label) is None]
        similar = _similar([dataset.frames[i] for i in lacking], label, keys)
        if len(lacking) == len(dataset) and similar and keys[f"{label}_key"] is None:
            _warn_of_other_names(label, similar)
        elif similar:
            _warn_of_mixed_names(dataset, label, lacking, similar, keys)
        elif 0 < len(lacking) < len(dataset):
            missing.append(f"{len(lacking)} have no {label} (first: {dataset.name(lacking[0])})")
    if missing:
        warnings.warn(
            f"`frames`: of {len(dataset)} frames {', '.join(missing)}; what is there is used",
            stacklevel=4,
        )


def _warn_of_masked_atoms(dataset: LabelledFrames) -> None:
    counts = [labels.num_atoms_without_force for labels in dataset.labels]
    if any(counts):
        first = next(i for i, count in enumerate(counts) if count)
        warnings.warn(
            f"`frames`: the forces of {sum(counts)} atoms in {np.count_nonzero(counts)} frames are "
            f"NaN, first in {dataset.name(first)}; these atoms have no label",
            stacklevel=5,
        )


def _warn_of_other_names(label: str, similar: list[str]) -> None:
    table, name = TABLES[label], similar[0]
    advice = f"if that is it, pass {label}_key={name!r}"
    if is_virial_name(name):
        advice = f"if that is a virial in eV (stress = -virial / volume), pass virial_key={name!r}"
    warnings.warn(
        f"`frames`: no frame has a calculator with {label}, but `{table}` has {similar}; {advice}",
        stacklevel=5,
    )


def _warn_of_mixed_names(
    dataset: LabelledFrames,
    label: str,
    lacking: list[int],
    similar: list[str],
    keys: Mapping[str, Key],
) -> None:
    """Warn if the label has different names in different frames."""
    name = similar[0]
    argument = "virial_key" if is_virial_name(name) else f"{label}_key"
    before = key_names(keys[argument]) or (() if argument == "virial_key" else (label,))
    both = ",".join([*before, name])
    named = [i for i in lacking if name in {**dataset.frames[i].info, **dataset.frames[i].arrays}]
    warnings.warn(
        f"`frames`: of {len(dataset)} frames {len(lacking)} have no {label}, of which {len(named)} "
        f"have {name!r} instead (first: {dataset.name(named[0])}); read both with "
        f"{argument}={both!r}",
        stacklevel=5,
    )


def _similar(frames: Sequence[ase.Atoms], label: str, keys: Mapping[str, Key]) -> list[str]:
    """Names in frames without a label that look like it, the most frequent first."""
    counts: dict[str, int] = {}
    for atoms in frames:
        for name, value in (atoms.arrays if label == "forces" else atoms.info).items():
            if _is_like(str(name), value, label):
                counts[str(name)] = counts.get(str(name), 0) + 1
    used = {name for key in keys.values() for name in key_names(key)}
    return sorted(counts.keys() - used, key=lambda name: (-counts[name], name))


def _is_like(name: str, value: Any, label: str) -> bool:
    words = {"energy": ("energy",), "forces": ("force",), "stress": ("stress", "virial")}[label]
    if not any(word in name.lower() for word in words) and name.lower() not in _SHORT.get(
        label, ()
    ):
        return False
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    shapes = {"energy": ((), (1,)), "stress": ((6,), (9,), (3, 3))}
    return array.shape in shapes.get(label, (array.shape,))


def _keys(frames: Sequence[ase.Atoms]) -> dict[str, set[str]]:
    there: dict[str, set[str]] = {"atoms.info": set(), "atoms.arrays": set(), "calculator": set()}
    for atoms in frames:
        there["atoms.info"].update(str(key) for key in atoms.info)
        there["atoms.arrays"].update(set(atoms.arrays) - _PLAIN_ARRAYS)
        there["calculator"].update(getattr(atoms.calc, "results", {}))
    return there
