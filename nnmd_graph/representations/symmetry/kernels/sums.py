"""Sums over neighbours and pairs of neighbours: values, and how gradients flow back.

A sum gives the values of its functions and a pullback: from w = dE/dvalue it adds dE/d edge_vec.
Both are plain formulas, so no graph of operations is recorded for forces; where second derivatives
are wanted, autograd records the pullback itself.

For C centres, n neighbours j and n' neighbours k of each, B radial and A angular functions:

| symbol | variable | shape |
|---|---|---|
| r_ij, r_ij / |r_ij| | ``dist``, ``unit`` | [C, n], [C, 3, n] |
| rho_b(r_ij), d rho_b / d r | ``rho``, ``rho_slope`` | [C, B, n] |
| cos theta_jik | ``cos`` | [C, n, n'] |
| A_a(cos theta), dA_a / d cos | ``angle``, ``slope`` | [C, n, n'] for each a |
| sum_k A_a rho_b(r_ik) | ``angle_rho`` | [C, B, A, n] |
| r_jk^2 | ``squares`` | [C, n, n'] |
| pairs with r_jk < r_c | ``near``, numbers of T of them | [C, T] |
| w = dE/dG_ba | ``w`` | [C, B, A] |
| dE/d cos, dE/d r_jk^2, dE/d rho | ``by_cos``, ``by_square``, ``by_rho`` | as these |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from nnmd_graph.representations.symmetry.kernels.factors import AngularFactors, RadialFactors
from nnmd_graph.representations.symmetry.kernels.tables import Gradient, Table

# Numbers in a matrix of pairs that is worked on at a time. On the CPU the matrices should stay in
# the cache; on an accelerator they should be large enough to keep all of it busy.
MAX_MATRIX = {"cpu": 2**17, "cuda": 2**25}

Tables = Mapping[int, Table]
Gradients = Mapping[int, Gradient]
Pullback = Callable[[Tensor, Gradients], None]
"""(w [C, K], gradients) -> None: adds the derivatives of sum(w * values) to the gradients."""
SidePull = Callable[[Tensor], list[dict[str, Tensor]]]
"""w [C, B, A] -> for each side the parts of its :class:`Gradient` by name."""


@dataclass(frozen=True)
class RadialSum:
    """sum_j rho_b(r_ij) over neighbours of one element.

    Args:
        neighbor: Key of the table that is summed over.
        radial: The functions rho, B = K of them.
        columns: Feature number of each function, [K].
    """

    neighbor: int
    radial: RadialFactors
    columns: tuple[int, ...]

    def __call__(self, tables: Tables) -> tuple[Tensor, Pullback]:
        """Values [C, K] and their pullback."""
        value, slope = tables[self.neighbor].radial(self.radial)  # [C, B, n]

        def pullback(w: Tensor, gradients: Gradients) -> None:
            gradients[self.neighbor].add(dist=torch.bmm(w.unsqueeze(1), slope).squeeze(1))

        return value.sum(-1), pullback


@dataclass(frozen=True)
class PairSum:
    """Common base of wide and narrow sums over pairs of neighbours.

    Args:
        pair: Keys of the tables of the first and the second neighbour, in ascending order.
        radial: B functions of a distance.
        angular: A functions of the angle.
        places: Which product of the two each function is, b A + a, [K].
        columns: Feature number of each function, [K].
    """

    pair: tuple[int, int]
    radial: RadialFactors
    angular: AngularFactors
    places: tuple[int, ...]
    columns: tuple[int, ...]

    @property
    def same_table(self) -> bool:
        """Tell whether both neighbours come from one table, which holds each pair twice."""
        return self.pair[0] == self.pair[1]

    def __call__(self, tables: Tables) -> tuple[Tensor, Pullback]:
        """Values [C, K] and their pullback."""
        raise NotImplementedError

    def _chosen(self, products: Tensor) -> Tensor:
        """The functions' values out of all products, [C, B, A] -> [C, K]."""
        products = products.flatten(1)
        if self.places == tuple(range(products.shape[1])):
            return products
        return products.index_select(1, torch.tensor(self.places, device=products.device))

    def _spread(self, w: Tensor) -> Tensor:
        """The reverse: [C, K] -> [C, B, A], zero where no function is."""
        num_b, num_a = len(self.radial.keys), len(self.angular.keys)
        if self.places != tuple(range(num_b * num_a)):
            places = torch.tensor(self.places, device=w.device)
            w = w.new_zeros(len(w), num_b * num_a).index_copy(1, places, w)
        return w.reshape(len(w), num_b, num_a)


class Side(NamedTuple):
    """One neighbour of the pairs around some centres.

    Attributes:
        vec: Edge vectors, [C, 3, n], Å.
        unit: Unit vectors, [C, 3, n].
        dist: Distances, [C, n], Å.
        rho: Radial factors, [C, B, n].
        steep: Their slopes.
    """

    vec: Tensor
    unit: Tensor
    dist: Tensor
    rho: Tensor
    rho_slope: Tensor


class OverPairs(PairSum):
    """Sums that go over all pairs, a few centres at a time so that matrices stay in the cache."""

    def __call__(self, tables: Tables) -> tuple[Tensor, Pullback]:
        """Values [C, K] and their pullback."""
        sides = [self._side(tables[key]) for key in self.pair]
        most = MAX_MATRIX.get(sides[0].dist.device.type, MAX_MATRIX["cpu"])
        size = max(1, most // (sides[0].dist.shape[1] * sides[1].dist.shape[1]))
        parts = [
            [Side(*rows) for rows in zip(*(field.split(size) for field in side), strict=True)]
            for side in sides
        ]
        results = [self._sums(one, other) for one, other in zip(*parts, strict=True)]

        def pullback(w: Tensor, gradients: Gradients) -> None:
            pieces = self._spread(w).split(size)
            back = [pull(piece) for (_, pull), piece in zip(results, pieces, strict=True)]
            for key, side in zip(self.pair, zip(*back, strict=True), strict=False):
                names = side[0].keys()
                whole = {name: torch.cat([part[name] for part in side]) for name in names}
                gradients[key].add(**whole)

        return self._chosen(torch.cat([sums for sums, _ in results])), pullback

    def _side(self, table: Table) -> Side:
        return Side(table.vec, table.unit, table.dist, *table.radial(self.radial))

    def _sums(self, one: Side, other: Side) -> tuple[Tensor, SidePull]:
        """Sums [C, B, A], and w [C, B, A] -> derivatives for one or both of the sides."""
        raise NotImplementedError


class WideSum(OverPairs):
    """sum_{j<k} rho_b(r_ij) rho_b(r_ik) A_a(cos theta) by matrix products over all pairs.

    With the matrix A_a[j, k] of a centre, G_ba = rho_b^T A_a rho_b for unlike elements; for like
    ones half of that with a zero diagonal.
    """

    def _sums(self, one: Side, other: Side) -> tuple[Tensor, SidePull]:
        angle, slope = self._angular_factors(torch.bmm(one.unit.mT, other.unit))  # [C, n, n']
        scale, slope_scale = self.angular.scales(one.dist)
        angle_rho = torch.stack([torch.bmm(other.rho, a.mT) for a in angle], 2)  # [C, B, A, n]
        sums = (angle_rho * one.rho.unsqueeze(2)).sum(-1) * scale
        if self.same_table:
            sums = 0.5 * sums
        else:
            angle_rho_k = torch.stack([torch.bmm(one.rho, a) for a in angle], 2)

        def pull(w: Tensor) -> list[dict[str, Tensor]]:
            weighted = (w * slope_scale).unsqueeze(-1) * one.rho.unsqueeze(2)  # [C, B, A, n]
            by_angle = [torch.bmm(part.mT, other.rho) for part in weighted.unbind(2)]
            by_cos = contract(by_angle, slope)
            w = (w * scale).unsqueeze(-1)  # [C, B, A, 1]
            by_rho = (w * angle_rho).sum(2)
            by_one = {
                "dist": (by_rho * one.rho_slope).sum(1),
                "unit": torch.bmm(other.unit, by_cos.mT),
            }
            if self.same_table:  # both sides are included already
                return [by_one]
            by_rho = (w * angle_rho_k).sum(2)
            by_other = {
                "dist": (by_rho * other.rho_slope).sum(1),
                "unit": torch.bmm(one.unit, by_cos),
            }
            return [by_one, by_other]

        return sums, pull

    def _angular_factors(self, cos: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """All A and all dA/dcos of all pairs, [C, n, n']; without j = k for pairs of one table."""
        angle, slope = self.angular(cos)
        # Excluded here: subtracting their sum afterwards would lose digits.
        if self.same_table and torch.is_grad_enabled():
            apart = 1.0 - torch.eye(cos.shape[1], dtype=cos.dtype, device=cos.device)
            return [part * apart for part in angle], [part * apart for part in slope]
        if self.same_table:
            for part in (*angle, *slope):
                part.diagonal(dim1=1, dim2=2).zero_()
        return list(angle), list(slope)


def places_below(squares: Tensor, limit: float) -> Tensor:
    """Places of numbers below a limit, [C, T], in rows of equal length.

    Rows are filled with the place of a number that is not below.

    Args:
        squares: [C, n, n'].
        limit: The limit.
    """
    flat = squares.detach().flatten() < limit
    if flat.is_cuda:
        at, outside = torch.nonzero(flat).squeeze(-1), torch.argmin(flat.byte())
    else:
        # numpy finds them ten times faster than torch does.
        at = torch.from_numpy(np.flatnonzero(flat.numpy()))
        outside = torch.tensor(int(flat.numpy().argmin()))
    ends = torch.arange(1, len(squares) + 1, device=flat.device) * squares[0].numel()
    last = torch.searchsorted(at, ends)
    first = torch.cat([last.new_zeros(1), last[:-1]])
    count = last - first
    place = torch.arange(int(count.max()), device=flat.device)
    number = torch.clamp(first.unsqueeze(1) + place, max=max(len(at) - 1, 0))
    if not len(at):
        return number
    rows = at.index_select(0, number.flatten()).view_as(number)
    return torch.where(place < count.unsqueeze(1), rows, outside)


def gather_at(near: Tensor) -> Callable[[Tensor], Tensor]:
    """A function that picks the numbers of places [C, T] out of a matrix of pairs."""
    at = near.flatten()
    return lambda matrix: matrix.flatten().index_select(0, at).view(near.shape)


def matrix_of(values: Tensor, at: Tensor, shape: torch.Size) -> Tensor:
    """Values at places of a matrix of pairs that is zero elsewhere; filling adds zeros."""
    return values.new_zeros(shape.numel()).scatter_(0, at, values.flatten()).view(shape)


def contract(one: Sequence[Tensor], other: Sequence[Tensor]) -> Tensor:
    """Sum of products, sum_b one_b other_b."""
    total = one[0] * other[0]
    for x, y in zip(one[1:], other[1:], strict=True):
        total = torch.addcmul(total, x, y)
    return total
