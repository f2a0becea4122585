"""Units: eV and Å inside the package; files, calculators and tables convert at the edges.

The numbers are those of `ase.units` (CODATA 2014), so that energies agree with ASE to the last
digit.
"""

from ase import units as ase_units

from nnmd_graph.errors import did_you_mean

MEV = 1e-3
"""One meV in eV."""

GPA = ase_units.GPa
"""One GPa in eV/Å^3."""

_LENGTHS = {"angstrom": 1.0, "bohr": ase_units.Bohr, "nm": ase_units.nm}
_ENERGIES = {
    "ev": 1.0,
    "mev": MEV,
    "hartree": ase_units.Hartree,
    "rydberg": ase_units.Rydberg,
    "kcal/mol": ase_units.kcal / ase_units.mol,
    "kj/mol": ase_units.kJ / ase_units.mol,
}


def length_factor(length_unit: str) -> float:
    """Give the length of one `length_unit` in Å.

    Args:
        length_unit: "angstrom", "bohr" or "nm"; upper and lower case are the same.

    Returns:
        The factor: `angstrom = factor * value`.

    Raises:
        ValueError: `length_unit` is not one of these.
    """
    return _factor(_LENGTHS, "length_unit", length_unit)


def energy_factor(energy_unit: str) -> float:
    """Give the energy of one `energy_unit` in eV.

    Args:
        energy_unit: "eV", "meV", "hartree", "rydberg", "kcal/mol" or "kJ/mol"; upper and lower case
            are the same.

    Returns:
        The factor: `ev = factor * value`.

    Raises:
        ValueError: `energy_unit` is not one of these.
    """
    return _factor(_ENERGIES, "energy_unit", energy_unit)


def _factor(table: dict[str, float], argument: str, unit: str) -> float:
    name = str(unit).lower()
    if name not in table:
        hint = did_you_mean(name, table)
        raise ValueError(f"`{argument}`: expected one of {sorted(table)}, got {unit!r}{hint}")
    return table[name]
