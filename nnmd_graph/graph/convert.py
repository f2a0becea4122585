"""ase.Atoms to AtomicGraph and back."""

from typing import Any

import ase
import numpy as np
import torch
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import full_3x3_to_voigt_6_stress
from torch import Tensor

from nnmd_graph.elements import check_atomic_numbers
from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.graph.labels import Labels, read_labels
from nnmd_graph.graph.neighbors import radius_graph
from nnmd_graph.graph.placement import Placement
from nnmd_graph.quantities import QUANTITIES

__all__ = ["Labels", "from_ase", "read_labels", "to_ase"]


def from_ase(
    atoms: ase.Atoms,
    cutoff: float,
    *,
    backend: str = "vesin",
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    labels: Labels | None = None,
) -> AtomicGraph:
    """Build the graph of a structure; the arguments are those of `AtomicGraph.from_atoms`.

    The edges are searched in float64 before anything is rounded to `dtype`. In float32 the
    positions are those of `Placement`.

    Raises:
        ValueError: positions or cell are not finite, a periodic direction has no volume, two atoms
            sit on top of each other or are no element, or the labels do not fit the structure.
        TypeError: `atoms` is not an `ase.Atoms`.
    """
    if not isinstance(atoms, ase.Atoms):
        raise TypeError(
            f"`atoms`: expected an ase.Atoms, got {type(atoms).__name__}; "
            "read files with ase.io.read"
        )
    check_atomic_numbers(atoms.numbers)
    graph, _ = placed(atoms, cutoff, backend=backend, dtype=dtype)
    if labels is not None:
        labels.check_num_atoms(len(atoms))
        for name, value in _label_tensors(labels, len(atoms), graph.pos.dtype).items():
            setattr(graph, name, value)
    return graph if device is None else graph.to(device)


def placed(
    atoms: ase.Atoms,
    cutoff: float,
    *,
    backend: str = "vesin",
    dtype: torch.dtype | None = None,
) -> tuple[AtomicGraph, Placement]:
    """Build the graph of a structure, on the CPU, and tell how its positions were placed.

    With the placement the same edges serve for positions nearby, as long as no pair comes within
    the cutoff that has no edge.
    """
    dtype = torch.get_default_dtype() if dtype is None else dtype
    r, h, pbc = atoms.positions, atoms.cell.array, atoms.pbc
    edge_index, shift = radius_graph(r, h, pbc, cutoff, backend=backend)
    j, i = edge_index.numpy()
    crossed = (shift != 0).any(0).numpy()
    placement = Placement(r, h, pbc, crossed, float(cutoff), dtype)
    graph = AtomicGraph(
        pos=torch.tensor(placement.positions(r), dtype=dtype),
        z=torch.tensor(atoms.numbers, dtype=torch.int64),
        cell=torch.tensor(placement.cell, dtype=dtype)[None],
        pbc=torch.tensor(pbc, dtype=torch.bool)[None],
        edge_index=edge_index,
        edge_cell_shift=torch.from_numpy(placement.shifts(shift.numpy(), i, j)),
        cutoff=float(cutoff),
    )
    return graph, placement


def to_ase(graph: AtomicGraph) -> ase.Atoms:
    """Give the structure of a graph back, with the labels it has in a SinglePointCalculator.

    Raises:
        ValueError: the graph is a batch of several structures.
    """
    if len(graph.cell) != 1:
        raise ValueError(
            f"`graph`: expected one structure, got a batch of {len(graph.cell)}; "
            "use [g.to_atoms() for g in batch.to_data_list()]"
        )
    atoms = ase.Atoms(
        numbers=_numpy(graph.z),
        positions=_numpy(graph.pos),
        cell=_numpy(graph.cell[0]),
        pbc=_numpy(graph.pbc[0]),
    )
    results: dict[str, Any] = {}
    for name, quantity in QUANTITIES.items():
        label = getattr(graph, name, None) if quantity.ase else None
        if label is not None and bool(torch.isfinite(label).any()):  # forces: of some atoms
            results[name] = _numpy(label)
    if "energy" in results:
        results["energy"] = float(results["energy"].item())
    if "stress" in results:
        results["stress"] = full_3x3_to_voigt_6_stress(results["stress"][0])
    if "dipole" in results:
        results["dipole"] = results["dipole"][0]
    if results:
        atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def _label_tensors(labels: Labels, num_atoms: int, dtype: torch.dtype) -> dict[str, Tensor]:
    """Fill the fields of a labelled graph; NaN stands for a label that is missing."""
    nan = float("nan")
    energy = nan if labels.energy is None else labels.energy
    forces = np.full((num_atoms, 3), nan) if labels.forces is None else labels.forces
    stress = np.full((3, 3), nan) if labels.stress is None else labels.stress
    tensors = {
        "energy": torch.tensor([energy], dtype=torch.float64),
        "forces": torch.tensor(forces, dtype=dtype),
        "stress": torch.tensor(stress, dtype=dtype)[None],
    }
    for name, value in labels.more.items():
        size = QUANTITIES[name].size(1, num_atoms)
        array = np.full(size, nan) if value is None else np.reshape(value, size)
        tensors[name] = torch.tensor(array, dtype=dtype)
    if labels.weight is not None:
        tensors["weight"] = torch.tensor([labels.weight], dtype=dtype)
    return tensors


def _numpy(tensor: Tensor) -> Any:
    return tensor.detach().cpu().numpy().astype(float if tensor.is_floating_point() else None)
