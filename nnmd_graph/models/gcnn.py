"""Graph convolutional networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from nnmd_graph.choices import READOUTS
from nnmd_graph.errors import check_choice
from nnmd_graph.models.energy_model import EnergyModel
from nnmd_graph.models.heads import MakeHead, make_heads
from nnmd_graph.models.readout import ElementReadout
from nnmd_graph.models.shared_readout import SharedReadout
from nnmd_graph.nn.conv.registry import Convolution
from nnmd_graph.nn.species import species_tuple
from nnmd_graph.representations.graph_convolutions import GraphConvolutions
from nnmd_graph.representations.stacked import stack


def GCNN(  # noqa: N802 - the name of an architecture
    species: Iterable[int | str] | int | str,
    cutoff: float,
    conv: str | Convolution = "schnet",
    num_layers: int = 3,
    hidden_channels: int = 64,
    num_rbf: int = 8,
    *,
    stack_on: nn.Module | None = None,
    radial: str = "bessel",
    conv_options: Mapping[str, Any] | None = None,
    readout: str = "shared",
    readout_channels: Sequence[int] | None = None,
    activation: str = "silu",
    heads: Iterable[str | MakeHead] = (),
    seed: int = 0,
) -> EnergyModel:
    """Graph convolutional network: convolutions over the neighbours, then a net for each atom.

    Args:
        species: Elements, symbols or atomic numbers.
        cutoff: Radius of one convolution, Å; atoms see num_layers times as far.
        conv: ``"schnet"``, ``"cgcnn"``, ``"painn"``, ``"gat"``, ``"tensornet"``, a PyG convolution
            that takes ``edge_attr``, or one's own, see
            :class:`nnmd_graph.representations.graph_convolutions.GraphConvolutions`.
        num_layers: Number of convolutions.
        hidden_channels: Width of the features.
        num_rbf: Number of radial functions.
        stack_on: Representation that the convolutions start from, for example an ACSF; None: from
            the elements alone.
        radial: ``"bessel"`` or ``"gaussian"``.
        conv_options: Further keyword arguments of the convolution.
        readout: ``"shared"`` or one net per ``"element"``.
        readout_channels: Width of each hidden layer of the readout; None takes one of half the
            width of the features.
        activation: Of the readout, see :mod:`nnmd_graph.nn.mlp`.
        heads: What is predicted beside the energy, see :func:`BPNN`.
        seed: Seed of the initial weights.

    Raises:
        ValueError: If a name is unknown, a number out of range, the elements are not those of
            ``stack_on``, or the convolution would make energies jump at the cutoff.
        TypeError: If the convolution does not fit.
    """
    options: dict[str, Any] = {"radial": radial, "conv_options": conv_options, "seed": seed}
    sizes = (num_layers, hidden_channels, num_rbf)
    representation: GraphConvolutions
    if stack_on is None:
        representation = GraphConvolutions(species, cutoff, conv, *sizes, **options)
    else:
        _check_species(species, stack_on)
        representation = stack(stack_on, conv, *sizes, cutoff=cutoff, **options)
    if readout_channels is None:
        readout_channels = (max(1, hidden_channels // 2),)
    return EnergyModel(
        representation,
        _readout(readout, len(representation.species), hidden_channels, readout_channels,
                 activation, seed),
        heads=make_heads(heads, len(representation.species), hidden_channels),
    )  # fmt: skip


def _check_species(species: Iterable[int | str] | int | str, representation: Any) -> None:
    if species_tuple(species) != species_tuple(representation.species):
        raise ValueError(
            f"`species`: expected those of `stack_on`, {tuple(representation.species)}, got "
            f"{species_tuple(species)}; pass stack_on.species"
        )


def _readout(
    name: str, num_species: int, in_channels: int, hidden: Sequence[int], activation: str, seed: int
) -> nn.Module:
    check_choice("readout", name, READOUTS, "'element' has one net per element")
    if name == "element":
        return ElementReadout(num_species, in_channels, hidden, activation, seed)
    return SharedReadout(in_channels, hidden, activation, seed)
