"""Names of labels: which ones the frames have, and which one was probably meant."""

import warnings
from collections.abc import Mapping, Sequence

import ase

from nnmd_graph.errors import did_you_mean
from nnmd_graph.graph import Labels

_PLAIN_ARRAYS = {"numbers", "positions"}


def check_keys(
    frames: Sequence[ase.Atoms], labels: Sequence[Labels], keys: Mapping[str, str | None]
) -> None:
    """Refuse a named key that no frame has.

    Args:
        frames: the structures.
        labels: what was read from them.
        keys: the names, by argument: `energy_key`, `forces_key`, `stress_key`.

    Raises:
        ValueError: a key gave no label in any frame; says which keys there are.
    """
    for argument, key in keys.items():
        label = argument.removesuffix("_key")
        if key is None or any(getattr(found, label) is not None for found in labels):
            continue
        there = _keys(frames)
        every = sorted({name for names in there.values() for name in names})
        hint = did_you_mean(key, every, cutoff=0.5)
        listing = ", ".join(f"{table}: {sorted(names)}" for table, names in there.items() if names)
        raise ValueError(
            f"`{argument}`: expected a key of the frames, got {key!r}, which none of "
            f"{len(frames)} has{hint}; there is {listing or 'nothing but the structure'}"
        )


def warn_of_unread_labels(
    frames: Sequence[ase.Atoms], labels: Sequence[Labels], keys: Mapping[str, str | None]
) -> None:
    """Warn when a label is missing everywhere, but something beside it is named like it.

    Args:
        frames: the structures.
        labels: what was read from them.
        keys: the names, by argument: `energy_key`, `forces_key`, `stress_key`.
    """
    there = _keys(frames)
    tables = {"energy": "atoms.info", "forces": "atoms.arrays", "stress": "atoms.info"}
    for label, table in tables.items():
        argument = f"{label}_key"
        if keys[argument] is not None or any(getattr(x, label) is not None for x in labels):
            continue
        similar = sorted(key for key in there[table] if label.rstrip("s") in key.lower())
        if similar:
            warnings.warn(
                f"`frames`: no frame has a calculator with {label}, but `{table}` has {similar}; "
                f"if that is it, pass {argument}={similar[0]!r}",
                stacklevel=4,
            )


def _keys(frames: Sequence[ase.Atoms]) -> dict[str, set[str]]:
    there: dict[str, set[str]] = {"atoms.info": set(), "atoms.arrays": set(), "calculator": set()}
    for atoms in frames:
        there["atoms.info"].update(str(key) for key in atoms.info)
        there["atoms.arrays"].update(set(atoms.arrays) - _PLAIN_ARRAYS)
        there["calculator"].update(getattr(atoms.calc, "results", {}))
    return there
