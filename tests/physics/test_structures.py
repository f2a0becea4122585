"""Several structures in one batch, isolated atoms, far fragments, files, longer neighbour lists."""

import copy

import ase
import numpy as np
import pytest
import torch

from nnmd_graph.models import Potential


def isolated_energies(potential: Potential, numbers: np.ndarray) -> float:
    baseline = potential.model.baseline
    energies = dict(zip(potential.species, baseline.isolated_energies.tolist(), strict=True))
    return sum(energies[int(z)] for z in numbers)


def test_batch_equals_singles(case) -> None:
    """Also with isolated atoms, with structures of another size and with one without neighbours."""
    rattled, large = case.atoms.copy(), case.atoms.copy()
    rattled.rattle(0.05, seed=7)
    large = case.atoms.repeat([2 if periodic else 1 for periodic in case.atoms.pbc])
    lone = ase.Atoms(case.atoms.symbols[:1], cell=[30, 30, 30], pbc=True)
    structures = [lone, case.atoms, rattled, case.atoms[:1], large, lone]
    together = case.predict(*structures)
    singles = [case.predict(atoms) for atoms in structures]
    for name, value in together.items():
        expected = np.concatenate([single[name] for single in singles])
        np.testing.assert_allclose(value, expected, rtol=0, atol=1e-10, err_msg=name)


def test_isolated_atoms_have_their_energy(case) -> None:
    for z in case.potential.species:
        for atoms in (ase.Atoms([z]), ase.Atoms([z], cell=[40, 40, 40], pbc=True)):
            out = case.predict(atoms)
            expected = isolated_energies(case.potential, atoms.numbers)
            assert out["energy"][0] == pytest.approx(expected, abs=1e-10)
            assert not out["forces"].any() and not out["stress"].any()


def test_structure_without_neighbors(case) -> None:
    """Torn apart, in the same cell: each atom on its own, all forces zero."""
    apart = ase.Atoms(case.atoms.symbols, 50.0 * np.eye(3)[np.arange(len(case.atoms)) % 3])
    apart.positions *= 1 + np.arange(len(apart))[:, None]
    out = case.predict(apart)
    expected = isolated_energies(case.potential, apart.numbers)
    assert out["energy"][0] == pytest.approx(expected, abs=1e-9)
    assert not out["forces"].any()


def test_far_fragments_add_up(case) -> None:
    """A second, turned copy far away along a direction that does not repeat."""
    if case.atoms.pbc.all():
        return
    # Orthogonal to all cell vectors that repeat
    axis = np.linalg.svd(case.atoms.cell.array * case.atoms.pbc[:, None])[2][-1]
    other = case.atoms.copy()
    other.rattle(0.1, seed=8)
    far = other.copy()
    far.positions += 60.0 * axis
    both = case.predict(case.atoms + far)
    one, two = case.predict(case.atoms), case.predict(other)
    np.testing.assert_allclose(both["energy"], one["energy"] + two["energy"], rtol=0, atol=1e-9)
    forces = np.concatenate([one["forces"], two["forces"]])
    np.testing.assert_allclose(both["forces"], forces, rtol=0, atol=1e-9)
    if case.has_volume:
        stress = one["stress"] + two["stress"]  # the cell is the same
        np.testing.assert_allclose(both["stress"], stress, rtol=0, atol=1e-9)


def test_longer_neighbor_list_changes_nothing(case) -> None:
    near = case.potential(case.graph())
    far = case.potential(case.graph(cutoff=case.potential.cutoff + 0.7))
    for name in near:
        torch.testing.assert_close(near[name], far[name], rtol=0, atol=1e-10)


def test_saved_and_loaded(case, tmp_path) -> None:
    case.potential.save(tmp_path / "model.pt")
    one, other = case.potential(case.graph()), Potential.load(tmp_path / "model.pt")(case.graph())
    for name in one:
        assert torch.equal(one[name], other[name]), name


def test_twice_the_same(case) -> None:
    one, other = case.potential(case.graph()), case.potential(case.graph())
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_single_precision_is_near(case) -> None:
    out = case.predict(case.atoms)
    single = copy.deepcopy(case.potential).to(torch.float32)(case.graph())
    scale = max(1.0, np.abs(out["forces"]).max())
    np.testing.assert_allclose(single["energy"].numpy(), out["energy"], rtol=0, atol=1e-3)
    np.testing.assert_allclose(single["forces"].numpy(), out["forces"], rtol=0, atol=1e-3 * scale)
