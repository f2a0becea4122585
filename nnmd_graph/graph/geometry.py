"""What is derived from pos, cell and edge_cell_shift: edge vectors, volume, strain."""

import copy

import torch
from jaxtyping import Float, Int
from torch import Tensor

from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.shapes import Cells, EdgeVectors, Strains


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

    Args:
        graph: a graph or a batch; it is not changed, tensors that fit are shared.
        dtype: of positions, cell, forces, stress.
        device: of all tensors.
    """
    out = copy.copy(graph)
    for key, value in graph.to_dict().items():
        if isinstance(value, torch.Tensor):
            floating = value.is_floating_point() and key not in ("energy", "cutoff")
            out[key] = value.to(device, dtype if floating else value.dtype)
    return out


def edge_vectors(graph: AtomicGraph, edges: slice | None = None) -> EdgeVectors:
    r"""Compute the vector from the centre i of each edge to (the image of) its neighbour j.

    .. math:: edge\_vec = pos_j - pos_i + edge\_cell\_shift \cdot cell

    Differentiable in `pos` and `cell`, to any order. Works for a graph and for a batch.

    Args:
        graph: a graph or a batch.
        edges: a range of edges; None takes all.

    Shapes:
        output: [E, 3], Å.
    """
    edges = slice(None) if edges is None else edges
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
        cell: [B, 3, 3], Å; output: [B], Å^3, zero for a molecule.
    """
    # The triple product: unlike the LU of `det`, its gradient also exists for a singular cell.
    return (cell[:, 0] * torch.linalg.cross(cell[:, 1], cell[:, 2])).sum(-1).abs()


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
