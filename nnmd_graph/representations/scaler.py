"""Contract of feature scalings: x -> x', fitted to a training set, carried over to new data."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from nnmd_graph.nn.first_layer import Columns, Moved
from nnmd_graph.nn.part import Part
from nnmd_graph.representations.feature_moments import Moments

Own = TypeVar("Own", bound="Scaler")


class Scaler(Part):
    """Scaling of features, x' = x A + a with A and a for each element, or one for all of them.

    Attributes:
        mean: [S, F], or [1, F] for a scaling that all elements share.

    Shapes:
        x [N, F], species_id [N] -> x' [N, F].
    """

    mean: Tensor

    @abstractmethod
    def forward(self, x: Float[Tensor, "N F"], species_id: Int[Tensor, " N"]) -> Tensor:
        """Scaled features, [N, F]."""

    @torch.no_grad()
    def fit(
        self,
        x: Float[Tensor, "N F"],
        species_id: Int[Tensor, " N"],
        kept: Bool[Tensor, " F"] | None = None,
    ) -> None:
        """Fit to features of a training set; elements that it lacks keep their values.

        Args:
            x: Features.
            species_id: Local element numbers.
            kept: Features that enter, the others are combinations of them; None: all.
        """
        for row in range(len(self.mean)):
            atoms = self.rows(x, species_id, row)
            if len(atoms):
                self.fit_row(row, atoms, kept)

    def rows(self, x: Tensor, species_id: Tensor, row: int) -> Tensor:
        """Features of the atoms that row ``row`` of the scaling is for."""
        return x if len(self.mean) == 1 else x[species_id == row]

    @abstractmethod
    def fit_row(
        self, row: int, x: Float[Tensor, "N F"], kept: Bool[Tensor, " F"] | None = None
    ) -> None:
        """Fit one row to features of one or more atoms."""

    def hold(
        self, row: int, x: Float[Tensor, "N F"], kept: Bool[Tensor, " F"] | None = None
    ) -> None:
        """Extend a fitted row to the atoms of new data."""
        self.fit_row(row, x, kept)

    @abstractmethod
    def fitted(self) -> Bool[Tensor, "S F"]:
        """Features whose scaling is no longer that of a new module, [S, F]."""

    def kept(self, row: int) -> Bool[Tensor, " F"]:
        """Features of a row that enter."""
        return torch.ones_like(self.mean[row], dtype=torch.bool)

    @abstractmethod
    def moments(self, row: int) -> Moments:
        """Moments of the features that a row was fitted to."""

    @abstractmethod
    def affine(self, row: int) -> tuple[Float[Tensor, "F F"], Float[Tensor, " F"]]:
        """A and a of x' = x A + a for one row, float64."""

    def replace(self, row: int, matrix: Float[Tensor, "F F"]) -> None:
        """Replace A in a row, if the scaling can hold any A; here: it cannot."""

    # -- more elements -----------------------------------------------------------------------------
    def extended(self: Own, num_species: int, num_features: int) -> Own:
        """A new scaling of this kind for so many elements and features."""
        sizes = {"num_species": num_species, "num_features": num_features}
        values = self.hyper_parameters()
        return type(self).from_hyper_parameters(
            values | {name: size for name, size in sizes.items() if name in values}
        )

    @abstractmethod
    def carry_row(self, old: Scaler, o: int, s: int, columns: Columns) -> Moved:
        """Take over the scaling of one element.

        Columns beyond the n functions of an element, which are there for other elements, may come
        to hold something else: what they add to a linear map W is constant.

        Args:
            old: Of the same kind.
            o: Number of the element there.
            s: Number of the element here.
            columns: Column here of each of its n features.

        Raises:
            ValueError: If the other scaling is of another kind.
        """


def carry_row(
    old: Scaler | None, o: int, new: Scaler | None, s: int, columns: Columns, size: int
) -> Moved:
    """The same where there may be no scaling, for ``size`` features.

    Raises:
        ValueError: If only one of them is None, or their kinds differ.
    """
    if old is not None and new is not None:
        return new.carry_row(old, o, s, columns)
    if old is not None or new is not None:
        raise unlike(old, new)
    turn = torch.eye(size, dtype=torch.float64)[:, : len(columns)]
    return Moved(columns, turn, torch.zeros(size, dtype=torch.float64))


def unlike(old: Any, new: Any) -> ValueError:
    """The error for two scalings of different kinds."""
    return ValueError(
        f"`scaler`: expected a FeatureScaler, a RangeScaler or None, got {type(old).__name__} "
        f"and {type(new).__name__}; only two of one kind can be carried over"
    )
