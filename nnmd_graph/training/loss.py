"""Loss functions."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.graph.geometry import num_structures, structure_index
from nnmd_graph.models.potential import Prediction
from nnmd_graph.nn.scatter import scatter_sum

TERMS = ("energy", "forces", "stress")


class EnergyForcesLoss:
    """Weighted mean squared errors, loss = w_E MSE(E/N) + w_F MSE(F) + w_S MSE(S).

    E/N is the energy per atom in eV, F the force components in eV/Å, S the nine stress components
    in eV/Å^3; each mean runs over the labels that are there.

    Errors of 1 meV/atom and of 10 meV/Å, which a good potential has together, weigh the same with
    the default weights.

    Args:
        energy: Weight w_E.
        forces: Weight w_F.
        stress: Weight w_S.

    Raises:
        ValueError: If a weight is negative or not finite, or all are zero.
    """

    def __init__(self, energy: float = 100.0, forces: float = 1.0, stress: float = 0.0) -> None:
        self.weights = {"energy": float(energy), "forces": float(forces), "stress": float(stress)}
        for name, weight in self.weights.items():
            if not 0.0 <= weight < math.inf:
                raise ValueError(
                    f"`{name}` must be a weight of at least zero, got {weight}; 0 leaves it out"
                )
        if not any(self.weights.values()):
            raise ValueError(
                "`energy`, `forces` and `stress` must not all be zero, got no weight to train on"
            )

    def __repr__(self) -> str:
        return f"EnergyForcesLoss({', '.join(f'{k}={v:g}' for k, v in self.weights.items())})"

    def wants(self, term: str) -> bool:
        """Whether a term has a weight."""
        return self.weights[term] > 0.0

    def squares(self, out: Prediction, graph: AtomicGraph) -> dict[str, tuple[Tensor, Tensor]]:
        """Sum of squared errors and number of labels of each term that has a weight."""
        sums = {}
        for term in TERMS:
            if self.wants(term) and term in graph:
                error, present = label_error(term, out, graph)
                sums[term] = (error.square().sum(), present.sum())
        return sums

    def total(self, sums: dict[str, tuple[Tensor, Tensor]]) -> Tensor:
        """Loss from sums of squared errors and numbers of labels."""
        if not sums:
            raise ValueError(
                f"`loss` needs labels that the data have, got {self!r} and none of them; "
                "check the energy, forces and stress keys of the data"
            )
        terms = [
            self.weights[term] * square / count.clamp(min=1)
            for term, (square, count) in sums.items()
        ]
        return torch.stack(terms).sum()

    def __call__(self, out: Prediction, graph: AtomicGraph) -> Tensor:
        """Loss of one batch, a scalar."""
        return self.total(self.squares(out, graph))


def label_error(term: str, out: Prediction, graph: AtomicGraph) -> tuple[Tensor, Tensor]:
    """Prediction minus label of each component, and a mask of the labels that are there.

    Energies are per atom. The error is zero where a label is missing (NaN), and so is its gradient.
    """
    # mypy: the terms are keys of Prediction, but no literals.
    error = out[term] - graph[term]  # type: ignore[literal-required]
    if term == "energy":
        error = error / num_atoms(graph).to(error)
    present = torch.isfinite(graph[term])
    return torch.where(present, error, torch.zeros_like(error)), present


def num_atoms(graph: AtomicGraph) -> Tensor:
    """Number of atoms of each structure, [B]."""
    structure = structure_index(graph)
    return scatter_sum(torch.ones_like(structure), structure, num_structures(graph))
