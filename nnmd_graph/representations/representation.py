"""Contract of representations: graph -> x, and further facts about their features."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.nn.first_layer import Columns, FirstLayer
from nnmd_graph.nn.origins import Origins
from nnmd_graph.nn.part import Part, copy_rows
from nnmd_graph.nn.species import species_tuple
from nnmd_graph.representations.chunks import AtomChunk
from nnmd_graph.representations.scaler import Scaler
from nnmd_graph.representations.symmetry.functions import SymmetryFunction
from nnmd_graph.representations.symmetry.native import NativeFunctions

Own = TypeVar("Own", bound="Representation")


class Representation(Part):
    """Features of the atoms of a graph, x [N, F].

    A subclass sets ``species``, ``cutoff`` and ``num_features`` and defines ``forward``; all else
    has a default. It computes from :func:`nnmd_graph.graph.geometry.edge_vectors`, lets everything
    vanish smoothly at the cutoff, and never writes to the graph; a model tries it out on a few
    atoms when it is made.

    Attributes:
        species: Elements, sorted atomic numbers.
        cutoff: Radius in Å that graphs must reach.
        num_features: F; None: not known beforehand.
        learning_speed: Factor on the learning rate of its parameters.
        bytes_of_edge: Memory that a training step takes for an edge; 0: not known.
        in_chunks: Whether ``chunks`` gives the features of a few atoms at a time.
        compilable: Whether energy and forces of the whole model can be compiled as one function.
    """

    species: tuple[int, ...]
    cutoff: float
    num_features: int | None = None
    learning_speed: float = 1.0
    bytes_of_edge: int = 0
    in_chunks: ClassVar[bool] = False
    compilable: ClassVar[bool] = False

    @abstractmethod
    def forward(self, graph: AtomicGraph) -> Float[Tensor, "N F"]:
        """Features of all atoms, [N, F]."""

    # -- features in two steps: fixed sums, then a trained mixture of them ------------------------
    @property
    def fixed(self) -> Representation:
        """The part that is not trained; features are ``mix(fixed(graph))``. Default: all of it."""
        return self

    def mix(self, x: Float[Tensor, "N G"]) -> Float[Tensor, "N F"]:
        """Features from those of ``fixed``; part of the net in training."""
        return x

    def fit_basis(self, x: Float[Tensor, "N G"]) -> None:
        """Fit the starting values of ``mix`` to the features of ``fixed`` over a training set."""

    @property
    def independent(self) -> Bool[Tensor, " F"] | None:
        """Features that are independent of the others, as a mask; None: all."""
        return None

    @property
    def element_vectors(self) -> Float[Tensor, "S D"] | None:
        """Trainable vectors of the elements, for a readout that all elements share; None: none."""
        return None

    # -- the training set, and memory --------------------------------------------------------------
    def fit(self, graphs: Iterable[AtomicGraph]) -> None:
        """Fit to graphs of the training set, in random order, once before the training."""

    def isolated_features(
        self, species_id: Int[Tensor, " N"], dtype: torch.dtype
    ) -> Float[Tensor, "N F"]:
        """Features of atoms without neighbours.

        Args:
            species_id: Their local element numbers.
            dtype: Of the features.
        """
        return self(lone_atoms(self.species, species_id, self.cutoff, dtype))

    def chunks(self, graph: AtomicGraph) -> Iterator[AtomChunk]:
        """Features of a few atoms at a time, with the way back to their edges; if ``in_chunks``."""
        raise NotImplementedError(f"{type(self).__name__} computes all atoms at once")

    def native(self, graph: AtomicGraph) -> NativeFunctions | None:
        """The features in the native core, if it has them and can work on the graph."""
        return None

    @property
    def base_scaling(self) -> tuple[Representation, Scaler] | None:
        """The representation below this one, and the scaling of its features, if there is one."""
        return None

    def first_layers(self, row: int, num_rows: int) -> list[FirstLayer] | None:
        """Linear maps behind ``base_scaling``, see :class:`FirstLayer`."""
        return None

    # -- symmetry functions, and more elements -----------------------------------------------------
    def functions_of(self, element: int | str) -> tuple[SymmetryFunction, ...]:
        """Symmetry functions of atoms of one element, in the order of the features; here: none."""
        return ()

    def extended(self: Own, species: tuple[int, ...]) -> Own:
        """A new representation of this kind that knows these elements."""
        return type(self).from_hyper_parameters(
            self.hyper_parameters() | {"species": list(species)}
        )

    def columns_of(self, old: Representation, origins: Origins) -> list[Columns | None]:
        """Column here of each feature there, for each element's origin; None: it has no place.

        Raises:
            ValueError: If features of a known element have no place.
        """
        before, after = old.num_features, self.num_features
        if before != after:
            raise ValueError(
                f"`representation`: expected the features that it had, got {after} in place of "
                f"{before} in {type(self).__name__}; only symmetry functions (ACSF) may become more"
            )
        return [None if before is None else list(range(before))] * len(origins.new)

    def difference(self, old: Representation, origins: Origins) -> str | None:
        """Reason, beyond different arguments, why this cannot hold the weights of another one."""
        return None

    def merged_features(self, known: Sequence[int], num_rows: int) -> list[Tensor] | None:
        """M [F, F] for each row of a scaling: x M treats new elements as the nearest known ones.

        None where no element is new, or nothing is known of how.
        """
        return None


class FixedRepresentation(Representation):
    """Features without trainable parameters, whose derivatives are known.

    A net on them is trained on forces without computing any of them again.
    """

    @abstractmethod
    def jacobian(self, graph: AtomicGraph) -> tuple[Float[Tensor, "N F"], Float[Tensor, "E 3 F"]]:
        """Features [N, F], and d x[i] / d edge_vec[e] with i the centre of edge e, [E, 3, F]."""


REPRESENTATION_METHODS = ("jacobian", "isolated_features", "fit", "chunks", "mix", "fixed")


class PlainRepresentation(Representation):
    """A module of any class, graph -> x, wrapped as a representation without further abilities.

    Args:
        module: Not changed.

    Raises:
        TypeError: If it offers more, which would be passed over.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        more = [n for n in REPRESENTATION_METHODS if getattr(type(module), n, None) is not None]
        if more:
            raise TypeError(
                f"`representation`: expected a nnmd_graph.Representation, since it offers "
                f"`{more[0]}`, got {type(module).__name__}; derive the class from it"
            )
        given: Any = module  # the model is given what the module lacks
        species = getattr(given, "species", None)
        self.species = () if species is None else species_tuple(species)
        self.cutoff = float(getattr(given, "cutoff", None) or 0.0)
        known = getattr(given, "num_features", None)
        self.num_features = None if known is None else int(known)
        self.module = module

    def forward(self, graph: AtomicGraph) -> Float[Tensor, "N F"]:
        """Features of all atoms, [N, F]."""
        return self.module(graph)

    def extended(self, species: tuple[int, ...]) -> Any:
        """A new module of the class."""
        values = described(self.module) | {"species": list(species)}
        return type(self.module)(**values)

    def carry_over(self, old: nn.Module, index: Sequence[int]) -> None:
        """Take over the weights, by the module's own ``carry_over`` if it has one."""
        assert isinstance(old, PlainRepresentation)
        carry_plain(old.module, self.module, index)


def as_representation(module: nn.Module) -> Representation:
    """The module itself if it is a representation, else the module wrapped as one."""
    return module if isinstance(module, Representation) else PlainRepresentation(module)


def described(module: Any) -> dict[str, Any]:
    """Plain values that make a module of a user's class again.

    Raises:
        ValueError: If the class does not say them.
    """
    tell = getattr(module, "hyper_parameters", None)
    if tell is None:
        return Part.hyper_parameters(module)
    values: dict[str, Any] = tell()
    return values


@torch.no_grad()
def carry_plain(old: nn.Module, new: Any, index: Sequence[int]) -> None:
    """Take over the weights of a module of a user's class, by its own method if it has one."""
    carry = getattr(new, "carry_over", None)
    if carry is None:
        copy_rows(old, new, index)
    else:
        carry(old, index)


def lone_atoms(
    species: tuple[int, ...], species_id: Tensor, cutoff: float, dtype: torch.dtype
) -> AtomicGraph:
    """A graph of atoms without edges."""
    device = species_id.device
    return AtomicGraph(
        pos=torch.zeros(len(species_id), 3, dtype=dtype, device=device),
        z=torch.tensor(species, device=device)[species_id],
        cell=torch.zeros(1, 3, 3, dtype=dtype, device=device),
        pbc=torch.zeros(1, 3, dtype=torch.bool, device=device),
        edge_index=torch.zeros(2, 0, dtype=torch.long, device=device),
        edge_cell_shift=torch.zeros(0, 3, dtype=torch.long, device=device),
        cutoff=torch.full((1,), cutoff, dtype=torch.float64, device=device),
    )
