"""Hybrids: graph convolutions on top of another representation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.nn.conv.linear import linear
from nnmd_graph.nn.conv.registry import Convolution
from nnmd_graph.nn.first_layer import FirstLayer, is_trained
from nnmd_graph.nn.origins import Origins
from nnmd_graph.nn.scatter import take
from nnmd_graph.nn.species import species_ids, species_of
from nnmd_graph.representations.graph_convolutions import GraphConvolutions
from nnmd_graph.representations.representation import Representation, as_representation
from nnmd_graph.representations.scaler import Scaler
from nnmd_graph.representations.scaling import FeatureScaler
from nnmd_graph.representations.trial import check_representation

MAX_ATOMS = 50_000
"""Number of atoms used to fit the scaling."""


class StackedConvolutions(GraphConvolutions):
    r"""Graph convolutions that start from the features of another representation.

    .. math:: x^0_i = embedding_{s(i)} + W_{s(i)} f'_i, \quad x^{l+1} = conv_l(x^l, e_{ij}, u_{ij})

    with f' the features of the representation, scaled; W has a matrix for each element.

    Args:
        representation: Module, graph -> f [N, F], with ``species``, ``cutoff``, ``num_features``;
            for example an :class:`nnmd_graph.representations.symmetry.acsf.ACSF`.
        conv: See :class:`nnmd_graph.representations.graph_convolutions.GraphConvolutions`.
        num_layers: Number of convolutions.
        hidden_channels: Width of the features.
        num_rbf: Number of radial functions.
        cutoff: Radius of the convolutions, Å; None takes that of the representation.
        ridge: Of the feature scaling.
        options: ``radial``, ``conv_options`` and ``seed`` of the convolutions.

    Shapes:
        graph -> x [N, H].

    Raises:
        TypeError: If the representation lacks something, or the convolution does not fit.
        ValueError: See :class:`nnmd_graph.representations.graph_convolutions.GraphConvolutions`.
    """

    built_in = True
    compilable = False

    def __init__(
        self,
        representation: nn.Module,
        conv: str | Convolution = "schnet",
        num_layers: int = 1,
        hidden_channels: int = 64,
        num_rbf: int = 8,
        *,
        cutoff: float | None = None,
        ridge: float = 0.1,
        **options: Any,
    ) -> None:
        base = as_representation(representation)
        if not base.species or not base.cutoff or base.num_features is None:
            raise TypeError(
                f"`representation`: expected species, cutoff and num_features, got "
                f"{type(representation).__name__} without one of them; pass for example "
                "ACSF.auto(...)"
            )
        reach = float(base.cutoff if cutoff is None else cutoff)
        super().__init__(base.species, reach, conv, num_layers, hidden_channels, num_rbf, **options)
        num_features = base.num_features
        check_representation(representation, self.species, base.cutoff, num_features)
        self.base = representation
        self.cutoff = max(self.radial.cutoff, base.cutoff)
        self.scaler = FeatureScaler(len(self.species), num_features, ridge)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed + 1)
            self.inputs = nn.ModuleList(
                linear(num_features, hidden_channels, bias=False) for _ in self.species
            )

    @property
    def below(self) -> Representation:
        """The representation that the convolutions start from."""
        return as_representation(self.base)

    @property
    def base_scaling(self) -> tuple[Representation, Scaler]:
        """The representation that the convolutions start from, and what scales its features."""
        return self.below, self.scaler

    def first_layers(self, row: int, num_rows: int) -> list[FirstLayer] | None:
        """The matrix of one element, and its vector; None if they are frozen."""
        matrix: Any = self.inputs[row]
        if not is_trained(matrix, self.embedding):
            return None
        return [FirstLayer(matrix.weight, self.embedding.weight[row])]

    def forward(self, graph: AtomicGraph) -> Float[Tensor, "N H"]:
        """Features of all atoms, [N, H]."""
        species_id = species_of(graph, self.species)
        f = self.scaler(self.base(graph), species_id)
        x = take(self.embedding.weight, species_id)
        for s, matrix in enumerate(self.inputs):
            atoms = torch.nonzero(species_id == s).squeeze(-1)
            x = x.index_add(0, atoms, matrix(take(f, atoms)))
        return self.convolved(x, graph)

    @torch.no_grad()
    def fit(self, graphs: Iterable[AtomicGraph]) -> None:
        """Fit the scaling to the features of as much of a training set as is needed."""
        base = self.below
        features, ids, num_atoms = [], [], 0
        for graph in graphs:
            features.append(base.fixed(graph))
            ids.append(species_ids(graph.z, self.species))
            num_atoms += len(graph.z)
            if num_atoms > MAX_ATOMS:
                break
        x = torch.cat(features)
        base.fit_basis(x)
        self.scaler.fit(base.mix(x), torch.cat(ids), base.independent)

    def extended(self, species: tuple[int, ...]) -> StackedConvolutions:
        """The same convolutions on the extended representation."""
        base = self.below.extended(species)
        return type(self)(**(self.hyper_parameters() | {"representation": base}))

    @torch.no_grad()
    def carry_over(self, old: nn.Module, index: Sequence[int]) -> None:
        """Take over the convolutions, the representation below, its scaling and the matrices."""
        super().carry_over(old, index)
        assert isinstance(old, StackedConvolutions)
        self.below.carry_over(old.below, index)
        origins = Origins.of(old.species, self.species)
        columns = self.below.columns_of(old.below, origins)
        for s, o in enumerate(index):
            places = columns[s]
            if places is not None:
                before: Any = old.inputs[o]
                after: Any = self.inputs[s]
                self.scaler.carry_row(old.scaler, o, s, places).write(before, after)

    def difference(self, old: Representation, origins: Origins) -> str | None:
        """Reason why the representation below cannot hold the weights of the other one."""
        if not isinstance(old, StackedConvolutions):
            return None
        return self.below.difference(old.below, origins)

    def hyper_parameters(self) -> dict[str, Any]:
        """Values that rebuild this module: plain ones, and the representation."""
        values = super().hyper_parameters()
        del values["species"]
        values["cutoff"] = self.radial.cutoff
        return values | {"representation": self.base, "ridge": self.scaler.ridge}


def stack(
    representation: nn.Module,
    conv: str | Convolution = "schnet",
    num_layers: int = 1,
    hidden_channels: int = 64,
    num_rbf: int = 8,
    **options: Any,
) -> StackedConvolutions:
    """Graph convolutions on top of symmetry functions, or of any other representation.

    ``EnergyModel(stack(acsf, "painn"), ElementReadout(...))``, or shorter
    ``GCNN(species, cutoff, "painn", stack_on=acsf, readout="element")``. Arguments as for
    :class:`StackedConvolutions`.
    """
    return StackedConvolutions(
        representation, conv, num_layers, hidden_channels, num_rbf, **options
    )
