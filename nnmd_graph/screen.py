"""The console that everything is printed on; it takes 60 ms to import, so whoever prints does."""

from __future__ import annotations

import contextlib
import os

from rich.console import Console


class Screen(Console):
    """A console that nobody needs to look at: when its reader is gone, the work goes on."""

    def on_broken_pipe(self) -> None:
        """Write into the void from now on."""
        self.quiet = True
        with contextlib.suppress(OSError, ValueError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())
