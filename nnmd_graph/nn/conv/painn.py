"""PaiNN's convolution: equivariant vectors beside scalars."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from nnmd_graph.nn.conv.linear import linear
from nnmd_graph.nn.scatter import scatter_sum, take

SMOOTHING = 1e-2
"""Added to |V v|^2 before the root: the length of a vector has a kink at zero, where the vectors
of atoms in symmetric places are; much smaller ones would turn rounding errors there into forces."""


class PaiNNConv(nn.Module):
    r"""Messages between scalars x and vectors v, then a mixing of both on each atom.

    Message, with the unit vector u_ij from i to j, w = edge_weight and e = edge_attr:

    .. math:: \phi_j = A_2 \, silu(A_1 x_j), \quad
        (a, b, c)_{ij} = \phi_j \circ (F e_{ij} + f w_{ij})

        x_i \mathrel{+}= \sum_j a_{ij}, \quad
        v_i \mathrel{+}= \sum_j b_{ij} \circ v_j + c_{ij} u_{ij}

    Update, with U and V matrices on the channels of v:

    .. math:: (a, b, c) = B_2 \, silu(B_1 (x \oplus |V v|)), \quad
        x \mathrel{+}= a + b \circ \langle U v, V v \rangle, \quad v \mathrel{+}= c \circ U v

    Source: K. T. Schütt, O. T. Unke, M. Gastegger, Proc. Mach. Learn. Res. 139, 9377 (2021),
    doi 10.48550/arXiv.2102.03150, eqs. 7 to 10; e contains the envelope, so that F e + f w is
    their filter times cutoff.

    Args:
        hidden_channels: Width H of x and number of vectors.
        num_rbf: Number of radial functions K.

    Attributes:
        pairs: ``edge_index`` names each pair of neighbours once; both directions are summed here,
            since both have the same filter.

    Shapes:
        x [N, H], vectors [N, 3, H] or None (all zero), edge_index [2, M], edge_attr [M, K],
        edge_weight [M], edge_unit [M, 3] -> x [N, H], vectors [N, 3, H].
    """

    pairs = True

    def __init__(self, hidden_channels: int, num_rbf: int) -> None:
        super().__init__()
        width = hidden_channels
        self.phi = nn.Sequential(linear(width, width), nn.SiLU(), linear(width, 3 * width))
        self.filter = linear(num_rbf + 1, 3 * width, bias=False)  # last column: f
        self.mix = linear(width, 2 * width, bias=False)  # U, then V
        self.update = nn.Sequential(linear(2 * width, width), nn.SiLU(), linear(width, 3 * width))

    def forward(
        self,
        x: Float[Tensor, "N H"],
        vectors: Float[Tensor, "N 3 H"] | None,
        edge_index: Int[Tensor, "2 M"],
        edge_attr: Float[Tensor, "M K"],
        edge_weight: Float[Tensor, " M"],
        edge_unit: Float[Tensor, "M 3"],
    ) -> tuple[Float[Tensor, "N H"], Float[Tensor, "N 3 H"]]:
        """Scalars and vectors after the convolution."""
        x, vectors = self.message(x, vectors, edge_index, edge_attr, edge_weight, edge_unit)
        return self.mixed(x, vectors)

    def message(
        self,
        x: Tensor,
        vectors: Tensor | None,
        edge_index: Tensor,
        edge_attr: Tensor,
        edge_weight: Tensor,
        edge_unit: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Scalars and vectors with the sums over neighbours."""
        j, i = edge_index
        filters = self.filter(torch.cat([edge_attr, edge_weight.unsqueeze(-1)], dim=-1))
        phi = self.phi(x)
        unit = edge_unit.unsqueeze(-1)
        new_x, new_vectors = x, x.new_zeros(len(x), 3, x.shape[1])
        if vectors is not None:
            new_vectors = vectors
        # The reversed edges have the opposite unit vector.
        for source, target, direction in ((j, i, unit), (i, j, -unit)):
            a, b, c = (take(phi, source) * filters).chunk(3, dim=-1)
            message = c.unsqueeze(1) * direction
            if vectors is not None:
                message = torch.addcmul(message, b.unsqueeze(1), take(vectors, source))
            new_x = new_x + scatter_sum(a, target, len(x))
            new_vectors = new_vectors + scatter_sum(message, target, len(x))
        return new_x, new_vectors

    def mixed(self, x: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Scalars and vectors after the update of each atom."""
        uv, vv = self.mix(vectors).chunk(2, dim=-1)
        length = (vv.square().sum(dim=1) + SMOOTHING).sqrt()
        a, b, c = self.update(torch.cat([x, length], dim=-1)).chunk(3, dim=-1)
        return x + a + b * (uv * vv).sum(dim=1), vectors + c.unsqueeze(1) * uv
