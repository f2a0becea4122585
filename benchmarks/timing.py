"""What the speed benchmarks share: timing in turns, a process for each measurement, tables.

Nothing heavy is imported here: the process that starts the measurements stays small, because a
child's peak memory is counted from its parent's size.
"""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

HERE = Path(__file__).parent
Clock = Callable[[], float]

ENOUGH_SECONDS = 1.0
"""A quantity is not repeated further in one turn once it took this long."""

# Told apart by the colour-blind too (Okabe and Ito).
COLORS = (
    "#0072b2",
    "#56b4e9",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#777777",
    "#f0e442",
    "#000000",
)


class Contestant(Protocol):
    """A code with a potential and a structure, ready to be timed."""

    label: dict[str, Any]

    def turn(self, repeats: int) -> dict[str, float]:
        """Median time of each quantity over the repeats, µs per atom."""


def in_turns(
    contestants: Sequence[Contestant], rounds: int, repeats: int
) -> list[dict[str, float]]:
    """Smallest of the medians of all rounds, µs per atom, for each contestant.

    Everyone has one turn in each round, so that a slow minute of a busy machine meets all of them;
    the smallest, because other people's work only ever adds time.
    """
    turns = [[c.turn(repeats) for c in contestants] for _ in range(rounds)]
    return [
        {name: min(times[name] for times in mine) for name in mine[0]}
        for mine in zip(*turns, strict=True)
    ]


def median_seconds(function: Callable[[], Any], repeats: int, clock: Clock) -> float:
    """Median time; fewer repeats where they take long."""
    times: list[float] = []
    while len(times) < repeats and sum(times) < ENOUGH_SECONDS:
        start = clock()
        function()
        times.append(clock() - start)
    return statistics.median(times)


def clock(threads: int) -> Clock:
    """Processor time for one thread, wall time for several.

    On a machine that does nothing else, both are the same for one thread. On a shared one,
    processor time leaves out the waiting.
    """
    return time.process_time if threads == 1 else time.perf_counter


def own_process(module: str, arguments: Sequence[str], threads: int) -> dict[str, Any]:
    """Run `python -m module arguments`; the JSON object that it prints last.

    A process that dies of a signal gives ``{"error": ...}``: that is how Linux ends one that asks
    for more memory than there is.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        cwd=HERE.parent,
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode < 0:
        return {"error": f"ended by signal {-done.returncode}, most likely out of memory"}
    if done.returncode:
        raise SystemExit(f"{module} {' '.join(arguments)}: failed, see above")
    return json.loads(done.stdout.splitlines()[-1])


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        found = re.search(r"model name\s*: (.*)", cpuinfo.read_text())
        model = found[1] if found else model
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": version("torch"),
        "date": time.strftime("%Y-%m-%d"),
    }


def measured_on(where: Mapping[str, Any]) -> str:
    """One sentence about the machine."""
    return (
        f"Measured on {where['processor']}, {where['cores']} cores, torch {where['torch']}, "
        f"{where['date']}."
    )


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float | None) -> str:
    """Three digits, or `-` for what was not measured."""
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def write_readme(mark: str, text: str) -> None:
    """Replace the part of README.md between `<!-- mark -->` and `<!-- /mark -->`."""
    readme = HERE / "README.md"
    marked = f"<!-- {mark} -->\n{text}\n<!-- /{mark} -->"
    pattern = rf"<!-- {mark} -->.*<!-- /{mark} -->"
    written = re.sub(pattern, lambda _: marked, readme.read_text(), flags=re.DOTALL)
    temporary = readme.with_suffix(".md.new")
    temporary.write_text(written)
    os.replace(temporary, readme)
