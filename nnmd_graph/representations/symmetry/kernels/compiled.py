"""The elementwise part of sums over pairs, as it stands or compiled into one loop.

Compiling needs a C++ compiler on the CPU (Triton on a GPU) and some seconds for each sum; results
agree with the plain ones to rounding, which is checked when it is done.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from nnmd_graph.representations.symmetry.kernels.factors import AngularFactors, RadialFactors

Factors = Callable[..., tuple[Tensor, ...]]
NarrowFactors = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, ...]]
GaussianFactors = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, ...]]
WideFactors = Callable[[Tensor], tuple[Tensor, ...]]


def narrow_factors(radial: RadialFactors, angular: AngularFactors) -> NarrowFactors:
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


def gaussian_factors(radial: RadialFactors, angular: AngularFactors) -> GaussianFactors:
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


def wide_factors(angular: AngularFactors, same_table: bool) -> WideFactors:
    """All A, then all dA/dcos, of all pairs [C, n, n']; without j = k for pairs of one table."""

    def factors(cos: Tensor) -> tuple[Tensor, ...]:
        angle, slope = angular(cos)
        parts = (*angle, *slope)
        # Excluded here: subtracting their sum afterwards would lose digits.
        if same_table and torch.is_grad_enabled():
            apart = 1.0 - torch.eye(cos.shape[1], dtype=cos.dtype, device=cos.device)
            return tuple(part * apart for part in parts)
        if same_table:
            for part in parts:
                part.diagonal(dim1=1, dim2=2).zero_()
        return parts

    return factors


@lru_cache(maxsize=512)
def compiled_narrow(radial: RadialFactors, angular: AngularFactors) -> NarrowFactors:
    """:func:`narrow_factors`, compiled."""
    return _compiled(narrow_factors(radial, angular))


@lru_cache(maxsize=512)
def compiled_gaussian(radial: RadialFactors, angular: AngularFactors) -> GaussianFactors:
    """:func:`gaussian_factors`, compiled."""
    # Near the cutoff f_c'/f_c is dominated by rounding; it is multiplied with tiny products.
    return _compiled(
        gaussian_factors(radial, angular), lambda f: (f[0], f[0] * f[1].unsqueeze(0), *f[2:])
    )


@lru_cache(maxsize=512)
def compiled_wide(angular: AngularFactors, same_table: bool) -> WideFactors:
    """:func:`wide_factors`, compiled."""
    return _compiled(wide_factors(angular, same_table))


def _compiled(
    plain: Factors, compared: Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]] = tuple
) -> Factors:
    """Compile a function at its first call and check the results of that call.

    Args:
        plain: The function.
        compared: Makes of its results what must be the same.

    Warns:
        RuntimeWarning: If there is no compiler, or its results differ; the plain one stays.
    """
    fast = torch.compile(plain, dynamic=True)
    chosen: dict[torch.dtype, Factors] = {}

    def call(*arguments: Tensor) -> tuple[Tensor, ...]:
        dtype = arguments[0].dtype
        if dtype not in chosen:
            chosen[dtype] = fast if _agrees(plain, fast, arguments, compared) else plain
        return chosen[dtype](*arguments)

    return call


def _agrees(
    plain: Factors,
    fast: Factors,
    arguments: tuple[Tensor, ...],
    compared: Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]],
) -> bool:
    expected = compared(plain(*arguments))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the compiler about itself
            results = compared(fast(*arguments))
    except Exception as error:  # whatever a missing or broken compiler raises
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        warnings.warn(
            f"symmetry functions stay uncompiled, no compiler works here ({reason[:200]})",
            RuntimeWarning,
            stacklevel=2,
        )
        return False
    limit = 1e3 * torch.finfo(arguments[0].dtype).eps
    for one, other in zip(expected, results, strict=True):
        if one.numel() and float((one - other).abs().max()) > limit * float(one.abs().max() + 1.0):
            warnings.warn(
                "symmetry functions stay uncompiled, compiled ones differ from plain ones",
                RuntimeWarning,
                stacklevel=2,
            )
            return False
    return True
