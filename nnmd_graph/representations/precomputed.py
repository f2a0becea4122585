"""Features computed once per structure, for representations without trainable parameters.

Training a net on fixed symmetry functions needs their values and derivatives only; kept with the
graph they turn every later epoch into small matrix products.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.nn.scatter import table_places, take
from nnmd_graph.representations.chunks import PullbackOfEdges
from nnmd_graph.representations.representation import FixedRepresentation

MAX_EDGES = 5_000
"""Edges of structures whose features are computed together; larger batches are not faster."""


def can_precompute(representation: nn.Module) -> TypeGuard[FixedRepresentation]:
    """Tell whether features are fixed: no parameters, and derivatives by edge vector are known."""
    trainable = any(p.requires_grad for p in representation.parameters())
    return isinstance(representation, FixedRepresentation) and not trainable


def num_values(graph: AtomicGraph, num_features: int) -> int:
    """Number of values that the features of a graph and their derivatives hold."""
    most = int(torch.bincount(graph.edge_index[1], minlength=1).max())
    return num_features * graph.num_nodes * (1 + 3 * most)


def precompute(representation: FixedRepresentation, graph: AtomicGraph) -> AtomicGraph:
    """A shallow copy of the graph that carries ``features`` and ``feature_jacobian``.

    Args:
        representation: Gives the features and their derivatives.
        graph: One structure; it is not changed.
    """
    return next(precompute_all(representation, [graph]))


def precompute_all(
    representation: FixedRepresentation, graphs: Iterable[AtomicGraph]
) -> Iterator[AtomicGraph]:
    """The same for many structures, small ones together: molecules take a tenth of the time.

    Args:
        representation: See :func:`precompute`.
        graphs: Single structures; they are not changed.
    """
    together: list[AtomicGraph] = []
    for graph in graphs:
        if together and sum(g.num_edges for g in together) + graph.num_edges > MAX_EDGES:
            yield from _precompute(representation, together)
            together = []
        together.append(graph)
    yield from _precompute(representation, together)


@torch.no_grad()
def _precompute(
    representation: FixedRepresentation, graphs: list[AtomicGraph]
) -> Iterator[AtomicGraph]:
    if not graphs:
        return
    batch = Batch.from_data_list(graphs) if len(graphs) > 1 else graphs[0]
    x, jacobian = representation.jacobian(batch)
    values = x.split([graph.num_nodes for graph in graphs])
    derivatives = jacobian.split([graph.num_edges for graph in graphs])
    for graph, own, by_edge in zip(graphs, values, derivatives, strict=True):
        ready = copy.copy(graph)
        # Not a view, which would keep the features of all of them.
        ready.features = own.clone()
        ready.feature_jacobian = FeatureJacobian.of_edges(by_edge, graph.edge_index[1], len(own))
        yield ready


class FeatureJacobian:
    """Derivatives of the features of one structure by its edge vectors, one block per centre.

    A block holds all edges of a centre side by side, so that the chain rule is one product of a
    row with a matrix per atom. Batches keep a list of these: copying them together would cost more
    than the products.

    Args:
        blocks: [N, F, 3 n], n the largest number of neighbours; zero where there is no neighbour.
        places: Where each edge stands among the N n places, [E].
    """

    def __init__(self, blocks: Tensor, places: Tensor) -> None:
        self.blocks = blocks
        self.places = places

    @classmethod
    def of_edges(cls, jacobian: Tensor, centre: Tensor, num_nodes: int) -> FeatureJacobian:
        """Sort derivatives by edge, [E, 3, F], into blocks; ``centre`` [E] in any order."""
        places, most = table_places(centre, num_nodes)
        num_features = jacobian.shape[-1]
        blocks = jacobian.new_zeros(num_nodes * most, 3, num_features)
        blocks[places] = jacobian
        blocks = blocks.view(num_nodes, 3 * most, num_features).mT.contiguous()
        return cls(blocks, places)

    def to(self, *args: Any, **kwargs: Any) -> FeatureJacobian:
        """On another device; called by PyG when a batch moves."""
        return FeatureJacobian(self.blocks.to(*args, **kwargs), self.places.to(*args, **kwargs))

    def edge_gradient(self, dx: Tensor) -> Tensor:
        """Chain rule, dE/d edge_vec[e] = sum_f (dx[i, f] / d edge_vec[e]) dE/dx[i, f].

        Args:
            dx: dE/dx of the atoms of this structure, [N, F].

        Returns:
            dE/d edge_vec, [E, 3].
        """
        num_nodes, _, width = self.blocks.shape
        rows = _RowProduct.apply(dx, self.blocks).reshape(num_nodes * width // 3, 3)
        return take(rows, self.places)


def edge_gradient(jacobian: FeatureJacobian | list[FeatureJacobian], dx: Tensor) -> Tensor:
    """Chain rule over a graph or a batch: dE/dx [N, F] to dE/d edge_vec [E, 3]."""
    parts = jacobian if isinstance(jacobian, list) else [jacobian]
    rows = dx.split([len(part.blocks) for part in parts])
    return torch.cat([part.edge_gradient(row) for part, row in zip(parts, rows, strict=True)])


def carried_features(graph: AtomicGraph) -> tuple[Tensor, PullbackOfEdges]:
    """Features that a graph or a batch carries, and the way from dE/dx to its edges."""
    return graph.features, partial(edge_gradient, graph.feature_jacobian)


class _RowProduct(torch.autograd.Function):
    """y[n] = x[n] M[n] as row times matrix, also backwards, which is fastest on the CPU."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Tensor) -> Tensor:
        ctx.save_for_backward(matrix)
        return torch.bmm(x.unsqueeze(1), matrix).squeeze(1)

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, None]:
        (matrix,) = ctx.saved_tensors
        return _RowProduct.apply(grad[0], matrix.mT), None
