"""Potentials, structures and results of n2p2 (C++, double precision), as text files.

Only what the tests compare is read: symmetry functions of type 2, 3 and 9, tanh networks, scaling
to the range with centring or none. Lengths become Å and energies eV while reading.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ase
import numpy as np
import pytest
from ase.data import atomic_numbers
from ase.units import Bohr, Hartree

from nnmd_graph.representations import G2, G4, G5, SymmetryFunction

CUTOFF_FUNCTIONS = {1: "cosine", 2: "tanh3"}


@dataclass(frozen=True)
class Reference:
    """One case: what n2p2 read, and what it gave."""

    folder: Path
    length: float  # Å of one unit of length of the files
    energy: float  # eV of one unit of energy

    def rows(self, name: str) -> np.ndarray:
        """Numbers of a table, one row a line."""
        return np.loadtxt(self.folder / name, comments="#", ndmin=2)

    def weights(self, z: int) -> np.ndarray:
        """Weights and biases of an element's net, in n2p2's order: the first column."""
        return np.loadtxt(self.folder / f"weights.{z:03d}.data", comments="#", usecols=0)

    def table(self, name: str) -> dict[int, list[list[float]]]:
        """Rows by structure (first column), of tables with rows of several lengths."""
        found: dict[int, list[list[float]]] = {}
        for line in (self.folder / name).read_text().splitlines():
            if not line.startswith("#"):
                number, *values = (float(word) for word in line.split())
                found.setdefault(int(number), []).append(values)
        return found

    def setting(self, key: str, default: str | None = None) -> str | None:
        """The words behind a key of input.nn."""
        for line in (self.folder / "input.nn").read_text().splitlines():
            words = line.split("#")[0].split()
            if words and words[0] == key:
                return " ".join(words[1:])
        return default

    @property
    def cutoff_function(self) -> str:
        return CUTOFF_FUNCTIONS[int(self.setting("cutoff_type").split()[0])]

    @property
    def elements(self) -> tuple[int, ...]:
        return tuple(sorted(atomic_numbers[s] for s in self.setting("elements").split()))

    def functions(self) -> dict[int, list[SymmetryFunction]]:
        """Functions of each central element, in the order of n2p2's network inputs.

        sf_index.dat names, for each place in that order, the line of input.nn.
        """
        lines = (self.folder / "input.nn").read_text().splitlines()
        found: dict[int, list[SymmetryFunction]] = {z: [] for z in self.elements}
        for row in (self.folder / "sf_index.dat").read_text().splitlines():
            if not row.startswith("#"):
                words = lines[int(row.split()[2]) - 1].split("#")[0].split()
                found[atomic_numbers[words[1]]].append(self._function(words[2:]))
        return found

    def _function(self, words: list[str]) -> SymmetryFunction:
        kind, words = int(words[0]), words[1:]
        if kind == 2:
            eta, r_s, cutoff = (float(word) for word in words[1:])
            neighbors: tuple[str, ...] = (words[0],)
            angular = {}
        else:
            eta, lam, zeta, cutoff, r_s = (*(float(word) for word in words[2:]), 0.0)[:5]
            neighbors, angular = (words[0], words[1]), {"lam": lam, "zeta": zeta}
        return {2: G2, 3: G4, 9: G5}[kind](
            eta=eta / self.length**2,
            r_s=r_s * self.length,
            cutoff=cutoff * self.length,
            neighbors=neighbors,
            **angular,
        )

    def structures(self) -> dict[int, ase.Atoms]:
        """Structures by their number, counted from 1."""
        found: dict[int, ase.Atoms] = {}
        for line in (self.folder / "input.data").read_text().splitlines():
            words = line.split()
            if words[0] == "begin":
                symbols, positions, cell = [], [], []
            elif words[0] == "lattice":
                cell.append([float(word) for word in words[1:4]])
            elif words[0] == "atom":
                positions.append([float(word) for word in words[1:4]])
                symbols.append(words[4])
            elif words[0] == "end":
                atoms = ase.Atoms(symbols, np.array(positions) * self.length)
                if cell:
                    atoms.set_cell(np.array(cell) * self.length)
                    atoms.pbc = True
                found[len(found) + 1] = atoms
        return found

    def features(self) -> dict[int, list[np.ndarray]]:
        """Values of the functions at each atom, by structure."""
        return {n: [np.array(r[3:]) for r in rows] for n, rows in self.table("sf.dat").items()}

    def forces(self) -> dict[int, np.ndarray]:
        """-dE/dpos in eV/Å; n2p2's own forces miss parts where atoms see images of themselves."""
        found = {n: np.array(rows)[:, 5:8] for n, rows in self.table("atoms.dat").items()}
        if (self.folder / "forces_selfimage_corrected.dat").exists():
            corrected = self.table("forces_selfimage_corrected.dat")
            found |= {n: np.array(rows)[:, 1:4] for n, rows in corrected.items()}
        return {n: values * self.energy / self.length for n, values in found.items()}

    def energies(self) -> dict[int, float]:
        return {int(row[0]): row[3] * self.energy for row in self.rows("energies.dat")}


@pytest.fixture
def n2p2(shared: Path) -> Callable[[str], Reference]:
    """Open a case by its name; skip where it is absent."""

    def read(name: str) -> Reference:
        folder = shared / "reference" / "n2p2" / name
        if not folder.is_dir():
            pytest.skip(f"no reference numbers of n2p2 in {folder}")
        in_bohr = not name.startswith("Cu_")
        return Reference(folder, Bohr if in_bohr else 1.0, Hartree if in_bohr else 1.0)

    return read
