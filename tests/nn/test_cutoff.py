"""f_c(r): its value and slope at the centre, on the way and at the cutoff."""

import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from nnmd_graph.nn.cutoff import CUTOFF_FUNCTIONS, NO_INNER_RADIUS, CutoffFunction, smooth_step

pytestmark = pytest.mark.usefixtures("float64")
R_C = 4.0
SMOOTH = [CutoffFunction(name) for name in CUTOFF_FUNCTIONS if name != "hard"]
INNER = [CutoffFunction(name, 0.35) for name in CUTOFF_FUNCTIONS if name not in NO_INNER_RADIUS]
smooth = pytest.mark.parametrize("fc", SMOOTH + INNER, ids=lambda fc: f"{fc.name}-{fc.inner}")
inner = pytest.mark.parametrize("fc", INNER, ids=lambda fc: fc.name)


def at(*dist: float) -> torch.Tensor:
    return torch.tensor(dist)


def test_cosine_by_hand() -> None:
    # cos(0) = 1, cos(pi/3) = 1/2, cos(pi/2) = 0, cos(2 pi/3) = -1/2
    value = CutoffFunction("cosine")(at(0.0, R_C / 3, R_C / 2, 2 * R_C / 3), R_C)
    torch.testing.assert_close(value, at(1.0, 0.75, 0.5, 0.25))


def test_tanh_by_hand() -> None:
    # tanh(ln 2) = (2 - 1/2) / (2 + 1/2) = 3/5
    dist = at(0.0, R_C * (1 - math.log(2)))
    value = CutoffFunction("tanh3")(dist, R_C)
    torch.testing.assert_close(value, at(math.tanh(1.0) ** 3, 0.216))
    normalized = CutoffFunction("tanh3_normalized")(dist, R_C)
    torch.testing.assert_close(normalized, value / math.tanh(1.0) ** 3)


def test_exponential_by_hand() -> None:
    value = CutoffFunction("exponential")(at(0.0, R_C / 2), R_C)
    torch.testing.assert_close(value, at(1.0, math.exp(-1.0 / 3.0)))


@pytest.mark.parametrize(
    ("order", "coefficients"),
    [
        # as printed in REPORT.md and in n2p2's CoreFunction, highest power first
        (1, (2, -3, 0, 1)),
        (2, (-6, 15, -10, 0, 0, 1)),
        (3, (20, -70, 84, -35, 0, 0, 0, 1)),
        (4, (-70, 315, -540, 420, -126, 0, 0, 0, 0, 1)),
    ],
)
def test_polynomials_by_their_coefficients(order: int, coefficients: tuple[int, ...]) -> None:
    x = torch.linspace(0.0, 1.0, 21)
    expected = torch.zeros_like(x)
    for c in coefficients:
        expected = expected * x + c
    torch.testing.assert_close(smooth_step(x, order)[0], expected, rtol=0, atol=1e-13)
    torch.testing.assert_close(
        CutoffFunction(f"poly{order}")(x * R_C, R_C), expected, atol=1e-13, rtol=0
    )


def test_hard_is_a_step() -> None:
    value, slope = CutoffFunction("hard").value_and_slope(at(0.1, 3.999, 4.0, 5.0), R_C)
    assert value.tolist() == [1.0, 1.0, 0.0, 0.0] and slope.tolist() == [0.0] * 4


def test_slopes_at_the_centre() -> None:
    _, cosine = CutoffFunction("cosine").value_and_slope(at(0.0), R_C)
    assert abs(cosine.item()) < 1e-15
    _, tanh = CutoffFunction("tanh3").value_and_slope(at(0.0), R_C)
    expected = -3 / R_C * math.tanh(1.0) ** 2 * (1 - math.tanh(1.0) ** 2)
    assert tanh.item() == pytest.approx(expected, rel=1e-14)


@smooth
def test_value_and_slope_vanish_at_the_cutoff_and_beyond(fc) -> None:
    value, slope = fc.value_and_slope(at(R_C, R_C + 1e-9, 2 * R_C, 1e6), R_C)
    assert value.abs().max() == 0.0
    assert slope.abs().max() == 0.0


@smooth
def test_value_and_slope_reach_zero_smoothly(fc) -> None:
    step = 1e-6
    value, slope = fc.value_and_slope(at(R_C - step), R_C)
    assert 0.0 <= value.item() < 20 * (step / R_C) ** 2
    assert -40 * step / R_C**2 < slope.item() <= 0.0


@inner
def test_one_up_to_the_inner_radius(fc) -> None:
    value, slope = fc.value_and_slope(at(0.0, 0.2, 0.35 * R_C), R_C)
    assert (value - 1.0).abs().max() < 1e-15 and slope.abs().max() < 1e-14
    whole = CutoffFunction(fc.name)
    middle = at(0.35 * R_C + 0.5 * 0.65 * R_C)
    torch.testing.assert_close(fc(middle, R_C), whole(at(0.5 * R_C), R_C))


@smooth
def test_slope_is_the_derivative(fc) -> None:
    dist, step = torch.linspace(0.05, 1.2 * R_C, 50), 1e-5
    numerical = (fc(dist + step, R_C) - fc(dist - step, R_C)) / (2 * step)
    torch.testing.assert_close(fc.value_and_slope(dist, R_C)[1], numerical, atol=1e-8, rtol=0)


@smooth
def test_falls_from_the_centre_to_the_cutoff(fc) -> None:
    value = fc(torch.linspace(0.0, R_C, 1000), R_C)
    assert bool((value[1:] <= value[:-1] + 1e-15).all()) and value[-1] == 0.0


@smooth
def test_derivatives_to_second_order(fc) -> None:
    dist = at(0.3, 1.7, 3.9, 4.1, 9.0).requires_grad_()
    assert gradcheck(lambda r: fc(r, R_C), dist)
    assert gradgradcheck(lambda r: fc(r, R_C), dist)


@smooth
def test_far_outside_nothing_is_nan(fc) -> None:
    dist = at(1e30, math.inf).requires_grad_()
    (grad,) = torch.autograd.grad(fc(dist, R_C).sum(), dist)
    assert grad.tolist() == [0.0, 0.0]


@smooth
def test_keeps_the_dtype(fc) -> None:
    assert fc(torch.ones(3, dtype=torch.float32), R_C).dtype == torch.float32


def test_unknown_name() -> None:
    with pytest.raises(ValueError, match=r"`cutoff_function`.*'cosine', 'exponential'.*'poly'"):
        CutoffFunction("poly")


def test_inner_radius_is_a_fraction_and_not_for_all() -> None:
    with pytest.raises(ValueError, match=r"`inner_cutoff`: expected a fraction.*got 1.0"):
        CutoffFunction("cosine", 1.0)
    with pytest.raises(
        ValueError, match=r"`inner_cutoff`: expected 0 for 'tanh3'.*no inner radius"
    ):
        CutoffFunction("tanh3", 0.2)
