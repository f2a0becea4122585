"""Readouts: one net per element, rebuilt from plain values."""

import json

import numpy as np
import pytest
import torch

from nnmd_graph.models.readout import ElementReadout

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize(
    ("hidden_channels", "activation"),
    [
        (np.array([4, 3]).tolist(), "silu"),
        ((), "tanh"),
        (list(np.array([4, 3])), ("cos", "harmonic", "tanh")),
        ([(4, 3), (2, 5)], "softplus"),
        (((4,), (5, 2)), [("gaussian", "identity"), ("cos", "relu", "tanh")]),
    ],
)
def test_rebuilt_from_plain_values(hidden_channels, activation) -> None:
    readout = ElementReadout(2, 3, hidden_channels, activation, seed=4)
    values = readout.hyper_parameters()
    json.dumps(values)
    again = ElementReadout(**values)
    x, species_id = torch.randn(5, 3), torch.tensor([0, 1, 1, 0, 1])
    assert torch.equal(again(x, species_id), readout(x, species_id))


def test_centring_turns_the_output_weights_of_every_net() -> None:
    readout = ElementReadout(2, 3, [(4,), (5, 2)])
    x, species_id, isolated = torch.randn(40, 3), torch.arange(40) % 2, torch.zeros(2, 3)
    readout.centre(x, species_id, isolated)
    difference = readout(x, species_id) - readout(isolated, torch.arange(2))[species_id]
    for s in range(2):
        assert abs(difference[species_id == s].mean().item()) < 1e-12
