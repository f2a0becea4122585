"""Triplets: pairs of neighbours of one centre, over which angular functions sum."""

import torch

from nnmd_graph.shapes import EdgeIndex, TripletIndex


def triplets(edge_index: EdgeIndex, num_nodes: int) -> tuple[TripletIndex, TripletIndex]:
    """List every unordered pair of edges that share their centre i, each pair once.

    Two edges to different images of one neighbour are a pair too. A centre with n edges has n (n -
    1) / 2 pairs.

    Args:
        edge_index: [2, E], row 1 = centre; any order (edges sorted by centre, as AtomicGraph has
            them, save a sort).
        num_nodes: number of atoms N.

    Returns:
        `edge_ij`, `edge_ik`, each [T]: numbers of edges. Sorted by centre; among the edges of a
        centre `edge_ij` comes before `edge_ik`.
    """
    centre = edge_index[1]
    num_edges = centre.numel()
    order: torch.Tensor | None = None
    if num_edges and bool((centre[1:] < centre[:-1]).any()):
        order = torch.argsort(centre, stable=True)
        centre = centre[order]
    arange = torch.arange(num_edges, device=centre.device)
    degree = torch.bincount(centre, minlength=num_nodes)
    first_edge = torch.cumsum(degree, 0) - degree
    # The edge at place r among those of its centre is the second one of r pairs, with places 0..r-1
    start = first_edge[centre]
    place = arange - start
    edge_ik = torch.repeat_interleave(arange, place)
    first_pair = torch.cumsum(place, 0) - place
    edge_ij = torch.arange(edge_ik.numel(), device=centre.device) - (first_pair - start)[edge_ik]
    if order is not None:
        edge_ij, edge_ik = order[edge_ij], order[edge_ik]
    return edge_ij, edge_ik
