"""Steps along the gradient of one batch after another: Adam and its kind."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch_geometric.loader import DataLoader

from nnmd_graph.training.settings import TrainingSettings
from nnmd_graph.training.steps.step import Step, name_of
from nnmd_graph.training.task import check_finite, every

ARGUMENTS = {"learning_rate": "lr", "weight_decay": "weight_decay"}
"""Settings that an optimiser gets, and what those of torch call them."""


class GradientStep(Step):
    """One step of an optimiser of torch for each batch.

    Args:
        make: Class of optimisers, or a function that makes one of parameters. It gets the learning
            rate as ``lr`` and ``weight_decay`` where it takes them.
        learning_rate: Used where the settings name none; None: that of the optimiser.
    """

    default_gradient_clip = 1.0
    averages = True

    def __init__(
        self, make: Callable[..., torch.optim.Optimizer], learning_rate: float | None = None
    ) -> None:
        self.make, self.default_learning_rate = make, learning_rate
        self.unused = [name for name in ARGUMENTS if ARGUMENTS[name] not in _open_arguments(make)]

    def make_optimizer(
        self, parameters: Sequence[Any], learning_rate: float | None, weight_decay: float
    ) -> torch.optim.Optimizer:
        """Make the optimiser with the settings that it takes."""
        given = {"learning_rate": learning_rate, "weight_decay": weight_decay}
        taken = {
            ARGUMENTS[name]: value
            for name, value in given.items()
            if value is not None and name not in self.unused
        }
        return self.make(parameters, **taken)

    def check(self, settings: TrainingSettings) -> torch.optim.Optimizer:
        """Check that the settings apply, and that an optimiser for single batches results."""
        optimizer = super().check(settings)
        closure = inspect.signature(optimizer.step).parameters.get("closure")
        if closure is not None and closure.default is closure.empty:
            raise ValueError(
                f"`optimizer`: expected one that steps by the gradient of a batch, got {self}, "
                "whose step needs a closure; derive an nnmd_graph.Step that hands it one"
            )
        return optimizer

    def epoch(self, loader: DataLoader, energy_weight: float | None) -> float:
        """One step for each batch."""
        total, batches = 0.0, 0
        for batch in every(loader):
            value = self.gradients(batch, energy_weight)
            check_finite(value)
            self.clip_gradients()
            self.optimizer.step()
            self.update_average()
            total, batches = total + float(value), batches + 1
        return total / batches

    def __str__(self) -> str:
        return name_of(self.make)


def _open_arguments(make: Callable[..., Any]) -> set[str]:
    """Which of `lr` and `weight_decay` a function takes, and functools.partial has not given."""
    names = set(ARGUMENTS.values())
    parameters = inspect.signature(make).parameters
    if all(p.kind is not p.VAR_KEYWORD for p in parameters.values()):
        names &= set(parameters)
    return names - set(getattr(make, "keywords", ()))
