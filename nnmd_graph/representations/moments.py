r"""Wide angular functions (G5) with integer zeta without triplets.

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
from functools import lru_cache
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.func import jvp

from nnmd_graph.nn.cutoff import CutoffFunction
from nnmd_graph.nn.scatter import table_places
from nnmd_graph.nn.spherical import spherical_harmonics
from nnmd_graph.representations.groups import Group, factor_keys
from nnmd_graph.representations.symmetry_functions import G5

# (1 + x)^zeta as a Legendre series loses digits when zeta grows; up to here it keeps 1e-13.
MAX_DEGREE = 20


def has_moments(group: Group) -> bool:
    """Whether the sums of a group can be had without triplets."""
    if group.kind is not G5:
        return False
    _, angular = factor_keys(group)
    return all(zeta == int(zeta) and zeta <= MAX_DEGREE for zeta, _ in angular)


def pays(group: Group, num_edges: int, num_nodes: int, *, derivatives: bool = False) -> bool:
    """Whether moments take less time than triplets for a group that has them.

    Moments cost n (L + 1)^2 a centre (with derivatives once more for each radial factor), triplets
    n^2 K / 2, n the mean number of neighbours; the two factors were measured on one CPU core.
    """
    radial, angular = factor_keys(group)
    size = (max(zeta for zeta, _ in angular) + 1.0) ** 2
    if derivatives:
        size *= len(radial)
    factor = 0.37 if derivatives else 0.22
    return size * num_nodes < factor * num_edges * len(group.shapes)


class Moments:
    """Tables of a group on a set of edges, one row a centre, and the sums made of them.

    Args:
        group: G5 functions with integer zeta.
        fc: Cutoff function.
        vec: Edge vectors, [M, 3], Å.
        centre: Centre of each edge, [M].
        neighbor: Element number of each neighbour, [M].
        num_nodes: Number of atoms N.
        pairs: Element numbers of ``group.neighbors``.
    """

    def __init__(
        self,
        group: Group,
        fc: CutoffFunction,
        vec: Tensor,
        centre: Tensor,
        neighbor: Tensor,
        num_nodes: int,
        pairs: list[tuple[int, int]],
    ) -> None:
        self.group, self.fc, self.vec, self.pairs = group, fc, vec, pairs
        self.neighbor, self.num_nodes = neighbor, num_nodes
        self.place, self.width = table_places(centre, num_nodes)
        self.radial_keys, self.angular = factor_keys(group)
        self.degree = int(max(zeta for zeta, _ in self.angular))
        self.series = _legendre_series(tuple(self.angular), self.degree).to(vec)
        at_zero = [2.0 ** (1.0 - zeta) * (1.0 + lam) ** zeta for zeta, lam in self.angular]
        self.at_zero = vec.new_tensor(at_zero)
        keys = [(eta, z, lam, r_s) for eta, r_s in self.radial_keys for z, lam in self.angular]
        places = {key: n for n, key in enumerate(keys)}
        self.columns = torch.tensor([places[e, z, lam, r] for e, z, lam, r in group.shapes])
        self.columns = self.columns.to(vec.device)
        self.harmonics = self.table(self._harmonics(vec))  # [N, n, (L + 1)^2]
        radial = self._radial(vec)
        self.radial = {s: self.table(self._of(s, radial)) for s in {s for p in pairs for s in p}}
        self.moments = {s: torch.bmm(r.mT, self.harmonics) for s, r in self.radial.items()}

    def table(self, rows: Tensor) -> Tensor:
        """Rows of edges [M, C] in a table [N, n, C], zero where there is no edge."""
        table = rows.new_zeros(self.num_nodes * self.width, rows.shape[-1])
        return table.index_add(0, self.place, rows).view(self.num_nodes, self.width, -1)

    def values(self) -> Tensor:
        """Values of the functions, [N, len(pairs) * K]."""
        sum_m = _sum_over_m(self.degree).to(self.vec)
        blocks = []
        for a, b in self.pairs:
            sums = (self.moments[a] * self.moments[b]) @ sum_m @ self.series  # [N, B, A]
            if a == b:
                squares = self.radial[a].square().sum(1).unsqueeze(-1)
                sums = 0.5 * (sums - squares * self.at_zero)
            blocks.append(sums.flatten(1).index_select(1, self.columns))
        return torch.cat(blocks, 1)

    def derivatives(self) -> list[Tensor]:
        """Derivatives by edge vector for each pair of elements, [M, 3, K] in Å^-1.

        d G5 / d vec_e = sum_l a_l 4 pi / (2 l + 1) sum_m M'_lm d (R_e Y_lm(u_e)) / d vec_e, with
        M' the moment of the other element, less A(1) R_e dR_e / d vec_e for like elements.
        """
        slopes = [self._slopes(axis) for axis in range(3)]
        result = []
        for a, b in self.pairs:
            total = self.vec.new_zeros(len(self.vec), 3, len(self.group.shapes))
            for s, other in dict.fromkeys([(a, b), (b, a)]):
                value = self._project(self.harmonics, other)
                for axis, (radial, harmonics) in enumerate(slopes):
                    steep = self.table(self._of(s, radial)).unsqueeze(-1)
                    part = steep * value
                    part = part + self.radial[s].unsqueeze(-1) * self._project(harmonics, other)
                    part = part @ self.series
                    if a == b:
                        part = part - steep * self.radial[s].unsqueeze(-1) * self.at_zero
                    rows = part.flatten(2).flatten(0, 1).index_select(0, self.place)
                    total[:, axis] += rows.index_select(1, self.columns)
            result.append(total)
        return result

    def _project(self, harmonics: Tensor, s: int) -> Tensor:
        """4 pi / (2 l + 1) sum_m Y_lm M_lm of element s, [N, n, B, L + 1]."""
        parts = []
        for n in range(self.degree + 1):
            of_n = slice(n * n, (n + 1) ** 2)
            product = torch.bmm(harmonics[..., of_n], self.moments[s][..., of_n].mT)
            parts.append(product * (4.0 * math.pi / (2 * n + 1)))
        return torch.stack(parts, -1)

    def _slopes(self, axis: int) -> tuple[Tensor, Tensor]:
        """Derivatives of R [M, B] and of Y [N, n, (L + 1)^2] along one axis."""
        direction = torch.zeros_like(self.vec)
        direction[:, axis] = 1.0
        radial = jvp(self._radial, (self.vec,), (direction,))[1]
        harmonics = jvp(self._harmonics, (self.vec,), (direction,))[1]
        return cast(Tensor, radial), self.table(cast(Tensor, harmonics))

    def _radial(self, vec: Tensor) -> Tensor:
        dist = torch.sqrt((vec * vec).sum(-1, keepdim=True))
        eta, r_s = vec.new_tensor(self.radial_keys).unbind(-1)
        return torch.exp(-eta * (dist - r_s) ** 2) * self.fc(dist, self.group.cutoff)

    def _harmonics(self, vec: Tensor) -> Tensor:
        return spherical_harmonics(vec / torch.sqrt((vec * vec).sum(-1, keepdim=True)), self.degree)

    def _of(self, s: int, rows: Tensor) -> Tensor:
        """Rows of neighbours of one element, the others zero."""
        return torch.where((self.neighbor == s).unsqueeze(-1), rows, torch.zeros_like(rows))


@lru_cache(maxsize=64)
def _sum_over_m(degree: int) -> Tensor:
    """[(L + 1)^2, L + 1]: 4 pi / (2 l + 1) where the row is of degree l, else 0."""
    matrix = torch.zeros((degree + 1) ** 2, degree + 1, dtype=torch.float64)
    for n in range(degree + 1):
        matrix[n**2 : (n + 1) ** 2, n] = 4.0 * math.pi / (2 * n + 1)
    return matrix


@lru_cache(maxsize=64)
def _legendre_series(angular: tuple[tuple[float, float], ...], degree: int) -> Tensor:
    """[L + 1, A]: a_l = (2 l + 1) / 2 int A(x) P_l(x) dx, by a quadrature exact for polynomials."""
    x, weight = np.polynomial.legendre.leggauss(degree + 1)
    legendre = np.polynomial.legendre.legvander(x, degree)  # [nodes, L + 1]
    values = np.stack([2.0 ** (1.0 - zeta) * (1.0 + lam * x) ** zeta for zeta, lam in angular], -1)
    scale = (2.0 * np.arange(degree + 1) + 1.0) / 2.0
    return torch.from_numpy(scale[:, None] * ((legendre * weight[:, None]).T @ values))
