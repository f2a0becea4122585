"""Isolated atoms are known by their neighbours alone, and always serve E0."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

from nnmd_graph.data import AtomsDataset, fit_isolated_energies
from nnmd_graph.data.isolated import is_isolated_atom, split_with_isolated

E0 = {29: -96.49, 47: -197.04}


def lone(symbol: str, energy: float, side: float = 20.0, **info: object) -> Atoms:
    atoms = Atoms(symbol, cell=[side] * 3, pbc=True, info=info)
    atoms.calc = SinglePointCalculator(atoms, energy=energy)
    return atoms


def alloys(count: int = 20) -> list[Atoms]:
    """Bound alloys: no fit to them finds E0."""
    frames = []
    for n in range(count):
        atoms = bulk("Cu", "fcc", a=3.7 + 0.01 * n, cubic=True)
        atoms.symbols[: n % 4] = "Ag"
        energy = sum(E0[z] - 3.0 for z in atoms.numbers.tolist())
        atoms.calc = SinglePointCalculator(atoms, energy=energy)
        frames.append(atoms)
    return frames


SHEARED = [[9.0, 0.0, 0.0], [8.0, 1.0, 0.0], [0.0, 0.0, 9.0]]
"""Its vectors are long, but two of them differ by 1.4 Å."""


@pytest.mark.parametrize(
    ("atoms", "isolated"),
    [
        (Atoms("Cu"), True),
        (Atoms("Cu", cell=[20.0] * 3, pbc=True), True),
        (Atoms("Cu", cell=[20.0, 20.0, 2.5], pbc=[True, True, False]), True),
        (Atoms("Cu", cell=[20.0, 20.0, 2.5], pbc=[False, False, True]), False),
        (Atoms("Cu", cell=[5.0] * 3, pbc=True), True),  # an edge is shorter than the cutoff
        (Atoms("Cu", cell=[4.999] * 3, pbc=True), False),
        (Atoms("Cu", cell=SHEARED, pbc=True), False),
        (Atoms("Cu", cell=[2.5] * 3, pbc=True, info={"config_type": "IsolatedAtom"}), False),
        (bulk("Cu"), False),
        (Atoms("Cu2", positions=[[0, 0, 0], [0, 0, 50.0]]), False),
    ],
)
def test_an_isolated_atom_is_one_atom_without_neighbours(atoms: Atoms, isolated: bool) -> None:
    assert is_isolated_atom(atoms, 5.0) is isolated
    assert (AtomsDataset([atoms], 5.0)[0].num_edges == 0) is (isolated or len(atoms) == 2)


@pytest.mark.parametrize(
    "info",
    [
        {},
        {"config_type": "IsolatedAtom"},
        {"config_type": "isolated_atom"},
        {"name": "dimer"},
    ],
)
@pytest.mark.parametrize("groups", [None, "geometry", list("ab" * 11)])
def test_e0_does_not_depend_on_the_draw(info: dict[str, object], groups: list[str] | None) -> None:
    first, second = lone("Cu", E0[29], **info), lone("Ag", E0[47], **info)
    dataset = AtomsDataset([first, *alloys(), second], 5.0)
    for seed in range(8):
        sizes = (0.5, 0.5, 0.0) if isinstance(groups, list) else (0.6, 0.2, 0.2)
        train, val, test = dataset.split(*sizes, seed=seed, groups=groups)
        assert fit_isolated_energies(train) == pytest.approx(E0)
        assert min(len(a) for part in (val, test) for a in part.frames) > 1
        assert len(train) + len(val) + len(test) == len(dataset)


def test_sizes_are_those_that_were_asked_for() -> None:
    isolated = np.array([True, True, False, False, False, False, False, False, True, False])
    for sizes in [(0.8, 0.1, 0.1), (5, 3, 2), (4, 1, 0)]:
        parts = split_with_isolated(isolated, *sizes)
        wanted = (8, 1, 1) if sizes[0] == 0.8 else sizes
        assert tuple(len(part) for part in parts) == wanted
        assert {0, 1, 8} <= set(parts[0].tolist())
    # More isolated atoms than asked for: all of them, and one frame to train on
    assert [len(part) for part in split_with_isolated(isolated, 2, 1, 1)] == [4, 1, 1]
    assert [len(part) for part in split_with_isolated(isolated, 0, 1, 1)] == [0, 1, 1]
    with pytest.raises(ValueError, match=r"`val`, `test`.*7 frames that are no isolated atoms"):
        split_with_isolated(isolated, 1, 5, 4)
    with pytest.raises(ValueError, match="`groups`: expected one label for each"):
        split_with_isolated(isolated, 5, 3, 2, groups=[1, 2])


def test_a_crystal_marked_as_isolated_atom_says_nothing_about_e0() -> None:
    marked = lone("Cu", -99.0, side=2.5, config_type="IsolatedAtom")
    dataset = AtomsDataset([marked, lone("Cu", E0[29])], 5.0)
    assert fit_isolated_energies(dataset) == {29: E0[29]}


def test_of_several_isolated_atoms_the_lowest_counts_and_that_is_said() -> None:
    dataset = AtomsDataset([lone("Cu", -95.0), lone("Cu", E0[29]), lone("Cu", -96.0)], 5.0)
    with pytest.warns(UserWarning, match="3 isolated atoms of Cu.*the lowest is taken"):
        assert fit_isolated_energies(dataset) == {29: E0[29]}
