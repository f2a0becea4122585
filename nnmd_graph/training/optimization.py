"""The average of the weights, and learning-rate schedules by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau


def running_average(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]:
    """Exponential average of weights for AveragedModel, a <- a + (1 - d) (w - a).

    After n steps d = min(decay, (1 + n) / (10 + n)): a short run does not drag its first weights
    along.
    """

    @torch.no_grad()
    def update(averaged: Sequence[Tensor], weights: Sequence[Tensor], num_averaged: Any) -> None:
        n = float(num_averaged)
        share = 1.0 - min(decay, (1.0 + n) / (10.0 + n))
        torch._foreach_lerp_(list(averaged), list(weights), share)  # one call, as torch's own

    return update


class Schedule:
    """Learning rate after every epoch, by name: cosine, exponential, plateau or constant.

    Args:
        name: One of :data:`nnmd_graph.choices.SCHEDULES`.
        optimizer: Its learning rate is set; those of several groups keep their ratios.
        max_epochs: Length of the cosine and of the exponential decay, both to 1% of the start.
        patience: Epochs without improvement before the plateau schedule halves the rate.
    """

    def __init__(
        self, name: str, optimizer: torch.optim.Optimizer, max_epochs: int, patience: int = 20
    ) -> None:
        self._name = name
        self._optimizer = optimizer
        self._max_epochs = max_epochs
        self._first = [float(group["lr"]) for group in optimizer.param_groups]
        self._plateau: ReduceLROnPlateau | None = None
        if name == "plateau":
            lowest = [0.001 * rate for rate in self._first]
            self._plateau = ReduceLROnPlateau(
                optimizer, factor=0.5, patience=patience, min_lr=lowest, eps=0.0
            )

    def step(self, epoch: int, loss: float, spent: float = 0.0) -> None:
        """Set the rate that follows an epoch.

        Args:
            epoch: Number of finished epochs.
            loss: That of the last one.
            spent: Share of the time limit that is spent; 0 if there is none. A decay ends with the
                epochs or with the time, whichever ends first.
        """
        if self._plateau is not None:
            self._plateau.step(loss)
        else:
            self._set(epoch, spent)

    def _set(self, epoch: int, spent: float) -> None:
        done = min(1.0, max(epoch / self._max_epochs, spent))
        factor = {
            "cosine": 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * done)),
            "exponential": 0.01**done,
            "constant": 1.0,
        }[self._name]
        for group, first in zip(self._optimizer.param_groups, self._first, strict=True):
            group["lr"] = first * factor

    @property
    def learning_rate(self) -> float:
        """The present rate of the first group."""
        return float(self._optimizer.param_groups[0]["lr"])

    @property
    def decay(self) -> float:
        """The present rate divided by the initial one."""
        return self.learning_rate / self._first[0]

    def state_dict(self) -> dict[str, Any]:
        """State for a checkpoint; the plateau's rate is in the optimiser's."""
        return {} if self._plateau is None else self._plateau.state_dict()

    def load_state_dict(self, state: dict[str, Any], epoch: int, spent: float = 0.0) -> None:
        """Continue after ``epoch`` finished epochs; a prolonged run follows the longer schedule."""
        if self._plateau is not None:
            self._plateau.load_state_dict(state)
        else:
            self._set(epoch, spent)
