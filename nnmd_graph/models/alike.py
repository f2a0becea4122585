"""New elements taken for the known ones that are nearest, where features are concerned.

A symmetry function is a sum over neighbours, or over pairs of them. With the atoms of a new element
Y taken for those of a known element X, that of neighbours X is

    x~_X = x_X + x_Y,     x~_XX = x_XX + x_XY + x_YY,

so x~ = x M for a constant matrix M of zeros and ones, and functions of Y are left empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from nnmd_graph.models.carry_over import nearest_element
from nnmd_graph.representations.acsf import ACSF


def merged_features(
    acsf: ACSF, known: Sequence[int], num_features: int, num_rows: int
) -> list[Float[Tensor, "F F"]] | None:
    """M for each row of a feature scaling, float64; None where no element is new.

    Args:
        acsf: Of a potential that was extended by elements.
        known: Elements that it had before.
        num_features: F.
        num_rows: One for each element, or 1 for all of them, which then have functions in common.
    """
    if set(acsf.species) <= set(known) or num_rows not in (1, len(acsf.species)):
        return None
    alike = {z: nearest_element(z, known) for z in acsf.species}
    found = []
    for z in acsf.species[:num_rows]:
        functions = acsf.functions_of(z)
        place = {f: k for k, f in enumerate(functions)}
        merged = torch.eye(num_features, dtype=torch.float64)
        for k, f in enumerate(functions):
            neighbors: Any = f.neighbors or ()  # numbers, since it is part of a set
            names = sorted(alike[n] for n in neighbors)
            target = place.get(replace(f, neighbors=tuple(names))) if names else None
            if target is not None and target != k:
                merged[k, k], merged[k, target] = 0.0, 1.0
        found.append(merged)
    return found
