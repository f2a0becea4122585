"""How much memory there is, for estimates of what fits."""

from __future__ import annotations

import os
from pathlib import Path


def available_bytes() -> int:
    """Memory of this machine that a process can still get, in bytes; 4 GiB where it cannot be read.

    Caches of files count as available, since the kernel drops them for whoever needs memory.
    """
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError, IndexError):
        return 4 * 2**30


def in_words(num_bytes: float) -> str:
    """A number of bytes in the unit that suits it, such as "3.2 GB"."""
    for unit in ("kB", "MB", "GB", "TB"):
        num_bytes /= 1000.0
        if num_bytes < 1000.0:
            return f"{num_bytes:.3g} {unit}"
    return f"{num_bytes / 1000.0:.3g} PB"
