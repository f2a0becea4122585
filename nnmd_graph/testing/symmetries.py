"""Symmetries: transformations under which the energy is invariant, forces and stress rotate."""

from __future__ import annotations

import ase
import numpy as np
import pytest
from numpy.typing import NDArray

from nnmd_graph.testing.battery import BatteryTests, Case, assert_same


class SymmetryTests(BatteryTests):
    """Translation, rotation, reflection, permutation, and the choice of cell and images."""

    smallest_force = 0.02
    """eV/Å (or of stress, eV/Å³) that a model must reach on a structure, or its tests are void."""

    def test_forces_are_not_all_zero(self, case: Case) -> None:
        """Forces (or the stress) are large enough that the other tests do not pass trivially."""
        out = case.out
        spread = np.abs(out["forces"]).max() if len(case.atoms) > 1 else np.abs(out["stress"]).max()
        assert spread > self.smallest_force

    def test_translation(self, case: Case) -> None:
        moved = case.atoms.copy()
        moved.positions += [1.7, -30.2, 0.4]
        assert_same(case.predict(moved), case.out)

    @pytest.mark.parametrize("determinant", [1, -1], ids=["rotation", "reflection"])
    def test_orthogonal_transformation(self, case: Case, determinant: int) -> None:
        q, _ = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))
        q[:, 0] *= determinant * np.sign(np.linalg.det(q))
        assert np.linalg.det(q) == pytest.approx(determinant)
        turned = case.atoms.copy()
        turned.set_cell(case.atoms.cell.array @ q)
        turned.positions = case.atoms.positions @ q
        one, other = case.out, case.predict(turned)
        np.testing.assert_allclose(other["energy"], one["energy"], rtol=0, atol=1e-9)
        np.testing.assert_allclose(other["atomic_energy"], one["atomic_energy"], rtol=0, atol=1e-9)
        np.testing.assert_allclose(other["forces"], one["forces"] @ q, rtol=0, atol=1e-9)
        np.testing.assert_allclose(other["stress"], q.T @ one["stress"] @ q, rtol=0, atol=1e-9)

    def test_permutation(self, case: Case) -> None:
        order = np.random.default_rng(5).permutation(len(case.atoms))
        one, other = case.out, case.predict(case.atoms[order])
        for name in ("energy", "stress"):
            np.testing.assert_allclose(other[name], one[name], rtol=0, atol=1e-9)
        for name in ("forces", "atomic_energy"):
            np.testing.assert_allclose(other[name], one[name][order], rtol=0, atol=1e-9)

    def test_wrapped_and_unwrapped(self, case: Case) -> None:
        wrapped, unwrapped = case.atoms.copy(), case.atoms.copy()
        if case.atoms.pbc.any():
            wrapped.wrap()
        unwrapped.positions += lattice_steps(case.atoms, seed=6)
        for other in (wrapped, unwrapped):
            assert_same(case.predict(other), case.out)

    def test_supercell(self, case: Case) -> None:
        times = np.where(case.atoms.pbc, (2, 1, 3), 1)
        n = int(times.prod())
        one, other = case.out, case.predict(case.atoms.repeat(times.tolist()))
        np.testing.assert_allclose(other["energy"], n * one["energy"], rtol=1e-10)
        np.testing.assert_allclose(other["forces"], np.tile(one["forces"], (n, 1)), atol=1e-9)
        np.testing.assert_allclose(other["stress"], one["stress"], rtol=0, atol=1e-9)

    def test_another_choice_of_cell_vectors(self, case: Case) -> None:
        """The same lattice: one periodic vector added to another one."""
        periodic = np.flatnonzero(case.atoms.pbc)
        cell = case.atoms.cell.array
        for n, axis in enumerate(periodic[1:]):
            cell[axis] += (-1) ** n * cell[periodic[n]]
        other = case.atoms.copy()
        other.set_cell(cell)
        assert_same(case.predict(other), case.out)

    def test_stress_is_symmetric(self, case: Case) -> None:
        stress = case.out["stress"][0]
        np.testing.assert_array_equal(stress, stress.T)
        assert case.has_volume or not stress.any()

    def test_no_net_force(self, case: Case) -> None:
        np.testing.assert_allclose(case.out["forces"].sum(0), 0.0, atol=1e-10)

    def test_no_net_torque_on_a_molecule(self, case: Case) -> None:
        if case.atoms.pbc.any():
            return  # periodic images exert forces as well
        forces = case.out["forces"]
        np.testing.assert_allclose(np.cross(case.atoms.positions, forces).sum(0), 0.0, atol=1e-10)


def lattice_steps(atoms: ase.Atoms, seed: int) -> NDArray[np.float64]:
    """Random whole cell vectors for each atom, along the periodic directions only."""
    steps = np.random.default_rng(seed).integers(-4, 5, (len(atoms), 3))
    return (steps * atoms.pbc) @ atoms.cell.array
