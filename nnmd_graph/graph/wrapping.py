"""Atoms outside the cell, moved back into it without a loss of digits."""

import numpy as np

from nnmd_graph.graph.searches import Bools, Floats, Ints

MAX_LENGTH = 1e12
"""Å; float64 carries coordinates of this size to 0.0001 Å."""

_NEAR = 1000
"""Cells; shifts up to here cost no digits and suit every search."""


def resolution(r: Floats) -> float:
    """Distance of neighbouring float64 numbers at the largest coordinate, Å."""
    return float(np.spacing(np.abs(r).max(initial=0.0)))


def unit_completed(h: Floats, repeats: Bools) -> Floats:
    """Cell vectors that repeat, and unit vectors across them in place of the others, [3, 3]."""
    h = h.copy()
    free = np.flatnonzero(~repeats)
    if len(free):
        # Rows of vt behind the first `rank` ones are orthonormal and orthogonal to the vectors
        vt = np.linalg.svd(h[repeats])[2] if repeats.any() else np.eye(3)
        h[free] = vt[3 - len(free) :]
    return h


def inverted(h: Floats) -> Floats:
    """Give the inverse of a cell, whose columns stand across its planes, in float64."""
    return np.asarray(np.linalg.inv(h), dtype=np.float64)


def minus_cells(r: Floats, moves: Ints, h: Floats) -> Floats:
    """Subtract moves·h, in extended precision where the machine has it."""
    if not moves.any():
        return r
    out = r.astype(np.longdouble)
    for axis in range(3):
        out -= moves[:, axis, None].astype(np.longdouble) * h[axis].astype(np.longdouble)
    return out.astype(np.float64)


def wrapped(r: Floats, h: Floats, periodic: Bools) -> tuple[Floats, Ints | None]:
    """Bring far atoms back into the cell.

    Args:
        r: positions [N, 3], Å.
        h: cell vectors as rows, Å.
        periodic: which of them repeat.

    Returns:
        Positions, and the cells that were taken off, [N, 3], with r = positions + cells·h. Where
        no atom is far away these are the positions given, and None.
    """
    if not periodic.any() or len(r) == 0:
        return r, None
    inverse = inverted(unit_completed(h, periodic))
    moves = _cells(r, inverse, periodic)
    if np.abs(moves).max() < _NEAR:
        return r, None
    inside = minus_cells(r, moves, h)
    moves += _cells(inside, inverse, periodic)  # remainder from the rounding of the first quotient
    return minus_cells(r, moves, h), moves


def _cells(r: Floats, inverse: Floats, periodic: Bools) -> Ints:
    return np.where(periodic, np.floor(r @ inverse), 0.0).astype(np.int64)
