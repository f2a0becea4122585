r"""Real spherical harmonics of many directions at once, in torch, differentiable to any order."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def spherical_harmonics(directions: Tensor, max_degree: int) -> Tensor:
    r"""Real orthonormal spherical harmonics Y_lm of unit vectors.

    With x, y, z the components, Y_l,+-m = F_lm Q_lm(z) {Re, Im} (x + i y)^m, where Q_lm is the
    associated Legendre function without its (1 - z^2)^(m/2), so nothing is singular at the poles:
    Q_mm = (2m - 1)!!, Q_m+1,m = (2m + 1) z Q_mm, (l - m) Q_lm = (2l - 1) z Q_l-1,m -
    (l + m - 1) Q_l-2,m. The factors F_lm, sqrt(2 - delta_m0) sqrt((2l + 1)/(4 pi)
    (l - m)!/(l + m)!), are folded into the recursion, which keeps every number near one.
    Source: W. H. Press et al., Numerical Recipes, 3rd ed. (2007), section 6.7.

    Args:
        directions: Unit vectors, [..., 3].
        max_degree: Largest degree L.

    Returns:
        [..., (L + 1)^2], degree by degree; within l the order is m = 0, 1, -1, 2, -2, ...
    """
    x, y, z = directions.unsqueeze(-2).unbind(-1)
    re, im = torch.ones_like(x), torch.zeros_like(x)
    powers = [torch.cat([re, im], -1)]
    for _ in range(max_degree):
        re, im = re * x - im * y, re * y + im * x
        powers.append(torch.cat([re, im], -1))
    azimuth = torch.stack(powers, -2)  # [..., m, 2]
    before: Tensor | None = None
    last = torch.full_like(x, math.sqrt(0.25 / math.pi))
    degrees = [last]
    for degree in range(1, max_degree + 1):
        up, down = _recursion(degree, last)
        lower = z * up * last
        if before is not None:
            lower = lower - torch.cat([down * before, torch.zeros_like(z)], -1)
        # The sectoral term m = l has no term of lower degree but Q_l-1,l-1.
        double = 2.0 if degree == 1 else 1.0
        sectoral = last[..., -1:] * math.sqrt(double * (2 * degree + 1) / (2 * degree))
        before, last = last, torch.cat([lower, sectoral], -1)
        signed = last.unsqueeze(-1) * azimuth[..., : degree + 1, :]
        degrees.append(torch.cat([signed[..., 0, :1], signed[..., 1:, :].flatten(-2)], -1))
    return torch.cat(degrees, -1)


def _recursion(degree: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Factors of z Q_l-1,m (m < l) and of Q_l-2,m (m < l - 1) in the scaled recursion."""
    m = torch.arange(degree, dtype=torch.float64)
    up = torch.sqrt((4.0 * degree**2 - 1.0) / (degree**2 - m**2))
    m = m[:-1]
    down = torch.sqrt(
        (2.0 * degree + 1.0) * ((degree - 1.0) ** 2 - m**2)
        / ((2.0 * degree - 3.0) * (degree**2 - m**2))
    )  # fmt: skip
    return up.to(like), down.to(like)
