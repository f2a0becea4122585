"""Elements of a model."""

import numpy as np
import pytest
import torch

from nnmd_graph.nn.species import species_ids, species_tuple


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("O", "H"), (1, 8)),
        ([8, 1, 8, "H"], (1, 8)),
        ("Cu", (29,)),
        (29, (29,)),
        ({6}, (6,)),
        (np.array([29, 3]), (3, 29)),
    ],
)
def test_sorted_and_distinct(given, expected: tuple[int, ...]) -> None:
    assert species_tuple(given) == expected


@pytest.mark.parametrize("given", [("Xx",), (0,), (-1,), (119,), "CuO", "X"])
def test_not_an_element(given) -> None:
    with pytest.raises(ValueError, match=r"`species`.*got .*write for example"):
        species_tuple(given)


def test_none() -> None:
    with pytest.raises(ValueError, match="`species`.*got none"):
        species_tuple([])


def test_local_numbers() -> None:
    assert species_ids(torch.tensor([8, 1, 1, 79]), (1, 8, 79)).tolist() == [1, 0, 0, 2]
    assert species_ids(torch.tensor([], dtype=torch.long), (1, 8)).tolist() == []


@pytest.mark.parametrize("unknown", [1, 7, 92])  # below, between and above
def test_unknown_element(unknown: int) -> None:
    with pytest.raises(ValueError, match=r"`z`.*\['C', 'O'\].*atom 2"):
        species_ids(torch.tensor([6, 8, unknown]), (6, 8))
