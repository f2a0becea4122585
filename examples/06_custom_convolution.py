"""A graph convolution of one's own in twenty lines: any module with `edge_attr`.

    python examples/06_custom_convolution.py [--frames 40 --epochs 40 --output gated.pt]

`GatedConv` multiplies neighbours by a filter of their distance and a gate of both atoms. Handed to
`GCNN` it is trained, saved and used like `"schnet"` or `"painn"`. Convolutions of PyG that take
`edge_attr` are handed in as they are: `ng.GCNN(species, cutoff, torch_geometric.nn.CGConv)`.
"""

import argparse

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from torch import Tensor, nn

import nnmd_graph as ng
from nnmd_graph.models import GCNN
from nnmd_graph.nn.conv import register_convolution
from nnmd_graph.nn.scatter import scatter_sum, take


@register_convolution  # Potential.load finds the class by its name
class GatedConv(nn.Module):
    """x'_i = x_i + sum_j sigmoid(A x_i + B x_j) (C x_j) (D e_ij)."""

    def __init__(self, hidden_channels: int, num_rbf: int) -> None:
        super().__init__()
        self.centre = nn.Linear(hidden_channels, hidden_channels)
        self.neighbor = nn.Linear(hidden_channels, 2 * hidden_channels)
        self.filter = nn.Linear(num_rbf, hidden_channels, bias=False)

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        """Features after the convolution, [N, H], from x [N, H] and edge_attr [E, K]."""
        j, i = edge_index  # neighbour, centre
        of_neighbor, value = self.neighbor(x).chunk(2, dim=-1)
        gate = torch.sigmoid(take(self.centre(x), i) + take(of_neighbor, j))
        # edge_attr vanishes at the cutoff, so this message does; a bias would need edge_weight
        message = gate * take(value, j) * self.filter(edge_attr)
        return x + scatter_sum(message, i, len(x))


def make_frames(count: int) -> list[Atoms]:
    """Crystals of copper with some gold, rattled."""
    frames = []
    for seed, a in enumerate(np.linspace(3.6, 3.8, count)):
        atoms = bulk("Cu", a=a, cubic=True) * (2, 2, 2)
        atoms.symbols[: 1 + seed % 8] = "Au"
        atoms.rattle(0.05, seed=seed)
        atoms.calc = EMT()
        atoms.get_forces()  # the calculator of each frame keeps energy and forces
        frames.append(atoms)
    return frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--output", default="gated.pt")
    args = parser.parse_args()

    dataset = ng.AtomsDataset(make_frames(args.frames), cutoff=4.0)
    train, val, test = dataset.split(train=0.8, val=0.1, test=0.1, seed=0)

    model = GCNN(dataset.species, cutoff=4.0, conv=GatedConv, num_layers=2, hidden_channels=32)
    potential = ng.Potential(model)
    trainer = ng.Trainer(learning_rate=0.005, max_epochs=args.epochs, seed=0, device="cpu")
    trainer.fit(potential, train, val)
    print(ng.evaluate(potential, test))

    potential.save(args.output)
    again = ng.Potential.load(args.output)
    graph = test[0]
    same = torch.equal(potential(graph)["forces"], again(graph)["forces"])
    print(f"written: {args.output}; the same forces after loading: {same}")


if __name__ == "__main__":
    main()
