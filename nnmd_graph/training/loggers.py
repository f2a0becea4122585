"""Loggers by name: TensorBoard and Weights & Biases beside log.csv."""

from __future__ import annotations

import importlib.util
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_fabric.loggers.logger import Logger
from lightning_fabric.loggers.tensorboard import TensorBoardLogger

from nnmd_graph.training.callbacks import Callback, Row
from nnmd_graph.training.steps.step import name_of

if TYPE_CHECKING:
    from nnmd_graph.models.potential import Potential
    from nnmd_graph.training.settings import TrainingSettings

FOLDERS = {"tensorboard": "tensorboard", "wandb": "wandb"}
"""Where each logger writes, inside the folder of the run."""


def check_loggers(names: Iterable[str], output: Path | None) -> None:
    """Check that loggers have a folder, and that the packages behind them are there.

    Raises:
        ValueError: If there is no folder to write to.
        ImportError: If a package is not installed.
    """
    for name in names:
        if name not in FOLDERS:
            continue
        if output is None:
            raise ValueError(
                f"`loggers`: expected a folder to write to for {name!r}, got `output`=None; name it"
            )
        if importlib.util.find_spec(name) is None:
            raise ImportError(
                f"`loggers`: expected the package {name}, which is not installed; install the "
                'extra: pip install "nnmd-graph[loggers]"'
            )


def make_loggers(names: Iterable[str], output: Path | None) -> list[Callback]:
    """Callbacks for names of loggers; "csv" needs none, as log.csv is always written."""
    return [
        FabricLog(name, output / FOLDERS[name])
        for name in dict.fromkeys(names)
        if name in FOLDERS and output is not None
    ]


class FabricLog(Callback):
    """Sends the errors of each epoch to a logger of Lightning Fabric.

    A resumed run goes on with the curves of the run that it resumes.

    Args:
        name: ``"tensorboard"`` or ``"wandb"``.
        folder: Where it writes; one of a run that is not resumed adds to what is there.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self._logger: Logger | None = None

    def on_start(
        self, trainer: TrainingSettings, potential: Potential, history: Sequence[Row]
    ) -> None:
        """Open the log; steps are epochs."""
        done = int(history[-1]["epoch"]) if history else 0
        self._logger = (
            TensorBoardLogger(
                self.folder.parent, name=self.folder.name, version="", purge_step=done + 1
            )
            if self.name == "tensorboard"
            else WandbLogger(self.folder, resume=done > 0)
        )
        self._logger.log_hyperparams(_settings(trainer, potential))

    def on_epoch(self, row: Row) -> None:
        """Log an epoch."""
        assert self._logger is not None
        values = {name: value for name, value in row.items() if name != "epoch"}
        self._logger.log_metrics(values, step=int(row["epoch"]))

    def on_end(self, history: Sequence[Row]) -> None:
        """Close the log."""
        if self._logger is not None:
            self._logger.finalize("success")


def _settings(settings: TrainingSettings, potential: Potential) -> dict[str, Any]:
    names = ("optimizer", "learning_rate", "schedule", "max_epochs", "batch_size", "seed")
    values = {name: getattr(settings, name) for name in names}
    values["optimizer"] = name_of(settings.optimizer)
    values["parameters"] = sum(p.numel() for p in potential.parameters())
    return {name: "default" if value is None else value for name, value in values.items()}


class WandbLogger(Logger):
    """Weights & Biases with Fabric's interface; without a network set WANDB_MODE=offline.

    Args:
        folder: Where it writes; the number of the run is kept there, so that it can go on.
        resume: Whether to go on with that run.
    """

    def __init__(self, folder: Path, *, resume: bool) -> None:
        import wandb

        known = folder / "nnmd_graph_run.txt"
        number = known.read_text(encoding="utf-8").strip() if resume and known.is_file() else ""
        number = number or uuid.uuid4().hex[:12]
        folder.mkdir(parents=True, exist_ok=True)
        known.write_text(number + "\n", encoding="utf-8")
        self._run = wandb.init(
            project="nnmd_graph",
            name=folder.parent.absolute().name,
            dir=str(folder.parent),
            id=number,
            resume="allow",
        )

    @property
    def name(self) -> str:
        """Name of the project."""
        return "nnmd_graph"

    @property
    def version(self) -> str:
        """Number of the run."""
        return str(self._run.id)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers."""
        self._run.log(dict(metrics), step=step)

    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """Log settings."""
        self._run.config.update(dict(params), allow_val_change=True)

    def finalize(self, status: str) -> None:
        """Close the run."""
        self._run.finish()
