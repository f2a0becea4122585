"""Graph attention that stays smooth at the cutoff."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import silu

from nnmd_graph.nn.conv.linear import linear
from nnmd_graph.nn.scatter import scatter_sum, take


class GATConv(nn.Module):
    r"""Attention over the neighbours and the atom itself, by several heads.

    .. math:: a_{ij} = a^T silu(W_1 x_i + W_2 x_j + W_e e_{ij}), \quad
        \alpha_{ij} = \frac{u_{ij} \exp a_{ij}}{\exp a_{ii} + \sum_k u_{ik} \exp a_{ik}}

        x'_i = x_i + W_3 \, silu(\alpha_{ii} W_2 x_i + \sum_j \alpha_{ij} (W_2 x_j + W_v e_{ij}))

    with e_ij = edge_attr (zero for the atom itself) and u_ij = edge_weight. The envelope stands in
    the numerator and in the denominator, and the atom itself keeps the denominator from zero, so
    that a neighbour that leaves does so smoothly. Source: S. Brody, U. Alon, E. Yahav, ICLR 2022,
    doi 10.48550/arXiv.2105.14491, eq. 7, with silu for the leaky ReLU, whose kink would make
    forces jump, and distances in the values.

    Args:
        hidden_channels: Width H of x.
        num_rbf: Number of radial functions K.
        heads: Number of heads, a divisor of H.

    Shapes:
        x [N, H], edge_index [2, E], edge_attr [E, K], edge_weight [E] -> [N, H].

    Raises:
        ValueError: If H is no multiple of ``heads``.
    """

    def __init__(self, hidden_channels: int, num_rbf: int, heads: int = 4) -> None:
        super().__init__()
        if heads < 1 or hidden_channels % heads:
            raise ValueError(
                f"`heads`: expected a divisor of `hidden_channels`, got {heads} and "
                f"{hidden_channels}; choose for example 4 and 64"
            )
        self.heads = heads
        self.centre = linear(hidden_channels, hidden_channels)
        self.neighbor = linear(hidden_channels, hidden_channels, bias=False)
        self.edge = linear(num_rbf, 2 * hidden_channels, bias=False)  # W_e, then W_v
        self.attention = nn.Parameter(torch.empty(heads, hidden_channels // heads))
        nn.init.xavier_uniform_(self.attention)
        self.update = linear(hidden_channels, hidden_channels)

    def forward(
        self,
        x: Float[Tensor, "N H"],
        edge_index: Int[Tensor, "2 E"],
        edge_attr: Float[Tensor, "E K"],
        edge_weight: Float[Tensor, " E"],
    ) -> Float[Tensor, "N H"]:
        """Features after the convolution, [N, H]."""
        j, i = edge_index
        of_centre, of_neighbor = self.centre(x), self.neighbor(x)
        in_score, in_value = self.edge(edge_attr).chunk(2, dim=-1)
        neighbors = take(of_neighbor, j)
        score = self._score(take(of_centre, i) + neighbors + in_score)
        own_score = self._score(of_centre + of_neighbor)
        # The largest score drops out of the quotient; without it exp could overflow.
        index = i.unsqueeze(-1).expand_as(score)
        largest = own_score.detach().scatter_reduce(0, index, score.detach(), "amax")
        share = torch.exp(score - take(largest, i)) * edge_weight.unsqueeze(-1)
        own_share = torch.exp(own_score - largest)
        total = own_share + scatter_sum(share, i, len(x))
        value = self._split(neighbors + in_value) * share.unsqueeze(-1)
        sums = own_share.unsqueeze(-1) * self._split(of_neighbor) + scatter_sum(value, i, len(x))
        return x + self.update(silu((sums / total.unsqueeze(-1)).flatten(1)))

    def _split(self, h: Tensor) -> Tensor:
        """Channels by head, [., heads, H / heads]."""
        return h.unflatten(-1, (self.heads, -1))

    def _score(self, h: Tensor) -> Tensor:
        return (self._split(silu(h)) * self.attention).sum(dim=-1)
