"""Running errors over batches, in meV/atom and meV/Å."""

from __future__ import annotations

import torch
from torch import Tensor

from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.models.evaluators import Prediction
from nnmd_graph.quantities import QUANTITIES
from nnmd_graph.training.loss import Loss, label_error


class RunningErrors:
    """Collects loss, MAE and RMSE over the batches of a data set.

    Args:
        loss: Its terms are the ones that count for the loss.
    """

    def __init__(self, loss: Loss) -> None:
        self.loss = loss
        self._squares: dict[str, tuple[Tensor, Tensor]] = {}
        self._errors: dict[str, list[float]] = {}

    def add(self, out: Prediction, graph: AtomicGraph) -> None:
        """Add one batch."""
        for term, (square, count) in self.loss.sums(out, graph).items():
            square, count = square.detach().double(), count.detach()
            before = self._squares.get(term, (torch.zeros_like(square), torch.zeros_like(count)))
            self._squares[term] = (before[0] + square, before[1] + count)
        for term in QUANTITIES:
            if term in graph and term in out:
                error, present = label_error(term, out, graph)
                error = error.detach().double()
                sums = self._errors.setdefault(term, [0.0, 0.0, 0.0])
                for n, value in enumerate((error.abs(), error.square(), present)):
                    sums[n] += float(value.sum())

    def value(self) -> float:
        """The loss."""
        return float(self.loss.total(self._squares))

    def errors(self) -> dict[str, float]:
        """``energy_mae``, ``energy_rmse`` (meV/atom), ``forces_mae``, ``forces_rmse`` (meV/Å)."""
        values = {}
        for term, (absolute, square, count) in self._errors.items():
            if count:
                size = QUANTITIES[term].shown_size
                values[f"{term}_mae"] = absolute / count / size
                values[f"{term}_rmse"] = (square / count) ** 0.5 / size
        return values
