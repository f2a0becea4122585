"""Output of the commands: tables and results on standard output, the rest on standard error."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from nnmd_graph.evaluation import Metrics


def _console(*, stderr: bool = False) -> Console:
    from nnmd_graph.screen import Screen

    # Created for each use: the streams may have been replaced since (tests, notebooks)
    return Screen(stderr=stderr, highlight=False, soft_wrap=False)


def print_error(message: str) -> None:
    """Print what went wrong; lines are not broken, so that names can be searched for."""
    begin = typer.style("Error: ", fg="red", bold=True)  # faster than to import `Screen`
    with contextlib.suppress(OSError):  # nobody reads it
        typer.echo(begin + message, err=True)


def print_warning(message: str) -> None:
    """Print a warning."""
    text = _text(("Warning: ", "bold yellow"), message)
    _console(stderr=True).print(text, soft_wrap=True)


def print_line(message: str = "") -> None:
    """Print a line."""
    _console().print(_text(message), soft_wrap=True)


def print_text(text: str) -> None:
    """Print lines as they are, for other programs to read."""
    _console().out(text, highlight=False)


def print_heading(message: str) -> None:
    """Print what comes next."""
    _console().print(_text("\n", (message, "bold cyan")), soft_wrap=True)


def print_facts(facts: Mapping[str, object], title: str = "") -> None:
    """Print names and values, one pair per line."""
    table = _table("")
    table.show_header = False
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, _text(str(value)))
    _console().print(table)


def print_metrics(metrics: Mapping[str, Metrics]) -> None:
    """Print errors, one row per data set."""
    from nnmd_graph.evaluation.metrics import UNITS

    kinds = [kind for kind in UNITS if any(f"{kind}_mae" in part for part in metrics.values())]
    table = _table("")
    table.add_column("MAE / RMSE")
    table.add_column("structures", justify="right")
    for kind in kinds:
        table.add_column(f"{kind}\n{UNITS[kind]}", justify="right")
    for name, part in metrics.items():
        errors = [_errors(part, kind) for kind in kinds]
        table.add_row(name, str(part["num_structures"]), *errors)
    _console().print(table)


def _errors(metrics: Metrics, kind: str) -> str:
    from nnmd_graph.evaluation.metrics import number

    if f"{kind}_mae" not in metrics:
        return "-"
    return f"{number(metrics[f'{kind}_mae'])} / {number(metrics[f'{kind}_rmse'])}"


def print_elements(metrics: Metrics) -> None:
    """Print the force errors of each element, where there are several."""
    from nnmd_graph.evaluation.metrics import UNITS, number

    mae, rmse = (metrics.get(f"forces_{m}_per_element", {}) for m in ("mae", "rmse"))
    if len(mae) < 2:
        return
    table = _table("forces by element")
    for heading in ("", f"MAE\n{UNITS['forces']}", f"RMSE\n{UNITS['forces']}"):
        table.add_column(heading, justify="right" if heading else "left")
    for element in mae:
        table.add_row(element, number(mae[element]), number(rmse[element]))
    _console().print(table)


def print_commands(commands: Mapping[str, str]) -> None:
    """Print commands to continue with, each below a line that says what it does."""
    for what, command in commands.items():
        text = _text((f"  # {what}\n", "dim"), (f"  {command}", "green"))
        _console().print(text, soft_wrap=True)


def print_interrupted(command: str, checkpoint: Path, *, start: float, resume: bool) -> None:
    """Say how to continue after Ctrl-C, if there is a checkpoint to continue from.

    Args:
        command: goes on.
        checkpoint: the file that it needs.
        start: time at which this job began, s: an older file is another job's.
        resume: whether this job goes on with what was there.
    """
    if checkpoint.is_file() and (resume or checkpoint.stat().st_mtime >= start):
        print_line("\nInterrupted. Go on where it stopped with:")
        print_line(f"  {command}")
    else:
        print_line("\nInterrupted before there was a checkpoint to continue from; start again.")


def shown(path: Path) -> str:
    """A name of a file as one would type it here."""
    path = path.absolute()
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _text(*parts: str | tuple[str, str]) -> Text:
    """Literal text, in which brackets have no meaning, with or without a style."""
    from rich.text import Text

    return Text.assemble(*parts)


def _table(title: str) -> Table:
    from rich import box
    from rich.table import Table

    return Table(title=title or None, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
