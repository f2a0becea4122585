"""Edge vectors, volume and strain: values, derivatives, batches."""

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.neighborlist import primitive_neighbor_list
from torch.autograd import gradcheck, gradgradcheck
from torch_geometric.data import Batch

from nnmd_graph.graph import (
    AtomicGraph,
    edge_vectors,
    num_structures,
    strained,
    structure_index,
    triplets,
    volume,
)

pytestmark = pytest.mark.usefixtures("float64")


def small_graph(seed: int = 0, **keywords) -> AtomicGraph:
    rng = np.random.default_rng(seed)
    cell = np.array([[3.0, 0.2, 0.0], [1.0, 3.1, 0.0], [-0.5, 0.4, 3.3]])
    keywords = {"cell": cell, "pbc": True} | keywords
    atoms = ase.Atoms("NaCl", [[0, 0, 0], [1.4, 1.6, 1.5]] + rng.normal(size=(2, 3)) * 0.1)
    atoms.set_cell(keywords["cell"])
    atoms.pbc = keywords["pbc"]
    return AtomicGraph.from_atoms(atoms, 3.4)


def mixed_batch() -> Batch:
    molecule = small_graph(1, cell=np.zeros((3, 3)), pbc=False)
    slab = small_graph(2, cell=[[3, 0, 0], [0.5, 3, 0], [0, 0, 0]], pbc=(True, True, False))
    return Batch.from_data_list([small_graph(), molecule, slab])


def with_geometry(graph: AtomicGraph, pos: torch.Tensor, cell: torch.Tensor) -> AtomicGraph:
    out = graph.clone()
    out.pos, out.cell = pos, cell
    return out


def test_edge_vectors_equal_those_of_ase(system):
    atoms, cutoff = system
    graph = AtomicGraph.from_atoms(atoms, cutoff)
    vec = edge_vectors(graph).numpy()
    assert np.linalg.norm(vec, axis=1).max(initial=0) < cutoff
    cell = atoms.cell.array.copy()
    if np.linalg.matrix_rank(cell) < atoms.cell.rank:  # ASE cannot do dependent vectors
        cell[~atoms.pbc] = 0
    *key, want = primitive_neighbor_list("ijSD", atoms.pbc, cell, atoms.positions, cutoff)
    i, j, shift = key
    order = np.lexsort((*shift.T[::-1], j, i))
    # of unwrapped atoms 1e3 cells away: the last digits of their coordinates
    np.testing.assert_allclose(vec, want[order].reshape(-1, 3), atol=1e-11)


def test_edge_vectors_run_from_the_centre_to_the_neighbour():
    graph = AtomicGraph.from_atoms(ase.Atoms("HO", [[0, 0, 0], [1, 0, 0]]), 2.0)
    assert graph.edge_index.tolist() == [[1, 0], [0, 1]]  # row 0 = neighbour, row 1 = centre
    assert edge_vectors(graph).tolist() == [[1, 0, 0], [-1, 0, 0]]


@pytest.mark.parametrize("make", [small_graph, mixed_batch])
def test_edge_vectors_are_differentiable_in_positions_and_cell(make):
    graph = make()

    def lengths(pos, cell):
        return edge_vectors(with_geometry(graph, pos, cell)).square().sum(-1).sqrt()

    inputs = graph.pos.requires_grad_(), graph.cell.requires_grad_()
    assert gradcheck(lengths, inputs)
    assert gradgradcheck(lengths, inputs)


def test_a_batch_is_its_graphs():
    batch = mixed_batch()
    graphs = batch.to_data_list()
    assert isinstance(batch, AtomicGraph)
    assert num_structures(batch) == 3
    assert structure_index(batch).tolist() == [0, 0, 1, 1, 2, 2]
    assert batch.cell.shape == (3, 3, 3) and batch.pbc.shape == (3, 3) and len(batch.cutoff) == 3
    torch.testing.assert_close(edge_vectors(batch), torch.cat([edge_vectors(g) for g in graphs]))
    torch.testing.assert_close(
        batch.edge_cell_shift, torch.cat([g.edge_cell_shift for g in graphs])
    )
    assert edge_vectors(batch).norm(dim=1).max() < 3.4
    edge_ij, edge_ik = triplets(batch.edge_index, batch.num_nodes)
    assert len(edge_ij) == sum(len(triplets(g.edge_index, g.num_nodes)[0]) for g in graphs)
    assert (batch.edge_index[1, edge_ij] == batch.edge_index[1, edge_ik]).all()


def test_a_batch_of_one_is_its_graph():
    graph = small_graph()
    batch = Batch.from_data_list([graph])
    torch.testing.assert_close(edge_vectors(batch), edge_vectors(graph), rtol=0, atol=0)
    assert structure_index(graph).tolist() == structure_index(batch).tolist() == [0, 0]


def test_cells_without_a_batch_vector_are_refused():
    batch = mixed_batch()
    del batch.batch
    with pytest.raises(ValueError, match="`graph`: expected `batch` beside 3 cells.*Batch"):
        edge_vectors(batch)


def test_volume_is_that_of_ase_also_for_left_handed_cells_and_molecules():
    cells = np.random.default_rng(0).normal(size=(4, 3, 3)) * 4
    cells[1] = cells[0][[1, 0, 2]]
    cells[2] = 0
    want = [abs(np.linalg.det(cell)) for cell in cells]
    torch.testing.assert_close(volume(torch.tensor(cells)), torch.tensor(want))
    assert gradcheck(volume, torch.tensor(cells[[0, 1, 3]], requires_grad=True))
    no_cell = torch.zeros(1, 3, 3, requires_grad=True)
    volume(no_cell).sum().backward()
    assert (no_cell.grad == 0).all()


def test_strain_moves_every_edge_vector_by_it():
    batch = mixed_batch()
    strain = torch.randn(3, 3, 3) * 0.02
    strain = strain + strain.mT
    want = edge_vectors(batch)
    of_edge = strain[batch.batch[batch.edge_index[1]]]
    want = want + torch.einsum("ea,eab->eb", want, of_edge)
    torch.testing.assert_close(edge_vectors(strained(batch, strain)), want)
    torch.testing.assert_close(strained(batch, strain).cell, batch.cell @ (torch.eye(3) + strain))


@pytest.mark.parametrize("make", [small_graph, mixed_batch])
def test_strain_is_differentiable_and_does_not_write_to_the_graph(make):
    graph = make()
    before = graph.clone()
    strain = torch.zeros_like(graph.cell, requires_grad=True)

    def energy(strain):
        out = strained(graph, strain)
        return (-edge_vectors(out).square().sum(-1)).exp().sum() + volume(out.cell).sum()

    assert gradcheck(energy, strain)
    assert gradgradcheck(energy, strain)
    assert graph.keys() == before.keys()
    assert all(torch.equal(graph[key], before[key]) for key in before.keys())
    assert not graph.pos.requires_grad and not graph.cell.requires_grad


def test_strained_keeps_what_it_does_not_change():
    batch = mixed_batch()
    out = strained(batch, torch.zeros_like(batch.cell))
    assert type(out) is type(batch) and num_structures(out) == 3
    assert out.edge_index is batch.edge_index and out.batch is batch.batch
    assert out.pos is not batch.pos


@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 3), (1, 6)])
def test_strain_of_the_wrong_shape(shape):
    with pytest.raises(ValueError, match=r"`strain`: expected shape \[1, 3, 3\], one matrix per"):
        strained(small_graph(), torch.zeros(shape))


def test_float32_graphs_stay_in_float32():
    graph = AtomicGraph.from_atoms(bulk("Cu"), 4.0, dtype=torch.float32)
    assert edge_vectors(graph).dtype == torch.float32
    assert strained(graph, torch.zeros(1, 3, 3, dtype=torch.float32)).pos.dtype == torch.float32
