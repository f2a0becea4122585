"""The potential as an ASE calculator: relaxation, equation of state, molecular dynamics.

    python examples/03_md_ase.py alloy.pt [--steps 200 --temperature 300]

The file alloy.pt is what `python examples/01_train_and_evaluate.py` writes.
"""

import argparse

import numpy as np
from ase import units
from ase.build import bulk
from ase.eos import EquationOfState
from ase.filters import FrechetCellFilter
from ase.io.trajectory import Trajectory
from ase.md.langevin import Langevin
from ase.optimize import BFGS

import nnmd_graph as ng
from nnmd_graph.units import GPA


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="file of a copper-gold potential")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--temperature", type=float, default=300.0, help="K")
    parser.add_argument("--output", default="alloy_md.traj")
    args = parser.parse_args()

    # One calculator serves any structure, of any size and periodicity
    calculator = ng.NNMDCalculator(args.model, skin=0.5)

    crystal = bulk("Cu", a=3.7, cubic=True)
    crystal.numbers[0] = 79  # Cu3Au
    crystal.calc = calculator
    BFGS(FrechetCellFilter(crystal), logfile=None).run(fmax=0.005, steps=100)
    print(f"relaxed Cu3Au: a = {crystal.cell.lengths()[0]:.3f} Å")
    print(f"pressure: {-crystal.get_stress()[:3].mean() / GPA:+.3f} GPa")

    volumes, energies = [], []
    for factor in np.linspace(0.98, 1.02, 7):
        strained = crystal.copy()
        strained.set_cell(crystal.cell * factor, scale_atoms=True)
        strained.calc = calculator
        volumes.append(strained.get_volume())
        energies.append(strained.get_potential_energy())
    bulk_modulus = EquationOfState(volumes, energies).fit(warn=False)[2]
    print(f"bulk modulus: {bulk_modulus / GPA:.0f} GPa")

    atoms = crystal * (3, 3, 3)
    atoms.calc = calculator
    random = np.random.default_rng(0)
    width = np.sqrt(atoms.get_masses() * units.kB * args.temperature)
    atoms.set_momenta(random.normal(size=(len(atoms), 3)) * width[:, None])
    before = calculator.num_rebuilds
    with Trajectory(args.output, "w", atoms) as trajectory:
        dynamics = Langevin(
            atoms,
            timestep=2 * units.fs,
            temperature_K=args.temperature,
            friction=0.01 / units.fs,
            fixcm=False,
            rng=np.random.RandomState(0),
        )
        dynamics.attach(trajectory.write, interval=20)
        for _ in dynamics.irun(args.steps):
            if dynamics.nsteps % 50 == 0:
                temperature = atoms.get_temperature()
                print(f"step {dynamics.nsteps:5d}: {temperature:6.1f} K", flush=True)
    rebuilds = calculator.num_rebuilds - before
    print(f"{args.steps} steps of {len(atoms)} atoms, {rebuilds} neighbour lists")
    print(f"written: {args.output}")


if __name__ == "__main__":
    main()
