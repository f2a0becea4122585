"""A run that is broken off at any moment goes on to the weights and the log of an unbroken one."""

import csv
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import ase.io
import pytest
import torch

import nnmd_graph
from nnmd_graph.data import AtomsDataset
from nnmd_graph.models import Potential
from nnmd_graph.training import EnergyForcesLoss, Trainer
from nnmd_graph.training.optimization import Schedule

from .conftest import (
    CUTOFF,
    BreakingLoss,
    Fit,
    copper,
    dataset,
    potential,
    same_weights,
    without_seconds,
)

pytestmark = pytest.mark.slow

LAST = Path("checkpoints") / "last.pt"


def log_rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def check_equal(a: Any, folder: Path, b: Any, unbroken: Path) -> None:
    """Compare what two calls of `fit` returned and everything that they wrote."""
    (found, rows), (expected, expected_rows) = a, b
    assert same_weights(found, expected)
    assert without_seconds(rows) == without_seconds(expected_rows)
    assert log_rows(folder) == log_rows(unbroken)
    for file in ("model.pt", "checkpoints/best.pt"):
        assert same_weights(Potential.load(folder / file), expected)
    assert set(contents(folder)) == set(contents(unbroken))


RUNS: dict[str, dict[str, Any]] = {
    "adamw, average, cosine": {"max_epochs": 6},
    "adam, no average, clipped": {
        "max_epochs": 6, "optimizer": "adam", "ema_decay": 0.0, "gradient_clip": 1.0,
        "schedule": "exponential", "weight_decay": 1e-3,
    },
    "trained representation path": {"max_epochs": 4, "precompute": False},
    # So small a rate that the loss stays the same: the plateau halves it after 4 and 7 epochs.
    "plateau": {"max_epochs": 8, "schedule": "plateau", "learning_rate": 1e-7},
    "lbfgs": {"max_epochs": 3, "optimizer": "lbfgs", "batch_size": 8},
    "early stop": {
        "max_epochs": 40, "patience": 3, "learning_rate": 0.2, "schedule": "constant",
        "ema_decay": 0.0,
    },
}  # fmt: skip


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plateau waits for 2 epochs instead of 20."""
    monkeypatch.setattr("nnmd_graph.training.run.Schedule", partial(Schedule, patience=2))


@pytest.mark.usefixtures("short_patience")
@pytest.mark.parametrize("name", RUNS)
def test_an_interrupted_run_ends_like_an_unbroken_one(fit: Fit, tmp_path: Path, name: str) -> None:
    """Broken after a third of it with only the first checkpoint, and after most with the latest."""
    settings = RUNS[name]
    count = BreakingLoss(at_call=0)
    unbroken = tmp_path / "unbroken"
    expected = fit(loss=count, output=unbroken, **settings)
    for part, seconds in ((0.3, 1e9), (0.8, 0.0)):
        breaking = BreakingLoss(at_call=max(1, round(-count.calls_left * part)))
        with pytest.raises(KeyboardInterrupt):
            fit(output=tmp_path / str(part), loss=breaking, checkpoint_seconds=seconds, **settings)
        found = fit(resume=True, output=tmp_path / str(part), **settings)
        check_equal(found, tmp_path / str(part), expected, unbroken)


@pytest.mark.usefixtures("short_patience")
def test_the_plateau_and_the_early_stop_take_place(fit: Fit) -> None:
    rates = [row["learning_rate"] for row in fit(**RUNS["plateau"])[1]]
    assert rates == pytest.approx(4 * [1e-7] + 3 * [5e-8] + [2.5e-8], abs=0)
    assert 4 <= len(fit(**RUNS["early stop"])[1]) < 40


def test_every_moment_of_a_run(fit: Fit, tmp_path: Path) -> None:
    """Two batches and one of validation an epoch, two epochs: broken at each of them."""
    settings: dict[str, Any] = {"max_epochs": 2, "checkpoint_seconds": 0.0}
    unbroken = tmp_path / "unbroken"
    expected = fit(output=unbroken, **settings)
    for call in range(1, 7):
        folder = tmp_path / str(call)
        with pytest.raises(KeyboardInterrupt):
            fit(output=folder, loss=BreakingLoss(call), **settings)
        assert (folder / "model.pt").exists() == (call > 3)
        check_equal(fit(resume=True, output=folder, **settings), folder, expected, unbroken)


def test_a_run_may_be_broken_again_and_again(fit: Fit, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"max_epochs": 5, "checkpoint_seconds": 0.0}
    for _ in range(4):  # each part lasts for an epoch and a batch
        with pytest.raises(KeyboardInterrupt):
            fit(resume=True, output=tmp_path / "a", loss=BreakingLoss(5), **settings)
    found = fit(resume=True, output=tmp_path / "a", **settings)
    check_equal(found, tmp_path / "a", fit(output=tmp_path / "b", **settings), tmp_path / "b")


@pytest.mark.parametrize("checkpoint_seconds", [0.0, 1e9])
def test_the_potential_of_the_interrupted_run_may_be_used_again(
    fit: Fit, tmp_path: Path, checkpoint_seconds: float
) -> None:
    settings: dict[str, Any] = {"max_epochs": 4, "checkpoint_seconds": checkpoint_seconds}
    model = potential()
    with pytest.raises(KeyboardInterrupt):
        fit(output=tmp_path, model=model, loss=BreakingLoss(8), **settings)
    assert not model.training  # it holds the best epoch so far
    fit(resume=True, output=tmp_path, model=model, **settings)
    assert same_weights(model, fit(**settings)[0])


def test_the_seconds_of_all_parts_count(fit: Fit, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"max_epochs": 5, "output": tmp_path}
    _, rows = fit(max_seconds=1e-9, **settings)
    assert len(rows) == 1
    assert fit(resume=True, max_seconds=1e-9, **settings)[1] == rows
    found, rows = fit(resume=True, **settings)
    assert len(rows) == 5
    assert [row["seconds"] for row in rows] == sorted(row["seconds"] for row in rows)
    assert same_weights(found, fit(max_epochs=5)[0])


def test_a_finished_run_stays_as_it_is(
    fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, rows = fit(output=tmp_path)
    before = contents(tmp_path)
    # A loss that fails when it is computed: not one batch is run. Nor is anything fitted again.
    monkeypatch.delattr("nnmd_graph.training.run.fit_baseline")
    again, same_rows = fit(resume=True, output=tmp_path, loss=BreakingLoss(1))
    assert same_weights(first, again)
    assert not again.training
    assert rows == same_rows
    assert contents(tmp_path) == before


def test_a_run_may_be_prolonged(fit: Fit, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"schedule": "constant", "output": tmp_path}
    fit(max_epochs=2, **settings)
    found, rows = fit(resume=True, max_epochs=4, **settings)
    expected, expected_rows = fit(max_epochs=4, schedule="constant")
    assert same_weights(found, expected)
    assert without_seconds(rows) == without_seconds(expected_rows)


def test_resuming_where_nothing_is_starts_anew(fit: Fit, tmp_path: Path) -> None:
    found, _ = fit(resume=True, output=tmp_path / "new")
    assert same_weights(found, fit()[0])


def test_a_new_run_in_an_old_folder_does_not_go_on_with_the_old_one(
    fit: Fit, tmp_path: Path
) -> None:
    """Equal settings, another start; broken off before its first checkpoint by time."""
    settings: dict[str, Any] = {"output": tmp_path, "checkpoint_seconds": 1e9}
    fit(**settings)
    model = potential(seed=5)
    model.model.readout.net.nets[0].last.bias.data += 1.0
    with pytest.raises(KeyboardInterrupt):
        fit(model=model, loss=BreakingLoss(2), **settings)
    state = torch.load(tmp_path / LAST, weights_only=True)["training"]
    assert state["progress"]["epoch"] == 0


def test_the_decision_to_precompute_is_that_of_the_first_part(
    fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The memory that is free then and now must not change the rounding of the sums."""
    unbroken, _ = fit(max_epochs=4)
    with pytest.raises(KeyboardInterrupt):
        fit(output=tmp_path, max_epochs=4, loss=BreakingLoss(8), checkpoint_seconds=0.0)
    monkeypatch.setattr("nnmd_graph.training.preparation.available_bytes", lambda: 0)
    resumed, _ = fit(resume=True, output=tmp_path, max_epochs=4)
    assert same_weights(resumed, unbroken)


def test_the_user_may_decide_otherwise_on_precomputing(fit: Fit, tmp_path: Path) -> None:
    fit(output=tmp_path, max_epochs=1, precompute=True)
    fit(resume=True, output=tmp_path, max_epochs=2, precompute=False)
    state = torch.load(tmp_path / LAST, weights_only=True)["training"]
    assert state["precomputed"] is False


# ------------------------------------------------------------------------------ refused checkpoints
@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"learning_rate": 0.01}, "learning_rate"),
        ({"optimizer": "adam"}, "optimizer"),
        ({"schedule": "plateau"}, "schedule"),
        ({"batch_size": 2}, "batch_size"),
        ({"seed": 1}, "seed"),
        ({"ema_decay": 0.0}, "ema_decay"),
        ({"loss": EnergyForcesLoss(1.0, 10.0000001)}, "loss"),
        ({"loss": EnergyForcesLoss(energy_start=2.0)}, "energy_start"),
        ({"isolated_energies": {"Cu": -1.0}}, "isolated_energies"),
        ({"gradient_clip": 2.0}, "gradient_clip"),
        ({"weight_decay": 0.1}, "weight_decay"),
        ({"model": potential(dtype=torch.float64)}, "model"),
        ({"train": dataset(copper(8, seed=7))}, "train"),
        ({"train": dataset(copper(8, energy_offset=1e-9))}, "train"),
        ({"val": None}, "val"),
    ],
)
def test_other_settings_are_refused(
    fit: Fit, tmp_path: Path, changed: dict[str, Any], named: str
) -> None:
    fit(output=tmp_path, max_epochs=1)
    before = contents(tmp_path)
    model = changed.get("model", potential())
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(
        ValueError, match=rf"`resume`: expected the model.*other values of \['{named}"
    ):
        fit(resume=True, output=tmp_path, **(changed | {"model": model}))
    assert contents(tmp_path) == before
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())


def test_a_damaged_checkpoint_is_refused_and_nothing_lost(fit: Fit, tmp_path: Path) -> None:
    model, _ = fit(output=tmp_path)
    whole = (tmp_path / LAST).read_bytes()
    foreign = (tmp_path / "model.pt").read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"no checkpoint\n", foreign):
        (tmp_path / LAST).write_bytes(damaged)
        before = contents(tmp_path)
        with pytest.raises(ValueError, match=r"`resume`: expected a whole checkpoint.*best\.pt"):
            fit(resume=True, output=tmp_path)
        assert contents(tmp_path) == before
    assert same_weights(Potential.load(tmp_path / "checkpoints" / "best.pt"), model)


def test_resuming_needs_a_folder(fit: Fit) -> None:
    with pytest.raises(ValueError, match="`resume`: expected the folder of the run"):
        fit(resume=True)


# ------------------------------------------------------------------------------------ writing files
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(
    fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    """The disk is full (or Ctrl-C comes) while the file of the second epoch is written."""
    settings: dict[str, Any] = {"checkpoint_seconds": 0.0, "max_epochs": 4}
    save, states = torch.save, []

    def failing(values: dict[str, Any], file: Any) -> None:
        if "training" in values:
            states.append(values["training"]["progress"]["epoch"])
            if states[-1] == 2:
                file.write(b"half a file")
                raise error("no space left")
        save(values, file)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", failing)
        with pytest.raises(error):
            fit(output=tmp_path / "a", **settings)
    state = torch.load(tmp_path / "a" / LAST, weights_only=True)["training"]
    assert state["progress"]["epoch"] == 1
    assert (tmp_path / "a" / "model.pt").exists()
    found = fit(resume=True, output=tmp_path / "a", **settings)
    check_equal(found, tmp_path / "a", fit(output=tmp_path / "b", **settings), tmp_path / "b")


KILLED_RUN = """
import json, os, signal, sys
import torch
torch.set_num_threads(1)
from nnmd_graph import AtomsDataset, EnergyForcesLoss, Potential, Trainer

class Killing(EnergyForcesLoss):
    def sums(self, out, graph):
        self.calls = getattr(self, "calls", 0) + 1
        if self.calls == job["at_call"]:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().sums(out, graph)

save = torch.save
def killing_save(values, file):
    epoch = values.get("training", {}).get("progress", {}).get("epoch")
    if epoch is not None and epoch == job["at_checkpoint"]:
        file.write(b"half a file")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    save(values, file)
torch.save = killing_save

given = json.loads(sys.argv[1])
train, val = (AtomsDataset.read(given[name], given["cutoff"]) for name in ("train", "val"))
for job in given["moments"]:
    child = os.fork()
    if child == 0:
        trainer = Trainer(loss=Killing(), **given["settings"])
        trainer.fit(Potential.load(given["start"]), train, val, resume=True)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status
"""


def test_a_killed_process_loses_nothing(tmp_path: Path) -> None:
    """SIGKILL in mid-epoch, resumed; again while a checkpoint is written, resumed: the same end."""
    for name, frames in (("train", copper(8)), ("val", copper(3, seed=1))):
        ase.io.write(tmp_path / f"{name}.extxyz", frames)
    potential().save(tmp_path / "start.pt")
    settings: dict[str, Any] = {"max_epochs": 5, "batch_size": 4, "device": "cpu"}
    settings |= {"checkpoint_seconds": 0.0, "output": str(tmp_path / "killed")}
    job: dict[str, Any] = {"cutoff": CUTOFF}
    job |= {name: str(tmp_path / f"{name}.extxyz") for name in ("train", "val")}
    moments = [{"at_call": 5, "at_checkpoint": None}, {"at_call": None, "at_checkpoint": 3}]
    job |= {"start": str(tmp_path / "start.pt"), "settings": settings, "moments": moments}
    package = str(Path(nnmd_graph.__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": package, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", KILLED_RUN, json.dumps(job)],
        env=environment, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    state = torch.load(tmp_path / "killed" / LAST, weights_only=True)["training"]
    assert state["progress"]["epoch"] == 2
    Potential.load(tmp_path / "killed" / "model.pt")  # whole, though the run was never finished

    train, val = (AtomsDataset.read(tmp_path / f"{n}.extxyz", CUTOFF) for n in ("train", "val"))
    ends = []
    for output, resume in (("killed", True), ("unbroken", False)):
        model = Potential.load(tmp_path / "start.pt")
        trainer = Trainer(**(settings | {"output": tmp_path / output}))
        ends.append((model, trainer.fit(model, train, val, resume=resume)))
    (found, rows), (expected, expected_rows) = ends
    assert same_weights(found, expected)
    assert without_seconds(rows) == without_seconds(expected_rows)
    assert log_rows(tmp_path / "killed") == log_rows(tmp_path / "unbroken")
