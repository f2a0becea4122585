"""A small potential with random weights, baseline and scaling, and structures for it."""

from collections.abc import Callable

import ase
import pytest
import torch
from torch import nn

from nnmd_graph.graph import AtomicGraph
from nnmd_graph.models import BPNN, Potential
from nnmd_graph.nn.scatter import scatter_sum
from nnmd_graph.representations import ACSF, G2, G4

R_C = 3.5


class Coordination(nn.Module):
    """A representation of one's own: the number of neighbours, damped, and a constant."""

    def __init__(self, species: list[int], cutoff: float) -> None:
        super().__init__()
        self.species, self.cutoff, self.num_features = tuple(species), cutoff, 2
        self.power = nn.Parameter(torch.tensor(2.0))

    def hyper_parameters(self) -> dict[str, object]:
        return {"species": list(self.species), "cutoff": self.cutoff}

    def forward(self, graph: AtomicGraph) -> torch.Tensor:
        j, i = graph.edge_index
        vec = graph.pos[j] - graph.pos[i] + graph.edge_cell_shift.to(graph.pos) @ graph.cell[0]
        damped = (1 - vec.norm(dim=-1) / self.cutoff).clamp(min=0) ** self.power
        coordination = scatter_sum(damped, i, graph.num_nodes)
        return torch.stack([coordination, torch.ones_like(coordination)], dim=-1)


@pytest.fixture
def coordination() -> type[Coordination]:
    return Coordination


@pytest.fixture
def acsf() -> ACSF:
    functions = [G2(eta=0.5), G2(eta=2.0, r_s=1.5), G4(eta=0.1, zeta=2.0, lam=-1.0)]
    return ACSF(("C", "H", "O"), R_C, functions)


@pytest.fixture
def make_potential(acsf: ACSF) -> Callable[..., Potential]:
    """A potential whose every number is another one than a new potential has."""

    def make(dtype: torch.dtype = torch.float64, seed: int = 1) -> Potential:
        model = BPNN(acsf, hidden_channels=(6, 5), seed=seed).to(dtype)
        generator = torch.Generator().manual_seed(seed)
        x = torch.rand(60, acsf.num_features, generator=generator, dtype=dtype)
        model.fit_features(x, torch.arange(60) % 3)
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(0.1 * torch.randn(weight.shape, generator=generator, dtype=dtype))
        model.baseline.set({1: -13.6, 6: -1036.2, 8: -2041.3}, scale=0.7)
        return Potential(model)

    return make


@pytest.fixture
def water() -> ase.Atoms:
    return ase.Atoms("OHH", [[0, 0, 0], [0.76, 0.59, 0], [-0.74, 0.61, 0.1]])


@pytest.fixture
def crystal() -> ase.Atoms:
    cell = [[3.0, 0.2, 0.0], [0.0, 3.1, 0.4], [-0.3, 0.0, 2.9]]
    return ase.Atoms("CO", [[0, 0, 0], [1.3, 1.2, 1.1]], cell=cell, pbc=True)


@pytest.fixture
def graph_of() -> Callable[..., AtomicGraph]:
    def make(atoms: ase.Atoms, cutoff: float = R_C, dtype=torch.float64) -> AtomicGraph:
        return AtomicGraph.from_atoms(atoms, cutoff, dtype=dtype)

    return make
