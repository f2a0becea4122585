"""Elements are translated in one place, and what is none is refused wherever atoms enter."""

from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from hypothesis import given
from hypothesis import strategies as st

import nnmd_graph as ng
from nnmd_graph.data import fit_isolated_energies
from nnmd_graph.elements import LARGEST, atomic_number, check_atomic_numbers, symbol
from nnmd_graph.nn.species import species_ids


@given(st.integers(1, LARGEST))
def test_symbols_and_numbers_are_inverse(z: int) -> None:
    assert atomic_number(symbol(z)) == atomic_number(z) == z


@pytest.mark.parametrize("given", [29, np.int64(29), np.uint8(29), torch.tensor(29), "Cu"])
def test_any_whole_number_will_do(given: Any) -> None:
    assert atomic_number(given) == 29


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("Xx", "the symbol of an element, got 'Xx'"),
        ("X", "the symbol of an element, got 'X'"),
        ("fe", "got 'fe'; did you mean 'Fe'"),
        ("CL", "got 'CL'; did you mean 'Cl'"),
        ("29", "got '29'"),
        ("", "got ''"),
        (0, "an atomic number from 1 to 118, got 0"),
        (-6, "got -6"),
        (119, "got 119"),
        (10**30, "got 1000000"),
    ],
)
def test_what_is_no_element_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"`here`: expected .*{message}"):
        atomic_number(given, "here")


@pytest.mark.parametrize("given", [2.5, 29.0, True, None, ["Cu"]])
def test_what_cannot_be_an_element_is_of_the_wrong_type(given: Any) -> None:
    with pytest.raises(TypeError, match="`species`: expected the symbol or the atomic number"):
        atomic_number(given)


def test_the_name_of_no_element_says_its_number() -> None:
    assert (symbol(0), symbol(119), symbol(-3)) == ("X", "Z = 119", "Z = -3")


def test_check_names_the_atom() -> None:
    check_atomic_numbers([1, 118])
    with pytest.raises(ValueError, match=r"`numbers`: expected .*119 as atom 2; correct"):
        check_atomic_numbers([1, 6, 119, 200])
    with pytest.raises(ValueError, match=r"the dummy atom X \(atomic number 0\) as atom 1"):
        check_atomic_numbers(np.array([6, 0]))


def test_atoms_beyond_the_last_element_are_refused_wherever_they_enter() -> None:
    atoms = Atoms("Cu2", [[0, 0, 0], [0, 0, 2.5]])
    potential = ng.Potential(ng.BPNN(ng.ACSF(["Cu"], 3.0, [ng.G2(eta=1.0, r_s=0.0)])))
    for z in (0, 119, 500, -2):
        atoms.numbers[1] = z
        message = r"`numbers`: expected elements, .* as atom 1"
        with pytest.raises(ValueError, match=message):
            ng.AtomsDataset([atoms], 3.0)
        with pytest.raises(ValueError, match=message):
            ng.AtomicGraph.from_atoms(atoms, 3.0)
        atoms.calc = ng.NNMDCalculator(potential)
        with pytest.raises(ValueError, match=r"that the potential knows \(Cu\), got .*1\)"):
            atoms.get_potential_energy()
        with pytest.raises(ValueError, match=r"got .* \(atom 0\)"):
            species_ids(torch.tensor([z]), (29,))
        atoms.calc = None


@pytest.mark.parametrize("element", ["Xx", 119, "cu"])
def test_one_message_wherever_elements_are_named(element: Any) -> None:
    message = "expected (the symbol of an element|an atomic number from 1 to 118), got"
    dataset = ng.AtomsDataset([Atoms("Cu")], 3.0)
    for make in (
        lambda: ng.ACSF([element], 3.0, [ng.G2(eta=1.0, r_s=0.0)]),
        lambda: ng.G2(eta=1.0, r_s=0.0, neighbors=element),
        lambda: ng.GCNN([element], 3.0, "schnet"),
        lambda: ng.EnergyForcesLoss(element_weights={element: 2.0}),
        lambda: fit_isolated_energies(dataset, given={element: -1.0}),
    ):
        with pytest.raises(ValueError, match=message):
            make()
