"""Graph convolutions as a representation: edges, cutoff, receptive field, arguments."""

from typing import Any

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from torch import Tensor, nn
from torch_geometric.data import Batch

from nnmd_graph.graph import AtomicGraph, edge_vectors
from nnmd_graph.nn.conv import CONVOLUTIONS
from nnmd_graph.nn.conv.registry import both_ways
from nnmd_graph.representations.graph_convolutions import GraphConvolutions

pytestmark = pytest.mark.usefixtures("float64")
R_C = 3.4

each_conv = pytest.mark.parametrize("conv", ["schnet", "cgcnn", "painn", "gat", "tensornet"])


def made(species: Any = ("C", "H", "O"), conv: Any = "schnet", **options: Any) -> GraphConvolutions:
    settings = {"num_layers": 2, "hidden_channels": 8, "num_rbf": 5} | options
    return GraphConvolutions(species, R_C, conv, **settings)


def graph_of(atoms: ase.Atoms, cutoff: float = R_C) -> AtomicGraph:
    return AtomicGraph.from_atoms(atoms, cutoff, dtype=torch.float64)


def silicon() -> ase.Atoms:
    """Neighbours of an atom among its own images, too."""
    return bulk("Si", "sc", a=2.6)


@pytest.mark.parametrize("atoms", [molecule("CH3CH2OH"), silicon(), bulk("Si").repeat((2, 1, 1))])
@pytest.mark.parametrize("further", [0.0, 0.9])
def test_pairs_are_half_of_the_edges(atoms: ase.Atoms, further: float) -> None:
    atoms.rattle(0.02, seed=1)
    module = made(set(atoms.symbols))
    both = both_ways(module.half_edges(graph_of(atoms, R_C + further)))
    graph = graph_of(atoms)

    def rows(edge_index: Tensor, vec: Tensor) -> np.ndarray:
        table = torch.cat([edge_index.T.to(vec), vec], dim=1).numpy().round(9)
        return table[np.lexsort(table.T)]

    edge_vec = edge_vectors(graph)
    expected = rows(graph.edge_index, torch.nn.functional.normalize(edge_vec))
    np.testing.assert_array_equal(rows(both["edge_index"], both["edge_unit"]), expected)
    edge_attr, edge_weight = module.radial(edge_vec.norm(dim=1))
    for one, other in ((edge_attr, both["edge_attr"]), (edge_weight, both["edge_weight"])):
        torch.testing.assert_close(one.sum(0), other.sum(0))


def test_a_half_list_is_refused() -> None:
    graph = graph_of(molecule("H2O"))
    graph.edge_index, graph.edge_cell_shift = graph.edge_index[:, :3], graph.edge_cell_shift[:3]
    with pytest.raises(ValueError, match="`graph`: expected each edge in both directions, got 3"):
        made()(graph)


@each_conv
def test_atoms_see_as_far_as_the_layers_reach(conv: str) -> None:
    """In a chain with one neighbour on either side, one atom further with each layer."""
    chain = ase.Atoms("H6", [[2.0 * n, 0, 0] for n in range(6)])
    moved = chain.copy()
    moved.positions[-1, 0] -= 0.4
    for num_layers in (1, 2):
        module = made("H", conv, num_layers=num_layers)
        change = (module(graph_of(moved)) - module(graph_of(chain))).abs().amax(1)
        # The first layer of TensorNet makes tensors and sends them on
        reach = num_layers + (conv == "tensornet")
        assert bool((change[: 5 - reach] == 0).all())
        assert bool((change[5 - reach :] > 0).all())


@each_conv
def test_shapes_and_an_atom_alone(conv: str) -> None:
    module = made(conv=conv)
    assert module.num_features == 8 and module.species == (1, 6, 8) and module.cutoff == R_C
    batch = Batch.from_data_list([graph_of(molecule("H2O")), graph_of(ase.Atoms("C"))])
    x = module(batch)
    assert x.shape == (4, 8)
    torch.testing.assert_close(x[3:], module(graph_of(ase.Atoms("C"))))


@each_conv
def test_seeds(conv: str) -> None:
    graph = graph_of(molecule("H2O"))
    before = torch.get_rng_state()
    x = made(conv=conv, seed=3)(graph)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(made(conv=conv, seed=3)(graph), x)
    assert not torch.equal(made(conv=conv, seed=4)(graph), x)


@each_conv
def test_hyper_parameters_build_it_again(conv: str) -> None:
    module = made(conv=conv, radial="gaussian")
    again = GraphConvolutions(**module.hyper_parameters())
    graph = graph_of(molecule("H2O"))
    assert torch.equal(again(graph), module(graph))


class Plain(nn.Module):
    """The smallest convolution of one's own."""

    def __init__(self, hidden_channels: int, num_rbf: int, power: float = 1.0) -> None:
        super().__init__()
        self.linear = nn.Linear(num_rbf, hidden_channels, bias=False)
        self.power = power

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        message = x[edge_index[0]] * self.linear(edge_attr) * self.power
        return x.index_add(0, edge_index[1], message)


def test_a_convolution_of_ones_own() -> None:
    module = made(conv=Plain, conv_options={"power": 2.0})
    assert [layer.power for layer in module.layers] == [2.0, 2.0]
    graph = graph_of(molecule("H2O"))
    x = module.embedding.weight[torch.tensor([2, 0, 0])]
    edge_attr, _ = module.radial(edge_vectors(graph).norm(dim=1))
    for layer in module.layers:
        x = layer(x, graph.edge_index, edge_attr)
    torch.testing.assert_close(module(graph), x)
    with pytest.raises(ValueError, match="a name that files can hold, got Plain"):
        module.hyper_parameters()
    assert Plain not in CONVOLUTIONS.values()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"conv": "painnn"}, ValueError, "did you mean 'painn'"),
        (
            {"num_layers": 0},
            ValueError,
            "`num_layers` and `hidden_channels`: expected positive numbers",
        ),
        (
            {"hidden_channels": 0},
            ValueError,
            "`num_layers` and `hidden_channels`: expected positive numbers",
        ),
        ({"radial": "sine"}, ValueError, "`radial`: expected one of"),
        ({"conv_options": {"head": 2}}, TypeError, "got SchNetConv: .*'head'"),
        ({"species": ("Xx",)}, ValueError, "`species`: expected the symbol"),
    ],
)
def test_errors(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        made(**options)
