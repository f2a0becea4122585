"""Where the elements of an extended model come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nnmd_graph.periodic_table import nearest_element


@dataclass(frozen=True)
class Origins:
    """Where each element of the new model comes from.

    Attributes:
        old: Elements of the old model, sorted.
        new: Elements of the new one, sorted, all of ``old`` among them.
        index: For each new element the place in ``old`` of itself, or of the nearest element.
    """

    old: tuple[int, ...]
    new: tuple[int, ...]
    index: tuple[int, ...]

    @classmethod
    def of(cls, old: Sequence[int], new: Sequence[int]) -> Origins:
        """Origins of the elements ``new``."""
        known = tuple(old)
        return cls(known, tuple(new), tuple(known.index(nearest_element(z, known)) for z in new))

    @property
    def added(self) -> tuple[int, ...]:
        """Elements that the old model lacks."""
        return tuple(z for z in self.new if z not in self.old)

    def is_known(self, s: int) -> bool:
        """Tell whether the old model has element number ``s`` of the new one."""
        return self.new[s] in self.old
