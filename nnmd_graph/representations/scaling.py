"""Scaling of features to zero mean, unit width and no correlation, fitted on the training set."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from nnmd_graph.nn.scatter import take


def whitening(
    rows: Float[Tensor, "N F"], ridge: float
) -> tuple[Float[Tensor, " F"], Float[Tensor, "F F"]]:
    """Mean and matrix of :class:`FeatureScaler`, the smallest principal component first, float64.

    Args:
        rows: Features of one or more atoms, float64.
        ridge: Variance below which a direction counts as noise.
    """
    mean = rows.mean(0)
    sigma = (rows - mean).square().mean(0).sqrt()
    # A feature that does not vary says nothing: dividing would blow up its rounding noise.
    constant = sigma <= 1e-6 * rows.abs().amax(0) + 1e-12
    sigma = torch.where(constant, torch.ones_like(sigma), sigma)
    z = (rows - mean) / sigma
    variance, axes = torch.linalg.eigh(z.T @ z / len(z))
    return mean, axes / (variance.clamp(min=0.0) + ridge).sqrt() / sigma.unsqueeze(-1)


class FeatureScaler(nn.Module):
    r"""x' = ((x - mean_s) / sigma_s) U_s (Lambda_s + ridge)^(-1/2), s the element of the atom.

    sigma is the standard deviation and U Lambda U^T the correlation matrix of the features of
    element s. Neighbouring symmetry functions carry nearly the same numbers (correlations above
    0.99); without taking that out, gradient descent sees a few directions only and needs many
    times more epochs. ``ridge`` keeps directions that hardly vary from being blown up, which would
    fit the training set and little else (mlearn Si: test force MAE 106 meV/Å with 1e-3, 95 with
    0.1).

    Args:
        num_species: Number of elements S.
        num_features: Number of features F.
        ridge: Variance, in units of a scaled feature's, below which a direction counts as noise.

    Shapes:
        x [N, F], species_id [N] -> x' [N, F].
    """

    mean: Tensor
    matrix: Tensor

    def __init__(self, num_species: int, num_features: int, ridge: float = 0.1) -> None:
        super().__init__()
        if not 0.0 < ridge < math.inf:
            raise ValueError(f"`ridge` must be a positive number, got {ridge}; 0.1 is the default")
        self.ridge = float(ridge)
        self.register_buffer("mean", torch.zeros(num_species, num_features))
        self.register_buffer("matrix", torch.eye(num_features).repeat(num_species, 1, 1))

    def forward(self, x: Float[Tensor, "N F"], species_id: Int[Tensor, " N"]) -> Tensor:
        """Scaled features, [N, F]."""
        if len(self.mean) == 1:
            return (x - self.mean) @ self.matrix[0]
        scaled = torch.zeros_like(x)
        for s, (mean, matrix) in enumerate(zip(self.mean, self.matrix, strict=True)):
            atoms = torch.nonzero(species_id == s).squeeze(-1)
            scaled = scaled.index_add(0, atoms, (take(x, atoms) - mean) @ matrix)
        return scaled

    @torch.no_grad()
    def fit(self, x: Float[Tensor, "N F"], species_id: Int[Tensor, " N"]) -> None:
        """Fit to features of a training set; elements that it lacks keep their values."""
        for s in range(len(self.mean)):
            rows = x[species_id == s].double()
            if not len(rows):
                continue
            self.mean[s], self.matrix[s] = whitening(rows, self.ridge)

    def hyper_parameters(self) -> dict[str, Any]:
        """Plain values that rebuild this module."""
        num_species, num_features = self.mean.shape
        return {"num_species": num_species, "num_features": num_features, "ridge": self.ridge}

    def extra_repr(self) -> str:
        """Sizes for ``print``."""
        return f"{self.mean.shape[0]} elements, {self.mean.shape[1]} features, ridge={self.ridge}"
