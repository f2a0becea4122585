r"""Wide angular functions (G5) with integer zeta without pairs of neighbours.

With R_j = exp(-eta (r_ij - r_s)^2) f_c(r_ij) and unit vectors u_j a G5 is

    G5 = sum_{j<k} R_j R_k A(u_j . u_k),   A(x) = 2^(1-zeta) (1 + lam x)^zeta = sum_l a_l P_l(x),

a finite Legendre series for integer zeta. By the addition theorem of spherical harmonics

    sum_{j,k} R_j R_k P_l(u_j . u_k) = 4 pi / (2 l + 1) sum_m M_lm M'_lm,
    M_lm = sum_j R_j Y_lm(u_j),

so all pairs cost as much as all neighbours. For like elements the terms j = k, A(1) sum_j R_j^2,
are taken off and half of the rest is the sum over j < k; for unlike elements the product of the
two moments is the sum. Exact to rounding, differentiable to any order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from nnmd_graph.representations.symmetry.kernels.factors import AngularFactors
from nnmd_graph.representations.symmetry.kernels.sums import (
    Gradients,
    PairSum,
    Pullback,
    Tables,
    WideSum,
)
from nnmd_graph.representations.symmetry.kernels.tables import Table
from nnmd_graph.representations.symmetry.keys import AngularKey

# (1 + x)^zeta as a Legendre series loses digits when zeta grows; up to here it keeps 1e-13.
MAX_DEGREE = 20


def has_moments(key: AngularKey) -> bool:
    """Tell whether A is a finite Legendre series of moderate degree."""
    if key.kind != "power":
        return False
    zeta = key.parameters[0]
    return zeta == int(zeta) and zeta <= MAX_DEGREE


class MomentSum(PairSum):
    """sum_{j<k} R_j R_k A_a(cos theta) from moments of the neighbour density."""

    @property
    def degree(self) -> int:
        """Largest degree L of the series."""
        return int(max(key.parameters[0] for key in self.angular.keys))

    def __call__(self, tables: Tables) -> tuple[Tensor, Pullback]:
        """Values [C, K] and their pullback."""
        one, other = tables[self.pair[0]], tables[self.pair[1]]
        (rho, harmonics), (rho_k, harmonics_k) = self._of(one), self._of(other)
        moments = torch.bmm(rho, harmonics.permute(1, 2, 0))  # [C, B, (L + 1)^2]
        moments_k = moments if self.same_table else torch.bmm(rho_k, harmonics_k.permute(1, 2, 0))
        series = _series(self.angular.keys, self.degree).to(rho)  # [(L + 1)^2, A]
        sums = (moments * moments_k) @ series  # [C, B, A]
        at_zero = rho.new_tensor(self.angular.at_zero())
        if self.same_table:
            sums = 0.5 * (sums - rho.square().sum(-1, keepdim=True) * at_zero)

        def pullback(w: Tensor, gradients: Gradients) -> None:
            w = self._spread(w)
            by_product = w @ series.T
            own = (w * at_zero).sum(-1, keepdim=True) if self.same_table else None
            gradients[self.pair[0]].add(**self._back(one, by_product * moments_k, own))
            if not self.same_table:
                gradients[self.pair[1]].add(**self._back(other, by_product * moments, None))

        return self._chosen(sums), pullback

    def _of(self, table: Table) -> tuple[Tensor, Tensor]:
        """R [C, B, n] and Y [(L + 1)^2, C, n] of a table."""
        rho, _ = table.radial(self.radial)
        return rho, table.harmonics(self.degree).rows[: (self.degree + 1) ** 2]

    def _back(self, table: Table, by_moment: Tensor, own: Tensor | None) -> dict[str, Tensor]:
        """From dE/dM [C, B, (L + 1)^2] to dE/dr and dE/dY; ``own`` is the part of j = k."""
        rho, harmonics = self._of(table)
        by_rho = torch.bmm(by_moment, harmonics.transpose(0, 1))  # [C, B, n]
        if own is not None:
            by_rho = by_rho - own * rho
        by_harmonics = torch.bmm(by_moment.mT, rho)  # [C, (L + 1)^2, n]
        rho_slope = table.radial(self.radial)[1]
        return {
            "dist": (by_rho * rho_slope).sum(1),
            "harmonics": by_harmonics.transpose(0, 1),
        }


# Nanoseconds on one CPU core, for a harmonic of a neighbour (and for each radial factor of it), and
# for an angular factor of a pair (and for each radial factor of it).
HARMONIC, HARMONIC_OF_RADIAL = 6.0, 1.5
PAIR, PAIR_OF_RADIAL = 3.5, 0.5


@dataclass(frozen=True)
class WideFamily:
    """Wide functions with integer zeta: small powers by moments, large ones over pairs.

    Moments cost n (L + 1)^2 and pairs n^2 for each angular factor; where to divide depends on the
    number of neighbours n.

    Args:
        whole: All of the functions as one sum.
    """

    whole: MomentSum

    @property
    def columns(self) -> tuple[int, ...]:
        """Feature number of each function."""
        return self.whole.columns

    @property
    def pair(self) -> tuple[int, int]:
        """Keys of the tables of the two neighbours."""
        return self.whole.pair

    def divided(self, n: int, n_k: int) -> tuple[PairSum, ...]:
        """The fastest sums for n and n' neighbours."""
        zetas = sorted({key.parameters[0] for key in self.whole.angular.keys})
        return _divided(self, min([0.0, *zetas], key=lambda limit: self._cost(limit, n, n_k)))

    def _cost(self, limit: float, n: int, n_k: int) -> float:
        """Time if powers up to ``limit`` are computed from moments."""
        num_b = len(self.whole.radial.keys)
        powers = [key.parameters[0] for key in self.whole.angular.keys]
        num_rows = n if self.whole.same_table else n + n_k
        by_moments = num_rows * (limit + 1.0) ** 2 * (HARMONIC + HARMONIC_OF_RADIAL * num_b)
        num_pairs = sum(zeta > limit for zeta in powers) * n * n_k
        over_pairs = num_pairs * (PAIR + PAIR_OF_RADIAL * num_b)
        return (by_moments if limit else 0.0) + over_pairs


@lru_cache(maxsize=1024)
def _divided(family: WideFamily, limit: float) -> tuple[PairSum, ...]:
    whole = family.whole
    keys = whole.angular.keys
    parts: list[PairSum] = []
    for small, kind in ((True, MomentSum), (False, WideSum)):
        chosen = [n for n, key in enumerate(keys) if (key.parameters[0] <= limit) == small]
        picked = [
            (b * len(chosen) + chosen.index(a), column)
            for (b, a), column in zip(
                (divmod(place, len(keys)) for place in whole.places), whole.columns, strict=True
            )
            if a in chosen
        ]
        if picked:
            places, columns = zip(*picked, strict=True)
            angular = AngularFactors(tuple(keys[n] for n in chosen))
            arguments = (whole.pair, whole.radial, angular, places, columns)
            parts.append(kind(*arguments))
    return tuple(parts)


@lru_cache(maxsize=64)
def _series(angular: tuple[AngularKey, ...], degree: int) -> Tensor:
    """[(L + 1)^2, A]: 4 pi / (2 l + 1) a_l, with l the degree of the row.

    a_l = (2 l + 1) / 2 int A(x) P_l(x) dx by a quadrature that is exact for polynomials.
    """
    x, weight = np.polynomial.legendre.leggauss(degree + 1)
    legendre = np.polynomial.legendre.legvander(x, degree)  # [nodes, L + 1]
    powers = [key.parameters for key in angular]
    values = np.stack([2.0 ** (1.0 - zeta) * (1.0 + lam * x) ** zeta for zeta, lam in powers], -1)
    series = 2.0 * math.pi * (legendre * weight[:, None]).T @ values
    return torch.from_numpy(np.repeat(series, 2 * np.arange(degree + 1) + 1, axis=0))
