"""Roads from an energy to forces = -dE/dpos and stress = (1/|V|) dE/dstrain.

Each road is exact; which one an energy term takes for a graph it says itself
(:meth:`nnmd_graph.models.term.EnergyTerm.evaluator`). This file, the compiled training step,
second derivatives of the native core and the double backward of the battery are the places with
``autograd.grad``.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypedDict

import torch
from jaxtyping import Float
from torch import Tensor

from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.graph.geometry import (
    edge_vectors,
    num_structures,
    strained,
    structure_index,
    volume,
)
from nnmd_graph.nn.scatter import scatter_sum, take
from nnmd_graph.nn.species import species_ids
from nnmd_graph.representations.chunks import AtomChunk, PullbackOfEdges

AtomicEnergy = Callable[[AtomicGraph], Tensor]
"""Graph -> atomic energies [N], eV."""

EnergyOfFeatures = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""Features x [N, F], species_id [N] and numbers of the atoms in their graph -> [N], eV."""


class Prediction(TypedDict, total=False):
    """Output of a potential: energy [B] and atomic_energy [N] eV, forces, stress."""

    energy: Tensor
    atomic_energy: Tensor
    forces: Tensor
    stress: Tensor


@dataclass(frozen=True)
class Wanted:
    """Quantities that are asked for beside the energy.

    Attributes:
        forces: Whether forces are.
        stress: Whether stress is.
        gradients: Whether outputs are to carry gradients, as training needs them.
    """

    forces: bool
    stress: bool
    gradients: bool

    @property
    def derivatives(self) -> bool:
        """Tell whether any derivative is asked for."""
        return self.forces or self.stress


class Evaluator(ABC):
    """One road from an energy term to what is wanted of a graph."""

    @abstractmethod
    def __call__(self, graph: AtomicGraph, wanted: Wanted) -> Prediction:
        """Energy [B], atomic_energy [N] and what else is wanted; detached if gradients are not."""


class Autograd(Evaluator):
    """Differentiates the energy by positions and strain; or by the edge vectors of an engine.

    Where the graph brought its vectors along (``edge_vec``), positions do not enter the energy:
    with g_e = dE/d edge_vec_e the forces are sum_e g_e at the centres less that at the neighbours,
    and dE/dstrain is the symmetric part of sum_e edge_vec_e g_e^T.

    Args:
        energy: Atomic energies of a graph.
    """

    def __init__(self, energy: AtomicEnergy) -> None:
        self.energy = energy

    def __call__(self, graph: AtomicGraph, wanted: Wanted) -> Prediction:
        """See :class:`Evaluator`."""
        if not wanted.derivatives:
            with torch.set_grad_enabled(wanted.gradients and torch.is_grad_enabled()):
                return energies(self.energy(graph), graph)
        with torch.enable_grad():
            if "edge_vec" in graph:
                return self._by_edges(graph, wanted)
            pos, strain, moved = _differentiable(graph, wanted.stress)
            out = energies(self.energy(moved), graph)
            # Isolated atoms only: the energy is a constant, its gradient zero.
            gradients = torch.autograd.grad(
                out["energy"].sum() + 0.0 * (pos.sum() + strain.sum()),
                [pos, strain] if wanted.stress else [pos],
                create_graph=wanted.gradients,
            )
        if wanted.forces:
            out["forces"] = -gradients[0]
        if wanted.stress:
            out["stress"] = per_volume(gradients[1], graph)
        return out if wanted.gradients else detached(out)

    def _by_edges(self, graph: AtomicGraph, wanted: Wanted) -> Prediction:
        moved = copy.copy(graph)
        moved.edge_vec = graph.edge_vec.detach().requires_grad_()
        out = energies(self.energy(moved), graph)
        (by_edge,) = torch.autograd.grad(
            out["energy"].sum() + 0.0 * moved.edge_vec.sum(),
            moved.edge_vec,
            create_graph=wanted.gradients,
        )
        _add_edges(out, graph, by_edge, wanted)
        return out if wanted.gradients else detached(out)


class OfFeatures(Evaluator):
    """dE/dx of the net, then the chain rule with derivatives of features without parameters.

    Args:
        energy: Atomic energies from features.
        species: Elements of the model.
        features: Gives the features of a graph, and what takes dE/dx back to its edge vectors.
    """

    def __init__(
        self,
        energy: EnergyOfFeatures,
        species: tuple[int, ...],
        features: Callable[[AtomicGraph], tuple[Tensor, PullbackOfEdges]],
    ) -> None:
        self.energy, self.species, self.features = energy, species, features

    def __call__(self, graph: AtomicGraph, wanted: Wanted) -> Prediction:
        """See :class:`Evaluator`."""
        species_id = species_ids(graph.z, self.species)
        features, pullback = self.features(graph)
        if not wanted.derivatives:
            with torch.set_grad_enabled(wanted.gradients and torch.is_grad_enabled()):
                return energies(self.energy(features, species_id, None), graph)
        with torch.enable_grad():
            x = features.detach().requires_grad_()
            out = energies(self.energy(x, species_id, None), graph)
            (dx,) = torch.autograd.grad(out["energy"].sum(), x, create_graph=wanted.gradients)
            _add_edges(out, graph, pullback(dx), wanted)
        return out if wanted.gradients else detached(out)


class Chunked(Evaluator):
    """A few atoms at a time, without gradients: memory does not grow with the number of triplets.

    Args:
        energy: Atomic energies from features.
        species: Elements of the model.
        chunks: Features of a few atoms at a time, with the way back to the edges.
    """

    def __init__(
        self,
        energy: EnergyOfFeatures,
        species: tuple[int, ...],
        chunks: Callable[[AtomicGraph], Iterator[AtomChunk]],
    ) -> None:
        self.energy, self.species, self.chunks = energy, species, chunks

    def __call__(self, graph: AtomicGraph, wanted: Wanted) -> Prediction:
        """See :class:`Evaluator`."""
        species_id = species_ids(graph.z, self.species)
        atomic_energy = torch.zeros_like(graph.pos[:, 0], dtype=torch.float64)
        total = torch.zeros_like(graph.pos)
        virial = graph.pos.new_zeros(len(total), 3, 3) if wanted.stress else None
        for chunk in self.chunks(graph):
            centres = chunk.centres
            with torch.enable_grad():
                x = chunk.x.requires_grad_()
                e = self.energy(x, take(species_id, centres), centres)
                (dx,) = torch.autograd.grad(e.sum(), x)
            atomic_energy[centres] = e.detach()
            if wanted.derivatives:
                chunk.add_derivatives(graph, dx, total, virial)
        out = energies(atomic_energy, graph)
        if wanted.forces:
            out["forces"] = total
        if virial is not None:
            whole = scatter_sum(virial, structure_index(graph), num_structures(graph))
            out["stress"] = per_volume(0.5 * (whole + whole.mT), graph)
        return out


class Sum(Evaluator):
    """The sum of several predictions, each by a road of its own.

    Args:
        parts: One or more.
    """

    def __init__(self, parts: Sequence[Evaluator]) -> None:
        self.parts = parts

    def __call__(self, graph: AtomicGraph, wanted: Wanted) -> Prediction:
        """See :class:`Evaluator`."""
        return added(part(graph, wanted) for part in self.parts)


def added(predictions: Iterable[Prediction]) -> Prediction:
    """Sum of predictions, which hold the same names."""
    first, *others = predictions
    out: Prediction = dict(first)  # type: ignore[assignment]  # a copy has the names of the first
    for other in others:
        # mypy: names of a TypedDict must be literals; these are the ones of Prediction.
        for name in out:
            out[name] = out[name] + other[name]  # type: ignore[literal-required]
    return out


def _differentiable(graph: AtomicGraph, stress: bool) -> tuple[Tensor, Tensor, AtomicGraph]:
    """Positions and strain to differentiate by, and the copy of the graph that depends on them."""
    pos = graph.pos if graph.pos.requires_grad else graph.pos.detach().requires_grad_()
    strain = graph.cell.new_zeros(num_structures(graph), 3, 3, requires_grad=True)
    moved = copy.copy(graph)
    moved.pos = pos
    symmetric = 0.5 * (strain + strain.mT)
    return pos, strain, strained(moved, symmetric) if stress else moved


def energies(atomic_energy: Float[Tensor, " N"], graph: AtomicGraph) -> Prediction:
    """Atomic energies, and their sums over structures, float64."""
    if atomic_energy.shape != graph.z.shape:
        raise ValueError(
            f"`model`: expected an energy for each of {len(graph.z)} atoms, got the shape "
            f"{list(atomic_energy.shape)}; sum over neighbours with scatter_sum"
        )
    each = atomic_energy.double()
    energy = scatter_sum(each, structure_index(graph), num_structures(graph))
    return {"energy": energy, "atomic_energy": each}


def _add_edges(out: Prediction, graph: AtomicGraph, by_edge: Tensor, wanted: Wanted) -> None:
    """Forces and stress from dE/d edge_vec, [E, 3]."""
    neighbor, centre = graph.edge_index
    count = len(graph.pos)
    if wanted.forces:
        out["forces"] = scatter_sum(by_edge, centre, count) - scatter_sum(by_edge, neighbor, count)
    if wanted.stress:
        each = edge_vectors(graph).unsqueeze(-1) * by_edge.unsqueeze(-2)
        structure = structure_index(graph).index_select(0, centre)
        virial = scatter_sum(each, structure, num_structures(graph))
        out["stress"] = per_volume(0.5 * (virial + virial.mT), graph)


def per_volume(virial: Tensor, graph: AtomicGraph) -> Tensor:
    """Virial over volume, zero where there is none."""
    size = volume(graph.cell).view(-1, 1, 1)
    has_volume = size > 0.0
    return torch.where(has_volume, virial / torch.where(has_volume, size, 1.0), 0.0)


def detached(out: Prediction) -> Prediction:
    """The same without gradients."""
    # mypy: the values of a TypedDict are objects to it; all of these are tensors.
    return {name: value.detach() for name, value in out.items()}  # type: ignore[attr-defined, return-value]
