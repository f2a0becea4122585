"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from ase.data import chemical_symbols

from nnmd_graph.data import AtomsDataset
from nnmd_graph.devices import find_device
from nnmd_graph.models import Committee, Potential
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


def load_potential(path: Path, device: str) -> Potential:
    """Read a model onto a device."""
    with naming({"path": "MODEL"}):
        return Potential.load(path, device=find_device(device))


def load_committee(path: Path, more: Sequence[Path] | None, device: str) -> Potential | Committee:
    """Read a model onto a device, and with further ones as a committee."""
    if not more:
        return load_potential(path, device)
    with naming({"path": "--committee"}):
        return Committee.load([path, *more], find_device(device))


def read_dataset(
    files: Sequence[Path], potential: Potential | Committee, keys: dict[str, Any], progress: bool
) -> AtomsDataset:
    """Read structures for a potential.

    Raises:
        ValueError: the potential does not know one of the elements.
    """
    dtype = potential.dtype
    dataset = AtomsDataset.read(
        list(files), potential.cutoff, dtype=dtype, progress=progress, **keys
    )
    unknown = [z for z in dataset.species if z not in potential.species]
    if unknown:
        first = next(n for n, frame in enumerate(dataset.frames) if unknown[0] in frame.numbers)
        names = ", ".join(chemical_symbols[z] for z in unknown)
        known = ", ".join(chemical_symbols[z] for z in potential.species)
        raise ValueError(
            f"`data`: expected elements that the model knows ({known}), got {names} "
            f"({dataset.sources[first]}); train a model on data with these elements"
        )
    return dataset


def describe_device(device: torch.device) -> str:
    """Name of a device for people."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)
