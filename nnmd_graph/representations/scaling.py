"""Scaling of features to zero mean and unit width, per element, fitted on the training set."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from nnmd_graph.nn.scatter import take


class FeatureScaler(nn.Module):
    """x' = (x - mean_s) / sigma_s with mean and standard deviation of element s.

    Args:
        num_species: Number of elements S.
        num_features: Number of features F.

    Shapes:
        x [N, F], species_id [N] -> x' [N, F].
    """

    mean: Tensor
    sigma: Tensor

    def __init__(self, num_species: int, num_features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_species, num_features))
        self.register_buffer("sigma", torch.ones(num_species, num_features))

    def forward(self, x: Float[Tensor, "N F"], species_id: Int[Tensor, " N"]) -> Tensor:
        """Scaled features, [N, F]."""
        if len(self.mean) == 1:
            return (x - self.mean) / self.sigma
        return (x - take(self.mean, species_id)) / take(self.sigma, species_id)

    @torch.no_grad()
    def fit(self, x: Float[Tensor, "N F"], species_id: Int[Tensor, " N"]) -> None:
        """Fit to features of a training set; elements that it lacks keep their values.

        A feature that hardly varies is divided by a width that keeps it small instead of blowing
        up its rounding noise.
        """
        for s in range(len(self.mean)):
            rows = x[species_id == s].double()
            if not len(rows):
                continue
            mean = rows.mean(0)
            sigma = (rows - mean).square().mean(0).sqrt()
            floor = 1e-4 * rows.abs().amax(0) + 1e-8
            self.mean[s] = mean
            self.sigma[s] = torch.where(sigma > floor, sigma, torch.ones_like(sigma))
