"""Atoms to graph and back, with and without labels."""

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from torch_geometric.data import Batch
from torch_geometric.loader import DataLoader

from nnmd_graph.graph import (
    AtomicGraph,
    Labels,
    edge_vectors,
    from_ase,
    radius_graph,
    read_labels,
    to_ase,
)


def labelled_copper() -> ase.Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=0)
    work = atoms.copy()
    work.calc = EMT()
    results = {
        "energy": work.get_potential_energy(),
        "forces": work.get_forces(),
        "stress": work.get_stress(),
    }
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def test_every_field_has_its_shape_and_dtype():
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    graph = AtomicGraph.from_atoms(atoms, 5.0)
    num_edges = graph.edge_index.shape[1]
    want = {
        "pos": ((2, 3), torch.float32),
        "z": ((2,), torch.int64),
        "cell": ((1, 3, 3), torch.float32),
        "pbc": ((1, 3), torch.bool),
        "edge_index": ((2, num_edges), torch.int64),
        "edge_cell_shift": ((num_edges, 3), torch.int64),
        "cutoff": ((1,), torch.float64),
    }
    assert {key: (tuple(graph[key].shape), graph[key].dtype) for key in graph.keys()} == want
    assert graph.z.tolist() == [11, 17]
    assert graph.num_nodes == 2 and graph.num_edges == num_edges > 0


@pytest.mark.parametrize("default", [torch.float32, torch.float64])
def test_dtype_is_the_default_one_or_the_one_asked_for(default, float64):
    torch.set_default_dtype(default)
    assert AtomicGraph.from_atoms(bulk("Cu"), 3.0).pos.dtype == default
    graph = AtomicGraph.from_atoms(bulk("Cu"), 3.0, dtype=torch.float64)
    assert graph.pos.dtype == graph.cell.dtype == torch.float64


def test_edges_are_searched_in_float64_with_the_backend_asked_for(system):
    atoms, cutoff = system
    graph = from_ase(atoms, cutoff, backend="ase", dtype=torch.float32)
    edge_index, shift = radius_graph(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)
    assert torch.equal(graph.edge_index, edge_index)
    if np.abs(atoms.positions).max() < 16.0:  # else atoms are counted from cells nearby
        assert torch.equal(graph.edge_cell_shift, shift)
    exact = from_ase(atoms, cutoff, dtype=torch.float64)
    torch.testing.assert_close(edge_vectors(graph).double(), edge_vectors(exact), rtol=0, atol=1e-5)


def test_there_and_back(system):
    atoms, cutoff = system
    back = AtomicGraph.from_atoms(atoms, cutoff, dtype=torch.float64).to_atoms()
    assert back == atoms  # positions, numbers, cell, pbc
    assert back.calc is None


def test_there_and_back_with_labels():
    atoms = labelled_copper()
    graph = from_ase(atoms, 4.0, labels=read_labels(atoms), dtype=torch.float64)
    assert graph.energy.shape == (1,) and graph.stress.shape == (1, 3, 3)
    back = to_ase(graph)
    for name in ("energy", "forces", "stress"):
        np.testing.assert_allclose(back.calc.results[name], atoms.calc.results[name], atol=1e-15)
    assert back.get_potential_energy() == atoms.get_potential_energy()


def test_graphs_carry_labels_only_when_given():
    graph = AtomicGraph.from_atoms(labelled_copper(), 4.0)
    assert not {"energy", "forces", "stress"} & set(graph.keys())


def test_missing_labels_are_nan_and_do_not_come_back():
    graph = AtomicGraph.from_atoms(molecule("H2O"), 4.0, labels=Labels(energy=-14.2))
    assert graph.energy.tolist() == [-14.2]
    assert graph.forces.shape == (3, 3) and graph.forces.isnan().all()
    assert graph.stress.shape == (1, 3, 3) and graph.stress.isnan().all()
    assert set(graph.to_atoms().calc.results) == {"energy"}


def test_large_energies_keep_their_digits():
    graph = AtomicGraph.from_atoms(bulk("Cu"), 3.0, labels=Labels(energy=-4.5e6 + 0.001))
    assert graph.pos.dtype == torch.float32
    assert graph.energy.item() == -4.5e6 + 0.001


def test_labels_batch_also_where_some_are_missing():
    copper = labelled_copper()
    graphs = [
        AtomicGraph.from_atoms(copper, 4.0, labels=read_labels(copper)),
        AtomicGraph.from_atoms(molecule("H2O"), 4.0, labels=Labels()),
    ]
    (batch,) = DataLoader(graphs, batch_size=2)
    assert batch.energy.shape == (2,) and batch.stress.shape == (2, 3, 3)
    assert batch.forces.shape == (7, 3)
    assert batch.energy.isnan().tolist() == [False, True]
    assert batch.forces.isnan().all(1).tolist() == [False] * 4 + [True] * 3
    assert batch[0].to_atoms() == graphs[0].to_atoms()


def test_a_batch_has_no_atoms_of_its_own():
    batch = Batch.from_data_list([AtomicGraph.from_atoms(bulk("Cu"), 3.0)] * 2)
    with pytest.raises(ValueError, match="`graph`: expected one structure, got a batch of 2"):
        batch.to_atoms()


def test_graphs_live_on_the_device_asked_for():
    graph = AtomicGraph.from_atoms(bulk("Cu"), 3.0, device="cpu")
    assert graph.pos.device.type == "cpu"


def test_nothing_at_all_is_a_graph():
    graph = AtomicGraph.from_atoms(ase.Atoms(), 3.0)
    assert graph.pos.shape == (0, 3) and graph.edge_index.shape == (2, 0)


def test_bad_structures():
    atoms = bulk("Cu", cubic=True)
    atoms.positions[2, 1] = np.nan
    with pytest.raises(ValueError, match="`pos`: expected finite numbers in Å.*atom 2"):
        AtomicGraph.from_atoms(atoms, 3.0)
    atoms = ase.Atoms("Cu", pbc=True)
    with pytest.raises(ValueError, match="`cell`: expected cell vectors that span a volume"):
        AtomicGraph.from_atoms(atoms, 3.0)
    with pytest.raises(ValueError, match="`pos`: expected atoms at least 0.001 Å apart"):
        AtomicGraph.from_atoms(ase.Atoms("H2", [[0, 0, 0], [0, 0, 0]]), 3.0)
    with pytest.raises(TypeError, match="`atoms`: expected an ase.Atoms, got str; read files"):
        AtomicGraph.from_atoms("li.extxyz", 3.0)
    with pytest.raises(TypeError, match="`pos`: expected a floating dtype, got torch.int64"):
        AtomicGraph.from_atoms(bulk("Cu"), 3.0, dtype=torch.int64)


def test_labels_of_another_structure():
    with pytest.raises(ValueError, match=r"`forces`: expected shape \[1, 3\] for 1 atoms, got \[2"):
        AtomicGraph.from_atoms(bulk("Cu"), 3.0, labels=Labels(forces=np.zeros((2, 3))))
