"""Companions of a training run: callbacks, the log, the progress bar."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nnmd_graph.errors import MessageError, reason
from nnmd_graph.files import naming
from nnmd_graph.progress import Meter
from nnmd_graph.quantities import OF_EVERY_POTENTIAL, QUANTITIES, STRESS

if TYPE_CHECKING:
    from nnmd_graph.models.potential import Potential
    from nnmd_graph.training.settings import TrainingSettings

from nnmd_graph.files import replacing

ALWAYS = ("epoch", "seconds", "learning_rate", "train_loss", "val_loss")


def columns_of(names: Iterable[str] = ()) -> tuple[str, ...]:
    """Columns of log.csv: those of every run, and the errors of further quantities.

    Args:
        names: further quantities.
    """
    quantities = dict.fromkeys([*(q.name for q in OF_EVERY_POTENTIAL), *names])
    errors = (f"val_{name}_{measure}" for name in quantities for measure in ("mae", "rmse"))
    return (*ALWAYS, *errors)


COLUMNS = columns_of()
Row = dict[str, float]


class CallbackError(MessageError):
    """A callback failed."""


class Callback:
    """An action during the training of a potential: logging, plotting, stopping.

    A subclass overrides what it needs::

        class Stop(ng.Callback):
            def on_epoch(self, row):
                return row["val_forces_mae"] < 10.0

        ng.Trainer(callbacks=[Stop()]).fit(potential, train, val)

    A run that is resumed begins with ``on_start`` again, which is given the epochs that are done;
    those after the last checkpoint are done, and told, a second time.
    """

    def on_start(
        self, trainer: TrainingSettings, potential: Potential, history: Sequence[Row]
    ) -> None:
        """Called before the first epoch.

        Args:
            trainer: The Trainer, with the settings.
            potential: Prepared for training.
            history: One row for each epoch that is done already, if the run is resumed.
        """

    def on_epoch(self, row: Row) -> bool | None:
        """Called after an epoch.

        Args:
            row: A row of log.csv: epoch (from 1 on), seconds, learning_rate, train_loss, val_loss
                and errors in meV/atom, meV/Å and meV/Å^3, those that there are.

        Returns:
            True ends the training.
        """
        return None

    def on_end(self, history: Sequence[Row]) -> None:
        """Called at the end, also after Ctrl-C or an error; the potential has the best weights.

        Args:
            history: One row for each epoch.
        """


class CallbackList:
    """Calls several callbacks, and names the one that failed.

    Args:
        callbacks: In the order in which they are called.
    """

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self._callbacks = callbacks

    def start(
        self, trainer: TrainingSettings, potential: Potential, history: Sequence[Row]
    ) -> None:
        """Call each of them before the first epoch."""
        for one in self._callbacks:
            _call(one, "on_start", partial(one.on_start, trainer, potential, history))

    def epoch(self, row: Row) -> bool:
        """Called after an epoch; tells whether the training is to end."""
        ends = [_call(one, "on_epoch", partial(one.on_epoch, dict(row))) for one in self._callbacks]
        return any(end is True for end in ends)

    def end(self, history: Sequence[Row], *, is_whole: bool = True) -> None:
        """Call all of them at the end, then raise the first failure if there is no other error."""
        failure: CallbackError | None = None
        for one in self._callbacks:
            try:
                _call(one, "on_end", partial(one.on_end, history))
            except CallbackError as error:
                failure = failure or error
        if failure is not None and is_whole:
            raise failure


def _call(callback: Callback, method: str, call: Callable[[], bool | None]) -> bool | None:
    try:
        return call()
    except Exception as error:
        raise CallbackError(
            f"`callbacks`: {type(callback).__name__}.{method} failed: {type(error).__name__}: "
            f"{reason(error)}; mend it or leave it out"
        ) from error


class CSVLog:
    """log.csv, one row per epoch; errors in meV/atom, meV/Å and meV/Å^3.

    Args:
        path: File to write; its folder is made.
        rows: Rows of earlier epochs when a run is resumed; they replace the file's.
        columns: See :func:`columns_of`.
    """

    def __init__(
        self, path: Path, rows: Sequence[Row] = (), columns: Sequence[str] = COLUMNS
    ) -> None:
        self.path, self.columns = path, tuple(columns)
        with replacing(path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.columns, restval="")
            writer.writeheader()
            writer.writerows(rows)

    def write(self, row: Row) -> None:
        """Append one epoch."""
        with naming(self.path), self.path.open("a", newline="") as file:
            csv.DictWriter(file, self.columns, restval="").writerow(row)


class TrainingProgress:
    """Progress of epochs with validation errors: a bar on a terminal, lines in a log.

    Args:
        settings: Limits on epochs and time.
        enabled: Whether to show anything; None: as the settings say.
    """

    def __init__(self, settings: TrainingSettings, enabled: bool | None = None) -> None:
        enabled = settings.progress if enabled is None else enabled
        self._max_epochs, self._max_seconds = settings.max_epochs, settings.max_seconds
        self._meter = Meter("epoch", settings.max_epochs, enabled=enabled, delay=0.0)
        self._is_first = True

    def __enter__(self) -> TrainingProgress:
        self._meter.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._meter.__exit__()

    def show(self, row: Row) -> None:
        """Advance to an epoch; the first and the last one always have a line of their own."""
        done = int(row["epoch"])
        now = self._is_first or done == self._max_epochs
        self._is_first = False
        left = 0.0
        if self._max_seconds is not None and "seconds" in row:
            spent = row["seconds"]
            left = min(self._max_seconds - spent, spent / done * (self._max_epochs - done))
        self._meter.show(done, errors_of(row), now=now, left=max(0.0, left))


def errors_of(row: Row) -> str:
    """The errors of an epoch in a few words: "energy 1.23 meV/atom, forces 45.68 meV/Å"."""
    parts = [
        f"{name} {row[f'val_{name}_mae']:.2f} {quantity.shown_unit}"
        for name, quantity in QUANTITIES.items()
        if f"val_{name}_mae" in row and quantity is not STRESS
    ]
    return ", ".join(parts) if parts else f"loss {row['train_loss']:.3g}"
