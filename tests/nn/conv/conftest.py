"""Random atoms with pairs of neighbours, named once, and the same pairs in both directions."""

import pytest
import torch
from torch import Tensor

from nnmd_graph.nn.conv.registry import both_ways

WIDTH, NUM_RBF, NUM_ATOMS = 6, 4, 5


@pytest.fixture
def x(float64: None) -> Tensor:
    return torch.randn(NUM_ATOMS, WIDTH)


@pytest.fixture
def pairs(float64: None) -> dict[str, Tensor]:
    """Atom 4 has no neighbours, 0 sees an image of itself, 1 and 2 are neighbours twice."""
    edge_index = torch.tensor([[1, 2, 0, 2, 3, 2], [0, 0, 0, 1, 1, 1]])
    edge_weight = torch.rand(6)
    return {
        "edge_index": edge_index,
        "edge_attr": torch.randn(6, NUM_RBF) * edge_weight[:, None],
        "edge_weight": edge_weight,
        "edge_unit": torch.nn.functional.normalize(torch.randn(6, 3)),
    }


@pytest.fixture
def edges(pairs: dict[str, Tensor]) -> dict[str, Tensor]:
    return both_ways(pairs)
