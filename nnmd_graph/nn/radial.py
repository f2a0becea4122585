r"""Smooth radial bases: distances of edges to K numbers each, zero with zero slope at the cutoff.

With x = r / r_c and the envelope u(x):

| name | function | source (doi) |
|---|---|---|
| bessel | sqrt(2 / r_c) sin(k pi x) / r u(x), k = 1 .. K | 10.48550/arXiv.2003.03123, eq. 7 |
| gaussian | exp(-(r - k d)^2 / (2 d^2)) u(x), k = 0 .. K-1, d = r_c / (K-1) | 10.1063/1.5019779 |

u(x) = 1 - (p+1)(p+2)/2 x^p + p(p+2) x^(p+1) - p(p+1)/2 x^(p+2), the envelope of J. Gasteiger et
al., eq. 8 of the first source: one near the atom, zero with two zero derivatives at x = 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nnmd_graph.choices import RADIAL_BASES
from nnmd_graph.errors import check_choice


def envelope(x: Tensor, exponent: int = 5) -> Tensor:
    """Polynomial u(x), see the module; zero from x = 1 on.

    Args:
        x: Distance over cutoff, at least 0, any shape.
        exponent: p, at least 2.
    """
    p = exponent
    x = x.clamp(max=1.0)
    # (1 - x)^3 times a polynomial: no digits are lost where it vanishes.
    series = torch.zeros_like(x)
    for k in range(p - 1, -1, -1):
        series = series * x + 0.5 * (k + 1) * (k + 2)
    return (1.0 - x) ** 3 * series


class RadialBasis(nn.Module):
    """Radial basis and envelope of a cutoff.

    Args:
        cutoff: r_c, Å.
        num_rbf: Number of functions K.
        kind: ``"bessel"`` or ``"gaussian"``, see the module.
        exponent: p of the envelope; more is closer to one up to the cutoff.

    Shapes:
        edge_dist [E], Å -> edge_attr [E, K] and edge_weight [E].

    Raises:
        ValueError: If there is no such basis, or a number is out of range.
    """

    def __init__(
        self, cutoff: float, num_rbf: int = 20, kind: str = "bessel", exponent: int = 5
    ) -> None:
        super().__init__()
        check_choice("radial", kind, RADIAL_BASES)
        if num_rbf < 2 or exponent < 2 or not cutoff > 0.0:
            raise ValueError(
                "`num_rbf` and `exponent`: expected at least 2 and `cutoff` positive, got "
                f"{num_rbf}, {exponent} and {cutoff}; 20, 5 and 5.0 are usual"
            )
        self.cutoff, self.num_rbf, self.kind = float(cutoff), int(num_rbf), kind
        self.exponent = int(exponent)

    def forward(self, edge_dist: Tensor) -> tuple[Tensor, Tensor]:
        """Basis times envelope [E, K], and the envelope [E]; zero from the cutoff on."""
        x = edge_dist / self.cutoff
        edge_weight = envelope(x, self.exponent)
        if self.kind == "bessel":
            k = torch.arange(1, self.num_rbf + 1, dtype=x.dtype, device=x.device)
            scale = math.sqrt(2.0 / self.cutoff) * edge_weight / edge_dist
            return torch.sin((math.pi * k) * x.unsqueeze(-1)) * scale.unsqueeze(-1), edge_weight
        last = self.num_rbf - 1
        k = torch.arange(self.num_rbf, dtype=x.dtype, device=x.device)
        values = torch.exp(-0.5 * (last * x.unsqueeze(-1) - k).square())
        return values * edge_weight.unsqueeze(-1), edge_weight

    def extra_repr(self) -> str:
        """Kind and number for ``print``."""
        return f"{self.kind}, num_rbf={self.num_rbf}, cutoff={self.cutoff} Å"
