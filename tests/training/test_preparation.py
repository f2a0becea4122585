"""What is set before the first epoch: baseline, scale, features."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from nnmd_graph.data import AtomsDataset
from nnmd_graph.data.statistics import force_rms
from nnmd_graph.representations.limits import ROUNDING
from nnmd_graph.training.preparation import (
    choose_batch_size,
    fit_baseline,
    fit_features,
    prepare_graphs,
    should_precompute,
)

from .conftest import Fit, copper, dataset, potential


def test_the_baseline_is_fitted_by_least_squares_and_scaled_by_the_forces() -> None:
    train = dataset(copper(6, energy_offset=-100.0))
    model = potential()
    fit_baseline(model, train)
    per_atom = [labels.energy / 4 for labels in train.labels if labels.energy is not None]
    assert float(model.model.baseline.isolated_energies[0]) == pytest.approx(np.mean(per_atom))
    assert float(model.model.baseline.scale) == pytest.approx(force_rms(train), rel=1e-6)
    assert bool(model.model.baseline.fitted)


def test_isolated_energies_may_be_given(fit: Fit) -> None:
    for given in ({"Cu": -7.0}, {29: -7.0}, {"Cu": -7.0, "Au": -3.0}):
        model, _ = fit(isolated_energies=given, max_epochs=1)
        assert model.model.baseline.isolated_energies.tolist() == [-7.0]


def test_an_isolated_atom_keeps_the_given_energy_after_training(fit: Fit) -> None:
    model, _ = fit(isolated_energies={"Cu": -7.0}, max_epochs=3)
    atom = Atoms("Cu", positions=[[0.0, 0.0, 0.0]])
    assert float(model(dataset([atom])[0])["energy"]) == pytest.approx(-7.0, abs=1e-6)


def test_given_energies_count_without_energy_labels() -> None:
    frames = copper(3)
    for atoms in frames:
        del atoms.calc.results["energy"]
    model = potential()
    fit_baseline(model, dataset(frames), {"Cu": -7.0})
    assert model.model.baseline.isolated_energies.tolist() == [-7.0]
    fit_baseline(model, dataset(frames))
    assert model.model.baseline.isolated_energies.tolist() == [0.0]


def test_without_forces_the_energies_give_the_scale() -> None:
    frames = copper(5)
    for atoms in frames:
        del atoms.calc.results["forces"]
    train = dataset(frames)
    model = potential()
    fit_baseline(model, train)
    per_atom = [labels.energy / 4 for labels in train.labels if labels.energy is not None]
    assert float(model.model.baseline.scale) == pytest.approx(np.std(per_atom), rel=1e-5)


def test_a_single_structure_at_rest_has_scale_one() -> None:
    atoms = copper(1)[0]
    atoms.calc = SinglePointCalculator(atoms, energy=-3.0, forces=np.zeros((4, 3)))
    model = potential()
    fit_baseline(model, dataset([atoms]))
    assert float(model.model.baseline.scale) == 1.0


def test_elements_of_the_model_that_the_data_lack_get_zero() -> None:
    model = potential(species=("Cu", "Au"))
    fit_baseline(model, dataset(copper(3, energy_offset=-5.0)))
    copper_energy, gold_energy = model.model.baseline.isolated_energies.tolist()
    assert copper_energy == pytest.approx(-5.0, abs=0.5)
    assert gold_energy == 0.0


def test_a_trained_potential_keeps_its_baseline_and_scaling(fit: Fit) -> None:
    model, _ = fit(max_epochs=1)
    fixed = {name: value.clone() for name, value in model.named_buffers()}
    assert fixed
    other = dataset(copper(8, seed=9, energy_offset=1.0))
    fit(model=model, train=other, isolated_energies={"Cu": 5.0}, max_epochs=2)
    for name, value in model.named_buffers():
        if "ranges." not in name:
            assert torch.equal(value, fixed[name]), name
    # What it was trained on before and now lies inside.
    limits = model.model.ranges
    assert bool((limits.minimum <= fixed["model.ranges.minimum"]).all())
    model.eval()
    assert all(len(model.extrapolation(graph)) == 0 for graph in other)


def test_training_goes_on_from_the_weights_of_a_trained_potential(fit: Fit) -> None:
    settings = {"optimizer": "lbfgs", "max_epochs": 2, "batch_size": 8}
    model, first = fit(**settings)
    _, second = fit(model=model, **settings)
    assert second[0]["train_loss"] == pytest.approx(first[-1]["val_loss"], rel=5.0)
    assert second[0]["train_loss"] < 0.5 * first[0]["train_loss"]


def test_the_memory_decides_whether_features_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = list(dataset(copper(2)))
    model = potential()
    size = sum(4 * 5 * (g.num_nodes + 3 * g.num_edges) for g in graphs)
    for free, expected in ((2 * size + 2, True), (2 * size, False)):
        monkeypatch.setattr(
            "nnmd_graph.training.preparation.available_bytes", lambda free=free: free
        )
        assert should_precompute(model, graphs, None) == expected
        assert should_precompute(model, graphs, True)
        assert not should_precompute(model, graphs, False)


def test_features_that_are_trained_are_not_kept() -> None:
    model = potential()
    model.model.representation.weight = torch.nn.Parameter(torch.ones(()))
    assert not should_precompute(model, list(dataset(copper(1))), None)
    with pytest.raises(ValueError, match="`precompute`: expected False or None"):
        should_precompute(model, list(dataset(copper(1))), True)


@pytest.mark.parametrize("features", [True, False])
def test_ranges_hold_every_training_atom(features: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those beyond the atoms that are enough for the scaling."""
    model, train = potential(), dataset(copper(8))
    graphs = prepare_graphs(model, list(train), features=features, progress=False)
    fit_features(model, graphs, seed=0)
    scaler = model.model.scaler.mean.clone()
    limits = {name: limit.clone() for name, limit in model.model.ranges.named_buffers()}
    x = torch.cat([model.model.representation(graph) for graph in graphs]).double()
    # Limits have the margin of positions in float32
    margin = {"rtol": ROUNDING[torch.float32], "atol": 0.0}
    torch.testing.assert_close(limits["minimum"], x.amin(0, keepdim=True), **margin)
    torch.testing.assert_close(limits["maximum"], x.amax(0, keepdim=True), **margin)
    assert (limits["minimum"] < x).all() and (x < limits["maximum"]).all()
    monkeypatch.setattr("nnmd_graph.training.preparation.MAX_ATOMS_FOR_SCALING", 9)
    model = potential()
    fit_features(model, graphs, seed=0)
    assert not torch.equal(model.model.scaler.mean, scaler)
    for name, limit in model.model.ranges.named_buffers():
        assert torch.equal(limit, limits[name])


def test_no_training_atom_extrapolates(fit: Fit, train: AtomsDataset) -> None:
    model, _ = fit(max_epochs=1, precompute=True)
    for graph in train:
        assert len(model.extrapolation(graph)) == 0
    stretched = copper(1)[0].copy()
    stretched.set_cell(stretched.cell * 1.2, scale_atoms=True)
    assert len(model.extrapolation(dataset([stretched])[0])) > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("features", [True, False])
def test_graphs_are_cast_and_energies_stay_exact(dtype: torch.dtype, features: bool) -> None:
    train = dataset(copper(2, energy_offset=-45000.0))
    graphs = prepare_graphs(potential(dtype=dtype), list(train), features=features, progress=False)
    for graph, labels in zip(graphs, train.labels, strict=True):
        assert graph.pos.dtype == graph.forces.dtype == dtype
        assert graph.energy.dtype == torch.float64
        assert float(graph.energy) == labels.energy
        assert ("features" in graph) == features


@pytest.mark.parametrize(
    ("atoms", "structures", "expected"),
    [(4, 8, 1), (4, 100, 4), (4, 1000, 6), (4, 9000, 32), (100, 1000, 2), (500, 1000, 1)],
)
def test_default_batch_size(atoms: int, structures: int, expected: int) -> None:
    class Frames:
        frames = [range(atoms)] * structures

        def __len__(self) -> int:
            return structures

    assert choose_batch_size(Frames()) == expected  # type: ignore[arg-type]


def test_features_of_both_kinds_give_the_same_scaling(fit: Fit, float64: None) -> None:
    data = {"train": dataset(copper(4)), "val": None, "max_epochs": 1}
    a, b = (
        fit(precompute=kept, model=potential(dtype=torch.float64), **data)[0]
        for kept in (True, False)
    )
    for x, y in zip(a.buffers(), b.buffers(), strict=True):
        torch.testing.assert_close(x, y)
    start = potential().state_dict()
    fitted = {name: value for name, value in a.named_buffers() if name in start}
    assert all((value != start[name]).any() for name, value in fitted.items())
