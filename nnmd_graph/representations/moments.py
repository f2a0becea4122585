r"""Wide angular functions (G5) with integer zeta without triplets.

With R_j = exp(-eta (r_ij - r_s)^2) f_c(r_ij) and unit vectors u_j a G5 is

    G5 = sum_{j<k} R_j R_k A(u_j . u_k),   A(x) = 2^(1-zeta) (1 + lam x)^zeta = sum_l a_l P_l(x),

a finite Legendre series for integer zeta. By the addition theorem of spherical harmonics

    sum_{j,k} R_j R_k P_l(u_j . u_k) = 4 pi / (2 l + 1) sum_m M_lm M'_lm,   M_lm = sum_j R_j Y_lm(u_j),

so all pairs cost as much as all neighbours. For like elements the terms j = k, A(1) sum_j R_j^2,
are taken off and half of the rest is the sum over j < k; for unlike elements the product of the
two moments is the sum. Exact to rounding, differentiable to any order.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from nnmd_graph.nn.cutoff import CutoffFunction
from nnmd_graph.nn.scatter import take
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


def moment_sums(
    group: Group,
    fc: CutoffFunction,
    vec: Tensor,
    centre: Tensor,
    neighbor: Tensor,
    num_nodes: int,
    pairs: list[tuple[int, int]],
) -> Tensor:
    """Values of a group of G5 functions.

    Args:
        group: The functions.
        fc: Cutoff function.
        vec: Edge vectors, [M, 3], Å.
        centre: Centre of each edge, [M].
        neighbor: Element number of each neighbour, [M].
        num_nodes: Number of atoms N.
        pairs: Element numbers of ``group.neighbors``.

    Returns:
        [N, len(pairs) * K].
    """
    radial_keys, angular = factor_keys(group)
    degree = int(max(zeta for zeta, _ in angular))
    elements = sorted({s for pair in pairs for s in pair})
    dist = torch.sqrt((vec * vec).sum(-1, keepdim=True))
    eta, r_s = vec.new_tensor(radial_keys).unbind(-1)
    radial = torch.exp(-eta * (dist - r_s) ** 2) * fc(dist, group.cutoff)
    harmonics = spherical_harmonics(vec / dist, degree)
    place, width = _places(centre, num_nodes)
    harmonics = _padded(harmonics, place, num_nodes, width)
    moments, squares = {}, {}
    for s in elements:
        of_s = torch.where((neighbor == s).unsqueeze(-1), radial, torch.zeros_like(radial))
        block = _padded(of_s, place, num_nodes, width)
        moments[s] = torch.bmm(block.mT, harmonics)  # [N, B, (L + 1)^2]
        squares[s] = (block * block).sum(1)  # [N, B]
    sum_m = _sum_over_m(degree).to(vec)
    series = _legendre_series(tuple(angular), degree).to(vec)
    at_zero = vec.new_tensor([2.0 ** (1.0 - zeta) * (1.0 + lam) ** zeta for zeta, lam in angular])
    keys = [(eta, zeta, lam, r_s) for eta, r_s in radial_keys for zeta, lam in angular]
    columns = torch.tensor([keys.index(shape) for shape in group.shapes], device=vec.device)
    blocks = []
    for a, b in pairs:
        sums = (moments[a] * moments[b]) @ sum_m @ series  # [N, B, A]
        if a == b:
            sums = 0.5 * (sums - squares[a].unsqueeze(-1) * at_zero)
        blocks.append(sums.flatten(1).index_select(1, columns))
    return torch.cat(blocks, 1)


def _places(centre: Tensor, num_nodes: int) -> tuple[Tensor, int]:
    """Place of each edge in a table [N, width] with the edges of a centre in its row."""
    degree = torch.bincount(centre, minlength=num_nodes)
    width = int(degree.max()) if len(centre) else 0
    order = torch.argsort(centre, stable=True)
    first = torch.cumsum(degree, 0) - degree
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device) - take(first, take(centre, order))
    return centre * width + rank, width


def _padded(rows: Tensor, place: Tensor, num_nodes: int, width: int) -> Tensor:
    """Rows of edges [M, C] in a table [N, width, C], zero where there is no edge."""
    table = rows.new_zeros(num_nodes * width, rows.shape[-1])
    return table.index_add(0, place, rows).view(num_nodes, width, rows.shape[-1])


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
