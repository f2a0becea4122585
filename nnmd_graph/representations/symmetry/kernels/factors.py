"""Factors of symmetry functions: functions of one distance and of one angle, with derivatives.

Every function of the family is a sum over neighbours or pairs of them of a product

    radial:   rho(r_ij)
    wide:     rho(r_ij) rho(r_ik) A(cos theta)
    narrow:   rho(r_ij) rho(r_ik) rho(r_jk) A(cos theta)

with rho(r) = exp(-eta (r - r_s)^2) f_c(r), cos(kappa r) f_c(r), f_c(r), a polynomial window
or a formula of the user's own times f_c(r), and A(c) = 2^(1-zeta) (1 + lam c)^zeta, a window of the
angle or a formula. Each function of the family says itself what it is made of (``radial_key``,
``angular_key`` in ``functions.py``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from nnmd_graph.nn.cutoff import CutoffFunction, bump, smooth_step
from nnmd_graph.representations.symmetry.keys import AngularKey, RadialKey

ValueAndSlope = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class RadialFactors:
    """B functions rho of one kind and cutoff.

    Args:
        keys: The functions, all of one kind.
        cutoff: r_c in Å.
        fc: Cutoff function; windows have none.
    """

    keys: tuple[RadialKey, ...]
    cutoff: float
    fc: CutoffFunction

    def __call__(self, dist: Tensor) -> ValueAndSlope:
        """Values and derivatives by r in Å^-1 at distances of any shape, each [B, ...]."""
        parameters = _columns(self.keys, dist.dim(), dist.dtype, dist.device)
        if self.keys[0].kind == "window":
            return self._windows(dist, parameters[0])
        envelope, steep = self.fc.value_and_slope(dist, self.cutoff)
        if self.keys[0].kind == "formula":
            value, slope = _formulas(self.keys, dist)
            return value * envelope, slope * envelope + value * steep
        if self.keys[0].kind == "wave":
            phase = parameters[0] * dist
            cos = torch.cos(phase)
            return cos * envelope, cos * steep - parameters[0] * torch.sin(phase) * envelope
        eta, r_s = parameters
        shifted = any(key.parameters[1] for key in self.keys)
        from_centre = dist - r_s if shifted else dist
        gauss = torch.exp(-eta * (from_centre * from_centre))
        return gauss * envelope, gauss * (steep - 2.0 * eta * (from_centre * envelope))

    def _windows(self, dist: Tensor, r_l: Tensor) -> ValueAndSlope:
        parts = [
            window(dist, float(low), self.cutoff, key.core)
            for key, low in zip(self.keys, r_l.flatten(), strict=True)
        ]
        values, slopes = zip(*parts, strict=True)
        return torch.stack(values), torch.stack(slopes)


@dataclass(frozen=True)
class AngularFactors:
    """A functions of the angle, all of one kind.

    Constant factors are left out and go to the sums: with b = (1 + lam c) / 2 a power is
    A = 2 b^zeta, dA/dc = zeta lam b^(zeta-1), and the call returns the powers of b.
    """

    keys: tuple[AngularKey, ...]

    def __call__(self, cos: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Values and derivatives by cos theta without their factors, A tensors each."""
        if self.keys[0].kind == "formula":
            value, slope = _formulas(self.keys, cos)
            return list(value), list(slope)
        if self.keys[0].kind == "window":
            parts = [angular_window(cos, key) for key in self.keys]
            return [value for value, _ in parts], [slope for _, slope in parts]
        lams = dict.fromkeys(key.parameters[1] for key in self.keys)
        half = cos.new_tensor(0.5)
        powers = {lam: _powers(torch.add(half, cos, alpha=0.5 * lam)) for lam in lams}
        shapes = [key.parameters for key in self.keys]
        values = [powers[lam](zeta) for zeta, lam in shapes]
        return values, [powers[lam](zeta - 1.0) for zeta, lam in shapes]

    def scales(self, template: Tensor) -> tuple[Tensor, Tensor]:
        """The factors of values and derivatives, [A] each."""
        return _scales(self.keys, template.dtype, template.device)

    def at_zero(self) -> list[float]:
        """A(cos theta = 1) of each power: a neighbour paired with itself."""
        powers = [key.parameters for key in self.keys]
        return [2.0 ** (1.0 - zeta) * (1.0 + lam) ** zeta for zeta, lam in powers]


def _formulas(keys: Sequence[RadialKey | AngularKey], x: Tensor) -> ValueAndSlope:
    """Values of formulas and their derivatives by automatic differentiation, each [B, ...]."""
    one = torch.ones_like(x)
    parts = [torch.func.jvp(key.formula, (x,), (one,)) for key in keys if key.formula]
    values, slopes = zip(*parts, strict=True)
    return torch.stack(values), torch.stack(slopes)


@lru_cache(maxsize=256)
def _scales(
    keys: tuple[AngularKey, ...], dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    powers = [key.parameters if key.kind == "power" else None for key in keys]
    values = [2.0 if power else 1.0 for power in powers]
    slopes = [power[0] * power[1] if power else 1.0 for power in powers]
    both = torch.tensor([values, slopes], dtype=dtype, device=device)
    return both[0], both[1]


@lru_cache(maxsize=256)
def _columns(
    keys: tuple[RadialKey, ...], dim: int, dtype: torch.dtype, device: torch.device
) -> list[Tensor]:
    """Parameters of all functions, one tensor [B, 1, ...] for each parameter."""
    shape = (len(keys), *(1,) * dim)
    columns = zip(*(key.parameters for key in keys), strict=True)
    return [torch.tensor(column, dtype=dtype, device=device).view(shape) for column in columns]


def window(x: Tensor, low: float, high: float, core: str) -> ValueAndSlope:
    """C(x; l, h) = f(u), u = |x - c| / w, c = (l + h) / 2, w = (h - l) / 2, 0 outside (l, h).

    Args:
        x: Any shape.
        low: l, in the unit of ``x``.
        high: h.
        core: "p1" to "p4" or "e", and "a" behind it for f(u (2 - u)).

    Returns:
        C and dC/dx.
    """
    centre, width = 0.5 * (low + high), 0.5 * (high - low)
    inside = (x > low) & (x < high)
    u = torch.where(inside, (x - centre).abs() / width, torch.ones_like(x))
    factor = torch.sign(x - centre) / width
    if core.endswith("a"):
        factor = factor * 2.0 * (1.0 - u)
        u = u * (2.0 - u)
    value, slope = bump(u) if core.startswith("e") else smooth_step(u, int(core[1]))
    return value, slope * factor


def angular_window(cos: Tensor, key: AngularKey) -> ValueAndSlope:
    """C(theta; theta_l, theta_h) and its derivative by cos theta = -dC/dtheta / sin theta.

    Straight lines, |cos theta| >= 1, do not count, as in n2p2.
    """
    bent = cos.abs() < 1.0 - 4.0 * torch.finfo(cos.dtype).eps  # but for rounding
    safe = torch.where(bent, cos, torch.zeros_like(cos))
    theta = torch.acos(safe)
    low, high = map(math.radians, key.parameters)
    value, slope = window(theta, low, high, key.core)
    slope = -slope * torch.rsqrt((1.0 - safe) * (1.0 + safe))
    zero = torch.zeros_like(cos)
    return torch.where(bent, value, zero), torch.where(bent, slope, zero)


def _powers(base: Tensor) -> Callable[[float], Tensor]:
    """Powers of ``base``: integer exponents by repeated squaring, each product computed once."""
    known: dict[int, Tensor] = {1: base}

    def integer(exponent: int) -> Tensor:
        if exponent not in known:
            half = 1 << (exponent.bit_length() - 1)
            if half == exponent:
                root = integer(exponent // 2)
                known[exponent] = root * root
            else:
                known[exponent] = integer(exponent - half) * integer(half)
        return known[exponent]

    def power(exponent: float) -> Tensor:
        if exponent != int(exponent) or exponent < 0.0:
            # Rounding may leave -1e-16 at theta = 180 degrees; a root of it would be NaN.
            safe = torch.where(base > 0.0, base, torch.ones_like(base))
            return torch.where(base > 0.0, safe**exponent, torch.zeros_like(base))
        return torch.ones_like(base) if exponent == 0.0 else integer(int(exponent))

    return power
