"""Energy models: representation and readout, with feature scaling and baseline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.memory import check_memory
from nnmd_graph.models.baseline import Baseline
from nnmd_graph.models.readout import ElementReadout
from nnmd_graph.models.shared_readout import SharedReadout
from nnmd_graph.nn.scatter import take
from nnmd_graph.nn.species import species_of, species_tuple
from nnmd_graph.representations.auto import bytes_of_scaling
from nnmd_graph.representations.common_scaling import CommonScaler
from nnmd_graph.representations.range_scaling import RangeScaler
from nnmd_graph.representations.ranges import FeatureRanges
from nnmd_graph.representations.scaling import FeatureScaler
from nnmd_graph.representations.trial import check_representation


class EnergyModel(nn.Module):
    """Sum of atomic energies, E = sum_i E_i.

    E_i = E0_s + scale (readout(x'_i) - readout(x'_s,isolated)), x' the scaled features: an atom
    without neighbours has the energy E0 of its element exactly.

    Args:
        representation: Module, graph -> x [N, F].
        readout: Module, (x [N, F], species_id [N]) -> [N]. One with an ``embedding_dim`` D finds
            the vectors of the atoms' elements beside the features, x [N, F + D]: the
            ``embedding`` [S, D] of the representation, one parameter that both uses train.
        species: Elements; None takes ``representation.species``.
        cutoff: Radius in Å that graphs must reach; None takes ``representation.cutoff``.
        scaler: Module, (x, species_id) -> x'; None leaves features as they are.

    Raises:
        ValueError: If ``species`` or ``cutoff`` are missing, or a representation of one's own does
            not do: it jumps at the cutoff, gives the wrong number of rows or features or numbers
            that are not finite, depends on the rest of the batch, or writes to the graph.

    Attributes:
        ranges: Smallest and largest features of the training set; None for a representation that
            does not say how many it has (``num_features``) or trains them: those move on.

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
        scaler: FeatureScaler | RangeScaler | None = None,
    ) -> None:
        super().__init__()
        species = species if species is not None else getattr(representation, "species", None)
        cutoff = cutoff if cutoff is not None else getattr(representation, "cutoff", None)
        if species is None or cutoff is None:
            raise ValueError(
                "`species` and `cutoff`: expected attributes of the representation or given, got "
                f"species={species}, cutoff={cutoff}; pass them to EnergyModel"
            )
        self.species = species_tuple(species)
        self.cutoff = float(cutoff)
        known = getattr(representation, "num_features", None)
        num_features = None if known is None else int(known)
        check_representation(representation, self.species, self.cutoff, num_features)
        self.representation = representation
        self.scaler = scaler
        self.ranges = _ranges(self.fixed, len(self.species))
        self.readout = readout
        if getattr(readout, "embedding_dim", 0):
            offered: Any = readout  # torch declares unknown attributes of a module as tensors
            _check_embedding(representation, len(self.species), int(offered.embedding_dim))
        self.baseline = Baseline(self.species)

    @property
    def fixed(self) -> nn.Module:
        """What computes the features x that ``atomic_energy`` takes.

        It is the representation, or the part of it that is not trained (its ``fixed``); the other
        part, ``mix(x)``, belongs to the net then.
        """
        return getattr(self.representation, "fixed", self.representation)

    def forward(self, graph: AtomicGraph) -> Float[Tensor, " N"]:
        """Atomic energies in eV, [N]."""
        species_id = species_of(graph, self.species)
        x = self.fixed(graph)
        if "lone_atoms" not in graph:
            return self.atomic_energy(x, species_id)
        e = self.readout(self._scaled(x, species_id), species_id)
        isolated = take(e, graph.lone_atoms)  # one of each element is among the atoms
        return self.baseline(e - take(isolated, species_id), species_id)

    def atomic_energy(
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

    def isolated_features(self, dtype: torch.dtype) -> Float[Tensor, "S F"]:
        """Features of one isolated atom of each element, [S, F]."""
        device = self.baseline.scale.device
        each = torch.arange(len(self.species), device=device)
        if hasattr(self.fixed, "isolated_features"):
            fixed: Any = self.fixed  # a method that only some have
            return fixed.isolated_features(each, dtype)
        graph = AtomicGraph(
            pos=torch.zeros(len(each), 3, dtype=dtype, device=device),
            z=torch.tensor(self.species, device=device),
            cell=torch.zeros(1, 3, 3, dtype=dtype, device=device),
            pbc=torch.zeros(1, 3, dtype=torch.bool, device=device),
            edge_index=torch.zeros(2, 0, dtype=torch.long, device=device),
            edge_cell_shift=torch.zeros(0, 3, dtype=torch.long, device=device),
            cutoff=torch.full((1,), self.cutoff, dtype=torch.float64, device=device),
        )
        return self.fixed(graph)

    def _mixed(self, x: Tensor) -> Tensor:
        representation: Any = self.representation  # a method that only some have
        return representation.mix(x) if hasattr(representation, "mix") else x

    def _scaled(self, x: Tensor, species_id: Tensor) -> Tensor:
        """What the readout takes: scaled features, beside them the vectors that it asks for."""
        x = self._mixed(x)
        x = x if self.scaler is None else self.scaler(x, species_id)
        if not getattr(self.readout, "embedding_dim", 0):
            return x
        representation: Any = self.representation
        return torch.cat([x, take(representation.embedding, species_id)], dim=1)

    @torch.no_grad()
    def fit_features(self, x: Float[Tensor, "N F"], species_id: Int[Tensor, " N"]) -> None:
        """Fit scaler and ranges to a training set's features and centre the readout on them."""
        if self.ranges is not None:
            self.ranges.fit(x, species_id)
        if hasattr(self.representation, "fit_basis"):
            representation: Any = self.representation  # a method that only some have
            representation.fit_basis(x)
        if self.scaler is not None:
            kept = getattr(self.representation, "independent", None)
            more = {} if kept is None else {"kept": kept}
            self.scaler.fit(self._mixed(x), species_id, **more)
        if hasattr(self.readout, "centre"):
            each = torch.arange(len(self.species), device=x.device)
            isolated = self._scaled(self.isolated_features(x.dtype), each)
            readout: Any = self.readout  # a method that only some have
            readout.centre(self._scaled(x, species_id), species_id, isolated)


def _ranges(representation: Any, num_species: int) -> FeatureRanges | None:
    """Ranges, still unknown, for features that stay what they are."""
    trained = any(True for _ in representation.parameters())
    if trained or not hasattr(representation, "num_features"):
        return None
    return FeatureRanges(num_species, int(representation.num_features))


def BPNN(  # noqa: N802 - the name of an architecture
    representation: nn.Module,
    hidden_channels: Sequence[int] = (32, 32),
    activation: str = "tanh",
    *,
    readout: str = "element",
    ridge: float = 0.1,
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
        seed: Seed of the initial weights.

    Raises:
        TypeError: If the representation lacks something, vectors of the elements for example.
        ValueError: If ``readout`` is unknown, or a number out of range.
    """
    missing = [n for n in ("species", "cutoff", "num_features") if not hasattr(representation, n)]
    if missing:
        raise TypeError(
            f"`representation`: expected species, cutoff and num_features, got "
            f"{type(representation).__name__} without {missing}; pass for example ACSF.auto(...)"
        )
    offers: Any = representation  # torch declares unknown attributes of a module as tensors
    num_species, num_features = len(offers.species), int(offers.num_features)
    check_memory(
        "representation",
        f"{num_features} features of {num_species} elements",
        bytes_of_scaling(1 if readout == "shared" else num_species, num_features),
        what="the scaling of all features by all",
        instead="take fewer functions (`select_functions`), an EmbeddedACSF with readout='shared', "
        "or GCNN, whose cost does not grow with the number of elements",
    )
    if readout == "shared":
        size = _check_embedding(representation, num_species)
        shared = SharedReadout(num_features, hidden_channels, activation, seed, size)
        return EnergyModel(representation, shared, scaler=CommonScaler(num_features, ridge))
    if readout != "element":
        raise ValueError(f"`readout`: expected 'element' or 'shared', got {readout!r}")
    nets = ElementReadout(num_species, num_features, hidden_channels, activation, seed)
    scaler = FeatureScaler(num_species, num_features, ridge)
    return EnergyModel(representation, nets, scaler=scaler)


def _check_embedding(representation: nn.Module, num_species: int, size: int | None = None) -> int:
    """Number of components of the elements' vectors that a representation offers."""
    found = getattr(representation, "embedding", None)
    if not isinstance(found, Tensor) or found.shape != (num_species, size or found.shape[-1]):
        raise TypeError(
            f"`representation`: expected `embedding`, a vector of {size or 'any number of'} "
            f"components for each of {num_species} elements, for a readout that all elements "
            f"share, got {type(representation).__name__}; pass an EmbeddedACSF, or take one net "
            "per element"
        )
    return int(found.shape[1])
