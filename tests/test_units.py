"""units: the numbers are those of ASE, and a wrong name gets help."""

import pytest
from ase import units as ase_units

from nnmd_graph.units import GPA, MEV, energy_factor, length_factor


def test_factors_lead_to_ev_and_angstrom():
    assert length_factor("Angstrom") == 1.0
    assert length_factor("bohr") == ase_units.Bohr
    assert energy_factor("eV") == 1.0
    assert energy_factor("Hartree") == ase_units.Hartree == 2 * energy_factor("rydberg")
    assert energy_factor("kcal/mol") == pytest.approx(0.0433641, rel=1e-6)
    assert MEV == energy_factor("meV") == 1e-3
    assert 1 / GPA == pytest.approx(160.21766)


def test_an_unknown_unit_gets_help():
    with pytest.raises(
        ValueError, match="`energy_unit`: expected one of .*; did you mean 'hartree'"
    ):
        energy_factor("hartre")
    with pytest.raises(ValueError, match="`length_unit`: expected one of .*, got 'parsec'$"):
        length_factor("parsec")
