"""Running errors over batches against NumPy on the whole set."""

from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch
from torch_geometric.loader import DataLoader

from nnmd_graph.data import AtomsDataset
from nnmd_graph.evaluation import evaluate
from nnmd_graph.training import EnergyForcesLoss
from nnmd_graph.training.metrics import RunningErrors
from nnmd_graph.training.task import validate

from .conftest import copper, dataset, potential

LOSS = EnergyForcesLoss(energy=2.0, forces=3.0, stress=5.0)


@pytest.fixture
def mixed(float64: None) -> AtomsDataset:
    """Seven structures of two sizes; some without energy, forces or stress."""
    frames = [atoms * (1 + n % 2, 1, 1) for n, atoms in enumerate(copper(7))]
    for n, (atoms, source) in enumerate(zip(frames, copper(7), strict=True)):
        results = {
            "energy": source.get_potential_energy() * (1 + n % 2),
            "forces": np.tile(source.get_forces(), (1 + n % 2, 1)),
            "stress": source.get_stress(),
        }
        for missing in [(), ("energy",), ("forces",), ("stress",)][n % 4]:
            del results[missing]
        atoms.calc = source.calc
        atoms.calc.atoms = atoms.copy()
        atoms.calc.results = results
    with pytest.warns(UserWarning, match="what is there is used"):
        return dataset(frames)


def numpy_errors(out: Any, batch: Batch) -> dict[str, np.ndarray]:
    atoms = batch.ptr.diff().numpy()
    return {
        "energy": (out["energy"].numpy() - batch.energy.numpy()) / atoms,
        "forces": (out["forces"] - batch.forces).numpy().ravel(),
        "stress": (out["stress"] - batch.stress).numpy().ravel(),
    }


@pytest.mark.parametrize("batch_size", [1, 3, 7])
def test_errors_over_batches_are_those_of_numpy(mixed: AtomsDataset, batch_size: int) -> None:
    model = potential(dtype=torch.float64).eval()
    found = validate(model, DataLoader(list(mixed), batch_size), LOSS)
    whole = Batch.from_data_list(list(mixed))
    errors = numpy_errors(model(whole), whole)
    expected = {}
    for term, error in errors.items():
        expected[f"{term}_mae"] = 1000 * np.nanmean(np.abs(error))
        expected[f"{term}_rmse"] = 1000 * np.sqrt(np.nanmean(error**2))
    assert found.errors() == pytest.approx(expected, rel=1e-10)
    loss = sum(LOSS.weights[term] * np.nanmean(error**2) for term, error in errors.items())
    assert found.value() == pytest.approx(loss, rel=1e-10)


def test_they_are_those_of_evaluate(mixed: AtomsDataset) -> None:
    model = potential(dtype=torch.float64).eval()
    found = validate(model, DataLoader(list(mixed), 2), LOSS).errors()
    metrics = evaluate(model, mixed)
    assert found == pytest.approx({name: metrics[name] for name in found}, rel=1e-10)


def test_stress_is_left_out_where_the_loss_does_not_ask_for_it(mixed: AtomsDataset) -> None:
    model = potential(dtype=torch.float64)
    found = validate(model, DataLoader(list(mixed), 2), EnergyForcesLoss()).errors()
    assert set(found) == {"energy_mae", "energy_rmse", "forces_mae", "forces_rmse"}


def test_a_label_that_no_structure_has_gives_no_error(float64: None) -> None:
    frames = copper(2)
    for atoms in frames:
        del atoms.calc.results["forces"]
    found = validate(potential(dtype=torch.float64), DataLoader(list(dataset(frames)), 2), LOSS)
    assert set(found.errors()) == {"energy_mae", "energy_rmse", "stress_mae", "stress_rmse"}
    assert np.isfinite(found.value())


def test_a_prediction_that_is_no_number_shows(mixed: AtomsDataset) -> None:
    whole = Batch.from_data_list(list(mixed))
    out = potential(dtype=torch.float64).eval()(whole)
    out["energy"][0] = torch.nan
    errors = RunningErrors(LOSS)
    errors.add(out, whole)
    assert np.isnan(errors.value())
    assert np.isnan(errors.errors()["energy_mae"])


def test_validation_leaves_weights_mode_and_gradients_alone(mixed: AtomsDataset) -> None:
    model = potential(dtype=torch.float64).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    validate(model, DataLoader(list(mixed), 2), LOSS)
    assert model.training
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
