"""Narrow sums over pairs of neighbours: the pair's own distance counts as well."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nnmd_graph.representations.symmetry.kernels.factors import AngularFactors, RadialFactors
from nnmd_graph.representations.symmetry.kernels.sums import (
    OverPairs,
    Side,
    SidePull,
    contract,
    gather_at,
    matrix_of,
    places_below,
)
from nnmd_graph.representations.symmetry.kernels.tables import Table
from nnmd_graph.representations.symmetry.keys import RadialKey


class NarrowSum(OverPairs):
    """sum_{j<k} rho_b(r_ij) rho_b(r_ik) rho_b(r_jk) A_a(cos theta) over the pairs with r_jk < r_c.

    About half of all pairs inside a sphere are further apart than its radius, so the others are
    picked out first.
    """

    def _sums(self, one: Side, other: Side) -> tuple[Tensor, SidePull]:
        _, squares, near = self._near_pairs(one, other)
        shape, at, gathered = squares.shape, near.flatten(), gather_at(near)
        cos = gathered(torch.bmm(one.unit.mT, other.unit))
        each = zip(one.rho.unbind(1), other.rho.unbind(1), strict=True)
        sides = torch.stack(
            [gathered(x.unsqueeze(2) * y.unsqueeze(1)) for x, y in each]
        )  # [B, C, T]
        factors = narrow_factors(self.radial, self.angular)
        dist, rho_jk, slope_jk, product, angle, *slope = factors(gathered(squares), cos, sides)
        product = product.transpose(0, 1)  # [C, B, T]
        scale, slope_scale = self.angular.scales(cos)
        sums = torch.bmm(product, angle.permute(1, 2, 0)) * scale  # [C, B, A]

        def pull(w: Tensor) -> list[dict[str, Tensor]]:
            by_product = torch.bmm(w * scale, angle.transpose(0, 1)).unbind(1)  # B of [C, T]
            by_angle = torch.bmm((w * slope_scale).mT, product).unbind(1)  # A of [C, T]
            by_cos = matrix_of(contract(by_angle, slope), at, shape)
            by_jk = [x * y for x, y in zip(by_product, sides, strict=True)]
            by_square = matrix_of(contract(by_jk, slope_jk.unbind()) / dist, at, shape)
            by_sides = [
                matrix_of(x * y, at, shape) for x, y in zip(by_product, rho_jk, strict=True)
            ]
            transposed = [matrix.mT for matrix in by_sides]
            return [
                self._pull_side(one, other, by_cos.mT, by_square.mT, transposed),
                self._pull_side(other, one, by_cos, by_square, by_sides),
            ]

        return sums, pull

    @staticmethod
    def _pull_side(
        own: Side, other: Side, by_cos: Tensor, by_square: Tensor, by_sides: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """Derivatives for the neighbour that the columns of the matrices stand for.

        d cos / d u_j = u_k; d r_jk^2 / d r_j = 2 (r_j - r_k).
        """
        by_rho = [
            torch.bmm(other.rho[:, b : b + 1], matrix).squeeze(1)
            for b, matrix in enumerate(by_sides)
        ]
        return {
            "dist": contract(by_rho, own.rho_slope.unbind(1)),
            "unit": torch.bmm(other.unit, by_cos),
            "vec": own.vec * by_square.sum(1, keepdim=True) - torch.bmm(other.vec, by_square),
        }

    def _near_pairs(self, one: Side, other: Side) -> tuple[Tensor, Tensor, Tensor]:
        """r_ij^2 + r_ik^2 and r_jk^2, [C, n, n'], and the places of the pairs that count, [C, T].

        Both are very large where a pair does not count.
        """
        sides = self._sides(one, other)
        squares = torch.baddbmm(sides, one.vec.mT, other.vec, alpha=-2.0)
        return sides, squares, places_below(squares, self.radial.cutoff**2)

    def _sides(self, one: Side, other: Side) -> Tensor:
        """r_ij^2 + r_ik^2, [C, n, n']."""
        far, rc = 1e30, self.radial.cutoff
        own = torch.where(one.dist < rc, one.dist * one.dist, far)
        others = torch.where(other.dist < rc, other.dist * other.dist, far)
        squares = own.unsqueeze(2) + others.unsqueeze(1)
        if not self.same_table:
            return squares
        n = squares.shape[1]
        return squares + squares.new_full((n, n), far).tril()


class GaussianSum(NarrowSum):
    """Narrow sums of Gaussians without shift, exp(-eta (r_ij^2 + r_ik^2 + r_jk^2)) f_c f_c f_c.

    The exponents add up, so a pair needs one product of envelopes for all eta, and what the two
    sides get back is two numbers a pair: with q_b the term of eta_b times dE/dG, they are sum_b q_b
    for the envelopes and sum_b eta_b q_b for the exponents.
    """

    def _side(self, table: Table) -> Side:
        """Radial factors with f_c and f_c' / f_c in place of rho and its slope."""
        only = RadialFactors(
            (RadialKey("gaussian", (0.0, 0.0)),), self.radial.cutoff, self.radial.fc
        )
        value, slope = table.radial(only)
        envelope_slope = slope / torch.where(value > 0.0, value, 1.0)
        return Side(table.vec, table.unit, table.dist, value, envelope_slope)

    def _sums(self, one: Side, other: Side) -> tuple[Tensor, SidePull]:
        sides, squares, near = self._near_pairs(one, other)
        shape, at, gathered = squares.shape, near.flatten(), gather_at(near)
        cos = gathered(torch.bmm(one.unit.mT, other.unit))
        envelopes = gathered(one.rho.mT * other.rho)
        factors = gaussian_factors(self.radial, self.angular)
        parts = factors(gathered(squares), cos, gathered(sides), envelopes)
        products, envelope_slope, angle, *slope = parts
        products = products.transpose(0, 1)  # [C, B, T]
        scale, slope_scale = self.angular.scales(cos)
        sums = torch.bmm(products, angle.permute(1, 2, 0)) * scale  # [C, B, A]
        etas = [key.parameters[0] for key in self.radial.keys]

        def pull(w: Tensor) -> list[dict[str, Tensor]]:
            by_product = torch.bmm(w * scale, angle.transpose(0, 1))  # [C, B, T]
            by_angle = torch.bmm((w * slope_scale).mT, products).unbind(1)  # A of [C, T]
            by_cos = matrix_of(contract(by_angle, slope), at, shape)
            q = (by_product * products).unbind(1)
            by_envelope, by_exponent = q[0], -2.0 * etas[0] * q[0]
            for eta, term in zip(etas[1:], q[1:], strict=True):
                by_envelope = by_envelope + term
                by_exponent = torch.add(by_exponent, term, alpha=-2.0 * eta)
            by_square = torch.addcmul(by_exponent, by_envelope, envelope_slope)
            matrices = [
                matrix_of(part, at, shape) for part in (by_square, by_exponent, by_envelope)
            ]
            transposed = [matrix.mT for matrix in matrices]
            return [
                self._pull_gaussian(one, other, by_cos.mT, *transposed),
                self._pull_gaussian(other, one, by_cos, *matrices),
            ]

        return sums, pull

    @staticmethod
    def _pull_gaussian(
        own: Side,
        other: Side,
        by_cos: Tensor,
        by_square: Tensor,
        by_exponent: Tensor,
        by_envelope: Tensor,
    ) -> dict[str, Tensor]:
        """Derivatives for the neighbour that the columns of the matrices stand for."""
        by_length = by_square.sum(1, keepdim=True) + by_exponent.sum(1, keepdim=True)
        return {
            "dist": by_envelope.sum(1) * own.rho_slope.squeeze(1),
            "unit": torch.bmm(other.unit, by_cos),
            "vec": own.vec * by_length - torch.bmm(other.vec, by_square),
        }


def narrow_factors(
    radial: RadialFactors, angular: AngularFactors
) -> Callable[[Tensor, Tensor, Tensor], tuple[Tensor, ...]]:
    """Factors of pairs with a distance of their own.

    Returns:
        A function of r_jk^2 [C, T], cos theta [C, T] and rho(r_ij) rho(r_ik) [B, C, T]: r_jk,
        rho(r_jk), its slope, the product of the three rho, A [A, C, T] and the dA/dcos.
    """

    def factors(squares: Tensor, cos: Tensor, sides: Tensor) -> tuple[Tensor, ...]:
        dist = torch.sqrt(squares)
        rho, rho_slope = radial(dist)
        angle, slope = angular(cos)
        return dist, rho, rho_slope, sides * rho, torch.stack(angle), *slope

    return factors


def gaussian_factors(
    radial: RadialFactors, angular: AngularFactors
) -> Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, ...]]:
    """Factors of pairs for Gaussians without shift, whose exponents add up.

    Returns:
        A function of r_jk^2, cos theta, r_ij^2 + r_ik^2 and f_c(r_ij) f_c(r_ik), each [C, T]: the
        products exp(-eta (r_ij^2 + r_ik^2 + r_jk^2)) f_c f_c f_c [B, C, T],
        f_c'(r_jk) / (r_jk f_c(r_jk)), A [A, C, T] and the dA/dcos.
    """
    minus_eta = [-key.parameters[0] for key in radial.keys]

    def factors(
        squares: Tensor, cos: Tensor, sides: Tensor, envelopes: Tensor
    ) -> tuple[Tensor, ...]:
        dist = torch.sqrt(squares)
        value, slope = radial.fc.value_and_slope(dist, radial.cutoff)
        # Where f_c is zero so are the products that this is multiplied with.
        envelope_slope = slope / (dist * torch.clamp(value, min=torch.finfo(value.dtype).tiny))
        envelopes = envelopes * value
        total = sides + squares
        products = torch.stack([torch.exp(eta * total) * envelopes for eta in minus_eta])
        angle, steepness = angular(cos)
        return products, envelope_slope, torch.stack(angle), *steepness

    return factors
