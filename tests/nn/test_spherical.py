"""Real spherical harmonics: addition theorem, orthonormality, poles, derivatives."""

import math
from functools import partial

import numpy as np
import pytest
import torch

from nnmd_graph.nn.spherical import spherical_harmonics

pytestmark = pytest.mark.usefixtures("float64")


def unit(vectors: torch.Tensor) -> torch.Tensor:
    return vectors / vectors.norm(dim=-1, keepdim=True)


def test_lowest_degrees_by_hand() -> None:
    u = unit(torch.randn(5, 3))
    x, y, z = u.unbind(-1)
    first = math.sqrt(3.0 / (4.0 * math.pi))
    expected = torch.stack(
        [torch.full_like(x, 0.5 / math.sqrt(math.pi)), first * z, first * x, first * y], -1
    )
    torch.testing.assert_close(spherical_harmonics(u, 1), expected)


def test_addition_theorem_up_to_degree_20() -> None:
    u = unit(torch.randn(9, 3))
    u[:2] = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])
    harmonics = spherical_harmonics(u, 20)
    cos = (u @ u.T).numpy()
    for degree in range(21):
        y = harmonics[:, degree**2 : (degree + 1) ** 2]
        sums = 4.0 * math.pi / (2 * degree + 1) * (y @ y.T)
        legendre = np.polynomial.legendre.legval(cos, [0.0] * degree + [1.0])
        np.testing.assert_allclose(sums, legendre, atol=2e-13)


def test_orthonormal_on_the_sphere() -> None:
    z, weight = np.polynomial.legendre.leggauss(12)
    phi = 2.0 * math.pi * np.arange(24) / 24
    zz, pp = np.meshgrid(z, phi, indexing="ij")
    s = np.sqrt(1.0 - zz**2)
    u = torch.tensor(np.stack([s * np.cos(pp), s * np.sin(pp), zz], -1).reshape(-1, 3))
    w = torch.tensor(np.repeat(weight * 2.0 * math.pi / 24, 24))
    harmonics = spherical_harmonics(u, 8)
    overlap = harmonics.T @ (w.unsqueeze(-1) * harmonics)
    torch.testing.assert_close(overlap, torch.eye(81), atol=1e-13, rtol=0)


def test_derivatives() -> None:
    u = unit(torch.randn(3, 3)).requires_grad_()
    assert torch.autograd.gradcheck(partial(spherical_harmonics, max_degree=5), u)
    assert torch.autograd.gradgradcheck(partial(spherical_harmonics, max_degree=4), u)
