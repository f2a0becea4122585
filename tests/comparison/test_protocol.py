"""Comparisons with trainings: one protocol, done once, ended the same however often broken off."""

import csv
import gc
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import torch
import yaml

import nnmd_graph as ng
from nnmd_graph.comparison.config import parse_comparison
from nnmd_graph.comparison.runs import plan, subset_sizes
from nnmd_graph.config.config import read_config
from nnmd_graph.evaluation import evaluate
from nnmd_graph.files import read_json, write_json
from nnmd_graph.folders import claimed
from nnmd_graph.workflow import train_from_config
from nnmd_graph.workflow.building import read_parts

from ..conftest import leave_out_plots
from .conftest import SMALL, copper

pytestmark = pytest.mark.slow  # its trainings are shared by most of these tests
ROOT = Path(__file__).resolve().parents[2]
MEASURED = ("us_per_atom", "training_seconds", "peak_memory_mb")
BROKEN = {"cutoff": 3.6, "hidden_channels": [4]} | {
    "representation": SMALL["model"]["representation"],
    "training": {"learning_rate": 1e30, "ema_decay": 0},
}


def settings(folder: Path, **changes: Any) -> dict[str, Any]:
    """Two tiny models, two seeds, two epochs; with their data in a folder."""
    folder.mkdir(exist_ok=True)
    ase.io.write(folder / "copper.extxyz", copper())
    gcnn = {"conv": "schnet", "num_layers": 1, "hidden_channels": 4}
    return {
        "data": {"train": str(folder / "copper.extxyz")},
        "training": {"max_epochs": 2, "checkpoint_seconds": 0},
        "seeds": [0, 1],
        "nve": {"steps": 10, "repeat": [2, 1, 1]},
        "models": {
            "bpnn": SMALL["model"] | {"training": {"learning_rate": 0.01}},
            "schnet": {"name": "gcnn", "cutoff": 4.0, "convolutions": gcnn},
        },
    } | changes


def report(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return values


def without_times(values: Any) -> Any:
    """What must be the same in every comparison of the same settings."""
    if isinstance(values, dict):
        return {k: without_times(v) for k, v in values.items() if k not in MEASURED}
    return [without_times(v) for v in values] if isinstance(values, list) else values


def stage(folder: Path, model: str) -> str:
    """In which of the measurements a model was timed."""
    values = json.loads((folder / "measurements" / f"{model}.json").read_text())
    return str(values["timing"]["stage"])


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("*.*")}


@pytest.fixture(scope="module", autouse=True)
def quick_collection() -> Iterator[None]:
    """Leave torch and all that is imported out of the garbage collections, one a training."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def quick_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the drawing out, which takes longer than the trainings; `done` draws."""
    for name in ("pareto", "learning_sizes", "training_progress", "nve_energies"):
        monkeypatch.setattr(f"nnmd_graph.comparison.report.{name}", lambda *_: None)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Any], Path]]:
    """A comparison with everything: a model that fails, smaller training sets."""
    folder = tmp_path_factory.mktemp("comparison")
    values = settings(folder / "data", learning_curve=[0.5])
    values["models"]["broken"] = BROKEN
    with pytest.MonkeyPatch.context() as patch:
        leave_out_plots(patch)
        ng.compare(values, output=folder / "out")
        shutil.copy(folder / "out" / "report.html", folder / "out" / "drawn.html")
        yield values, folder / "out"


Done = tuple[dict[str, Any], Path]


# --------------------------------------------------------------------------------- one protocol
def test_it_gives_what_training_each_alone_gives(done: Done, tmp_path: Path) -> None:
    values, folder = done
    alone = {k: v for k, v in values["models"]["bpnn"].items() if k != "training"}
    config = {
        "data": values["data"] | {"split": {"seed": 0}},
        "model": alone,
        "training": values["training"] | {"learning_rate": 0.01},
        "seed": 1,
    }
    metrics = train_from_config(config, tmp_path / "alone").metrics
    run = next(r for r in report(folder)["runs"] if (r["model"], r["seed"]) == ("bpnn", 1))
    for key in ("energy_mae", "forces_rmse", "stress_mae"):
        assert run["metrics"]["test"][key] == metrics["test"][key]


def test_all_runs_have_the_same_data_baseline_loss_and_budget(done: Done) -> None:
    _, folder = done
    runs = [folder / "runs" / m / f"seed-{s}" for m in ("bpnn", "schnet") for s in (0, 1)]
    configs = [read_config(run / "config.yaml") for run in runs]
    for config in configs[1:]:
        assert config.data == configs[0].data
        assert config.loss == configs[0].loss
        assert config.training.max_epochs == configs[0].training.max_epochs
    weights = "weights: energy 100, forces 1; that of the energy 1 at first"
    assert report(folder)["facts"]["loss"] == weights
    potentials = [ng.Potential.load(run / "model.pt") for run in runs]
    energies = [p.model.baseline.isolated_energies.tolist() for p in potentials]
    assert all(e == pytest.approx(energies[0], rel=1e-6) for e in energies)
    first, second = (torch.cat([w.flatten() for w in p.parameters()]) for p in potentials[:2])
    assert not torch.equal(first, second)  # the seeds are of the weights


def test_means_and_spread_over_the_seeds(done: Done) -> None:
    _, folder = done
    values = report(folder)
    for model in ("bpnn", "schnet"):
        mine = [r for r in values["runs"] if r["model"] == model and r["num_train"] == 10]
        errors = [run["metrics"]["test"]["forces_mae"] for run in mine]
        row = next(r for r in values["rows"] if r["name"] == model)
        assert row["forces_mae"] == pytest.approx(np.mean(errors))
        assert row["forces_mae_std"] == pytest.approx(np.std(errors, ddof=1))
        assert row["num_seeds"] == 2 and row["error"] is None
        assert row["best_seed"] == min(mine, key=lambda run: run["best_loss"])["seed"]
        assert row["us_per_atom"] > 0 and row["training_seconds"] > 0
        assert np.isfinite(row["nve_drift"]) and row["nve_largest"] >= 0


def test_errors_are_those_of_the_saved_models(done: Done) -> None:
    _, folder = done
    run = folder / "runs" / "schnet" / "seed-0"
    test = read_parts(read_config(run / "config.yaml"))["test"]
    expected = evaluate(ng.Potential.load(run / "model.pt"), test)
    found = json.loads((run / "result.json").read_text())["metrics"]["test"]
    assert found["forces_mae"] == pytest.approx(expected["forces_mae"])


def test_smaller_training_sets_are_nested_and_have_the_same_test(done: Done) -> None:
    _, folder = done
    whole, half = (
        read_parts(read_config(folder / "runs" / "bpnn" / name / "config.yaml"))
        for name in ("seed-0", "seed-0-train-5")
    )
    assert (len(whole["train"]), len(half["train"])) == (10, 5)
    known = {frame.positions.tobytes() for frame in whole["train"].frames}
    assert {frame.positions.tobytes() for frame in half["train"].frames} < known
    for part in ("val", "test"):
        for a, b in zip(whole[part].frames, half[part].frames, strict=True):
            assert np.array_equal(a.positions, b.positions)
            assert np.array_equal(a.get_forces(), b.get_forces())
            assert a.get_potential_energy() == b.get_potential_energy()
    points = [p for p in report(folder)["learning_curve"] if p["name"] == "bpnn"]
    assert [p["num_train"] for p in points] == [5, 10]


def test_sizes_of_smaller_sets(tmp_path: Path) -> None:
    config = parse_comparison(settings(tmp_path, learning_curve=[0.01, 0.3, 3, 7]))
    assert subset_sizes(config, 10) == [1, 3, 7]
    with pytest.raises(ValueError, match=r"`learning_curve`: expected fewer than the 7 training"):
        subset_sizes(config, 7)
    parts = read_parts(config.of_run("bpnn", 0))
    batches = config.model_copy(
        update={"training": config.training.model_copy(update={"batch_size": 5})}
    )
    found = {
        run.num_train: run.config.training.batch_size for run in plan(batches, tmp_path, parts)
    }
    assert found == {10: 5, 7: 5, 3: 3, 1: 1}


# --------------------------------------------------------------------------------------- failing
def test_a_model_that_fails_is_a_row(done: Done) -> None:
    _, folder = done
    row = next(r for r in report(folder)["rows"] if r["name"] == "broken")
    assert row["error"].startswith("DivergedError: the loss became NaN")
    assert "forces_mae" not in row and row["us_per_atom"] is None
    assert "DivergedError" in (folder / "report.html").read_text()


def test_settings_that_do_not_fit_are_a_row_and_may_be_mended(tmp_path: Path) -> None:
    values = settings(tmp_path / "data", seeds=[0], nve=None)
    bad = {"name": "gcnn", "cutoff": 4.0, "convolutions": {"conv": "gat", "hidden_channels": 5}}
    values["models"] = {"bpnn": SMALL["model"], "bad": bad}
    bad["convolutions"]["options"] = {"heads": 2}
    table = ng.compare(values, output=tmp_path / "out")
    assert table["bpnn"]["error"] is None and "Error" in table["bad"]["error"]
    before = times(tmp_path / "out")
    ng.compare(values, output=tmp_path / "out", resume=True)  # it would fail again
    assert times(tmp_path / "out") == before
    bad["convolutions"]["hidden_channels"] = 4
    table = ng.compare(values, output=tmp_path / "out", resume=True)
    assert table["bad"]["error"] is None and table["bad"]["forces_mae"] > 0


def test_a_seed_that_failed_is_told_beside_the_numbers_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = settings(tmp_path / "data", nve=None)
    del values["models"]["schnet"]
    ng.compare(values, output=tmp_path / "out")
    file = tmp_path / "out" / "runs" / "bpnn" / "seed-1" / "result.json"
    result = read_json(file, what="a result") or {}
    write_json(result | {"error": "OutOfMemoryError: too large"}, file, seal=True)
    row = ng.compare(values, output=tmp_path / "out", resume=True)["bpnn"]
    assert row["error"] == "seed 1: OutOfMemoryError: too large"
    assert row["num_seeds"] == 1 and row["forces_mae"] > 0 and row["forces_mae_std"] is None


# ----------------------------------------------------------------------------- resumed and shared
def test_a_finished_comparison_is_only_reported_again(done: Done) -> None:
    values, folder = done
    before, text = times(folder), (folder / "report.json").read_bytes()
    said: list[str] = []
    ng.compare(values, output=folder, resume=True, say=said.append)
    assert times(folder) == before
    assert (folder / "report.json").read_bytes() == text  # the times, too
    assert said == ["12 of 12 trainings are done already"]


def test_two_may_share_the_work(done: Done, tmp_path: Path) -> None:
    values, folder = done
    values, out = values | {"seeds": [0], "learning_curve": []}, tmp_path / "shared"
    part = ng.compare(values, output=out, only=["schnet"])
    assert part["bpnn"]["error"] == "not finished" and part["schnet"]["forces_mae"] > 0
    assert not (out / "runs" / "bpnn").exists()
    stages = [stage(out, "schnet")]
    ng.compare(values, output=out, only=["bpnn", "broken"], resume=True)
    assert "not all in one run" in report(out)["facts"]["timed on"]
    ng.compare(values, output=out, resume=True)  # now all are timed in one stage
    stages += [stage(out, model) for model in ("bpnn", "schnet")]
    assert stages[0] != stages[1] == stages[2]
    there = without_times(report(folder)["runs"])
    assert all(run in there for run in without_times(report(out)["runs"]))


def test_a_run_that_another_process_is_at_is_left_to_it(tmp_path: Path) -> None:
    values = settings(tmp_path / "data", seeds=[0], nve=None)
    out, said = tmp_path / "out", list[str]()
    with held_elsewhere(out / "runs" / "bpnn" / "seed-0"):
        table = ng.compare(values, output=out, say=said.append)
    assert "  another process is at it" in said
    assert table["bpnn"]["error"] == "not finished" and table["schnet"]["error"] is None
    assert ng.compare(values, output=out, resume=True)["bpnn"]["error"] is None


def test_more_seeds_and_models_may_come_later(tmp_path: Path) -> None:
    values = settings(tmp_path / "data", seeds=[0], nve=None)
    both = values["models"]
    ng.compare(values | {"models": {"bpnn": both["bpnn"]}}, output=tmp_path / "out")
    before = (tmp_path / "out/runs/bpnn/seed-0/result.json").stat().st_mtime_ns
    table = ng.compare(values | {"seeds": [1, 0]}, output=tmp_path / "out", resume=True)
    assert [row["num_seeds"] for row in table.rows] == [2, 2]
    assert (tmp_path / "out/runs/bpnn/seed-0/result.json").stat().st_mtime_ns == before


@contextmanager
def held_elsewhere(folder: Path) -> Iterator[None]:
    """Hold a folder in another thread."""
    ready, done = threading.Event(), threading.Event()

    def hold() -> None:
        with claimed(folder):
            ready.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert ready.wait(60)
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_what_another_process_is_at_is_not_overwritten(done: Done) -> None:
    values, folder = done
    before = times(folder)
    with (
        held_elsewhere(folder),
        pytest.raises(ValueError, match=r"`overwrite`: .* which another process is writing to"),
    ):
        ng.compare(values, output=folder, overwrite=True)
    assert times(folder) == before


@pytest.mark.parametrize("wrong", ["unlabelled", "missing"])
def test_data_that_cannot_be_trained_on_cost_nothing(
    done: Done, tmp_path: Path, wrong: str
) -> None:
    values, folder = done
    frames = copper()
    for atoms in frames:
        atoms.calc = None
    if wrong == "unlabelled":
        ase.io.write(tmp_path / "wrong.extxyz", frames)
    before = times(folder)
    data = {"train": str(tmp_path / "wrong.extxyz")}
    with pytest.raises((ValueError, FileNotFoundError), match=r"data\.train|wrong\.extxyz"):
        ng.compare(values | {"data": data}, output=folder, overwrite=True)
    assert times(folder) == before


def test_overwriting_leaves_what_the_comparison_did_not_write(tmp_path: Path) -> None:
    """Above all a folder `data`, which may be the user's own."""
    out = tmp_path / "out"
    values = settings(out, seeds=[0], nve=None)
    del values["models"]["schnet"]
    (out / "data").mkdir()
    (out / "copper.extxyz").rename(out / "data" / "copper.extxyz")
    values["data"]["train"] = str(out / "data" / "copper.extxyz")
    ng.compare(values, output=out)
    (out / "runs" / "bpnn" / "notes.txt").write_text("mine")
    ng.compare(values, output=out, overwrite=True)
    assert (out / "data" / "copper.extxyz").is_file()
    assert (out / "runs" / "bpnn" / "notes.txt").read_text() == "mine"
    values["data"]["train"] = str(out / "data" / "train-5.traj")
    ase.io.write(out / "data" / "train-5.traj", copper())
    with pytest.raises(ValueError, match=r"`output`: .* which is the `data.train`"):
        ng.compare(values, output=out, overwrite=True)


def test_settings_of_the_user_are_not_taken_for_a_comparison(tmp_path: Path) -> None:
    values = settings(tmp_path)
    (tmp_path / "comparison.yaml").write_text(yaml.safe_dump(values))
    for given in ({"overwrite": True}, {"resume": True}, {}):
        with pytest.raises(ValueError, match=r"comparison.yaml, which no comparison wrote"):
            ng.compare(tmp_path / "comparison.yaml", output=tmp_path, **given)
    assert yaml.safe_load((tmp_path / "comparison.yaml").read_text()) == values


def start(folder: Path, output: str) -> "subprocess.Popen[str]":
    """Compare in a process of its own, without the drawings of each training."""
    code = (
        "import nnmd_graph.workflow.training as t\n"
        "def draw(data, path, **_): path.write_bytes(b'')\n"
        "t.parity = t.error_histogram = t.learning_curves = draw\n"
        "from nnmd_graph.cli import main\n"
        "main()"
    )
    command = [sys.executable, "-c", code, "compare", "compare.yaml", "-o", output, "--resume"]
    return subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait(process: "subprocess.Popen[str]", ready: Callable[[], bool]) -> None:
    for _ in range(6000):
        if ready() or process.poll() is not None:
            return
        time.sleep(0.01)
    process.kill()
    raise AssertionError("the comparison did not come so far within a minute")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")
def test_killed_at_any_moment_and_started_again_it_ends_the_same(
    done: Done, tmp_path: Path
) -> None:
    values, folder = done
    (tmp_path / "compare.yaml").write_text(yaml.safe_dump(values))
    out = tmp_path / "killed"
    for some in (1, 5):  # after so many results, and a moment more
        process = start(tmp_path, "killed")
        wait(process, lambda some=some: len(list(out.rglob("result.json"))) >= some)
        time.sleep(random.uniform(0.0, 0.4))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    ng.compare(values, output=out, resume=True)
    assert without_times(report(out)) == without_times(report(folder))
    assert not [path for path in out.rglob(".*") if path.is_file()]


# --------------------------------------------------------------------------------------- folders
def test_a_folder_with_a_comparison_is_left_alone(done: Done) -> None:
    values, folder = done
    before = times(folder)
    with pytest.raises(ValueError, match=r"`output`: expected a new folder, got .*`resume=True`"):
        ng.compare(values, output=folder)
    with pytest.raises(ValueError, match=r"`resume`, `overwrite`: expected one of them"):
        ng.compare(values, output=folder, resume=True, overwrite=True)
    changed = values | {"training": {"max_epochs": 3}}
    with pytest.raises(ValueError, match=r"`training.max_epochs` was 2, now 3"):
        ng.compare(changed, output=folder, resume=True)
    with pytest.raises(ValueError, match=r"`loss.energy` was 100.0, now 1.0"):
        ng.compare(values | {"loss": {"energy": 1.0}}, output=folder, resume=True)
    with pytest.raises(ValueError, match=r"`resume`: expected the structures of the comparison"):
        data = values["data"] | {"split": {"seed": 1}}
        ng.compare(values | {"data": data}, output=folder, resume=True)
    assert times(folder) == before


def test_one_model_is_done_anew(tmp_path: Path) -> None:
    values = settings(tmp_path / "data", seeds=[0], nve=None)
    out = tmp_path / "out"
    ng.compare(values, output=out)
    (out / "notes.txt").write_text("mine")
    results = [out / "runs" / m / "seed-0" / "result.json" for m in ("bpnn", "schnet")]
    before = [file.stat().st_mtime_ns for file in results]
    values["models"]["bpnn"] = SMALL["model"] | {"hidden_channels": [3]}
    table = ng.compare(values, output=out, only=["bpnn"], overwrite=True)
    after = [file.stat().st_mtime_ns for file in results]
    assert before[0] != after[0] and before[1] == after[1]
    assert table["schnet"]["error"] is None
    ng.compare(values | {"training": {"max_epochs": 1}}, output=out, overwrite=True)
    assert results[1].stat().st_mtime_ns != before[1]
    assert (out / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"only": ["bpn"]}, "`only`: expected models of .*, got 'bpn'; did you mean 'bpnn'"),
        ({"only": []}, "`only`: expected one model or more"),
        ({"output": None}, "`output`: expected the folder of the comparison, got None"),
        ({"device": "gpu"}, "`device`: expected 'auto', 'cpu', 'cuda' or 'cuda:1', got 'gpu'"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        ng.compare(settings(tmp_path / "data"), **({"output": tmp_path / "out"} | arguments))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"data": {"train": "missing.xyz"}}, FileNotFoundError, "missing.xyz"),
        ({"learning_curve": [10]}, ValueError, "`learning_curve`: expected fewer than the 10"),
        ({"nve": {"atoms": "missing.xyz"}}, FileNotFoundError, "missing.xyz"),
        ({"seed": 3}, ValueError, "did you mean 'seeds'"),
    ],
)
def test_what_is_wrong_is_said_before_any_training(
    changes: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        ng.compare(settings(tmp_path / "data", **changes), output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_folders_are_refused(tmp_path: Path) -> None:
    values = settings(tmp_path / "data")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="expected a folder, got the file"):
        ng.compare(values, output=tmp_path / "file")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "log.csv").write_text("")
    with pytest.raises(ValueError, match="which holds a training run"):
        ng.compare(values, output=tmp_path / "run")
    with pytest.raises(TypeError, match="`only`: expected names of models, got the str"):
        ng.compare(values, output=tmp_path / "out", only="bpnn")  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------- report
def test_what_a_comparison_writes(done: Done) -> None:
    _, folder = done
    page = (folder / "drawn.html").read_text(encoding="utf-8")
    for text in (
        "Errors, test set", "Cost", "Energy conservation (NVE)", "Accuracy against speed",
        "Size of the training set", "Predictions against labels, best seed", "torch",
        "10 training, 1 validation, 1 test", "2 epochs for each model and seed", "max_epochs: 2",
    ):  # fmt: skip
        assert text in page, text
    assert page.count("data:image/png;base64") == 4 + 2
    assert "src=" not in page.replace('src="data:', "")  # nothing is loaded from elsewhere
    with (folder / "report.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["bpnn", "schnet", "broken"]
    assert float(rows[0]["forces_mae"]) == report(folder)["rows"][0]["forces_mae"]


def test_without_a_test_set_the_validation_set_counts(tmp_path: Path) -> None:
    values = settings(tmp_path / "data", seeds=[0], nve=None)
    del values["models"]["schnet"]
    values["data"] |= {"split": {"train": 9, "val": 3, "test": 0}}
    table = ng.compare(values, output=tmp_path / "out")
    assert table.details["part"] == "val" and table["bpnn"]["forces_mae"] > 0
    assert "Errors, validation set" in (tmp_path / "out" / "report.html").read_text()
