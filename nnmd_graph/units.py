"""Units: eV and Å inside the package; files, calculators and tables convert at the edges.

The numbers are those of `ase.units` (CODATA 2014), so that energies agree with ASE to the last
digit.
"""

import re
from dataclasses import dataclass

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
    "mrydberg": MEV * ase_units.Rydberg,
    "mhartree": MEV * ase_units.Hartree,
    "kcal/mol": ase_units.kcal / ase_units.mol,
    "kj/mol": ase_units.kJ / ase_units.mol,
}

_PRESSURES = {
    "gpa": GPA,
    "mpa": 1e-3 * GPA,
    "pa": 1e-9 * GPA,
    "kbar": 0.1 * GPA,
    "bar": 1e-4 * GPA,
}
_OTHER_LENGTHS = {"å": "angstrom", "a": "angstrom", "ang": "angstrom", "angstroms": "angstrom",
                  "a0": "bohr", "nanometer": "nm"}  # fmt: skip
_OTHER_ENERGIES = {"ha": "hartree", "eh": "hartree", "hartrees": "hartree", "ry": "rydberg",
                   "mha": "mhartree", "mry": "mrydberg", "kcalmol": "kcal/mol",
                   "kjmol": "kj/mol"}  # fmt: skip
_ATOMIC = ("au", "a.u.", "atomic", "atomic units")


@dataclass(frozen=True)
class LabelUnits:
    """Size of one unit of a file in the units of the package.

    Attributes:
        length: Å.
        energy: eV.
        forces: eV/Å.
        stress: eV/Å^3.
    """

    length: float = 1.0
    energy: float = 1.0
    forces: float = 1.0
    stress: float = 1.0


EV_AND_ANGSTROM = LabelUnits()


def label_units(
    length_unit: str | None = None,
    energy_unit: str | None = None,
    forces_unit: str | None = None,
    stress_unit: str | None = None,
) -> LabelUnits:
    """Return the factors that convert positions and labels to Å and eV.

    Args:
        length_unit: see `length_factor`; None: Å.
        energy_unit: see `energy_factor`; None: eV.
        forces_unit: energy over length, e.g. "hartree/bohr"; None: energy_unit/length_unit.
        stress_unit: "GPa", "MPa", "Pa", "kbar", "bar", or energy over volume, e.g. "eV/angstrom^3";
            None: energy_unit/length_unit^3.

    Raises:
        ValueError: a unit is unknown.
    """
    length = 1.0 if length_unit is None else length_factor(length_unit)
    energy = 1.0 if energy_unit is None else energy_factor(energy_unit)
    forces = energy / length if forces_unit is None else forces_factor(forces_unit)
    stress = energy / length**3 if stress_unit is None else stress_factor(stress_unit)
    return LabelUnits(length, energy, forces, stress)


def forces_factor(forces_unit: str) -> float:
    """Return the force of one `forces_unit` in eV/Å; see `label_units`.

    Raises:
        ValueError: the unit is unknown.
    """
    example = "an energy over a length such as 'hartree/bohr'"
    return _ratio("forces_unit", forces_unit, 1, example)


def stress_factor(stress_unit: str) -> float:
    """Return the stress of one `stress_unit` in eV/Å^3; see `label_units`.

    Raises:
        ValueError: the unit is unknown.
    """
    name = str(stress_unit).strip().lower()
    if name in _PRESSURES:
        return _PRESSURES[name]
    example = f"one of {sorted(_PRESSURES)} or an energy over a volume such as 'eV/angstrom^3'"
    return _ratio("stress_unit", stress_unit, 3, example)


def _ratio(argument: str, unit: str, power: int, example: str) -> float:
    """Factor of energy/length^power."""
    name = str(unit).strip().lower()
    if name in _ATOMIC:
        name = f"hartree/bohr^{power}"
    name = re.sub(rf"[\s*·]+(\w+)\^?-{power}$", rf"/\1^{power}", name)  # eV Å^-1
    energy, _, length = name.rpartition("/")
    length = re.sub(r"(\^|\*\*)?[13³]$", "", length.strip())
    try:
        return energy_factor(energy) / length_factor(length) ** power
    except ValueError:
        raise ValueError(f"`{argument}`: expected {example}, got {unit!r}") from None


def length_factor(length_unit: str) -> float:
    """Return the length of one `length_unit` in Å.

    Args:
        length_unit: "angstrom", "bohr" or "nm"; upper and lower case are the same.

    Returns:
        The factor: `angstrom = factor * value`.

    Raises:
        ValueError: `length_unit` is not one of these.
    """
    return _factor(_LENGTHS, "length_unit", length_unit, _OTHER_LENGTHS, "bohr")


def energy_factor(energy_unit: str) -> float:
    """Return the energy of one `energy_unit` in eV.

    Args:
        energy_unit: "eV", "meV", "hartree", "rydberg", "kcal/mol" or "kJ/mol"; upper and lower case
            are the same.

    Returns:
        The factor: `ev = factor * value`.

    Raises:
        ValueError: `energy_unit` is not one of these.
    """
    return _factor(_ENERGIES, "energy_unit", energy_unit, _OTHER_ENERGIES, "hartree")


def _factor(
    table: dict[str, float], argument: str, unit: str, others: dict[str, str], atomic: str
) -> float:
    name = str(unit).strip().lower()
    name = atomic if name in _ATOMIC else others.get(name, name)
    if name not in table:
        hint = did_you_mean(name, table)
        raise ValueError(f"`{argument}`: expected one of {sorted(table)}, got {unit!r}{hint}")
    return table[name]
