"""`nnmd-graph info`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nnmd_graph.cli.console import is_terminal, print_facts, shown
from nnmd_graph.cli.options import EnergyKey, ForcesKey, StressKey, model_file
from nnmd_graph.workflow import describe_data, describe_model


def info(
    files: Annotated[
        list[Path],
        typer.Argument(help="A model (.pt), the folder of a run, or data.", show_default=False),
    ],
    cutoff: Annotated[float, typer.Option(help="Radius for counting neighbours, Å.")] = 5.0,
    energy_key: EnergyKey = None,
    forces_key: ForcesKey = None,
    stress_key: StressKey = None,
) -> None:
    """Say what is in a model file, or in data files: elements, labels, ranges, neighbours."""
    models = [path for path in files if path.suffix == ".pt" or path.is_dir()]
    for path in models:
        print_facts(describe_model(model_file(path)), title=shown(path))
    data = [path for path in files if path not in models]
    if data:
        facts = describe_data(
            data,
            cutoff=cutoff,
            energy_key=energy_key,
            forces_key=forces_key,
            stress_key=stress_key,
            progress=is_terminal(),
        )
        print_facts(facts, title=", ".join(shown(path) for path in data))
