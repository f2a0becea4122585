"""Going on from a trained potential: a new element and another level of theory.

    python examples/08_transfer.py [--frames 40 --few 8 --epochs 60]

A potential is trained on copper. Then it learns gold from a few structures of an alloy, whose
energies are shifted, as those of another DFT code would be; a second one learns the same structures
from random weights. What the first one knew about copper is exact at the start.
"""

import argparse

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

import nnmd_graph as ng
from nnmd_graph.models import extend_species

CUTOFF = 4.0
SHIFT = {"Cu": -100.0, "Au": -300.0}  # eV for each atom: the other level of theory


def make_frames(count: int, seed: int, gold: int = 0, shift: bool = False) -> list[Atoms]:
    """Rattled crystals of copper with up to ``gold`` atoms of gold in a cell of four."""
    random = np.random.default_rng(seed)
    frames = []
    for n in range(count):
        atoms = bulk("Cu", a=random.uniform(3.55, 3.8), cubic=True)
        atoms.symbols[: n % (gold + 1)] = "Au"
        atoms.positions += random.normal(scale=0.08, size=(4, 3))
        atoms.calc = EMT()
        forces, energy = atoms.get_forces(), atoms.get_potential_energy()
        energy += sum(SHIFT[s] for s in atoms.symbols) if shift else 0.0
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
        frames.append(atoms)
    return frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=40, help="structures of copper")
    parser.add_argument("--few", type=int, default=8, help="structures of the alloy")
    parser.add_argument("--epochs", type=int, default=60)
    args = parser.parse_args()

    copper = ng.AtomsDataset(make_frames(args.frames, seed=0), CUTOFF)
    few = ng.AtomsDataset(make_frames(args.few, seed=1, gold=2, shift=True), CUTOFF)
    test = ng.AtomsDataset(make_frames(20, seed=2, gold=2, shift=True), CUTOFF)
    options = {"num_radial": 6, "num_angular": 2, "zeta": (1.0, 4.0)}
    settings = {"max_epochs": args.epochs, "device": "cpu", "seed": 0}

    old = ng.Potential(ng.BPNN(ng.ACSF.auto(["Cu"], CUTOFF, **options), hidden_channels=(16,)))
    ng.Trainer(**settings).fit(old, copper)
    old.save("copper.pt")

    tuned = extend_species(old, "Au")
    graph = copper[0]
    change = float((tuned(graph)["forces"] - old(graph)["forces"]).abs().max())
    print(f"forces of copper after gold was added differ by {change:.1e} eV/Å")

    loss = ng.EnergyForcesLoss(element_weights="balanced")  # gold is rare
    ng.Trainer(init="copper.pt", loss=loss, learning_rate=2e-3, **settings).fit(tuned, few)
    both = ng.ACSF.auto(["Cu", "Au"], CUTOFF, **options)
    scratch = ng.Potential(ng.BPNN(both, hidden_channels=(16,)))
    ng.Trainer(loss=loss, **settings).fit(scratch, few)
    for name, potential in (("fine-tuned", tuned), ("from scratch", scratch)):
        errors = ng.evaluate(potential, test)
        print(
            f"{name:12}: energy {errors['energy_mae']:7.1f} meV/atom, "
            f"forces {errors['forces_mae']:6.1f} meV/Å"
        )
    tuned.save("alloy.pt")


if __name__ == "__main__":
    main()
