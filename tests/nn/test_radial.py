"""Radial bases: their formulas, and what happens at the cutoff and near the atom."""

import math

import numpy as np
import pytest
import torch

from nnmd_graph.nn.cutoff import smooth_step
from nnmd_graph.nn.radial import RADIAL_BASES, RadialBasis, envelope

pytestmark = pytest.mark.usefixtures("float64")
R_C = 4.3

each_kind = pytest.mark.parametrize("kind", RADIAL_BASES)


@pytest.mark.parametrize("p", [2, 3, 5, 8])
def test_envelope_is_the_published_polynomial(p: int) -> None:
    x = torch.linspace(0.0, 1.0, 41)
    a, b, c = (p + 1) * (p + 2) / 2, p * (p + 2), p * (p + 1) / 2
    expected = 1.0 - a * x**p + b * x ** (p + 1) - c * x ** (p + 2)
    torch.testing.assert_close(envelope(x, p), expected, rtol=0, atol=1e-13 * a)
    assert envelope(torch.zeros(1), p).item() == 1.0
    assert not envelope(torch.tensor([1.0, 1.5, 9.0]), p).any()


def test_envelope_of_three_is_the_smooth_step_of_two() -> None:
    x = torch.linspace(0.0, 1.0, 41)
    torch.testing.assert_close(envelope(x, 3), smooth_step(x, 2)[0])


def test_bessel_functions_by_hand() -> None:
    edge_dist = torch.tensor([0.3, 1.7, 4.0])
    edge_attr, edge_weight = RadialBasis(R_C, 6, "bessel")(edge_dist)
    for e, r in enumerate(edge_dist.tolist()):
        u = 1 - 21 * (r / R_C) ** 5 + 35 * (r / R_C) ** 6 - 15 * (r / R_C) ** 7
        assert edge_weight[e].item() == pytest.approx(u, rel=1e-10)
        for k in range(1, 7):
            expected = math.sqrt(2 / R_C) * math.sin(k * math.pi * r / R_C) / r * u
            assert edge_attr[e, k - 1].item() == pytest.approx(expected, rel=1e-9)


def test_bessel_functions_are_orthonormal_without_the_envelope() -> None:
    """In the ball: the integral of b_k b_l r^2 is one for k = l and zero otherwise."""
    r = (torch.arange(4000) + 0.5) * R_C / 4000
    edge_attr, edge_weight = RadialBasis(R_C, 5, "bessel")(r)
    bare = edge_attr / edge_weight[:, None] * r[:, None]
    keep = edge_weight > 1e-9
    overlap = bare[keep].T @ bare[keep] * R_C / 4000
    torch.testing.assert_close(overlap, torch.eye(5), rtol=0, atol=1e-4)


def test_gaussians_by_hand() -> None:
    edge_dist = torch.tensor([0.3, 1.7, 4.0])
    edge_attr, edge_weight = RadialBasis(R_C, 7, "gaussian")(edge_dist)
    d = R_C / 6
    for e, r in enumerate(edge_dist.tolist()):
        for k in range(7):
            expected = math.exp(-((r - k * d) ** 2) / (2 * d**2)) * edge_weight[e].item()
            assert edge_attr[e, k].item() == pytest.approx(expected, rel=1e-10)


@each_kind
def test_zero_with_zero_slope_at_the_cutoff(kind: str) -> None:
    basis = RadialBasis(R_C, 8, kind)
    steps = torch.tensor([1e-3, 1e-4])
    edge_attr, edge_weight = basis(R_C - steps)
    # Three factors (1 - r / r_c): a step of a tenth leaves a thousandth
    assert edge_attr.abs().max() < 1e-7 and edge_weight.max() < 1e-8
    ratio = (edge_attr[1] / edge_attr[0]).numpy()
    assert np.all(ratio < 1.2e-3)
    beyond = torch.tensor([R_C, R_C + 1e-9, 2 * R_C])
    assert not basis(beyond)[0].any() and not basis(beyond)[1].any()


@each_kind
def test_derivatives_to_second_order(kind: str) -> None:
    basis = RadialBasis(R_C, 4, kind)
    r = torch.tensor([0.4, 2.2, 4.25], requires_grad=True)
    assert torch.autograd.gradcheck(basis, (r,))
    assert torch.autograd.gradgradcheck(basis, (r,))


@each_kind
def test_no_edges(kind: str) -> None:
    edge_attr, edge_weight = RadialBasis(R_C, 4, kind)(torch.zeros(0))
    assert edge_attr.shape == (0, 4) and edge_weight.shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cutoff": 4.0, "kind": "besel"}, "`radial`: expected one of"),
        ({"cutoff": 4.0, "num_rbf": 1}, "`num_rbf` and `exponent`: expected at least 2"),
        ({"cutoff": 4.0, "exponent": 1}, "`num_rbf` and `exponent`: expected at least 2"),
        ({"cutoff": 0.0}, "`cutoff` positive"),
        ({"cutoff": float("nan")}, "`cutoff` positive"),
    ],
)
def test_errors(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RadialBasis(**arguments)
