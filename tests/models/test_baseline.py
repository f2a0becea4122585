"""Isolated-atom energies and the scale of the net's output."""

import copy
import math

import pytest
import torch

from nnmd_graph.models.baseline import Baseline


def test_energy_by_hand() -> None:
    baseline = Baseline((1, 8))
    baseline.set({1: -13.6, 8: -432.1, 92: 0.0}, scale=2.0)
    energy = baseline(torch.tensor([0.5, -1.0, 0.0]), torch.tensor([1, 0, 1]))
    expected = torch.tensor([-431.1, -15.6, -432.1], dtype=torch.float64)
    torch.testing.assert_close(energy, expected)


def test_does_nothing_before_it_is_set() -> None:
    baseline, e = Baseline((1, 8)), torch.randn(3)
    assert torch.equal(baseline(e, torch.tensor([0, 1, 0])), e.double())
    assert not bool(baseline.fitted)


def test_large_energies_keep_their_digits_in_float32() -> None:
    energies = {29: -45123.456789012345}
    for cast in (lambda m: m.float(), lambda m: m.to("cpu", torch.float32), lambda m: m.half()):
        baseline = Baseline((29,))
        baseline.set(energies, scale=1.0)
        baseline = cast(copy.deepcopy(baseline).double())
        assert baseline.isolated_energies.dtype == torch.float64
        assert baseline.isolated_energies.item() == energies[29]
        energy = baseline(torch.zeros(1, dtype=baseline.scale.dtype), torch.tensor([0]))
        assert energy.dtype == torch.float64 and energy.item() == energies[29]
        assert bool(baseline.fitted)


def test_setting_changes_buffers_in_place() -> None:
    """Whoever holds the buffers (an averaged model, a compiled one) sees the new values."""
    baseline = Baseline((1,))
    held = baseline.isolated_energies
    baseline.set({1: -1.0}, scale=3.0)
    assert held.item() == -1.0


def test_every_element_needs_an_energy() -> None:
    with pytest.raises(ValueError, match=r"`isolated_energies`.*none for \[8\]"):
        Baseline((1, 8)).set({1: -13.6}, scale=1.0)


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan])
def test_scale_is_positive(scale: float) -> None:
    with pytest.raises(ValueError, match="`scale`: expected a positive number, got"):
        Baseline((1,)).set({1: 0.0}, scale=scale)
