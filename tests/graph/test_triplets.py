"""triplets: every unordered pair of edges with one centre, once."""

from itertools import combinations

import pytest
import torch
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st

from nnmd_graph.graph import AtomicGraph, triplets


def pairs(edge_index: torch.Tensor, num_nodes: int) -> list[frozenset[int]]:
    edge_ij, edge_ik = triplets(edge_index, num_nodes)
    assert edge_ij.dtype == edge_ik.dtype == torch.int64
    return [frozenset(pair) for pair in zip(edge_ij.tolist(), edge_ik.tolist(), strict=True)]


def brute_force(centres: list[int]) -> set[frozenset[int]]:
    return {
        frozenset((a, b))
        for a, b in combinations(range(len(centres)), 2)
        if centres[a] == centres[b]
    }


def test_triplets_equal_two_nested_loops(system):
    atoms, cutoff = system
    graph = AtomicGraph.from_atoms(atoms, min(cutoff, 4.0))
    got = pairs(graph.edge_index, graph.num_nodes)
    assert set(got) == brute_force(graph.edge_index[1].tolist())
    assert len(set(got)) == len(got)


@settings(max_examples=50, deadline=None)
@given(centres=st.lists(st.integers(0, 5), max_size=25))
def test_edges_in_any_order(centres):
    edge_index = torch.tensor([[0] * len(centres), centres], dtype=torch.int64)
    got = pairs(edge_index, 7)
    assert set(got) == brute_force(centres)
    assert len(set(got)) == len(got)


def test_triplets_are_sorted_by_centre_and_edges_by_rank():
    edge_index = torch.tensor([[1, 2, 3, 0, 2, 0, 1], [0, 0, 0, 1, 1, 3, 3]])
    edge_ij, edge_ik = triplets(edge_index, 4)
    assert edge_ij.tolist() == [0, 0, 1, 3, 5]
    assert edge_ik.tolist() == [1, 2, 2, 4, 6]


@pytest.mark.parametrize("num_nodes", [0, 1, 3])
def test_no_edges_no_triplets(num_nodes):
    edge_ij, edge_ik = triplets(torch.zeros((2, 0), dtype=torch.int64), num_nodes)
    assert edge_ij.shape == edge_ik.shape == (0,)


def test_a_pair_of_images_of_one_atom_is_a_triplet():
    graph = AtomicGraph.from_atoms(bulk("Cu"), 2.6)
    assert graph.num_edges == 12
    assert len(pairs(graph.edge_index, 1)) == 12 * 11 // 2
