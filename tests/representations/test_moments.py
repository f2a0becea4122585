"""G5 through moments equals G5 through triplets: values, derivatives, all kinds of pairs."""

import ase.build
import pytest
import torch

from nnmd_graph.graph import AtomicGraph
from nnmd_graph.representations import ACSF, G4, G5, acsf
from nnmd_graph.representations.groups import make_groups
from nnmd_graph.representations.moments import has_moments, pays

pytestmark = pytest.mark.usefixtures("float64")

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
    """Results of a function of (ACSF, graph) by moments and by triplets."""

    def run(function):
        results = []
        for choice in (True, False):
            monkeypatch.setattr(acsf, "pays", lambda *_, choice=choice, **__: choice)
            results.append(function(ACSF(("Na", "Cl"), 5.0, FUNCTIONS), graph))
        return results

    return run


def test_values(both) -> None:
    moments, triplets = both(lambda representation, graph: representation(graph))
    assert (moments - triplets).abs().max() < 1e-11


def test_derivatives(both) -> None:
    (x, jacobian), (x_triplets, jacobian_triplets) = both(lambda r, graph: r.jacobian(graph))
    assert (x - x_triplets).abs().max() < 1e-11
    assert (jacobian - jacobian_triplets).abs().max() < 1e-11


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

    moments, triplets = both(second)
    torch.testing.assert_close(moments, triplets, rtol=1e-10, atol=1e-10)


def test_only_integer_g5_has_them() -> None:
    def group(f):
        return make_groups(ACSF(("Na",), 5.0, [f]).functions)[0]

    assert has_moments(group(G5(eta=0.1, zeta=4, lam=1.0)))
    assert not has_moments(group(G5(eta=0.1, zeta=2.5, lam=1.0)))
    assert not has_moments(group(G5(eta=0.1, zeta=64, lam=1.0)))
    assert not has_moments(group(G4(eta=0.1, zeta=4, lam=1.0)))


def test_they_pay_where_there_are_many_neighbors() -> None:
    functions = [G5(eta=0.1, zeta=z, lam=lam) for z in (1, 2, 4, 8) for lam in (1.0, -1.0)]
    group = make_groups(ACSF(("Na",), 5.0, functions).functions)[0]
    assert pays(group, num_edges=100 * 80, num_nodes=100)
    assert not pays(group, num_edges=100 * 5, num_nodes=100)


def test_no_neighbors() -> None:
    atoms = ase.Atoms("NaCl", [[0, 0, 0], [0, 0, 20.0]])
    representation = ACSF(("Na", "Cl"), 5.0, FUNCTIONS)
    assert not representation(AtomicGraph.from_atoms(atoms, 5.0)).any()
