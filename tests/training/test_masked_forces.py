"""Atoms whose force is NaN have no label: nothing that is computed from labels knows of them."""

from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from torch_geometric.data import Batch

import nnmd_graph as ng
from nnmd_graph.data import AtomsDataset, force_rms, read_frames
from nnmd_graph.evaluation import predict
from nnmd_graph.graph import Labels
from nnmd_graph.training import EnergyForcesLoss, Trainer
from nnmd_graph.training.metrics import RunningErrors

from .conftest import copper, dataset, potential

pytestmark = [
    pytest.mark.usefixtures("float64"),
    pytest.mark.filterwarnings("ignore:`frames`.*these atoms have no label"),
]

MASKED = ((0, 1), (0, 3), (2, 0))  # frame, atom


def frames(num_frames: int = 4) -> list[Atoms]:
    made = copper(num_frames)
    for n, atom in MASKED:
        made[n].calc.results["forces"][atom] = np.nan
    return made


@pytest.fixture
def data() -> AtomsDataset:
    return dataset(frames())


def test_what_is_masked_is_said() -> None:
    with pytest.warns(UserWarning, match="forces of 3 atoms in 2 frames are NaN, first in frame 0"):
        made = dataset(frames())
    assert made.has("forces") == 4
    assert [x.num_atoms_without_force for x in made.labels] == [2, 0, 1, 0]
    assert made.labels[0].has_force.tolist() == [True, False, True, False]


def test_graphs_keep_the_mask(data: AtomsDataset) -> None:
    graph = data[0]
    assert graph.forces.isnan().all(1).tolist() == [False, True, False, True]
    back = graph.to_atoms()
    assert np.isnan(back.calc.results["forces"]).all(1).tolist() == [False, True, False, True]


@pytest.mark.parametrize("elements", [None, {"Cu": 3.0}])
def test_loss_and_metrics_leave_masked_atoms_out(data: AtomsDataset, elements: Any) -> None:
    batch = Batch.from_data_list(list(data))
    torch.manual_seed(0)
    out = {"energy": torch.randn(4), "forces": torch.randn(16, 3, requires_grad=True),
           "stress": torch.randn(4, 3, 3)}  # fmt: skip
    present = torch.tensor([(n, i) not in MASKED for n in range(4) for i in range(4)])
    error = (out["forces"] - torch.nan_to_num(batch.forces))[present]
    loss = EnergyForcesLoss(0.0, 1.0, element_weights=elements)
    value = loss(out, batch)
    assert float(value.detach()) == pytest.approx(error.square().mean().item(), rel=1e-12)
    (gradient,) = torch.autograd.grad(value, [out["forces"]])
    assert gradient.isfinite().all() and (gradient[~present] == 0.0).all()
    errors = RunningErrors(loss)
    errors.add(out, batch)
    assert errors.errors()["forces_mae"] == pytest.approx(1e3 * error.abs().mean().item())
    step = loss.for_training(data).of_step(out, batch)[0]
    assert step.item() == pytest.approx(value.item(), rel=1e-12)


def test_balanced_elements_count_atoms_with_labels() -> None:
    made = frames()
    for atoms in made:
        atoms.numbers[0] = atoms.calc.atoms.numbers[0] = 79
    weights = EnergyForcesLoss(element_weights="balanced").for_training(dataset(made))
    assert isinstance(weights.element_weights, dict)
    gold, others = 3, 10  # 4 and 12 atoms, of which 1 and 2 have no label
    assert weights.element_weights[79] * gold == pytest.approx(weights.element_weights[29] * others)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "lbfgs"])
def test_training_with_and_without_precomputed_features(data: AtomsDataset, optimizer: str) -> None:
    results = []
    for precompute in (True, False):
        model = potential(dtype=torch.float64)
        epochs = 1 if optimizer == "lbfgs" else 3
        trainer = Trainer(optimizer=optimizer, max_epochs=epochs, precompute=precompute, seed=0)
        history = trainer.fit(model, data, data)
        assert all(np.isfinite(value) for row in history for value in row.values())
        results.append((model.state_dict(), history))
    for a, b in zip(results[0][0].values(), results[1][0].values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8)
    for key in ("train_forces_mae", "val_forces_mae"):
        if key in results[0][1][-1]:
            assert results[0][1][-1][key] == pytest.approx(results[1][1][-1][key], rel=1e-5)


def test_a_masked_label_does_not_count_whatever_it_was(data: AtomsDataset) -> None:
    """Training on masked frames is training on a loss over the others: one step by hand."""
    model = potential(dtype=torch.float64)
    batch = Batch.from_data_list(list(data))
    out = model(batch, forces=True)
    metrics = ng.evaluate(model, data)
    error = (out["forces"] - batch.forces).detach()
    assert metrics["forces_mae"] == pytest.approx(1e3 * float(error.abs().nanmean()), rel=1e-9)
    rows = [x.forces[x.has_force] for x in data.labels]
    assert force_rms(data) == pytest.approx(np.sqrt(np.mean(np.concatenate(rows) ** 2)))


def test_files_keep_the_mask(tmp_path: Path, data: AtomsDataset) -> None:
    for name in ("a.extxyz", "a.traj"):
        ase.io.write(tmp_path / name, frames())
        back = ng.AtomsDataset.read(tmp_path / name, 3.0)
        assert [x.num_atoms_without_force for x in back.labels] == [2, 0, 1, 0]
    predict(potential(dtype=torch.float64), data).write(tmp_path / "p.extxyz", data.frames)
    written = [atoms for atoms, _ in read_frames(tmp_path / "p.extxyz")]
    assert np.isnan(written[0].arrays["reference_forces"]).all(1).tolist() == [0, 1, 0, 1]
    with pytest.raises(ValueError, match=r"`frames\[0\]`: `forces`: .*none for atom 1; the format"):
        ng.write_runner(frames(), tmp_path / "input.data")


@pytest.mark.parametrize(
    ("forces", "message"),
    [
        (np.full((2, 3), np.nan), r"expected finite numbers, got nan at \[0, 0\]"),
        ([[0, np.nan, 0], [0, 0, 0]], r"expected finite numbers, got nan at \[0, 1\]"),
        ([[np.nan] * 3, [0, np.inf, 0]], "expected finite numbers, got"),
        ([[np.nan, np.nan, np.inf], [0, 0, 0]], "expected finite numbers, got"),
    ],
)
def test_what_is_no_mask_is_refused(forces: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"`forces`: {message}"):
        Labels(forces=forces)
