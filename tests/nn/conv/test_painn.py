"""PaiNN's convolution: a loop over the edges, equivariance of the vectors, smooth lengths."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nnmd_graph.nn.conv import PaiNNConv
from nnmd_graph.nn.conv.painn import SMOOTHING


@pytest.fixture
def conv(x: Tensor, pairs: dict[str, Tensor]) -> PaiNNConv:
    return PaiNNConv(x.shape[1], pairs["edge_attr"].shape[1])


@pytest.fixture
def vectors(x: Tensor) -> Tensor:
    return torch.randn(x.shape[0], 3, x.shape[1])


def net(layers: nn.Sequential, value: Tensor) -> Tensor:
    first, _, second = layers
    inner = first.weight @ value + first.bias
    return second.weight @ (inner * torch.sigmoid(inner)) + second.bias


def test_against_a_loop(
    conv: PaiNNConv, x: Tensor, vectors: Tensor, pairs: dict[str, Tensor], edges: dict[str, Tensor]
) -> None:
    width = x.shape[1]
    new_x, new_v = x.clone(), vectors.clone()
    for e, (j, i) in enumerate(edges["edge_index"].T.tolist()):
        filters = conv.filter.weight[:, :-1] @ edges["edge_attr"][e]
        filters = filters + conv.filter.weight[:, -1] * edges["edge_weight"][e]
        a, b, c = (net(conv.phi, x[j]) * filters).split(width)
        new_x[i] += a
        for axis in range(3):
            new_v[i, axis] += b * vectors[j, axis] + c * edges["edge_unit"][e, axis]
    expected_x, expected_v = [], []
    for s, v in zip(new_x, new_v, strict=True):
        uv, vv = v @ conv.mix.weight[:width].T, v @ conv.mix.weight[width:].T
        length = torch.sqrt((vv**2).sum(0) + SMOOTHING)
        a, b, c = net(conv.update, torch.cat([s, length])).split(width)
        expected_x.append(s + a + b * (uv * vv).sum(0))
        expected_v.append(v + c * uv)
    out_x, out_v = conv(x, vectors, **pairs)
    torch.testing.assert_close(out_x, torch.stack(expected_x))
    torch.testing.assert_close(out_v, torch.stack(expected_v))


def test_no_vectors_are_vectors_of_zero(
    conv: PaiNNConv, x: Tensor, vectors: Tensor, pairs: dict[str, Tensor]
) -> None:
    for one, other in zip(
        conv(x, None, **pairs), conv(x, torch.zeros_like(vectors), **pairs), strict=True
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("determinant", [1, -1], ids=["rotation", "reflection"])
def test_vectors_turn_along(
    conv: PaiNNConv, x: Tensor, vectors: Tensor, pairs: dict[str, Tensor], determinant: int
) -> None:
    q, _ = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))
    q[:, 0] *= determinant * np.sign(np.linalg.det(q))
    turn: Callable[[Tensor], Tensor] = lambda v: torch.tensor(q) @ v  # noqa: E731
    turned = pairs | {"edge_unit": turn(pairs["edge_unit"].unsqueeze(-1)).squeeze(-1)}
    x_0, v_0 = conv(x, vectors, **pairs)
    x_1, v_1 = conv(x, turn(vectors), **turned)
    torch.testing.assert_close(x_1, x_0)
    torch.testing.assert_close(v_1, turn(v_0))


def test_derivatives_where_vectors_vanish(conv: PaiNNConv, x: Tensor, vectors: Tensor) -> None:
    zero = torch.zeros_like(vectors).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: conv.mixed(x, v)[0], (zero,))
    assert torch.autograd.gradgradcheck(lambda v: conv.mixed(x, v)[0].sum(), (zero,))
