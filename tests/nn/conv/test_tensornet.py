"""TensorNet's convolution: its basis, a loop with 3x3 matrices, equivariance."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nnmd_graph.nn.conv import TensorNetConv
from nnmd_graph.nn.conv.tensornet import as_components, as_matrices, tensor_basis


def test_the_basis_is_orthonormal_and_has_three_parts(float64: None) -> None:
    basis = tensor_basis(torch.float64, torch.device("cpu"))
    flat = basis.view(9, 9)
    torch.testing.assert_close(flat @ flat.T, torch.eye(9), rtol=0, atol=1e-15)
    torch.testing.assert_close(basis[0] * 3**0.5, torch.eye(3))
    torch.testing.assert_close(basis[1:4], -basis[1:4].mT)
    torch.testing.assert_close(basis[4:], basis[4:].mT)
    assert basis[4:].diagonal(dim1=1, dim2=2).sum(1).abs().max() < 1e-15
    # The antisymmetric part is the cross product with a vector
    u, v = torch.randn(3), torch.randn(3)
    cross = torch.einsum("c,cab,b->a", u, basis[1:4], v) * 2**0.5
    torch.testing.assert_close(cross, torch.linalg.cross(v, u))
    components = torch.randn(4, 9, 5)
    torch.testing.assert_close(as_components(as_matrices(components)), components)


def parts_of(matrix: Tensor) -> list[Tensor]:
    """Multiple of one, antisymmetric, symmetric without trace, of [3, 3, H]."""
    trace = torch.einsum("aah->h", matrix) / 3
    one = trace * torch.eye(3)[:, :, None]
    turned = matrix.transpose(0, 1)
    return [one, 0.5 * (matrix - turned), 0.5 * (matrix + turned) - one]


def mixed(layers: nn.ModuleList, matrix: Tensor) -> Tensor:
    return sum(layer(part) for layer, part in zip(layers, parts_of(matrix), strict=True))


def square(matrix: Tensor) -> Tensor:
    return matrix.square().sum((0, 1))


def multiplied(a: Tensor, b: Tensor) -> Tensor:
    return torch.einsum("abh,bch->ach", a, b)


def test_a_later_layer_against_a_loop(
    x: Tensor, pairs: dict[str, Tensor], edges: dict[str, Tensor]
) -> None:
    width = x.shape[1]
    conv = TensorNetConv(width, pairs["edge_attr"].shape[1], layer=1)
    vectors = torch.randn(len(x), 9, width)
    tensors = as_matrices(vectors)
    y = [mixed(conv.before, t / (1.0 + square(t))) for t in tensors]
    sums = [torch.zeros(3, 3, width) for _ in x]
    for e, (j, i) in enumerate(edges["edge_index"].T.tolist()):
        filters = (conv.filter(edges["edge_attr"][e]) * edges["edge_weight"][e]).view(3, width)
        sums[i] = sums[i] + sum(f * p for f, p in zip(filters, parts_of(y[j]), strict=True))
    expected_x, expected = [], []
    for i, tensor in enumerate(tensors):
        z = multiplied(y[i], sums[i]) + multiplied(sums[i], y[i])
        d = mixed(conv.after, z / (1.0 + square(z)))
        new = tensor + d + multiplied(d, d)
        lengths = [torch.sqrt(square(part) + 1.0) - 1.0 for part in parts_of(new)]
        expected.append(new)
        expected_x.append(x[i] + conv.update(torch.cat(lengths)))
    out_x, out = conv(x, vectors, **pairs)
    torch.testing.assert_close(out_x, torch.stack(expected_x))
    torch.testing.assert_close(as_matrices(out), torch.stack(expected))


def test_the_first_tensors_against_a_loop(
    x: Tensor, pairs: dict[str, Tensor], edges: dict[str, Tensor]
) -> None:
    """Parts of u of length one: sqrt(3) and sqrt(2) are left to the weights."""
    width = x.shape[1]
    conv = TensorNetConv(width, pairs["edge_attr"].shape[1])
    start = conv.start
    basis = tensor_basis(torch.float64, torch.device("cpu"))
    sums = [torch.zeros(3, 3, width) for _ in x]
    for e, (j, i) in enumerate(edges["edge_index"].T.tolist()):
        filters = start.filter.weight[:, :-1] @ edges["edge_attr"][e]
        filters = (filters + start.filter.weight[:, -1] * edges["edge_weight"][e]).view(3, width)
        factor = start.centre(x[i]) + start.neighbor(x[j])
        u = edges["edge_unit"][e]
        kinds = [basis[0], torch.einsum("c,cab->ab", u, basis[1:4]), torch.outer(u, u)]
        kinds[2] = kinds[2] - torch.eye(3) / 3
        for f, kind in zip(filters, kinds, strict=True):
            sums[i] = sums[i] + f * factor * kind[:, :, None]
    unit = pairs["edge_unit"]
    direction = torch.cat([unit, torch.einsum("ma,cab,mb->mc", unit, basis[4:], unit)], dim=1)
    fields = {name: value for name, value in pairs.items() if name != "edge_unit"}
    out = as_matrices(start(x, **fields, direction=direction, parts=conv.parts))
    for n, tensor in enumerate(sums):
        size = square(tensor)
        gate = start.gate(size / (1.0 + size)).view(3, width)
        parts = zip(gate, start.mix, parts_of(tensor), strict=True)
        torch.testing.assert_close(out[n], sum(g * layer(part) for g, layer, part in parts))


@pytest.mark.parametrize("determinant", [1, -1], ids=["rotation", "reflection"])
def test_tensors_turn_along(x: Tensor, pairs: dict[str, Tensor], determinant: int) -> None:
    q, _ = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))
    q[:, 0] *= determinant * np.sign(np.linalg.det(q))
    turn = torch.tensor(q)
    conv = TensorNetConv(x.shape[1], pairs["edge_attr"].shape[1])
    turned = pairs | {"edge_unit": pairs["edge_unit"] @ turn.T}
    x_0, t_0 = conv(x, None, **pairs)
    x_1, t_1 = conv(x, None, **turned)
    torch.testing.assert_close(x_1, x_0)
    expected = torch.einsum("ab,nbch,dc->nadh", turn, as_matrices(t_0), turn)
    if determinant == -1:  # the antisymmetric part is one of polar vectors
        expected = expected.transpose(1, 2)
    torch.testing.assert_close(as_matrices(t_1), expected)


def test_only_the_first_layer_makes_tensors(x: Tensor, pairs: dict[str, Tensor]) -> None:
    conv = TensorNetConv(x.shape[1], pairs["edge_attr"].shape[1], layer=1)
    with pytest.raises(ValueError, match="`vectors`: expected vectors in all layers but the first"):
        conv(x, None, **pairs)
