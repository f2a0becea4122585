"""The structures that every test of the graph runs over: one for each trap of a periodic cell."""

from collections.abc import Callable

import ase
import numpy as np
import pytest
from ase.build import bulk, fcc111, graphene, molecule


def _rattled(atoms: ase.Atoms) -> ase.Atoms:
    atoms.rattle(0.1, seed=1)  # no pair sits exactly at the cutoff
    return atoms


def cubic() -> tuple[ase.Atoms, float]:
    return _rattled(bulk("Cu", cubic=True) * (2, 2, 2)), 5.0


def triclinic() -> tuple[ase.Atoms, float]:
    cell = [[4.0, 0.0, 0.0], [2.9, 3.0, 0.0], [-1.7, 2.1, 3.5]]
    scaled = np.random.default_rng(2).random((3, 3))
    return ase.Atoms("SiO2", scaled_positions=scaled, cell=cell, pbc=True), 6.0


def left_handed() -> tuple[ase.Atoms, float]:
    cell = [[0.0, 4.0, 0.3], [4.5, 0.0, 0.0], [0.5, 0.0, 5.0]]
    assert np.linalg.det(cell) < 0
    scaled = np.random.default_rng(3).random((4, 3))
    return ase.Atoms("Li4", scaled_positions=scaled, cell=cell, pbc=True), 5.5


def slab() -> tuple[ase.Atoms, float]:
    atoms = fcc111("Al", (2, 2, 3), vacuum=None)  # its third cell vector is zero
    assert atoms.pbc.tolist() == [True, True, False] and not atoms.cell[2].any()
    return _rattled(atoms), 5.0


def slab_in_the_middle() -> tuple[ase.Atoms, float]:
    """Not periodic along the second vector, which is short and inclined."""
    scaled = np.random.default_rng(4).random((5, 3)) * (1, 9, 1)
    cell = [[4.0, 0.3, 0.0], [1.0, 0.9, 0.2], [0.1, 0.0, 5.0]]
    return ase.Atoms("C5", scaled_positions=scaled, cell=cell, pbc=(True, False, True)), 5.0


def wire() -> tuple[ase.Atoms, float]:
    positions = np.random.default_rng(5).random((4, 3)) * (8, 8, 3)
    return ase.Atoms("Au4", positions, cell=[0, 0, 3.0], pbc=(False, False, True)), 7.0


def inclined_wire() -> tuple[ase.Atoms, float]:
    """A wire along no axis, between cell vectors that depend on each other."""
    positions = np.random.default_rng(6).random((3, 3)) * 6
    cell = [[2.0, 0.0, 0.0], [1.0, 2.0, 2.0], [2.0, 0.0, 0.0]]
    return ase.Atoms("Pt3", positions, cell=cell, pbc=(False, True, False)), 6.5


def water() -> tuple[ase.Atoms, float]:
    return molecule("H2O"), 5.0


def molecule_in_a_small_box() -> tuple[ase.Atoms, float]:
    atoms = molecule("CH3CH2OH")
    atoms.cell = np.diag([0.5, 0.5, 0.5])
    return atoms, 4.0


def one_atom_three_cells() -> tuple[ase.Atoms, float]:
    return bulk("Cu"), 3.01 * 2.55


def unwrapped() -> tuple[ase.Atoms, float]:
    atoms, cutoff = triclinic()
    atoms.positions += np.array([[3, -20, 7], [-11, 0, 2], [0, 1, 1000]]) @ atoms.cell.array
    return atoms, cutoff


def sheet() -> tuple[ase.Atoms, float]:
    return _rattled(graphene(vacuum=5.0)), 4.0


def lone_atom() -> tuple[ase.Atoms, float]:
    return ase.Atoms("H"), 5.0


def far_fragments() -> tuple[ase.Atoms, float]:
    atoms = molecule("H2O")
    other = molecule("NH3")
    other.translate((40, -40, 40))
    return atoms + other, 5.0


def two_lone_atoms_in_a_large_cell() -> tuple[ase.Atoms, float]:
    return ase.Atoms("He2", [[0, 0, 0], [9, 9, 9]], cell=[20, 20, 20], pbc=True), 5.0


BUILDERS: list[Callable[[], tuple[ase.Atoms, float]]] = [
    cubic,
    triclinic,
    left_handed,
    slab,
    slab_in_the_middle,
    wire,
    inclined_wire,
    water,
    molecule_in_a_small_box,
    one_atom_three_cells,
    unwrapped,
    sheet,
    lone_atom,
    far_fragments,
    two_lone_atoms_in_a_large_cell,
]


@pytest.fixture(params=BUILDERS, ids=lambda builder: builder.__name__)
def system(request: pytest.FixtureRequest) -> tuple[ase.Atoms, float]:
    """One structure and a cutoff that is hard on it."""
    return request.param()
