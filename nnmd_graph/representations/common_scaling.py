"""Scaling of features in common for all elements, for a net that all of them share."""

from __future__ import annotations

from typing import Any

from nnmd_graph.representations.scaling import FeatureScaler


class CommonScaler(FeatureScaler):
    """x' = ((x - mean) / sigma) U (Lambda + ridge)^(-1/2), the same for the atoms of all elements.

    A scaling of its own for each element would hide from a shared net what elements have in
    common: equal surroundings would no longer have equal features.

    Args:
        num_features: Number of features F.
        ridge: See :class:`nnmd_graph.representations.scaling.FeatureScaler`.

    Shapes:
        x [N, F], species_id [N] -> x' [N, F].
    """

    def __init__(self, num_features: int, ridge: float = 0.1) -> None:
        super().__init__(1, num_features, ridge)

    def hyper_parameters(self) -> dict[str, Any]:
        """Plain values that rebuild this module."""
        return {"num_features": self.mean.shape[1], "ridge": self.ridge}
