"""Progress of slow loops: a bar on a terminal, a line every ten seconds in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from operator import length_hint
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

DELAY = 2.0
"""Seconds that a loop may take before its bar appears."""

INTERVAL = 10.0
"""Seconds between two lines, where there is no terminal."""

NARROW = 100
"""Columns of a terminal below which bars are short."""

Item = TypeVar("Item")


class Meter:
    """Shows the progress of a loop on standard error.

    On a terminal (and in a notebook) it is a bar with the time left; in the log of a batch system a
    line every ten seconds, with the time left and the memory.

    Args:
        description: stands at the left: "building graphs".
        total: number of steps; None: unknown.
        enabled: False shows nothing.
        delay: seconds before the bar appears.
    """

    def __init__(
        self,
        description: str,
        total: int | None,
        *,
        enabled: bool = True,
        delay: float = DELAY,
    ) -> None:
        from nnmd_graph.screen import Screen

        self.description, self.total, self.delay = description, total, delay
        self.enabled = enabled
        self.console = Screen(stderr=True)  # its own, so that other bars stay on the screen
        self.has_bar = self.console.is_terminal or self.console.is_jupyter
        self._bar: Progress | None = None
        self._start = self._shown = time.monotonic()
        self._first: int | None = None

    def __enter__(self) -> Meter:
        if self.delay <= 0.0 and self.enabled and self.has_bar:
            self._make_bar(0)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, done: int, note: str = "", *, now: bool = False, left: float = 0.0) -> None:
        """Set the number of finished items.

        Args:
            done: number of finished steps.
            note: what else to say, a few words.
            now: write the line, even if the last one is not ten seconds old.
            left: seconds that are left; 0: as the steps until now tell.
        """
        if not self.enabled:
            return
        if self._first is None:
            self._first = max(0, done - 1)  # a resumed job did not process these in this session
        if self.has_bar:
            if self._bar is None and time.monotonic() - self._start >= self.delay:
                self._make_bar(done)
            if self._bar is not None:
                self._bar.update(self._bar.task_ids[0], completed=done, note=note)
        elif now or time.monotonic() - self._shown >= INTERVAL:
            self._shown = time.monotonic()
            self.console.print(
                self._line(done, note, left), soft_wrap=True, markup=False, highlight=False
            )

    def _line(self, done: int, note: str, left: float) -> str:
        elapsed = time.monotonic() - self._start
        steps = done - (self._first or 0)
        of = f"{done}/{self.total}" if self.total else f"{done}"
        times = [duration(elapsed)]
        if self.total and done < self.total and steps > 0:
            left = left or elapsed / steps * (self.total - done)
            times.append(f"{duration(left)} left")
        parts = [f"{self.description} {of}", note, ", ".join([*times, *memory()])]
        return "  ".join(part for part in parts if part)

    def _make_bar(self, done: int) -> None:
        from rich.progress import (  # its import takes 0.1 s, and most loops are short
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.table import Column

        rest = Column(ratio=1, no_wrap=True, overflow="ellipsis")  # replaced by the remaining time
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=10 if self.console.width < NARROW else 30),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", table_column=rest, markup=False),
            console=self.console,
            transient=self.delay > 0.0,
            expand=True,
        )
        self._bar.start()
        self._bar.add_task(self.description, total=self.total, completed=done, note="")


def track(
    items: Iterable[Item],
    description: str,
    *,
    total: int | None = None,
    enabled: bool = True,
    delay: float = DELAY,
) -> Iterator[Item]:
    """Yield the items, and show progress if it takes long, see `Meter`.

    Args:
        items: what to loop over.
        description: stands left of the bar, e.g. "building graphs".
        total: number of items; default: their length, if they have one.
        enabled: False passes the items on and shows nothing.
        delay: seconds before the bar appears.

    Yields:
        The items.
    """
    if not enabled:
        yield from items
        return
    total = total if total is not None else length_hint(items, 0) or None
    with Meter(description, total, delay=max(delay, 1e-9)) as meter:
        for done, item in enumerate(items):
            meter.show(done)
            yield item


def say(*lines: str) -> None:
    """Write lines to standard error, for those who watch the job."""
    from nnmd_graph.screen import Screen

    screen = Screen(stderr=True)
    for line in lines:
        screen.print(line, soft_wrap=True, markup=False, highlight=False)


def duration(seconds: float) -> str:
    """Format a time: 12 s, 7 min, 3 h 20 min."""
    if seconds < 99.5:
        return f"{seconds:.0f} s" if seconds >= 9.95 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def memory() -> list[str]:
    """Largest memory of this process until now, and that of torch's tensors on the GPU."""
    found = []
    try:
        import resource
    except ImportError:  # another system
        pass
    else:
        unit = 1 if sys.platform == "darwin" else 1024
        found.append(size(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit))
    torch = sys.modules.get("torch")  # if torch was not imported, no GPU is in use
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        found.append(f"{size(torch.cuda.max_memory_allocated())} on the GPU")
    return found


def size(num_bytes: float) -> str:
    """Format a number of bytes: 310 MB, 2.1 GB."""
    return f"{num_bytes / 1e6:.0f} MB" if num_bytes < 1e9 else f"{num_bytes / 1e9:.1f} GB"
