"""Loading of the models and data that commands name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ase.data import chemical_symbols

from nnmd_graph.data import AtomsDataset
from nnmd_graph.devices import find_device
from nnmd_graph.models import Committee, Potential
from nnmd_graph.naming import naming


def load_potential(path: Path, device: str) -> Potential:
    """Read a model onto a device."""
    with naming({"path": "MODEL"}):
        return Potential.load(path, device=find_device(device))


def load_committee(path: Path, more: Sequence[Path] | None, device: str) -> Potential | Committee:
    """Read a model onto a device; several models make a committee."""
    if not more:
        return load_potential(path, device)
    with naming({"path": "--committee"}):
        return Committee.load([path, *more], find_device(device))


def read_dataset(
    files: Sequence[Path], potential: Potential | Committee, keys: dict[str, Any]
) -> AtomsDataset:
    """Read structures for a potential.

    Raises:
        ValueError: the potential does not know one of the elements.
    """
    dtype = potential.dtype
    dataset = AtomsDataset.read(list(files), potential.cutoff, dtype=dtype, **keys)
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
