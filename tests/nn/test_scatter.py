"""Sums of messages over their receivers."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from nnmd_graph.nn import scatter
from nnmd_graph.nn.scatter import scatter_sum, table_places, take

pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture(params=scatter.BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    if request.param == "torch_scatter":
        reason = "torch-scatter is an optional extra (pip install nnmd-graph[pyg-ext])"
        pytest.importorskip("torch_scatter", reason=reason)
    return request.param


def test_by_hand(backend: str) -> None:
    src = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    out = scatter_sum(src, torch.tensor([2, 0, 2]), 4, backend=backend)
    assert out.tolist() == [[3.0, 4.0], [0.0, 0.0], [6.0, 8.0], [0.0, 0.0]]


@pytest.mark.parametrize("shape", [(7,), (7, 3), (7, 3, 3), (0,), (0, 5)])
def test_equals_a_loop(backend: str, shape: tuple[int, ...]) -> None:
    src, index = torch.randn(shape), torch.randint(0, 4, shape[:1])
    expected = torch.zeros(4, *shape[1:])
    for row, n in zip(src, index.tolist(), strict=True):
        expected[n] += row
    torch.testing.assert_close(scatter_sum(src, index, 4, backend=backend), expected)


def test_derivatives_to_second_order(backend: str) -> None:
    src, index = torch.randn(6, 2, requires_grad=True), torch.tensor([0, 3, 3, 1, 0, 3])

    def squares(src: torch.Tensor) -> torch.Tensor:
        return scatter_sum(src, index, 5, backend=backend) ** 3

    assert gradcheck(squares, src)
    assert gradgradcheck(squares, src)


def test_backends_agree() -> None:
    reason = "torch-scatter is an optional extra (pip install nnmd-graph[pyg-ext])"
    pytest.importorskip("torch_scatter", reason=reason)
    src, index = torch.randn(1000, 5), torch.randint(0, 40, (1000,))
    first, second = (scatter_sum(src, index, 40, backend=b) for b in scatter.BACKENDS)
    torch.testing.assert_close(first, second, rtol=1e-13, atol=1e-13)


def test_default_on_the_cpu_is_torch() -> None:
    src, index = torch.randn(50), torch.randint(0, 7, (50,))
    assert torch.equal(scatter_sum(src, index, 7), scatter_sum(src, index, 7, backend="torch"))


def test_unknown_backend() -> None:
    with pytest.raises(ValueError, match=r"`backend`.*'torch'.*got 'numpy'.*pyg-ext"):
        scatter_sum(torch.ones(1), torch.zeros(1, dtype=torch.long), 1, backend="numpy")


def test_backend_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scatter, "torch_scatter", None)
    with pytest.raises(ValueError, match=r"`backend`.*installed.*pip install"):
        scatter_sum(torch.ones(1), torch.zeros(1, dtype=torch.long), 1, backend="torch_scatter")


def test_take_is_indexing() -> None:
    src = torch.randn(4, 3, requires_grad=True)
    index = torch.tensor([3, 0, 3])
    assert torch.equal(take(src, index), src[index])
    assert gradcheck(lambda s: take(s, index), src)


def test_places_in_a_table() -> None:
    index = torch.tensor([2, 0, 2, 0, 2])
    place, width = table_places(index, 4)
    assert width == 3
    assert place.tolist() == [6, 0, 7, 1, 8]
    place, width = table_places(index[:0], 4)
    assert (len(place), width) == (0, 0)
