r"""Cutoff functions f_c(r): one at the centre, zero with zero slope at the cutoff r_c.

Source: J. Behler, J. Chem. Phys. 134, 074106 (2011), doi 10.1063/1.3553717.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor
from torch.func import jvp

CutoffFunction = Callable[[Tensor, float], Tensor]


def cosine_cutoff(dist: Tensor, cutoff: float) -> Tensor:
    r"""Cosine cutoff, f_c(r) = (cos(pi r / r_c) + 1) / 2 for r < r_c, else 0.

    Args:
        dist: Distances r in Å, any shape.
        cutoff: Cutoff radius r_c in Å.

    Returns:
        f_c, dimensionless, the shape of ``dist``.
    """
    inside = dist < cutoff
    # Mask before the cosine: an argument of exactly pi keeps value and slope at zero outside.
    ratio = torch.where(inside, dist / cutoff, torch.ones_like(dist))
    return 0.5 * (torch.cos(math.pi * ratio) + 1.0)


def tanh_cutoff(dist: Tensor, cutoff: float) -> Tensor:
    r"""Hyperbolic-tangent cutoff, f_c(r) = tanh(1 - r / r_c)^3 for r < r_c, else 0.

    Its second derivative vanishes at r_c as well; f_c(0) = tanh(1)^3 = 0.4418, not one.

    Args:
        dist: Distances r in Å, any shape.
        cutoff: Cutoff radius r_c in Å.

    Returns:
        f_c, dimensionless, the shape of ``dist``.
    """
    inside = dist < cutoff
    ratio = torch.where(inside, dist / cutoff, torch.ones_like(dist))
    tanh = torch.tanh(1.0 - ratio)
    return tanh * tanh * tanh


def value_and_slope(fc: CutoffFunction, dist: Tensor, cutoff: float) -> tuple[Tensor, Tensor]:
    """f_c and its derivative by r in Å^-1, each the shape of ``dist``."""
    pair = jvp(lambda r: fc(r, cutoff), (dist,), (torch.ones_like(dist),))
    return cast(tuple[Tensor, Tensor], pair)


CUTOFF_FUNCTIONS: dict[str, CutoffFunction] = {"cosine": cosine_cutoff, "tanh3": tanh_cutoff}


def cutoff_function(name: str) -> CutoffFunction:
    """Look up a cutoff function by its name in config files and checkpoints.

    Args:
        name: ``"cosine"`` or ``"tanh3"``.

    Raises:
        ValueError: If there is no such cutoff function.
    """
    try:
        return CUTOFF_FUNCTIONS[name]
    except KeyError:
        raise ValueError(
            f"`cutoff_function` must be one of {sorted(CUTOFF_FUNCTIONS)}, got {name!r}; "
            "pass one of these names"
        ) from None
