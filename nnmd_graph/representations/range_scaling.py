"""Scaling of each feature by its range, mean or spread, as n2p2 and RuNNer do it."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from nnmd_graph.errors import check_choice
from nnmd_graph.nn.first_layer import Columns, Moved
from nnmd_graph.nn.scatter import take
from nnmd_graph.representations.feature_moments import Moments
from nnmd_graph.representations.scaler import Scaler, unlike

KINDS = ("none", "scale", "center", "scale_center", "sigma")


class RangeScaler(Scaler):
    r"""x' of each feature by itself, from its statistics over the training set for element s.

    | kind | x' | n2p2 |
    |---|---|---|
    | none | x | |
    | scale | s_min + (s_max - s_min) (x - min_s) / (max_s - min_s) | scale_symmetry_functions |
    | center | x - mean_s | center_symmetry_functions |
    | scale_center | s_min + (s_max - s_min) (x - mean_s) / (max_s - min_s) | both |
    | sigma | s_min + (s_max - s_min) (x - mean_s) / sigma_s | scale_symmetry_functions_sigma |

    sigma_s^2 = sum (x - mean_s)^2 / (n - 1). A feature that does not vary is divided by one.
    Source: A. Singraber et al., J. Chem. Theory Comput. 15, 1827 (2019), doi
    10.1021/acs.jctc.8b00770 (n2p2's ``SymFnc.cpp``). New models train better with
    :class:`nnmd_graph.representations.scaling.FeatureScaler`; this one is for potentials that come
    from n2p2 or go there.

    Args:
        num_species: Number of elements S.
        num_features: Number of features F.
        kind: See the table.
        s_min: Lower end of the scaled range.
        s_max: Upper end of the scaled range.

    Attributes:
        minimum: [S, F]; with maximum, mean and sigma such that nothing is scaled before ``fit``.
        maximum: [S, F].
        mean: [S, F].
        sigma: Standard deviation, [S, F].

    Shapes:
        x [N, F], species_id [N] -> x' [N, F].

    Raises:
        ValueError: If there is no such kind, or s_min and s_max are not finite.
    """

    minimum: Tensor
    maximum: Tensor
    mean: Tensor
    sigma: Tensor

    def __init__(
        self,
        num_species: int,
        num_features: int,
        kind: str = "scale_center",
        s_min: float = 0.0,
        s_max: float = 1.0,
    ) -> None:
        super().__init__()
        check_choice("kind", kind, KINDS)
        if not (math.isfinite(s_min) and math.isfinite(s_max)):
            raise ValueError(
                f"`s_min` and `s_max`: expected finite numbers, got {s_min}, {s_max}; 0, 1"
            )
        self.kind = kind
        self.s_min, self.s_max = float(s_min), float(s_max)
        shape = (num_species, num_features)
        self.register_buffer("minimum", torch.zeros(shape))
        self.register_buffer("maximum", torch.ones(shape))
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("sigma", torch.ones(shape))

    def forward(self, x: Float[Tensor, "N F"], species_id: Int[Tensor, " N"]) -> Tensor:
        """Scaled features, [N, F]."""
        if self.kind == "none":
            return x
        shifted = x - take(self.minimum if self.kind == "scale" else self.mean, species_id)
        if self.kind == "center":
            return shifted
        factor = (self.s_max - self.s_min) / self.width
        return self.s_min + take(factor, species_id) * shifted

    @property
    def width(self) -> Tensor:
        """Divisor of each feature, [S, F]: its range, sigma, or one where that is zero."""
        if self.kind in ("none", "center"):
            return torch.ones_like(self.mean)
        width = self.sigma if self.kind == "sigma" else self.maximum - self.minimum
        # Below the smallest number of the dtype the quotient would overflow.
        return torch.where(width > torch.finfo(width.dtype).tiny, width, 1.0)

    @torch.no_grad()
    def fit_row(
        self, row: int, x: Float[Tensor, "N F"], kept: Bool[Tensor, " F"] | None = None
    ) -> None:
        """Fit the scaling of one element to features of one or more atoms."""
        rows = x.double()
        self.minimum[row] = rows.amin(0)
        self.maximum[row] = rows.amax(0)
        self.mean[row] = rows.mean(0)
        square = (rows - rows.mean(0)).square().sum(0)
        self.sigma[row] = (square / max(len(rows) - 1, 1)).sqrt()

    @torch.no_grad()
    def fitted(self) -> Bool[Tensor, "S F"]:
        """Features whose scaling is no longer that of a new module, [S, F]."""
        start = {"minimum": 0.0, "maximum": 1.0, "mean": 0.0, "sigma": 1.0}
        return ~torch.stack([self.get_buffer(n) == value for n, value in start.items()]).all(0)

    @torch.no_grad()
    def moments(self, row: int) -> Moments:
        """Moments of the features that the scaling of an element was fitted to.

        How features go together is not known to it: they count as independent.
        """
        known = self.fitted()[row]
        mean, sigma = self.mean[row].double().clone(), self.sigma[row].double()
        return Moments(mean, torch.where(known, sigma, 0.0).square().diag())

    @torch.no_grad()
    def hold(
        self, row: int, x: Float[Tensor, "N F"], kept: Bool[Tensor, " F"] | None = None
    ) -> None:
        """Widen the ranges of an element to more atoms; mean and sigma become those of the latter.

        Features that the scaling was not fitted to were zero.
        """
        known = self.fitted()[row]
        low, high = (torch.where(known, v[row], 0.0) for v in (self.minimum, self.maximum))
        self.fit_row(row, x)
        self.minimum[row] = torch.minimum(self.minimum[row], low)
        self.maximum[row] = torch.maximum(self.maximum[row], high)

    def affine(self, row: int) -> tuple[Tensor, Tensor]:
        """A [F, F] and a [F] of x' = x A + a for one element, float64."""
        double = copy.deepcopy(self).double()
        if self.kind == "none":
            return torch.eye(self.mean.shape[1]).to(double.mean), torch.zeros_like(double.mean[row])
        shift = double.minimum if self.kind == "scale" else double.mean
        if self.kind == "center":
            return torch.eye(len(shift[row])).to(shift), -shift[row]
        factor = (self.s_max - self.s_min) / double.width[row]
        return factor.diag(), self.s_min - factor * shift[row]

    @torch.no_grad()
    def carry_row(self, old: Scaler, o: int, s: int, columns: Columns) -> Moved:
        """Take over the scaling of one element, see :meth:`Scaler.carry_row`."""
        if not isinstance(old, RangeScaler):
            raise unlike(old, self)
        n, size = len(columns), old.mean.shape[1]
        for name in ("minimum", "maximum", "mean", "sigma"):
            self.get_buffer(name)[s, columns] = old.get_buffer(name)[o, :n].to(self.mean)
        zero = old(old.mean.new_zeros(1, size), torch.tensor([o]))[0].double()
        constant = torch.zeros(size, dtype=torch.float64)
        constant[n:] = zero[n:]
        return Moved(columns, torch.eye(size, dtype=torch.float64)[:, :n], constant)

    def hyper_parameters(self) -> dict[str, Any]:
        """Plain values that rebuild this module."""
        num_species, num_features = self.mean.shape
        return {
            "num_species": num_species,
            "num_features": num_features,
            "kind": self.kind,
            "s_min": self.s_min,
            "s_max": self.s_max,
        }

    def extra_repr(self) -> str:
        """Sizes for ``print``."""
        num_species, num_features = self.mean.shape
        return f"{num_species} elements, {num_features} features, {self.kind}"
