"""Derivatives of symmetry functions by edge vectors, group by group.

A term of an angular function depends on the two edge vectors through r_ij, r_ik and their dot
product only, so three numbers give its whole gradient.
"""

from __future__ import annotations

from functools import partial
from typing import cast

import torch
from torch import Tensor
from torch.func import jvp

from nnmd_graph.nn.cutoff import CutoffFunction
from nnmd_graph.nn.scatter import scatter_sum, take
from nnmd_graph.representations.groups import (
    Edges,
    Group,
    Messages,
    angular_factor_gradients,
    angular_terms,
    radial_factor_gradients,
    radial_terms,
)
from nnmd_graph.representations.moments import Moments
from nnmd_graph.representations.symmetry_functions import G4

# Terms of a piece: small enough that its arrays stay in the cache.
MAX_TERMS = 2**18


def moment_block(group: Group, ids: Tensor, moments: Moments, x: Tensor, jacobian: Tensor) -> None:
    """Add a group of G5 functions without triplets to x [N, F] and jacobian [E, 3, F]."""
    _store_values(group, moments.values(), x)
    for columns, rows in zip(_columns(group, x.device), moments.derivatives(), strict=True):
        jacobian[ids.view(-1, 1), :, columns] = rows.mT


def radial_block(
    group: Group,
    fc: CutoffFunction,
    edges: Edges,
    pairs: tuple[Tensor, Tensor],
    messages: Messages,
    x: Tensor,
    jacobian: Tensor,
) -> None:
    """Add a radial group's values to x [N, F] and derivatives to jacobian [E, 3, F]."""
    members, target = messages
    vec = take(edges.vec, members)
    r2 = (vec * vec).sum(-1)
    g, g_p = cast(
        tuple[Tensor, Tensor],
        jvp(lambda p: radial_terms(group, fc, p), (r2,), (torch.ones_like(r2),)),
    )
    _store_values(group, scatter_sum(g, target, x.shape[0] * len(group.neighbors)), x)
    local = target % len(group.neighbors)
    rows = take(edges.ids, members)
    for n, columns in enumerate(_columns(group, x.device)):
        of_n = torch.nonzero(local == n).squeeze(-1)
        part = 2.0 * take(vec, of_n).unsqueeze(-1) * take(g_p, of_n).unsqueeze(1)
        jacobian[take(rows, of_n).view(-1, 1), :, columns] = part.transpose(1, 2)


def angular_block(
    group: Group,
    fc: CutoffFunction,
    edges: Edges,
    pairs: tuple[Tensor, Tensor],
    messages: Messages,
    x: Tensor,
    jacobian: Tensor,
) -> None:
    """Add an angular group's values to x [N, F] and derivatives to jacobian [E, 3, F]."""
    members, target = messages
    num_shapes = len(group.shapes)
    values = x.new_zeros(x.shape[0] * len(group.neighbors), num_shapes)
    local = target % len(group.neighbors)
    for n, columns in enumerate(_columns(group, x.device)):
        of_n = torch.nonzero(local == n).squeeze(-1)
        along = x.new_zeros(len(edges.ids), 1, num_shapes)
        across = x.new_zeros(len(edges.ids), 3, num_shapes)
        for part in of_n.split(max(1, MAX_TERMS // num_shapes)):
            t = take(members, part)
            ij, ik = take(pairs[0], t), take(pairs[1], t)
            g = _add_gradients(group, fc, edges.vec, ij, ik, along, across)
            values.index_add_(0, take(target, part), g)
        by_edge = torch.addcmul(across, edges.vec.unsqueeze(-1), along)
        jacobian[edges.ids.view(-1, 1), :, columns] = by_edge.transpose(1, 2)
    _store_values(group, values, x)


def _add_gradients(
    group: Group, fc: CutoffFunction, vec: Tensor, ij: Tensor, ik: Tensor, along: Tensor,
    across: Tensor,
) -> Tensor:  # fmt: skip
    """Values of triplets [T, K].

    Their derivatives by edge vector are added to ``along`` [M, 1, K], the factors of the edge's own
    vector, and to ``across`` [M, 3, K], the part along the other edge.
    """
    v_ij, v_ik = take(vec, ij), take(vec, ik)
    g, g_ij, g_ik, g_s = triplet_gradients(group, fc, v_ij, v_ik)
    along.index_add_(0, ij, g_ij.unsqueeze(1))
    along.index_add_(0, ik, g_ik.unsqueeze(1))
    across.index_add_(0, ij, v_ik.unsqueeze(-1) * g_s.unsqueeze(1))
    across.index_add_(0, ik, v_ij.unsqueeze(-1) * g_s.unsqueeze(1))
    return g


def triplet_gradients(
    group: Group, fc: CutoffFunction, v_ij: Tensor, v_ik: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Terms g of G4 or G5 and their derivatives.

    With g = R(r_ij, r_ik, r_jk) A(c), c = cos theta = s / (r_ij r_ik), s = r_ij . r_ik:
    d g / d vec_ij = g_ij vec_ij + g_s vec_ik and d g / d vec_ik = g_ik vec_ik + g_s vec_ij.

    Args:
        group: The functions.
        fc: Cutoff function.
        v_ij: Edge vectors from centre to j, [T, 3], Å.
        v_ik: Edge vectors from centre to k, [T, 3], Å.

    Returns:
        g, g_ij, g_ik and g_s, each [T, K].
    """
    p, q, s = (v_ij * v_ij).sum(-1), (v_ik * v_ik).sum(-1), (v_ij * v_ik).sum(-1)
    r_ij, r_ik = torch.sqrt(p), torch.sqrt(q)
    inverse = 1.0 / (r_ij * r_ik)
    cos = s * inverse
    distances = [r_ij, r_ik]
    if group.kind is G4:
        distances.append(torch.sqrt(p + q - 2.0 * s))
    radial, slopes = radial_factor_gradients(group, fc, distances)
    angular, slope = angular_factor_gradients(group, cos)
    terms = partial(angular_terms, group)
    through_angle = terms(radial, slope)
    g_s = through_angle * inverse.unsqueeze(-1)
    g_ij = terms(slopes[0] / r_ij.unsqueeze(-1), angular)
    g_ik = terms(slopes[1] / r_ik.unsqueeze(-1), angular)
    g_ij.addcmul_(through_angle, (cos / p).unsqueeze(-1), value=-1.0)
    g_ik.addcmul_(through_angle, (cos / q).unsqueeze(-1), value=-1.0)
    if group.kind is G4:
        through_jk = terms(slopes[2] / distances[2].unsqueeze(-1), angular)
        g_ij, g_ik, g_s = g_ij.add_(through_jk), g_ik.add_(through_jk), g_s.sub_(through_jk)
    return terms(radial, angular), g_ij, g_ik, g_s


def _columns(group: Group, device: torch.device) -> Tensor:
    """Feature numbers, one row per neighbour element or pair, [len(neighbors), K]."""
    return torch.tensor(group.columns, device=device).view(len(group.neighbors), -1)


def _store_values(group: Group, values: Tensor, x: Tensor) -> None:
    x[:, torch.tensor(group.columns, device=x.device)] = values.view(x.shape[0], -1)
