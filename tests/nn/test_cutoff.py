"""f_c(r): its value and slope at the centre, on the way and at the cutoff."""

import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from nnmd_graph.nn.cutoff import (
    CUTOFF_FUNCTIONS,
    cosine_cutoff,
    cutoff_function,
    tanh_cutoff,
    value_and_slope,
)

pytestmark = pytest.mark.usefixtures("float64")
R_C = 4.0
both = pytest.mark.parametrize("fc", CUTOFF_FUNCTIONS.values(), ids=CUTOFF_FUNCTIONS)


def at(*dist: float) -> torch.Tensor:
    return torch.tensor(dist)


def test_cosine_by_hand() -> None:
    # cos(0) = 1, cos(pi/3) = 1/2, cos(pi/2) = 0, cos(2 pi/3) = -1/2
    value = cosine_cutoff(at(0.0, R_C / 3, R_C / 2, 2 * R_C / 3), R_C)
    torch.testing.assert_close(value, at(1.0, 0.75, 0.5, 0.25))


def test_tanh_by_hand() -> None:
    # tanh(ln 2) = (2 - 1/2) / (2 + 1/2) = 3/5
    value = tanh_cutoff(at(0.0, R_C * (1 - math.log(2))), R_C)
    torch.testing.assert_close(value, at(math.tanh(1.0) ** 3, 0.216))


def test_slopes_at_the_centre() -> None:
    _, cosine = value_and_slope(cosine_cutoff, at(0.0), R_C)
    assert cosine.item() == 0.0
    _, tanh = value_and_slope(tanh_cutoff, at(0.0), R_C)
    expected = -3 / R_C * math.tanh(1.0) ** 2 * (1 - math.tanh(1.0) ** 2)
    assert tanh.item() == pytest.approx(expected, rel=1e-14)


def test_slope_half_way() -> None:
    _, cosine = value_and_slope(cosine_cutoff, at(R_C / 2), R_C)
    assert cosine.item() == pytest.approx(-math.pi / (2 * R_C), rel=1e-14)


@both
def test_value_and_slope_vanish_at_the_cutoff_and_beyond(fc) -> None:
    value, slope = value_and_slope(fc, at(R_C, R_C + 1e-9, 2 * R_C, 1e6), R_C)
    assert value.abs().max() == 0.0
    assert slope.abs().max() < 1e-15


@both
def test_value_and_slope_reach_zero_smoothly(fc) -> None:
    step = 1e-6
    value, slope = value_and_slope(fc, at(R_C - step), R_C)
    assert 0.0 <= value.item() < 10 * (step / R_C) ** 2
    assert -10 * step / R_C**2 < slope.item() <= 0.0


@both
def test_slope_is_the_derivative(fc) -> None:
    dist, step = torch.linspace(0.05, 1.2 * R_C, 50), 1e-5
    numerical = (fc(dist + step, R_C) - fc(dist - step, R_C)) / (2 * step)
    torch.testing.assert_close(value_and_slope(fc, dist, R_C)[1], numerical, atol=1e-9, rtol=0)


@both
def test_falls_from_the_centre_to_the_cutoff(fc) -> None:
    value = fc(torch.linspace(0.0, R_C, 1000), R_C)
    assert bool((value[1:] < value[:-1]).all())


@both
def test_derivatives_to_second_order(fc) -> None:
    dist = at(0.3, 1.7, 3.9, 4.1, 9.0).requires_grad_()
    assert gradcheck(lambda r: fc(r, R_C), dist)
    assert gradgradcheck(lambda r: fc(r, R_C), dist)


@both
def test_far_outside_nothing_is_nan(fc) -> None:
    dist = at(1e30, math.inf).requires_grad_()
    (grad,) = torch.autograd.grad(fc(dist, R_C).sum(), dist)
    assert grad.tolist() == [0.0, 0.0]


@both
def test_keeps_the_dtype(fc) -> None:
    assert fc(torch.ones(3, dtype=torch.float32), R_C).dtype == torch.float32


def test_found_by_name() -> None:
    assert cutoff_function("cosine") is cosine_cutoff
    assert cutoff_function("tanh3") is tanh_cutoff


def test_unknown_name() -> None:
    with pytest.raises(ValueError, match=r"`cutoff_function`.*'cosine', 'tanh3'.*'poly'"):
        cutoff_function("poly")
