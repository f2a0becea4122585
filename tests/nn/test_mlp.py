"""Multilayer perceptrons, one for all or one per element."""

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


def test_no_hidden_layer_is_linear() -> None:
    net = MLP(3, ())
    x = torch.randn(2, 3)
    torch.testing.assert_close(net(2 * x), 2 * net(x))
    assert net.hidden(x) is x


def test_starts_without_bias() -> None:
    assert MLP(3, (8, 8))(torch.zeros(1, 3)).item() == 0.0


def test_unknown_activation() -> None:
    with pytest.raises(ValueError, match=r"`activation`.*'silu'.*got 'relu'.*smooth"):
        MLP(2, (3,), activation="relu")


@pytest.mark.parametrize("hidden", [(0,), (8, -1), (2.5,), 8])
def test_bad_widths(hidden) -> None:
    with pytest.raises(ValueError, match=r"`hidden_channels`.*positive integers, got .*\(32, 32\)"):
        MLP(2, hidden)


def test_each_atom_goes_through_the_net_of_its_element() -> None:
    net = ElementMLP(3, 4, (5,))
    x, species_id = torch.randn(6, 4), torch.tensor([2, 0, 2, 2, 0, 0])  # nobody is a 1
    expected = [net.nets[s](row[None]).item() for row, s in zip(x, species_id, strict=True)]
    torch.testing.assert_close(net(x, species_id), torch.tensor(expected))


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
