"""The log file and the progress bar."""

import csv
from pathlib import Path

import pytest
from rich.console import Console

from nnmd_graph.training import EnergyForcesLoss, Trainer
from nnmd_graph.training.callbacks import COLUMNS, CSVLog, TrainingProgress

from .conftest import Fit


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_log_has_a_row_for_each_epoch(fit: Fit, tmp_path: Path) -> None:
    _, history = fit(output=tmp_path, max_epochs=3)
    rows = read(tmp_path / "log.csv")
    assert list(rows[0])[:9] == [
        "epoch", "seconds", "learning_rate", "train_loss", "val_loss",
        "val_energy_mae", "val_energy_rmse", "val_forces_mae", "val_forces_rmse",
    ]  # fmt: skip
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    for row, values in zip(rows, history, strict=True):
        assert {k: float(v) for k, v in row.items() if v} == values
        assert row["val_stress_mae"] == ""


def test_the_log_holds_the_stress_where_it_is_trained_on(fit: Fit, tmp_path: Path) -> None:
    fit(output=tmp_path, max_epochs=1, loss=EnergyForcesLoss(1.0, 1.0, 1.0))
    assert float(read(tmp_path / "log.csv")[0]["val_stress_rmse"]) > 0.0


def test_the_log_without_validation(fit: Fit, tmp_path: Path) -> None:
    fit(output=tmp_path, max_epochs=1, val=None)
    (row,) = read(tmp_path / "log.csv")
    assert row["train_loss"]
    assert row["val_loss"] == ""


def test_a_row_is_on_the_disk_at_once(tmp_path: Path) -> None:
    log = CSVLog(tmp_path / "a" / "log.csv")
    log.write({"epoch": 1, "train_loss": 0.25})
    assert read(log.path)[0]["train_loss"] == "0.25"


def test_rows_of_a_resumed_run_replace_those_of_the_file(tmp_path: Path) -> None:
    """A run that was killed has written rows beyond its last checkpoint, one perhaps in part."""
    log = CSVLog(tmp_path / "log.csv")
    for epoch in range(1, 4):
        log.write({"epoch": epoch, "train_loss": 1.0 / epoch})
    with log.path.open("a") as file:
        file.write("4,0.1")
    CSVLog(log.path, [{"epoch": 1, "train_loss": 1.0}]).write({"epoch": 2, "train_loss": 0.5})
    assert [row["epoch"] for row in read(log.path)] == ["1", "2"]
    assert [p.name for p in tmp_path.iterdir()] == ["log.csv"]


def test_files_of_a_run(fit: Fit, tmp_path: Path) -> None:
    fit(output=str(tmp_path / "a" / "b"), max_epochs=1)
    files = sorted(str(p.relative_to(tmp_path / "a" / "b")) for p in tmp_path.rglob("*.*"))
    assert files == ["checkpoints/best.pt", "checkpoints/last.pt", "log.csv", "model.pt"]


def terminal(monkeypatch: pytest.MonkeyPatch) -> list[Console]:
    consoles: list[Console] = []

    def make(stderr: bool) -> Console:
        consoles.append(Console(stderr=stderr, force_terminal=True, width=120))
        return consoles[-1]

    monkeypatch.setattr("nnmd_graph.screen.Screen", make)
    return consoles


def test_the_bar_shows_epochs_and_errors(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal(monkeypatch)
    with TrainingProgress(Trainer(max_epochs=5, progress=True)) as progress:
        progress.show({"epoch": 3, "val_energy_mae": 1.234, "val_forces_mae": 45.678})
    out, err = capsys.readouterr()
    assert out == ""
    assert "3/5" in err
    assert "energy 1.23 meV/atom, forces 45.68 meV/Å" in err


def test_the_bar_without_validation_shows_the_loss(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal(monkeypatch)
    with TrainingProgress(Trainer(max_epochs=5, progress=True)) as progress:
        progress.show({"epoch": 1, "train_loss": 0.5})
    assert "loss 0.5" in capsys.readouterr().err


def test_no_bar_unless_asked_for(
    fit: Fit, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    terminal(monkeypatch)
    fit(progress=False, max_epochs=1)
    assert capfd.readouterr() == ("", "")
    fit(progress=True, max_epochs=1)
    out, err = capfd.readouterr()
    assert out == ""
    assert "1/1" in err


def test_the_columns_are_those_of_the_history() -> None:
    assert COLUMNS[:5] == ("epoch", "seconds", "learning_rate", "train_loss", "val_loss")
