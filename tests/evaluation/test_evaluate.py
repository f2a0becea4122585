"""Errors: against sums written out by hand, with labels missing in every way."""

import json
from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from nnmd_graph.data import AtomsDataset
from nnmd_graph.evaluation import Metrics, batching, evaluate, predict
from nnmd_graph.evaluation.batching import BatchSampler
from nnmd_graph.graph import AtomicGraph
from nnmd_graph.models import Potential

MakeDataset = Callable[[list[Atoms]], AtomsDataset]


def relabelled(atoms: Atoms, **labels: object) -> Atoms:
    atoms = atoms.copy()
    atoms.calc = SinglePointCalculator(atoms, **labels)
    return atoms


def one_by_one(potential: Potential, frames: list[Atoms]) -> dict[str, np.ndarray]:
    """Errors of every number, from one structure at a time."""
    errors: dict[str, list[np.ndarray]] = {"energy": [], "forces": [], "stress": []}
    for atoms in frames:
        graph = AtomicGraph.from_atoms(atoms, potential.cutoff, dtype=torch.float64)
        out = {key: value.numpy() for key, value in potential(graph).items()}
        labels = atoms.calc.results
        if "energy" in labels:
            errors["energy"].append((out["energy"] - labels["energy"]) / len(atoms))
        if "forces" in labels:
            errors["forces"].append((out["forces"] - labels["forces"]).ravel())
        if "stress" in labels:
            errors["stress"].append((out["stress"][0] - atoms.get_stress(voigt=False)).ravel())
    return {key: np.concatenate(values) * 1000 for key, values in errors.items() if values}


@pytest.mark.parametrize("batch_size", [None, 1, 2, 100])
def test_errors_are_those_of_single_structures(
    batch_size: int | None, potential: Potential, frames: list[Atoms], dataset: AtomsDataset
) -> None:
    metrics = evaluate(potential, dataset, batch_size=batch_size)
    for kind, error in one_by_one(potential, frames).items():
        assert metrics[f"{kind}_mae"] == pytest.approx(np.abs(error).mean(), rel=1e-10)
        assert metrics[f"{kind}_rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-10)
    assert metrics["num_structures"] == 6
    assert metrics["num_atoms"] == sum(len(atoms) for atoms in frames)


def test_errors_of_elements(
    potential: Potential, frames: list[Atoms], dataset: AtomsDataset
) -> None:
    metrics = evaluate(potential, dataset)
    error = one_by_one(potential, frames)["forces"].reshape(-1, 3)
    numbers = np.concatenate([atoms.numbers for atoms in frames])
    for symbol, z in (("Cu", 29), ("O", 8)):
        rows = error[numbers == z]
        assert metrics["forces_mae_per_element"][symbol] == pytest.approx(np.abs(rows).mean())
        rmse = np.sqrt((rows**2).mean())
        assert metrics["forces_rmse_per_element"][symbol] == pytest.approx(rmse)


def test_a_perfect_model_has_no_errors(
    potential: Potential, frames: list[Atoms], make_dataset: MakeDataset
) -> None:
    exact = []
    for atoms in frames[:-1]:
        out = potential(AtomicGraph.from_atoms(atoms, potential.cutoff, dtype=torch.float64))
        labels = {key: out[key].numpy() for key in ("energy", "forces", "stress")}
        exact.append(
            relabelled(
                atoms,
                energy=float(labels["energy"][0]),
                forces=labels["forces"],
                stress=labels["stress"][0].ravel()[[0, 4, 8, 5, 2, 1]],
            )
        )
    metrics = evaluate(potential, make_dataset(exact))
    for kind in ("energy", "forces", "stress"):
        assert metrics[f"{kind}_rmse"] < 1e-9


@pytest.mark.parametrize("kept", ["energy", "forces", "stress"])
def test_kinds_without_labels_have_no_keys(
    kept: str, potential: Potential, frames: list[Atoms], make_dataset: MakeDataset
) -> None:
    only = [relabelled(atoms, **{kept: atoms.calc.results[kept]}) for atoms in frames[:-1]]
    metrics = evaluate(potential, make_dataset(only))
    kinds = {key.split("_")[0] for key in metrics} - {"num"}
    assert kinds == {kept}
    error = one_by_one(potential, only)[kept]
    assert metrics[f"{kept}_mae"] == pytest.approx(np.abs(error).mean())
    assert str(metrics)


@pytest.mark.filterwarnings("ignore:.*have no:UserWarning")
def test_labels_that_are_missing_here_and_there_are_left_out(
    potential: Potential, frames: list[Atoms], make_dataset: MakeDataset
) -> None:
    frames[0] = relabelled(frames[0], energy=1.0)
    frames[1] = relabelled(frames[1], forces=frames[1].calc.results["forces"])
    frames[2] = relabelled(frames[2])
    metrics = evaluate(potential, make_dataset(frames), batch_size=2)
    for kind, error in one_by_one(potential, frames).items():
        assert metrics[f"{kind}_mae"] == pytest.approx(np.abs(error).mean())


def test_no_labels_at_all(
    potential: Potential, frames: list[Atoms], make_dataset: MakeDataset
) -> None:
    bare = make_dataset([atoms.copy() for atoms in frames])
    with pytest.raises(ValueError, match="`dataset`: expected labels"):
        evaluate(potential, bare)
    predictions = predict(potential, bare)
    assert np.isfinite(predictions.energy_pred).all()
    assert np.isfinite(predictions.forces_pred).all()
    assert np.isnan(predictions.energy_ref).all()


def test_no_structures(potential: Potential) -> None:
    with pytest.raises(ValueError, match="`dataset`: expected one structure or more"):
        evaluate(potential, [])


def test_frames_are_no_dataset(potential: Potential, frames: list[Atoms]) -> None:
    with pytest.raises(TypeError, match=r"`dataset`.*got Atoms in a list; make AtomsDataset"):
        evaluate(potential, frames)  # type: ignore[arg-type]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
def test_another_device(potential: Potential, dataset: AtomsDataset) -> None:
    metrics = evaluate(potential, dataset, device="cuda")
    assert potential.device.type == "cpu"
    assert metrics["forces_mae"] == pytest.approx(evaluate(potential, dataset)["forces_mae"])


def test_plain_graphs_are_a_dataset_too(
    potential: Potential, dataset: AtomsDataset, frames: list[Atoms]
) -> None:
    graphs = [dataset[n] for n in range(len(dataset))]
    assert evaluate(potential, graphs) == evaluate(potential, dataset)
    unlabelled = [AtomicGraph.from_atoms(atoms, potential.cutoff) for atoms in frames]
    assert np.isfinite(predict(potential, unlabelled).energy_pred).all()


def test_a_model_that_gives_nan_is_an_error_with_the_name_of_the_structure(
    potential: Potential, dataset: AtomsDataset
) -> None:
    with torch.no_grad():
        next(potential.model.readout.parameters()).fill_(float("nan"))
    with pytest.raises(ValueError, match=r"`potential`: expected finite.*for structure 0"):
        evaluate(potential, dataset)


def test_the_potential_and_the_data_stay_as_they_are(
    potential: Potential, dataset: AtomsDataset
) -> None:
    potential.train()
    potential.model.readout.eval()
    before = [module.training for module in potential.modules()]
    positions = dataset[0].pos.clone()
    evaluate(potential, dataset)
    assert [module.training for module in potential.modules()] == before
    assert all(p.grad is None and p.requires_grad for p in potential.parameters())
    assert torch.equal(dataset[0].pos, positions)
    assert not dataset[0].pos.requires_grad


def test_errors_of_the_potential_reach_the_user(
    potential: Potential, frames: list[Atoms], make_dataset: MakeDataset
) -> None:
    with pytest.raises(ValueError, match="cutoff"):
        evaluate(potential, AtomsDataset(frames[:2], 3.0))
    frames[0].numbers[0] = 79
    frames[0].calc.atoms.numbers[0] = 79
    with pytest.raises(ValueError, match="Au"):
        evaluate(potential, make_dataset(frames[:2]))


def test_progress_shows_after_two_seconds_only(
    potential: Potential, dataset: AtomsDataset, capfd: pytest.CaptureFixture[str]
) -> None:
    evaluate(potential, dataset, progress=True)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


# --- groups --------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*have no:UserWarning")
def test_groups(potential: Potential, frames: list[Atoms], make_dataset: MakeDataset) -> None:
    del frames[0].info["config_type"]
    dataset = make_dataset(frames)
    metrics = evaluate(potential, dataset, groups="config_type")
    assert list(metrics["groups"]) == ["(none)", "crystal", "molecule"]
    sizes = [group["num_structures"] for group in metrics["groups"].values()]
    assert sizes == [1, 4, 1]
    alone = evaluate(potential, make_dataset(frames[-1:]))
    for key, value in alone.items():
        assert metrics["groups"]["molecule"][key] == pytest.approx(value)
    assert "stress_mae" not in metrics["groups"]["molecule"]
    assert "molecule" in str(metrics)


def test_a_group_key_that_is_not_there(potential: Potential, dataset: AtomsDataset) -> None:
    with pytest.raises(ValueError, match=r"`groups`.*did you mean 'config_type'"):
        evaluate(potential, dataset, groups="configtype")
    with pytest.raises(ValueError, match="`groups`.*AtomsDataset"):
        evaluate(potential, [dataset[0]], groups="config_type")
    with pytest.raises(ValueError, match="`group`.*'wire'"):
        predict(potential, dataset, groups="config_type").of_group("wire")


# --- the table -----------------------------------------------------------------------------------


def test_metrics_print_as_an_aligned_table() -> None:
    metrics = Metrics(
        energy_mae=1.234567,
        energy_rmse=12.34567,
        forces_mae=123.4567,
        forces_rmse=1234.567,
        forces_mae_per_element={"Cu": 0.01234567, "O": 1.0},
        forces_rmse_per_element={"Cu": 0.1, "O": 10.0},
        num_structures=3,
        num_atoms=12,
    )
    assert str(metrics).splitlines() == [
        "                   MAE      RMSE",
        "energy            1.23      12.3  meV/atom",
        "forces             123      1235  meV/Å",
        "  Cu            0.0123     0.100  meV/Å",
        "  O               1.00      10.0  meV/Å",
        "3 structures, 12 atoms",
    ]


def test_metrics_are_plain_numbers_that_json_knows(
    potential: Potential, dataset: AtomsDataset, tmp_path: Path
) -> None:
    metrics = evaluate(potential, dataset, groups="config_type")
    path = metrics.write(tmp_path / "deep" / "metrics.json")
    assert json.loads(path.read_text()) == metrics
    assert [file.name for file in path.parent.iterdir()] == ["metrics.json"]


# --- predictions ---------------------------------------------------------------------------------


def test_predictions_are_arrays_in_float64(potential: Potential, dataset: AtomsDataset) -> None:
    predictions = predict(potential.to(torch.float32), dataset)
    num_atoms = sum(len(atoms) for atoms in dataset.frames)
    shapes = {
        "num_atoms": (6,),
        "z": (num_atoms,),
        "energy_ref": (6,),
        "energy_pred": (6,),
        "forces_ref": (num_atoms, 3),
        "forces_pred": (num_atoms, 3),
        "stress_ref": (6, 3, 3),
        "stress_pred": (6, 3, 3),
    }
    for name, shape in shapes.items():
        array = getattr(predictions, name)
        assert array.shape == shape
        assert array.dtype == (np.int64 if name in ("num_atoms", "z") else np.float64)
    assert np.isnan(predictions.stress_pred[-1]).all()  # the molecule
    assert np.isfinite(predictions.stress_pred[:-1]).all()
    first = dataset.frames[0]
    assert predictions.energy_ref[0] == first.get_potential_energy() / len(first)


@pytest.mark.parametrize("name", ["predicted.extxyz", "predicted.xyz.gz"])
def test_predictions_are_written_beside_the_labels(
    name: str, potential: Potential, dataset: AtomsDataset, tmp_path: Path
) -> None:
    predictions = predict(potential, dataset)
    path = predictions.write(tmp_path / name, dataset.frames)
    frames = ase.io.read(path, ":", format="extxyz")
    assert len(frames) == 6
    for atoms, original in zip(frames, dataset.frames, strict=True):
        assert atoms.info["config_type"] == original.info["config_type"]
        assert atoms.info["reference_energy"] == pytest.approx(original.get_potential_energy())
        assert ("predicted_stress" in atoms.info) == bool(original.cell.volume)
        assert atoms.calc is None  # nothing there passes for a DFT energy
    forces = np.concatenate([atoms.arrays["predicted_forces"] for atoms in frames])
    np.testing.assert_allclose(forces, predictions.forces_pred, atol=1e-7)
    assert [file.name for file in tmp_path.iterdir()] == [name]
    with pytest.raises(ValueError, match="`frames`.*6"):
        predictions.write(tmp_path / name, dataset.frames[1:])


def test_the_file_that_was_there_survives_a_failure(
    potential: Potential,
    dataset: AtomsDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predictions = predict(potential, dataset)
    path = tmp_path / "predicted.extxyz"
    path.write_text("old")

    def fail(file: Path, *args: object, **kwargs: object) -> None:
        Path(file).write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(ase.io, "write", fail)
    with pytest.raises(OSError, match="disk full"):
        predictions.write(path, dataset.frames)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


# --- batches -------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", ["MAX_ATOMS", "MAX_EDGES"])
def test_batches_stay_below_each_limit(
    limit: str, dataset: AtomsDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def size(graph: AtomicGraph) -> int:
        return {"MAX_ATOMS": graph.num_nodes, "MAX_EDGES": graph.num_edges}[limit]

    sizes = [size(graph) for graph in dataset]
    monkeypatch.setattr(batching, limit, 3 * min(sizes[:-1]) + 1)
    batches = list(BatchSampler(dataset))
    assert sum(batches, []) == list(range(len(dataset)))
    assert 1 < len(batches) < len(dataset)
    for batch in batches:
        total = sum(sizes[n] for n in batch)
        assert len(batch) == 1 or total <= getattr(batching, limit)


def test_small_sets_are_one_batch(dataset: AtomsDataset) -> None:
    assert list(BatchSampler(dataset)) == [list(range(len(dataset)))]


@pytest.mark.parametrize("batch_size", [0, -1, 2.5])
def test_bad_batch_size(batch_size: int, potential: Potential, dataset: AtomsDataset) -> None:
    with pytest.raises(ValueError, match="`batch_size`: expected a positive integer"):
        evaluate(potential, dataset, batch_size=batch_size)
