"""Several models under one protocol: same data, loss and budget; accuracy beside cost.

    python examples/07_compare.py [--frames 60 --epochs 60 --seeds 2 --output comparison]

ASE's effective-medium potential (EMT) labels small copper-gold crystals here, in place of DFT. The
same as a file for `nnmd-graph compare` is written to the folder, as comparison.yaml. Stop it at any
time; with --resume it goes on. Look at report.html in the folder.
"""

import argparse
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

import nnmd_graph as ng

CUTOFF = 4.5
MODELS = {
    "bpnn": {"name": "bpnn", "cutoff": CUTOFF},
    "cgcnn": {"name": "gcnn", "cutoff": CUTOFF, "convolutions": {"conv": "cgcnn"}},
    "painn": {"name": "gcnn", "cutoff": CUTOFF, "convolutions": {"conv": "painn"}},
}


def make_frames(count: int, seed: int = 0) -> list[Atoms]:
    """Random alloys of 8 atoms, strained and rattled, with energy and forces."""
    random = np.random.default_rng(seed)
    frames = []
    for _ in range(count):
        gold = random.random()
        atoms = bulk("Cu", a=3.6 + 0.5 * gold, cubic=True) * (2, 1, 1)
        atoms.numbers[random.random(len(atoms)) < gold] = 79
        strain = random.uniform(-0.03, 0.03, (3, 3))
        atoms.set_cell(atoms.cell @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
        atoms.positions += random.normal(0.0, 0.06, (len(atoms), 3))
        atoms.calc = EMT()
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
        frames.append(atoms)
    return frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=60, help="structures to make")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each model")
    parser.add_argument("--width", type=int, default=32, help="of the nets")
    parser.add_argument("--output", type=Path, default=Path("comparison"))
    parser.add_argument("--resume", action="store_true", help="go on with what is there")
    args = parser.parse_args()

    # 1. Data in a file, so that the comparison can be resumed
    data = args.output.with_name("alloys.extxyz")
    ase.io.write(data, make_frames(args.frames))

    # 2. What all models share, and what each of them is
    models = {name: dict(model) for name, model in MODELS.items()}
    models["bpnn"]["hidden_channels"] = [args.width, args.width]
    for name in ("cgcnn", "painn"):
        convolutions = {"num_layers": 2, "hidden_channels": args.width}
        models[name]["convolutions"] = MODELS[name]["convolutions"] | convolutions
    settings = {
        "data": {"train": str(data)},
        "training": {"max_epochs": args.epochs},
        "seeds": list(range(args.seeds)),
        "nve": {"steps": 50, "timestep": 2.0},
        "models": models,
    }

    # 3. Train all of them, measure, report
    comparison = ng.compare(settings, output=args.output, resume=args.resume, say=print)
    print(comparison)

    # 4. Trained models on other data
    other = ng.AtomsDataset(make_frames(10, seed=1), cutoff=CUTOFF)
    runs = {name: args.output / "runs" / name / "seed-0" for name in models}
    print("\nOther structures:")
    print(ng.compare(runs, other))


if __name__ == "__main__":
    main()
