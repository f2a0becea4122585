"""One net for all elements, told the element by the vector that the features are made with."""

import ase.build
import pytest
import torch
from ase.calculators.lj import LennardJones

from nnmd_graph.data import AtomsDataset
from nnmd_graph.graph import AtomicGraph
from nnmd_graph.models import BPNN, EnergyModel, Potential
from nnmd_graph.models.shared_readout import SharedReadout
from nnmd_graph.nn.species import species_ids
from nnmd_graph.representations import ACSF, G2, G5, EmbeddedACSF
from nnmd_graph.representations.common_scaling import CommonScaler
from nnmd_graph.representations.scaling import FeatureScaler
from nnmd_graph.training import Trainer

pytestmark = pytest.mark.usefixtures("float64")
FUNCTIONS = [G2(eta=0.5, r_s=1.0), G2(eta=2.0, r_s=1.5), G5(eta=0.1, zeta=3.0, lam=-1.0)]
SPECIES = ("H", "C", "O")


def shared(**options) -> EnergyModel:
    embedded = EmbeddedACSF(SPECIES, 4.0, FUNCTIONS, embedding_dim=2)
    return BPNN(embedded, (6, 5), readout="shared", **options)


@pytest.fixture
def graph() -> AtomicGraph:
    return AtomicGraph.from_atoms(ase.build.molecule("CH3CH2OH"), 4.0)


@pytest.fixture
def train() -> AtomsDataset:
    frames = []
    for n in range(6):
        atoms = ase.build.bulk("NaCl", "rocksalt", a=5.4, cubic=True)
        atoms.rattle(0.1, seed=n)
        atoms.calc = LennardJones(sigma=2.4, epsilon=0.1, rc=5.0)
        atoms.get_forces()
        frames.append(atoms)
    return AtomsDataset(frames, 4.0)


def test_formula(graph) -> None:
    """Two hidden layers, each scaled and shifted by the vector of the centre's element."""
    model = shared()
    representation, net = model.representation, model.readout.net
    species_id = species_ids(graph.z, model.species)
    model.fit_features(model.fixed(graph), species_id)
    x = model.scaler(representation(graph), species_id)
    h, e = x, representation.embedding[species_id]
    for linear, condition in zip(net.net.linears[:-1], net.conditions, strict=True):
        width = linear.out_features
        factor, shift = condition.weight[:width], condition.weight[width:]
        inside = (1 + e @ factor.T) * (h @ linear.weight.T) + linear.bias + e @ shift.T
        h = torch.tanh(inside)
    expected = (h @ net.last.weight.T + net.last.bias)[:, 0]
    found = model.readout(torch.cat([x, e], 1), species_id)
    torch.testing.assert_close(found, expected)


def test_elements_with_one_vector_are_one_element(graph) -> None:
    """Only the vector tells elements apart: equal surroundings then have equal energies."""
    model = shared()
    model.fit_features(model.fixed(graph), species_ids(graph.z, model.species))
    pair = ase.Atoms("CO", [[0, 0, 0], [1.2, 0, 0]])
    energies = model(AtomicGraph.from_atoms(pair, 4.0))
    assert (energies[0] - energies[1]).abs() > 1e-4
    with torch.no_grad():
        model.representation.embedding[2] = model.representation.embedding[1]
    energies = model(AtomicGraph.from_atoms(pair, 4.0))
    torch.testing.assert_close(energies[0], energies[1])


def test_one_parameter_is_trained_by_both_uses(graph) -> None:
    model = shared()
    names = [name for name, _ in model.named_parameters()]
    assert [name for name in names if "embedding" in name] == ["representation.embedding"]
    species_id = species_ids(graph.z, model.species)
    each = torch.arange(3)
    x = torch.zeros(3, model.representation.num_features)
    vectors = model.representation.embedding
    # The net alone, its features held: the vector of the centre has a gradient of its own
    e = model.readout(torch.cat([x, vectors], 1), each)
    assert bool((torch.autograd.grad(e.sum(), vectors)[0].abs() > 0).all())
    # The sums alone, the net's own vector held
    torch.autograd.grad(model.representation(graph).square().sum(), vectors)
    assert model.energy_of_features(model.fixed(graph), species_id).requires_grad


def test_features_are_scaled_in_common(graph) -> None:
    model = shared(ridge=0.2)
    assert isinstance(model.scaler, CommonScaler)
    x, species_id = torch.rand(50, 6), torch.arange(50) % 3
    model.scaler.fit(x, species_id)
    reference = FeatureScaler(1, 6, 0.2)
    reference.fit(x, torch.zeros(50, dtype=torch.long))
    scaled = model.scaler(x, species_id)
    torch.testing.assert_close(scaled, reference(x, torch.zeros(50, dtype=torch.long)))
    torch.testing.assert_close(scaled.mean(0), torch.zeros(6))
    assert model.scaler.hyper_parameters() == {"num_features": 6, "ridge": 0.2}


def test_number_of_weights_does_not_grow_with_the_elements() -> None:
    def count(species: tuple[str, ...]) -> int:
        embedded = EmbeddedACSF(species, 4.0, FUNCTIONS, embedding_dim=2)
        model = BPNN(embedded, (6, 5), readout="shared")
        return sum(p.numel() for p in model.parameters()) - 2 * len(species)

    assert count(("H",)) == count(SPECIES) == count(("Mo", "Nb", "Ta", "W"))


def test_starts_at_the_isolated_atoms(graph) -> None:
    model = shared()
    species_id = species_ids(graph.z, model.species)
    x = model.fixed(graph).repeat(20, 1) * (1 + 0.2 * torch.randn(180, 1))
    model.fit_features(x, species_id.repeat(20))
    energies = model.energy_of_features(x, species_id.repeat(20))
    for s in range(3):
        assert abs(energies[species_id.repeat(20) == s].mean().item()) < 1e-9
    lone = model(AtomicGraph.from_atoms(ase.Atoms("O"), 4.0))
    assert lone.item() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.slow
def test_trained_with_sums_computed_once_as_without_then_saved(train, tmp_path) -> None:
    trained = {}
    for precompute in (True, False):
        embedded = EmbeddedACSF(("Na", "Cl"), 4.0, FUNCTIONS, embedding_dim=2)
        potential = Potential(BPNN(embedded, (6,), readout="shared"))
        start = embedded.embedding.detach().clone()
        settings = {"max_epochs": 3, "batch_size": 2, "seed": 0, "ema_decay": 0.0}
        zero = {"Na": 0.0, "Cl": 0.0}
        Trainer(**settings, precompute=precompute, isolated_energies=zero).fit(potential, train)
        trained[precompute] = dict(potential.state_dict())
        assert (embedded.embedding - start).abs().max() > 1e-4
    for name, value in trained[True].items():
        torch.testing.assert_close(value, trained[False][name], rtol=1e-7, atol=1e-9)
    potential.save(tmp_path / "model.pt")
    again = Potential.load(tmp_path / "model.pt")
    assert isinstance(again.model.readout, SharedReadout)
    for name, value in potential.eval()(train[0]).items():
        torch.testing.assert_close(again(train[0])[name], value, rtol=0, atol=0)


def test_what_does_not_fit() -> None:
    plain = ACSF(SPECIES, 4.0, FUNCTIONS)
    with pytest.raises(
        TypeError, match="`representation`: expected `element_vectors`.*got ACSF; pass"
    ):
        BPNN(plain, readout="shared")
    with pytest.raises(ValueError, match="`readout`: expected one of .*, got 'mean'"):
        BPNN(plain, readout="mean")
    embedded = EmbeddedACSF(SPECIES, 4.0, FUNCTIONS, embedding_dim=2)
    with pytest.raises(TypeError, match="a vector of 3 components for each of 3 elements"):
        EnergyModel(embedded, SharedReadout(6, (4,), embedding_dim=3))
