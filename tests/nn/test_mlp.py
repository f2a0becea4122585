"""Multilayer perceptrons, one for all or one per element."""

import math

import pytest
import torch
from torch import nn
from torch.autograd import gradgradcheck

from nnmd_graph.nn.mlp import ACTIVATIONS, MLP, ElementMLP

pytestmark = pytest.mark.usefixtures("float64")


def test_mlp_by_hand() -> None:
    net = MLP(3, (4, 2))
    x = torch.randn(5, 3)
    first, second, last = (m for m in net.layers if isinstance(m, nn.Linear))
    y = torch.tanh(x @ first.weight.T + first.bias)
    y = torch.tanh(y @ second.weight.T + second.bias)
    torch.testing.assert_close(net(x), y @ last.weight.T + last.bias)
    torch.testing.assert_close(net.hidden(x), y)
    assert net.last is last


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_smooth_to_second_order(activation: str) -> None:
    net = MLP(2, (3,), activation=activation)
    assert gradgradcheck(net, torch.randn(4, 2, requires_grad=True))


# n2p2's code, NeuralNetwork::propagateLayer
N2P2 = {
    "identity": lambda x: x,
    "tanh": math.tanh,
    "sigmoid": lambda x: 1.0 if x > 35 else 0.0 if x < -35 else 1.0 / (1.0 + math.exp(-x)),
    "softplus": lambda x: x if x > 35 else 0.0 if x < -35 else math.log(1.0 + math.exp(x)),
    "relu": lambda x: max(x, 0.0),
    "gaussian": lambda x: math.exp(-0.5 * x * x),
    "cos": math.cos,
    "revlogistic": lambda x: 1.0 - 1.0 / (1.0 + math.exp(-x)),
    "exponential": lambda x: math.exp(-x),
    "harmonic": lambda x: x * x,
}


@pytest.mark.parametrize("activation", N2P2)
def test_activations_are_those_of_n2p2(activation: str) -> None:
    x = torch.cat([torch.linspace(-60.0, 60.0, 2401), torch.tensor([20.1, 34.9999, 35.0001])])
    expected = torch.tensor([N2P2[activation](value) for value in x.tolist()])
    torch.testing.assert_close(ACTIVATIONS[activation]()(x), expected, rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_softplus_is_smooth_where_it_goes_over_to_the_straight_line(dtype: torch.dtype) -> None:
    x = torch.tensor([20.0, 35.0, 36.0, 90.0], dtype=dtype, requires_grad=True)
    (slope,) = torch.autograd.grad(ACTIVATIONS["softplus"]()(x).sum(), x, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), x)
    torch.testing.assert_close(slope, torch.sigmoid(x))
    assert bool((curvature.abs() < 3e-9).all())


def test_one_activation_per_layer() -> None:
    net = MLP(3, (4, 2), activation=("cos", "identity", "tanh"))
    x = torch.randn(5, 3)
    first, second, last = net.linears
    y = second(torch.cos(first(x)))
    torch.testing.assert_close(net.hidden(x), y)
    torch.testing.assert_close(net(x), torch.tanh(last(y)))
    assert net.last is last and net.activation == ("cos", "identity", "tanh")


@pytest.mark.parametrize("activation", [("tanh", "tanh"), ("tanh",) * 4, ()])
def test_wrong_number_of_activations(activation) -> None:
    with pytest.raises(ValueError, match=r"`activation`.*each of 3 layers, the output.*last, got"):
        MLP(3, (4, 2), activation=activation)


def test_no_hidden_layer_is_linear() -> None:
    net = MLP(3, ())
    x = torch.randn(2, 3)
    torch.testing.assert_close(net(2 * x), 2 * net(x))
    assert net.hidden(x) is x


def test_starts_without_bias() -> None:
    assert MLP(3, (8, 8))(torch.zeros(1, 3)).item() == 0.0


def test_unknown_activation() -> None:
    for activation in ("tahn", ("tanh", "tahn")):
        with pytest.raises(ValueError, match=r"`activation`.*'silu'.*got 'tahn'.*smooth"):
            MLP(2, (3,), activation=activation)


@pytest.mark.parametrize("hidden", [(0,), (8, -1), (2.5,), 8])
def test_bad_widths(hidden) -> None:
    with pytest.raises(ValueError, match=r"`hidden_channels`.*positive integers, got .*\(32, 32\)"):
        MLP(2, hidden)


def test_each_atom_goes_through_the_net_of_its_element() -> None:
    net = ElementMLP(3, 4, (5,))
    x, species_id = torch.randn(6, 4), torch.tensor([2, 0, 2, 2, 0, 0])  # nobody is a 1
    expected = [net.nets[s](row[None]).item() for row, s in zip(x, species_id, strict=True)]
    torch.testing.assert_close(net(x, species_id), torch.tensor(expected))


def test_nets_of_elements_differ() -> None:
    net = ElementMLP(2, 4, [(5, 3), (2, 3)], [("cos", "tanh", "identity"), ("relu", "cos", "tanh")])
    assert [[layer.out_features for layer in one.linears] for one in net.nets] == [
        [5, 3, 1],
        [2, 3, 1],
    ]
    assert [one.activation[0] for one in net.nets] == ["cos", "relu"]
    x, species_id = torch.randn(3, 4), torch.tensor([1, 0, 1])
    expected = [net.nets[s](row[None]).item() for row, s in zip(x, species_id, strict=True)]
    torch.testing.assert_close(net(x, species_id), torch.tensor(expected))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_channels", [(5,)]),
        ("hidden_channels", [(5,), 4]),
        ("activation", [("cos", "tanh")] * 3),
        ("activation", ["cos", ("cos", "tanh")]),
    ],
)
def test_one_sequence_per_element_is_needed(name: str, value) -> None:
    with pytest.raises(
        ValueError, match=rf"`{name}`: expected one for all elements, or .* of 2, got"
    ):
        ElementMLP(2, 4, **({"hidden_channels": (5,)} | {name: value}))


def test_one_element() -> None:
    net = ElementMLP(1, 4, (5,))
    x = torch.randn(6, 4)
    out = net(x, torch.zeros(6, dtype=torch.long))
    torch.testing.assert_close(out, net.nets[0](x)[:, 0])


def test_element_nets_to_second_order() -> None:
    net, species_id = ElementMLP(2, 3, (4,)), torch.tensor([0, 1, 1])
    assert gradgradcheck(lambda x: net(x, species_id), torch.randn(3, 3, requires_grad=True))


@pytest.mark.parametrize("num_species", [1, 2])
def test_no_atoms(num_species: int) -> None:
    net = ElementMLP(num_species, 3)
    assert net(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)).shape == (0,)
