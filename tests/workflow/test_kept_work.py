"""A finished run is not lost by a training that fails, nor mixed with another one."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import pytest
import torch

from nnmd_graph.config.config import read_config
from nnmd_graph.models import Potential
from nnmd_graph.training.run import Run
from nnmd_graph.workflow import train_from_config

from .conftest import SMALL, copper

pytestmark = pytest.mark.slow

Settings = Callable[..., dict[str, Any]]


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, to be copied."""
    folder = tmp_path_factory.mktemp("finished")
    ase.io.write(folder / "copper.extxyz", copper())
    with pytest.MonkeyPatch.context() as patch:
        draw = lambda data, path, **_: path.write_bytes(b"")  # noqa: E731
        for name in ("parity", "error_histogram", "learning_curves"):
            patch.setattr(f"nnmd_graph.workflow.training.{name}", draw)
        data = {"train": str(folder / "copper.extxyz")}
        train_from_config(SMALL | {"data": data}, folder / "run")
    return folder / "run"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def unlabelled(tmp_path: Path) -> dict[str, Any]:
    frames = [atoms.copy() for atoms in copper()]
    ase.io.write(tmp_path / "wrong.extxyz", frames)
    return {"data": {"train": str(tmp_path / "wrong.extxyz")}}


def empty(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "wrong.extxyz").write_text("")
    return {"data": {"train": str(tmp_path / "wrong.extxyz")}}


def large_batch(tmp_path: Path) -> dict[str, Any]:
    return {"training": {"max_epochs": 3, "batch_size": 500}}


def wild(tmp_path: Path) -> dict[str, Any]:
    return {"training": {"max_epochs": 3, "learning_rate": 1e30, "ema_decay": 0}}


def frozen(tmp_path: Path) -> dict[str, Any]:
    return {"transfer": {"freeze": ["readout"]}}


@pytest.mark.parametrize("wrong", [unlabelled, empty, large_batch, wild, frozen])
def test_what_cannot_be_trained_costs_nothing(
    settings: Settings, run: Path, tmp_path: Path, wrong: Callable[[Path], dict[str, Any]]
) -> None:
    before = contents(run)
    with pytest.raises((ValueError, RuntimeError)):
        train_from_config(settings() | wrong(tmp_path), run, overwrite=True)
    assert contents(run) == before


def test_the_old_run_stays_until_the_first_epoch_is_done(
    settings: Settings, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, seen = contents(run), []
    epoch = Run._epoch

    def watched(self: Run) -> Any:
        there = contents(run)
        seen.append({name: there.get(name) == before[name] for name in before})
        assert not seen[1:] or "metrics.json" not in there  # no errors of another model
        return epoch(self)

    monkeypatch.setattr(Run, "_epoch", watched)
    train_from_config(settings() | {"seed": 4}, run, overwrite=True)
    assert all(seen[0].values())
    assert not any(seen[1][name] for name in ("model.pt", "config.yaml", "checkpoints/last.pt"))
    assert set(contents(run)) == set(before)
    assert read_config(run / "config.yaml").seed == 4


def test_a_new_run_that_is_broken_off_at_once_can_go_on(
    settings: Settings, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Run) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Run, "_epoch", broken)
        train_from_config(settings() | {"seed": 4}, run, overwrite=True)
    assert not (run / "metrics.json").exists()
    assert read_config(run / "config.yaml").seed == 4
    found = train_from_config(settings() | {"seed": 4}, run, resume=True).potential
    expected = train_from_config(settings() | {"seed": 4}, tmp_path / "other").potential
    pairs = zip(found.parameters(), expected.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_longer_run_has_no_errors_of_a_shorter_one(
    settings: Settings, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epoch = Run._epoch

    def broken(self: Run) -> Any:
        if self.at.epoch == 4:
            raise KeyboardInterrupt
        return epoch(self)

    monkeypatch.setattr(Run, "_epoch", broken)
    values = read_config(run / "config.yaml").model_dump(mode="json")
    values["training"]["max_epochs"] = 5
    with pytest.raises(KeyboardInterrupt):
        train_from_config(values, run, resume=True)
    assert not (run / "metrics.json").exists() and not (run / "report.html").exists()


# ------------------------------------------------------------------------------------ lost files
@pytest.mark.parametrize("name", ["checkpoints/last.pt", "config.yaml"])
@pytest.mark.parametrize("how", ["missing", "cut", "empty", "zeros"])
def test_a_run_that_has_lost_a_part_does_not_go_on(
    run: Path, tmp_path: Path, name: str, how: str
) -> None:
    values = read_config(run / "config.yaml")
    content = (run / name).read_bytes()
    damaged = {"cut": content[: len(content) // 2], "empty": b"", "zeros": bytes(len(content))}
    (run / name).unlink()
    if how != "missing":
        (run / name).write_bytes(damaged[how])
    before = contents(run)
    with pytest.raises(ValueError, match=re.escape(Path(name).name)):
        train_from_config(values, run, resume=True)
    assert contents(run) == before


@pytest.mark.parametrize("how", ["missing", "cut", "edited"])
def test_a_log_that_was_lost_is_told_and_made_again(run: Path, how: str) -> None:
    values, before = read_config(run / "config.yaml"), (run / "log.csv").read_bytes()
    if how == "missing":
        (run / "log.csv").unlink()
    else:
        (run / "log.csv").write_bytes(before[:-9] if how == "cut" else before.replace(b"1", b"2"))
    with pytest.warns(UserWarning, match=r"log.csv' is .* written again from the checkpoint"):
        train_from_config(values, run, resume=True)
    assert (run / "log.csv").read_bytes() == before


def test_settings_that_may_change_may_be_edited_and_others_not(run: Path) -> None:
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("max_epochs: 3", "max_epochs: 4"))
    with pytest.warns(UserWarning, match=r"config.yaml' was edited.*training.max_epochs = 4"):
        result = train_from_config(read_config(run / "config.yaml"), run, resume=True)
    assert len(result.history) == 4
    text = (run / "config.yaml").read_text()
    for old, new in (("test: 0.1", "test: 0.05"), ("cutoff: 3.6", "cutoff: 3.7")):
        assert old in text
        (run / "config.yaml").write_text(text.replace(old, new))
        with pytest.raises(ValueError, match=r"config.yaml' as it was written.*edited"):
            train_from_config(read_config(run / "config.yaml"), run, resume=True)


# ---------------------------------------------------------------------------------- other folders
@pytest.mark.parametrize("mark", ["comparison.yaml", "report.json", "predictions.extxyz"])
def test_no_training_into_a_folder_of_something_else(
    settings: Settings, tmp_path: Path, mark: str
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / mark).write_text("{}")
    for given in ({}, {"overwrite": True}, {"resume": True}):
        with pytest.raises(ValueError, match=rf"`output`: .* which holds an? .*{mark}"):
            train_from_config(settings(), tmp_path / "out", **given)
    assert set(contents(tmp_path / "out")) == {mark}


@pytest.mark.parametrize("name", ["config.yaml", "model.pt"])
def test_files_that_no_run_wrote_stay(settings: Settings, tmp_path: Path, name: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("seed: 1")
    for given in ({}, {"overwrite": True}, {"resume": True}):
        with pytest.raises(ValueError, match=rf"`output`: .*{name}"):
            train_from_config(settings(), tmp_path / "out", **given)
    assert (tmp_path / "out" / name).read_text() == "seed: 1"


def test_data_in_the_place_of_an_output_are_not_written_over(
    settings: Settings, data: Path, run: Path
) -> None:
    (run / "parity.png").unlink()
    (run / "parity.png").symlink_to(data)
    with pytest.raises(ValueError, match=r"`output`: .* which is the `data.train`"):
        train_from_config(settings(), run, overwrite=True)
    assert len(ase.io.read(data, ":")) == 12


def test_two_trainings_into_one_folder(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one begins while the first one is at its second epoch."""
    from concurrent.futures import ThreadPoolExecutor

    epoch, errors = Run._epoch, []

    def meanwhile(self: Run) -> Any:
        if self.at.epoch == 1:
            for given in ({"resume": True}, {"overwrite": True}):
                with ThreadPoolExecutor(1) as pool:
                    job = pool.submit(train_from_config, settings(), tmp_path / "run", **given)
                    errors.append(str(job.exception()))
        return epoch(self)

    monkeypatch.setattr(Run, "_epoch", meanwhile)
    first = train_from_config(settings(), tmp_path / "run")
    assert len(errors) == 2 and all("another process is writing to" in text for text in errors)
    assert len(first.history) == 3
    Potential.load(tmp_path / "run" / "model.pt")
    assert not [path for path in (tmp_path / "run").rglob(".*")]
