"""The ASE calculator outside the range of the training set: counted, warned of, refused."""

import copy
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

from nnmd_graph.calculators import NNMDCalculator
from nnmd_graph.graph import AtomicGraph
from nnmd_graph.models import ExtrapolationError, Potential

MakePotential = Callable[..., Potential]


@pytest.fixture
def potential(make_potential: MakePotential) -> Potential:
    """One that knows copper that is slightly rattled."""
    potential = make_potential("Cu")
    for seed in range(5):
        atoms = copper(0.05, seed)
        graph = AtomicGraph.from_atoms(atoms, potential.cutoff, dtype=torch.float64)
        x = potential.model.representation(graph)
        potential.model.ranges.fit(x, torch.zeros(len(x), dtype=torch.long))
    return potential


def copper(rattle: float = 0.0, seed: int = 0) -> Atoms:
    atoms = bulk("Cu", cubic=True) * (2, 1, 1)
    atoms.rattle(rattle, seed=seed)
    return atoms


def evaluate(calculator: NNMDCalculator, atoms: Atoms) -> float:
    atoms.calc = calculator
    return atoms.get_potential_energy()


def test_extrapolations_are_counted_without_a_word(potential: Potential) -> None:
    calculator = NNMDCalculator(potential)
    evaluate(calculator, copper(0.05, seed=3))
    assert calculator.num_extrapolations == calculator.num_extrapolating_evaluations == 0
    assert calculator.extrapolation().summary() == "no extrapolation"
    total = 0
    for number, rattle in ((1, 0.3), (2, 0.4)):
        evaluate(calculator, copper(rattle))
        report = calculator.extrapolation()
        total += len(report)
        assert len(report) > 0
        assert calculator.num_extrapolations == total
        assert calculator.num_extrapolating_evaluations == number
        graph = AtomicGraph.from_atoms(copper(rattle), potential.cutoff, dtype=torch.float64)
        assert report.text() == potential.extrapolation(graph).text()
    calculator.get_property("forces")  # which is there
    assert calculator.num_extrapolations == total


def test_the_skin_changes_nothing(potential: Potential) -> None:
    counts = []
    for skin in (0.0, 1.0):
        calculator = NNMDCalculator(potential, skin=skin)
        atoms = copper(0.1)
        for step in range(4):
            atoms.positions += 0.05 * np.sin(np.arange(24) + step).reshape(8, 3)
            evaluate(calculator, atoms)
        counts.append((calculator.num_extrapolations, calculator.num_extrapolating_evaluations))
    assert counts[0] == counts[1] and counts[0][0] > 0


def test_features_are_not_computed_for_the_count(
    potential: Potential, monkeypatch: pytest.MonkeyPatch
) -> None:
    calculator = NNMDCalculator(potential)
    monkeypatch.setattr(calculator.potential, "extrapolation", None)
    evaluate(calculator, copper(0.3))
    assert calculator.num_extrapolations


def test_one_warning_that_names_the_worst(potential: Potential) -> None:
    calculator = NNMDCalculator(potential, extrapolation="warn")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        evaluate(calculator, copper(0.05, seed=3))
    with pytest.warns(UserWarning, match=r"`atoms`.*extrapolations.*the worst: .*Cu.*G\d\("):
        evaluate(calculator, copper(0.3))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        evaluate(calculator, copper(0.4))
    assert calculator.num_extrapolating_evaluations == 2


def test_an_error_gives_no_numbers(potential: Potential) -> None:
    calculator = NNMDCalculator(potential, extrapolation="error")
    evaluate(calculator, copper(0.05, seed=3))
    atoms = copper(0.3)
    for _ in range(2):
        with pytest.raises(ExtrapolationError, match="`max_extrapolations`: expected at most 0"):
            evaluate(calculator, atoms)
        assert calculator.results == {}
    assert len(calculator.extrapolation()) > 0


def test_an_error_after_too_many(potential: Potential) -> None:
    each = NNMDCalculator(potential)
    evaluate(each, copper(0.3))
    calculator = NNMDCalculator(potential, max_extrapolations=2 * each.num_extrapolations)
    for shift in (0.0, 1.0, 2.0):
        atoms = copper(0.3)
        atoms.positions += shift
        if shift < 2.0:
            evaluate(calculator, atoms)
        else:
            with pytest.raises(ExtrapolationError, match="train on such structures"):
                evaluate(calculator, atoms)


def test_nothing_is_counted_where_nobody_asks(potential: Potential) -> None:
    calculator = NNMDCalculator(potential, extrapolation="ignore")
    evaluate(calculator, copper(0.3))
    assert calculator.num_extrapolations is None
    assert len(calculator.extrapolation()) > 0


def test_a_potential_without_ranges(make_potential: MakePotential) -> None:
    calculator = NNMDCalculator(make_potential("Cu"))
    evaluate(calculator, copper(0.3))
    assert calculator.num_extrapolations is None
    with pytest.raises(ValueError, match="`potential`: expected one that knows the limits"):
        calculator.extrapolation()
    for options in ({"extrapolation": "warn"}, {"max_extrapolations": 5}):
        with pytest.raises(ValueError, match="`potential`: expected one that knows the limits"):
            NNMDCalculator(make_potential("Cu"), **options)


def test_a_copy_counts_for_itself(potential: Potential) -> None:
    calculator = NNMDCalculator(potential)
    other = copy.deepcopy(calculator)
    evaluate(other, copper(0.3))
    assert other.num_extrapolations and not calculator.num_extrapolations


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"extrapolation": "warning"}, r"`extrapolation`: expected one of .*got 'warning'"),
        ({"max_extrapolations": -1}, r"`max_extrapolations`: expected an integer >= 0.*got -1"),
        ({"max_extrapolations": 2.5}, r"`max_extrapolations`: expected an integer"),
        ({"max_extrapolations": 1, "extrapolation": "ignore"}, r"got 1 and 'ignore'"),
    ],
)
def test_wrong_options(potential: Potential, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NNMDCalculator(potential, **options)  # type: ignore[arg-type]


def test_nothing_was_evaluated_yet(potential: Potential) -> None:
    with pytest.raises(ValueError, match="`atoms`: expected a structure, got none yet"):
        NNMDCalculator(potential).extrapolation()
