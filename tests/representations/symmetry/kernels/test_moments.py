"""G5 by moments equals G5 over pairs: values, derivatives, all kinds of pairs."""

import ase.build
import pytest
import torch

from nnmd_graph.graph import AtomicGraph
from nnmd_graph.representations import ACSF, G5
from nnmd_graph.representations.symmetry.kernels import moments
from nnmd_graph.representations.symmetry.kernels.moments import MomentSum, WideFamily, has_moments

pytestmark = pytest.mark.usefixtures("float64", "by_tensors")

FUNCTIONS = [
    *(G5(eta=0.1, zeta=z, lam=lam) for z in (1, 2, 3, 8) for lam in (1.0, -1.0)),
    *(G5(eta=0.8, zeta=z, lam=0.3, r_s=2.5) for z in (1, 16)),
    G5(eta=0.05, zeta=20, lam=-1.0, neighbors=("Na", "Cl")),
    G5(eta=0.05, zeta=4, lam=1.0, neighbors=("Cl", "Cl"), cutoff=3.7),
]


@pytest.fixture
def graph() -> AtomicGraph:
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.4, cubic=True)
    atoms.rattle(0.2, seed=3)
    atoms += ase.Atoms("Na", [[2.6, 2.8, 1.2]])
    return AtomicGraph.from_atoms(atoms, 5.0)


@pytest.fixture
def both(monkeypatch, graph):
    """Results of a function of (ACSF, graph) by moments, divided at zeta = 3, and over pairs."""

    def run(function):
        results = []
        for limit in (20.0, 3.0, 0.0):
            monkeypatch.setattr(
                WideFamily, "divided", lambda self, *_, limit=limit: moments._divided(self, limit)
            )
            results.append(function(ACSF(("Na", "Cl"), 5.0, FUNCTIONS), graph))
        return results

    return run


def test_values(both) -> None:
    by_moments, divided, over_pairs = both(lambda representation, graph: representation(graph))
    assert (by_moments - over_pairs).abs().max() < 1e-11
    assert (divided - over_pairs).abs().max() < 1e-11


def test_derivatives(both) -> None:
    (x, jacobian), *others = both(lambda r, graph: r.jacobian(graph))
    for x_other, jacobian_other in others:
        assert (x - x_other).abs().max() < 1e-11
        assert (jacobian - jacobian_other).abs().max() < 1e-11


def test_gradients_to_second_order(both) -> None:
    def second(representation, graph):
        generator = torch.Generator().manual_seed(0)
        pos = graph.pos.clone().requires_grad_()
        moved = graph.__copy__()
        moved.pos = pos
        x = representation(moved)
        weight = torch.randn(x.shape, generator=generator)
        (force,) = torch.autograd.grad((weight * x).sum(), pos, create_graph=True)
        (hessian_row,) = torch.autograd.grad(force.square().sum(), pos)
        return torch.stack([force.detach(), hessian_row])

    by_moments, divided, over_pairs = both(second)
    torch.testing.assert_close(by_moments, over_pairs, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(divided, over_pairs, rtol=1e-10, atol=1e-10)


def test_only_small_integer_powers_have_them() -> None:
    def has(zeta: float) -> bool:
        return has_moments(G5(eta=0.1, zeta=zeta, lam=1.0).angular_key())

    assert [has(zeta) for zeta in (4.0, 2.5, 64.0)] == [True, False, False]


def test_they_are_taken_where_there_are_many_neighbors() -> None:
    functions = [G5(eta=0.1, zeta=z, lam=lam) for z in (1, 2, 4, 16) for lam in (1.0, -1.0)]
    (family,) = ACSF(("Na",), 5.0, functions)._sets[0].sums
    kinds = {
        n: {type(part): len(part.columns) for part in family.divided(n, n)} for n in (3, 80, 1000)
    }
    assert MomentSum not in kinds[3]
    assert kinds[80][MomentSum] == 6  # zeta = 16 stays with the pairs
    assert kinds[1000] == {MomentSum: 8}


def test_no_neighbors() -> None:
    atoms = ase.Atoms("NaCl", [[0, 0, 0], [0, 0, 20.0]])
    representation = ACSF(("Na", "Cl"), 5.0, FUNCTIONS)
    assert not representation(AtomicGraph.from_atoms(atoms, 5.0)).any()
