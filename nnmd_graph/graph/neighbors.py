"""radius_graph: all pairs closer than a cutoff, in any cell with any mix of periodic directions."""

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nnmd_graph.graph.searches import Bools, Floats, Ints, Pairs, find_search
from nnmd_graph.graph.wrapping import MAX_LENGTH, resolution, unit_completed, wrapped
from nnmd_graph.memory import check_memory
from nnmd_graph.shapes import EdgeIndex, EdgeShifts

MIN_DISTANCE = 1e-3
"""Å; closer pairs are a duplicated atom, not physics."""

_PAD = 1e-6
"""Å; backends search this much further, and a pair exactly at the cutoff is decided here."""

BYTES_OF_EDGE = 40
"""Memory of a stored edge, bytes: two atoms and a shift, int64."""

BYTES_OF_SEARCH = 200
"""Memory of an edge during search and sorting, bytes."""

_CENTRES = 16
"""Atoms whose neighbours are counted in an estimate for all."""


def radius_graph(
    pos: Any, cell: Any, pbc: Any, cutoff: float, *, backend: str = "vesin"
) -> tuple[EdgeIndex, EdgeShifts]:
    """Find every ordered pair of atoms (or atom and periodic image) closer than the cutoff.

    The list is full (i to j and j to i), holds images of an atom itself, and has no cap. Strictly
    `d < cutoff`, decided in float64. Cell vectors of non-periodic directions do not matter and may
    be zero.

    Args:
        pos: [N, 3], Å; numpy or torch; atoms may lie outside the cell.
        cell: [3, 3], cell vectors as rows, Å; left-handed ones too.
        pbc: [3], which cell vectors repeat.
        cutoff: Å.
        backend: "vesin" (default); "ase" (slow, the reference); "torch_cluster" (an optional
            extra).

    Returns:
        `edge_index` [2, E] (row 0 = neighbour j, row 1 = centre i) and `edge_cell_shift` [E, 3],
        with `edge_vec = pos_j - pos_i + edge_cell_shift·cell`. Both int64, on the device of `pos`,
        sorted by i, then j, then shift.

    Raises:
        ValueError: something is not finite, has the wrong shape, or spans no volume; two atoms on
            top of each other; an unknown backend; so many edges that they would not fit in the
            memory.
        ImportError: the backend is not installed.
    """
    r, h, periodic, r_c = _checked(pos, cell, pbc, cutoff)
    device = pos.device if isinstance(pos, Tensor) else torch.device("cpu")
    inside, moves = wrapped(r, h, periodic)
    check_edges(lambda cutoff: _expected(inside, h, periodic, cutoff), r_c, BYTES_OF_SEARCH)
    # Backends fail for a radius far beyond the size of a molecule
    ends = r_c if periodic.any() or len(r) == 0 else float(np.linalg.norm(np.ptp(r, axis=0))) + 1.0
    reach = min(r_c, ends, 4.0 * MAX_LENGTH)
    box = _completed_cell(inside, h, periodic, reach)
    search = find_search(backend, box, reach)
    if len(r) == 0:
        i, j, shift = (np.zeros(shape, dtype=np.int64) for shape in ((0,), (0,), (0, 3)))
    else:
        # Far from the origin a search may be wrong by the last digit of the coordinates
        pad = _PAD + 8.0 * resolution(inside)
        i, j, shift = search(inside, box, periodic, reach + pad)
        i, j, shift = _within(inside, h, r_c, i, j, shift, moves)
    edge_index = torch.from_numpy(np.stack([j, i]))
    return edge_index.to(device), torch.from_numpy(shift).to(device)


def _within(
    r: Floats, h: Floats, r_c: float, i: Ints, j: Ints, shift: Ints, moves: Ints | None
) -> Pairs:
    """Keep the pairs with d < cutoff, sorted; all backends share this arithmetic.

    The shifts come out for the atoms where they were before `moves` cells were taken off.
    """
    vec = r[j] - r[i]
    for axis in range(3):  # not `shift @ h`: elementwise, j -> i is the exact mirror of i -> j
        vec += shift[:, axis, None] * h[axis]
    d = np.sqrt(np.einsum("ea,ea->e", vec, vec))
    near = d < r_c
    i, j, shift, d = i[near], j[near], shift[near], d[near]
    if moves is not None:
        shift = shift + moves[i] - moves[j]
    if len(d) and d.min() < MIN_DISTANCE:
        e = int(d.argmin())
        raise ValueError(
            f"`pos`: expected atoms at least {MIN_DISTANCE} Å apart, got atoms {i[e]} and {j[e]} "
            f"at {d[e]:.2e} Å (cell shift {shift[e].tolist()}); remove the duplicate, or check the "
            "cell and the unit"
        )
    order = _order(i, j, shift, len(r))
    return i[order], j[order], np.ascontiguousarray(shift[order])


def _order(i: Ints, j: Ints, shift: Ints, num_atoms: int) -> Ints:
    """Sort by i, then j, then shift."""
    if len(i) == 0:
        return np.zeros(0, dtype=np.int64)
    low = shift.min(0)
    span = shift.max(0) - low + 1
    # One number per edge sorts several times faster than five, if it fits
    if num_atoms**2 * math.prod(int(s) for s in span) < 2**62:
        key = i * num_atoms + j
        for axis in range(3):
            key = key * span[axis] + (shift[:, axis] - low[axis])
        return np.argsort(key, kind="stable")
    return np.lexsort((shift[:, 2], shift[:, 1], shift[:, 0], j, i))


def estimated_edges(pos: Any, cell: Any, pbc: Any, cutoff: float) -> float:
    """Estimate the number of edges that `radius_graph` finds, before memory is spent.

    Of an atom at the distance d across the directions that do not repeat, c_k (r_c^2 - d^2)^(k/2) /
    V_k images lie within the cutoff, k the number of directions that repeat, V_k the volume (area,
    length, 1) of a cell in them and c_k r^k the volume of a ball (disc, rod, point) of radius r.
    A crystal has N^2 times that with d = 0, the density times the volume of the sphere for each
    atom; elsewhere a few centres stand for all.

    Args:
        pos: see `radius_graph`, as are all others.
        cell: [3, 3], Å.
        pbc: [3].
        cutoff: Å.

    Returns:
        The number of edges; inf where it is beyond every number.
    """
    return _expected(*_checked(pos, cell, pbc, cutoff))


def check_edges(
    edges: Callable[[float], float],
    cutoff: float,
    bytes_of_edge: float,
    what: str = "the search",
    *,
    available: int | None = None,
) -> None:
    """Refuse a cutoff that makes more edges than there is memory for.

    Args:
        edges: their number by cutoff, see `estimated_edges`.
        cutoff: Å.
        bytes_of_edge: of each.
        what: needs them.
        available: bytes that are there, see `nnmd_graph.memory.check_memory`.

    Raises:
        TooLargeError: they would not fit.
    """
    number = edges(cutoff)
    check_memory(
        "cutoff",
        float(f"{cutoff:g}"),
        lambda radius: bytes_of_edge * edges(radius),
        size=cutoff,
        unit=" Å",
        what=f"{what} ({number:.2g} edges)",
        instead="4 to 8 Å are usual",
        available=available,
    )


def _expected(r: Floats, h: Floats, periodic: Bools, r_c: float) -> float:
    k = int(periodic.sum())
    ball = (1.0, 2.0, math.pi, 4.0 * math.pi / 3.0)[k]
    if len(r) == 0:
        return 0.0
    with np.errstate(over="ignore", under="ignore"):
        # A crystal has no open direction, and all centres have equal surroundings
        centres = np.linspace(0, len(r) - 1, min(len(r), _CENTRES)).astype(int)
        square = np.full((1, len(r)), np.square(r_c))
        if k < 3:
            across = np.eye(3)
            if k:
                sizes, vt = np.linalg.svd(h[periodic])[1:]
                across = vt[k:].T
                ball /= float(sizes.prod())
            apart = (r[centres, None] - r[None]) @ across
            square = np.maximum(square - np.square(apart).sum(-1), 0.0)
        else:
            # Not a determinant, which overflows for lengths of 1e160 Å
            ball /= float(np.abs(np.diag(np.linalg.qr(h, mode="r"))).prod())
        images = ball * square ** (0.5 * k) if k else square > 0.0
        # An atom is no neighbour of its own
        return max(0.0, float(images.sum(1).mean()) - 1.0) * len(r)


def _checked(pos: Any, cell: Any, pbc: Any, cutoff: Any) -> tuple[Floats, Floats, Bools, float]:
    r = _array("pos", pos, "[N, 3]")
    h = _array("cell", cell, "[3, 3]")
    periodic = np.asarray(_numpy(pbc), dtype=bool)
    if periodic.shape != (3,):
        raise ValueError(
            f"`pbc`: expected shape [3], got {list(periodic.shape)}; "
            "say for each cell vector whether it repeats"
        )
    r_c = check_cutoff(cutoff)
    vectors = h[periodic]
    lengths = np.linalg.norm(vectors, axis=1)
    # Volume (area, length) of the periodic directions, relative to that of a rectangular cell
    ratio = math.sqrt(max(np.linalg.det(vectors @ vectors.T), 0.0)) / max(lengths.prod(), 1e-300)
    if len(vectors) and (lengths.min() < MIN_DISTANCE or ratio < 1e-6):
        raise ValueError(
            "`cell`: expected cell vectors that span a volume in the periodic directions "
            f"{periodic.tolist()}, got {h.tolist()}; set the cell, or `pbc` to False where the "
            "structure does not repeat"
        )
    return r, h, periodic, r_c


def check_cutoff(cutoff: Any) -> float:
    """Check the cutoff and return it as a float.

    Raises:
        ValueError: it is not a positive finite number.
        TypeError: it is not a number.
    """
    if isinstance(cutoff, bool) or not isinstance(cutoff, Real):
        raise TypeError(f"`cutoff`: expected a number in Å, got {type(cutoff).__name__} {cutoff!r}")
    r_c = float(cutoff)
    if not (math.isfinite(r_c) and r_c > 0):
        raise ValueError(f"`cutoff`: expected a positive number in Å, got {cutoff}")
    return r_c


def _array(name: str, value: Any, shape: str) -> Floats:
    array = np.array(_numpy(value), dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != 3 or (name == "cell" and len(array) != 3):
        raise ValueError(f"`{name}`: expected shape {shape}, got {list(array.shape)}")
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        what = f"atom {bad[0, 0]}" if name == "pos" else f"cell vector {bad[0, 0]}"
        raise ValueError(
            f"`{name}`: expected finite numbers in Å, got {array[bad[0, 0]].tolist()} for {what}; "
            "repair or remove the structure"
        )
    far = np.argwhere(np.abs(array) > MAX_LENGTH)
    if len(far):
        what = f"atom {far[0, 0]}" if name == "pos" else f"cell vector {far[0, 0]}"
        raise ValueError(
            f"`{name}`: expected numbers up to {MAX_LENGTH:g} Å, beyond which float64 loses the "
            f"distances between atoms, got {array[far[0, 0]].tolist()} for {what}; check the unit, "
            "wrap atoms into the cell, or set vectors that do not repeat to zero"
        )
    return array


def _numpy(value: Any) -> Any:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else value


def _completed_cell(r: Floats, h: Floats, periodic: Bools, r_c: float) -> Floats:
    """Replace the cell vectors of non-periodic directions by ones that suit every backend.

    They take no part in the edges, and may be zero, tiny or dependent. Here they become orthogonal
    to the periodic ones and as long as the structure is wide, which suits cell lists.
    """
    h = unit_completed(h, periodic)
    for axis in np.flatnonzero(~periodic):
        across = r @ h[axis]
        h[axis] *= r_c + (np.ptp(across) if len(r) else 0.0)
    return h
