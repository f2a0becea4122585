"""Geometry derived from pos, cell and edge_cell_shift: edge vectors, volume, strain."""

import copy

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data

from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.graph.neighbors import MIN_DISTANCE
from nnmd_graph.graph.placement import Placement
from nnmd_graph.shapes import Cells, EdgeVectors, Strains

MIN_VOLUME = 1e-9
"""Å^3; a cell that is smaller, as by a vector of 1e-160 Å, has no volume."""


def num_structures(graph: AtomicGraph) -> int:
    """Count the structures: 1 for a graph, B for a batch."""
    return len(graph.cell)


def structure_index(graph: AtomicGraph) -> Int[Tensor, " N"]:
    """Tell which structure each atom belongs to: `graph.batch`, or zeros for a single graph.

    Raises:
        ValueError: there are several structures and no `graph.batch`.
    """
    batch: Tensor | None = getattr(graph, "batch", None)
    if batch is None:
        if num_structures(graph) > 1:
            raise ValueError(
                f"`graph`: expected `batch` beside {num_structures(graph)} cells, got none; "
                "join graphs with torch_geometric.data.Batch.from_data_list"
            )
        return torch.zeros(len(graph.pos), dtype=torch.int64, device=graph.pos.device)
    return batch


def cast(graph: AtomicGraph, dtype: torch.dtype, device: torch.device) -> AtomicGraph:
    """Copy a graph to a floating-point type and device; the energy label stays float64.

    To a type with fewer digits positions go as `Placement` puts them: distances keep their digits.

    Args:
        graph: a graph or a batch; it is not changed, tensors that fit are shared.
        dtype: of positions, cell, forces, stress.
        device: of all tensors.
    """
    narrower = dtype.itemsize < graph.pos.dtype.itemsize
    out = _placed(graph, dtype) if narrower else copy.copy(graph)
    for key, value in out.to_dict().items():
        if isinstance(value, torch.Tensor):
            floating = value.is_floating_point() and key not in ("energy", "cutoff")
            out[key] = value.to(device, dtype if floating else value.dtype)
    return out


def _placed(graph: AtomicGraph, dtype: torch.dtype) -> AtomicGraph:
    """Copy a graph with positions and cells that `dtype` represents exactly, see `Placement`."""
    out = copy.copy(graph)
    r, h = graph.pos.detach().cpu().double().numpy(), graph.cell.detach().cpu().double().numpy()
    if "pbc" not in graph or not (np.isfinite(r).all() and np.isfinite(h).all()):
        return out  # refused elsewhere
    periodic = graph.pbc.cpu().numpy()
    structure = structure_index(graph).cpu()
    reach = float(graph.cutoff.max()) if "cutoff" in graph else 0.0
    crossed = np.zeros_like(periodic)
    centre = structure[graph.edge_index[1].cpu()]
    for axis, shift in enumerate(graph.edge_cell_shift.cpu().unbind(1)):
        crossed[centre[shift != 0].unique().numpy(), axis] = True
    pos, cell = r.copy(), h.copy()
    cells = torch.zeros(len(r), 3, dtype=torch.int64)
    for n, atoms in enumerate(_rows(structure, len(h))):
        placement = Placement(r[atoms], h[n], periodic[n], crossed[n], reach, dtype)
        pos[atoms], cell[n] = placement.positions(r[atoms]), placement.cell
        if placement.cells is not None:
            cells[torch.from_numpy(atoms)] = torch.from_numpy(placement.cells)
    out.pos, out.cell = (
        torch.from_numpy(new).to(old) + (old - old.detach())  # the gradient is that of the old one
        for new, old in ((pos, graph.pos), (cell, graph.cell))
    )
    cells = cells.to(graph.pos.device)
    for name in ("edge", "pair"):
        if f"{name}_index" in graph and f"{name}_cell_shift" in graph:
            j, i = graph[f"{name}_index"]
            out[f"{name}_cell_shift"] = graph[f"{name}_cell_shift"] + cells[j] - cells[i]
    return out


def _rows(structure: Tensor, num_structures: int) -> list[NDArray[np.int64]]:
    """The atoms of each structure."""
    order = torch.argsort(structure, stable=True)
    counts = torch.bincount(structure, minlength=num_structures)
    return [rows.numpy() for rows in order.split(counts.tolist())]


def check_graph(graph: object) -> None:
    """Refuse objects that are no graph, such as ase.Atoms.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(graph, Data):
        raise TypeError(
            f"`graph`: expected an AtomicGraph or a Batch of them, got {type(graph).__name__}; "
            "make it with AtomicGraph.from_atoms(atoms, cutoff)"
        )


def check_apart(graph: AtomicGraph) -> None:
    """Refuse atoms that have come to coincide since the edges of a graph were searched.

    Raises:
        ValueError: two atoms are on top of each other.
    """
    with torch.no_grad():
        square = edge_vectors(graph).square().sum(1)
    if len(square) and float(square.min()) < MIN_DISTANCE**2:
        e = int(square.argmin())
        j, i = graph.edge_index[:, e].tolist()
        raise ValueError(
            f"`pos`: expected atoms at least {MIN_DISTANCE} Å apart, got atoms {i} and {j} at "
            f"{float(square[e]) ** 0.5:.2e} Å; they came together since the neighbours were found"
        )


def edge_vectors(graph: AtomicGraph, edges: slice | None = None) -> EdgeVectors:
    r"""Compute the vector from the centre i of each edge to (the image of) its neighbour j.

    .. math:: edge\_vec = pos_j - pos_i + edge\_cell\_shift \cdot cell

    Differentiable in `pos` and `cell`, to any order. Works for a graph and for a batch. Where an
    engine brought the vectors along, as `edge_vec` of the graph, they are taken as they are.

    Args:
        graph: a graph or a batch.
        edges: a range of edges; None takes all.

    Shapes:
        output: [E, 3], Å.
    """
    check_graph(graph)
    edges = slice(None) if edges is None else edges
    if "edge_vec" in graph:
        brought: Tensor = graph.edge_vec
        return brought[edges]
    j, i = graph.edge_index[:, edges].unbind(0)
    # index_select: its backward (index_add) is deterministic, that of pos[j] is not when threaded.
    vec = graph.pos.index_select(0, j) - graph.pos.index_select(0, i)
    shift = graph.edge_cell_shift[edges].to(vec.dtype)
    if num_structures(graph) == 1:
        return vec + shift @ graph.cell[0]
    cell = graph.cell.index_select(0, structure_index(graph).index_select(0, i))
    return vec + torch.bmm(shift.unsqueeze(1), cell).squeeze(1)


def volume(cell: Cells) -> Float[Tensor, " B"]:
    r"""Compute the volume of each cell, also of left-handed ones: `|det(cell)|`.

    Shapes:
        cell: [B, 3, 3], Å; output: [B], Å^3, zero for a molecule, and below `MIN_VOLUME`.
    """
    # The triple product: unlike the LU of `det`, its gradient also exists for a singular cell.
    size = (cell[:, 0] * torch.linalg.cross(cell[:, 1], cell[:, 2])).sum(-1).abs()
    return torch.where(size > MIN_VOLUME, size, 0.0)


def strained(graph: AtomicGraph, strain: Strains) -> AtomicGraph:
    r"""Deform every structure homogeneously; with `dE/dstrain` this gives the stress.

    .. math:: pos' = pos + pos \cdot strain, \quad cell' = cell + cell \cdot strain

    Edges and shifts stay: a strain moves atoms, it does not search neighbours anew.

    Args:
        graph: a graph or a batch; it is not changed, the copy shares all other tensors with it.
        strain: [B, 3, 3], symmetric (the antisymmetric part would be a rotation).

    Returns:
        A shallow copy with new `pos` and `cell`, differentiable in `strain`, `pos` and `cell`.

    Raises:
        ValueError: `strain` has not one 3x3 matrix per structure.
    """
    if strain.shape != graph.cell.shape:
        raise ValueError(
            f"`strain`: expected shape {list(graph.cell.shape)}, one matrix per structure, got "
            f"{list(strain.shape)}"
        )
    if len(strain) == 1:
        move = graph.pos @ strain[0]
    else:
        strain_of_atom = strain.index_select(0, structure_index(graph))
        move = torch.bmm(graph.pos.unsqueeze(1), strain_of_atom).squeeze(1)
    out = copy.copy(graph)
    out.pos = graph.pos + move
    out.cell = graph.cell + torch.bmm(graph.cell, strain)
    return out
