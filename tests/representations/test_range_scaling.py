"""Scaling of features as n2p2 does it, fitted on a training set."""

import numpy as np
import pytest
import torch
from torch.autograd import gradgradcheck

from nnmd_graph.representations.range_scaling import KINDS, RangeScaler

pytestmark = pytest.mark.usefixtures("float64")
each_kind = pytest.mark.parametrize("kind", KINDS)


def features(num_atoms: int = 50) -> torch.Tensor:
    return torch.tensor([100.0, 1e-3, 1.0]) * (3.0 + torch.randn(num_atoms, 3))


@each_kind
def test_formulas_by_hand(kind: str) -> None:
    x, species_id = features(), torch.arange(50) % 2
    scaler = RangeScaler(2, 3, kind, s_min=-1.0, s_max=2.0)
    scaler.fit(x, species_id)
    for s in range(2):
        rows = x[species_id == s].numpy()
        low, high, mean = rows.min(0), rows.max(0), rows.mean(0)
        expected = {
            "none": rows,
            "scale": -1.0 + 3.0 * (rows - low) / (high - low),
            "center": rows - mean,
            "scale_center": -1.0 + 3.0 * (rows - mean) / (high - low),
            "sigma": -1.0 + 3.0 * (rows - mean) / rows.std(axis=0, ddof=1),
        }[kind]
        scaled = scaler(x, species_id)[species_id == s].numpy()
        np.testing.assert_allclose(scaled, expected, rtol=1e-13, atol=1e-13)


@each_kind
def test_does_nothing_before_it_is_fitted(kind: str) -> None:
    x, species_id = features(4), torch.tensor([0, 1, 1, 0])
    torch.testing.assert_close(RangeScaler(2, 3, kind)(x, species_id), x)


@each_kind
def test_element_that_the_set_lacks_keeps_its_values(kind: str) -> None:
    scaler = RangeScaler(2, 3, kind)
    scaler.fit(features(), torch.zeros(50, dtype=torch.long))
    x = features(3)
    torch.testing.assert_close(scaler(x, torch.ones(3, dtype=torch.long)), x)


@each_kind
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_feature_that_does_not_vary_is_divided_by_one(kind: str, dtype: torch.dtype) -> None:
    x = features().to(dtype)
    x[:, 1] = 0.25
    x[:, 2] *= 1e-41  # a range that has no inverse in float32
    scaler = RangeScaler(1, 3, kind).to(dtype)
    scaler.fit(x, torch.zeros(50, dtype=torch.long))
    scaled = scaler(x + torch.tensor([0.0, 0.5, 0.0], dtype=dtype), torch.zeros(50).long())
    assert bool(scaled.isfinite().all())
    expected = 0.75 if kind == "none" else 0.5
    torch.testing.assert_close(scaled[:, 1], torch.full((50,), expected, dtype=dtype))


def test_one_atom_is_enough_to_fit() -> None:
    scaler = RangeScaler(1, 3, "sigma")
    scaler.fit(features(1), torch.zeros(1, dtype=torch.long))
    assert bool(scaler(features(2), torch.zeros(2, dtype=torch.long)).isfinite().all())


@each_kind
def test_derivatives(kind: str) -> None:
    scaler, species_id = RangeScaler(2, 3, kind), torch.tensor([0, 1, 0])
    scaler.fit(features(), torch.arange(50) % 2)
    assert gradgradcheck(lambda x: scaler(x, species_id) ** 2, features(3).requires_grad_())


def test_rebuilt_from_plain_values() -> None:
    scaler = RangeScaler(2, 3, "sigma", s_min=-1.0, s_max=1.0)
    scaler.fit(features(), torch.arange(50) % 2)
    again = RangeScaler(**scaler.hyper_parameters())
    again.load_state_dict(scaler.state_dict())
    x, species_id = features(4), torch.tensor([0, 1, 1, 0])
    assert torch.equal(again(x, species_id), scaler(x, species_id))
    assert "2 elements, 3 features, sigma" in repr(scaler)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "minmax"}, "`kind`: expected one of .*'scale_center'.*got 'minmax'"),
        ({"s_max": float("inf")}, "`s_min` and `s_max`: expected finite numbers, got 0.0, inf"),
    ],
)
def test_bad_arguments(arguments, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RangeScaler(1, 2, **arguments)
