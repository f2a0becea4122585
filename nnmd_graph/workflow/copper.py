"""A small data set of copper to try things on, labelled by an effective-medium potential.

    python -m nnmd_graph.workflow.copper copper.extxyz

ASE's EMT stands in for DFT: it has energies, forces and stresses of the same kind and takes
milliseconds. The structures are what one would compute for a real metal: strained and rattled
crystals, snapshots of hot ones, surfaces; all of 32 atoms or fewer.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import ase.io
import numpy as np
from ase import Atoms, units
from ase.build import bulk, fcc100, fcc110, fcc111
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.md.langevin import Langevin

NUM_STRAINED = 60
TEMPERATURES = (300, 600, 900, 1200)
SNAPSHOTS = 15
STEPS_BETWEEN = 6
RATTLED_SURFACES = 12


def copper_frames(seed: int = 0) -> list[Atoms]:
    """Make the data set.

    Args:
        seed: of everything that is drawn.

    Returns:
        156 structures with energy, forces and stress; `config_type` in `info` tells the kind.
    """
    random = np.random.RandomState(seed)
    frames = [*_strained(random), *_hot(random), *_surfaces(random)]
    return [_labelled(atoms) for atoms in frames]


def _crystal() -> Atoms:
    return bulk("Cu", cubic=True) * (2, 2, 2)


def _strained(random: np.random.RandomState) -> Iterator[Atoms]:
    """Crystals under strain of up to 4 %, atoms displaced by up to 0.1 Å."""
    for _ in range(NUM_STRAINED):
        atoms = _crystal()
        strain = random.uniform(-0.04, 0.04, (3, 3))
        atoms.set_cell(atoms.cell @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
        atoms.positions += random.uniform(0, 0.10) * random.standard_normal((len(atoms), 3))
        atoms.info["config_type"] = "strained"
        yield atoms


def _hot(random: np.random.RandomState) -> Iterator[Atoms]:
    """Snapshots of Langevin dynamics."""
    for temperature in TEMPERATURES:
        atoms = _crystal()
        # Displacements of a harmonic crystal save the time of heating it
        atoms.positions += 0.004 * np.sqrt(temperature) * random.standard_normal((len(atoms), 3))
        atoms.calc = EMT()
        width = np.sqrt(atoms.get_masses() * units.kB * temperature)[:, None]
        atoms.set_momenta(random.standard_normal((len(atoms), 3)) * width)
        dynamics = Langevin(
            atoms, 5 * units.fs, temperature_K=temperature, friction=0.02 / units.fs,
            fixcm=False, rng=random,
        )  # fmt: skip
        for _ in range(SNAPSHOTS):
            dynamics.run(STEPS_BETWEEN)
            snapshot = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
            snapshot.info["config_type"] = f"{temperature} K"
            yield snapshot


def _surfaces(random: np.random.RandomState) -> Iterator[Atoms]:
    """Slabs with rattled atoms; the cell keeps its third vector, but nothing repeats along it."""
    for build in (fcc100, fcc110, fcc111):
        for _ in range(RATTLED_SURFACES):
            slab = build("Cu", size=(2, 2, 4), vacuum=6.0)
            atoms = Atoms(slab.numbers, slab.positions, cell=slab.cell, pbc=(True, True, False))
            atoms.positions += random.uniform(0, 0.12) * random.standard_normal((len(atoms), 3))
            atoms.info["config_type"] = build.__name__
            yield atoms


def _labelled(atoms: Atoms) -> Atoms:
    atoms.calc = EMT()
    energy, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces, stress=stress)
    return atoms


if __name__ == "__main__":
    ase.io.write(sys.argv[1], copper_frames())
