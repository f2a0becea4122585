"""Energy models: representation, scaling, readout, baseline."""

import ase
import numpy as np
import pytest
import torch
from torch import nn

from nnmd_graph.models import BPNN, EnergyModel
from nnmd_graph.models.readout import ElementReadout
from nnmd_graph.representations.scaling import FeatureScaler

pytestmark = pytest.mark.usefixtures("float64")


class Sum(nn.Module):
    """The plainest readout."""

    def forward(self, x: torch.Tensor, species_id: torch.Tensor) -> torch.Tensor:
        return x.sum(-1)


def test_energy_is_baseline_plus_the_change_of_the_readout(make_potential, crystal, graph_of):
    model, graph = make_potential().model, graph_of(crystal)
    species_id = torch.tensor([1, 2])  # C and O of H, C, O
    x = model.representation(graph)
    zero = torch.zeros_like(x)
    e = [model.readout(model.scaler(values, species_id), species_id) for values in (x, zero)]
    expected = torch.tensor([-1036.2, -2041.3]) + 0.7 * (e[0] - e[1])
    torch.testing.assert_close(model(graph), expected, rtol=0, atol=1e-10)


def test_isolated_atom_has_its_energy_whatever_the_weights(make_potential, graph_of) -> None:
    for seed in range(3):
        model = make_potential(seed=seed).model
        for symbol, energy in (("H", -13.6), ("C", -1036.2), ("O", -2041.3)):
            assert model(graph_of(ase.Atoms(symbol))).item() == pytest.approx(energy, abs=1e-12)


def test_own_representation_and_readout(coordination, crystal, graph_of) -> None:
    model = EnergyModel(coordination([6, 8], 3.5), Sum())
    assert (model.species, model.cutoff) == ((6, 8), 3.5)
    graph = graph_of(crystal)
    features = model.representation(graph)  # their constant part cancels
    torch.testing.assert_close(model(graph), features[:, 0])
    lone = model.isolated_features(torch.float64)
    torch.testing.assert_close(lone, torch.tensor([[0.0, 1.0], [0.0, 1.0]]))


def test_species_and_cutoff_can_be_given() -> None:
    model = EnergyModel(nn.Identity(), Sum(), species=("O", "H"), cutoff=3)
    assert (model.species, model.cutoff) == ((1, 8), 3.0)


@pytest.mark.parametrize("given", [{}, {"species": ("H",)}, {"cutoff": 3.0}])
def test_species_and_cutoff_must_come_from_somewhere(given) -> None:
    with pytest.raises(
        ValueError, match=r"`species` and `cutoff`: expected.*got species=.*cutoff="
    ):
        EnergyModel(nn.Identity(), Sum(), **given)


def test_bpnn_is_a_short_constructor(acsf) -> None:
    model = BPNN(acsf, hidden_channels=(7, 3), activation="silu", seed=5)
    assert model.representation is acsf
    assert isinstance(model.scaler, FeatureScaler)
    torch.manual_seed(99)
    readout = ElementReadout(3, acsf.num_features, (7, 3), "silu", seed=5)
    for one, other in zip(model.readout.parameters(), readout.parameters(), strict=True):
        assert torch.equal(one, other)


def test_seed_decides_the_weights_and_leaves_the_global_state_alone(acsf) -> None:
    before = torch.random.get_rng_state()
    weights = [next(BPNN(acsf, seed=seed).parameters()) for seed in (0, 0, 1)]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_bpnn_needs_to_know_the_number_of_features() -> None:
    with pytest.raises(TypeError, match=r"`representation`: expected.*Identity without.*ACSF"):
        BPNN(nn.Identity())


def test_unknown_element(acsf, graph_of) -> None:
    with pytest.raises(ValueError, match=r"`z`.*\['H', 'C', 'O'\].*N \(atom 0\)"):
        BPNN(acsf)(graph_of(ase.Atoms("N")))


def test_fitted_features_start_at_the_baseline(acsf) -> None:
    """Before training the mean predicted binding energy is zero for every element it saw."""
    model = BPNN(acsf, hidden_channels=(6,), seed=2)
    x, species_id = torch.rand(90, acsf.num_features), torch.arange(90) % 2  # no third element
    model.fit_features(x, species_id)
    energy = model.energy_of_features(x, species_id)
    for s in (0, 1):
        assert abs(energy[species_id == s].mean().item()) < 1e-10
    assert energy.std() > 1e-3
    third = model.energy_of_features(x, torch.full((90,), 2))
    assert bool(third.isfinite().all())


def test_readout_arguments_are_plain_also_from_numpy() -> None:
    sizes = np.array([4, 3])
    readout = ElementReadout(np.int64(2), np.int64(5), list(sizes), seed=np.int64(3))
    values = readout.hyper_parameters()
    assert values["hidden_channels"] == [4, 3]
    assert {type(v) for v in (values["num_species"], *values["hidden_channels"])} == {int}
    values["hidden_channels"] = None  # a copy: the module keeps its own
    assert readout.hyper_parameters()["hidden_channels"] == [4, 3]
