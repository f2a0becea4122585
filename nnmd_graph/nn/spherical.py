r"""Real spherical harmonics of many directions at once, in torch, differentiable to any order."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class SphericalHarmonics:
    r"""Real orthonormal spherical harmonics of unit vectors, and their pullback.

    With x, y, z the components, Y_l,+-m = P_lm(z) {Re, Im} (x + i y)^m, where P_lm is F_lm times
    the associated Legendre function without its (1 - z^2)^(m/2), so nothing is singular at the
    poles. With F_lm = sqrt(2 - delta_m0) sqrt((2l + 1)/(4 pi) (l - m)!/(l + m)!) folded in, the
    recursions P_l,l = c P_l-1,l-1 and P_lm = up z P_l-1,m - down P_l-2,m keep every number near
    one. Source: W. H. Press et al., Numerical Recipes, 3rd ed. (2007), section 6.7.

    Args:
        unit: Unit vectors, [..., 3].
        max_degree: Largest degree L.

    Attributes:
        rows: Y, [(L + 1)^2, ...], degree by degree; within l the order is m = 0, 1, -1, 2, -2, ...
    """

    def __init__(self, unit: Tensor, max_degree: int) -> None:
        x, y, z = (part.contiguous() for part in unit.unbind(-1))
        self.max_degree = max_degree
        self.legendre = _legendre(z, max_degree)
        self.real, self.imag = [torch.ones_like(x)], [torch.zeros_like(x)]
        for _ in range(max_degree):
            re, im = self.real[-1], self.imag[-1]
            self.real.append(re * x - im * y)
            self.imag.append(re * y + im * x)
        rows = []
        for degree, row in enumerate(self.legendre):
            rows.append(row[0])
            for m in range(1, degree + 1):
                rows += [row[m] * self.real[m], row[m] * self.imag[m]]
        self.rows = torch.stack(rows)

    def pullback(self, w: Tensor) -> Tensor:
        """Derivative of sum(w * rows) by the components of the vectors, taken as independent.

        d (x + i y)^m / dx = m (x + i y)^(m-1), and dP_lm/dz = sqrt((2 - delta_m0) / 2
        (l - m) (l + m + 1)) P_l,m+1. What is along the vector depends on how Y goes on off the
        sphere; project it out.

        Args:
            w: [(L + 1)^2, ...], L at most ``max_degree``.

        Returns:
            [..., 3].
        """
        zero = torch.zeros_like(self.real[0])
        by_x, by_y, by_z = zero, zero, zero
        max_degree = math.isqrt(len(w)) - 1
        legendre = self.legendre[: max_degree + 1]
        for m in range(max_degree + 1):
            real, imag = _sums_over_degree(legendre, w, m, steep=False)
            if m:
                re, im = m * self.real[m - 1], m * self.imag[m - 1]
                by_x = by_x + re * real + im * imag
                by_y = by_y + re * imag - im * real
            if m < max_degree:
                real, imag = _sums_over_degree(legendre, w, m, steep=True)
                by_z = by_z + self.real[m] * real
                if m:
                    by_z = by_z + self.imag[m] * imag
        return torch.stack([by_x, by_y, by_z], -1)


def spherical_harmonics(directions: Tensor, max_degree: int) -> Tensor:
    """Y_lm of unit vectors [..., 3], see :class:`SphericalHarmonics`: [..., (L + 1)^2]."""
    return SphericalHarmonics(directions, max_degree).rows.movedim(0, -1)


def _legendre(z: Tensor, max_degree: int) -> list[list[Tensor]]:
    """P_lm for each degree l and m = 0 .. l."""
    degrees = [[torch.full_like(z, math.sqrt(0.25 / math.pi))]]
    for n in range(1, max_degree + 1):
        row = []
        for m in range(n):
            up = math.sqrt((4.0 * n**2 - 1.0) / (n**2 - m**2))
            term = (up * z) * degrees[n - 1][m]
            if m < n - 1:
                down = math.sqrt(
                    (2.0 * n + 1.0) * ((n - 1.0) ** 2 - m**2) / ((2.0 * n - 3.0) * (n**2 - m**2))
                )
                term = term - down * degrees[n - 2][m]
            row.append(term)
        # The sectoral term m = l follows from P_l-1,l-1 alone.
        double = 2.0 if n == 1 else 1.0
        row.append(math.sqrt(double * (2 * n + 1) / (2 * n)) * degrees[n - 1][n - 1])
        degrees.append(row)
    return degrees


def _sums_over_degree(
    legendre: list[list[Tensor]], w: Tensor, m: int, *, steep: bool
) -> tuple[Tensor, Tensor]:
    """sum_l w_l,+-m P_lm, or the same with dP_lm/dz; the second sum is zero for m = 0."""
    real = torch.zeros_like(legendre[0][0])
    imag = real
    for n in range(m + steep, len(legendre)):
        factor = legendre[n][m + steep]
        if steep:
            factor = math.sqrt((1.0 if m else 0.5) * (n - m) * (n + m + 1)) * factor
        place = n * n + (2 * m - 1 if m else 0)
        real = torch.addcmul(real, factor, w[place])
        if m:
            imag = torch.addcmul(imag, factor, w[place + 1])
    return real, imag
