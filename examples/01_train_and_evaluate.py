"""From structures to a potential: label, split, train, evaluate, save, load.

    python examples/01_train_and_evaluate.py [--frames 60 --epochs 60 --output alloy.pt]

ASE's effective-medium potential (EMT) labels small copper-gold crystals here, in place of DFT. With
data of your own only the first step changes: `ng.AtomsDataset.read("li.extxyz", cutoff=5.0)`.
"""

import argparse

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

import nnmd_graph as ng
from nnmd_graph.evaluation import parity, predict


def make_frames(count: int, seed: int = 0) -> list[Atoms]:
    """Random alloys of 32 atoms, strained and rattled, with energy, forces and stress."""
    random = np.random.default_rng(seed)
    frames = []
    for _ in range(count):
        gold = random.random()
        atoms = bulk("Cu", a=3.6 + 0.5 * gold, cubic=True) * (2, 2, 2)
        atoms.numbers[random.random(len(atoms)) < gold] = 79
        strain = random.uniform(-0.03, 0.03, (3, 3))
        atoms.set_cell(atoms.cell @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
        atoms.positions += random.normal(0.0, 0.06, (len(atoms), 3))
        atoms.calc = EMT()
        labels = {
            "energy": atoms.get_potential_energy(),
            "forces": atoms.get_forces(),
            "stress": atoms.get_stress(),
        }
        # Labels that stay with these coordinates, as the readers of DFT output make them
        atoms.calc = SinglePointCalculator(atoms, **labels)
        frames.append(atoms)
    return frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=60, help="structures to make")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--cutoff", type=float, default=5.0, help="Å")
    parser.add_argument("--output", default="alloy.pt")
    args = parser.parse_args()

    # 1. Data: graphs of everything closer than the cutoff, divided by a seeded draw
    dataset = ng.AtomsDataset(make_frames(args.frames), cutoff=args.cutoff)
    train, val, test = dataset.split(train=0.8, val=0.1, test=0.1, seed=0)
    print(dataset)

    # 2. Model: symmetry functions, one net per element, then forces and stress by derivatives
    acsf = ng.ACSF.auto(species=dataset.species, cutoff=args.cutoff)
    potential = ng.Potential(ng.BPNN(acsf, hidden_channels=(32, 32)))
    print(potential.model.representation)

    # 3. Training: loss = 100 MSE(E/N) + 1 MSE(F) + 100 MSE(S) in eV, eV/Å, eV/Å^3
    loss = ng.EnergyForcesLoss(energy=100.0, forces=1.0, stress=100.0)
    trainer = ng.Trainer(loss=loss, max_epochs=args.epochs, seed=0, device="cpu", progress=True)
    history = trainer.fit(potential, train, val)
    print(f"{len(history)} epochs, {history[-1]['seconds']:.1f} s")

    # 4. Evaluation on structures that training never saw
    print(ng.evaluate(potential, test))
    parity(predict(potential, test), "alloy_parity.png", title="test set")

    # 5. A file: hyper-parameters and weights, no code
    potential.save(args.output)
    again = ng.Potential.load(args.output)
    graph = ng.AtomicGraph.from_atoms(test.frames[0], cutoff=again.cutoff)
    out = again(graph)
    print({name: tuple(value.shape) for name, value in out.items()})
    print(f"written: {args.output}, alloy_parity.png")


if __name__ == "__main__":
    main()
