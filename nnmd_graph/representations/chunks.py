"""A few atoms at a time: features, and the way back from dE/dx to forces and virial."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.representations.symmetry.kernels.blocks import BackToEdges
from nnmd_graph.representations.symmetry.kernels.tables import Rows

PullbackOfEdges = Callable[[Tensor], Tensor]
"""dE/dx [C, F] -> dE/d edge_vec [E, 3]."""


@dataclass(frozen=True)
class AtomChunk(ABC):
    """Features of a few atoms.

    Attributes:
        centres: The atoms, [C], as numbers in the graph.
        x: Features, [C, F].
    """

    centres: Tensor
    x: Tensor

    @abstractmethod
    def add_derivatives(
        self, graph: AtomicGraph, dx: Tensor, forces: Tensor, virial: Tensor | None
    ) -> None:
        """Add what follows from the atomic energies of this chunk.

        Args:
            graph: The graph that the chunk was cut from.
            dx: dE/dx, [C, F].
            forces: -dE/dpos of all atoms, [N, 3]; changed.
            virial: sum_e edge_vec dE/d edge_vec of each atom, [N, 3, 3]; changed, if it is wanted.
        """


@dataclass(frozen=True)
class TableChunk(AtomChunk):
    """Features of a few atoms of one element, computed from tables of edges.

    Attributes:
        rows: The atoms and their edges.
        start: Number of the edge from which ``rows`` counts.
        vec: Vectors of the edges from there, [M, 3], Å.
        pullback: From dE/dx to dE/d edge_vec.
    """

    rows: Rows
    start: int
    vec: Tensor
    pullback: BackToEdges

    def add_derivatives(
        self, graph: AtomicGraph, dx: Tensor, forces: Tensor, virial: Tensor | None
    ) -> None:
        """See :class:`AtomChunk`."""
        for edges, by_edge in zip(self.rows.edges, self.pullback(dx), strict=True):
            # Places without an edge have no gradient and may be added to any atom.
            place = edges.clamp(min=0).flatten()
            if not len(place) or not len(self.vec):
                continue
            neighbor = graph.edge_index[0].index_select(0, place + self.start)
            forces.index_add_(0, neighbor, by_edge.reshape(-1, 3), alpha=-1)
            forces.index_add_(0, self.centres, by_edge.sum(1))
            if virial is not None:
                vec = self.vec.index_select(0, place).view(*edges.shape, 3)
                virial.index_add_(0, self.centres, torch.bmm(vec.mT, by_edge))


@dataclass(frozen=True)
class NativeChunk(AtomChunk):
    """Features of consecutive atoms, with a way back to their edges, which are consecutive, too.

    Attributes:
        edges: The edges.
        vec: Their vectors, [M, 3], Å.
        pullback: From dE/dx to dE/d edge_vec.
    """

    edges: slice
    vec: Tensor
    pullback: PullbackOfEdges

    def add_derivatives(
        self, graph: AtomicGraph, dx: Tensor, forces: Tensor, virial: Tensor | None
    ) -> None:
        """See :class:`AtomChunk`."""
        by_edge = self.pullback(dx)
        neighbor, centre = graph.edge_index[:, self.edges]
        forces.index_add_(0, centre, by_edge)
        forces.index_add_(0, neighbor, by_edge, alpha=-1)
        if virial is not None:
            virial.index_add_(0, centre, self.vec.unsqueeze(2) * by_edge.unsqueeze(1))
