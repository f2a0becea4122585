"""How far float32 energies and forces change where a structure is moved, and by rounding alone.

    python -m benchmarks.placement

Each structure is moved rigidly by up to 1e8 Å, its atoms by up to 1e6 lattice vectors, and both.
The same physics must come out. Beside it stands what float32 gives up anyway: the same structure
with its atoms in another order.
"""

import argparse
from collections.abc import Callable, Sequence

import ase
import numpy as np
import torch
from ase.build import bulk, molecule

import nnmd_graph as ng

MOVES = ((1e8, 0), (0.0, 10**6), (-3e7, 3 * 10**5))
"""Rigid shift, Å, and largest number of lattice vectors of each atom."""

CUTOFF = 5.0


def copper(size: int, rattle: float) -> Callable[[int], ase.Atoms]:
    """Give crystals of copper whose atoms are displaced at random, Å."""

    def make(seed: int) -> ase.Atoms:
        atoms = bulk("Cu", cubic=True) * (size, size, size)
        atoms.rattle(rattle, seed=seed)
        return atoms

    return make


def ethanol(seed: int) -> ase.Atoms:
    """Give ethanol out of equilibrium, in a periodic box."""
    atoms = molecule("CH3CH2OH", vacuum=8.0, pbc=True)
    atoms.rattle(0.05, seed=seed)
    return atoms


STRUCTURES = {
    "Cu 32": copper(2, 0.0),
    "Cu 32, displaced by 0.1 Å": copper(2, 0.1),
    "Cu 108, displaced by 0.1 Å": copper(3, 0.1),
    "Cu 256, displaced by 0.3 Å": copper(4, 0.3),
    "ethanol in a box": ethanol,
}


def make_models() -> dict[str, ng.Potential]:
    """Potentials with the weights that they start with."""
    species = [1, 6, 8, 29]
    models: dict[str, ng.EnergyTerm] = {}
    torch.manual_seed(0)
    models["bpnn"] = ng.BPNN(ng.ACSF.auto(species=species, cutoff=CUTOFF), hidden_channels=(32, 32))
    for conv in ("schnet", "painn", "tensornet"):
        models[conv] = ng.GCNN(species=species, cutoff=CUTOFF, conv=conv)
    return {name: ng.Potential(model).float().eval() for name, model in models.items()}


def moved(atoms: ase.Atoms, shift: float, vectors: int, seed: int) -> ase.Atoms:
    """Move all atoms by one vector, and each by whole lattice vectors."""
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=3)
    atoms = atoms.copy()
    whole = rng.integers(-vectors, vectors + 1, (len(atoms), 3))
    atoms.positions += whole @ atoms.cell.array + shift * axis / np.linalg.norm(axis)
    return atoms


def changes(potential: ng.Potential, atoms: ase.Atoms, seed: int) -> list[tuple[float, float]]:
    """Largest changes of energy, eV, and of a force component, eV/Å: by moves, by reordering."""
    energy, forces = predict(potential, atoms)
    found = []
    for shift, vectors in MOVES:
        e, f = predict(potential, moved(atoms, shift, vectors, seed))
        found.append((abs(e - energy), float(np.abs(f - forces).max())))
    order = np.random.default_rng(seed).permutation(len(atoms))
    e, f = predict(potential, atoms[order])
    worst = tuple(max(one[k] for one in found) for k in (0, 1))
    return [(worst[0], worst[1]), (abs(e - energy), float(np.abs(f - forces[order]).max()))]


def predict(potential: ng.Potential, atoms: ase.Atoms) -> tuple[float, np.ndarray]:
    """Energy and forces in float32."""
    graph = ng.AtomicGraph.from_atoms(atoms, CUTOFF, dtype=torch.float32)
    out = potential(graph)
    return float(out["energy"]), out["forces"].double().numpy()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seeds", type=int, default=4, help="structures of each kind")
    seeds = range(parser.parse_args(arguments).seeds)
    print(
        "| structure | model | moved: eV | eV/Å | reordered: eV | eV/Å |\n|---|---|---|---|---|---|"
    )
    for name, make in STRUCTURES.items():
        for model, potential in make_models().items():
            every = np.array([changes(potential, make(seed), seed) for seed in seeds])
            cells = " | ".join(f"{value:.1e}" for value in every.max(0).ravel())
            print(f"| {name} | {model} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
