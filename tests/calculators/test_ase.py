"""The ASE calculator: derivatives, the skin, and what a structure may do between calls."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import bulk, fcc111, molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from ase.filters import FrechetCellFilter
from ase.io.trajectory import Trajectory
from ase.md.verlet import VelocityVerlet
from ase.optimize import FIRE

from nnmd_graph.calculators import NNMDCalculator
from nnmd_graph.graph import AtomicGraph
from nnmd_graph.models import Committee, Potential

MakePotential = Callable[..., Potential]


@pytest.fixture
def calc(make_potential: MakePotential) -> NNMDCalculator:
    return NNMDCalculator(make_potential("Cu", "O"))


def copper(repeat: int = 2, rattle: float = 0.1) -> Atoms:
    atoms = bulk("Cu", cubic=True) * (repeat, repeat, repeat)
    atoms.rattle(rattle, seed=1)
    return atoms


def triclinic() -> Atoms:
    atoms = bulk("CuO", "rocksalt", a=4.2) * (2, 1, 1)
    atoms.set_cell(atoms.cell + [[0, 0.2, 0.1], [0.3, 0, 0], [0, 0.1, 0.2]], scale_atoms=True)
    atoms.rattle(0.1, seed=2)
    return atoms


def left_handed() -> Atoms:
    atoms = triclinic()
    atoms.set_cell(atoms.cell[[1, 0, 2]])
    return atoms


def slab() -> Atoms:
    atoms = fcc111("Cu", (2, 1, 3), vacuum=5.0)
    atoms.rattle(0.1, seed=3)
    return atoms


def one_atom() -> Atoms:
    return Atoms("Cu", cell=[[2.3, 0.1, 0], [0, 2.4, 0.2], [0.3, 0, 2.5]], pbc=True)


def water_like() -> Atoms:
    atoms = molecule("H2O")
    atoms.numbers = [29, 8, 8]
    atoms.positions *= 1.8
    return atoms


PERIODIC = [triclinic, left_handed, slab, one_atom]
EVERYTHING = [*PERIODIC, water_like]


def name(make: Callable[[], Atoms]) -> str:
    return make.__name__


# --- the numbers ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("make", EVERYTHING, ids=name)
def test_forces_are_ase_numerical_derivatives(
    make: Callable[[], Atoms], calc: NNMDCalculator
) -> None:
    atoms = make()
    atoms.calc = calc
    forces = atoms.get_forces()
    numerical = calculate_numerical_forces(atoms, eps=1e-5)
    assert np.abs(forces - numerical).max() < 1e-6 * max(np.abs(forces).max(), 1e-2)


@pytest.mark.parametrize("make", PERIODIC, ids=name)
def test_stress_is_ase_numerical_derivative(
    make: Callable[[], Atoms], calc: NNMDCalculator
) -> None:
    atoms = make()
    atoms.calc = calc
    stress = atoms.get_stress()
    numerical = calculate_numerical_stress(atoms, eps=1e-5)
    assert np.abs(stress).max() > 1e-4
    assert np.abs(stress - numerical).max() < 1e-6 * np.abs(stress).max()


def test_energies_sum_to_the_energy_and_free_energy_is_the_same(calc: NNMDCalculator) -> None:
    atoms = triclinic()
    atoms.calc = calc
    energy = atoms.get_potential_energy()
    assert atoms.get_potential_energies().sum() == pytest.approx(energy, abs=1e-12)
    assert atoms.get_potential_energy(force_consistent=True) == energy
    assert isinstance(energy, float)


def test_results_are_those_of_the_potential(make_potential: MakePotential) -> None:
    potential = make_potential("Cu", "O")
    atoms = triclinic()
    output = potential(AtomicGraph.from_atoms(atoms, potential.cutoff, dtype=torch.float64))
    atoms.calc = NNMDCalculator(potential)
    np.testing.assert_allclose(atoms.get_forces(), output["forces"].numpy(), atol=1e-12)
    np.testing.assert_allclose(
        atoms.get_stress(voigt=False), output["stress"][0].numpy(), atol=1e-12
    )


def test_an_isolated_atom_has_the_energy_of_the_isolated_atom(calc: NNMDCalculator) -> None:
    atoms = Atoms("Cu2", [[0, 0, 0], [0, 0, 30]])
    atoms.calc = calc
    alone = Atoms("Cu")
    alone.calc = copy.deepcopy(calc)
    assert atoms.get_potential_energy() == pytest.approx(2 * alone.get_potential_energy())
    assert np.all(atoms.get_forces() == 0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
def test_another_device(calc: NNMDCalculator) -> None:
    atoms = copper()
    other = NNMDCalculator(calc.potential, device="cuda")
    for _ in range(2):  # the second time with the edges of the first
        for each in (calc, other):
            each.calculate(atoms)
        np.testing.assert_allclose(other.results["forces"], calc.results["forces"], atol=1e-10)
        atoms.positions += 0.01


# --- the skin ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_skin_and_no_skin_agree_along_a_run_with_changes_of_the_cell(
    make_potential: MakePotential,
) -> None:
    potential = make_potential("Cu", "O")
    with_skin, without = NNMDCalculator(potential, skin=1.0), NNMDCalculator(potential, skin=0.0)
    rng = np.random.default_rng(0)
    atoms = triclinic() * (1, 2, 2)
    num_steps = 60
    for step in range(num_steps):
        atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
        if step % 15 == 7:
            atoms.wrap()
        if step % 10 == 9:  # as a barostat does
            atoms.set_cell(atoms.cell @ (np.eye(3) + rng.normal(scale=0.02, size=(3, 3))), True)
        for each in (with_skin, without):
            each.calculate(atoms, ["energy", "forces", "stress"])
        for key in with_skin.implemented_properties:
            np.testing.assert_allclose(with_skin.results[key], without.results[key], atol=1e-10)
    assert without.num_rebuilds == num_steps
    assert 6 < with_skin.num_rebuilds < num_steps / 2


@pytest.mark.slow
def test_a_short_nve_run_conserves_the_energy_and_spares_neighbour_lists(
    make_potential: MakePotential,
) -> None:
    atoms = copper(rattle=0.0)
    atoms.calc = calc = NNMDCalculator(make_potential("Cu"))
    spread = np.sqrt(atoms.get_masses() * units.kB * 300)[:, None]
    atoms.set_momenta(spread * np.random.default_rng(0).normal(size=(len(atoms), 3)))
    dynamics = VelocityVerlet(atoms, timestep=1.0 * units.fs)
    start = atoms.get_total_energy()
    totals, potentials = [], []
    for _ in dynamics.irun(100):
        totals.append(atoms.get_total_energy())
        potentials.append(atoms.get_potential_energy())
    assert np.ptp(potentials) > 0.1  # the energy did go back and forth
    assert np.abs(np.array(totals) - start).max() < 2e-3 * np.ptp(potentials)
    assert calc.num_rebuilds < 15


def test_counter_and_limit_of_half_a_skin(calc: NNMDCalculator) -> None:
    atoms = copper()
    atoms.calc = calc
    atoms.get_forces()
    atoms.get_stress()
    assert calc.num_rebuilds == 1
    atoms.positions[5, 1] += 0.249
    atoms.get_forces()
    assert calc.num_rebuilds == 1
    atoms.positions[5, 1] += 0.002  # 0.251 from where the list was made: more than 0.5 / 2
    atoms.get_forces()
    assert calc.num_rebuilds == 2


def test_changes_of_numbers_cell_and_pbc_make_a_new_list(calc: NNMDCalculator) -> None:
    atoms = copper()
    atoms.calc = calc
    fresh = NNMDCalculator(calc.potential, skin=0.0)

    def check(num_rebuilds: int) -> None:
        energy = atoms.get_potential_energy()
        fresh.calculate(atoms)
        assert energy == pytest.approx(fresh.results["energy"], abs=1e-10)
        assert calc.num_rebuilds == num_rebuilds

    check(1)
    atoms.numbers[3] = 8
    check(2)
    atoms.set_cell(atoms.cell * 1.01)
    check(3)
    atoms.pbc = (True, True, False)
    check(4)
    del atoms[0]
    check(5)


def test_wrapping_changes_no_number(calc: NNMDCalculator) -> None:
    atoms = copper()
    atoms.calc = calc
    before = atoms.get_forces()
    atoms.positions += np.random.default_rng(0).integers(-2, 3, (len(atoms), 3)) @ atoms.cell.array
    np.testing.assert_allclose(atoms.get_forces(), before, atol=1e-10)


def test_no_skin_makes_a_list_for_each_new_structure_only(make_potential: MakePotential) -> None:
    atoms = copper()
    atoms.calc = calc = NNMDCalculator(make_potential("Cu"), skin=0)
    atoms.get_forces()
    atoms.get_stress()
    atoms.get_potential_energy()
    assert calc.num_rebuilds == 1
    atoms.positions[0, 0] += 1e-9
    atoms.get_forces()
    assert calc.num_rebuilds == 2


def test_an_earlier_graph_is_left_alone(calc: NNMDCalculator) -> None:
    atoms = copper()
    calc.calculate(atoms)
    held = calc.graph
    assert held is not None
    before = held.pos.clone()
    atoms.positions += 0.01
    calc.calculate(atoms)
    assert calc.num_rebuilds == 1
    assert torch.equal(held.pos, before)
    assert calc.graph is not held
    np.testing.assert_array_equal(calc.graph.pos.numpy(), atoms.positions)


# --- what a calculator keeps to itself -----------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_results_are_new_float64_arrays(dtype: torch.dtype, make_potential: MakePotential) -> None:
    calc = NNMDCalculator(make_potential("Cu", dtype=dtype))
    assert calc.potential.dtype == dtype
    atoms = copper()
    calc.calculate(atoms)
    first = dict(calc.results)
    calc.calculate(atoms)
    for key in ("energies", "forces", "stress"):
        assert first[key].dtype == np.float64
        assert first[key].flags.writeable
        assert not np.shares_memory(first[key], calc.results[key])


def test_dtype_of_choice(make_potential: MakePotential) -> None:
    potential = make_potential("Cu", dtype=torch.float32)
    exact = NNMDCalculator(potential, dtype="float64")
    assert exact.potential.dtype == torch.float64
    assert potential.dtype == torch.float32
    atoms = copper()
    exact.calculate(atoms)
    coarse = NNMDCalculator(potential)
    coarse.calculate(atoms)
    np.testing.assert_allclose(coarse.results["forces"], exact.results["forces"], atol=1e-4)


def test_the_potential_given_stays_as_it_is(make_potential: MakePotential) -> None:
    potential = make_potential("Cu").train()
    weights = {key: value.clone() for key, value in potential.state_dict().items()}
    calc = NNMDCalculator(potential)
    calc.calculate(copper())
    energy = calc.results["energy"]
    assert potential.training
    assert all(parameter.requires_grad for parameter in potential.parameters())
    assert all(torch.equal(value, weights[key]) for key, value in potential.state_dict().items())
    with torch.no_grad():
        for parameter in potential.parameters():
            parameter.zero_()
    calc.calculate(copper())
    assert calc.results["energy"] == energy


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, copy.copy, lambda calc: pickle.loads(pickle.dumps(calc))]
)
def test_copies_go_their_own_way(
    duplicate: Callable[[NNMDCalculator], NNMDCalculator], calc: NNMDCalculator
) -> None:
    atoms = copper()
    atoms.calc = calc
    forces = atoms.get_forces()
    other = copper(rattle=0.2)
    other.calc = duplicate(calc)
    moved = other.get_forces()
    assert np.abs(moved - forces).max() > 1e-3
    assert (calc.num_rebuilds, other.calc.num_rebuilds) == (1, 2)
    np.testing.assert_array_equal(atoms.get_forces(), forces)
    fresh = NNMDCalculator(calc.potential, skin=0.0)
    fresh.calculate(other)
    np.testing.assert_allclose(moved, fresh.results["forces"], atol=1e-10)


def test_two_structures_may_share_a_calculator(calc: NNMDCalculator) -> None:
    bulk_, small = copper(), water_like()
    expected = {}
    for key, atoms in (("bulk", bulk_), ("small", small)):
        atoms.calc = copy.deepcopy(calc)
        expected[key] = atoms.get_forces()
        atoms.calc = calc
    for _ in range(2):
        np.testing.assert_allclose(bulk_.get_forces(), expected["bulk"], atol=1e-12)
        np.testing.assert_allclose(small.get_forces(), expected["small"], atol=1e-12)


def test_charges_and_magnetic_moments_do_not_ask_for_a_new_calculation(
    calc: NNMDCalculator,
) -> None:
    atoms = copper()
    atoms.calc = calc
    atoms.get_forces()
    atoms.set_initial_magnetic_moments(np.ones(len(atoms)))
    assert not calc.calculation_required(atoms, ["energy", "forces", "stress"])


# --- other parts of ASE --------------------------------------------------------------------------


def test_relaxation_of_cell_and_atoms_and_a_trajectory(
    calc: NNMDCalculator, tmp_path: Path
) -> None:
    atoms = triclinic()
    atoms.calc = calc
    before = atoms.get_potential_energy()
    path = str(tmp_path / "relax.traj")
    with Trajectory(path, "w", atoms) as trajectory:
        optimizer = FIRE(FrechetCellFilter(atoms), logfile=None)
        optimizer.attach(trajectory)
        optimizer.run(fmax=1e-3, steps=10)
    assert atoms.get_potential_energy() < before
    last = ase.io.read(path)
    np.testing.assert_allclose(last.get_forces(), atoms.get_forces())
    np.testing.assert_allclose(last.get_stress(), atoms.get_stress())


def test_a_saved_potential_is_loaded(make_potential: MakePotential, tmp_path: Path) -> None:
    potential = make_potential("Cu")
    path = tmp_path / "model.pt"
    potential.save(path)
    atoms = copper()
    energies = []
    for source in (path, str(path), potential):
        atoms.calc = NNMDCalculator(source)
        energies.append(atoms.get_potential_energy())
    assert energies[0] == energies[1] == pytest.approx(energies[2], abs=1e-12)


# --- bad input -----------------------------------------------------------------------------------


def test_a_molecule_has_no_stress_but_all_the_rest(calc: NNMDCalculator) -> None:
    atoms = water_like()
    atoms.calc = calc
    with pytest.raises(PropertyNotImplementedError, match="volume"):
        atoms.get_stress()
    assert atoms.get_forces().shape == (3, 3)
    calc.calculate(atoms, ["energy", "forces"])
    assert "stress" not in calc.results
    with pytest.raises(PropertyNotImplementedError, match="volume"):
        atoms.get_stress()  # also when the other results are there


def test_an_unknown_element_is_named_with_its_atom(calc: NNMDCalculator) -> None:
    atoms = copper()
    atoms.calc = calc
    atoms.get_forces()
    atoms.numbers[7] = 79
    for _ in range(2):  # and no results of the last good structure are given instead
        with pytest.raises(ValueError, match=r"`atoms`.*\(O, Cu\), got Au \(atom 7\)"):
            atoms.get_potential_energy()


def test_no_atoms(calc: NNMDCalculator) -> None:
    atoms = Atoms(cell=[4, 4, 4], pbc=True)
    atoms.calc = calc
    with pytest.raises(ValueError, match="`atoms`: expected at least one atom"):
        atoms.get_potential_energy()


def test_no_structure(calc: NNMDCalculator) -> None:
    with pytest.raises(ValueError, match="`atoms`: .*got None"):
        calc.calculate()


def test_positions_that_turn_nan_after_the_first_step(calc: NNMDCalculator) -> None:
    atoms = copper()
    atoms.calc = calc
    atoms.get_forces()
    atoms.positions[0, 0] = np.nan
    with pytest.raises(ValueError, match="`pos`: expected finite"):
        atoms.get_forces()


@pytest.mark.parametrize("skin", [-0.1, float("nan"), float("inf")])
def test_a_bad_skin(skin: float, make_potential: MakePotential) -> None:
    with pytest.raises(ValueError, match="`skin`"):
        NNMDCalculator(make_potential("Cu"), skin=skin)


def test_bad_sources(make_potential: MakePotential, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing.pt"):
        NNMDCalculator(tmp_path / "nothing.pt")
    with pytest.raises(TypeError, match="potential"):
        NNMDCalculator(make_potential("Cu").model)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`dtype`"):
        NNMDCalculator(make_potential("Cu"), dtype="float16")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="`device`.*cuda"):
            NNMDCalculator(make_potential("Cu"), device="cuda")


# -- committees -------------------------------------------------------------------------------


def test_a_committee_tells_its_uncertainty(make_potential: MakePotential, tmp_path: Path) -> None:
    members = [make_potential("Cu"), make_potential("Cu")]
    for weight in members[1].parameters():
        weight.data.mul_(1.1)
    atoms = copper()
    forces = []
    for member in members:
        atoms.calc = NNMDCalculator(member)
        forces.append(atoms.get_forces())
    atoms.calc = NNMDCalculator(Committee(members), compile=True)
    np.testing.assert_allclose(atoms.get_forces(), np.mean(forces, axis=0), rtol=1e-6, atol=1e-9)
    spread = atoms.calc.results["forces_uncertainty"]
    np.testing.assert_allclose(spread, np.std(forces, axis=0), rtol=1e-5, atol=1e-8)
    assert atoms.calc.results["energy_uncertainty"] > 0.0
    for name in ("a.traj", "a.extxyz"):
        ase.io.write(tmp_path / name, atoms)
        np.testing.assert_allclose(
            ase.io.read(tmp_path / name).get_forces(), np.mean(forces, axis=0), rtol=1e-6, atol=1e-7
        )
    with pytest.raises(ValueError, match="expected one potential, got a committee"):
        atoms.calc.extrapolation()
    with pytest.raises(ValueError, match="expected one potential, got a committee"):
        NNMDCalculator(Committee(members), extrapolation="error")
