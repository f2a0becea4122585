"""A few atoms at a time: features, and the way back from dE/dx to forces and virial."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.representations.symmetry.kernels.blocks import BackToEdges
from nnmd_graph.representations.symmetry.kernels.tables import Rows


@dataclass(frozen=True)
class AtomChunk:
    """Features of a few atoms of one element.

    Attributes:
        rows: The atoms and their edges.
        start: Number of the edge from which ``rows`` counts.
        vec: Vectors of the edges from there, [M, 3], Å.
        x: Features, [C, F].
        pullback: From dE/dx to dE/d edge_vec.
    """

    rows: Rows
    start: int
    vec: Tensor
    x: Tensor
    pullback: BackToEdges

    def add_forces(self, graph: AtomicGraph, dx: Tensor, forces: Tensor) -> Tensor:
        """Add -dE/dpos of this chunk's atomic energies to the forces of all atoms.

        Args:
            graph: The graph that the chunk was cut from.
            dx: dE/dx, [C, F].
            forces: [N, 3]; changed.

        Returns:
            sum_e edge_vec dE/d edge_vec for each of the atoms, [C, 3, 3].
        """
        virial = dx.new_zeros(len(dx), 3, 3)
        for edges, by_edge in zip(self.rows.edges, self.pullback(dx), strict=True):
            # Places without an edge have no gradient: they may count for any atom.
            place = edges.clamp(min=0).flatten()
            if not len(place) or not len(self.vec):
                continue
            neighbor = graph.edge_index[0].index_select(0, place + self.start)
            forces.index_add_(0, neighbor, by_edge.reshape(-1, 3), alpha=-1)
            forces.index_add_(0, self.rows.centres, by_edge.sum(1))
            vec = self.vec.index_select(0, place).view(*edges.shape, 3)
            virial += torch.bmm(vec.mT, by_edge)
        return virial
