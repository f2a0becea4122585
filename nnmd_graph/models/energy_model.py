"""Energy models: representation and readout, with feature scaling and baseline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from nnmd_graph.choices import READOUTS
from nnmd_graph.errors import check_choice
from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.memory import check_memory
from nnmd_graph.models.baseline import Baseline
from nnmd_graph.models.evaluators import Autograd, Chunked, Evaluator, OfFeatures
from nnmd_graph.models.heads import Head, MakeHead, make_heads
from nnmd_graph.models.in_core import InCore, nets_of
from nnmd_graph.models.readout import ElementReadout, Readout, as_readout
from nnmd_graph.models.shared_readout import SharedReadout
from nnmd_graph.models.term import EnergyTerm
from nnmd_graph.nn.first_layer import FirstLayer, Moved
from nnmd_graph.nn.origins import Origins
from nnmd_graph.nn.scatter import take
from nnmd_graph.nn.species import species_of
from nnmd_graph.representations.common_scaling import CommonScaler
from nnmd_graph.representations.limits import FeatureLimits
from nnmd_graph.representations.precomputed import carried_features
from nnmd_graph.representations.representation import (
    PlainRepresentation,
    Representation,
    as_representation,
    lone_atoms,
)
from nnmd_graph.representations.scaler import Scaler, carry_row
from nnmd_graph.representations.scaling import FeatureScaler
from nnmd_graph.representations.symmetry.recipes import bytes_of_scaling
from nnmd_graph.representations.trial import check_representation


class EnergyModel(EnergyTerm):
    """Sum of atomic energies, E = sum_i E_i.

    E_i = E0_s + scale (readout(x'_i) - readout(x'_s,isolated)), x' the scaled features: an atom
    without neighbours has the energy E0 of its element exactly.

    Args:
        representation: :class:`nnmd_graph.Representation`, or any module graph -> x [N, F].
        readout: Module, (x [N, F], species_id [N]) -> [N]. One with an ``embedding_dim`` D finds
            the vectors of the atoms' elements beside the features, x [N, F + D]: the
            ``element_vectors`` [S, D] of the representation, one parameter that both uses train.
        species: Elements; None takes ``representation.species``.
        cutoff: Radius in Å that graphs must reach; None takes ``representation.cutoff``.
        scaler: Scaling, (x, species_id) -> x'; None leaves features as they are.
        heads: What is predicted beside the energy, from the scaled features; see
            :class:`nnmd_graph.models.heads.Head`.

    Raises:
        ValueError: If ``species`` or ``cutoff`` are missing, or a representation of one's own does
            not do: it jumps at the cutoff, gives the wrong number of rows or features or numbers
            that are not finite, depends on the rest of the batch, or writes to the graph.

    Attributes:
        ranges: Limits of the features over the training set (files have this name); None for a
            representation that does not say how many it has (``num_features``) or trains them:
            those move on.

    Shapes:
        graph -> atomic_energy [N], eV.
    """

    def __init__(
        self,
        representation: nn.Module,
        readout: nn.Module,
        *,
        species: Iterable[int | str] | None = None,
        cutoff: float | None = None,
        scaler: Scaler | None = None,
        heads: Iterable[Head] = (),
    ) -> None:
        offered = as_representation(representation)
        species = species if species is not None else offered.species or None
        cutoff = cutoff if cutoff is not None else offered.cutoff or None
        if species is None or cutoff is None:
            raise ValueError(
                "`species` and `cutoff`: expected attributes of the representation or given, got "
                f"species={species}, cutoff={cutoff}; pass them to EnergyModel"
            )
        super().__init__(species, float(cutoff))
        check_representation(representation, self.species, self.cutoff, offered.num_features)
        self.representation = representation
        self.scaler = scaler
        self.ranges = _limits(self.fixed, len(self.species))
        self.readout = readout
        if self.head.embedding_dim:
            _check_embedding(offered, len(self.species), self.head.embedding_dim)
        self.baseline = Baseline(self.species)
        self.heads = nn.ModuleList(heads)

    @property
    def features(self) -> Representation:
        """The representation, with the contract of :class:`Representation`."""
        return as_representation(self.representation)

    @property
    def head(self) -> Readout:
        """The readout, with the contract of :class:`Readout`."""
        return as_readout(self.readout)

    @property
    def fixed(self) -> Representation:
        """The module that computes the features x of ``energy_of_features``.

        It is the representation, or the part of it that is not trained (its ``fixed``); the other
        part, ``mix(x)``, belongs to the net then.
        """
        return self.features.fixed

    def atomic_energy(self, graph: AtomicGraph) -> Float[Tensor, " N"]:
        """Atomic energies in eV, [N]."""
        species_id = species_of(graph, self.species)
        x = self.fixed(graph)
        if "lone_atoms" not in graph:
            return self.energy_of_features(x, species_id)
        e = self.readout(self._scaled(x, species_id), species_id)
        isolated = take(e, graph.lone_atoms)  # one of each element is among the atoms
        return self.baseline(e - take(isolated, species_id), species_id)

    def energy_of_features(
        self,
        x: Float[Tensor, "N F"],
        species_id: Int[Tensor, " N"],
        atoms: Int[Tensor, " N"] | None = None,
    ) -> Float[Tensor, " N"]:
        """Atomic energies in eV from features, [N].

        Args:
            x: Features that ``fixed`` gives.
            species_id: Elements.
            atoms: Numbers of these atoms in their graph; None if they are all of it, in order.
        """
        if self.ranges is not None:
            self.ranges.show(x, species_id, atoms)
        each = torch.arange(len(self.species), device=x.device)
        isolated = self.readout(self._scaled(self.isolated_features(x.dtype), each), each)
        e = self.readout(self._scaled(x, species_id), species_id)
        return self.baseline(e - isolated.index_select(0, species_id), species_id)

    @property
    def quantities(self) -> tuple[str, ...]:
        """Names of the quantities that the heads predict."""
        return tuple(name for head in self._heads for name in head.quantities)

    @property
    def _heads(self) -> list[Head]:
        return list(self.heads)  # type: ignore[arg-type]  # of modules, to mypy

    def outputs(self, graph: AtomicGraph) -> dict[str, Tensor]:
        """Quantities that the heads predict, by name."""
        if not len(self.heads):
            return {}
        species_id = species_of(graph, self.species)
        x = self._features(graph.features if "features" in graph else self.fixed(graph), species_id)
        found: dict[str, Tensor] = {}
        for head in self._heads:
            found |= head(x, species_id, graph)
        return found

    def first_layers(self, row: int, num_rows: int) -> list[FirstLayer] | None:
        """Linear maps behind row ``row`` of the scaling; None: unknown, or frozen."""
        layers = self.head.first_layers(row, num_rows)
        for head in self._heads if layers is not None else ():
            layers = [*(layers or []), *(head.first_layers(row, num_rows) or [])]
        return layers

    def evaluator(self, graph: AtomicGraph, *, training: bool) -> Evaluator:
        """The evaluator: carried features, a few atoms at a time, or autograd."""
        if "features" in graph:
            return OfFeatures(self.energy_of_features, self.species, carried_features)
        fixed = self.fixed
        native = fixed.native(graph)
        if native is not None and not training and self._in_core:
            nets = nets_of(native, self.scaler, self.head, self.baseline)
            if nets is not None:
                return InCore(nets, self.species, self._show)
        if native is not None and training and not _moving(graph):
            return OfFeatures(self.energy_of_features, self.species, native.with_pullback)
        if fixed.in_chunks and not training:
            return Chunked(self.energy_of_features, self.species, fixed.chunks)
        return Autograd(self.atomic_energy)

    @property
    def _in_core(self) -> bool:
        """Whether the net is only scaling, readout and baseline of what ``fixed`` gives."""
        plain = type(self).energy_of_features is EnergyModel.energy_of_features
        return plain and self.fixed is self.features and not self.head.embedding_dim

    def _show(self, x: Tensor, species_id: Tensor) -> None:
        if self.ranges is not None:
            self.ranges.show(x, species_id)

    def isolated_features(self, dtype: torch.dtype) -> Float[Tensor, "S F"]:
        """Features of one isolated atom of each element, [S, F]."""
        each = torch.arange(len(self.species), device=self.device)
        if isinstance(self.fixed, PlainRepresentation):  # which need not know its elements
            return self.fixed(lone_atoms(self.species, each, self.cutoff, dtype))
        return self.fixed.isolated_features(each, dtype)

    def _scaled(self, x: Tensor, species_id: Tensor) -> Tensor:
        """Input of the readout: scaled features, and the element vectors that it asks for."""
        x = self._features(x, species_id)
        if not self.head.embedding_dim:
            return x
        vectors = self.features.element_vectors
        assert vectors is not None  # checked when the model was made
        return torch.cat([x, take(vectors, species_id)], dim=1)

    def _features(self, x: Tensor, species_id: Tensor) -> Tensor:
        """Scaled features."""
        x = self.features.mix(x)
        return x if self.scaler is None else self.scaler(x, species_id)

    @torch.no_grad()
    def fit_features(self, x: Float[Tensor, "N F"], species_id: Int[Tensor, " N"]) -> None:
        """Fit scaler and limits to a training set's features and centre the readout on them."""
        features = self.features
        if self.ranges is not None:
            self.ranges.fit(x, species_id)
        features.fit_basis(x)
        if self.scaler is not None:
            self.scaler.fit(features.mix(x), species_id, features.independent)
        each = torch.arange(len(self.species), device=x.device)
        isolated = self._scaled(self.isolated_features(x.dtype), each)
        self.head.centre(self._scaled(x, species_id), species_id, isolated)

    # -- files, and more elements ------------------------------------------------------------------
    def hyper_parameters(self) -> dict[str, Any]:
        """The parts and plain values that rebuild this model."""
        return {
            "species": list(self.species),
            "cutoff": self.cutoff,
            "representation": self.representation,
            "readout": self.readout,
            "scaler": self.scaler,
            **({"heads": self._heads} if len(self.heads) else {}),
        }

    def extended(self, species: tuple[int, ...]) -> EnergyModel:
        """A new model of this kind that knows these elements."""
        origins = Origins.of(self.species, species)
        representation = self.features.extended(species)
        sizes = (self.features.num_features, as_representation(representation).num_features)
        readout = self.head.extended(origins.index, sizes)
        scaler = None
        if self.scaler is not None:
            scaler = self.scaler.extended(len(species), sizes[1] or self.scaler.mean.shape[1])
        heads = [head.extended(origins.index, sizes) for head in self._heads]
        options: dict[str, Any] = {"species": species, "cutoff": self.cutoff, "heads": heads}
        model = EnergyModel(representation, readout, scaler=scaler, **options)
        return model.to(self.device, self.dtype)

    @torch.no_grad()
    def carry_over(self, old: nn.Module, index: Sequence[int]) -> None:
        """Take over representation, scaling, readout, limits and baseline.

        Energies of structures of the old elements stay the same up to rounding. A new element gets
        net, scaling and vector of its nearest known one, and E0 = 0.
        """
        assert isinstance(old, EnergyModel)
        origins = Origins.of(old.species, self.species)
        self.features.carry_over(old.features, index)
        columns = self.features.columns_of(old.features, origins)
        size = old.features.num_features or 0

        def carry(s: int) -> Moved | None:
            places = columns[s]
            return (
                None
                if places is None
                else carry_row(old.scaler, index[s], self.scaler, s, places, size)
            )

        self.head.carry_weights(old.head, index, carry)
        for one, other in zip(old._heads, self._heads, strict=True):
            other.carry_weights(one, index, carry)
        if old.ranges is not None and self.ranges is not None:
            of_fixed = self.fixed.columns_of(old.fixed, origins)
            self.ranges.carry_over(old.ranges, origins, of_fixed)
        self.baseline.carry_over(old.baseline, origins)


def _moving(graph: AtomicGraph) -> bool:
    """Whether derivatives by what the edges follow from are wanted besides."""
    names = ("pos", "cell", "edge_vec")
    return any(graph[name].requires_grad for name in names if name in graph)


def net_of(term: EnergyTerm) -> EnergyModel | None:
    """The model among the terms that is fitted to what the others leave; None: there is none."""
    return next((part for part in term.terms if isinstance(part, EnergyModel)), None)


def _limits(fixed: Representation, num_species: int) -> FeatureLimits | None:
    """Limits, still unknown, for features that are not trained."""
    trained = any(True for _ in fixed.parameters())
    if trained or fixed.num_features is None:
        return None
    return FeatureLimits(num_species, fixed.num_features)


def BPNN(  # noqa: N802 - the name of an architecture
    representation: nn.Module,
    hidden_channels: Sequence[int] = (32, 32),
    activation: str = "tanh",
    *,
    readout: str = "element",
    ridge: float = 0.1,
    heads: Iterable[str | MakeHead] = (),
    seed: int = 0,
) -> EnergyModel:
    """Behler-Parrinello network: symmetry functions, then one net per element, or one for all.

    Source: J. Behler, M. Parrinello, Phys. Rev. Lett. 98, 146401 (2007),
    doi 10.1103/PhysRevLett.98.146401.

    Args:
        representation: Symmetry functions, for example ``ACSF.auto(species, cutoff)``; offers
            ``species``, ``cutoff`` and ``num_features``.
        hidden_channels: Width of each hidden layer.
        activation: ``"tanh"``, ``"silu"``, ``"softplus"``, ``"gelu"`` or ``"sigmoid"``.
        readout: One net per ``"element"``, or one ``"shared"`` net that is told the element of the
            atom by the trainable vector that an ``EmbeddedACSF`` has for it; features are then
            scaled in common.
        ridge: Strength of the regularisation of the feature scaling, see
            :class:`nnmd_graph.representations.scaling.FeatureScaler`; more for few data.
        heads: What is predicted beside the energy: ``["charges"]``, or classes of one's own, see
            :mod:`nnmd_graph.models.heads`.
        seed: Seed of the initial weights.

    Raises:
        TypeError: If the representation lacks something, vectors of the elements for example.
        ValueError: If ``readout`` is unknown, or a number out of range.
    """
    offered = as_representation(representation)
    if not offered.species or not offered.cutoff or offered.num_features is None:
        raise TypeError(
            f"`representation`: expected species, cutoff and num_features, got "
            f"{type(representation).__name__} without one of them; pass for example ACSF.auto(...)"
        )
    num_species, num_features = len(offered.species), offered.num_features
    check_memory(
        "representation",
        f"{num_features} features of {num_species} elements",
        bytes_of_scaling(1 if readout == "shared" else num_species, num_features),
        what="the scaling of all features by all",
        instead="take fewer functions (`select_functions`), an EmbeddedACSF with readout='shared', "
        "or GCNN, whose cost does not grow with the number of elements",
    )
    made = make_heads(heads, num_species, num_features)
    check_choice("readout", readout, READOUTS)
    if readout == "shared":
        size = _check_embedding(offered, num_species)
        shared = SharedReadout(num_features, hidden_channels, activation, seed, size)
        common = CommonScaler(num_features, ridge)
        return EnergyModel(representation, shared, scaler=common, heads=made)
    nets = ElementReadout(num_species, num_features, hidden_channels, activation, seed)
    scaler = FeatureScaler(num_species, num_features, ridge)
    return EnergyModel(representation, nets, scaler=scaler, heads=made)


def _check_embedding(
    representation: Representation, num_species: int, size: int | None = None
) -> int:
    """Number of components of the elements' vectors that a representation offers."""
    found = representation.element_vectors
    if found is None or found.shape != (num_species, size or found.shape[-1]):
        raise TypeError(
            f"`representation`: expected `element_vectors`, a vector of {size or 'any number of'} "
            f"components for each of {num_species} elements, for a readout that all elements "
            f"share, got {type(representation).__name__}; pass an EmbeddedACSF, or take one net "
            "per element"
        )
    return int(found.shape[1])
