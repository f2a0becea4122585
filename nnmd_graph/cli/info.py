"""`nnmd-graph info`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nnmd_graph.addresses import check_there, model_file
from nnmd_graph.cli.console import print_facts, print_line, print_warning, shown
from nnmd_graph.cli.options import with_reading


@with_reading
def info(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="A model (.pt), the folder of a run, or data.", show_default=False),
    ] = None,
    cutoff: Annotated[float, typer.Option(help="Radius for counting neighbours, Å.")] = 5.0,
    plots: Annotated[
        Path | None,
        typer.Option(help="Folder for a plot and a table of each model's symmetry functions."),
    ] = None,
    system: Annotated[
        bool, typer.Option("--system", help="Versions, and whether the native core is used.")
    ] = False,
    *,
    reading: dict[str, Any],
) -> None:
    """Say what is in a model file, or in data files: elements, labels, ranges, neighbours."""
    if system:
        print_facts(_system(), title="system")
    if not files:
        if system:
            return
        raise ValueError("`FILES`: expected a model or data files, got none; name one, or --system")
    models = [path for path in files if path.suffix == ".pt" or path.is_dir()]
    data = [path for path in files if path not in models]
    check_there(data)
    for path in models:
        model_file(path)
    from nnmd_graph.workflow import describe_data, describe_model

    for number, path in enumerate(models, start=1):
        print_facts(describe_model(path), title=shown(path))
        if plots is not None:
            # Several models, which may all be called model.pt, have folders of their own
            folder = plots if len(models) == 1 else plots / f"{number}_{path.stem}"
            _write_plots(path, folder)
    if data:
        facts = describe_data(
            data,
            cutoff=cutoff,
            progress=True,
            **reading,
        )
        print_facts(facts, title=", ".join(shown(path) for path in data))


def _system() -> dict[str, str]:
    from nnmd_graph.native import status
    from nnmd_graph.versions import versions

    core = status()
    return versions() | {"native core": core.text if core.used else f"not used: {core.text}"}


def _write_plots(path: Path, folder: Path) -> None:
    from nnmd_graph.evaluation.set_plots import write_set
    from nnmd_graph.models import Potential
    from nnmd_graph.representations import ACSF

    net = Potential.load(path).net
    representation = None if net is None else net.representation
    if not isinstance(representation, ACSF):
        print_warning(f"{shown(path)} has no symmetry functions to plot")
        return
    for written in write_set(representation, folder):
        print_line(f"written: {shown(written)}")
