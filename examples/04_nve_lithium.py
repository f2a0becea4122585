"""Does a lithium potential conserve energy? NVE molecular dynamics of bcc Li, and its drift.

    python examples/04_nve_lithium.py model.pt [--atoms 256 --temperature 300 --time-ps 20
                                                --timestep 1.0 --dtype float64]

The crystal (a = 3.44 Å) is first brought to the temperature by Langevin dynamics. From there NVE
starts with velocities drawn anew, which in equilibrium do not depend on the positions. Two numbers
tell how the total energy moves: the drift, the slope of a straight line through it times the length
of the run, and the largest deviation from its value at the start. A trajectory, the energies
(.csv) and a plot (.png) are written beside each other.
"""

import argparse
import sys

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk

import nnmd_graph as ng
from nnmd_graph.units import MEV
from nnmd_graph.workflow import MDResult, run_md

LATTICE_CONSTANT = 3.44
"""Å."""


def lithium(num_atoms: int) -> Atoms:
    """The cubic block of bcc cells that has so many atoms and is closest to a cube."""
    cells, odd = divmod(num_atoms, 2)
    sizes = [
        (a, b, cells // (a * b))
        for a in range(1, cells + 1)
        for b in range(a, cells // a + 1)
        if cells % (a * b) == 0 and cells // (a * b) >= b
    ]
    if odd or not sizes:
        raise SystemExit(f"--atoms: expected an even number of at least 2, got {num_atoms}")
    return bulk("Li", "bcc", a=LATTICE_CONSTANT, cubic=True) * min(sizes, key=sum)


def largest_deviation(result: MDResult) -> float:
    """Largest change of the total energy since the start, meV/atom."""
    total = result.samples[:, 3]
    return float(np.abs(total - total[0]).max() / len(result.atoms) / MEV)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="file of a lithium potential")
    parser.add_argument("--atoms", type=int, default=256, help="an even number")
    parser.add_argument("--temperature", type=float, default=300.0, help="K")
    parser.add_argument("--time-ps", type=float, default=20.0, help="length of the NVE run, ps")
    parser.add_argument("--equilibration-ps", type=float, default=1.5, help="Langevin before, ps")
    parser.add_argument("--timestep", type=float, default=1.0, help="fs")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float64")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="nve_lithium.traj")
    args = parser.parse_args()

    potential = ng.Potential.load(args.model, device=args.device).to(getattr(torch, args.dtype))
    atoms = lithium(args.atoms)
    print(f"{len(atoms)} atoms of bcc Li, {args.temperature:g} K, {args.timestep:g} fs a step")

    shared = {
        "temperature": args.temperature,
        "timestep": args.timestep,
        "device": args.device,
        "progress": sys.stderr.isatty(),
    }
    print(f"equilibration: {args.equilibration_ps:g} ps of Langevin dynamics", flush=True)
    steps = max(1, round(1000 * args.equilibration_ps / args.timestep))
    hot = run_md(potential, atoms, steps=steps, ensemble="nvt", seed=args.seed, **shared)

    print(f"measurement: {args.time_ps:g} ps of NVE", flush=True)
    steps = max(1, round(1000 * args.time_ps / args.timestep))
    result = run_md(
        potential,
        hot.atoms,
        steps=steps,
        ensemble="nve",
        seed=args.seed + 1,
        output=args.output,
        overwrite=True,
        **shared,
    )
    temperature = result.samples[:, 4]
    print(f"temperature          {temperature.mean():.1f} ± {temperature.std():.1f} K")
    print(f"time per step        {1000 * result.seconds / steps:.2f} ms")
    print(f"neighbour lists      {result.num_rebuilds} in {steps} steps")
    print(f"energy drift         {result.drift:+.5f} meV/atom in {args.time_ps:g} ps")
    print(f"largest deviation    {largest_deviation(result):.5f} meV/atom")
    for kind, path in result.files.items():
        print(f"{kind:<20} {path}")


if __name__ == "__main__":
    main()
