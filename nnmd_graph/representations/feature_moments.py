"""Mean and covariance of features."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """First and second moments of the features of some atoms, float64.

    Attributes:
        mean: [F].
        covariance: [F, F]; zero for features that do not vary.
    """

    mean: Float[Tensor, " F"]
    covariance: Float[Tensor, "F F"]

    @classmethod
    def of(cls, rows: Float[Tensor, "N F"]) -> Moments:
        """Moments of the features of one or more atoms."""
        rows = rows.double()
        mean = rows.mean(0)
        shifted = rows - mean
        # A constant feature carries no information: division would amplify its rounding noise.
        constant = shifted.square().mean(0).sqrt() <= 1e-6 * rows.abs().amax(0) + 1e-12
        shifted = shifted * ~constant
        return cls(mean, shifted.mT @ shifted / len(rows))

    @property
    def sigma(self) -> Float[Tensor, " F"]:
        """Standard deviation of each feature, [F]."""
        return self.covariance.diagonal().clamp(min=0.0).sqrt()

    def about(self, centre: Float[Tensor, " F"]) -> Float[Tensor, "F F"]:
        """Second moment about a point, [F, F]."""
        step = self.mean - centre
        return self.covariance + torch.outer(step, step)
