"""Structures of every kind of periodicity: functions that return atoms and a cutoff in Å."""

from __future__ import annotations

from collections.abc import Callable

import ase
import numpy as np
from ase.build import bulk, fcc111, graphene, molecule

Structure = Callable[[], tuple[ase.Atoms, float]]


def crystal() -> tuple[ase.Atoms, float]:
    """A rattled cubic crystal of one element."""
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=1)
    return atoms, 4.0


def triclinic() -> tuple[ase.Atoms, float]:
    """Two elements in a skewed cell that is smaller than the cutoff."""
    cell = [[3.4, 0.0, 0.0], [1.4, 3.2, 0.0], [-1.0, 1.1, 3.3]]
    scaled = [[0.1, 0.2, 0.1], [0.5, 0.6, 0.4], [0.2, 0.6, 0.8]]
    return ase.Atoms("SiO2", scaled_positions=scaled, cell=cell, pbc=True), 4.2


def left_handed() -> tuple[ase.Atoms, float]:
    """A cell with a negative determinant."""
    cell = [[0.0, 4.0, 0.3], [4.5, 0.0, 0.0], [0.5, 0.0, 5.0]]
    scaled = [[0.1, 0.1, 0.2], [0.6, 0.5, 0.3], [0.2, 0.6, 0.7], [0.7, 0.1, 0.8]]
    return ase.Atoms("Li4", scaled_positions=scaled, cell=cell, pbc=True), 4.7


def slab() -> tuple[ase.Atoms, float]:
    """Two periodic directions of three; a cell with vacuum, so there is a volume."""
    atoms = fcc111("Al", (1, 1, 3), vacuum=4.0)
    atoms.rattle(0.1, seed=2)
    return atoms, 4.5


def sheet() -> tuple[ase.Atoms, float]:
    """The third cell vector is zero: no volume, no stress."""
    atoms = graphene(size=(2, 1, 1))
    atoms.symbols[1] = "O"
    atoms.rattle(0.1, seed=3)
    return atoms, 3.5


def wire() -> tuple[ase.Atoms, float]:
    """One periodic direction, the third, and two zero cell vectors."""
    positions = [[0, 0, 0], [1.9, 0.4, 0.9], [-0.3, 1.8, 1.7], [1.6, 2.2, 2.6]]
    return ase.Atoms("AuCuAuCu", positions, cell=[0, 0, 3.4], pbc=(False, False, True)), 4.5


def ethanol() -> tuple[ase.Atoms, float]:
    """A molecule: no cell."""
    return molecule("CH3CH2OH"), 4.0


def one_atom() -> tuple[ase.Atoms, float]:
    """The cutoff spans more than two cells; by symmetry there is no force."""
    cell = [[2.0, 0.1, 0.0], [0.4, 2.1, -0.2], [0.0, 0.3, 1.9]]
    return ase.Atoms("H", cell=cell, pbc=True), 4.4


def unwrapped() -> tuple[ase.Atoms, float]:
    """Atoms many cells away from the cell that they belong to."""
    atoms = ase.Atoms("NaClNaCl", cell=[4.1, 4.3, 4.6], pbc=True)
    atoms.set_scaled_positions([[0, 0, 0], [0.5, 0.1, 0.0], [0.4, 0.6, 0.5], [0.1, 0.4, 0.6]])
    atoms.positions += np.array([[0, 0, 0], [3, -1, 0], [0, 12, -7], [-1, 0, 40]]) @ atoms.cell
    return atoms, 4.5


STRUCTURES: tuple[Structure, ...] = (
    crystal,
    triclinic,
    left_handed,
    slab,
    sheet,
    wire,
    ethanol,
    one_atom,
    unwrapped,
)

FEW: tuple[Structure, ...] = (triclinic, slab, ethanol)
"""Full, partial and no periodicity: enough where geometry is not what is tested."""
