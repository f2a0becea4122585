"""Steps by name, or from a user's step or optimiser."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from nnmd_graph.choices import DEFAULT_LEARNING_RATE
from nnmd_graph.errors import reason
from nnmd_graph.training.steps.gradient import GradientStep
from nnmd_graph.training.steps.lbfgs import LBFGSStep
from nnmd_graph.training.steps.step import Step

STEPS: dict[str, Callable[[], Step]] = {
    "adam": partial(GradientStep, partial(torch.optim.Adam, fused=True)),
    "adamw": partial(GradientStep, partial(torch.optim.AdamW, fused=True)),
    "lbfgs": LBFGSStep,
}


def find_step(optimizer: Any) -> Step:
    """A new step for what a trainer was given.

    Args:
        optimizer: A name; a :class:`Step`, or its class; a class of optimisers, or a function that
            makes one of parameters.

    Raises:
        TypeError: If it is nothing of these, or a step that cannot be made.
    """
    if isinstance(optimizer, str):
        step = STEPS[optimizer]()
        step.default_learning_rate = DEFAULT_LEARNING_RATE[optimizer]
        return step
    if isinstance(optimizer, Step):
        return copy.copy(optimizer)
    if isinstance(optimizer, type) and issubclass(optimizer, Step):
        try:
            return optimizer()
        except TypeError as error:
            raise TypeError(
                f"`optimizer`: expected a step, got the class {optimizer.__name__} that cannot be "
                f"made: {reason(error)}; give all its methods, and an object where it has arguments"
            ) from error
    if callable(optimizer):
        return GradientStep(optimizer)
    raise TypeError(
        f"`optimizer`: expected a name, a class of optimisers, a function that makes one of "
        f"parameters, or a Step, got {type(optimizer).__name__}; write for example "
        "optimizer=torch.optim.RAdam"
    )
