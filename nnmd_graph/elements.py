"""Elements: symbols and atomic numbers, translated in one place, refused with one message."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from nnmd_graph.errors import did_you_mean

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

# ASE and NumPy are imported only where needed: checks of configs and help do without them.

LARGEST = 118
"""Atomic number of the last element that has a name, oganesson."""


def atomic_number(element: Any, argument: str | None = "species") -> int:
    """Give the atomic number of an element.

    Args:
        element: a symbol such as "Cu", or an atomic number.
        argument: what the message is about; None: the caller says it.

    Raises:
        ValueError: there is no such element; a dummy atom (X, 0) is none.
        TypeError: `element` is neither a str nor a whole number.
    """
    from ase.data import atomic_numbers, chemical_symbols

    about = "" if argument is None else f"`{argument}`: "
    advice = "" if argument is None else "; write for example 'Cu' or 29"
    if isinstance(element, str):
        z = atomic_numbers.get(element, 0)
        if z > 0:
            return int(z)
        hint = did_you_mean(element.strip().capitalize(), chemical_symbols[1:])
        raise ValueError(f"{about}expected the symbol of an element, got {element!r}{hint}{advice}")
    try:
        if isinstance(element, bool) or type(element).__name__ in ("bool_", "bool"):
            raise TypeError
        z = operator.index(element)
    except TypeError:
        expected = "the symbol or the atomic number of an element"
        raise TypeError(f"{about}expected {expected}, got {element!r}{advice}") from None
    if not 0 < z <= LARGEST:
        raise ValueError(f"{about}expected an atomic number from 1 to {LARGEST}, got {z}{advice}")
    return z


def symbol(z: int) -> str:
    """Give the symbol of an element; of a number that is none, "X" for 0 and the number."""
    from ase.data import chemical_symbols

    return chemical_symbols[z] if 0 <= z <= LARGEST else f"Z = {z}"


def check_atomic_numbers(numbers: ArrayLike) -> None:
    """Refuse atoms of which there is no element.

    Args:
        numbers: atomic numbers of the atoms, [N].

    Raises:
        ValueError: a number is below 1 (the dummy atom X is 0) or above 118; the message names
            the first such atom.
    """
    import numpy as np

    array = np.asarray(numbers)
    bad = np.flatnonzero((array < 1) | (array > LARGEST))
    if len(bad):
        atom, z = int(bad[0]), int(array[bad[0]])
        dummy = "the dummy atom X (atomic number 0)" if z == 0 else f"the atomic number {z}"
        raise ValueError(
            f"`numbers`: expected elements, atomic numbers from 1 to {LARGEST}, got {dummy} as "
            f"atom {atom}; correct or remove it"
        )
