"""Tests of users' modules on a few atoms: a jump in the energy would ruin an MD run."""

from __future__ import annotations

from typing import Any

import torch_geometric.nn
from torch import Tensor, nn

BATCH_DEPENDENT = (nn.modules.batchnorm._BatchNorm, torch_geometric.nn.BatchNorm)


def check_alone(argument: str, module: nn.Module, name: str) -> None:
    """Refuse modules for which the features of a structure depend on the rest of its batch.

    Raises:
        ValueError: If a part normalises over the batch.
    """
    if any(isinstance(part, BATCH_DEPENDENT) for part in module.modules()):
        raise ValueError(
            f"`{argument}`: expected a module that treats each structure alone, got {name} with "
            "batch normalisation; use layer normalisation or none"
        )


def largest_change(one: Tensor, other: Tensor) -> float:
    """Largest difference of two sets of features relative to their size; infinite for NaN."""
    change = float(((one - other).abs() / (1.0 + other.abs().amax())).amax()) if len(one) else 0.0
    return change if change == change else float("inf")


def check_jump(
    argument: str, name: str, near: Tensor, far: Tensor, tolerance: float, remedy: str
) -> None:
    """Compare the features before and after a neighbour has passed the cutoff.

    Args:
        argument: What was handed in, for messages.
        name: Its class.
        near: Features with the neighbour a little inside, [N, F].
        far: Features with it a little outside, [N, F].
        tolerance: Change that is rounding, in units of the features' size.
        remedy: What to do.

    Raises:
        ValueError: If they differ.
    """
    jump = largest_change(near, far)
    if not jump < tolerance:
        raise ValueError(
            f"`{argument}`: expected a module that is smooth where a neighbour passes the cutoff, "
            f"got {name}, which jumps by {jump:.1g}; {remedy}"
        )


def check_shape(argument: str, name: str, out: Any, wanted: tuple[int, ...], meaning: str) -> None:
    """Compare the shape of the output with the required one.

    Raises:
        ValueError: If it is no tensor or has another shape; -1 stands for any length.
    """
    shape = tuple(out.shape) if isinstance(out, Tensor) else None
    fits = shape is not None and len(shape) == len(wanted)
    if not fits or any(b not in (-1, a) for a, b in zip(shape or (), wanted, strict=True)):
        got = list(shape) if shape is not None else type(out).__name__
        raise ValueError(f"`{argument}`: expected {meaning} got {got} from {name}")
