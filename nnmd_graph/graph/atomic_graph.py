"""AtomicGraph: one structure, or a batch of them, as a PyG graph."""

from typing import TYPE_CHECKING, Any

import ase
import numpy as np
import torch
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import full_3x3_to_voigt_6_stress
from torch import Tensor
from torch_geometric.data import Data

from nnmd_graph.elements import check_atomic_numbers
from nnmd_graph.graph.labels import Labels
from nnmd_graph.graph.neighbors import radius_graph
from nnmd_graph.graph.placement import Placement
from nnmd_graph.quantities import QUANTITIES
from nnmd_graph.shapes import (
    AtomicNumbers,
    Cells,
    EdgeIndex,
    EdgeShifts,
    Energies,
    Forces,
    Periodicity,
    Positions,
    Stresses,
)


class AtomicGraph(Data):
    r"""Atoms as nodes, ordered pairs closer than the cutoff as edges.

    An edge runs from the neighbour j to the centre i and knows which periodic image of j it means.
    The list is full (i to j and j to i), holds images of an atom itself, and has no cap. The vector

    .. math:: edge\_vec = pos_j - pos_i + edge\_cell\_shift \cdot cell

    is never stored: `nnmd_graph.graph.edge_vectors` computes it from `pos` and `cell`.
    `torch_geometric.data.Batch.from_data_list` joins graphs: the leading 1 of a per-structure
    tensor becomes B.

    Attributes:
        pos: coordinates, [N, 3], Å.
        z: atomic numbers, [N], int64.
        cell: cell vectors as rows, [1, 3, 3], Å; zero for a molecule.
        pbc: which cell vectors repeat, [1, 3], bool.
        edge_index: [2, E], int64; row 0 = neighbour j, row 1 = centre i; sorted by i, then j, then
            shift.
        edge_cell_shift: periodic image of j in cell vectors, [E, 3], int64.
        cutoff: radius that the edges were searched with, [1], float64, Å.
        energy: label, [1], eV; always float64, as float32 rounds a total of -1e6 eV to 0.06 eV.
        forces: label, [N, 3], eV/Å.
        stress: label, [1, 3, 3], eV/Å^3, tension positive.
        weight: what the structure counts for in training, [1]; only where weights were read.

    A graph made without labels has no `energy`, `forces`, `stress`; a single missing label is a
    tensor of NaN, because graphs of one batch must have the same fields.
    """

    if TYPE_CHECKING:
        pos: Positions
        z: AtomicNumbers
        cell: Cells
        pbc: Periodicity
        edge_index: EdgeIndex
        edge_cell_shift: EdgeShifts
        cutoff: Tensor
        energy: Energies
        forces: Forces
        stress: Stresses
        weight: Tensor

    def __init__(
        self,
        pos: Tensor | None = None,
        z: Tensor | None = None,
        cell: Tensor | None = None,
        pbc: Tensor | None = None,
        edge_index: Tensor | None = None,
        edge_cell_shift: Tensor | None = None,
        cutoff: float | Tensor | None = None,
        **fields: Any,
    ) -> None:
        """Hold the given tensors; `from_atoms` is the usual way to make a graph.

        Every argument may be left out, since PyG makes empty graphs and fills them.

        Raises:
            ValueError: a tensor has the wrong shape.
            TypeError: a tensor has the wrong dtype.
        """
        super().__init__(**fields)
        if cutoff is not None and not isinstance(cutoff, Tensor):
            cutoff = torch.tensor([cutoff], dtype=torch.float64)
        given = {
            "pos": pos,
            "z": z,
            "cell": cell,
            "pbc": pbc,
            "edge_index": edge_index,
            "edge_cell_shift": edge_cell_shift,
            "cutoff": cutoff,
        }
        for name, value in given.items():
            if value is not None:
                _check_field(name, value)
                setattr(self, name, value)

    @classmethod
    def from_atoms(
        cls,
        atoms: ase.Atoms,
        cutoff: float,
        *,
        backend: str = "vesin",
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        labels: Labels | None = None,
    ) -> "AtomicGraph":
        """Build the graph of a structure.

        Args:
            atoms: the structure; any cell, any periodicity, atoms inside or outside the cell.
            cutoff: pairs closer than this become edges, Å.
            backend: neighbour search, see `radius_graph`.
            dtype: floating type of the tensors; default: `torch.get_default_dtype()`.
            device: where the tensors live; default: the CPU.
            labels: energy, forces, stress to train on (`read_labels(atoms)`); default: a graph
                without labels.

        Raises:
            ValueError: positions or cell are not finite, a periodic direction has no volume, two
                atoms sit on top of each other, or the labels do not fit the structure.
            TypeError: `atoms` is not an `ase.Atoms`.
        """
        return from_ase(atoms, cutoff, backend=backend, dtype=dtype, device=device, labels=labels)

    def to_atoms(self) -> ase.Atoms:
        """Give the structure back, with its labels in a SinglePointCalculator.

        Raises:
            ValueError: the graph is a batch of several structures.
        """
        return to_ase(self)


_SHAPES: dict[str, tuple[int | None, ...]] = {
    "pos": (None, 3),
    "z": (None,),
    "cell": (None, 3, 3),
    "pbc": (None, 3),
    "edge_index": (2, None),
    "edge_cell_shift": (None, 3),
    "cutoff": (None,),
}
_WORDS = {
    "pos": "[N, 3]",
    "z": "[N]",
    "cell": "[1, 3, 3] (one structure: cell[None])",
    "pbc": "[1, 3] (one structure: pbc[None])",
    "edge_index": "[2, E]",
    "edge_cell_shift": "[E, 3]",
    "cutoff": "[1]",
}


def _check_field(name: str, value: Tensor) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(
            f"`{name}`: expected a torch tensor, got {type(value).__name__}; use torch.as_tensor"
        )
    shape = _SHAPES[name]
    fits = len(shape) == value.dim() and all(
        want in (None, got) for want, got in zip(shape, value.shape, strict=True)
    )
    if not fits:
        raise ValueError(f"`{name}`: expected shape {_WORDS[name]}, got {list(value.shape)}")
    if name in ("pos", "cell", "cutoff"):
        right, word = value.is_floating_point(), "a floating dtype"
    elif name == "pbc":
        right, word = value.dtype == torch.bool, "torch.bool"
    else:
        right, word = value.dtype == torch.int64, "torch.int64"
    if not right:
        raise TypeError(f"`{name}`: expected {word}, got {value.dtype}; convert it with `.to(...)`")


# -- from ase.Atoms, and back ---------------------------------------------------------------------
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
    """Build the graph of a structure on the CPU; return it with the placement of its positions.

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
