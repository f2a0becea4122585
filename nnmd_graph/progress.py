"""A progress bar for loops that turn out to be slow."""

import time
from collections.abc import Iterable, Iterator
from operator import length_hint
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

DELAY = 2.0
"""Seconds that a loop may take before its bar appears."""

Item = TypeVar("Item")


def track(
    items: Iterable[Item],
    description: str,
    *,
    total: int | None = None,
    enabled: bool = True,
    delay: float = DELAY,
) -> Iterator[Item]:
    """Pass the items on, with a bar on the standard error once `delay` seconds have gone by.

    Args:
        items: what to loop over.
        description: stands left of the bar, e.g. "building graphs".
        total: number of items; default: their length, if they have one.
        enabled: False passes the items on and shows nothing; so does an output that is no terminal.
        delay: seconds before the bar appears.

    Yields:
        The items.
    """
    console = Console(stderr=True)  # its own: a bar that is already on the screen stays as it is
    if not (enabled and (console.is_terminal or console.is_jupyter)):
        yield from items
        return
    total = total if total is not None else length_hint(items, 0) or None
    start = time.monotonic()
    bar: Progress | None = None
    try:
        for done, item in enumerate(items):
            if bar is not None:
                bar.update(bar.task_ids[0], completed=done)
            elif time.monotonic() - start >= delay:
                bar = Progress(
                    TextColumn("{task.description}"),
                    BarColumn(),
                    MofNCompleteColumn(),
                    TimeRemainingColumn(),
                    console=console,
                    transient=True,
                )
                bar.start()
                bar.add_task(description, total=total, completed=done)
            yield item
    finally:
        if bar is not None:
            bar.stop()
