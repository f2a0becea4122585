"""A tensor of another shape than a signature promises is found while the tests run."""

import pytest
import torch
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import Float
from torch import Tensor

from nnmd_graph.graph import triplets
from nnmd_graph.representations.scaling import FeatureScaler

from .shape_checks import checked

ZEROS = torch.zeros(4, dtype=torch.long)


def found(function, *arguments) -> bool:
    try:
        function(*arguments)
    except BeartypeCallHintViolation:
        return True
    return False


def twice(x: Float[Tensor, "N F"]) -> Float[Tensor, "N F"]:
    """Wrong: it gives 2 N rows."""
    return torch.cat([x, x])


def test_functions_methods_and_what_no_grad_wraps() -> None:
    scaler = FeatureScaler(1, 2)
    assert found(triplets, torch.zeros(3, 2, dtype=torch.long), 3)
    assert found(scaler.forward, torch.zeros(4), ZEROS)
    assert found(scaler.fit, torch.zeros(4), ZEROS)
    assert not found(scaler.fit, torch.randn(4, 2), ZEROS)


def test_a_letter_is_one_number_in_arguments_and_result() -> None:
    assert found(FeatureScaler(1, 2).forward, torch.zeros(3, 2), ZEROS)
    assert found(checked(twice), torch.zeros(2, 3))


def test_users_errors_are_those_of_the_package() -> None:
    with pytest.raises(Exception) as error:  # noqa: B017
        triplets(torch.zeros(3, 2), 3)
    assert not isinstance(error.value, BeartypeCallHintViolation)
