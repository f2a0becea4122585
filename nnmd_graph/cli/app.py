"""All commands, and what happens when one of them fails."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from nnmd_graph.cli.compare import compare
from nnmd_graph.cli.console import print_error, print_line, print_warning
from nnmd_graph.cli.evaluate import evaluate
from nnmd_graph.cli.export import export
from nnmd_graph.cli.failures import INTERRUPTED, explain
from nnmd_graph.cli.info import info
from nnmd_graph.cli.md import md
from nnmd_graph.cli.names import Command
from nnmd_graph.cli.quickstart import quickstart
from nnmd_graph.cli.schema import schema
from nnmd_graph.cli.train import train
from nnmd_graph.naming import renamed


class _Group(TyperGroup):
    """Turns errors into one message and an exit status, and warnings into lines."""

    def invoke(self, ctx: Any) -> Any:
        with warnings.catch_warnings():
            # Those of this package are for users (they begin with what they are about, in
            # backticks or quotes), those of its dependencies are not
            warnings.simplefilter("ignore")
            warnings.filterwarnings("default", message="[`']", category=UserWarning)
            warnings.showwarning = lambda message, *args, **kwargs: print_warning(
                renamed(str(message))
            )
            try:
                return super().invoke(ctx)
            except KeyboardInterrupt:
                print_line("Interrupted.")
                raise typer.Exit(INTERRUPTED) from None
            except Exception as error:
                # Exceptions with an exit code are Typer's own: usage, --version, Exit
                is_own = isinstance(error, typer.Abort) or hasattr(error, "exit_code")
                if is_own or ctx.params.get("traceback"):
                    raise
                message, status = explain(error)
                print_error(message)
                raise typer.Exit(status) from None


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # frames around the options cost a fifth of a second
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from nnmd_graph.versions import versions

        for name, version in versions().items():
            print_line(f"{name} {version}")
        raise typer.Exit


@app.callback()
def _options(
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Show where in the code an error comes from.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the versions of this and what it uses.",
            callback=_print_version,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """Neural-network potentials: train on DFT data, evaluate, run molecular dynamics.

    Begin with `nnmd-graph quickstart`, or with your own data: `nnmd-graph train data.extxyz`.
    """


for command in (quickstart, train, evaluate, compare, md, export, info, schema):
    app.command(command.__name__, cls=Command)(command)


def main() -> None:
    """Run the command line."""
    # A typing mistake is reported in half a second. Until a command runs (see `Command`),
    # there is nothing to collect; pydantic looks for plugins in all packages that are installed.
    gc.disable()
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    _keep_named(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        # A terminal without "Å" gets a question mark in its place, not an error
        with contextlib.suppress(AttributeError, ValueError):
            # mypy: a stream that replaces the original one may lack this method
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        app(prog_name="nnmd-graph")
    except SystemExit as end:
        if end.code:
            gc.freeze()  # collecting cycles at exit takes a tenth of a mistyped command
        raise


def _keep_named(words: Sequence[str]) -> None:
    """Keep only the command that was typed: Typer would build the options of all of them."""
    first = next((word for word in words if not word.startswith("-")), None)
    named = [one for one in app.registered_commands if one.name == first]
    if named:
        app.registered_commands = named
