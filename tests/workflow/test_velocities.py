"""What a simulation starts with: velocities of the start or new ones, constraints counted."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import bulk, molecule
from ase.constraints import FixAtoms, FixBondLengths, FixCartesian, FixCom, FixedPlane

from nnmd_graph.models import BPNN, Potential
from nnmd_graph.representations import ACSF, G2
from nnmd_graph.workflow import run_md
from nnmd_graph.workflow.velocities import draw_velocities


@pytest.fixture
def potential() -> Potential:
    model = BPNN(ACSF(("Cu",), 3.5, [G2(eta=1.0, r_s=2.5)]), hidden_channels=(4,), seed=1)
    return Potential(model.to(torch.float64)).eval()


@pytest.fixture
def moving() -> Atoms:
    """A crystal at 500 K that drifts."""
    atoms = bulk("Cu", cubic=True) * (2, 1, 1)
    draw_velocities(atoms, 500.0, np.random.RandomState(3))
    atoms.set_velocities(atoms.get_velocities() + [0.01, -0.02, 0.03])
    return atoms


@pytest.mark.parametrize("ensemble", ["nve", "nvt"])
@pytest.mark.parametrize("temperature", [300.0, 0.0, 77.0])
def test_velocities_of_the_start_are_kept_drift_included(
    ensemble: str, temperature: float, potential: Potential, moving: Atoms
) -> None:
    result = run_md(potential, moving, ensemble=ensemble, temperature=temperature, steps=1)
    assert result.samples[0, 4] == pytest.approx(moving.get_temperature(), rel=1e-12)
    assert result.velocities.startswith("those of the start (")
    drift = np.linalg.norm([0.01, -0.02, 0.03]) * 1000.0 * units.fs
    assert f"drift {drift:.3g} Å/ps" in result.velocities
    if ensemble == "nve":
        before, after = moving.get_momenta().sum(0), result.atoms.get_momenta().sum(0)
        np.testing.assert_allclose(after, before, atol=1e-9)


def test_new_ones_are_drawn_where_there_are_none_or_they_are_asked_for(
    potential: Potential, moving: Atoms
) -> None:
    resting = moving.copy()
    resting.set_momenta(np.zeros((8, 3)))
    bare = bulk("Cu", cubic=True) * (2, 1, 1)
    starts = ((resting, "keep"), (bare, "keep"), (moving, "draw"), (bare, "draw"))
    runs = [run_md(potential, a, temperature=250.0, steps=1, velocities=v) for a, v in starts]
    for result in runs:
        assert result.samples[0, 4] == pytest.approx(250.0, rel=1e-9)
        assert result.velocities == "drawn at 250 K"
        np.testing.assert_array_equal(result.samples, runs[0].samples)
    assert resting.get_temperature() == 0.0


@pytest.mark.parametrize(
    "constraint",
    [
        lambda atoms: FixAtoms([0, 3, 5]),
        lambda atoms: FixCartesian([1, 2], mask=(True, False, True)),
        lambda atoms: FixedPlane([0, 1, 2], (0, 0, 1)),
        lambda atoms: FixCom(),
        lambda atoms: [FixAtoms([7]), FixCartesian([1], mask=(False, False, True))],
    ],
)
@pytest.mark.parametrize("temperature", [300.0, 40.0])
def test_what_constraints_fix_does_not_count_in_the_temperature(
    constraint: Callable[[Atoms], object], temperature: float, potential: Potential
) -> None:
    atoms = bulk("Cu", cubic=True) * (2, 1, 1)
    atoms.set_constraint(constraint(atoms))
    degrees = atoms.get_number_of_degrees_of_freedom()
    assert degrees < 24
    result = run_md(potential, atoms, temperature=temperature, steps=2)
    kinetic = result.samples[0, 2]
    assert kinetic == pytest.approx(0.5 * degrees * units.kB * temperature, rel=1e-9)
    assert result.samples[0, 4] == pytest.approx(temperature, rel=1e-9)


def test_fixed_atoms_stay_where_they_are(potential: Potential, moving: Atoms) -> None:
    moving.set_constraint(FixAtoms([2, 6]))
    for velocities in ("keep", "draw"):
        result = run_md(potential, moving, steps=5, velocities=velocities)
        np.testing.assert_array_equal(result.atoms.positions[[2, 6]], moving.positions[[2, 6]])
        assert np.abs(result.atoms.positions - moving.positions).max() > 1e-3


def test_a_bond_of_fixed_length_counts_once() -> None:
    atoms = molecule("H2O")
    atoms.set_constraint(FixBondLengths([[0, 1], [0, 2]]))
    draw_velocities(atoms, 300.0, np.random.RandomState(0))
    assert atoms.get_kinetic_energy() == pytest.approx(0.5 * 7 * units.kB * 300.0)


@pytest.mark.parametrize(
    "constraint",
    [
        FixAtoms(range(8)),
        FixCartesian(range(8), mask=(True, True, True)),
        [FixAtoms(range(4)), FixAtoms(range(4, 8))],
    ],
)
@pytest.mark.parametrize("velocities", ["keep", "draw"])
def test_atoms_that_are_all_fixed_are_said_to_be(
    constraint: object, velocities: str, potential: Potential, moving: Atoms
) -> None:
    moving.set_constraint(constraint)
    with pytest.raises(ValueError, match=r"`atoms`: .*can move, got 8 that are all fixed"):
        run_md(potential, moving, steps=1, velocities=velocities)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_velocities_that_are_none(bad: float, potential: Potential, moving: Atoms) -> None:
    momenta = moving.get_momenta()
    momenta[4, 1] = bad
    moving.set_momenta(momenta)
    with pytest.raises(ValueError, match=r"`atoms`: expected finite velocities.*atom 4"):
        run_md(potential, moving, steps=1)
    assert run_md(potential, moving, steps=1, velocities="draw").samples[0, 4] > 0.0


@pytest.mark.parametrize("velocities", ["old", "", None, 300.0])
def test_another_word_is_refused(velocities: object, potential: Potential, moving: Atoms) -> None:
    with pytest.raises(ValueError, match=r"`velocities`: expected one of \['keep', 'draw'\], got"):
        run_md(potential, moving, steps=1, velocities=velocities)  # type: ignore[arg-type]
