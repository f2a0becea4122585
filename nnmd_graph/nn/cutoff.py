r"""Cutoff functions f_c(r): one near the centre, zero with zero slope at the cutoff r_c.

With r_i = inner r_c the inner radius and x = (r - r_i) / (r_c - r_i):

| name | f_c for r_i <= r < r_c (1 below, 0 beyond) | n2p2 cutoff_type |
|---|---|---|
| hard | 1 (jumps at r_c: for comparisons only) | 0 |
| cosine | (cos(pi x) + 1) / 2 | 1 |
| tanh3 | tanh(1 - r / r_c)^3, no inner radius | 2 |
| tanh3_normalized | the same over tanh(1)^3 | 3 |
| exponential | exp(1 - 1 / (1 - x^2)) | 4 |
| poly1 .. poly4 | smooth steps, 1, 2, 3, 4 continuous derivatives at both ends | 5 .. 8 |

Sources: J. Behler, J. Chem. Phys. 134, 074106 (2011), doi 10.1063/1.3553717; A. Singraber et al.,
J. Chem. Theory Comput. 15, 1827 (2019), doi 10.1021/acs.jctc.8b00770.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nnmd_graph.errors import check_choice

NO_INNER_RADIUS = ("hard", "tanh3", "tanh3_normalized")

# Smooth step of order n: (1 - x)^(n+1) times this polynomial in x, lowest power first. Factors
# instead of one long polynomial: near x = 1 nothing cancels.
SMOOTH_STEPS: dict[int, tuple[float, ...]] = {
    1: (1.0, 2.0),
    2: (1.0, 3.0, 6.0),
    3: (1.0, 4.0, 10.0, 20.0),
    4: (1.0, 5.0, 15.0, 35.0, 70.0),
}


def smooth_step(x: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """Polynomial from 1 at x = 0 to 0 at x = 1 with n flat derivatives at both ends.

    f(x) = (1 - x)^(n+1) sum_k binom(n + k, k) x^k and f'(x) = -c_n x^n (1 - x)^n.

    Args:
        x: Values in [0, 1], any shape.
        order: n, 1 to 4.

    Returns:
        f and df/dx, the shape of ``x``.
    """
    coefficients = SMOOTH_STEPS[order]
    series = torch.full_like(x, coefficients[-1])
    for c in coefficients[-2::-1]:
        series = series * x + c
    rest = 1.0 - x
    power = rest**order
    # f' has a double root of order n at both ends; its factor is fixed by the integral, -1.
    factor = math.factorial(2 * order + 1) / math.factorial(order) ** 2
    return power * rest * series, -factor * x**order * power


def bump(x: Tensor) -> tuple[Tensor, Tensor]:
    """f(x) = exp(1 - 1 / (1 - x^2)) on [0, 1) and df/dx; every derivative vanishes at one."""
    rest = 1.0 - x * x
    # Below this exp(1 - 1 / rest) is zero in any precision; the quotients stay finite.
    safe = rest.clamp(min=1e-3)
    value = torch.where(rest > 1e-3, torch.exp(1.0 - 1.0 / safe), torch.zeros_like(x))
    return value, -2.0 * x / (safe * safe) * value


@dataclass(frozen=True)
class CutoffFunction:
    """A cutoff function of one name, for any cutoff radius.

    Args:
        name: See the table of the module.
        inner: Inner radius as a fraction of r_c, in [0, 1); f_c is one up to there.

    Raises:
        ValueError: If there is no such cutoff function, or it has no inner radius.
    """

    name: str = "cosine"
    inner: float = 0.0

    def __post_init__(self) -> None:
        check_choice("cutoff_function", self.name, sorted(CUTOFF_FUNCTIONS))
        if not 0.0 <= self.inner < 1.0:
            raise ValueError(
                f"`inner_cutoff`: expected a fraction of the cutoff in [0, 1), got {self.inner}; "
                "0 is none"
            )
        if self.inner and self.name in NO_INNER_RADIUS:
            raise ValueError(
                f"`inner_cutoff`: expected 0 for {self.name!r}, got {self.inner}; "
                f"{NO_INNER_RADIUS} have no inner radius"
            )

    def __call__(self, dist: Tensor, cutoff: float) -> Tensor:
        """f_c of distances in Å, dimensionless, the shape of ``dist``."""
        return self.value_and_slope(dist, cutoff)[0]

    def value_and_slope(self, dist: Tensor, cutoff: float) -> tuple[Tensor, Tensor]:
        """f_c and its derivative by r in Å^-1, each the shape of ``dist``."""
        if self.name == "hard":
            return (dist < cutoff).to(dist.dtype), torch.zeros_like(dist)
        width = cutoff * (1.0 - self.inner)
        # Clamped before the function: outside x = 1, where value and slope are zero.
        lowest = 0.0 if self.inner else None
        x = torch.clamp((dist - self.inner * cutoff) / width, min=lowest, max=1.0)
        value, slope = CUTOFF_FUNCTIONS[self.name](x)
        return value, slope / width


def _cosine(x: Tensor) -> tuple[Tensor, Tensor]:
    # sin^2(pi (1 - x) / 2) = (cos(pi x) + 1) / 2: no digits are lost where it vanishes.
    half = (0.5 * math.pi) * (1.0 - x)
    sin = torch.sin(half)
    return sin * sin, -math.pi * sin * torch.cos(half)


def _tanh(x: Tensor) -> tuple[Tensor, Tensor]:
    tanh = torch.tanh(1.0 - x)
    square = tanh * tanh
    return square * tanh, -3.0 * square * (1.0 - square)


def _tanh_normalized(x: Tensor) -> tuple[Tensor, Tensor]:
    value, slope = _tanh(x)
    scale = 1.0 / math.tanh(1.0) ** 3
    return scale * value, scale * slope


CUTOFF_FUNCTIONS = {
    "hard": lambda x: (x, x),
    "cosine": _cosine,
    "tanh3": _tanh,
    "tanh3_normalized": _tanh_normalized,
    "exponential": bump,
    "poly1": lambda x: smooth_step(x, 1),
    "poly2": lambda x: smooth_step(x, 2),
    "poly3": lambda x: smooth_step(x, 3),
    "poly4": lambda x: smooth_step(x, 4),
}
"""Value and slope by x of each cutoff function on [0, 1]."""
