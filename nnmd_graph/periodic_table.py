"""Places in the periodic table, and which elements are near each other there."""

from __future__ import annotations

from collections.abc import Sequence

NOBLE_GASES = (0, 2, 10, 18, 36, 54, 86, 118)
"""Atomic numbers at which periods end."""

GROUP_WEIGHT = 1.5
"""A step to the next group changes more than one to the next period: sodium is nearer to lithium
than to magnesium."""


def period(z: int) -> int:
    """Period of an element, 1 to 7."""
    return sum(z > gas for gas in NOBLE_GASES)


def to_noble_gas(z: int) -> int:
    """Elements between this one and the noble gas that ends its period, 0 for the gas itself."""
    return NOBLE_GASES[period(z)] - z


def group(z: int) -> int:
    """Group of an element, 1 to 18; the f block stands in group 3."""
    row = period(z)
    n, length = z - NOBLE_GASES[row - 1], NOBLE_GASES[row] - NOBLE_GASES[row - 1]
    if length == 32:
        return n if n <= 2 else 3 if n <= 17 else n - 14
    from_left = n == 1 or length == 18 or (n == 2 and length > 2)  # helium ends its period
    return n if from_left else n + 18 - length


def nearest_element(z: int, known: Sequence[int]) -> int:
    """The element of ``known`` that is nearest in the periodic table; itself if it is there.

    Groups count 1.5 times as much as periods; the f block stands in group 3, where the atomic
    number decides.
    """

    def distance(other: int) -> tuple[float, int, int]:
        steps = GROUP_WEIGHT * abs(group(z) - group(other)) + abs(period(z) - period(other))
        return steps, abs(z - other), other

    return z if z in known else min(known, key=distance)
