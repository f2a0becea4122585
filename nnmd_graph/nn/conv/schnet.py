"""SchNet's convolution: continuous filters."""

from __future__ import annotations

import math

from jaxtyping import Float, Int
from torch import Tensor, nn

from nnmd_graph.nn.conv.linear import linear
from nnmd_graph.nn.mlp import Softplus
from nnmd_graph.nn.scatter import scatter_sum, take


class ShiftedSoftplus(Softplus):
    """ln(0.5 + 0.5 exp(x)): zero at zero."""

    def forward(self, x: Tensor) -> Tensor:
        """Activation of each input, the shape of ``x``."""
        return super().forward(x) - math.log(2.0)


class SchNetConv(nn.Module):
    r"""Neighbours weighted by a filter of their distance.

    .. math:: x'_i = x_i + W_3 \, ssp(W_2 \sum_j (W_1 x_j) \circ filter(e_{ij}) u_{ij})

    with filter = a net of two layers, e_ij = edge_attr, u_ij = edge_weight, and ssp the shifted
    softplus (biases left out). Source: K. T. Schütt et al., J. Chem. Phys. 148, 241722 (2018),
    doi 10.1063/1.5019779.

    Args:
        hidden_channels: Width H of x and of the filters.
        num_rbf: Number of radial functions K.

    Attributes:
        pairs: ``edge_index`` names each pair of neighbours once; both directions are summed here,
            since both have the same filter.

    Shapes:
        x [N, H], edge_index [2, M], edge_attr [M, K], edge_weight [M] -> [N, H].
    """

    pairs = True

    def __init__(self, hidden_channels: int, num_rbf: int) -> None:
        super().__init__()
        self.filter = nn.Sequential(
            linear(num_rbf, hidden_channels),
            ShiftedSoftplus(),
            linear(hidden_channels, hidden_channels),
        )
        self.neighbor = linear(hidden_channels, hidden_channels, bias=False)
        self.update = nn.Sequential(
            linear(hidden_channels, hidden_channels),
            ShiftedSoftplus(),
            linear(hidden_channels, hidden_channels),
        )

    def forward(
        self,
        x: Float[Tensor, "N H"],
        edge_index: Int[Tensor, "2 M"],
        edge_attr: Float[Tensor, "M K"],
        edge_weight: Float[Tensor, " M"],
    ) -> Float[Tensor, "N H"]:
        """Features after the convolution, [N, H]."""
        j, i = edge_index
        filters = self.filter(edge_attr) * edge_weight.unsqueeze(-1)
        h = self.neighbor(x)
        sums = scatter_sum(take(h, j) * filters, i, len(x))
        sums = sums + scatter_sum(take(h, i) * filters, j, len(x))
        return x + self.update(sums)
