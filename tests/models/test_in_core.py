"""Energy, forces and stress in one call of the native core are those of the net part by part."""

import copy

import ase
import ase.build
import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

from nnmd_graph.graph import AtomicGraph, edge_vectors
from nnmd_graph.models import BPNN, EnergyModel, Potential
from nnmd_graph.models.evaluators import Chunked, OfFeatures, Prediction, Wanted
from nnmd_graph.models.in_core import InCore
from nnmd_graph.models.readout import ElementReadout
from nnmd_graph.native import nets
from nnmd_graph.nn.mlp import ACTIVATIONS
from nnmd_graph.representations import ACSF, G2, G4, G5, EmbeddedACSF

pytestmark = pytest.mark.usefixtures("float64", "natively")

R_C = 4.0
FUNCTIONS = [
    *(G2(eta=eta) for eta in (0.1, 1.0)),
    G4(eta=0.05, zeta=2.0, lam=-1.0),
    G5(eta=0.1, zeta=4.0, lam=1.0),
]
EVERYTHING = Wanted(forces=True, stress=True, gradients=False)


def structure(seed: int = 0, size: int = 2) -> ase.Atoms:
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.4, cubic=True) * (1, 1, size)
    atoms.rattle(0.2, seed=seed)
    return atoms


@pytest.fixture
def graph() -> AtomicGraph:
    return AtomicGraph.from_atoms(structure(), R_C)


def model(activation="tanh", hidden=(7, 5), dtype: torch.dtype = torch.float64) -> EnergyModel:
    """A BPNN with a scaling and isolated energies of its own."""
    made = BPNN(ACSF(("Na", "Cl"), R_C, FUNCTIONS), hidden_channels=hidden, activation=activation)
    graphs = [AtomicGraph.from_atoms(structure(seed), R_C) for seed in range(3)]
    x = torch.cat([made.fixed(graph) for graph in graphs])
    made.fit_features(x, torch.cat([graph.z for graph in graphs]).eq(17).long())
    made.baseline.set({11: -4400.5, 17: -12500.25}, 1.7)
    return made.to(dtype).eval()


def in_core(model: EnergyModel, graph: AtomicGraph, wanted: Wanted = EVERYTHING) -> Prediction:
    evaluator = model.evaluator(graph, training=False)
    assert isinstance(evaluator, InCore)
    return evaluator(graph, wanted)


def in_parts(model: EnergyModel, graph: AtomicGraph) -> Prediction:
    evaluator = Chunked(model.energy_of_features, model.species, model.fixed.chunks)
    return evaluator(graph, EVERYTHING)


def same(model: EnergyModel, graph: AtomicGraph, limit: float = 1e-11) -> None:
    found, wanted = in_core(model, graph), in_parts(model, graph)
    assert found.keys() == wanted.keys()
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], rtol=limit, atol=limit)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation(activation: str, graph) -> None:
    same(model(("tanh", activation, activation)), graph)
    if activation != "exponential":  # of which two layers overflow
        same(model(activation), graph)


@pytest.mark.parametrize("hidden", [(), (1,), (33, 8, 3)])
def test_every_number_of_layers(hidden, graph) -> None:
    same(model(hidden=hidden), graph)


def test_a_net_of_its_own_for_each_element(graph) -> None:
    same(model((("silu", "identity"), ("tanh", "gelu", "cos")), ((4,), (9, 2))), graph)


def test_every_activation_has_a_number() -> None:
    assert set(nets.ACTIVATIONS) == set(ACTIVATIONS)


def test_float32() -> None:
    graph = AtomicGraph.from_atoms(structure(), R_C, dtype=torch.float32)
    same(model(dtype=torch.float32), graph, 1e-4)


def test_batches_and_vectors_of_an_engine(graph) -> None:
    molecule = ase.Atoms("NaCl", [[0, 0, 0], [0, 0, 2.4]])
    others = [AtomicGraph.from_atoms(atoms, R_C) for atoms in (molecule, structure(1))]
    batch = Batch.from_data_list([graph, *others])
    same(model(), batch)
    brought = copy.copy(graph)
    brought.edge_vec = edge_vectors(graph)
    brought.pos = torch.zeros_like(graph.pos)
    found = in_core(model(), brought)
    torch.testing.assert_close(found["forces"], in_core(model(), graph)["forces"])


def test_forces_are_derivatives_of_the_energy(graph) -> None:
    own, step = model(), 1e-5
    moved = copy.copy(graph)
    energies = []
    for sign in (1.0, -1.0):
        moved.pos = graph.pos.clone()
        moved.pos[3, 1] += sign * step
        energies.append(float((in_core(own, moved)["atomic_energy"] - 0.0).sum()))
    slope = (energies[0] - energies[1]) / (2.0 * step)
    assert float(in_core(own, graph)["forces"][3, 1]) == pytest.approx(-slope, abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_isolated_atoms_have_their_energies_exactly(dtype) -> None:
    apart = AtomicGraph.from_atoms(ase.Atoms("NaCl", [[0, 0, 0], [0, 0, 20]]), R_C, dtype=dtype)
    out = in_core(model(dtype=dtype), apart)
    assert out["atomic_energy"].tolist() == [-4400.5, -12500.25]
    assert not out["forces"].any() and not out["stress"].any()
    assert in_core(model(), AtomicGraph.from_atoms(ase.Atoms(), R_C))["energy"].tolist() == [0.0]


def test_only_what_is_wanted(graph) -> None:
    energy = in_core(model(), graph, Wanted(forces=False, stress=False, gradients=False))
    assert energy.keys() == {"energy", "atomic_energy"}
    assert torch.equal(energy["energy"], in_core(model(), graph)["energy"])
    forces = in_core(model(), graph, Wanted(forces=True, stress=False, gradients=False))
    assert forces.keys() == {"energy", "atomic_energy", "forces"}


def test_changed_weights_are_noticed(graph) -> None:
    own = model()
    nets_before = own.evaluator(graph, training=False).nets
    assert own.evaluator(graph, training=False).nets is nets_before
    before = in_core(own, graph)["energy"]
    own.readout.net.nets[0].linears[0].weight.data[0, 0] += 0.1  # without a trace for autograd
    assert not torch.equal(in_core(own, graph)["energy"], before)
    same(own, graph)
    for change in (own.scaler.matrix.mul_, own.baseline.scale.mul_):
        change(1.1)
        same(own, graph)
    same(copy.deepcopy(own), graph)


def test_many_neighbors_are_not_kept(graph) -> None:
    """More strips of pairs than are kept for the way back."""
    atoms = ase.build.bulk("Cu", cubic=True) * (2, 2, 2)
    atoms.rattle(0.1, seed=0)
    functions = [G5(eta=0.01, zeta=1.0, lam=1.0), G4(eta=0.01, zeta=2.0, lam=-1.0)]
    own = BPNN(ACSF(("Cu",), 12.0, functions), hidden_channels=(3,)).eval()
    dense = AtomicGraph.from_atoms(atoms, 12.0)
    degree = int(torch.bincount(dense.edge_index[1]).max())
    assert degree * (degree - 1) / 2 / 256 > 256
    few = [0, 5]
    mine = torch.isin(dense.edge_index[1], torch.tensor(few))
    dense.edge_index, dense.edge_cell_shift = dense.edge_index[:, mine], dense.edge_cell_shift[mine]
    same(own, dense)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_number_of_threads_changes_nothing(dtype, monkeypatch) -> None:
    graph = AtomicGraph.from_atoms(structure(size=8), R_C, dtype=dtype)
    own, found = model(dtype=dtype), []
    w = torch.randn(graph.num_nodes, own.fixed.num_features, dtype=dtype)
    for number in (1, 2, 5):
        monkeypatch.setattr(torch, "get_num_threads", lambda number=number: number)
        x, pullback = own.fixed.native(graph).with_pullback(graph)
        found.append({**in_core(own, graph), "x": x, "by_edge": pullback(w)})
    for other in found[1:]:
        assert all(torch.equal(other[name], found[0][name]) for name in other)


def test_long_structures_go_block_by_block() -> None:
    """More edges than a block of 131072 has: forces come from several."""
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.4, cubic=True) * (2, 2, 2)
    atoms.rattle(0.1, seed=0)
    graph = AtomicGraph.from_atoms(atoms, 14.0)
    batch = Batch.from_data_list([graph] * 4)
    assert batch.num_edges > 131072
    own = BPNN(ACSF(("Na", "Cl"), 14.0, [G2(eta=0.01)]), hidden_channels=(3,)).eval()
    same(own, batch)


def test_who_watches_the_features_sees_them(graph) -> None:
    own, seen = model(), []
    with own.ranges.watched(lambda x, s, atoms: seen.append((x, s, atoms))):
        in_core(own, graph)
    [(x, species_id, atoms)] = seen
    torch.testing.assert_close(x, own.fixed(graph))
    assert species_id.tolist() == (graph.z == 17).long().tolist() and atoms is None


def test_what_the_core_does_not_know_takes_another_road(graph) -> None:
    class Own(ElementReadout):
        def forward(self, x: torch.Tensor, species_id: torch.Tensor) -> torch.Tensor:
            return 2.0 * super().forward(x, species_id)

    acsf = ACSF(("Na", "Cl"), R_C, FUNCTIONS)
    own = EnergyModel(acsf, Own(2, acsf.num_features)).eval()
    assert isinstance(own.evaluator(graph, training=False), Chunked)
    embedded = BPNN(EmbeddedACSF(("Na", "Cl"), R_C, [G2(eta=1.0)], embedding_dim=2)).eval()
    assert isinstance(embedded.evaluator(graph, training=False), Chunked)


def test_training_takes_the_pullback(graph) -> None:
    assert isinstance(model().evaluator(graph, training=True), OfFeatures)


def test_positions_that_are_no_numbers_are_refused(graph) -> None:
    graph.pos[2, 0] = np.nan
    with pytest.raises(ValueError, match="`pos`: expected finite positions"):
        Potential(model()).eval()(graph)
