"""The gated convolution against a loop over the edges, and against PyG's."""

import math

import torch
from torch import Tensor
from torch_geometric.nn import CGConv

from nnmd_graph.nn.conv import CGCNNConv


def test_against_a_loop(x: Tensor, pairs: dict[str, Tensor], edges: dict[str, Tensor]) -> None:
    width = x.shape[1]
    conv = CGCNNConv(width, pairs["edge_attr"].shape[1])
    expected = x.clone()
    for e, (j, i) in enumerate(edges["edge_index"].T.tolist()):
        z = conv.centre.weight @ x[i] + conv.centre.bias + conv.neighbor.weight @ x[j]
        z = z + conv.edge.weight @ edges["edge_attr"][e]
        gate, core = torch.sigmoid(z[:width]), torch.log1p(torch.exp(z[width:])) - math.log(2.0)
        expected[i] += gate * core * edges["edge_weight"][e] / math.sqrt(10.0)
    out = conv(x, pairs["edge_index"], pairs["edge_attr"], pairs["edge_weight"])
    torch.testing.assert_close(out, expected)


def test_sums_over_neighbors_stay_small(float64: None) -> None:
    """Through three layers of 30 neighbours; those of CGConv grow beyond 100."""
    x = torch.randn(31, 64)
    pairs = torch.stack([torch.arange(1, 31), torch.zeros(30, dtype=torch.long)])
    for _ in range(3):
        x = CGCNNConv(64, 8)(x, pairs, 0.3 * torch.rand(30, 8), torch.rand(30))
    assert float(x[0].detach().square().mean().sqrt()) < 10.0


def test_the_same_as_cgconv_of_pyg(
    x: Tensor, pairs: dict[str, Tensor], edges: dict[str, Tensor]
) -> None:
    """Where the envelope is one, same weights; PyG's core is ln 2 where its net is zero."""
    width, num_rbf = x.shape[1], pairs["edge_attr"].shape[1]
    conv, other = CGCNNConv(width, num_rbf), CGConv(width, num_rbf)
    with torch.no_grad():
        for n, linear in enumerate((other.lin_f, other.lin_s)):
            rows = slice(n * width, (n + 1) * width)
            parts = (conv.centre.weight, conv.neighbor.weight, conv.edge.weight)
            linear.weight.copy_(torch.cat([part[rows] for part in parts], dim=1))
            linear.bias.copy_(conv.centre.bias[rows])
    one = torch.ones_like(pairs["edge_weight"])
    out = conv(x, pairs["edge_index"], pairs["edge_attr"], one)
    theirs = other(x, edges["edge_index"], edges["edge_attr"])
    for parameter in other.lin_s.parameters():
        torch.nn.init.zeros_(parameter)
    theirs = theirs - other(x, edges["edge_index"], edges["edge_attr"])
    torch.testing.assert_close(out, x + theirs / math.sqrt(10.0))
