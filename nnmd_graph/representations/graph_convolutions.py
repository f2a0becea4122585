"""Graph convolutions: features of atoms that learn from their neighbours, layer after layer."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.graph.geometry import edge_vectors
from nnmd_graph.memory import COPIES, check_memory
from nnmd_graph.nn.conv.registry import (
    BUILT_IN,
    Convolution,
    both_ways,
    build_convolution,
    check_convolution,
    convolution_name,
    convolve,
    find_convolution,
)
from nnmd_graph.nn.radial import RadialBasis
from nnmd_graph.nn.scatter import take
from nnmd_graph.nn.species import species_of, species_tuple
from nnmd_graph.representations.representation import Representation

USUAL = {
    "num_layers": (3, "so many convolutions"),
    "hidden_channels": (64, "the weights"),
    "num_rbf": (8, "the weights of the radial filters"),
}
"""Typical sizes, and what grows with them."""

BYTES_OF_A_LAYER = 200_000
"""Memory of a convolution object beside its weights, bytes."""


class GraphConvolutions(Representation):
    r"""Element embedding, then convolutions over the neighbours.

    .. math:: x^0_i = embedding_{s(i)}, \quad x^{l+1} = conv_l(x^l, e_{ij}, u_{ij}), \quad l < L

    with e_ij the radial basis (``edge_attr``) and u_ij the envelope (``edge_weight``) of the
    distance. Atoms see num_layers * cutoff far (``tensornet`` one cutoff more). A neighbour beyond
    the cutoff does not enter, however far the edges of the graph reach.

    Args:
        species: Elements, symbols or atomic numbers.
        cutoff: r_c, Å.
        conv: ``"schnet"``, ``"cgcnn"``, ``"painn"``, ``"gat"`` or ``"tensornet"``; a class of PyG
            that takes ``edge_attr``, by itself or as ``"torch_geometric.nn.CGConv"``; or a module
            class or function ``conv(hidden_channels, num_rbf)`` of one's own, see
            :mod:`nnmd_graph.nn.conv.registry`.
        num_layers: Number of convolutions L, each with weights of its own.
        hidden_channels: Width H of the features.
        num_rbf: Number of radial functions K. Many overfit a small set: rMD17 ethanol, PaiNN, after
            75 epochs 24 meV/Å with 20 and 20 meV/Å with 8.
        radial: ``"bessel"`` or ``"gaussian"``, see :class:`nnmd_graph.nn.radial.RadialBasis`.
        conv_options: Further keyword arguments of the convolution.
        seed: Seed of the initial weights.

    Shapes:
        graph -> x [N, H].

    Raises:
        ValueError: If a number is out of range, or the convolution would make energies jump.
        TypeError: If the convolution does not fit.
    """

    built_in = True
    compilable = True
    num_features: int

    def __init__(
        self,
        species: Iterable[int | str] | int | str,
        cutoff: float,
        conv: str | Convolution = "schnet",
        num_layers: int = 3,
        hidden_channels: int = 64,
        num_rbf: int = 8,
        *,
        radial: str = "bessel",
        conv_options: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if num_layers < 1 or hidden_channels < 1:
            raise ValueError(
                f"`num_layers` and `hidden_channels`: expected positive numbers, got {num_layers} "
                f"and {hidden_channels}; 3 and 64 are usual"
            )
        self.species = species_tuple(species)
        self.num_features = hidden_channels
        self.conv = find_convolution(conv)
        self.conv_options = dict(conv_options or {})
        self._check_memory(num_layers, hidden_channels, num_rbf)
        self.seed = int(seed)
        self.radial = RadialBasis(cutoff, num_rbf, radial)
        self.cutoff = self.radial.cutoff
        self.bytes_of_edge = 60 * num_layers * hidden_channels  # at least: messages, derivatives
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.embedding = nn.Embedding(len(self.species), hidden_channels)
            self.layers = nn.ModuleList(
                build_convolution(self.conv, hidden_channels, num_rbf, self.conv_options, n)
                for n in range(num_layers)
            )
            if self.conv not in BUILT_IN:
                check_convolution(self.layers[0], hidden_channels, num_rbf)

    def _check_memory(self, num_layers: int, hidden_channels: int, num_rbf: int) -> None:
        """Refuse weights that would not fit in the memory: the largest of the numbers is named."""
        given = {"num_layers": num_layers, "hidden_channels": hidden_channels, "num_rbf": num_rbf}
        excess = {name: given[name] // usual for name, (usual, _) in USUAL.items()}
        name = max(excess, key=lambda n: excess[n])

        def needed(value: int) -> float:
            sizes = given | {name: value}
            width = sizes["hidden_channels"]
            each = BYTES_OF_A_LAYER + 4 * COPIES * width * (2 * width + sizes["num_rbf"])
            return sizes["num_layers"] * each + 4 * COPIES * len(self.species) * width

        check_memory(
            name,
            given[name],
            needed,
            size=given[name],
            what=USUAL[name][1],
            instead=f"some {USUAL[name][0]} are usual",
        )

    def forward(self, graph: AtomicGraph) -> Float[Tensor, "N H"]:
        """Features of all atoms, [N, H]."""
        x = take(self.embedding.weight, species_of(graph, self.species))
        return self.convolved(x, graph)

    def convolved(self, x: Float[Tensor, "N H"], graph: AtomicGraph) -> Float[Tensor, "N H"]:
        """Features after all convolutions, from those before the first, [N, H]."""
        edges = self.half_edges(graph)
        if not getattr(self.layers[0], "pairs", False):
            edges = both_ways(edges)
        vectors: Tensor | None = None
        for layer in self.layers:
            x, vectors = convolve(layer, x, vectors, edges)
        return x

    def half_edges(self, graph: AtomicGraph) -> dict[str, Tensor]:
        """Edge fields of pairs closer than the cutoff, each pair of neighbours named once.

        A pair is one of two edges, i to j and j to i; its distance, basis and filters are computed
        once.

        Raises:
            ValueError: See :func:`pair_fields`.
        """
        half = copy.copy(graph)
        if "pair_index" in graph:
            half.edge_index, half.edge_cell_shift = graph.pair_index, graph.pair_cell_shift
        else:
            chosen = _pairs(graph)
            half.edge_index = graph.edge_index.index_select(1, chosen)
            half.edge_cell_shift = graph.edge_cell_shift.index_select(0, chosen)
            if "edge_vec" in graph:
                half.edge_vec = take(graph.edge_vec, chosen)
        edge_index, edge_vec = half.edge_index, edge_vectors(half)
        if "pair_index" not in graph:
            square = edge_vec.detach().square().sum(dim=1)
            near = torch.nonzero(square < self.radial.cutoff**2).squeeze(-1)
            if len(near) < len(edge_vec):  # graphs may reach further
                edge_index, edge_vec = edge_index.index_select(1, near), take(edge_vec, near)
        edge_dist = edge_vec.square().sum(dim=1).sqrt()
        edge_attr, edge_weight = self.radial(edge_dist)
        return {
            "edge_index": edge_index,
            "edge_attr": edge_attr,
            "edge_weight": edge_weight,
            "edge_unit": edge_vec / edge_dist.unsqueeze(-1),
        }

    @torch.no_grad()
    def carry_over(self, old: nn.Module, index: Sequence[int]) -> None:
        """Take over the vectors of the elements, the convolutions and the radial basis."""
        assert isinstance(old, GraphConvolutions)
        self.embedding.weight.copy_(old.embedding.weight[list(index)])
        self.layers.load_state_dict(old.layers.state_dict())
        self.radial.load_state_dict(old.radial.state_dict())

    def hyper_parameters(self) -> dict[str, Any]:
        """Plain values that rebuild this module.

        Raises:
            ValueError: If the convolution has no name that files can hold.
        """
        return {
            "species": list(self.species),
            "cutoff": self.radial.cutoff,
            "conv": convolution_name(self.conv),
            "num_layers": len(self.layers),
            "hidden_channels": self.num_features,
            "num_rbf": self.radial.num_rbf,
            "radial": self.radial.kind,
            "conv_options": dict(self.conv_options),
            "seed": self.seed,
        }


def pair_fields(graph: AtomicGraph) -> tuple[Tensor, Tensor]:
    """One of the two edges of each pair: ``pair_index`` [2, M] and ``pair_cell_shift`` [M, 3].

    Graphs that hold these fields are spared the search for them.

    Raises:
        ValueError: If the graph does not hold each edge in both directions.
    """
    chosen = _pairs(graph)
    return graph.edge_index.index_select(1, chosen), graph.edge_cell_shift.index_select(0, chosen)


def _pairs(graph: AtomicGraph) -> Tensor:
    """Numbers of one of the two edges of each pair, [M]."""
    chosen = torch.nonzero(_is_first_of_two(graph)).squeeze(-1)
    if 2 * len(chosen) != graph.edge_index.shape[1]:
        raise ValueError(
            f"`graph`: expected each edge in both directions, got {graph.edge_index.shape[1]} "
            f"edges of {len(chosen)} pairs; build it with AtomicGraph.from_atoms"
        )
    return chosen


def _is_first_of_two(graph: AtomicGraph) -> Tensor:
    """Mark, of the edges i to j and j to i, the one with the smaller centre, [E].

    Between an atom and its own image: the one whose first shift that is not zero is positive.
    """
    j, i = graph.edge_index
    first, second, third = graph.edge_cell_shift.unbind(1)
    ahead = (second > 0) | ((second == 0) & (third > 0))
    return (i < j) | ((i == j) & ((first > 0) | ((first == 0) & ahead)))
