"""Isolated-atom energies where the data determines them, and a plain word where it does not."""

from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from hypothesis import assume, given
from hypothesis import strategies as st

from nnmd_graph.data import (
    AtomsDataset,
    energy_statistics,
    fit_isolated_energies,
    force_rms,
    neighbor_counts,
)

E0 = {1: -13.6, 8: -2041.9, 29: -4.0}


def frame(formula: str, energy: float | None = None, **results: Any) -> Atoms:
    atoms = Atoms(formula)
    atoms.positions[:, 0] = 1.5 * np.arange(len(atoms))
    if energy is not None:
        results["energy"] = energy
    if results:
        atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def exact(formula: str, extra: float = 0.0) -> Atoms:
    return frame(formula, extra + sum(E0[z] for z in Atoms(formula).numbers))


def periodic(formula: str, energy: float) -> Atoms:
    atoms = frame(formula)
    atoms.set_cell([20.0, 20.0, 20.0])
    atoms.pbc = True
    atoms.calc = SinglePointCalculator(atoms, energy=energy)
    return atoms


def data(*frames: Atoms) -> AtomsDataset:
    return AtomsDataset(frames, 3.0)


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)), min_size=3))
def test_the_fit_is_exact_where_energies_are_sums(counts: list[tuple[int, int, int]]) -> None:
    counts = [count for count in counts if sum(count) > 1]
    assume(len(counts) > 2 and np.linalg.matrix_rank(counts) == 3)
    frames = [exact(f"H{h}O{o}Cu{cu}") for h, o, cu in counts]
    fitted = fit_isolated_energies(data(*frames))
    assert list(fitted) == [1, 8, 29]
    for z, energy in fitted.items():
        assert energy == pytest.approx(E0[z], abs=1e-6)


def test_the_fit_minimises_the_error_per_atom() -> None:
    frames = [periodic("Cu2", -6.0), periodic("Cu4", -16.0)]
    assert fit_isolated_energies(data(*frames)) == pytest.approx({29: -3.5})


def test_isolated_atoms_are_the_answer() -> None:
    frames = [exact("H"), exact("O"), exact("H2O", -10.0), exact("H2O2", -14.0)]
    assert fit_isolated_energies(data(*frames)) == pytest.approx({1: -13.6, 8: -2041.9})


def test_isolated_atoms_make_the_rest_determined() -> None:
    frames = [exact("H"), exact("H2O"), exact("H4O2")]
    assert fit_isolated_energies(data(*frames)) == pytest.approx({1: -13.6, 8: -2041.9})


def test_isolated_atoms_that_disagree() -> None:
    with pytest.warns(
        UserWarning, match=r"2 isolated atoms of Cu .* -4 eV \(frame 1\) to -3 .*lowest"
    ):
        assert fit_isolated_energies(data(frame("Cu", -3.0), frame("Cu", -4.0))) == {29: -4.0}


def test_one_composition_cannot_tell_elements_apart() -> None:
    message = (
        r"isolated-atom energies of H, O apart.*least norm.*given=\{'H': \.\.\., 'O': \.\.\.\}"
    )
    with pytest.warns(UserWarning, match=message):
        fitted = fit_isolated_energies(data(exact("H2O"), exact("H4O2")))
    assert 2 * fitted[1] + fitted[8] == pytest.approx(2 * E0[1] + E0[8])
    assert fitted[1] == pytest.approx(2 * fitted[8])


def test_only_the_undetermined_elements_are_named() -> None:
    frames = [exact("H2O"), exact("H2OCu2"), exact("H4O2Cu")]
    with pytest.warns(UserWarning, match="energies of H, O apart"):
        fitted = fit_isolated_energies(data(*frames))
    assert fitted[29] == pytest.approx(E0[29])


def test_given_energies_are_kept_and_help() -> None:
    frames = [exact("H2O"), exact("H4O2")]
    fitted = fit_isolated_energies(data(*frames), given={"O": E0[8], 3: -7.0})
    assert fitted == pytest.approx({1: E0[1], 3: -7.0, 8: E0[8]})
    assert fit_isolated_energies(data(exact("H")), given={"H": -1.0}) == {1: -1.0}
    assert fit_isolated_energies(data(frame("H")), given={1: -1.0}) == {1: -1.0}


@pytest.mark.filterwarnings("ignore:`frames`")
def test_frames_without_energy_are_passed_over() -> None:
    assert fit_isolated_energies(data(exact("Cu2"), frame("Cu3"))) == pytest.approx({29: -4.0})
    with pytest.warns(UserWarning, match="energies of H apart"):
        assert fit_isolated_energies(data(exact("Cu2"), frame("CuH")))[29] == pytest.approx(-4.0)


def test_nothing_to_fit_to() -> None:
    with pytest.raises(ValueError, match="`dataset`: expected frames with an energy .*`given`"):
        fit_isolated_energies(data(frame("Cu2")))


@pytest.mark.filterwarnings("ignore:`frames`")
def test_no_energy_with_the_missing_element() -> None:
    with pytest.raises(ValueError, match="an energy and H "):
        fit_isolated_energies(data(exact("Cu2"), frame("CuH")), given={"Cu": -4.0})


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"cu": -1.0}, ValueError, "got 'cu'; did you mean 'Cu'"),
        ({0: -1.0}, ValueError, "atomic number from 1"),
        ({119: -1.0}, ValueError, "atomic number from 1"),
        ({2.5: -1.0}, TypeError, "symbol or the atomic number"),
        ({"Cu": float("nan")}, ValueError, r"`given\['Cu'\]`: expected a finite number"),
        ({"Cu": "-1"}, TypeError, r"`given\['Cu'\]`: expected a number in eV"),
    ],
)
def test_bad_given_energies(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fit_isolated_energies(data(exact("Cu2")), given=given)


@pytest.mark.filterwarnings("ignore:`frames`")
def test_energy_statistics() -> None:
    dataset = data(exact("Cu2", 0.2), exact("Cu4", -0.4), frame("Cu"))
    found = energy_statistics(dataset, E0)
    assert found.num_structures == 2
    assert found.mean == pytest.approx(0.0)
    assert (found.min, found.max, found.std) == pytest.approx((-0.1, 0.1, 0.1))
    assert energy_statistics(dataset).mean == pytest.approx(-4.0)
    with pytest.raises(ValueError, match="`isolated_energies`: .*got none for Cu"):
        energy_statistics(dataset, {1: 0.0})
    with pytest.raises(ValueError, match="`dataset`: expected energies"):
        energy_statistics(data(frame("Cu")))


@pytest.mark.filterwarnings("ignore:`frames`")
def test_force_rms_is_over_components() -> None:
    a = frame("Cu", forces=[[3.0, 0.0, 0.0]])
    b = frame("Cu2", forces=[[0.0, 0.0, 0.0], [0.0, 0.0, 4.0]])
    assert force_rms(data(a, b, frame("Cu"))) == pytest.approx(np.sqrt(25 / 9))
    with pytest.raises(ValueError, match="`dataset`: expected forces"):
        force_rms(data(frame("Cu")))


def test_neighbor_counts() -> None:
    # 1.5 Å apart in a row, cutoff 3 Å (strictly): one neighbour to each side
    assert neighbor_counts(data(frame("Cu3"), frame("Cu"))) == (1.0, 2)
    with pytest.raises(ValueError, match="at least one frame"):
        neighbor_counts(data(frame("Cu"))[:0])
