"""One training run: its state from the first epoch to the last, and its checkpoints."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning_fabric import Fabric
from torch_geometric.loader import DataLoader

from nnmd_graph.data.dataset import AtomsDataset
from nnmd_graph.devices import find_device
from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.models.padding import with_pairs
from nnmd_graph.models.potential import Potential
from nnmd_graph.progress import say
from nnmd_graph.training.adapting import rescale_features
from nnmd_graph.training.callbacks import CallbackList, Row, TrainingProgress, columns_of
from nnmd_graph.training.forecast import forecast
from nnmd_graph.training.loggers import make_loggers
from nnmd_graph.training.optimization import Schedule
from nnmd_graph.training.preparation import (
    choose_batch_size,
    fit_baseline,
    fit_features,
    prepare_graphs,
    should_precompute,
    widen_ranges,
)
from nnmd_graph.training.resume import read_checkpoint, settings_of, write_checkpoint
from nnmd_graph.training.run_folder import BEST, LAST, MODEL, RunFolder, check_whole
from nnmd_graph.training.settings import TrainingSettings
from nnmd_graph.training.start import meet_new_data
from nnmd_graph.training.steps.compiled import CompiledGradients
from nnmd_graph.training.steps.named import find_step
from nnmd_graph.training.task import check_finite, check_finite_weights, validate
from nnmd_graph.training.transfer import frozen_parameters, start_from


@dataclass
class Progress:
    """State of a run: contents of a checkpoint beside weights and optimiser."""

    best_state: dict[str, torch.Tensor]
    best_loss: float = float("inf")
    best_epoch: int = 0
    epoch: int = 0
    seconds: float = 0.0
    history: list[Row] = field(default_factory=list)


class Run:
    """The objects that a run needs from the first epoch to the last.

    Args:
        settings: Those of the training; callbacks get this object.
        potential: Trained in place.
        train: Training set.
        val: Validation set or None.
        init: Potential to start from, of the architecture of ``potential``.
        resume: Whether to go on from the last checkpoint, where there is one.

    Raises:
        ValueError: If the checkpoint is damaged, or of another model, other data or settings.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        potential: Potential,
        train: AtomsDataset,
        val: AtomsDataset | None,
        *,
        init: Potential | None = None,
        resume: bool = False,
    ) -> None:
        self.settings = settings
        self.potential = potential
        self.batch_size = settings.batch_size or choose_batch_size(train)
        # Checked before hours of work, and before anything is changed.
        self.output = settings.folder
        self._kept, checkpoint = {}, None
        if self.output is not None:
            self._kept = settings_of(settings, potential, self.batch_size, train, val, init)
            if resume:
                check_whole(self.output)
                checkpoint = read_checkpoint(self.output / LAST, self._kept)
        if init is not None and checkpoint is None:
            start_from(potential, init)
        weights = None if checkpoint is None else checkpoint.get("element_weights")
        self.loss = settings.loss.for_training(train, weights)
        self._columns = columns_of(train.quantities)
        self._frozen = frozen_parameters(potential, settings.freeze)
        for name, parameter in potential.named_parameters():
            parameter.requires_grad_(parameter.requires_grad and name not in self._frozen)
        device = find_device(settings.device)
        devices: Any = 1 if device.index is None else [device.index]
        self.fabric = Fabric(accelerator=device.type, devices=devices)
        potential.to(self.fabric.device)
        self.precomputed = settings.precompute
        if self.precomputed is None and checkpoint is not None:
            # The free memory must not influence the rounding of the sums.
            self.precomputed = checkpoint["precomputed"]
        self.step = find_step(settings.optimizer)
        known = potential.species if init is None else init.species
        self._prepare(train, val, fit=checkpoint is None, known=known)
        optimizer = self.step.start(potential, self.loss, settings, self.fabric, self.compiled)
        self.schedule = Schedule(settings.schedule, optimizer, settings.max_epochs)
        self.at = Progress(best_state=_weights(potential))
        self._saved_at, self._saved_epoch, self._saved_best = time.monotonic(), -1, 0
        self.folder: RunFolder | None = None
        self._is_resumed = checkpoint is not None
        if checkpoint is not None:
            self._load(checkpoint)

    def _prepare(
        self,
        train: AtomsDataset,
        val: AtomsDataset | None,
        *,
        fit: bool,
        known: tuple[int, ...],
    ) -> None:
        """Prepare graphs and loaders; with ``fit`` baseline and scaling, too."""
        settings, potential = self.settings, self.potential
        graphs = list(train.build(settings.progress))
        val_graphs = [] if val is None else list(val.build(settings.progress))
        features = should_precompute(potential, graphs + val_graphs, self.precomputed)
        self.precomputed = features
        graphs, val_graphs = (
            prepare_graphs(potential, part, features=features, progress=settings.progress)
            for part in (graphs, val_graphs)
        )
        if fit and not (potential.net is not None and bool(potential.net.baseline.fitted)):
            if "baseline" not in settings.freeze:
                fit_baseline(potential, train, settings.isolated_energies)
            fit_features(potential, graphs, settings.seed, keep=self._frozen)
        elif fit:
            widen_ranges(potential, graphs)
            self._meet(graphs, train, known)
        self.compiled: CompiledGradients | None = None
        if settings.compile:
            graphs, val_graphs = (
                [with_pairs(graph, potential.species) for graph in part]
                for part in (graphs, val_graphs)
            )
            self.compiled = CompiledGradients(potential, self.loss, graphs, self.batch_size)
        self.graphs, self.val_graphs = graphs, val_graphs
        # Loaders draw a number even where nothing is shuffled; not from the global generator.
        self.order = torch.Generator()
        self.train_loader = self.fabric.setup_dataloaders(
            DataLoader(
                graphs, self.batch_size, shuffle=not self.step.full_batch, generator=self.order
            )
        )
        self.val_loader: DataLoader | None = None
        if val_graphs:
            self.val_loader = DataLoader(val_graphs, self.batch_size, generator=torch.Generator())

    def _meet(self, graphs: list[AtomicGraph], train: AtomsDataset, known: tuple[int, ...]) -> None:
        """Carry a trained potential over to new data, and report the errors of the start."""
        settings = self.settings
        errors = meet_new_data(settings, self.potential, graphs, train, known, self.loss)
        if settings.init is not None and (settings.progress or self.output is not None):
            say(str(errors))
        if settings.init is not None:
            errors.warn()

    def loop(self, begin: Callable[[], None]) -> None:
        """Epochs until the end, the limits of the settings, or Ctrl-C.

        Args:
            begin: Called when the run takes its folder, which may be an earlier run's.
        """
        settings = self.settings
        if self.output is not None:
            # Also at the start: a folder that cannot be written to is noticed before the work.
            start = None if self._is_resumed else self._state()
            self.folder = RunFolder(self.output, start, begin, self.at.history, self._columns)
            self._saved_epoch = self.at.epoch
        error: BaseException | None = None
        if settings.progress and not self._is_finished():
            graphs, epochs = (self.graphs, self.val_graphs), settings.max_epochs - self.at.epoch
            say(*forecast(settings, self.step, *graphs, self.batch_size, epochs))
        loggers = make_loggers(settings.loggers, self.output)
        callbacks = CallbackList([*loggers, *settings.callbacks])
        try:
            callbacks.start(settings, self.potential, self.at.history)
            with TrainingProgress(settings) as progress:
                ends = False
                while not (ends or self._is_finished()):
                    row = self._epoch()
                    is_first = self.folder is not None and self.folder.waits
                    if self.folder is not None:
                        self.folder.add(row, self.at.history)
                    progress.show(row)
                    ends = callbacks.epoch(row)
                    is_due = time.monotonic() - self._saved_at >= settings.checkpoint_seconds
                    if is_first or ends or is_due:
                        self.save()
            self.save()
        except BaseException as found:
            error = found
            raise
        finally:
            # Also after Ctrl-C or an error: the best epoch so far is kept. last.pt stays that of
            # a whole epoch, so that resuming ends where an unbroken run would.
            self._finish()
            if self.folder is not None:
                self.folder.close(error)
            callbacks.end(self.at.history, is_whole=error is None)

    def _finish(self) -> None:
        self.potential.load_state_dict(self.at.best_state)
        self.potential.zero_grad()
        self.potential.eval()
        if self.at.best_epoch and rescale_features(self.potential, self.graphs, self.settings.seed):
            self.at.best_state, self._saved_best = _weights(self.potential), -1
        self._save_best()

    def _epoch(self) -> Row:
        settings, at = self.settings, self.at
        start = time.monotonic()
        # Order and noise depend on seed and epoch only: a resumed run sees the same.
        seed = settings.seed * 1_000_003 + at.epoch
        self.order.manual_seed(seed)
        row: Row = {"learning_rate": self.schedule.learning_rate}
        device = self.fabric.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            self.step.module.train()
            row["train_loss"] = self.step.epoch(self.train_loader, self._energy_weight())
        average = self.step.average
        judged: Any = self.potential if average is None else average.module
        loss = row["train_loss"]
        if self.val_loader is not None:
            errors = validate(judged, self.val_loader, self.loss)
            loss = row["val_loss"] = errors.value()
            row |= {f"val_{name}": value for name, value in errors.errors().items()}
        check_finite(loss)
        check_finite_weights(self.potential)
        check_finite_weights(judged)
        at.epoch += 1
        if loss < at.best_loss:
            at.best_loss, at.best_epoch, at.best_state = loss, at.epoch, _weights(judged)
        at.seconds += time.monotonic() - start
        self.schedule.step(at.epoch, loss, self._spent())
        row = {"epoch": at.epoch, "seconds": round(at.seconds, 3)} | row
        at.history.append(row)
        return row

    def _energy_weight(self) -> float | None:
        """Weight of the energy in this epoch; None where it does not follow the learning rate."""
        if not self.loss.grows or self.settings.schedule == "constant":
            return None
        return self.loss.energy_weight(self.schedule.decay)

    def _spent(self) -> float:
        """Fraction of the time limit that is spent."""
        limit = self.settings.max_seconds
        return 0.0 if limit is None else self.at.seconds / limit

    def _is_finished(self) -> bool:
        settings, at = self.settings, self.at
        if at.epoch >= settings.max_epochs:
            return True
        if settings.max_seconds is not None and at.seconds >= settings.max_seconds:
            return True
        return settings.patience is not None and at.epoch - at.best_epoch >= settings.patience

    def save(self) -> None:
        """Write checkpoints/last.pt, from which a run goes on, and the best model so far."""
        if self.output is None or self._saved_epoch == self.at.epoch:
            return
        write_checkpoint(self._state(), self.output / LAST)
        self._saved_at, self._saved_epoch = time.monotonic(), self.at.epoch
        self._save_best()

    def _state(self) -> dict[str, Any]:
        """Contents of a checkpoint."""
        return {
            "settings": self._kept,
            "precomputed": self.precomputed,
            "element_weights": self._element_weights(),
            "potential": self.potential.state_dict(),
            "optimizer": self.step.state_dict(),
            "schedule": self.schedule.state_dict(),
            "average": None if self.step.average is None else self.step.average.state_dict(),
            "progress": vars(self.at),
        }

    def _element_weights(self) -> dict[int, float] | None:
        """Weights of the elements in the loss, computed from the training set; None without."""
        weights = self.loss.element_weights
        return dict(weights) if isinstance(weights, dict) else None

    def _save_best(self) -> None:
        if self.output is None or self._saved_best == self.at.best_epoch:
            return
        if self.folder is not None and self.folder.waits:  # the folder is still an earlier run's
            return
        best = copy.deepcopy(self.potential)
        best.load_state_dict(self.at.best_state)
        best.save(self.output / BEST)
        best.save(self.output / MODEL)
        self._saved_best = self.at.best_epoch

    def _load(self, checkpoint: dict[str, Any]) -> None:
        self.at = Progress(**checkpoint["progress"])
        self._saved_epoch = self.at.epoch
        self.potential.load_state_dict(checkpoint["potential"])
        self.step.load_state_dict(checkpoint["optimizer"])
        self.schedule.load_state_dict(checkpoint["schedule"], self.at.epoch, self._spent())
        if self.step.average is not None:
            self.step.average.load_state_dict(checkpoint["average"])


def _weights(potential: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in potential.state_dict().items()}
