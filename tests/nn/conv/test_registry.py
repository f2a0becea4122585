"""Convolutions by name, of PyG and of one's own; what does not fit is refused."""

from functools import partial

import pytest
import torch
import torch_geometric.nn as pyg
from torch import Tensor, nn

from nnmd_graph.nn.conv import CONVOLUTIONS, EnvelopedConv, register_convolution
from nnmd_graph.nn.conv.registry import (
    build_convolution,
    check_convolution,
    convolution_name,
    convolve,
    find_convolution,
)

WIDTH, NUM_RBF = 6, 4
ONE_HEAD = {"heads": 2, "concat": False}


def gine(hidden_channels: int, num_rbf: int) -> nn.Module:
    return pyg.GINEConv(nn.Linear(hidden_channels, hidden_channels), edge_dim=num_rbf)


OF_PYG = [
    (pyg.CGConv, {}),
    (pyg.GATConv, {}),
    (pyg.GATConv, ONE_HEAD),
    (pyg.GATv2Conv, ONE_HEAD),
    (pyg.TransformerConv, ONE_HEAD),
    (pyg.ResGatedGraphConv, {}),
    (gine, {}),
    (pyg.GeneralConv, {"in_edge_channels": NUM_RBF}),
]
IDS = [f"{conv.__name__}{len(options)}" for conv, options in OF_PYG]


@pytest.mark.parametrize(("conv", "options"), OF_PYG, ids=IDS)
def test_convolutions_of_pyg_are_smooth(conv, options, x: Tensor, edges: dict[str, Tensor]) -> None:
    """Edges whose envelope is zero change nothing; so do edges that are not there."""
    module = build_convolution(conv, WIDTH, NUM_RBF, options)
    check_convolution(module, WIDTH, NUM_RBF)
    module = module.double()
    more = {
        "edge_index": torch.cat([edges["edge_index"], torch.tensor([[3, 0], [4, 2]])], dim=1),
        "edge_attr": torch.cat([edges["edge_attr"], torch.zeros(2, NUM_RBF)]),
        "edge_weight": torch.cat([edges["edge_weight"], torch.zeros(2)]),
        "edge_unit": torch.cat([edges["edge_unit"], torch.ones(2, 3)]),
    }
    out = convolve(module, x, None, edges)[0]
    torch.testing.assert_close(convolve(module, x, None, more)[0], out, rtol=1e-12, atol=1e-12)
    fewer = {k: v[..., :4] if k == "edge_index" else v[:4] for k, v in edges.items()}
    assert (out - convolve(module, x, None, fewer)[0]).abs().max() > 1e-3


def test_sums_are_weighted(x: Tensor, edges: dict[str, Tensor]) -> None:
    """CGConv adds x; its messages times the envelope, by a loop."""
    module = build_convolution(pyg.CGConv, WIDTH, NUM_RBF, {}).double()
    conv = module.conv
    sums = x.clone()
    for e, (j, i) in enumerate(edges["edge_index"].T.tolist()):
        z = torch.cat([x[i], x[j], edges["edge_attr"][e]])
        message = torch.sigmoid(conv.lin_f(z)) * nn.functional.softplus(conv.lin_s(z))
        sums[i] += message * edges["edge_weight"][e]
    out = convolve(module, x, None, edges)[0]
    torch.testing.assert_close(out, x + nn.functional.silu(sums))


def test_the_hook_does_not_stay(x: Tensor, edges: dict[str, Tensor]) -> None:
    module = build_convolution(pyg.CGConv, WIDTH, NUM_RBF, {}).double()
    before = module.conv(x, edges["edge_index"], edges["edge_attr"])
    convolve(module, x, None, edges)
    torch.testing.assert_close(module.conv(x, edges["edge_index"], edges["edge_attr"]), before)


def test_images_of_the_atom_itself_stay(x: Tensor, edges: dict[str, Tensor]) -> None:
    """GATv2Conv would take them for its loops and remove them."""
    module = build_convolution(pyg.GATv2Conv, WIDTH, NUM_RBF, ONE_HEAD).double()
    other = (edges["edge_index"][0] != edges["edge_index"][1]).nonzero().squeeze(-1)
    without = {"edge_index": edges["edge_index"][:, other]}
    without |= {name: edges[name][other] for name in ("edge_attr", "edge_weight", "edge_unit")}
    out, gone = convolve(module, x, None, edges)[0], convolve(module, x, None, without)[0]
    assert (out[0] - gone[0]).abs().max() > 1e-4
    torch.testing.assert_close(out[1:], gone[1:])


class WithMean(nn.Module):
    """Divides by the number of neighbours: jumps."""

    def __init__(self, hidden_channels: int, num_rbf: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_channels, hidden_channels)

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        sums = torch.zeros_like(x).index_add(0, edge_index[1], self.linear(x[edge_index[0]]))
        return x + sums / torch.bincount(edge_index[1], minlength=len(x))[:, None].clamp(min=1)


class Narrow(WithMean):
    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        return x[:, :2]


class Blind(WithMean):
    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:  # type: ignore[override]
        return x


@pytest.mark.parametrize(
    ("conv", "options", "error", "message"),
    [
        (
            WithMean,
            {},
            ValueError,
            "expected a module that is smooth where a neighbour passes the cutoff, got WithM",
        ),
        (pyg.CGConv, {"aggr": "mean"}, ValueError, "got CGConv, which jumps by"),
        (pyg.CGConv, {"batch_norm": True}, ValueError, "got CGConv with batch normalisation"),
        (pyg.GATv2Conv, {"heads": 2}, ValueError, "got .4, 12. from GATv2Conv; with several heads"),
        (Narrow, {}, ValueError, "expected features of the shape of x, .4, 6., got .4, 2. from"),
        (Blind, {}, TypeError, "whose forward takes `edge_attr`, got Blind"),
        (pyg.GCNConv, {}, TypeError, "whose forward takes `edge_attr`, got GCNConv"),
        (pyg.GINEConv, {}, TypeError, "got GINEConv: .*hand in a function of these two"),
        (pyg.CGConv, {"agr": "add"}, TypeError, "got CGConv: .*'agr'"),
        (
            lambda width, num_rbf: None,
            {},
            TypeError,
            "expected something that makes a torch.nn.Module, got NoneType",
        ),
    ],
)
def test_what_does_not_fit(conv, options, error, message: str) -> None:
    with pytest.raises(error, match=message):
        check_convolution(build_convolution(conv, WIDTH, NUM_RBF, options), WIDTH, NUM_RBF)


def test_names() -> None:
    for name, conv in CONVOLUTIONS.items():
        assert find_convolution(name) is conv and convolution_name(conv) == name
    assert find_convolution("torch_geometric.nn.CGConv") is pyg.CGConv
    assert convolution_name(pyg.CGConv) == "torch_geometric.nn.CGConv"
    assert find_convolution(gine) is gine


@pytest.mark.parametrize(
    ("conv", "error", "message"),
    [
        ("schnett", ValueError, "did you mean 'schnet'?"),
        ("torch_geometric.nn.Linear", ValueError, "expected one of"),
        ("torch_geometric.nn.os", ValueError, "expected one of"),
        ("os.system", ValueError, "expected one of"),
        (nn.Linear(2, 2), TypeError, "got a Linear; hand in the class"),
        (3, TypeError, "got int"),
    ],
)
def test_unknown_names(conv, error, message: str) -> None:
    with pytest.raises(error, match=message.replace("?", r"\?")):
        find_convolution(conv)


def test_only_registered_ones_have_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="a name that files can hold, got gine; decorate it"):
        convolution_name(gine)
    with pytest.raises(ValueError, match="a name that files can hold, got partial"):
        convolution_name(partial(gine))
    known = dict(CONVOLUTIONS)
    try:
        assert register_convolution(gine) is gine
        assert convolution_name(gine) == "gine" and find_convolution("gine") is gine
        register_convolution(gine)  # a file may be imported twice
        other = partial(gine)
        other.__name__ = "schnet"  # type: ignore[attr-defined]
        with pytest.raises(ValueError, match="'schnet', which is taken"):
            register_convolution(other)
    finally:
        CONVOLUTIONS.clear()
        CONVOLUTIONS.update(known)


def test_wrapped_convolutions_say_what_they_are() -> None:
    module = build_convolution(pyg.CGConv, WIDTH, NUM_RBF, {})
    assert isinstance(module, EnvelopedConv) and "CGConv" in repr(module)
