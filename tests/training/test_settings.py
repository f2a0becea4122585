"""Every setting is declared once: the trainer, the config file and the resumed run agree on it."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nnmd_graph.config.config import MAY_CHANGE
from nnmd_graph.models.checkpoint import save_tensors
from nnmd_graph.training import EnergyForcesLoss, Trainer
from nnmd_graph.training.settings import TrainingConfig, TrainingSettings, TransferConfig

from .conftest import Fit, same_weights

FIELDS = TrainingSettings.model_fields


def test_the_trainer_shows_every_setting_with_its_default_and_meaning() -> None:
    shown = inspect.signature(Trainer).parameters
    assert {name: p.default for name, p in shown.items()} == {
        n: f.default for n, f in FIELDS.items()
    }
    assert list(inspect.signature(Trainer.__init__).parameters) == ["self", *FIELDS]
    for name, field in FIELDS.items():
        assert field.description
        assert f"\n    {name}: " in (Trainer.__doc__ or "")


def test_the_sections_of_a_config_hold_the_settings_of_the_trainer() -> None:
    keys = {*TrainingConfig.model_fields, *TransferConfig.model_fields} - {"from"}
    assert keys == FIELDS.keys() - {
        "loss",
        "init",
        "seed",
        "device",
        "output",
        "callbacks",
        "progress",
    }
    trainer = Trainer()
    for section in (TrainingConfig(), TransferConfig()):
        for name, value in section.model_dump(exclude={"from"}).items():
            assert getattr(trainer, name) == value


def test_what_may_change_in_a_resumed_run_is_not_compared() -> None:
    free = {key.removeprefix("training.") for key in MAY_CHANGE if key.startswith("training.")}
    assert free == {
        "max_epochs", "max_seconds", "patience", "precompute", "loggers", "checkpoint_seconds",
    }  # fmt: skip
    assert not free & Trainer().kept().keys()
    assert {"optimizer", "learning_rate", "ema_decay", "freeze", "seed"} <= Trainer().kept().keys()


def test_a_trainer_does_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Trainer().max_epochs = 3


def test_numbers_of_numpy_and_any_kind_of_list_will_do() -> None:
    trainer = Trainer(
        max_epochs=np.int64(3),
        learning_rate=np.float32(0.5),
        batch_size=np.array(4),
        weight_decay=1,
        freeze={"readout"},
        loggers=(name for name in ["csv"]),
        isolated_energies={np.int64(29): np.float64(-3.5)},
        output="run",
        loss=None,
        learning_rates=None,
        device=torch.device("cpu"),
    )
    assert type(trainer.max_epochs) is type(trainer.batch_size) is int
    assert (trainer.learning_rate, trainer.weight_decay) == (0.5, 1.0)
    assert list(trainer.freeze) == ["readout"] and list(trainer.loggers) == ["csv"]
    assert trainer.isolated_energies == {29: -3.5}
    assert (trainer.output, trainer.learning_rates, trainer.device) == (Path("run"), {}, "cpu")
    assert isinstance(trainer.loss, EnergyForcesLoss)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"max_epoch": 3}, TypeError, "`max_epoch`: expected .* did you mean 'max_epochs'"),
        ({"optimizer": "adma"}, ValueError, "`optimizer`: expected .* did you mean 'adam'"),
        ({"progress": "yes"}, TypeError, "`progress`: expected True or False, got 'yes'; change"),
        ({"max_epochs": 1.5}, TypeError, "`max_epochs`: expected an integer, got 1.5; change"),
        ({"batch_size": 0}, ValueError, r"`batch_size`: .*\(structures per step; None: up to"),
    ],
)
def test_a_wrong_setting_is_named_with_its_meaning(
    settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Trainer(**settings)


def test_a_checkpoint_of_an_older_version_goes_on(fit: Fit, tmp_path: Path) -> None:
    """It leaves out what is empty, and some of it has other empty values."""
    last = tmp_path / "checkpoints" / "last.pt"
    fit(output=tmp_path, max_epochs=1)
    state = torch.load(last, weights_only=True)
    settings = state["training"]["settings"]
    for name in ("freeze", "learning_rates", "refit_baseline", "element_weights", "init"):
        assert settings.pop(name) in (None, [], {})
    assert settings["isolated_energies"] == {}
    save_tensors(state, last)
    found, _ = fit(resume=True, output=tmp_path, max_epochs=2)
    assert same_weights(found, fit(max_epochs=2)[0])
