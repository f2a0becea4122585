"""Symmetry functions with compact polynomial windows instead of Gaussians and cosines.

A window C(x; l, h) = f(u), u = |x - c| / w, c = (l + h) / 2, w = (h - l) / 2, is zero outside
(l, h). Source: M. P. Bircher, A. Singraber, C. Dellago, Mach. Learn.: Sci. Technol. 2, 035026
(2021), doi 10.1088/2632-2153/abf817; formulas of the cores in ``nn/cutoff.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nnmd_graph.representations.symmetry.functions import SymmetryFunction
from nnmd_graph.representations.symmetry.keys import AngularKey, RadialKey

POLYNOMIALS = ("p1", "p2", "p3", "p4", "e", "p1a", "p2a", "p3a", "p4a", "ea")
"""Cores: smooth steps of order 1 to 4 and exp(1 - 1/(1 - u^2)); "a": radial ones asymmetric."""


@dataclass(frozen=True, kw_only=True)
class _Polynomial(SymmetryFunction):
    r_l: float
    polynomial: str = "p2"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.polynomial not in POLYNOMIALS:
            raise self._error(
                "polynomial", f"one of {POLYNOMIALS}", repr(self.polynomial), "p2 is usual"
            )
        if self.cutoff is not None and not self.r_l < self.cutoff:
            raise self._error(
                "r_l", f"a number below the cutoff, {self.cutoff} Å", self.r_l, "give a length in Å"
            )

    def radial_key(self) -> RadialKey:
        """A window of the distance."""
        return RadialKey("window", (self.r_l,), self.polynomial)


@dataclass(frozen=True, kw_only=True)
class PolynomialRadial(_Polynomial):
    """Shell with a compact window, sum_j C(r_ij; r_l, r_c); n2p2 type 20, weighted 23.

    Args:
        r_l: Lower end of the window in Å; -r_c centres it at zero.
        polynomial: Core of the window, "p1" to "p4", "e"; with "a" behind, u becomes u (2 - u).
    """


@dataclass(frozen=True, kw_only=True)
class _PolynomialAngular(_Polynomial):
    theta_l: float
    theta_h: float

    order: ClassVar[int] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.theta_l < self.theta_h:
            raise self._error(
                "theta_l", f"a number below theta_h, {self.theta_h}", self.theta_l, "give degrees"
            )
        # A window beyond 0 or 180 degrees is smooth there only if that is its centre.
        centre = 0.5 * (self.theta_l + self.theta_h)
        if (self.theta_l < 0.0 and centre != 0.0) or (self.theta_h > 180.0 and centre != 180.0):
            raise self._error(
                "theta_l", "theta_l and theta_h in [0, 180] or around 0 or 180 symmetrically",
                (self.theta_l, self.theta_h), "for example -90, 90",
            )  # fmt: skip

    def angular_key(self) -> AngularKey:
        """A window of the angle."""
        core = self.polynomial.removesuffix("a")
        return AngularKey("window", (self.theta_l, self.theta_h), core)


@dataclass(frozen=True, kw_only=True)
class PolynomialNarrow(_PolynomialAngular):
    """Narrow angular function, sum_{j<k} C(r_ij) C(r_ik) C(r_jk) C(theta); n2p2 types 21 and 24.

    As in n2p2, three atoms on an exactly straight line, |cos theta| >= 1, do not count.

    Args:
        r_l: Lower end of the window of the distances in Å; the upper end is the cutoff.
        theta_l: Lower end of the window of the angle in degrees; below 0 only around 0.
        theta_h: Upper end, in degrees; beyond 180 only around 180.
        polynomial: Core of the windows; "a" acts on the distances only.
    """

    narrow: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class PolynomialWide(_PolynomialAngular):
    """Wide angular function, sum_{j<k} C(r_ij) C(r_ik) C(theta); n2p2 types 22 and 25.

    As in n2p2, three atoms on an exactly straight line, |cos theta| >= 1, do not count.

    Args:
        r_l: Lower end of the window of the distances in Å; the upper end is the cutoff.
        theta_l: Lower end of the window of the angle in degrees; below 0 only around 0.
        theta_h: Upper end, in degrees; beyond 180 only around 180.
        polynomial: Core of the windows; "a" acts on the distances only.
    """
