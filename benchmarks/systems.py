"""Structures and potentials to be timed.

Heavy imports stay inside the functions, as in `benchmarks.timing`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ase import Atoms

    from nnmd_graph import Potential

CUTOFF = 6.0
RATTLE = 0.1


@dataclass(frozen=True)
class Folder:
    """A potential in n2p2's files, with structures; the first one is timed."""

    name: str
    length_unit: str = "angstrom"
    energy_unit: str = "eV"


FOLDERS = {
    "water_192": Folder("H2O_RPBE-D3", "bohr", "hartree"),
    "water_1080": Folder("H2O_RPBE-D3_1080", "bohr", "hartree"),
    "Cu2S_144": Folder("Cu2S_PBE"),
    "Cu_narrow_G4": Folder("Cu_narrow_G4"),
    "Cu_wide_G5": Folder("Cu_wide_G5"),
    "DMABN_polynomial": Folder("DMABN_SCAN"),
}
COPPER = "copper_4000"


@dataclass(frozen=True)
class System:
    """A structure, its potential in float64, and n2p2's files of both (None: there are none)."""

    atoms: Atoms
    potential: Potential
    folder: Path | None = None
    energy_unit: str = "eV"


def system(case: str, reference: Path | None) -> System:
    """Load or make a case: a name of `FOLDERS`, or `copper_<number of atoms>`."""
    if re.fullmatch(r"copper_\d+", case):
        atoms = copper_crystal(int(case.removeprefix("copper_")))
        return System(atoms, copper_potential())
    if case not in FOLDERS or reference is None:
        raise SystemExit(f"case: expected one of {[*FOLDERS]} or copper_N, got {case}")
    import torch

    from nnmd_graph.data.reading.runner import read_runner
    from nnmd_graph.formats.n2p2.read import load_n2p2

    folder = FOLDERS[case]
    path = reference / folder.name
    units = {"length_unit": folder.length_unit, "energy_unit": folder.energy_unit}
    frames = read_runner(path / "input.data", **units)
    potential = load_n2p2(path, **units).to(torch.float64)
    return System(frames[0], potential, path, folder.energy_unit)


def copper_crystal(num_atoms: int) -> Atoms:
    """A block of fcc copper, as near to a cube as the number allows, atoms moved by 0.1 Å."""
    from ase.build import bulk

    cells = num_atoms / 4
    a = max(1, round(cells ** (1 / 3)))
    b = max(1, round((cells / a) ** 0.5))
    c = max(1, round(cells / (a * b)))
    atoms = bulk("Cu", cubic=True) * (a, b, c)
    atoms.rattle(RATTLE, seed=0)
    return atoms


def copper_potential() -> Potential:
    """8 G2 and 24 G5 as wide as in the n2p2 case Cu_wide_G5, and a net with random weights."""
    import torch

    from nnmd_graph import ACSF, BPNN, G2, G5, Potential

    radial = [G2(eta=eta, r_s=0.0) for eta in (0.01, 0.1)]
    radial += [G2(eta=2.0, r_s=r_s) for r_s in (2.2, 2.8, 3.4, 4.0, 4.6, 5.2)]
    angular = [
        G5(eta=eta, zeta=zeta, lam=lam)
        for eta in (0.001, 0.01, 0.03)
        for zeta in (1, 2, 4, 16)
        for lam in (-1, 1)
    ]
    torch.manual_seed(0)
    acsf = ACSF(["Cu"], CUTOFF, [*radial, *angular])
    return Potential(BPNN(acsf, hidden_channels=(32, 32), activation="tanh")).to(torch.float64)
