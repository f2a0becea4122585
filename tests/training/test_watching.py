"""A training that can be watched: callbacks, loggers, what is said before and in between."""

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from nnmd_graph.config.config import Config, parse_config
from nnmd_graph.config.overrides import parse_overrides
from nnmd_graph.config.schema import json_schema
from nnmd_graph.evaluation import learning_curves
from nnmd_graph.training import Callback, Trainer
from nnmd_graph.training.callbacks import CallbackError

from .conftest import Fit, same_weights, without_seconds


class Notes(Callback):
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def on_start(self, trainer: Trainer, potential: Any, history: Sequence[Any]) -> None:
        self.heard.append(("start", len(history)))

    def on_epoch(self, row: dict[str, float]) -> None:
        self.heard.append(int(row["epoch"]))

    def on_end(self, history: Sequence[Any]) -> None:
        self.heard.append(("end", len(history)))


class StopAtTwo(Callback):
    def on_epoch(self, row: dict[str, float]) -> bool:
        return row["epoch"] == 2


class Broken(Callback):
    def on_epoch(self, row: dict[str, float]) -> None:
        raise KeyError("no such column")


def test_callbacks_hear_of_every_epoch(fit: Fit) -> None:
    notes = Notes()
    fit(callbacks=[notes])
    assert notes.heard == [("start", 0), 1, 2, 3, ("end", 3)]


def test_a_callback_ends_the_training_and_a_resumed_run_tells_what_is_done(
    fit: Fit, tmp_path: Path
) -> None:
    _, history = fit(callbacks=[StopAtTwo()], output=tmp_path, checkpoint_seconds=0.0)
    assert len(history) == 2
    notes = Notes()
    fit(callbacks=[notes], output=tmp_path, resume=True)
    assert notes.heard == [("start", 2), 3, ("end", 3)]


def test_a_callback_that_fails_is_named_and_the_others_end(fit: Fit) -> None:
    notes = Notes()
    with pytest.raises(CallbackError, match="`callbacks`: Broken.on_epoch failed: KeyError"):
        fit(callbacks=[notes, Broken()])
    assert notes.heard[-1] == ("end", 0) or notes.heard[-1][0] == "end"


def test_watching_changes_nothing(fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    """The trial step of the forecast takes no step, and draws no random number."""
    (silent, one), (watched, other) = fit(), fit(progress=True)
    assert same_weights(silent, watched)
    assert without_seconds(one) == without_seconds(other)
    lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"training on 8 structures \(32 atoms of Cu\), validation on 3", lines[0])
    assert any(re.search(r"\d+ epochs of 2 steps, batch size 4, adam", line) for line in lines)
    assert any(re.match(r"memory \d.* (about|time)", line) for line in lines)
    epochs = [line for line in lines if line.startswith("epoch ")]
    assert epochs[0].startswith("epoch 1/3  energy ") and " left" in epochs[0]
    assert epochs[-1].startswith("epoch 3/3  ")


def test_learning_curves_take_a_history(fit: Fit) -> None:
    _, history = fit()
    figure = learning_curves(history)
    assert figure.axes


@pytest.mark.parametrize("history", [[], [{"epoch": 1.0}], [{"loss": 1.0, "epoch": 2.0}]])
def test_what_is_no_history_is_refused(history: Any) -> None:
    with pytest.raises(ValueError, match="`log_csv`: expected the history"):
        learning_curves(history)


@pytest.mark.parametrize("history", [None, 3, [1, 2]])
def test_what_is_neither_file_nor_history_is_refused(history: Any) -> None:
    with pytest.raises(TypeError, match="`log_csv`: expected the name of a log.csv"):
        learning_curves(history)


@pytest.mark.parametrize(
    ("loggers", "error", "message"),
    [
        (["tensorbord"], ValueError, "did you mean 'tensorboard'"),
        ("csv", TypeError, "`loggers`: expected a list of names"),
        (["mlflow"], ValueError, r"`loggers\[0\]`: expected one of"),
    ],
)
def test_loggers_that_are_unknown(
    loggers: Any, error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        Trainer(loggers=loggers, output=tmp_path)


def test_loggers_need_a_folder() -> None:
    with pytest.raises(ValueError, match="`loggers`: expected a folder to write to"):
        Trainer(loggers=["tensorboard"])


@pytest.mark.skipif(importlib.util.find_spec("wandb") is not None, reason="wandb is installed")
def test_a_missing_package_names_the_extra(tmp_path: Path) -> None:
    with pytest.raises(ImportError, match=r"nnmd-graph\[loggers\]"):
        Trainer(loggers=["wandb"], output=tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="no tensorboard")
def test_tensorboard_gets_the_errors(fit: Fit, tmp_path: Path) -> None:
    fit(loggers=["tensorboard"], output=tmp_path)
    assert list((tmp_path / "tensorboard").glob("events.*"))


@pytest.mark.parametrize(
    ("word", "key", "value"),
    [
        ("training.max_epochs=50", "training.max_epochs", 50),
        ("model.hidden_channels=[64, 64]", "model.hidden_channels", [64, 64]),
        ("training.patience=null", "training.patience", None),
        ("training.isolated_energies={Cu: -5.0}", "training.isolated_energies", {"Cu": -5.0}),
        ("loss.forces = 2.5", "loss.forces", 2.5),
    ],
)
def test_overrides_are_values_of_yaml(word: str, key: str, value: Any) -> None:
    assert parse_overrides([word], Config) == {key: value}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("training.max_epoch=50", "did you mean 'max_epochs'"),
        ("training.max_epochs", "expected key=value"),
        ("=3", "expected key=value"),
        ("training=3", "expected a key, got a section"),
        ("seed.x=3", "but it is a value"),
        ("model.hidden_channels=[64", "expected a value as in YAML"),
    ],
)
def test_overrides_that_do_not_fit_are_named(word: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"`--set.*{re.escape(message)}"):
        parse_overrides([word], Config)


def test_the_schema_takes_what_the_config_takes() -> None:
    schema = json_schema(Config)
    assert set(schema["properties"]) == set(Config.model_fields)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert parse_config({"data": {"train": "a.xyz"}, "training": None}) is not None
    assert {"type": "null"} in schema["properties"]["training"]["anyOf"]
