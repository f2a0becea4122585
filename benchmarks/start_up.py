"""Processor time of commands that have nothing to compute: help, and mistakes in what was typed.

    python -m benchmarks.start_up

Each command runs in a process of its own, in turn with the others; the table shows the median of
user and system time. The first round, in which Python writes its bytecode, does not count.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

CASES = {
    "`--help`": ("--help",),
    "`train --help`": ("train", "--help"),
    "unknown option": ("train", "data.extxyz", "--sed", "1"),
    "misspelt key in a config": ("train", "misspelt.yaml"),
    "value of a wrong kind in a config": ("train", "wrong_kind.yaml"),
    "missing data file": ("train", "missing.extxyz"),
    "missing model file": ("info", "missing.pt"),
}

FILES = {
    "misspelt.yaml": "data:\n  trian: copper.extxyz\n",
    "wrong_kind.yaml": "data:\n  train: copper.extxyz\ntraining:\n  max_epochs: many\n",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args(arguments).rounds
    seconds: dict[str, list[float]] = {name: [] for name in CASES}
    with tempfile.TemporaryDirectory() as folder:
        for name, text in FILES.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        for _ in range(rounds + 1):
            for name, words in CASES.items():
                seconds[name].append(processor_time(words, folder))
    print("| `nnmd-graph` with | s |\n| --- | --- |")
    for name, times in seconds.items():
        print(f"| {name} | {statistics.median(times[1:]):.2f} |")


def processor_time(words: Sequence[str], folder: str) -> float:
    """User and system time of one command, s."""
    before = os.times()
    subprocess.run(
        [sys.executable, "-m", "nnmd_graph", *words], cwd=folder, capture_output=True, check=False
    )
    after = os.times()
    return (after.children_user - before.children_user) + (
        after.children_system - before.children_system
    )


if __name__ == "__main__":
    main()
