"""Free memory, and the refusal of arrays that would not fit, before they are made."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

COPIES = 4
"""Copies of a model's numbers in training: the weights, their average over the steps, the best ones
so far, and those that are being written or fitted."""

_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
    ),
)
"""Limit, use and its kinds in the two versions of Linux control groups, as containers see them."""


def available_bytes() -> int:
    """Memory of this machine that a process can still get, in bytes; 4 GiB where it cannot be read.

    Caches of files count as available, since the kernel drops them for whoever needs memory. A
    limit of the control group (of a container, or of a batch job) counts too.
    """
    return min(_machine_bytes(), _group_bytes())


def _machine_bytes() -> int:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError, IndexError):
        return 4 * 2**30


def _group_bytes() -> int:
    for limit, use, kinds in _CGROUPS:
        try:
            most, used = (int(Path(name).read_text(encoding="ascii")) for name in (limit, use))
            lines = Path(kinds).read_text(encoding="ascii").splitlines()
            cached = sum(int(v) for k, v in map(str.split, lines) if k == "inactive_file")
        except (ValueError, OSError):  # "max": no limit; or no such system
            continue
        return max(0, most - used + cached)
    return 2**63


def in_words(num_bytes: float) -> str:
    """Format a number of bytes in a suitable unit, such as "3.2 GB"."""
    num_bytes = _number(num_bytes)
    if math.isinf(num_bytes):
        return "more than 1e+300 PB"
    for unit in ("kB", "MB", "GB", "TB"):
        num_bytes /= 1000.0
        if num_bytes < 1000.0:
            return f"{num_bytes:.3g} {unit}"
    return f"{num_bytes / 1000.0:.3g} PB"


class TooLargeError(ValueError):
    """A request would not fit in the memory."""


def check_memory(
    argument: str,
    given: Any,
    needed: float | Callable[[Any], float],
    *,
    what: str,
    instead: str,
    size: float | None = None,
    unit: str = "",
    available: int | None = None,
) -> None:
    """Refuse what takes more than half of the free memory; the rest is left for other needs.

    Args:
        argument: that the cost grows with.
        given: its value.
        needed: bytes that are needed, or a function that tells them for any `size`; with the
            latter the message names the largest value that would do.
        what: needs them, "the weights of 3 layers".
        instead: what to do, "lower it".
        size: the value as a number, where `needed` is a function; an integer may be beyond any
            float.
        unit: of the value, " Å".
        available: bytes that are there; those of the main memory if not given.

    Raises:
        TooLargeError: it does not fit.
    """
    function = needed if callable(needed) else None
    amount = _number(needed(size or 0) if callable(needed) else needed)
    if amount < 2**24:  # too small to query the machine for
        return
    there = available_bytes() if available is None else available
    if amount <= 0.5 * there:
        return
    most = 0 if function is None or size is None else _largest(function, size, 0.5 * there)
    fitting = f"at most about {_rounded(most)}{unit}" if most else "less"
    raise TooLargeError(
        f"`{argument}`: expected {fitting}, so that half of the free memory ({in_words(there)}) is "
        f"enough, got {_short(given)}{unit}: {what} would take {in_words(amount)}; {instead}"
    )


def _largest(needed: Callable[[Any], float], size: float, limit: float) -> float:
    """Largest size that fits, a float to two digits; 0 if none does."""
    low: float
    high: float
    low, high = (0, size) if isinstance(size, int) else (1e-3, size)
    while high - low > (1 if isinstance(size, int) else 0.02 * low):
        middle = (low + high) // 2 if isinstance(size, int) else math.sqrt(low) * math.sqrt(high)
        low, high = (middle, high) if _number(needed(middle)) <= limit else (low, middle)
    return low if isinstance(size, int) or low > 1e-3 else 0


def _number(value: Any) -> float:
    """A float; infinite where an integer is too large for one."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _rounded(value: Any) -> str:
    """Two leading digits, rounded down: an estimate is not more exact."""
    if isinstance(value, float):
        return f"{float(f'{value:.2g}'):g}"
    step = 10 ** max(0, len(str(value)) - 2)
    return str(value // step * step)


def _short(value: Any) -> str:
    try:
        text = str(value)
    except ValueError:  # integers of more digits than Python writes
        return "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:20]}... ({len(text)} characters)"
