"""L-BFGS: steps of the whole training set, with a line search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch_geometric.loader import DataLoader

from nnmd_graph.training.steps.step import Step
from nnmd_graph.training.task import check_finite, every


class LBFGSStep(Step):
    """Twenty iterations of L-BFGS with a strong Wolfe line search in each epoch."""

    default_learning_rate = 1.0
    full_batch = True
    passes = 25.0  # 20 iterations and their line searches
    unused = ("gradient_clip", "weight_decay", "learning_rates", "compile")

    def make_optimizer(
        self, parameters: Sequence[Any], learning_rate: float, weight_decay: float
    ) -> torch.optim.Optimizer:
        """L-BFGS of torch."""
        return torch.optim.LBFGS(
            parameters,
            lr=learning_rate,
            max_iter=20,
            history_size=50,
            line_search_fn="strong_wolfe",
        )

    def epoch(self, loader: DataLoader, energy_weight: float | None) -> float:
        """The loss of the whole set and its gradient, summed over batches, for a fixed w_E."""
        loss = self.loss
        counts: dict[str, torch.Tensor] = {}
        for batch in every(loader):
            for term in loss.weights:
                if loss.wants(term) and term in batch:
                    present, weight = torch.isfinite(batch[term]), loss.weight_of(term, batch)
                    count = present.sum() if weight is None else (weight * present).sum()
                    counts[term] = counts.get(term, torch.zeros_like(count)) + count

        def closure() -> torch.Tensor:
            self.optimizer.zero_grad()
            total = torch.zeros(())
            for batch in every(loader):
                out = self.module(batch, stress=loss.wants("stress"), forces=loss.wants("forces"))
                sums = loss.sums(out, batch)
                value = loss.total({t: (square, counts[t]) for t, (square, _) in sums.items()})
                check_finite(value)
                self.fabric.backward(value)
                total = total + value.detach().cpu()
            return total

        return float(self.optimizer.step(closure))

    def __str__(self) -> str:
        return "L-BFGS"
