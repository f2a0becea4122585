"""The folder of a run: which files of an earlier run stay, and until when."""

from __future__ import annotations

import csv
import io
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nnmd_graph import addresses
from nnmd_graph.training.callbacks import COLUMNS, CSVLog, Row
from nnmd_graph.training.resume import write_checkpoint

LAST = Path("checkpoints") / "last.pt"
BEST = Path("checkpoints") / "best.pt"
MODEL, LOG = Path(addresses.MODEL), Path("log.csv")
RESULTS = ("metrics.json", "report.html", "parity.png", "errors.png", "learning_curves.png")
"""Files that are written when a training is done."""

FILES = (str(LAST), str(BEST), str(MODEL), str(LOG), *RESULTS, "config.yaml")
"""Files that a run writes into its folder."""


class RunFolder:
    """Folder that a run writes into.

    A new run in the folder of an earlier one leaves that as it is until its own first epoch is
    done: what cannot be trained costs nothing. Its start is written beside meanwhile, which shows a
    full disk, and serves if the first epoch is broken off. Results of an earlier state, metrics and
    report, go when the first new epoch comes.

    Args:
        path: The folder.
        start: The state before the first epoch; None if the run is resumed.
        begin: Called when the run takes the folder.
        history: Rows of the epochs that are done.
        columns: Of the log.
    """

    def __init__(
        self,
        path: Path,
        start: dict[str, Any] | None,
        begin: Callable[[], None],
        history: Sequence[Row],
        columns: Sequence[str] = COLUMNS,
    ) -> None:
        self.path, self.columns = path, columns
        self._begin = begin
        self._log: CSVLog | None = None
        self._results_are_old = True
        self.waits = start is not None and (path / LAST).exists()
        self._start = path / LAST.parent / f".{os.getpid()}-{LAST.name}"
        if start is None:
            self._check_log(history)
        elif self.waits:
            write_checkpoint(start, self._start)
        if not self.waits:
            self._take(history)
            if start is not None:
                write_checkpoint(start, path / LAST)

    def add(self, row: Row, history: Sequence[Row]) -> None:
        """Note an epoch, which is the last one of the history."""
        if self.waits:
            self._take(history[:-1])
        if self._results_are_old:
            self._clear_results()
        assert self._log is not None
        self._log.write(row)

    def close(self, error: BaseException | None) -> None:
        """Leave the folder to the earlier run, if the first epoch failed; or take it after Ctrl-C.

        Args:
            error: what ended the run, if it did not end by itself.
        """
        if self.waits and isinstance(error, KeyboardInterrupt):
            self._clear_results()
            self._take(())
            os.replace(self._start, self.path / LAST)
        self._start.unlink(missing_ok=True)

    def _take(self, history: Sequence[Row]) -> None:
        self.waits = False
        self._begin()
        self._log = CSVLog(self.path / LOG, history, self.columns)

    def _clear_results(self) -> None:
        self._results_are_old = False
        for name in RESULTS:
            (self.path / name).unlink(missing_ok=True)

    def _check_log(self, history: Sequence[Row]) -> None:
        """Warn that the log has lost rows, which the checkpoint still has."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self.columns, restval="")
        writer.writeheader()
        writer.writerows(history)
        path = self.path / LOG
        found = path.read_bytes() if path.is_file() else b""
        if not found.startswith(text.getvalue().encode()):
            warnings.warn(
                f"'{path}' is {'damaged or cut off' if found else 'missing'}; it is written again "
                "from the checkpoint",
                stacklevel=2,
            )


def check_whole(path: Path) -> None:
    """Refuse to go on with a run that has lost its checkpoint: it would silently start anew.

    Raises:
        ValueError: there is no checkpoint, but something that is written after the first one.
    """
    there = [str(name) for name in (LOG, MODEL, BEST) if (path / name).exists()]
    if there and not (path / LAST).is_file():
        raise ValueError(
            f"`resume`: expected a whole run, got '{path}' with {', '.join(there)} but without "
            f"{LAST}; put that file back, start anew (`overwrite=True`), or name another folder "
            "(`output`)"
        )
