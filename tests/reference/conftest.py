"""Potentials, structures and results of n2p2 (C++, double precision), as text files."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ase
import numpy as np
import pytest

from nnmd_graph.data.reading.runner import read_runner
from nnmd_graph.formats.n2p2 import load_n2p2
from nnmd_graph.models import Potential
from nnmd_graph.units import energy_factor, length_factor

# Of the cases' READMEs; all others are in bohr and hartree
UNITS = {
    "Cu2S_PBE": ("angstrom", "eV"),
    "Cu_narrow_G4": ("angstrom", "eV"),
    "Cu_wide_G5": ("angstrom", "eV"),
    "QM9_12_13": ("angstrom", "hartree"),
}


@dataclass(frozen=True)
class Reference:
    """One case: what n2p2 read, and what it gave. Numbers of structures begin at 1."""

    folder: Path

    @property
    def units(self) -> dict[str, str]:
        """Arguments of `load_n2p2` and `read_runner`."""
        units = UNITS.get(self.folder.name, ("bohr", "hartree"))
        return dict(zip(("length_unit", "energy_unit"), units, strict=True))

    @property
    def energy(self) -> float:
        """eV of one unit of energy of the files."""
        return energy_factor(self.units["energy_unit"])

    @property
    def force(self) -> float:
        """eV/Å of one unit of force of the files."""
        return self.energy / length_factor(self.units["length_unit"])

    def potential(self) -> Potential:
        return load_n2p2(self.folder, **self.units)

    def structures(self) -> dict[int, ase.Atoms]:
        return dict(enumerate(read_runner(self.folder / "input.data", **self.units), start=1))

    def rows(self, name: str) -> np.ndarray:
        """Numbers of a table, one row a line."""
        return np.loadtxt(self.folder / name, comments="#", ndmin=2)

    def table(self, name: str) -> dict[int, list[list[float]]]:
        """Rows by structure (first column), of tables with rows of several lengths."""
        found: dict[int, list[list[float]]] = {}
        for line in (self.folder / name).read_text().splitlines():
            if not line.startswith("#"):
                number, *values = (float(word) for word in line.split())
                found.setdefault(int(number), []).append(values)
        return found

    def features(self) -> dict[int, list[np.ndarray]]:
        """Values of the functions at (the first) atoms; by definition, where n2p2 errs."""
        single = (self.folder / "sf_single.dat").exists()
        table = self.table("sf_single.dat" if single else "sf.dat")
        return {n: [np.array(row[3:]) for row in rows] for n, rows in table.items()}

    def scaled_features(self) -> dict[int, list[np.ndarray]]:
        """Inputs of the nets; none where there is no such table."""
        if not (self.folder / "sf_scaled.dat").exists():
            return {}
        table = self.table("sf_scaled.dat")
        return {n: [np.array(row[2:]) for row in rows] for n, rows in table.items()}

    def energies(self) -> dict[int, float]:
        return {int(row[0]): row[3] * self.energy for row in self.rows("energies.dat")}

    def forces(self) -> dict[int, np.ndarray]:
        """-dE/dpos in eV/Å; n2p2's own forces miss parts where atoms see images of themselves."""
        found = {n: np.array(rows)[:, 5:8] for n, rows in self.table("atoms.dat").items()}
        if (self.folder / "forces_selfimage_corrected.dat").exists():
            corrected = self.table("forces_selfimage_corrected.dat")
            found |= {n: np.array(rows)[:, 1:4] for n, rows in corrected.items()}
        return {n: values * self.force for n, values in found.items()}


@pytest.fixture
def n2p2(shared: Path) -> Callable[[str], Reference]:
    """Open a case by its name; skip where it is absent."""

    def read(name: str) -> Reference:
        folder = shared / "reference" / "n2p2" / name
        if not folder.is_dir():
            pytest.skip(f"no reference numbers of n2p2 in {folder}")
        return Reference(folder)

    return read
