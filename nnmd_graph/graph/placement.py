"""Positions that float32 carries: rounded so that differences between atoms lose nothing more.

A float32 number has 24 binary digits, so a coordinate of 1e5 Å is known to 0.008 Å only, and all
atoms moved by that much would have other distances. Here positions are counted, in float64, from
one atom of the structure, and rounded to whole steps of a power of two, as are the cell vectors.
Sums and differences of such numbers are exact in float32. So edge vectors do not depend on where
the structure lies, nor on the periodic image that stands for an atom.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from nnmd_graph.graph.searches import Bools, Floats, Ints
from nnmd_graph.graph.wrapping import inverted, minus_cells, unit_completed

_AT_LEAST = 4
"""Coordinates below 2^4 = 16 Å are kept in any structure, to 1e-6 Å in float32."""

_ROUND_DOWN = 0.515
"""Fraction of a step up to which coordinates are rounded down. Atoms of a crystal stand at simple
fractions of a cell of whole steps, many of them at one half, and which way those go must not depend
on the last digit in float64. No fraction j/n with n up to 20 is nearer to 0.515 than 0.01."""

_GAP = 64.0
"""Å; empty space wider than this (and than twice the cutoff) is shortened if necessary."""


class Placement:
    """Where the atoms of one structure are put in a floating type with fewer digits than float64.

    Each atom is moved by whole cell vectors; fragments with nothing but empty space between them
    may come closer, never to within the cutoff. Structures near the origin stay where they are.

    Args:
        r: positions, [N, 3], Å.
        h: cell vectors as rows, Å.
        periodic: which of them repeat.
        crossed: along which of them an edge goes to another cell.
        r_c: radius that the edges were searched with, Å.
        dtype: floating type of the positions to come.

    Attributes:
        cell: cell vectors to use, [3, 3], Å.
        cells: what is to be added to the shift of an edge, as `cells[j] - cells[i]`, [N, 3]; None
            for nothing.
    """

    def __init__(
        self, r: Floats, h: Floats, periodic: Bools, crossed: Bools, r_c: float, dtype: torch.dtype
    ) -> None:
        self.cell: Floats = h
        self.cells: Ints | None = None
        self._step = 0.0  # no rounding
        if not dtype.is_floating_point or dtype.itemsize >= 8 or len(r) == 0:
            return
        inverse = inverted(unit_completed(h, periodic))
        closed, cells = _images(r - r[0], inverse, periodic, r_c)
        rel = minus_cells(r - r[0], cells, h)
        gaps, size = _shortened(rel, h, closed, r_c)
        power = max(_AT_LEAST, math.ceil(math.log2(max(size, r_c))))
        digits = 1 - round(math.log2(torch.finfo(dtype).eps))
        self._step = 2.0 ** (power - digits)
        # Vectors that edges cross are rounded, and the atoms follow: a strain of 1e-7
        self.cell = np.where(closed[:, None], self._rounded(h), h)
        self._strain = inverse @ (self.cell - h)
        if np.abs(r).max() <= 2.0**power and not gaps.any() and not (crossed & ~closed).any():
            self._origin, self._cells = r[0], cells
            self._back = cells @ self.cell + self._rounded(r[0])
        else:
            self.cells, self._origin, self._cells = cells, r[0] + gaps, cells
            self._back = np.zeros_like(r)
        self._h = h

    def positions(self, r: Floats) -> Floats:
        """Place positions, those given or ones nearby.

        Args:
            r: [N, 3], Å.
        """
        if not self._step:
            return r
        rel = minus_cells(r - self._origin, self._cells, self._h)
        return self._rounded(rel + rel @ self._strain) + self._back

    def shifts(self, shift: Ints, i: Ints, j: Ints) -> Ints:
        """Shifts of edges between the atoms where they are now, [E, 3].

        Args:
            shift: those of the positions given, [E, 3].
            i: centres, [E].
            j: neighbours, [E].
        """
        return shift if self.cells is None else shift + self.cells[j] - self.cells[i]

    def _rounded(self, x: Floats) -> Floats:
        # Not symmetric about zero: x + n steps is rounded to that of x, plus n steps
        return np.floor(x / self._step + (1.0 - _ROUND_DOWN)) * self._step


def _images(rel: Floats, inverse: Floats, periodic: Bools, r_c: float) -> tuple[Bools, Ints]:
    """Which directions edges can cross, and the cell of each atom, counted from a cut through none.

    Where an empty layer wider than the cutoff goes through the cell, as in a molecule in a box, the
    structure is cut there: then no edge leaves the cell.
    """
    scaled = rel @ inverse
    cut = np.full(3, -0.5)
    closed = periodic.copy()
    for axis in np.flatnonzero(periodic):
        spacing = 1.0 / float(np.linalg.norm(inverse[:, axis]))
        if spacing <= r_c:
            continue
        place = np.sort(scaled[:, axis] % 1.0)
        empty = np.diff(place, append=place[0] + 1.0)
        widest = int(empty.argmax())
        if empty[widest] * spacing > r_c:
            closed[axis] = False
            cut[axis] = place[widest] + 0.5 * empty[widest]
    cells = np.where(periodic, np.floor(scaled - cut), 0.0).astype(np.int64)
    return closed, cells - cells[0]


def _shortened(rel: Floats, h: Floats, closed: Bools, r_c: float) -> tuple[Floats, float]:
    """Shift of each atom that shortens empty space, and the size of the rest."""
    gap = max(_GAP, 2.0 * r_c)
    off = np.zeros_like(rel)
    size = np.abs(h[closed]).sum(0)
    for direction in unit_completed(h, closed)[~closed]:
        place = rel @ direction
        order = np.argsort(place, kind="stable")
        empty = np.diff(place[order])
        extra = np.where(empty > gap, empty - gap, 0.0)
        total = np.concatenate([[0.0], np.cumsum(extra)])
        moved = np.empty(len(rel))
        moved[order] = total
        moved -= moved[0]  # the first atom stays, as positions are counted from it
        off += moved[:, None] * direction
        size = size + np.abs(direction) * (np.ptp(place) - total[-1])
    return off, float(size.max())
