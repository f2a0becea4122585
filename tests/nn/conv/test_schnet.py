"""SchNet's convolution against a loop over the edges."""

import math

import torch
from torch import Tensor

from nnmd_graph.nn.conv import SchNetConv
from nnmd_graph.nn.conv.schnet import ShiftedSoftplus


def ssp(value: Tensor) -> Tensor:
    return torch.log(0.5 + 0.5 * torch.exp(value))


def test_shifted_softplus(float64: None) -> None:
    value = torch.linspace(-5.0, 5.0, 21)
    torch.testing.assert_close(ShiftedSoftplus()(value), ssp(value))
    assert ShiftedSoftplus()(torch.zeros(1)).abs().item() < 1e-15
    assert ShiftedSoftplus()(torch.tensor(100.0)).item() == 100.0 - math.log(2.0)


def test_against_a_loop(x: Tensor, pairs: dict[str, Tensor], edges: dict[str, Tensor]) -> None:
    conv = SchNetConv(x.shape[1], pairs["edge_attr"].shape[1])
    first, _, second = conv.filter
    before, _, after = conv.update
    sums = torch.zeros_like(x)
    for e, (j, i) in enumerate(edges["edge_index"].T.tolist()):
        attr = edges["edge_attr"][e]
        filters = second.weight @ ssp(first.weight @ attr + first.bias) + second.bias
        sums[i] += (conv.neighbor.weight @ x[j]) * filters * edges["edge_weight"][e]
    inner = ssp(sums @ before.weight.T + before.bias)
    expected = x + inner @ after.weight.T + after.bias
    out = conv(x, pairs["edge_index"], pairs["edge_attr"], pairs["edge_weight"])
    torch.testing.assert_close(out, expected)
