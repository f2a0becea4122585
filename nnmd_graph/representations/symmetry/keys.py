"""Factors of a symmetry function as plain values, which ``kernels/factors.py`` evaluates.

Without PyTorch, so that a config with symmetry functions is checked without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Formula = Callable[[Any], Any]
"""Tensor -> tensor of the same shape, elementwise."""


@dataclass(frozen=True)
class RadialKey:
    """Kind of rho, and its parameters.

    Attributes:
        kind: "gaussian" (eta, r_s), "wave" (kappa,), "window" (r_l,), or "formula" ().
        parameters: Of the kind.
        core: Of a window.
        formula: r -> rho / f_c, elementwise, for the kind "formula".
    """

    kind: str
    parameters: tuple[float, ...]
    core: str = ""
    formula: Formula | None = None


@dataclass(frozen=True)
class AngularKey:
    """Kind of A, and its parameters.

    Attributes:
        kind: "power" (zeta, lam), "window" (theta_l, theta_h) in degrees, or "formula" ().
        parameters: Of the kind.
        core: Of a window.
        formula: cos theta -> A, elementwise, for the kind "formula".
    """

    kind: str
    parameters: tuple[float, ...]
    core: str = ""
    formula: Formula | None = None
