"""One training run: its state from the first epoch to the last, and its checkpoints."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning_fabric import Fabric
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch_geometric.loader import DataLoader

from nnmd_graph.data.dataset import AtomsDataset
from nnmd_graph.models.checkpoint import (
    FORMAT,
    FORMAT_VERSION,
    describe,
    load_tensors,
    save_tensors,
)
from nnmd_graph.models.potential import Potential
from nnmd_graph.training.callbacks import CSVLog, Row, TrainingProgress
from nnmd_graph.training.optimization import Schedule, make_optimizer
from nnmd_graph.training.preparation import (
    choose_batch_size,
    fit_baseline,
    fit_features,
    prepare_graphs,
    should_precompute,
)
from nnmd_graph.training.task import train_epoch, validate

if TYPE_CHECKING:
    from nnmd_graph.training.trainer import Trainer

LAST = Path("checkpoints") / "last.pt"
BEST = Path("checkpoints") / "best.pt"


@dataclass
class Progress:
    """Where a run stands: what a checkpoint holds beside weights and optimiser."""

    epoch: int = 0
    seconds: float = 0.0
    best_loss: float = float("inf")
    best_epoch: int = 0
    best_state: dict[str, torch.Tensor] = field(default_factory=dict)
    history: list[Row] = field(default_factory=list)


class Run:
    """Everything that lives from the first epoch to the last.

    Args:
        trainer: Its settings.
        potential: Trained in place.
        train: Training set.
        val: Validation set or None.
    """

    def __init__(
        self, trainer: Trainer, potential: Potential, train: AtomsDataset, val: AtomsDataset | None
    ) -> None:
        self.trainer = trainer
        self.potential = potential
        self.at = Progress()
        accelerator, devices = _accelerator(trainer.device)
        self.fabric = Fabric(accelerator=accelerator, devices=devices)
        potential.to(self.fabric.device)
        self._prepare(train, val)
        optimizer = make_optimizer(
            trainer.optimizer, potential, trainer.learning_rate, trainer.weight_decay
        )
        self.module, self.optimizer = self.fabric.setup(potential, optimizer)
        self.schedule = Schedule(trainer.schedule, optimizer, trainer.max_epochs)
        self.average: AveragedModel | None = None
        if trainer.ema_decay > 0.0 and trainer.optimizer != "lbfgs":
            average = get_ema_multi_avg_fn(trainer.ema_decay)
            self.average = AveragedModel(potential, multi_avg_fn=average)

    def _prepare(self, train: AtomsDataset, val: AtomsDataset | None) -> None:
        trainer, potential = self.trainer, self.potential
        graphs = [train[n] for n in range(len(train))]
        val_graphs = [] if val is None else [val[n] for n in range(len(val))]
        features = should_precompute(potential, graphs + val_graphs, trainer.precompute)
        graphs = prepare_graphs(potential, graphs, features=features, progress=trainer.progress)
        val_graphs = prepare_graphs(
            potential, val_graphs, features=features, progress=trainer.progress
        )
        if not bool(potential.model.baseline.fitted):
            fit_baseline(potential, train, trainer.isolated_energies)
            fit_features(potential, graphs, trainer.seed)
        self.batch_size = trainer.batch_size or choose_batch_size(graphs)
        self.order = torch.Generator()
        self.train_loader = self.fabric.setup_dataloaders(
            DataLoader(graphs, self.batch_size, shuffle=True, generator=self.order)  # type: ignore[arg-type]
        )
        self.val_loader = DataLoader(val_graphs, self.batch_size) if val_graphs else None  # type: ignore[arg-type]

    def loop(self) -> None:
        """Epochs until the end, the limits of the trainer, or Ctrl-C."""
        trainer, at = self.trainer, self.at
        log = None
        if trainer.output is not None:
            log = CSVLog(trainer.output / "log.csv", at.history)
        saved = time.monotonic()
        try:
            with TrainingProgress(trainer.max_epochs, trainer.progress) as progress:
                while at.epoch < trainer.max_epochs and not self._should_stop():
                    row = self._epoch()
                    progress.show(row)
                    if log is None:
                        continue
                    log.write(row)
                    if time.monotonic() - saved >= trainer.checkpoint_seconds:
                        self.save()
                        saved = time.monotonic()
            self.save()
        finally:
            # Also after Ctrl-C or an error: the best epoch so far is kept. last.pt stays that of
            # a whole epoch, so that resuming ends where an unbroken run would.
            self._finish()

    def _finish(self) -> None:
        if not self.at.best_state:
            return
        self.potential.load_state_dict(self.at.best_state)
        self.potential.eval()
        if self.trainer.output is not None:
            self.potential.save(self.trainer.output / "model.pt")
            self.potential.save(self.trainer.output / BEST)

    def _epoch(self) -> Row:
        trainer, at = self.trainer, self.at
        start = time.monotonic()
        # Order and noise depend on seed and epoch only: a resumed run sees what an unbroken does.
        seed = trainer.seed * 1_000_003 + at.epoch
        self.order.manual_seed(seed)
        row: Row = {"learning_rate": self.schedule.learning_rate}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            row["train_loss"] = train_epoch(
                self.fabric,
                self.module,
                self.optimizer,  # type: ignore[arg-type]
                self.train_loader,  # type: ignore[arg-type]
                trainer.loss,
                gradient_clip=trainer.gradient_clip,
                after_step=self._update_average,
            )
        judged = self.potential if self.average is None else self.average.module
        loss = row["train_loss"]
        if self.val_loader is not None:
            errors = validate(judged, self.val_loader, trainer.loss)  # type: ignore[arg-type]
            loss = row["val_loss"] = errors.value()
            row |= {f"val_{name}": value for name, value in errors.errors().items()}
        at.epoch += 1
        self.schedule.step(at.epoch, loss)
        if loss < at.best_loss or not at.best_state:
            at.best_loss, at.best_epoch = loss, at.epoch
            at.best_state = {k: v.detach().clone() for k, v in judged.state_dict().items()}
        at.seconds += time.monotonic() - start
        row = {"epoch": at.epoch, "seconds": round(at.seconds, 3)} | row
        at.history.append(row)
        return row

    def _update_average(self) -> None:
        if self.average is not None:
            self.average.update_parameters(self.potential)

    def _should_stop(self) -> bool:
        trainer, at = self.trainer, self.at
        if trainer.max_seconds is not None and at.seconds >= trainer.max_seconds:
            return True
        return trainer.patience is not None and at.epoch - at.best_epoch >= trainer.patience

    def save(self) -> None:
        """Write checkpoints/last.pt, from which a run goes on; nothing without an output folder."""
        if self.trainer.output is None:
            return
        state: dict[str, Any] = {
            "model": describe(self.potential.model),
            "settings": self._settings(),
            "potential": self.potential.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "progress": vars(self.at),
        }
        values = {"format": FORMAT, "format_version": FORMAT_VERSION, "state": state}
        save_tensors(values, self.trainer.output / LAST)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            ValueError: If it is damaged, or of another model or other settings.
        """
        state = load_tensors(path, self.fabric.device)["state"]
        settings, found = self._settings(), state["settings"]
        different = [k for k in settings if settings[k] != found.get(k)]
        if state["model"] != describe(self.potential.model):
            different.append("model")
        if different:
            raise ValueError(
                f"`resume` needs the model, data and settings of the checkpoint {str(path)!r}, got "
                f"other values of {different}; use them again, or start anew in another folder"
            )
        self.potential.load_state_dict(state["potential"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.at = Progress(**state["progress"])

    def _settings(self) -> dict[str, Any]:
        """What must be the same for a run to go on: not its length, device or output."""
        names = ("optimizer", "learning_rate", "weight_decay", "schedule", "gradient_clip",
                 "ema_decay", "seed")  # fmt: skip
        values: dict[str, Any] = {name: getattr(self.trainer, name) for name in names}
        values |= {"loss": repr(self.trainer.loss), "batch_size": self.batch_size}
        values["num_structures"] = len(self.train_loader.dataset)  # type: ignore[arg-type]
        return values


def _accelerator(device: str) -> tuple[str, Any]:
    """Fabric's words for a torch device name."""
    if device == "auto":
        return ("cuda", 1) if torch.cuda.is_available() else ("cpu", 1)
    kind, _, number = device.partition(":")
    return kind, [int(number)] if number else 1
