"""Symmetry functions of a graph by the native core."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.graph.geometry import edge_vectors
from nnmd_graph.native.library import Library
from nnmd_graph.native.operations import Plan, values, vjp
from nnmd_graph.nn.cutoff import CutoffFunction
from nnmd_graph.nn.species import species_ids
from nnmd_graph.representations.chunks import NativeChunk, PullbackOfEdges
from nnmd_graph.representations.symmetry.functions import SymmetryFunction
from nnmd_graph.representations.symmetry.kernels.native_plan import plan_of
from nnmd_graph.representations.symmetry.kernels.tables import whole_centres

MAX_EDGES = 2**17
"""Whose vectors are held at once where nothing is differentiated."""

OnGraph = Callable[[Tensor, AtomicGraph], Tensor]
"""(edge vectors, graph with its elements and edges) -> x by tensor operations."""


class NativeFunctions:
    """The functions of all elements of a set, behind the plan that the native core has made.

    Args:
        core: The native core.
        functions_of: Functions of atoms of each element, in the order of ``species``.
        species: Elements, sorted atomic numbers.
        fc: Cutoff function.
        reference: The same by tensor operations, for second derivatives by edge vectors.
    """

    def __init__(
        self,
        core: Library,
        functions_of: Sequence[Sequence[SymmetryFunction]],
        species: tuple[int, ...],
        fc: CutoffFunction,
        reference: OnGraph,
    ) -> None:
        self.species, self.reference = species, reference
        num_features = max(map(len, functions_of))
        ints, numbers = plan_of(functions_of, species, num_features, fc)
        self.plan = Plan(core, ints, numbers, num_features, self._by_tensors)

    def __call__(self, graph: AtomicGraph) -> Tensor:
        """Values [N, F]; differentiable by edge vectors, to any order."""
        return self._values(edge_vectors(graph), graph, species_ids(graph.z, self.species))

    def with_pullback(self, graph: AtomicGraph) -> tuple[Tensor, PullbackOfEdges]:
        """Values [N, F], and dE/dx -> dE/d edge_vec, differentiable by dE/dx."""
        element, every = species_ids(graph.z, self.species), slice(0, graph.num_nodes)
        vec = edge_vectors(graph).detach()
        x = self._values(vec, graph, element)
        return x, partial(self._pullback, vec, graph.edge_index, element, every)

    def jacobian(self, graph: AtomicGraph) -> tuple[Tensor, Tensor]:
        """Values [N, F] and their derivatives by edge vector, [E, 3, F]."""
        vec, element = edge_vectors(graph).detach(), species_ids(graph.z, self.species)
        x = vec.new_empty(graph.num_nodes, self.plan.num_features)
        by_edge = vec.new_zeros(len(vec), 3, self.plan.num_features)
        at = (0, graph.num_nodes)
        self.plan.call("jacobian", vec, graph.edge_index, element, *at, x, by_edge)
        return x, by_edge

    def chunks(self, graph: AtomicGraph) -> Iterator[NativeChunk]:
        """Values of consecutive atoms; nothing is recorded for autograd."""
        element = species_ids(graph.z, self.species)
        number = torch.arange(graph.num_nodes)
        for atoms, edges in whole_centres(graph, MAX_EDGES):
            with torch.no_grad():
                vec, edge_index = edge_vectors(graph, edges), graph.edge_index[:, edges]
                at = (atoms.start, atoms.stop - atoms.start, self.plan.number)
                x = values(vec, edge_index, element, *at)
            pullback = partial(self._pullback, vec, edge_index, element, atoms)
            yield NativeChunk(number[atoms], x, edges, vec, pullback)

    def _values(self, vec: Tensor, graph: AtomicGraph, element: Tensor) -> Tensor:
        return values(vec, graph.edge_index, element, 0, graph.num_nodes, self.plan.number)

    def _pullback(
        self, vec: Tensor, edge_index: Tensor, element: Tensor, atoms: slice, dx: Tensor
    ) -> Tensor:
        at = (atoms.start, atoms.stop - atoms.start, self.plan.number)
        return vjp(dx, vec, edge_index, element, *at)

    def _by_tensors(
        self, vec: Tensor, edge_index: Tensor, element: Tensor, first: int, count: int
    ) -> Tensor:
        """See :data:`nnmd_graph.native.operations.Reference`."""
        graph = AtomicGraph(
            z=torch.tensor(self.species)[element],
            pos=vec.new_zeros(len(element), 3),
            edge_index=edge_index,
            edge_vec=vec,
            cell=vec.new_zeros(1, 3, 3),
        )
        return self.reference(vec, graph)[first : first + count]
