"""Interface of a data set for the checks of its labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import ase
import numpy as np
from numpy.typing import NDArray

from nnmd_graph.graph import AtomicGraph, Labels
from nnmd_graph.graph.labels import Key


class LabelledFrames(Protocol):
    """Structures and their labels, as `AtomsDataset` holds them."""

    cutoff: float
    quantities: dict[str, Key]

    @property
    def frames(self) -> Sequence[ase.Atoms]:
        """The structures."""

    @property
    def labels(self) -> Sequence[Labels]:
        """The labels of each of them."""

    @property
    def isolated(self) -> NDArray[np.bool_]:
        """Which frames are isolated atoms."""

    @property
    def species(self) -> tuple[int, ...]:
        """Atomic numbers of the elements that occur."""

    def __iter__(self) -> Iterator[AtomicGraph]:
        """Go through the graphs."""

    def __len__(self) -> int:
        """Number of structures."""

    def has(self, label: str) -> int:
        """Count the frames that have a label."""

    def name(self, i: int) -> str:
        """Name a frame in messages."""
