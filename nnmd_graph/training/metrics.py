"""Running errors over batches, in meV/atom and meV/Å."""

from __future__ import annotations

import torch
from torch import Tensor

from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.models.potential import Prediction
from nnmd_graph.training.loss import TERMS, EnergyForcesLoss, num_atoms
from nnmd_graph.units import MEV


class RunningErrors:
    """Collects loss, MAE and RMSE over the batches of a data set.

    Args:
        loss: Its terms are the ones that count for the loss.
    """

    def __init__(self, loss: EnergyForcesLoss) -> None:
        self.loss = loss
        self._squares: dict[str, tuple[Tensor, Tensor]] = {}
        self._errors: dict[str, list[float]] = {}

    def add(self, out: Prediction, graph: AtomicGraph) -> None:
        """Add one batch."""
        for term, (square, count) in self.loss.squares(out, graph).items():
            square, count = square.detach().double(), count.detach()
            before = self._squares.get(term, (torch.zeros_like(square), torch.zeros_like(count)))
            self._squares[term] = (before[0] + square, before[1] + count)
        for term in TERMS:
            if term in graph and term in out:
                self._add_errors(term, out, graph)

    def _add_errors(self, term: str, out: Prediction, graph: AtomicGraph) -> None:
        label = graph[term]
        error = (out[term].detach() - label).double()  # type: ignore[literal-required]
        if term == "energy":
            error = error / num_atoms(graph).to(error)
        error = error[torch.isfinite(label)]
        sums = self._errors.setdefault(term, [0.0, 0.0, 0.0])
        for n, value in enumerate((error.abs().sum(), error.square().sum(), error.numel())):
            sums[n] += float(value)

    def value(self) -> float:
        """The loss."""
        return float(self.loss.total(self._squares))

    def errors(self) -> dict[str, float]:
        """``energy_mae``, ``energy_rmse`` (meV/atom), ``forces_mae``, ``forces_rmse`` (meV/Å)."""
        values = {}
        for term, (absolute, square, count) in self._errors.items():
            if count:
                values[f"{term}_mae"] = absolute / count / MEV
                values[f"{term}_rmse"] = (square / count) ** 0.5 / MEV
        return values
