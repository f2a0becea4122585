"""Options that several commands share; no import here costs time, since `--help` reads them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from nnmd_graph.addresses import model_file
from nnmd_graph.naming import naming

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
WeightKey = Annotated[
    str | None, typer.Option(help="Name of the structures' weights.", show_default="all count 1")
]


def _name(of: str) -> Any:
    text = f"Name of the {of} in the file; of several (a,b) the first that a frame has."
    return _text(text, "ASE's own")


def _text(about: str, default: str) -> Any:
    return Annotated[str | None, typer.Option(help=about, show_default=default)]


READING = {
    "energy_key": _name("energy"),
    "forces_key": _name("forces"),
    "stress_key": _name("stress"),
    "virial_key": _text("Name of the virial, eV; stress = -virial / volume.", "none"),
    "energy_unit": _text("Unit of energies: hartree, kcal/mol, ...", "as stated, or eV"),
    "length_unit": _text("Unit of positions: bohr, nm, ...", "as stated, or Å"),
    "forces_unit": _text("Unit of forces: hartree/bohr, ...", "of energy and length"),
    "stress_unit": _text("Unit of the stress: GPa, kbar, ...", "of energy and length"),
    "format": _text("ASE's name of the files' format.", "guessed"),
    "index": _text("Frames of each file: ':100', '-1', '::10'; FILE@::10 is for one.", "all"),
}
"""Options that say how data files are read: arguments of `AtomsDataset.read`."""


def with_reading(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `READING`, which it takes as one mapping, `reading`."""
    signature = inspect.signature(command, eval_str=True)
    own = [one for name, one in signature.parameters.items() if name != "reading"]
    keyword = inspect.Parameter.KEYWORD_ONLY
    more = [
        inspect.Parameter(name, keyword, default=None, annotation=kind)
        for name, kind in READING.items()
    ]

    @functools.wraps(command)
    def wrapped(**values: Any) -> None:
        reading = {name: values.pop(name) for name in READING}
        command(**values, reading=reading)

    # mypy: functions have no such attribute until somebody sets it; inspect looks for it (PEP 362)
    wrapped.__signature__ = signature.replace(parameters=[*own, *more])  # type: ignore[attr-defined]
    wrapped.__annotations__ = {one.name: one.annotation for one in (*own, *more)}
    return wrapped


def model_files(model: Path, committee: Sequence[Path] | None = None) -> list[Path]:
    """Files of the models that a command names; missing ones are refused before PyTorch loads.

    Raises:
        FileNotFoundError: one is not.
    """
    with naming({"path": "MODEL"}):
        files = [model_file(model)]
    with naming({"path": "--committee"}):
        return files + [model_file(one) for one in committee or ()]
