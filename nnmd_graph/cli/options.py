"""Options that several commands share; no import here costs time, since `--help` reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ModelFile = Annotated[
    Path, typer.Argument(help="A model file, or the folder of a run.", show_default=False)
]
Members = Annotated[
    list[Path] | None,
    typer.Option("--committee", help="A further model; the mean of all is taken. Repeatable."),
]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, or auto.")]
Seed = Annotated[int, typer.Option(help="Seed of all random numbers.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A setting, e.g. training.batch_size=8; above the config and the other options. "
        "Repeatable.",
        show_default=False,
    ),
]
EnergyKey = Annotated[
    str | None, typer.Option(help="Name of the energy in the file.", show_default="ASE's own")
]
ForcesKey = Annotated[
    str | None, typer.Option(help="Name of the forces in the file.", show_default="ASE's own")
]
StressKey = Annotated[
    str | None, typer.Option(help="Name of the stress in the file.", show_default="ASE's own")
]
WeightKey = Annotated[
    str | None, typer.Option(help="Name of the structures' weights.", show_default="all count 1")
]
