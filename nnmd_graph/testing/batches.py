"""Several structures in one batch, isolated atoms, far fragments, files, longer neighbour lists."""

from __future__ import annotations

import copy
from pathlib import Path

import ase
import numpy as np
import pytest
import torch

from nnmd_graph.calculators import NNMDCalculator
from nnmd_graph.models import Potential
from nnmd_graph.testing.battery import BatteryTests, Case, few_structures


class BatchTests(BatteryTests):
    """Atoms that do not see each other do not matter to each other; files keep every bit."""

    def test_batch_equals_singles(self, case: Case) -> None:
        """Batching changes nothing, also beside isolated atoms and larger structures."""
        rattled, large = case.atoms.copy(), case.atoms.copy()
        rattled.rattle(0.05, seed=7)
        large = case.atoms.repeat(1 + (np.cumsum(case.atoms.pbc) == 1) * case.atoms.pbc)
        lone = ase.Atoms(case.atoms.symbols[:1], cell=[30, 30, 30], pbc=True)
        structures = [lone, case.atoms, rattled, case.atoms[:1], large, lone]
        together = case.predict(*structures)
        singles = [case.predict(atoms) for atoms in structures]
        for name, value in together.items():
            expected = np.concatenate([single[name] for single in singles])
            np.testing.assert_allclose(value, expected, rtol=0, atol=1e-10, err_msg=name)

    def test_isolated_atoms_have_their_energy(self, case: Case) -> None:
        for z in case.potential.species:
            for atoms in (ase.Atoms([z]), ase.Atoms([z], cell=[40, 40, 40], pbc=True)):
                out = case.predict(atoms)
                expected = case.isolated_energies(atoms.numbers)
                assert out["energy"][0] == pytest.approx(expected, abs=1e-10)
                assert not out["forces"].any() and not out["stress"].any()

    def test_structure_without_neighbors(self, case: Case) -> None:
        """Atoms torn apart in the same cell are isolated, and all forces vanish."""
        apart = ase.Atoms(case.atoms.symbols, 50.0 * np.eye(3)[np.arange(len(case.atoms)) % 3])
        apart.positions *= 1 + np.arange(len(apart))[:, None]
        out = case.predict(apart)
        expected = case.isolated_energies(apart.numbers)
        assert out["energy"][0] == pytest.approx(expected, abs=1e-9)
        assert not out["forces"].any()

    def test_far_fragments_add_up(self, case: Case) -> None:
        """A rotated copy far away along a non-periodic direction adds its own energy."""
        if case.atoms.pbc.all():
            return
        # Orthogonal to all cell vectors that repeat
        axis = np.linalg.svd(case.atoms.cell.array * case.atoms.pbc[:, None])[2][-1]
        other = case.atoms.copy()
        other.rattle(0.1, seed=8)
        far = other.copy()
        far.positions += 60.0 * axis
        both = case.predict(case.atoms + far)
        one, two = case.out, case.predict(other)
        np.testing.assert_allclose(both["energy"], one["energy"] + two["energy"], rtol=0, atol=1e-9)
        forces = np.concatenate([one["forces"], two["forces"]])
        np.testing.assert_allclose(both["forces"], forces, rtol=0, atol=1e-9)
        if case.has_volume:
            stress = one["stress"] + two["stress"]  # the cell is the same
            np.testing.assert_allclose(both["stress"], stress, rtol=0, atol=1e-9)

    def test_longer_neighbor_list_changes_nothing(self, case: Case) -> None:
        near = case.potential(case.graph())
        far = case.potential(case.graph(cutoff=case.potential.cutoff + 0.7))
        for name in near:
            torch.testing.assert_close(near[name], far[name], rtol=0, atol=1e-10)

    @few_structures
    def test_saved_and_loaded(self, case: Case, tmp_path: Path) -> None:
        case.potential.save(tmp_path / "model.pt")
        one, other = (
            case.potential(case.graph()),
            Potential.load(tmp_path / "model.pt")(case.graph()),
        )
        for name in one:
            assert torch.equal(one[name], other[name]), name

    def test_the_calculator_gives_the_same(self, case: Case) -> None:
        atoms, out = case.atoms.copy(), case.out
        atoms.calc = NNMDCalculator(case.potential, skin=0.3)
        assert atoms.get_potential_energy() == pytest.approx(out["energy"][0], abs=1e-10)
        np.testing.assert_allclose(atoms.get_forces(), out["forces"], rtol=0, atol=1e-10)
        if case.has_volume:
            stress = atoms.get_stress(voigt=False)
            np.testing.assert_allclose(stress, out["stress"][0], rtol=0, atol=1e-10)

    @few_structures
    def test_twice_the_same(self, case: Case) -> None:
        one, other = case.potential(case.graph()), case.potential(case.graph())
        assert all(torch.equal(one[name], other[name]) for name in one)

    @few_structures
    def test_single_precision_is_near(self, case: Case) -> None:
        out = case.out
        single = copy.deepcopy(case.potential).to(torch.float32)(case.graph())
        scale = max(1.0, np.abs(out["forces"]).max())
        np.testing.assert_allclose(single["energy"].numpy(), out["energy"], rtol=0, atol=1e-3)
        np.testing.assert_allclose(
            single["forces"].numpy(), out["forces"], rtol=0, atol=1e-3 * scale
        )
