"""What accompanies a training run: the log, the progress bar."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from nnmd_graph.files import naming, replacing

COLUMNS = (
    "epoch",
    "seconds",
    "learning_rate",
    "train_loss",
    "val_loss",
    "val_energy_mae",
    "val_energy_rmse",
    "val_forces_mae",
    "val_forces_rmse",
    "val_stress_mae",
    "val_stress_rmse",
)
Row = dict[str, float]


class CSVLog:
    """log.csv, one row an epoch; errors in meV/atom, meV/Å and meV/Å^3.

    Args:
        path: File to write; its folder is made.
        rows: Rows of earlier epochs when a run is resumed; they replace the file's.
    """

    def __init__(self, path: Path, rows: Sequence[Row] = ()) -> None:
        self.path = path
        with replacing(path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="")
            writer.writeheader()
            writer.writerows(rows)

    def write(self, row: Row) -> None:
        """Append one epoch."""
        with naming(self.path), self.path.open("a", newline="") as file:
            csv.DictWriter(file, COLUMNS, restval="").writerow(row)


class TrainingProgress:
    """Progress bar over epochs with the validation errors beside it.

    Args:
        max_epochs: Length of the bar.
        enabled: Whether to show anything.
    """

    def __init__(self, max_epochs: int, enabled: bool) -> None:
        self._progress = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[errors]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not enabled,
        )
        self._task = self._progress.add_task("training", total=max_epochs, errors="")

    def __enter__(self) -> TrainingProgress:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, row: Row) -> None:
        """Advance to an epoch."""
        parts = []
        for term, unit in (("energy", "meV/atom"), ("forces", "meV/Å")):
            if f"val_{term}_mae" in row:
                parts.append(f"{term} {row[f'val_{term}_mae']:.2f} {unit}")
        errors = f"val MAE: {', '.join(parts)}" if parts else f"loss {row['train_loss']:.3g}"
        self._progress.update(self._task, completed=row["epoch"], errors=errors)
