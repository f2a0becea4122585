"""Element embeddings: sums over neighbours weighted by trainable vectors of their elements."""

import dataclasses

import ase.build
import pytest
import torch
from ase.calculators.lj import LennardJones

from nnmd_graph.data import AtomsDataset
from nnmd_graph.graph import AtomicGraph
from nnmd_graph.models import BPNN, Potential
from nnmd_graph.models.extension import extend_species
from nnmd_graph.representations import ACSF, G2, G4, G5, EmbeddedACSF
from nnmd_graph.training import Trainer

pytestmark = pytest.mark.usefixtures("float64")
FUNCTIONS = [G2(eta=0.5, r_s=1.0), G4(eta=0.05, zeta=2.0, lam=1.0), G5(eta=0.1, zeta=3.0, lam=-1.0)]


@pytest.fixture
def graph() -> AtomicGraph:
    return AtomicGraph.from_atoms(ase.build.molecule("CH3CH2OH"), 4.0)


def test_atomic_numbers_as_vectors_are_weighted_functions(graph) -> None:
    embedded = EmbeddedACSF(("C", "H", "O"), 4.0, FUNCTIONS, embedding_dim=1)
    with torch.no_grad():
        embedded.embedding.copy_(torch.tensor([[1.0], [6.0], [8.0]]))
    weighted = [dataclasses.replace(f, weighted=True) for f in FUNCTIONS]
    torch.testing.assert_close(embedded(graph), ACSF(("C", "H", "O"), 4.0, weighted)(graph))


def test_elements_alike_are_one_element(graph) -> None:
    embedded = EmbeddedACSF(("C", "H", "O"), 4.0, FUNCTIONS, embedding_dim=3)
    with torch.no_grad():
        embedded.embedding.fill_(1.0)
    alike = graph.__copy__()
    alike.z = torch.full_like(graph.z, 6)
    x = ACSF("C", 4.0, FUNCTIONS)(alike)
    torch.testing.assert_close(embedded(graph), x.repeat_interleave(3, dim=1))


def test_number_of_features_does_not_depend_on_the_elements() -> None:
    for species in ("C", ("C", "H", "O"), ("Mo", "Nb", "Ta", "W", "H")):
        assert EmbeddedACSF(species, 4.0, FUNCTIONS, embedding_dim=4).num_features == 12
    assert EmbeddedACSF(("C", "H", "O"), 4.0).num_features == 8 * 44


@pytest.mark.parametrize("init", ["periodic_table", "random"])
def test_elements_start_apart_and_reproducibly(init: str) -> None:
    species = ("H", "C", "N", "O", "Na", "Cl", "Cu", "W")
    one, other = (EmbeddedACSF(species, 4.0, FUNCTIONS, init=init, seed=3) for _ in range(2))
    assert torch.equal(one.embedding, other.embedding)
    apart = torch.cdist(one.embedding, one.embedding) + 10 * torch.eye(len(species))
    assert apart.min() > 0.3


def test_neighbors_in_the_periodic_table_start_close() -> None:
    e = EmbeddedACSF(("N", "O", "Na"), 4.0, FUNCTIONS, embedding_dim=4).embedding
    assert (e[0] - e[1]).norm() < (e[0] - e[2]).norm()


def test_vectors_have_gradients(graph) -> None:
    embedded = EmbeddedACSF(("C", "H", "O"), 4.0, FUNCTIONS, embedding_dim=2)
    embedded(graph).square().sum().backward()
    assert bool((embedded.embedding.grad.abs() > 0).all())


@pytest.mark.slow
@pytest.mark.parametrize("size", [{"embedding_dim": 2}, {"channels": 4}])
def test_trained_with_sums_computed_once_as_without(tmp_path, size: dict[str, int]) -> None:
    frames = []
    for n in range(6):
        atoms = ase.build.bulk("NaCl", "rocksalt", a=5.4, cubic=True)
        atoms.rattle(0.1, seed=n)
        atoms.calc = LennardJones(sigma=2.4, epsilon=0.1, rc=5.0)
        atoms.get_forces()
        frames.append(atoms)
    train = AtomsDataset(frames, 4.0)
    weights = {}
    for precompute in (True, False):
        embedded = EmbeddedACSF(("Na", "Cl"), 4.0, FUNCTIONS, **size)
        model = BPNN(embedded, (8,))
        potential = Potential(model)
        start = model.representation.embedding.detach().clone()
        zero = {"Na": 0.0, "Cl": 0.0}
        settings = {"max_epochs": 3, "batch_size": 2, "seed": 0, "ema_decay": 0.0}
        Trainer(**settings, precompute=precompute, isolated_energies=zero).fit(potential, train)
        weights[precompute] = model.representation.embedding.detach()
        assert (weights[precompute] - start).abs().max() > 1e-4
    torch.testing.assert_close(weights[True], weights[False], rtol=1e-7, atol=1e-9)
    path = tmp_path / "model.pt"
    potential.save(path)
    again = Potential.load(path)
    graph = train[0]
    torch.testing.assert_close(again(graph)["forces"], potential.eval()(graph)["forces"])
    assert len(again.extrapolation(graph)) == 0


@pytest.mark.parametrize("species", ["C", ("C", "H", "O"), ("Mo", "Nb", "Ta", "W", "H", "C", "O")])
@pytest.mark.parametrize("channels", [2, 5, 40])
def test_number_of_channels_is_that_of_features(species, channels: int) -> None:
    embedded = EmbeddedACSF(species, 4.0, FUNCTIONS, channels=channels)
    assert embedded.num_features == channels
    graph = AtomicGraph.from_atoms(ase.Atoms("CC", [[0, 0, 0], [0, 0, 1.5]]), 4.0)
    assert embedded(graph).shape == (2, channels)
    only_radial = EmbeddedACSF(species, 4.0, FUNCTIONS[:1], channels=channels)
    assert only_radial.num_features == channels
    assert embedded.isolated_features(torch.zeros(1, dtype=torch.long), torch.float64).sum() == 0


def test_formula_of_channels(graph) -> None:
    """By loops over functions, elements and pairs."""
    functions = [FUNCTIONS[1], FUNCTIONS[0], FUNCTIONS[2]]  # orders 2, 1, 2
    embedded = EmbeddedACSF(("C", "H", "O"), 4.0, functions, channels=7)
    for parameter in embedded.parameters():
        torch.nn.init.normal_(parameter)
    sums = embedded.fixed(graph)
    embedded.fit_basis(sums)
    x, e = embedded(graph).detach(), embedded.embedding.detach()
    radial, angular = (embedded.contractions[order]().detach() for order in "12")
    expected = torch.zeros_like(x)
    for s in range(3):
        expected[:, 0] += radial[0, 0] * e[s, 0] * sums[:, 6 + s]
    pairs = [(s, t) for s in range(3) for t in range(s, 3)]
    for c in range(1, 7):
        for n, first in enumerate((0, 9)):
            for p, (s, t) in enumerate(pairs):
                expected[:, c] += angular[n, c - 1] * e[s, c] * e[t, c] * sums[:, first + p]
    torch.testing.assert_close(x, expected)


def test_channels_hold_what_the_functions_do(graph) -> None:
    """As many channels as plain functions span the same space, in whatever order they come."""
    functions = [FUNCTIONS[1], FUNCTIONS[0], FUNCTIONS[2]]
    embedded = EmbeddedACSF(("C", "H", "O"), 4.0, functions, channels=16)
    plain = embedded.fixed(graph)
    embedded.fit_basis(plain)
    x = embedded(graph).detach()
    projection = x @ torch.linalg.pinv(x, rtol=1e-12)
    torch.testing.assert_close(projection @ plain, plain, rtol=1e-9, atol=1e-9)


def test_extension_keeps_channels() -> None:
    model = BPNN(EmbeddedACSF(("C", "H"), 4.0, FUNCTIONS, channels=6), (4,))
    potential = Potential(model).eval()
    methane = AtomicGraph.from_atoms(ase.build.molecule("CH4"), 4.0)
    model.fit_features(model.fixed(methane), torch.tensor([0, 1, 1, 1, 1]))
    longer = extend_species(potential, ("C", "H", "O"))
    for name, value in potential(methane, stress=False).items():
        torch.testing.assert_close(longer(methane, stress=False)[name], value)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="`functions`: expected functions without elements"):
        EmbeddedACSF(("C", "H"), 4.0, [G2(eta=1.0, neighbors="C")])
    with pytest.raises(ValueError, match="`embedding_dim`: expected a positive integer, got 0"):
        EmbeddedACSF(("C", "H"), 4.0, FUNCTIONS, embedding_dim=0)
    with pytest.raises(ValueError, match="`channels`: expected an integer, at least 2 here, got 1"):
        EmbeddedACSF(("C", "H"), 4.0, FUNCTIONS, channels=1)
    with pytest.raises(ValueError, match="expected `embedding_dim` or `channels`, got 8 and 20"):
        EmbeddedACSF(("C", "H"), 4.0, FUNCTIONS, embedding_dim=8, channels=20)
    with pytest.raises(ValueError, match="`init`: expected one of"):
        EmbeddedACSF(("C", "H"), 4.0, FUNCTIONS, init="zeros")
    with pytest.raises(ValueError, match="`recipe`: expected one of"):
        EmbeddedACSF(("C", "H"), 4.0, recipe="mine")
