"""Attention against a loop; a neighbour that leaves; large scores."""

import pytest
import torch
from torch import Tensor

from nnmd_graph.nn.conv import GATConv


def silu(value: Tensor) -> Tensor:
    return value * torch.sigmoid(value)


@pytest.mark.parametrize("heads", [1, 2, 3])
def test_against_a_loop(x: Tensor, edges: dict[str, Tensor], heads: int) -> None:
    width = x.shape[1]
    conv = GATConv(width, edges["edge_attr"].shape[1], heads)
    size = width // heads
    w_1, w_2, bias = conv.centre.weight, conv.neighbor.weight, conv.centre.bias
    w_e, w_v = conv.edge.weight[:width], conv.edge.weight[width:]
    expected = torch.zeros_like(x)
    for i in range(len(x)):
        neighbors = [e for e, target in enumerate(edges["edge_index"][1].tolist()) if target == i]
        sums = torch.zeros(width)
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            scores, values = [], []
            for e in [None, *neighbors]:
                j = i if e is None else int(edges["edge_index"][0, e])
                attr = torch.zeros(w_e.shape[1]) if e is None else edges["edge_attr"][e]
                u = 1.0 if e is None else edges["edge_weight"][e]
                inner = silu(w_1 @ x[i] + bias + w_2 @ x[j] + w_e @ attr)[part]
                scores.append(u * torch.exp(conv.attention[head] @ inner))
                values.append((w_2 @ x[j] + w_v @ attr)[part])
            for share, value in zip(scores, values, strict=True):
                sums[part] += share / sum(scores) * value
        expected[i] = x[i] + conv.update.weight @ silu(sums) + conv.update.bias
    out = conv(x, edges["edge_index"], edges["edge_attr"], edges["edge_weight"])
    torch.testing.assert_close(out, expected)


def test_large_scores_do_not_overflow(x: Tensor, edges: dict[str, Tensor]) -> None:
    conv = GATConv(x.shape[1], edges["edge_attr"].shape[1], 2)
    out = conv(1e4 * x, edges["edge_index"], edges["edge_attr"], edges["edge_weight"])
    assert bool(out.isfinite().all())


def test_heads_divide_the_width() -> None:
    with pytest.raises(
        ValueError, match="`heads`: expected a divisor of `hidden_channels`, got 4 and 6"
    ):
        GATConv(6, 4, heads=4)
