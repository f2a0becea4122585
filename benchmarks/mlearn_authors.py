"""Errors of the mlearn authors' own n2p2 potentials, computed by this package.

    python -m benchmarks.mlearn_authors --data path/to/mlearn

reads potentials/<element>/nnp and <element>_test.extxyz.gz (with --train the training set too) and
prints, for each element, MAE / RMSE beside those that n2p2 itself gave on the same files.

n2p2 leaves out the forces between an atom and periodic images of itself (Mode.cpp:1885, git
61daa0df), which two surface cells of Ni and Cu have. The column "as n2p2" leaves them out as well
and must agree to the printed digits; the column before it has the forces -dE/dr.

Data and potentials: Y. Zuo et al., J. Phys. Chem. A 124, 731 (2020), doi 10.1021/acs.jpca.9b08723.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import ase.io
import torch

from nnmd_graph.formats.n2p2 import load_n2p2
from nnmd_graph.graph import AtomicGraph
from nnmd_graph.models import Potential
from nnmd_graph.nn.scatter import scatter_sum
from nnmd_graph.nn.species import species_ids

HERE = Path(__file__).parent

# n2p2 (nnp-dataset): energy MAE, RMSE in meV/atom, force components MAE, RMSE in eV/Å
N2P2 = {
    "test": {
        "Ni": ("1.52", "2.25", "0.0303", "0.0673"),
        "Cu": ("1.15", "1.68", "0.0262", "0.0630"),
        "Li": ("0.75", "0.98", "0.0168", "0.0234"),
        "Si": ("5.63", "6.93", "0.1086", "0.1697"),
        "Ge": ("4.89", "7.63", "0.0850", "0.1253"),
    },
    "train": {
        "Ni": ("1.59", "2.38", "0.0249", "0.0562"),
        "Cu": ("1.13", "2.13", "0.0217", "0.0512"),
        "Li": ("0.78", "1.24", "0.0169", "0.0613"),
        "Si": ("7.49", "10.92", "0.1028", "0.1689"),
        "Ge": ("5.67", "9.69", "0.1054", "1.2064"),
    },
}


class Errors(NamedTuple):
    """MAE and RMSE of energy per atom (meV/atom) and of force components (eV/Å)."""

    energy: tuple[float, float]
    forces: tuple[float, float]
    forces_as_n2p2: tuple[float, float]


def errors(data: Path, element: str, part: str = "test") -> Errors:
    """Errors of the authors' potential of an element on one of its data sets."""
    folder = data / "potentials" / element / "nnp"
    potential = load_n2p2(folder, length_unit="bohr", energy_unit="hartree")
    frames = ase.io.read(data / f"{element}_{part}.extxyz.gz", ":")
    energy, forces, as_n2p2 = [], [], []
    for atoms in frames:
        graph = AtomicGraph.from_atoms(atoms, potential.cutoff, dtype=torch.float64)
        out = potential(graph, stress=False)
        reference = torch.from_numpy(atoms.get_forces())
        difference = out["energy"].item() - atoms.get_potential_energy()
        energy.append(torch.tensor([1000.0 * difference / len(atoms)]))
        forces.append(out["forces"] - reference)
        as_n2p2.append(out["forces"] + own_image_forces(potential, graph) - reference)
    return Errors(*(_mae_and_rmse(torch.cat(parts)) for parts in (energy, forces, as_n2p2)))


def own_image_forces(potential: Potential, graph: AtomicGraph) -> torch.Tensor:
    """Forces on atoms as neighbours of themselves, with the sign turned, [N, 3] eV/Å."""
    model = potential.model
    neighbor, centre = graph.edge_index
    own = (neighbor == centre).to(graph.pos.dtype).unsqueeze(-1)
    if not own.any():
        return torch.zeros_like(graph.pos)
    x, jacobian = model.representation.jacobian(graph)
    x = x.detach().requires_grad_()
    energy = model.energy_of_features(x, species_ids(graph.z, model.species)).sum()
    (dx,) = torch.autograd.grad(energy, x)
    by_edge = torch.einsum("exf,ef->ex", jacobian, dx[centre])
    return scatter_sum(own * by_edge, centre, len(x))


def _mae_and_rmse(difference: torch.Tensor) -> tuple[float, float]:
    return difference.abs().mean().item(), difference.square().mean().sqrt().item()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared/data/mlearn")
    parser.add_argument("--elements", nargs="+", default=list(N2P2["test"]))
    parser.add_argument("--train", action="store_true", help="the training sets too")
    arguments = parser.parse_args()
    print("| | set | energy, meV/atom | forces, eV/Å | forces as n2p2 | n2p2 | |")
    print("|---|---|---|---|---|---|---|")
    for part in ("test", "train") if arguments.train else ("test",):
        for element in arguments.elements:
            ours, theirs = errors(arguments.data, element, part), N2P2[part][element]
            energy, forces, as_n2p2 = printed(ours)
            same = "same" if (*energy, *as_n2p2) == theirs else "DIFFERENT"
            cells = [" / ".join(pair) for pair in (energy, forces, as_n2p2, theirs)]
            print(f"| {element} | {part} | {' | '.join(cells)} | {same} |", flush=True)


def printed(found: Errors) -> tuple[tuple[str, ...], ...]:
    """Energy, forces and forces as n2p2 has them, with the digits of the table."""
    energy, *forces = found
    return tuple(f"{v:.2f}" for v in energy), *(tuple(f"{v:.4f}" for v in f) for f in forces)


if __name__ == "__main__":
    main()
