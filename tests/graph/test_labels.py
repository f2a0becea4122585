"""Labels: where they are read from, and what is refused."""

import ase
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from nnmd_graph.graph import Labels, read_labels

VOIGT = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
FULL = np.array([[1.0, 6.0, 5.0], [6.0, 2.0, 4.0], [5.0, 4.0, 3.0]])


def copper(**results) -> ase.Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def test_labels_come_from_the_stored_results():
    forces = np.arange(12.0).reshape(4, 3)
    labels = read_labels(copper(energy=-1.5, free_energy=-1.6, forces=forces, stress=VOIGT))
    assert labels.energy == -1.5
    np.testing.assert_array_equal(labels.forces, forces)
    np.testing.assert_array_equal(labels.stress, FULL)


def test_the_free_energy_serves_where_there_is_no_energy():
    assert read_labels(copper(free_energy=-1.6)).energy == -1.6


@pytest.mark.parametrize("calc", [None, EMT()], ids=["no calculator", "one that has not run"])
def test_nothing_is_computed(calc):
    atoms = bulk("Cu")
    atoms.calc = calc
    labels = read_labels(atoms)
    assert labels.energy is labels.forces is labels.stress is None


def test_labels_come_from_named_keys():
    atoms = copper(energy=-1.5)
    atoms.info["REF_energy"] = np.float32(-2.5)
    atoms.info["virial_stress"] = FULL.ravel()
    atoms.arrays["REF_forces"] = np.ones((4, 3))
    labels = read_labels(
        atoms, energy_key="REF_energy", forces_key="REF_forces", stress_key="virial_stress"
    )
    assert labels.energy == -2.5 and isinstance(labels.energy, float)
    np.testing.assert_array_equal(labels.forces, np.ones((4, 3)))
    np.testing.assert_array_equal(labels.stress, FULL)


def test_a_key_may_name_a_result():
    assert (
        read_labels(copper(energy=-1.5, free_energy=-1.6), energy_key="free_energy").energy == -1.6
    )


def test_a_key_that_is_not_there_is_a_missing_label_and_not_another_one():
    assert read_labels(copper(energy=-1.5), energy_key="dft_energy").energy is None


def test_forces_are_those_of_the_file_also_under_constraints():
    from ase.constraints import FixAtoms

    atoms = copper(forces=np.ones((4, 3)))
    atoms.set_constraint(FixAtoms([0]))
    assert (read_labels(atoms).forces == 1).all()


@pytest.mark.parametrize("stress", [VOIGT, FULL, FULL.ravel(), FULL.tolist()])
def test_every_spelling_of_the_stress(stress):
    np.testing.assert_array_equal(Labels(stress=stress).stress, FULL)


def test_a_nearly_symmetric_stress_is_made_symmetric():
    noisy = FULL + np.array([[0, 1e-3, 0], [-1e-3, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(Labels(stress=noisy).stress, FULL, atol=1e-15)


def test_labels_are_copies():
    forces = np.zeros((4, 3))
    labels = read_labels(copper(forces=forces))
    labels.forces[0] = 7
    assert (forces == 0).all()


def test_results_of_other_positions_are_refused():
    atoms = copper(energy=-1.5)
    atoms.rattle(0.01)
    with pytest.raises(ValueError, match="`atoms`: expected labels of these coordinates"):
        read_labels(atoms)


def test_one_calculator_for_two_frames_is_refused():
    calc = EMT()
    first, second = bulk("Cu", cubic=True), bulk("Cu", cubic=True, a=3.7)
    for atoms in (first, second):
        atoms.calc = calc
        atoms.get_potential_energy()
    assert read_labels(second).energy is not None
    with pytest.raises(ValueError, match="several frames share one calculator"):
        read_labels(first)


def test_wrapped_atoms_keep_their_labels():
    atoms = copper(energy=-1.5)
    atoms.positions += atoms.cell.array[1] * 2
    assert read_labels(atoms).energy == -1.5
    atoms.wrap()
    assert read_labels(atoms).energy == -1.5


def test_a_molecule_may_not_move_by_a_cell_it_does_not_repeat_in():
    atoms = copper(energy=-1.5)
    atoms.calc.atoms.pbc = atoms.pbc = False
    atoms.positions[0] += atoms.cell.array[0]
    with pytest.raises(ValueError, match="belong to other positions"):
        read_labels(atoms)


def test_another_cell_or_other_elements_are_refused():
    atoms = copper(energy=-1.5)
    atoms.set_cell(atoms.cell.array * 1.01)
    with pytest.raises(ValueError, match="belong to other positions, cell or elements"):
        read_labels(atoms)
    atoms = copper(energy=-1.5)
    atoms.numbers[0] = 79
    with pytest.raises(ValueError, match="belong to other positions, cell or elements"):
        read_labels(atoms)


BAD = {
    "energy NaN": (dict(energy=np.nan), "`energy`: expected finite numbers, got nan; remove the"),
    "energy inf": (dict(energy=-np.inf), "`energy`: expected finite numbers, got -inf"),
    "energies": (dict(energy=[1.0, 2.0]), r"`energy`: expected one number in eV, got shape \[2\]"),
    "energy text": (dict(energy="low"), "`energy`: expected numbers, got 'low'; check the key"),
    "forces NaN": (dict(forces=[[0, np.nan, 0]]), r"`forces`: expected finite.*nan at \[0, 1\]"),
    "forces flat": (dict(forces=np.zeros(12)), r"`forces`: expected shape \[N, 3\], got \[12\]"),
    "forces 2D": (
        dict(forces=np.zeros((4, 2))),
        r"`forces`: expected shape \[N, 3\], got \[4",
    ),
    "ragged": (dict(forces=[[0.0, 0.0, 0.0], [0.0]]), "`forces`: expected numbers, got"),
    "stress NaN": (dict(stress=[0, 0, 0, 0, 0, np.nan]), r"`stress`: expected finite.*\[5\]"),
    "stress of 5": (dict(stress=np.zeros(5)), r"`stress`: expected 6 \(Voigt.*got shape \[5\]"),
    "skew stress": (
        dict(stress=[[0, 1, 0], [0, 0, 0], [0, 0, 0]]),
        "`stress`: expected a symmetric 3x3 matrix, got mirror elements that differ by 1 eV",
    ),
}


@pytest.mark.parametrize(("labels", "message"), BAD.values(), ids=BAD.keys())
def test_bad_labels_say_what_to_do(labels, message):
    with pytest.raises(ValueError, match=message):
        Labels(**labels)


def test_forces_of_the_wrong_length_are_refused():
    atoms = bulk("Cu", cubic=True)
    atoms.info["f"] = np.zeros((3, 3))
    with pytest.raises(ValueError, match=r"`forces`: expected shape \[4, 3\] for 4 atoms, got \[3"):
        read_labels(atoms, forces_key="f")
