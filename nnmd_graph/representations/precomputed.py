"""Features computed once per structure, for representations without trainable parameters.

Training a net on fixed symmetry functions needs their values and derivatives only; kept with the
graph they turn every later epoch into small matrix products.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.nn.scatter import take


def can_precompute(representation: nn.Module) -> bool:
    """Whether features are fixed: nothing to train, and derivatives by edge vector are offered."""
    trainable = any(p.requires_grad for p in representation.parameters())
    return hasattr(representation, "jacobian") and not trainable


def num_values(graph: AtomicGraph, num_features: int) -> int:
    """Number of values that the features of a graph and their derivatives hold."""
    return num_features * (graph.num_nodes + 3 * int(graph.edge_index.shape[1]))


def precompute(representation: nn.Module, graph: AtomicGraph) -> AtomicGraph:
    """A shallow copy of the graph that carries ``features`` and ``feature_jacobian``.

    Args:
        representation: Offers ``jacobian(graph) -> (x [N, F], d x / d edge_vec [E, 3, F])``.
        graph: One structure; it is not changed.
    """
    with torch.no_grad():
        x, jacobian = representation.jacobian(graph)  # type: ignore[operator]
    graph = copy.copy(graph)
    graph.features = x
    graph.feature_jacobian = jacobian
    return graph


def edge_gradient(jacobian: Tensor, dx: Tensor, centre: Tensor) -> Tensor:
    """Chain rule, dE/d edge_vec[e] = sum_f jacobian[e, :, f] dE/dx[i, f] with i = centre[e].

    Args:
        jacobian: Derivatives of features, [E, 3, F].
        dx: dE/dx, [N, F].
        centre: Centre of each edge, [E].

    Returns:
        dE/d edge_vec, [E, 3].
    """
    return torch.bmm(jacobian, take(dx, centre).unsqueeze(-1)).squeeze(-1)
