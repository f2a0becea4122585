"""The console for all output; its import takes 60 ms, so only modules that print import it."""

from __future__ import annotations

import contextlib
import os

from rich.console import Console


class Screen(Console):
    """A console without a need for a reader: when the reader is gone, the work goes on."""

    def on_broken_pipe(self) -> None:
        """Discard all further output."""
        self.quiet = True
        with contextlib.suppress(OSError, ValueError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())
