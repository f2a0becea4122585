"""`nnmd-graph quickstart`."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nnmd_graph.choices import QUICKSTART_EPOCHS
from nnmd_graph.cli.console import (
    print_commands,
    print_facts,
    print_heading,
    print_line,
    shown,
)
from nnmd_graph.cli.md import print_md
from nnmd_graph.cli.options import Overwrite, Seed
from nnmd_graph.cli.train import print_training

if TYPE_CHECKING:
    from nnmd_graph.workflow.quickstart import QuickstartResult


def quickstart(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for everything.")] = Path(
        "quickstart"
    ),
    seed: Seed = 0,
    max_epochs: Annotated[int, typer.Option(help="Length of the training.")] = QUICKSTART_EPOCHS,
    overwrite: Overwrite = False,
) -> None:
    """Try everything once, in a minute: make data, train, evaluate, run MD."""
    from nnmd_graph.workflow.quickstart import run_quickstart

    start = time.monotonic()
    result = run_quickstart(
        output,
        seed=seed,
        max_epochs=max_epochs,
        overwrite=overwrite,
        progress=True,
        say=print_heading,
    )
    print_heading("The potential")
    print_training(result.training)
    print_heading("The simulation")
    print_md(result.md, "nve")
    folder = result.folder
    print_heading(f"Everything is in {shown(folder)}, made in {time.monotonic() - start:.0f} s")
    print_facts(
        {
            "data": shown(result.data),
            "settings": shown(result.config),
            "script that made them": "python -m nnmd_graph.workflow.copper FILE",
            "report, to look at first": shown(result.training.folder / "report.html"),
        }
    )
    print_heading("The same by hand, and what comes next")
    print_commands(_next(result))
    print_line("\nYour own data: nnmd-graph info data.extxyz, then nnmd-graph train data.extxyz")


def _next(result: QuickstartResult) -> dict[str, str]:
    data, config = shlex.quote(shown(result.data)), shlex.quote(shown(result.config))
    model = shlex.quote(shown(result.training.folder / "model.pt"))
    start = shlex.quote(shown(result.start))
    return {
        "what is in the data, and in the model": f"nnmd-graph info {data} {model}",
        "the training": f"nnmd-graph train {config}",
        "errors by kind of structure": f"nnmd-graph evaluate {model} {data} --groups config_type",
        "a longer simulation": f"nnmd-graph md {model} {start} --temperature 300 --steps 5000",
    }
