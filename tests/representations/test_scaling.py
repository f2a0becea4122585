"""Scaling of features, fitted on a training set."""

import pytest
import torch
from torch.autograd import gradgradcheck

from nnmd_graph.representations.scaling import FeatureScaler

pytestmark = pytest.mark.usefixtures("float64")


def correlated(num_atoms: int = 400) -> torch.Tensor:
    """Features of very different size that follow each other closely."""
    x = torch.randn(num_atoms, 3)
    close = x[:, :1] + 0.1 * torch.randn(num_atoms, 1)
    return torch.cat([100.0 + 5.0 * x[:, :1], 1e-3 * close, x[:, 1:]], dim=1)


def test_does_nothing_before_it_is_fitted() -> None:
    x, species_id = correlated(5), torch.tensor([0, 1, 0, 1, 1])
    assert torch.equal(FeatureScaler(2, 4)(x, species_id), x)


def test_zero_mean_unit_width_and_uncorrelated() -> None:
    x, species_id = correlated(), torch.zeros(400, dtype=torch.long)
    scaler = FeatureScaler(1, 4, ridge=1e-12)
    scaler.fit(x, species_id)
    scaled = scaler(x, species_id)
    torch.testing.assert_close(scaled.mean(0), torch.zeros(4), atol=1e-9, rtol=0)
    torch.testing.assert_close(scaled.T @ scaled / 400, torch.eye(4), atol=1e-6, rtol=0)


def test_ridge_holds_noise_down() -> None:
    """Two copies of one feature: their difference is rounding, and stays small."""
    x, species_id = correlated(), torch.zeros(400, dtype=torch.long)
    x[:, 1] = x[:, 0] + 1e-9 * torch.randn(400)
    scaler = FeatureScaler(1, 4)
    scaler.fit(x, species_id)
    width = scaler(x, species_id).square().mean(0).sqrt()
    assert width.max() < 1.0 + 1e-9
    assert width.min() < 1e-6


def test_each_element_has_its_own() -> None:
    x, species_id = correlated(), torch.arange(400) % 2
    x[species_id == 1] *= 3.0
    both, first, second = FeatureScaler(2, 4), FeatureScaler(1, 4), FeatureScaler(1, 4)
    both.fit(x, species_id)
    for s, one in enumerate((first, second)):
        rows = x[species_id == s]
        same = torch.zeros(200, dtype=torch.long)
        one.fit(rows, same)
        torch.testing.assert_close(both(x, species_id)[species_id == s], one(rows, same))


def test_element_that_the_set_lacks_keeps_its_values() -> None:
    scaler = FeatureScaler(2, 4)
    scaler.fit(correlated(), torch.zeros(400, dtype=torch.long))
    x = correlated(3)
    assert torch.equal(scaler(x, torch.ones(3, dtype=torch.long)), x)


@pytest.mark.parametrize("constant", [0.0, 7.3, 1e-9])
def test_feature_that_does_not_vary_is_not_blown_up(constant: float) -> None:
    x, species_id = correlated(), torch.zeros(400, dtype=torch.long)
    x[:, 2] = constant * (1 + 1e-15 * torch.randn(400))
    scaler = FeatureScaler(1, 4)
    scaler.fit(x, species_id)
    scaled = scaler(x, species_id)
    assert bool(scaled.isfinite().all())
    assert scaled.square().mean(0).sqrt().max() < 1.0 + 1e-9
    nearby = x.clone()
    nearby[:, 2] += 1e-6
    assert (scaler(nearby, species_id) - scaled).abs().max() < 1e-3


def test_one_atom_is_enough_to_fit() -> None:
    scaler = FeatureScaler(1, 4)
    scaler.fit(correlated(1), torch.zeros(1, dtype=torch.long))
    assert bool(scaler(correlated(3), torch.zeros(3, dtype=torch.long)).isfinite().all())


def test_float32_is_fitted_in_float64() -> None:
    x, species_id = correlated(), torch.zeros(400, dtype=torch.long)
    double, single = FeatureScaler(1, 4), FeatureScaler(1, 4).to(torch.float32)
    double.fit(x.float().double(), species_id)
    single.fit(x.float(), species_id)
    for name, buffer in single.named_buffers():
        assert buffer.dtype == torch.float32
        torch.testing.assert_close(buffer, double.get_buffer(name).float())


@pytest.mark.parametrize("num_species", [1, 2])
def test_derivatives(num_species: int) -> None:
    scaler = FeatureScaler(num_species, 4)
    scaler.fit(correlated(), torch.arange(400) % num_species)
    species_id = torch.tensor([0, 1, 0]) % num_species
    assert gradgradcheck(lambda x: scaler(x, species_id) ** 2, correlated(3).requires_grad_())
