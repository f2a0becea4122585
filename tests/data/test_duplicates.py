"""Equal structures are found whatever was done to them that an energy does not notice."""

from pathlib import Path

import ase.build
import numpy as np
import pytest
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st

from nnmd_graph.data import AtomsDataset, geometry_groups

CUTOFF = 4.0


def alloy(seed: int = 0) -> Atoms:
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    atoms.set_cell(atoms.cell.array + np.diag([0.1, 0.2, 0.3]), scale_atoms=True)
    atoms.rattle(0.1, seed=seed)
    return atoms


def groups(*frames: Atoms) -> list[int]:
    return geometry_groups(AtomsDataset(frames, CUTOFF)).tolist()


@pytest.mark.slow
@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_an_energy_would_not_notice(seed: int) -> None:
    rng = np.random.default_rng(seed)
    atoms = alloy()
    shifted = alloy()
    shifted.positions += rng.normal(size=3)
    wrapped = alloy()
    wrapped.positions += rng.integers(-2, 3, (8, 3)) @ wrapped.cell.array
    renumbered = alloy()[rng.permutation(8)]
    turned = alloy()
    matrix, _ = np.linalg.qr(rng.normal(size=(3, 3)))  # a rotation, or a mirror
    turned.set_cell(turned.cell.array @ matrix)
    turned.positions = turned.positions @ matrix
    skewed = alloy()
    skewed.set_cell(np.array([[1, 0, 0], [1, 1, 0], [0, -1, 1]]) @ skewed.cell.array)
    larger = alloy().repeat((2, 1, 1))
    printed = alloy()
    printed.positions = np.round(printed.positions, 6)
    assert groups(atoms, shifted, wrapped, renumbered, turned, skewed, larger, printed) == [0] * 8


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_an_energy_would_notice(seed: int) -> None:
    rng = np.random.default_rng(seed)
    atoms = alloy()
    moved = alloy()
    moved.positions[rng.integers(8)] += 0.05 * rng.normal(size=3) + 0.02
    other = alloy()
    other.numbers[[0, 1]] = other.numbers[[1, 0]]
    element = alloy()
    element.numbers[element.numbers == 11] = 19
    strained = alloy()
    strained.set_cell(1.003 * strained.cell.array, scale_atoms=True)
    vacancy = alloy()[1:]
    frames = (atoms, moved, other, element, strained, vacancy, alloy(seed=1))
    assert len(set(groups(*frames))) == len(frames)


def test_structures_without_neighbours() -> None:
    a, b = Atoms("Cu"), Atoms("Cu2", [[0, 0, 0], [0, 0, 9]])
    assert groups(a, b, Atoms("Li")) == [0, 0, 2]


def test_one_and_none() -> None:
    assert groups(alloy()) == [0]
    assert geometry_groups([]).tolist() == []


@pytest.mark.slow
@pytest.mark.parametrize(("element", "leaks"), [("Li", 3), ("Si", 3), ("Ge", 3)])
def test_known_leaks_of_a_published_split(shared: Path, element: str, leaks: int) -> None:
    """Test frames of mlearn that are symmetry equivalents of training frames, counted elsewhere."""
    files = [shared / "data" / "mlearn" / f"{element}_{x}.extxyz.gz" for x in ("train", "test")]
    train, test = (AtomsDataset.read(file, 5.0) for file in files)
    found = geometry_groups([*train, *test]).tolist()
    seen = set(found[: len(train)])
    assert sum(group in seen for group in found[len(train) :]) == leaks
