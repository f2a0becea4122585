"""`nnmd-graph compare`."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Annotated

import typer

from nnmd_graph.cli.console import print_facts, print_interrupted, print_line, shown
from nnmd_graph.cli.options import Overwrite, Settings


def compare(
    config: Annotated[
        Path | None,
        typer.Argument(help="Settings of the comparison, a YAML file.", show_default=False),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the comparison.")
    ] = Path("comparison"),
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Train and measure these models only: a name, or several (small,large).",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on with what is there; without CONFIG with its settings."
        ),
    ] = False,
    overwrite: Overwrite = False,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, or auto.")] = None,
    settings: Settings = None,
) -> None:
    """Train several models under one protocol, and report accuracy beside cost.

    Every model is trained with every seed on the same data, with the same loss and budget. The
    folder then holds report.html, report.json, report.csv, and the runs in runs/.
    """
    from nnmd_graph.comparison.config import SETTINGS, ComparisonConfig, read_comparison
    from nnmd_graph.config.files import check_settings_file
    from nnmd_graph.config.overrides import parse_overrides

    names = [name for names in only or () for name in names.split(",")]
    saved = output / SETTINGS
    if config is None and not (resume and saved.is_file()):
        raise ValueError(
            "`config`: expected the settings of a comparison, got none; write for example "
            "nnmd-graph compare compare.yaml"
            + (f" ('{output}' holds no comparison to go on with)" if resume else "")
        )
    if config is None:
        check_settings_file(
            saved, advice="put it back as it was, or give settings of your own: compare.yaml"
        )
    changed = parse_overrides(settings or (), ComparisonConfig)
    chosen = read_comparison(saved if config is None else config, changed)
    from nnmd_graph.comparison import protocol

    start = time.time()
    try:
        table = protocol.compare(
            chosen,
            output=output,
            only=names or None,
            resume=resume,
            overwrite=overwrite,
            device=device,
            progress=True,
            say=print_line,
        )
    except KeyboardInterrupt:
        rest = f" --only {','.join(names)}" if names else ""
        command = f"nnmd-graph compare --output {shlex.quote(shown(output))} --resume{rest}"
        print_interrupted(command, saved, start=start, resume=resume)
        raise typer.Exit(130) from None
    print_line()
    print_line(str(table))
    files = ("report.html", "report.json", "report.csv")
    print_facts({name: shown(output / name) for name in files})
