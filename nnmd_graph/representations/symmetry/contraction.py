"""Trainable combinations of symmetry functions."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from nnmd_graph.representations.feature_moments import Moments
from nnmd_graph.representations.scaling import whitening

RIDGE = 0.01
"""Variance, in units of a function's, below which a direction of the functions counts as noise.

rMD17 aspirin after 40 epochs, 76 channels: 51 meV/Å with 0.3, 49 with 0.01."""

MIN_FUNCTIONS = 4
"""Largest number of components of the functions per direction of the elements."""


class Contraction(nn.Module):
    """Combined functions sum_n U_nc G_n, one for each component c of the elements' vectors.

    U = B M: the basis B of the functions' principal components, largest first, is fitted to the
    training set and stays; M is trained. Symmetry functions carry nearly the same numbers, so that
    few combinations hold most of what many say; random combinations do not, and need longer
    training (rMD17 ethanol, 75 features in place of 228: 27 meV/Å in place of 23).

    Args:
        components: Component of the functions that each channel starts with, [C].
        num_functions: Number of functions n.

    Shapes:
        () -> U [n, C].
    """

    basis: Tensor

    def __init__(self, components: Int[Tensor, " C"], num_functions: int) -> None:
        super().__init__()
        self.register_buffer("basis", torch.eye(num_functions))
        self.mixing = nn.Parameter(self.basis[:, components.clamp(max=num_functions - 1)].clone())

    def forward(self) -> Float[Tensor, "n C"]:
        """Weight of each function in each channel."""
        return self.basis @ self.mixing

    @torch.no_grad()
    def fit(self, sums: Float[Tensor, "N n P"]) -> None:
        """Fit the basis to the sums of atoms of a training set, without sums over no neighbour."""
        rows = sums.transpose(1, 2).flatten(0, 1).double()
        rows = rows[(rows != 0.0).any(dim=1)]
        if len(rows):
            self.basis.copy_(whitening(Moments.of(rows), RIDGE).flip(1))


def start_of_channels(
    order: int, num_channels: int, num_functions: int, embedding: Float[Tensor, "S D"]
) -> tuple[Float[Tensor, "S C"], Int[Tensor, " C"]]:
    """Initial weights of the elements and component of the functions of each channel.

    The largest component comes first, with each element by itself and, for angular functions, with
    sums of two elements (squares of both span all pairs); then the next component. Where there are
    too few channels for that, components of the given vectors stand for the elements.

    Args:
        order: 1 for radial functions, 2 for angular ones.
        num_channels: Number of channels C.
        num_functions: Number of functions.
        embedding: Vectors of the elements.
    """
    num_species = len(embedding)
    each = torch.eye(num_species, dtype=embedding.dtype)
    most = max(1, num_channels // min(MIN_FUNCTIONS, num_functions))
    if most < num_species:
        directions = embedding[:, :most]
    elif order == 1:
        directions = each
    else:
        first, second = torch.triu_indices(num_species, num_species, offset=1)
        directions = torch.cat([each, each[:, first] + each[:, second]], dim=1)[:, :most]
    channel, width = torch.arange(num_channels), directions.shape[1]
    return directions[:, channel % width], channel // width
