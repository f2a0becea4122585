"""Linear maps with the initial weights of the published convolutions."""

from __future__ import annotations

from torch import nn


def linear(in_channels: int, out_channels: int, bias: bool = True) -> nn.Linear:
    """Linear map, its weights uniform after Glorot and Bengio (2010), its bias zero."""
    layer = nn.Linear(in_channels, out_channels, bias=bias)
    nn.init.xavier_uniform_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer
