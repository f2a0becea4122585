"""`train_from_config`: what it writes, goes on from, and refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import pytest
import torch

from nnmd_graph.config.config import read_config
from nnmd_graph.evaluation import evaluate
from nnmd_graph.models import Potential
from nnmd_graph.workflow import describe_model, train_from_config
from nnmd_graph.workflow.building import build_potential, read_parts
from nnmd_graph.workflow.training import FILES

from .conftest import copper

pytestmark = pytest.mark.slow

Settings = Callable[..., dict[str, Any]]


def same_weights(a: Potential, b: Potential) -> bool:
    first, second = a.state_dict(), b.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_a_run_writes_all_its_files(settings: Settings, tmp_path: Path) -> None:
    result = train_from_config(settings(), tmp_path / "run")
    written = {str(p.relative_to(result.folder)) for p in result.folder.rglob("*") if p.is_file()}
    assert written == set(FILES)
    assert same_weights(result.potential, Potential.load(result.folder / "model.pt"))
    values = json.loads((result.folder / "metrics.json").read_text())
    assert values["test"] == dict(result.metrics["test"])
    assert {"train", "val", "test", "epochs", "training_seconds", "seed"} <= set(values)
    assert [row["epoch"] for row in result.history] == [1, 2, 3]
    report = (result.folder / "report.html").read_text()
    assert "test set" in report and "hidden_channels: [6]" in report


def test_the_errors_are_those_of_the_saved_model_on_the_drawn_parts(
    settings: Settings, tmp_path: Path
) -> None:
    result = train_from_config(settings(), tmp_path / "run")
    parts = read_parts(read_config(result.folder / "config.yaml"))
    assert [len(part) for part in parts.values()] == [10, 1, 1]
    potential = Potential.load(result.folder / "model.pt")
    for name, part in parts.items():
        expected = evaluate(potential, part)
        assert result.metrics[name]["forces_mae"] == pytest.approx(expected["forces_mae"])


def test_the_config_of_a_run_trains_the_same_model(settings: Settings, tmp_path: Path) -> None:
    first = train_from_config(settings(), tmp_path / "a")
    second = train_from_config(tmp_path / "a" / "config.yaml", tmp_path / "b")
    assert same_weights(first.potential, second.potential)


def test_seed_and_dtype_reach_the_model(settings: Settings, tmp_path: Path) -> None:
    values = settings() | {"seed": 5}
    values["model"] = values["model"] | {"dtype": "float64"}
    result = train_from_config(values, tmp_path / "run")
    assert result.potential.dtype == torch.float64
    assert not same_weights(
        build_potential(read_config(tmp_path / "run" / "config.yaml"), (29,)),
        build_potential(read_config(tmp_path / "run" / "config.yaml", {"seed": 6}), (29,)),
    )


def test_files_for_validation_and_test_are_used_whole(settings: Settings, tmp_path: Path) -> None:
    for seed, name in enumerate(("val", "test"), start=1):
        ase.io.write(tmp_path / f"{name}.extxyz", copper(2 + seed, seed))
    values = settings()
    values["data"] |= {name: str(tmp_path / f"{name}.extxyz") for name in ("val", "test")}
    metrics = train_from_config(values, tmp_path / "run").metrics
    assert {name: m["num_structures"] for name, m in metrics.items()} == {
        "train": 12,
        "val": 3,
        "test": 4,
    }


def test_a_run_that_was_broken_off_ends_as_an_unbroken_one(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken = train_from_config(settings(max_epochs=6), tmp_path / "unbroken")
    from nnmd_graph.training.run import Run

    original = Run._epoch

    def break_off(self: Run) -> Any:
        if self.at.epoch == 3:
            raise KeyboardInterrupt
        return original(self)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Run, "_epoch", break_off)
        train_from_config(settings(max_epochs=6), tmp_path / "broken")
    assert not (tmp_path / "broken" / "metrics.json").exists()
    result = train_from_config(settings(max_epochs=6), tmp_path / "broken", resume=True)
    assert len(result.history) == 6
    assert same_weights(result.potential, unbroken.potential)
    assert result.metrics == unbroken.metrics


def test_a_finished_run_goes_on_to_more_epochs(settings: Settings, tmp_path: Path) -> None:
    train_from_config(settings(), tmp_path / "run")
    result = train_from_config(settings(max_epochs=5), tmp_path / "run", resume=True)
    assert len(result.history) == 5
    assert read_config(tmp_path / "run" / "config.yaml").training.max_epochs == 5


def test_resuming_with_other_settings_is_an_error_and_changes_nothing(
    settings: Settings, tmp_path: Path
) -> None:
    train_from_config(settings(), tmp_path / "run")
    before = {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    with pytest.raises(ValueError, match=r"`training.learning_rate` was None, now 0.5"):
        train_from_config(settings(learning_rate=0.5), tmp_path / "run", resume=True)
    assert before == {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}


def test_resuming_with_other_data_is_an_error(
    settings: Settings, data: Path, tmp_path: Path
) -> None:
    train_from_config(settings(), tmp_path / "run")
    ase.io.write(data, copper(12, seed=1))
    with pytest.raises(ValueError, match=r"`resume`: expected the model, data and settings"):
        train_from_config(settings(), tmp_path / "run", resume=True)


def test_a_folder_with_a_run_is_left_alone(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    first = train_from_config(settings(), tmp_path / "run")
    with pytest.raises(ValueError, match=r"`output`: expected a new folder, got .*`resume=True`"):
        train_from_config(settings(), tmp_path / "run")
    again = train_from_config(settings() | {"seed": 1}, tmp_path / "run", overwrite=True)
    assert len(again.history) == 3
    assert not same_weights(first.potential, again.potential)
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_wrong_data_do_not_cost_the_old_run(settings: Settings, tmp_path: Path) -> None:
    train_from_config(settings(), tmp_path / "run")
    wrong = settings() | {"data": {"train": str(tmp_path / "missing.extxyz")}}
    with pytest.raises(FileNotFoundError):
        train_from_config(wrong, tmp_path / "run", overwrite=True)
    assert (tmp_path / "run" / "model.pt").is_file()


def test_the_output_must_not_be_a_file(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"`output`: expected a folder, got the file"):
        train_from_config(settings(), tmp_path / "file")


def test_no_data_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`data.train`: expected a file to train on, got none"):
        train_from_config({}, tmp_path / "run")


def test_an_element_that_is_not_trained_on_is_an_error(settings: Settings, tmp_path: Path) -> None:
    frames = copper(2)
    frames[1].numbers[0] = 47
    frames[1].calc.atoms.numbers[0] = 47
    ase.io.write(tmp_path / "test.extxyz", frames)
    values = settings()
    values["data"] |= {"test": str(tmp_path / "test.extxyz")}
    with pytest.raises(ValueError, match=r"`data.test`: .* got Ag besides \(frame 1 of 'test.ext"):
        train_from_config(values, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_batch_larger_than_the_set_is_an_error(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"batch_size`: expected at most the 10 structures"):
        train_from_config(settings(batch_size=50), tmp_path / "run")


def test_repulsion_stands_beside_the_net(settings: Callable[..., Any], tmp_path: Path) -> None:
    values = settings()
    values["model"] = {**values.get("model", {}), "repulsion": "zbl"}
    result = train_from_config(values, output=tmp_path / "run")
    potential = Potential.load(tmp_path / "run")
    assert [type(term).__name__ for term in potential.model.terms] == ["EnergyModel", "ZBL"]
    assert result is not None and describe_model(tmp_path / "run")["model"].endswith("+ ZBL")
