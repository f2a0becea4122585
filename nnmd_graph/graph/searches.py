"""Neighbour searches that `radius_graph` chooses from; all find the same pairs."""

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnmd_graph.errors import check_choice

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Pairs = tuple[Ints, Ints, Ints]  # i, j [E] and S [E, 3], with vec = r_j - r_i + S·cell
Search = Callable[[Floats, Floats, Bools, float], Pairs]

_MAX_CELLS = 50_000
"""Cells as wide as the cutoff that a cell list may have; vesin makes them wider beyond 100 000."""


def find_search(name: str, h: Floats, r_c: float) -> Search:
    """Return the search of this name, or the tree where no cell list applies.

    vesin widens all of its cells by one factor when there are too many; where the structure is
    thinner in one direction than such a cell, it divides by zero and the process dies.

    Args:
        name: one of `SEARCHES`.
        h: cell vectors, those of directions that do not repeat as long as the structure is wide, Å.
        r_c: Å.

    Raises:
        ValueError: there is no search of this name.
    """
    check_choice("backend", name, sorted(SEARCHES))
    wide = 1.0 / np.linalg.norm(np.linalg.inv(h), axis=0) / r_c
    cells = np.maximum(np.floor(wide), 1.0)
    widened = cells.prod() / _MAX_CELLS
    if widened > 1.0 and cells.min() < 2.0 * math.cbrt(widened) or cells.max() > 1e6:
        return _tree
    return SEARCHES[name]


def _vesin(r: Floats, h: Floats, periodic: Bools, r_c: float) -> Pairs:
    from vesin import NeighborList

    threads = torch.get_num_threads()  # 1 in the workers of a DataLoader
    search = NeighborList(cutoff=r_c, full_list=True, sorted=True, n_threads=threads)
    i, j, shift = search.compute(points=r, box=h, periodic=periodic, quantities="ijS")
    return i.astype(np.int64), j.astype(np.int64), shift.astype(np.int64)


def _ase(r: Floats, h: Floats, periodic: Bools, r_c: float) -> Pairs:
    from ase.neighborlist import primitive_neighbor_list

    i, j, shift = primitive_neighbor_list("ijS", periodic, h, r, r_c)
    return i.astype(np.int64), j.astype(np.int64), shift.reshape(-1, 3).astype(np.int64)


def _torch_cluster(r: Floats, h: Floats, periodic: Bools, r_c: float) -> Pairs:
    try:
        from torch_cluster import radius
    except ImportError as error:
        raise ImportError(
            "`backend`: expected the package torch-cluster for 'torch_cluster', got none; "
            "run `pip install --no-build-isolation nnmd-graph[pyg-ext]`, or use backend='vesin'"
        ) from error

    def search(points: Floats, centres: Floats) -> tuple[Ints, Ints]:
        # On the CPU always: on a GPU torch_cluster reserves N times the cap, and here the cap is N
        pairs: Tensor = radius(
            torch.from_numpy(points), torch.from_numpy(centres), r_c, max_num_neighbors=len(points)
        )
        i, j = pairs.numpy()
        return i, j

    return _among_images(r, h, periodic, r_c, search)


def _tree(r: Floats, h: Floats, periodic: Bools, r_c: float) -> Pairs:
    """Search with a k-d tree, for which empty space costs nothing."""
    from scipy.spatial import cKDTree

    def search(points: Floats, centres: Floats) -> tuple[Ints, Ints]:
        found = cKDTree(centres).sparse_distance_matrix(cKDTree(points), r_c, output_type="ndarray")
        return found["i"].astype(np.int64), found["j"].astype(np.int64)

    return _among_images(r, h, periodic, r_c, search)


def _among_images(
    r: Floats,
    h: Floats,
    periodic: Bools,
    r_c: float,
    search: Callable[[Floats, Floats], tuple[Ints, Ints]],
) -> Pairs:
    """Replicate the periodic images within reach, then search once, without periodicity or cap."""
    inverse = np.linalg.inv(h)
    scaled = r @ inverse
    wrap = np.where(periodic, np.floor(scaled), 0.0).astype(np.int64)
    scaled = scaled - wrap
    inside = r - wrap @ h
    # Lattice planes are 1 / |column of the inverse| apart, so the cutoff spans `reach` cells
    reach = r_c * np.linalg.norm(inverse, axis=0)
    steps = [range(-n, n + 1) for n in np.where(periodic, np.ceil(reach), 0).astype(int)]
    images = np.stack(np.meshgrid(*steps, indexing="ij"), -1).reshape(-1, 3)
    moved = scaled[None] + images[:, None]
    reached = (((moved > -reach) & (moved < 1 + reach)) | ~periodic).all(-1)
    image, atom = np.nonzero(reached)
    points = inside[atom] + images[image] @ h
    i, found = search(points, inside)
    j, n = atom[found], images[image[found]]
    other = (i != j) | (n != 0).any(-1)
    i, j, n = i[other], j[other], n[other]
    return i, j, n - wrap[j] + wrap[i]


SEARCHES: dict[str, Search] = {"vesin": _vesin, "ase": _ase, "torch_cluster": _torch_cluster}
"""Searches by the name of `backend`."""
