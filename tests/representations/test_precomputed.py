"""Features that are computed once and kept with the graph."""

import copy
from functools import partial

import ase
import pytest
import torch
from torch import nn
from torch.autograd import grad
from torch_geometric.data import Batch

from nnmd_graph.representations import ACSF, G1, G2, G5
from nnmd_graph.representations.precomputed import (
    can_precompute,
    edge_gradient,
    num_values,
    precompute,
    precompute_all,
)

pytestmark = pytest.mark.usefixtures("float64")


class Trained(ACSF):
    """Symmetry functions with a weight."""

    def __init__(self) -> None:
        super().__init__(("H",), 4.0, [G1()])
        self.weight = nn.Parameter(torch.ones(1))


@pytest.fixture
def acsf() -> ACSF:
    return ACSF(("C", "H", "O"), 4.0, [G2(eta=0.5), G5(eta=0.1, zeta=2.0, lam=1.0)])


def test_only_what_is_fixed(acsf: ACSF) -> None:
    assert can_precompute(acsf)
    assert not can_precompute(nn.Identity())
    assert not can_precompute(Trained())
    assert can_precompute(Trained().requires_grad_(False))


def test_carries_values_and_derivatives(acsf: ACSF, atoms, graph_of) -> None:
    graph = graph_of(atoms)
    before = set(graph.keys())
    ready = precompute(acsf, graph)
    assert set(graph.keys()) == before
    assert set(ready.keys()) == before | {"features", "feature_jacobian"}
    torch.testing.assert_close(ready.features, acsf(graph))
    jacobian = ready.feature_jacobian
    assert jacobian.places.shape == (graph.edge_index.shape[1],)
    assert ready.features.numel() + jacobian.blocks.numel() == num_values(graph, acsf.num_features)
    assert not ready.features.requires_grad


def test_many_structures_side_by_side(acsf: ACSF, graph_of, monkeypatch) -> None:
    structures = [
        ase.Atoms("CO", [[0, 0, 0], [0, 0, 1.1 + 0.1 * n]], cell=[3, 3, 3], pbc=n % 2 == 1)
        for n in range(5)
    ]
    graphs = [graph_of(atoms) for atoms in [*structures, ase.Atoms("H")]]
    monkeypatch.setattr("nnmd_graph.representations.precomputed.MAX_EDGES", 2 * graphs[1].num_edges)
    together = list(precompute_all(acsf, iter(graphs)))
    assert len(together) == len(graphs)
    for graph, ready in zip(graphs, together, strict=True):
        alone = precompute(acsf, graph)
        assert torch.equal(ready.pos, graph.pos)
        torch.testing.assert_close(ready.features, alone.features, rtol=1e-13, atol=1e-13)
        assert torch.equal(ready.feature_jacobian.places, alone.feature_jacobian.places)
        torch.testing.assert_close(
            ready.feature_jacobian.blocks, alone.feature_jacobian.blocks, rtol=1e-13, atol=1e-13
        )
    assert list(precompute_all(acsf, [])) == []


def test_chain_rule_through_the_edges(acsf: ACSF, atoms, graph_of) -> None:
    graph = graph_of(atoms)
    ready = precompute(acsf, graph)
    dx = torch.randn_like(ready.features)
    neighbor, centre = graph.edge_index
    by_edge = edge_gradient(ready.feature_jacobian, dx)
    by_pos = torch.zeros_like(graph.pos)
    by_pos = by_pos.index_add(0, neighbor, by_edge).index_add(0, centre, -by_edge)
    moved = copy.copy(graph)
    moved.pos = graph.pos.clone().requires_grad_()
    (expected,) = grad((dx * acsf(moved)).sum(), moved.pos)
    torch.testing.assert_close(by_pos, expected, rtol=1e-10, atol=1e-12)


def test_graphs_join_to_a_batch(acsf: ACSF, graph_of) -> None:
    structures = [ase.Atoms("H"), ase.Atoms("CO", [[0, 0, 0], [0, 0, 1.1]]), ase.Atoms("O")]
    ready = [precompute(acsf, graph_of(atoms)) for atoms in structures]
    batch = Batch.from_data_list(ready)
    assert torch.equal(batch.features, torch.cat([g.features for g in ready]))
    dx = torch.randn_like(batch.features)
    parts = [edge_gradient(g.feature_jacobian, dx[batch.batch == n]) for n, g in enumerate(ready)]
    assert torch.equal(edge_gradient(batch.feature_jacobian, dx), torch.cat(parts))


def test_chain_rule_differentiates_to_any_order(acsf: ACSF, graph_of) -> None:
    ready = precompute(acsf, graph_of(ase.Atoms("CHO", [[0, 0, 0], [0, 0, 1.1], [0.2, 1.2, 0]])))
    dx = torch.randn_like(ready.features, requires_grad=True)
    chain = partial(edge_gradient, ready.feature_jacobian)
    assert torch.autograd.gradcheck(chain, dx)
    assert torch.autograd.gradgradcheck(chain, dx)
