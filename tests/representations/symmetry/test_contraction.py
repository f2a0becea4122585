"""Combinations of functions: the basis, the start."""

import pytest
import torch

from nnmd_graph.representations.symmetry.contraction import Contraction, start_of_channels

pytestmark = pytest.mark.usefixtures("float64")


def test_basis_has_the_largest_components_first() -> None:
    contraction = Contraction(torch.arange(3), 3)
    hidden = torch.randn(400, 2)
    sums = torch.stack([hidden[:, 0], 5 * hidden[:, 0] + 0.5 * hidden[:, 1], 0 * hidden[:, 0]], 1)
    sums = torch.cat([sums, torch.zeros(300, 3)]).unsqueeze(-1)  # those without neighbours
    contraction.fit(sums)
    x = sums[:400, :, 0] @ contraction()
    variance = x.var(0).detach()
    assert variance[0] > variance[1] > variance[2]
    assert variance[0] == pytest.approx(1.0, abs=0.2)
    assert torch.corrcoef(x.detach().T[:2])[0, 1].abs() < 1e-6
    before = contraction.basis.clone()
    contraction.fit(torch.zeros(5, 3, 1))
    assert torch.equal(contraction.basis, before)


def test_start() -> None:
    """Each element by itself, then sums of two; first the largest component of the functions."""
    weights, components = start_of_channels(2, 24, 9, torch.randn(3, 3))
    each = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]]
    assert torch.equal(weights.T, torch.tensor(4 * each, dtype=weights.dtype))
    assert components.tolist() == [n for n in range(4) for _ in range(6)]
    weights, _ = start_of_channels(1, 24, 9, torch.randn(3, 3))
    assert torch.equal(weights, torch.eye(3).repeat(1, 8))
    contraction = Contraction(components, 3)  # more channels than that
    assert torch.equal(contraction()[:, -1], torch.tensor([0.0, 0.0, 1.0]))
    vectors = torch.randn(7, 3)
    weights, components = start_of_channels(2, 8, 9, vectors)
    assert torch.equal(weights, vectors[:, [0, 1] * 4])
    assert components.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
