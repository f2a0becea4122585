"""TensorNet's convolution: tensors of rank two on every atom, multiplied as matrices."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from nnmd_graph.nn.conv.linear import linear
from nnmd_graph.nn.scatter import scatter_sum, take

PARTS = (0, 1, 1, 1, 2, 2, 2, 2, 2)
"""Part of each of the nine components: multiple of one, antisymmetric, symmetric without trace."""


@functools.cache  # not a buffer: one that was float32 once would stay rounded
@torch.inference_mode(False)
def tensor_basis(dtype: torch.dtype, device: torch.device) -> Tensor:
    """Nine orthonormal 3x3 matrices, in the order of :data:`PARTS`, [9, 3, 3]."""
    basis = torch.zeros(9, 3, 3, dtype=torch.float64)
    half = math.sqrt(0.5)
    basis[0] = torch.eye(3, dtype=torch.float64) / math.sqrt(3.0)
    for c in range(3):
        a, b = (c + 1) % 3, (c + 2) % 3
        basis[1 + c, a, b], basis[1 + c, b, a] = half, -half
        basis[4 + c, a, b] = basis[4 + c, b, a] = half
    basis[7] = torch.tensor([half, -half, 0.0], dtype=torch.float64).diag()
    basis[8] = torch.tensor([1.0, 1.0, -2.0], dtype=torch.float64).diag() / math.sqrt(6.0)
    return basis.to(device, dtype)


class TensorNetConv(nn.Module):
    r"""Tensors X_i = I + A + S of rank two, per channel, from neighbours and their products.

    The first layer makes tensors of the neighbours before all else (so it reaches two cutoffs far),
    with u_ij the unit vector from i to j, :math:`\epsilon u` its antisymmetric matrix,
    w = edge_weight and e = edge_attr:

    .. math:: X_i = \sum_j (P x_i + Q x_j) \circ (F_0 1 + F_1 \, \epsilon u_{ij}
        + F_2 (u_{ij} u_{ij}^T - 1/3)), \quad F = F e_{ij} + f w_{ij}

    and multiplies each part by a gate of |X_i|^2. Every layer sends them to the neighbours:

    .. math:: Y = W (X / (1 + |X|^2)), \quad M_i = \sum_j f_{ij} Y_j, \quad
        D = W' (Z / (1 + |Z|^2)), \; Z = Y M + M Y, \quad X \leftarrow X + D + D^2

    where W, W' mix the channels of each part and f is a net of e times w, one factor for each part
    and channel. The features get x += W silu(W (|I|, |A|, |S|)), the lengths smooth at zero. An
    inversion turns X into its transpose, which leaves all this as it is. Products of two tensors
    hold three- and four-body terms.

    Source: G. Simeon, G. De Fabritiis, NeurIPS 2023, doi 10.48550/arXiv.2306.06482;
    lengths take the place of their layer normalisation, which is steep where an atom loses its
    last neighbour.

    Args:
        hidden_channels: Width H of x and number of tensors.
        num_rbf: Number of radial functions K.
        layer: Number of the layer; that of number 0 makes the tensors.
        filter_channels: Widths of the hidden layers of the net of e; None takes (H, 2 H). It runs
            for every pair and is most of the work; () is a linear map of e, several times faster.

    Attributes:
        pairs: ``edge_index`` names each pair of neighbours once; both directions are summed here.

    Shapes:
        x [N, H], vectors [N, 9, H] (components in :func:`tensor_basis`) or None (the first layer),
        edge_index [2, M], edge_attr [M, K], edge_weight [M], edge_unit [M, 3] -> x, vectors.
    """

    pairs = True
    parts: Tensor

    def __init__(
        self,
        hidden_channels: int,
        num_rbf: int,
        layer: int = 0,
        filter_channels: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        width = hidden_channels
        self.register_buffer("parts", torch.tensor(PARTS), False)
        self.start = TensorStart(width, num_rbf) if layer == 0 else None
        hidden = (width, 2 * width) if filter_channels is None else tuple(filter_channels)
        widths = [num_rbf, *hidden, 3 * width]
        parts = [linear(*pair) for pair in itertools.pairwise(widths)]
        self.filter = nn.Sequential(*(m for part in parts for m in (part, nn.SiLU())))
        if not hidden:
            self.filter = nn.Sequential(*parts)
        self.before = nn.ModuleList(linear(width, width, bias=False) for _ in range(3))
        self.after = nn.ModuleList(linear(width, width, bias=False) for _ in range(3))
        self.update = nn.Sequential(linear(3 * width, width), nn.SiLU(), linear(width, width))

    def forward(
        self,
        x: Float[Tensor, "N H"],
        vectors: Float[Tensor, "N 9 H"] | None,
        edge_index: Int[Tensor, "2 M"],
        edge_attr: Float[Tensor, "M K"],
        edge_weight: Float[Tensor, " M"],
        edge_unit: Float[Tensor, "M 3"],
    ) -> tuple[Float[Tensor, "N H"], Float[Tensor, "N 9 H"]]:
        """Features and tensors after the convolution."""
        if vectors is None:
            if self.start is None:
                raise ValueError(
                    "`vectors`: expected vectors in all layers but the first, got None"
                )
            basis = tensor_basis(x.dtype, x.device)[4:]
            quadratic = torch.einsum("ma,cab,mb->mc", edge_unit, basis, edge_unit)
            direction = torch.cat([edge_unit, quadratic], dim=1)
            vectors = self.start(x, edge_index, edge_attr, edge_weight, direction, self.parts)
        y = mixed(self.before, vectors / (1.0 + square(vectors)))
        filters = (self.filter(edge_attr) * edge_weight.unsqueeze(-1)).unflatten(1, (3, -1))
        filters = filters.index_select(1, self.parts)
        j, i = edge_index
        sums = scatter_sum(take(y, j) * filters, i, len(x))
        sums = sums + scatter_sum(take(y, i) * filters, j, len(x))
        left, right = as_matrices(y), as_matrices(sums)
        z = as_components(product(left, right) + product(right, left))
        d = mixed(self.after, z / (1.0 + square(z)))
        matrices = as_matrices(d)
        vectors = vectors + d + as_components(product(matrices, matrices))
        lengths = [
            (vectors[:, part].square().sum(1) + 1.0).sqrt() - 1.0
            for part in (slice(0, 1), slice(1, 4), slice(4, 9))
        ]
        return x + self.update(torch.cat(lengths, dim=1)), vectors


class TensorStart(nn.Module):
    """The first tensors, of neighbours and their directions, see :class:`TensorNetConv`."""

    def __init__(self, hidden_channels: int, num_rbf: int) -> None:
        super().__init__()
        width = hidden_channels
        self.centre = linear(width, width)
        self.neighbor = linear(width, width, bias=False)
        self.filter = linear(num_rbf + 1, 3 * width, bias=False)  # last column: f
        self.mix = nn.ModuleList(linear(width, width, bias=False) for _ in range(3))
        self.gate = nn.Sequential(
            linear(width, 2 * width), nn.SiLU(), linear(2 * width, 3 * width), nn.SiLU()
        )

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_attr: Tensor,
        edge_weight: Tensor,
        direction: Tensor,
        parts: Tensor,
    ) -> Tensor:
        """Tensors of all atoms, [N, 9, H]; ``direction`` [M, 8] has u and u u^T without trace."""
        j, i = edge_index
        filters = self.filter(torch.cat([edge_attr, edge_weight.unsqueeze(-1)], dim=-1))
        filters = filters.unflatten(1, (3, -1))
        of_centre, of_neighbor = self.centre(x), self.neighbor(x)
        sums = x.new_zeros(len(x), 9, x.shape[1])
        for source, target, sign in ((j, i, 1.0), (i, j, -1.0)):
            weight = filters * (take(of_centre, target) + take(of_neighbor, source)).unsqueeze(1)
            message = torch.cat(
                [
                    weight[:, :1],
                    weight[:, 1:2] * (sign * direction[:, :3]).unsqueeze(-1),
                    weight[:, 2:] * direction[:, 3:].unsqueeze(-1),
                ],
                dim=1,
            )
            sums = sums + scatter_sum(message, target, len(x))
        gate = self.gate(square(sums).squeeze(1) / (1.0 + square(sums).squeeze(1)))
        return mixed(self.mix, sums) * gate.unflatten(1, (3, -1)).index_select(1, parts)


def square(components: Tensor) -> Tensor:
    """Squared length of each tensor, [N, 1, H]."""
    return components.square().sum(dim=1, keepdim=True)


def product(a: Tensor, b: Tensor) -> Tensor:
    """Matrix product of each channel, [N, 3, 3, H]."""
    return (a.unsqueeze(3) * b.unsqueeze(1)).sum(dim=2)


def mixed(layers: nn.ModuleList, components: Tensor) -> Tensor:
    """The channels of each part mixed by a matrix of its own, [N, 9, H]."""
    parts = components.split([1, 3, 5], dim=1)
    return torch.cat([layer(part) for layer, part in zip(layers, parts, strict=True)], dim=1)


def as_matrices(components: Tensor) -> Tensor:
    """[N, 9, H] -> [N, 3, 3, H]."""
    basis = tensor_basis(components.dtype, components.device).view(9, 9)
    return (basis.T @ components).unflatten(1, (3, 3))


def as_components(matrices: Tensor) -> Tensor:
    """[N, 3, 3, H] -> [N, 9, H]."""
    basis = tensor_basis(matrices.dtype, matrices.device).view(9, 9)
    return basis @ matrices.flatten(1, 2)
