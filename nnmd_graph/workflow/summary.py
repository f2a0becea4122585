"""Contents of a model file or a data file, as a table of text."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from ase.data import chemical_symbols
from numpy.typing import NDArray

from nnmd_graph.addresses import model_file
from nnmd_graph.data import AtomsDataset, geometry_groups
from nnmd_graph.data.label_checks import warn_of_contradictions
from nnmd_graph.evaluation.metrics import number
from nnmd_graph.graph import AtomicGraph, edge_vectors
from nnmd_graph.models import Potential
from nnmd_graph.models.checkpoint import describe, load_tensors
from nnmd_graph.models.energy_model import EnergyModel
from nnmd_graph.models.term import EnergyTerm
from nnmd_graph.progress import track
from nnmd_graph.representations.representation import lone_atoms

MAX_STRUCTURES = 5000
"""Largest number of structures, evenly spaced, of which graphs are made."""

USUAL_NEIGHBORS = 50
"""Typical number of neighbours in published potentials, whose radius is between `SMALLEST` and
`LARGEST`."""

SMALLEST, LARGEST = 4.0, 6.5
"""Å."""


def describe_model(path: str | os.PathLike[str]) -> dict[str, str]:
    """Summarise a saved potential.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged or something else.
    """
    path = model_file(path)
    potential = Potential.load(path)
    model = potential.model
    facts = {
        "file": f"{path}, {path.stat().st_size / 1000:.0f} kB",
        "format version": str(load_tensors(path)["format_version"]),
        "model": " + ".join(map(_name_of_term, model.terms)),
        "elements": _symbols(potential.species),
        "cutoff": f"{potential.cutoff:g} Å",
    }
    facts |= {} if potential.net is None else _facts_of_net(potential.net)
    return facts | {
        "parameters": str(sum(p.numel() for p in model.parameters())),
        "dtype": str(potential.dtype).removeprefix("torch."),
        "isolated atoms": ", ".join(
            f"{chemical_symbols[z]} {energy:.4f} eV"
            for z, energy in zip(potential.species, _isolated_energies(potential), strict=True)
        ),
    }


def _name_of_term(term: EnergyTerm) -> str:
    if isinstance(term, EnergyModel):
        return f"{type(term.representation).__name__} + {type(term.readout).__name__}"
    return type(term).__name__


def _facts_of_net(net: EnergyModel) -> dict[str, str]:
    facts = {}
    values = describe(net)
    functions = values["representation"]["arguments"].get("functions")
    if functions is not None:
        kinds = Counter(function["type"] for function in functions)
        listing = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        facts["functions"] = f"{len(functions)} ({listing})"
    arguments = values["readout"]["arguments"]
    if "hidden_channels" in arguments:
        widths = ", ".join(str(width) for width in arguments["hidden_channels"])
        facts["hidden channels"] = f"{widths} ({arguments.get('activation', '')})"
    return facts


def _isolated_energies(potential: Potential) -> list[float]:
    """Energy of one atom of each element without neighbours, eV."""
    each = torch.arange(len(potential.species))
    graph = lone_atoms(potential.species, each, potential.cutoff, potential.dtype)
    energies: list[float] = potential(graph, forces=False, stress=False)["atomic_energy"].tolist()
    return energies


def describe_data(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    cutoff: float = 5.0,
    progress: bool = False,
    **reading: Any,
) -> dict[str, str]:
    """Summarise data files: their contents, and suspicious entries.

    Args:
        paths: a file or several.
        cutoff: radius for counting neighbours, Å.
        progress: show bars.
        **reading: names and units of labels, frames and format, see `AtomsDataset.read`.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: a file cannot be read, is empty, or holds what `AtomsDataset` refuses.
    """
    dataset = AtomsDataset.read(paths, cutoff, progress=progress, **reading)
    atoms = np.array([len(frame) for frame in dataset.frames])
    facts = {
        "structures": str(len(dataset)),
        "elements": _elements(dataset),
        "atoms": f"{atoms.sum()} ({_range(atoms, '{:d}')} per structure)",
        "periodic": _periodicity(dataset),
        "labels": ", ".join(f"{n}: {dataset.has(n)}" for n in ("energy", "forces", "stress")),
    }
    alone = [
        f"{dataset.frames[i].symbols} ({dataset.name(int(i))})"
        for i in dataset.isolated.nonzero()[0]
    ]
    if alone:
        facts["isolated atoms"] = ", ".join(alone[:10]) + (", ..." if len(alone) > 10 else "")
    return facts | _label_ranges(dataset) | _geometry(dataset, cutoff, progress)


def _label_ranges(dataset: AtomsDataset) -> dict[str, str]:
    labels = list(zip(dataset.labels, dataset.frames, strict=True))
    energy = np.array([x.energy / len(a) for x, a in labels if x.energy is not None])
    forces = [x.forces[x.has_force] for x, _ in labels if x.forces is not None]
    stress = [x.stress for x, _ in labels if x.stress is not None]
    facts = {}
    if len(energy):
        facts["energy"] = f"{_range(energy, '{:.4f}')} eV/atom"
    if forces:
        size = np.linalg.norm(np.concatenate(forces), axis=1)
        rms = np.sqrt((size**2).mean() / 3)
        facts["forces"] = f"RMS {number(rms)} eV/Å per component, largest {number(size.max())} eV/Å"
    if stress:
        largest = np.abs(np.array(stress)).max()
        facts["stress"] = f"largest component {number(largest)} eV/Å³"
    return facts


def _geometry(dataset: AtomsDataset, cutoff: float, progress: bool) -> dict[str, str]:
    """Neighbours, distances, duplicates: one pass over graphs that are not kept."""
    step = -(-len(dataset) // MAX_STRUCTURES)
    sample = range(0, len(dataset), step)
    reach = max(cutoff, LARGEST)
    bins = np.arange(0.0, reach + 0.25, 0.25)
    histogram, counts, shortest = np.zeros(len(bins) - 1), [], np.inf

    def graphs() -> Iterator[AtomicGraph]:
        nonlocal histogram, shortest
        for n in track(sample, "looking at neighbours", enabled=progress):
            graph = AtomicGraph.from_atoms(dataset.frames[n], reach)
            d = edge_vectors(graph).norm(dim=1).double().numpy()
            near = graph.edge_index[1][d < cutoff]
            counts.append(near.bincount(minlength=graph.num_nodes).numpy())
            histogram += np.histogram(d, bins)[0]
            shortest = min(shortest, d.min(initial=np.inf))
            yield graph

    groups = geometry_groups(graphs())
    warn_of_contradictions(dataset[list(sample)], groups, energies_only=True)
    neighbors = np.concatenate(counts)
    per_atom = np.concatenate([[0.0], np.cumsum(histogram)]) / len(neighbors)
    among = "" if step == 1 else f" among {len(sample)}, every {step}th"
    facts = {
        "neighbours": f"{neighbors.mean():.1f} within {cutoff:g} Å ({_range(neighbors, '{:d}')})",
        "shortest distance": f"{shortest:.3f} Å" if shortest < np.inf else f"over {reach:g} Å",
        "suggested cutoff": f"{_suggested_cutoff(bins, per_atom):g} Å",
        "equal structures": f"{len(groups) - len(set(groups.tolist()))}{among}",
    }
    return facts


def _suggested_cutoff(radius: NDArray[np.float64], per_atom: NDArray[np.float64]) -> float:
    """The cutoff with the usual number of neighbours, or with all that there can be."""
    enough = min(USUAL_NEIGHBORS, per_atom[-1])
    found = radius[int(np.argmax(per_atom >= enough - 1e-9))]
    return float(np.clip(np.ceil(2 * found) / 2, SMALLEST, LARGEST))


def _elements(dataset: AtomsDataset) -> str:
    counts: Counter[int] = Counter()
    for frame in dataset.frames:
        counts.update(frame.numbers.tolist())
    total = sum(counts.values())
    return ", ".join(f"{chemical_symbols[z]} {counts[z] / total:.1%}" for z in dataset.species)


def _periodicity(dataset: AtomsDataset) -> str:
    names = {0: "molecules", 1: "wires", 2: "slabs", 3: "bulk"}
    counts = Counter(int(frame.pbc.sum()) for frame in dataset.frames)
    return ", ".join(f"{n} directions: {counts[n]} ({names[n]})" for n in sorted(counts))


def _range(values: NDArray[np.int64] | NDArray[np.float64], form: str) -> str:
    low, high = form.format(values.min()), form.format(values.max())
    return low if low == high else f"{low} to {high}"


def _symbols(species: Sequence[int]) -> str:
    return " ".join(chemical_symbols[z] for z in species)
