"""Hybrids: graph convolutions on top of another representation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.nn.conv.linear import linear
from nnmd_graph.nn.conv.registry import Convolution
from nnmd_graph.nn.scatter import take
from nnmd_graph.nn.species import species_ids, species_of
from nnmd_graph.representations.graph_convolutions import GraphConvolutions
from nnmd_graph.representations.scaling import FeatureScaler
from nnmd_graph.representations.trial import check_representation

MAX_ATOMS = 50_000
"""As many atoms show how features spread."""


class StackedConvolutions(GraphConvolutions):
    r"""Graph convolutions that start from the features of another representation.

    .. math:: x^0_i = embedding_{s(i)} + W_{s(i)} f'_i, \quad x^{l+1} = conv_l(x^l, e_{ij}, u_{ij})

    with f' the features of the representation, scaled; W has a matrix for each element.

    Args:
        representation: Module, graph -> f [N, F], with ``species``, ``cutoff``, ``num_features``;
            for example an :class:`nnmd_graph.representations.acsf.ACSF`.
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
        missing = [
            n for n in ("species", "cutoff", "num_features") if not hasattr(representation, n)
        ]
        if missing:
            raise TypeError(
                f"`representation`: expected species, cutoff and num_features, got "
                f"{type(representation).__name__} without {missing}; pass for example "
                "ACSF.auto(...)"
            )
        base: Any = representation  # torch declares unknown attributes of a module as tensors
        reach = float(base.cutoff if cutoff is None else cutoff)
        super().__init__(base.species, reach, conv, num_layers, hidden_channels, num_rbf, **options)
        num_features = int(base.num_features)
        check_representation(representation, self.species, float(base.cutoff), num_features)
        self.base = base
        self.scaler = FeatureScaler(len(self.species), int(base.num_features), ridge)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed + 1)
            self.inputs = nn.ModuleList(
                linear(int(base.num_features), hidden_channels, bias=False) for _ in self.species
            )

    @property
    def cutoff(self) -> float:
        """Radius that graphs must reach, Å: the larger one of both parts."""
        return max(self.radial.cutoff, float(self.base.cutoff))

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
        """Fit the scaling to the features of a training set, or as much of it as is needed."""
        base: Any = self.base  # methods that only some have
        fixed = getattr(base, "fixed", base)
        features, ids, num_atoms = [], [], 0
        for graph in graphs:
            features.append(fixed(graph))
            ids.append(species_ids(graph.z, self.species))
            num_atoms += len(graph.z)
            if num_atoms > MAX_ATOMS:
                break
        x = torch.cat(features)
        if hasattr(base, "fit_basis"):
            base.fit_basis(x)
        mixed = base.mix(x) if hasattr(base, "mix") else x
        self.scaler.fit(mixed, torch.cat(ids), getattr(base, "independent", None))

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
