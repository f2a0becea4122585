"""A representation of one's own: any module `AtomicGraph -> x [N, F]` makes an energy model.

    python examples/02_custom_representation.py [--frames 40 --epochs 40 --output shells.pt]

`GaussianShells` weights each neighbour by its element with trainable numbers. Forces, stress,
training, evaluation, files and the ASE calculator then work as for every other model.
"""

import argparse
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from torch import Tensor, nn

import nnmd_graph as ng
from nnmd_graph.graph import edge_vectors
from nnmd_graph.models.checkpoint import register
from nnmd_graph.models.readout import ElementReadout
from nnmd_graph.nn.cutoff import CutoffFunction
from nnmd_graph.nn.scatter import scatter_sum
from nnmd_graph.nn.species import species_ids, species_tuple
from nnmd_graph.representations.scaling import FeatureScaler


@register  # Potential.load finds the class by its name
class GaussianShells(nn.Module):
    """x_i,k = sum_j w_s(j) exp(-(r_ij - r_k)^2 / d^2) f_c(r_ij), the weights w trainable."""

    def __init__(self, species: list[int | str], cutoff: float, num_shells: int = 16) -> None:
        super().__init__()
        self.species, self.cutoff = species_tuple(species), cutoff
        self.num_shells = self.num_features = num_shells
        self.weight = nn.Parameter(torch.linspace(1.0, 2.0, len(self.species)))

    def forward(self, graph: ng.AtomicGraph) -> Tensor:
        """Features of all atoms, [N, num_shells]."""
        neighbor, centre = graph.edge_index
        edge_dist = edge_vectors(graph).norm(dim=1)  # differentiable in pos and cell
        shells = torch.linspace(1.0, self.cutoff, self.num_shells).to(edge_dist)
        width = shells[1] - shells[0]
        # Zero beyond the cutoff: graphs may reach further, as the calculator's do
        edge_weight = CutoffFunction("cosine")(edge_dist, self.cutoff)
        edge_weight = edge_weight * self.weight[species_ids(graph.z[neighbor], self.species)]
        edge_attr = torch.exp(-(((edge_dist[:, None] - shells) / width) ** 2))
        return scatter_sum(edge_attr * edge_weight[:, None], centre, len(graph.z))

    def hyper_parameters(self) -> dict[str, Any]:
        """Plain values: `GaussianShells(**hyper_parameters)` is this module without its weights."""
        return {
            "species": list(self.species),
            "cutoff": self.cutoff,
            "num_shells": self.num_shells,
        }


def make_frames(count: int) -> list[Atoms]:
    """Copper crystals of other lattice constants, rattled."""
    frames = []
    for seed, a in enumerate(np.linspace(3.5, 3.7, count)):
        atoms = bulk("Cu", a=a, cubic=True) * (2, 2, 2)
        atoms.rattle(0.05, seed=seed)
        atoms.calc = EMT()
        atoms.get_forces()  # the calculator of each frame keeps energy and forces
        frames.append(atoms)
    return frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--output", default="shells.pt")
    args = parser.parse_args()

    dataset = ng.AtomsDataset(make_frames(args.frames), cutoff=5.0)
    train, val, test = dataset.split(train=0.8, val=0.1, test=0.1, seed=0)

    shells = GaussianShells(dataset.species, cutoff=5.0)
    num_species, num_features = len(shells.species), shells.num_features
    model = ng.EnergyModel(
        shells,
        ElementReadout(num_species, num_features, hidden_channels=(32, 32)),
        scaler=FeatureScaler(num_species, num_features),
    )  # the same as ng.BPNN(shells, hidden_channels=(32, 32))
    potential = ng.Potential(model)
    trainer = ng.Trainer(learning_rate=0.01, max_epochs=args.epochs, seed=0, device="cpu")
    trainer.fit(potential, train, val)
    print(ng.evaluate(potential, test))
    print("weights of the elements:", shells.weight.tolist())

    potential.save(args.output)
    again = ng.Potential.load(args.output)
    graph = test[0]
    same = torch.equal(potential(graph)["forces"], again(graph)["forces"])
    print(f"written: {args.output}; the same forces after loading: {same}")


if __name__ == "__main__":
    main()
