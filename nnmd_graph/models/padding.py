"""Batches of one size, for functions that were compiled for fixed shapes."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.graph.geometry import structure_index
from nnmd_graph.nn.species import species_ids
from nnmd_graph.representations.graph_convolutions import pair_fields

NO_LABEL = float("nan")


def with_pairs(graph: AtomicGraph, species: tuple[int, ...]) -> AtomicGraph:
    """A copy with element numbers and pairs, so that models do not search for them.

    Args:
        graph: A graph.
        species: Elements of the model.

    Raises:
        ValueError: If an element is not among them, or the graph lacks one of two edges.
    """
    graph = copy.copy(graph)
    graph.pair_index, graph.pair_cell_shift = pair_fields(graph)
    graph.species_id = species_ids(graph.z, species)
    return graph


class Padding:
    """Pads batches to one size with atoms without neighbours and labels.

    Added pairs are farther apart than the cutoff: their envelope is zero. Added atoms belong to
    structures of their own; the first are one of each element, ``lone_atoms``, of which the model
    takes the energy of isolated atoms.

    Args:
        species: Elements of the model.
        cutoff: Radius in Å.
        graphs: Made by :func:`with_pairs`; any ``batch_size`` of them fit.
        batch_size: Largest number of structures.
    """

    def __init__(
        self,
        species: tuple[int, ...],
        cutoff: float,
        graphs: Sequence[AtomicGraph],
        batch_size: int,
    ) -> None:
        self.species, self.cutoff = species, cutoff
        atoms = sorted((len(graph.pos) for graph in graphs), reverse=True)
        pairs = sorted((graph.pair_index.shape[1] for graph in graphs), reverse=True)
        self.num_structures = batch_size + 1
        # One atom per missing structure, the isolated ones, and two for pairs beyond the cutoff
        self.num_atoms = sum(atoms[:batch_size]) + self.num_structures + len(species) + 2
        self.num_pairs = sum(pairs[:batch_size])

    def __call__(self, batch: AtomicGraph) -> dict[str, Tensor]:
        """Padded fields of a batch that models and losses read, by name."""
        num_atoms, num_structures = len(batch.pos), len(batch.cell)
        missing = self.num_structures - num_structures
        rank = torch.arange(self.num_atoms - num_atoms, device=batch.pos.device)
        far = batch.pos.new_zeros(len(rank), 3)
        far[:, 0] = 3.0 * self.cutoff * rank
        species_id = rank.clamp(max=len(self.species) - 1)
        fields = {
            "pos": torch.cat([batch.pos, far]),
            "z": torch.cat([batch.z, batch.z.new_tensor(self.species)[species_id]]),
            "species_id": torch.cat([batch.species_id, species_id]),
            "batch": torch.cat([structure_index(batch), num_structures + rank % missing]),
            "cell": torch.cat([batch.cell, batch.cell.new_zeros(missing, 3, 3)]),
            "lone_atoms": num_atoms + rank[: len(self.species)],
            **self._pairs(batch),
        }
        if "energy" in batch:
            fields["energy"] = _longer(batch.energy, missing, NO_LABEL)
        if "forces" in batch:
            fields["forces"] = _longer(batch.forces, len(rank), NO_LABEL)
        if "weight" in batch:
            fields["weight"] = _longer(batch.weight, missing, 1.0)
        return fields

    def _pairs(self, batch: AtomicGraph) -> dict[str, Tensor]:
        used = batch.pair_index.shape[1]
        pairs = batch.pair_index.new_empty(2, self.num_pairs)
        pairs[:, :used] = batch.pair_index
        pairs[0, used:], pairs[1, used:] = self.num_atoms - 2, self.num_atoms - 1
        shifts = batch.pair_cell_shift.new_zeros(self.num_pairs, 3)
        shifts[:used] = batch.pair_cell_shift
        return {"pair_index": pairs, "pair_cell_shift": shifts}


def _longer(values: Tensor, more: int, fill: float) -> Tensor:
    return torch.cat([values, values.new_full((more, *values.shape[1:]), fill)])
