"""Extrapolation: atoms and functions outside the limits of the training set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
import torch
from ase.data import chemical_symbols
from numpy.typing import NDArray
from torch import Tensor

from nnmd_graph.errors import MessageError
from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.graph.geometry import num_structures, structure_index
from nnmd_graph.models.energy_model import EnergyModel, net_of
from nnmd_graph.models.term import EnergyTerm
from nnmd_graph.nn.species import species_ids
from nnmd_graph.representations.limits import FeatureLimits, rounding
from nnmd_graph.representations.symmetry.functions import SymmetryFunction

TYPES = {
    **{"G1": 1, "G2": 2, "G3": 4, "G4": 3, "G5": 9},
    **{"PolynomialRadial": 20, "PolynomialNarrow": 21, "PolynomialWide": 22},
}
"""Numbers of n2p2 and RuNNer by the name of the class."""
WEIGHTED_TYPES = {2: 12, 3: 13, 20: 23, 21: 24, 22: 25}


class ExtrapolationError(MessageError):
    """A structure is too unlike the training set."""


@dataclass(frozen=True)
class Extrapolation:
    """One function of one atom outside the range of the training set.

    Attributes:
        structure: Number of the structure, from 0.
        atom: Number of the atom in its structure, from 0.
        element: Symbol of the atom.
        feature: Number of the function among those of the element, from 0: x[i, feature].
        function: The symmetry function; None for features without a description.
        value: Value of the function, not scaled.
        minimum: Smallest value over the atoms of this element in the training set.
        maximum: Largest value.
    """

    structure: int
    atom: int
    element: str
    feature: int
    function: SymmetryFunction | None
    value: float
    minimum: float
    maximum: float

    @property
    def excess(self) -> float:
        """Distance from the range in units of it: above positive, below negative.

        Infinite for a function that was the same at all training atoms.
        """
        return float(_excess(*np.array([[self.value], [self.minimum], [self.maximum]]))[0])

    @property
    def name(self) -> str:
        """The function in words, ``G2(cutoff=6, neighbors=Cu, eta=0.5, r_s=0)``."""
        return f"feature {self.feature}" if self.function is None else _name(self.function)

    def __str__(self) -> str:
        return (
            f"structure {self.structure}, atom {self.atom} ({self.element}), {self.name}: "
            f"{self.value:.4g} outside [{self.minimum:.4g}, {self.maximum:.4g}] by "
            f"{abs(self.excess):.2g} of the range"
        )

    def text(self) -> str:
        """The line that n2p2 prints; its symmetry functions are numbered from 1."""
        return (
            f"### NNP EXTRAPOLATION WARNING ### STRUCTURE: {self.structure:6d} "
            f"ATOM: {self.atom:9d} ELEMENT: {self.element:>2s} SYMFUNC: {self.feature + 1:4d} "
            f"TYPE: {_type(self.function):2d} VALUE: {self.value:10.3E} "
            f"MIN: {self.minimum:10.3E} MAX: {self.maximum:10.3E}"
        )


@dataclass(frozen=True, eq=False)
class ExtrapolationReport(Sequence[Extrapolation]):
    """All extrapolations of one or more structures, by structure, atom and function.

    A sequence of :class:`Extrapolation`, kept as arrays: a structure far outside has one for
    each atom and function.

    Attributes:
        num_atoms: Number of atoms of each structure, [B].
        atom: Number of the atom counted over all structures, [M].
        feature: Number of the function among those of its element, [M].
        z: Atomic number, [M].
        value: Value of the function, [M].
        minimum: Lower end of the training range, [M].
        maximum: Upper end, [M].
        functions: Symmetry functions by atomic number, where the representation names them.
        unknown: Elements in these structures that no training atom had; nothing is counted there.
    """

    num_atoms: NDArray[np.int64]
    atom: NDArray[np.int64]
    feature: NDArray[np.int64]
    z: NDArray[np.int64]
    value: NDArray[np.float64]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    functions: dict[int, tuple[SymmetryFunction, ...]]
    unknown: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.atom)

    @overload
    def __getitem__(self, item: int) -> Extrapolation: ...
    @overload
    def __getitem__(self, item: slice) -> list[Extrapolation]: ...
    def __getitem__(self, item: int | slice) -> Extrapolation | list[Extrapolation]:
        if isinstance(item, slice):
            return [self[m] for m in range(*item.indices(len(self)))]
        m = range(len(self))[item]
        atom, feature, z = int(self.atom[m]), int(self.feature[m]), int(self.z[m])
        ends = np.cumsum(self.num_atoms)
        structure = int(np.searchsorted(ends, atom, side="right"))
        first = int(ends[structure] - self.num_atoms[structure])
        functions = self.functions.get(z, ())
        return Extrapolation(
            structure=structure,
            atom=atom - first,
            element=chemical_symbols[z],
            feature=feature,
            function=functions[feature] if feature < len(functions) else None,
            value=float(self.value[m]),
            minimum=float(self.minimum[m]),
            maximum=float(self.maximum[m]),
        )

    @property
    def excess(self) -> NDArray[np.float64]:
        """Distance from the range in units of it, [M]; above positive, below negative."""
        return _excess(self.value, self.minimum, self.maximum)

    @property
    def per_atom(self) -> NDArray[np.int64]:
        """Number of functions of each atom that are outside, [N]."""
        return np.bincount(self.atom, minlength=int(self.num_atoms.sum()))

    @property
    def per_structure(self) -> NDArray[np.int64]:
        """Number of extrapolations (pairs of atom and function) of each structure, [B]."""
        structure = np.repeat(np.arange(len(self.num_atoms)), self.num_atoms)
        return np.bincount(structure[self.atom], minlength=len(self.num_atoms))

    @property
    def num_extrapolating_atoms(self) -> int:
        """Atoms with one extrapolation or more."""
        return int(np.count_nonzero(self.per_atom))

    @property
    def num_extrapolating_structures(self) -> int:
        """Structures with one extrapolation or more."""
        return int(np.count_nonzero(self.per_structure))

    def worst(self, count: int = 10) -> list[Extrapolation]:
        """Those that are furthest outside, the worst first."""
        size, by_range = np.abs(_amount(self.value, self.minimum, self.maximum)), self.excess
        order = np.lexsort((-size, -np.abs(by_range)))[:count]
        return [self[int(m)] for m in order]

    def text(self) -> str:
        """All of them in the words of n2p2, one per line."""
        return "".join(f"{one.text()}\n" for one in self)

    def summary(self) -> str:
        """Count the extrapolations in one sentence."""
        unknown = f"; no training atom was of {', '.join(self.unknown)}" if self.unknown else ""
        if not len(self):
            return f"no extrapolation{unknown}"
        several = len(self.num_atoms) > 1
        structures = f"{self.num_extrapolating_structures} of {len(self.num_atoms)} structures"
        return (
            f"{len(self)} extrapolations (pairs of atom and function) at "
            f"{self.num_extrapolating_atoms} of {self.num_atoms.sum()} atoms"
            f"{f' in {structures}' if several else ''}{unknown}"
        )

    def __str__(self) -> str:
        return "\n".join([self.summary(), *(f"  {one}" for one in self.worst(5))])

    def of_structures(self, chosen: NDArray[np.bool_]) -> ExtrapolationReport:
        """Those of some structures, ``chosen`` [B], renumbered."""
        atoms = np.repeat(chosen, self.num_atoms)
        rows = atoms[self.atom]
        arrays = {name: getattr(self, name)[rows] for name in ("feature", "z", *_LIMITS)}
        number = np.cumsum(atoms) - 1
        return replace(
            self, num_atoms=self.num_atoms[chosen], atom=number[self.atom[rows]], **arrays
        )

    @classmethod
    def joined(cls, parts: Sequence[ExtrapolationReport]) -> ExtrapolationReport:
        """Join several reports in order."""
        shifts = np.cumsum([0, *(part.num_atoms.sum() for part in parts)])
        atom = [part.atom + shift for part, shift in zip(parts, shifts, strict=False)]
        names = ("num_atoms", "feature", "z", *_LIMITS)
        functions: dict[int, tuple[SymmetryFunction, ...]] = {}
        for part in parts:
            functions |= part.functions
        return cls(
            **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names},
            atom=np.concatenate(atom),
            functions=functions,
            unknown=tuple(dict.fromkeys(name for part in parts for name in part.unknown)),
        )


_LIMITS = ("value", "minimum", "maximum")


def why_unknown(model: EnergyTerm) -> str | None:
    """Reason why a model cannot tell extrapolation; None if it can."""
    net = net_of(model)
    limits = None if net is None else net.ranges
    if limits is None:
        return "its representation is trained itself or gives no fixed number of features"
    if not limits.fitted:
        return "it has not been trained, or was saved by a version that did not keep ranges"
    return None


def known_limits(model: EnergyTerm) -> FeatureLimits:
    """Limits of a model's features over its training set.

    Raises:
        ValueError: If they are unknown.
    """
    return _knowing(model)[1]


def _knowing(model: EnergyTerm) -> tuple[EnergyModel, FeatureLimits]:
    """The net of a model, and the limits of its features."""
    reason, net = why_unknown(model), net_of(model)
    if reason is not None or net is None or net.ranges is None:
        raise ValueError(
            "`potential`: expected one that knows the limits of its features over the training "
            f"set, got one that does not: {reason}; train it, or set `potential.model.ranges`"
        )
    return net, net.ranges


def counted(potential: Any, graph: AtomicGraph, **asked: bool) -> tuple[Any, int]:
    """``potential(graph, **asked)`` and its number of extrapolations, at the cost of a comparison.

    Raises:
        ValueError: If the limits are unknown.
    """
    limits = known_limits(potential.model)
    seen: list[Tensor] = []
    part = rounding(graph).to(limits.minimum.device)

    def count(x: Tensor, species_id: Tensor, atoms: Tensor | None) -> None:
        own = part if atoms is None else part[atoms]
        own = own if len(own) == len(x) else part.max().expand(len(x))
        seen.append(limits.count(x, species_id, own))

    with limits.watched(count):
        output = potential(graph, **asked)
    if sum(map(len, seen)) != graph.num_nodes:  # a model that does not show its features
        return output, len(potential.extrapolation(graph))
    return output, int(sum(per_atom.sum() for per_atom in seen))


def reported(potential: Any, graph: AtomicGraph, **asked: bool) -> tuple[Any, ExtrapolationReport]:
    """``potential(graph, **asked)`` and its extrapolations, at the cost of a comparison.

    Raises:
        ValueError: If the limits are unknown.
    """
    limits = known_limits(potential.model)
    seen: list[tuple[Tensor, Tensor | None]] = []
    with limits.watched(lambda x, _, atoms: seen.append((x, atoms))):
        output = potential(graph, **asked)
    x = _joined(seen, graph.num_nodes, limits.minimum.shape[1])
    return output, find_extrapolation(potential.model, potential.cast(graph), x)


def _joined(
    pieces: list[tuple[Tensor, Tensor | None]], num_nodes: int, num_features: int
) -> Tensor | None:
    """Features of all atoms in order; None where their atoms are not known."""
    if len(pieces) == 1 and pieces[0][1] is None and len(pieces[0][0]) == num_nodes:
        return pieces[0][0]
    whole = None
    count = 0
    for piece, atoms in pieces:
        if atoms is None:
            return None
        if whole is None:
            whole = piece.new_zeros(num_nodes, num_features)
        whole[atoms, : piece.shape[1]] = piece
        count += len(piece)
    return whole if count == num_nodes else None


@torch.no_grad()
def find_extrapolation(
    model: EnergyTerm, graph: AtomicGraph, x: Tensor | None = None
) -> ExtrapolationReport:
    """Compare the features of every atom with their limits over the training set.

    Args:
        model: An energy model, see :class:`nnmd_graph.models.energy_model.EnergyModel`.
        graph: One structure or a batch, in the model's dtype and on its device.
        x: Features of all atoms, [N, F]; None computes them.

    Raises:
        ValueError: If the limits are unknown.
    """
    net, limits = _knowing(model)
    representation, species = net.fixed, net.species
    if x is None:
        x = graph.features if "features" in graph else representation(graph)
    species_id = species_ids(graph.z, species)
    atom, feature = torch.nonzero(limits.excess(x, species_id, rounding(graph)), as_tuple=True)
    element = species_id[atom]
    columns = {
        "atom": atom,
        "feature": feature,
        "z": graph.z[atom],
        "value": x[atom, feature].double(),
        "minimum": limits.minimum[element, feature],
        "maximum": limits.maximum[element, feature],
        "num_atoms": torch.bincount(structure_index(graph), minlength=num_structures(graph)),
    }
    here = torch.bincount(species_id, minlength=len(species)) > 0
    unknown = torch.nonzero(here & ~limits.known).flatten().tolist()
    return ExtrapolationReport(
        **{name: values.cpu().numpy() for name, values in columns.items()},
        functions={z: found for z in species if (found := representation.functions_of(z))},
        unknown=tuple(chemical_symbols[species[s]] for s in unknown),
    )


def _amount(
    value: NDArray[np.float64], minimum: NDArray[np.float64], maximum: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.where(value > maximum, value - maximum, value - minimum)


def _excess(
    value: NDArray[np.float64], minimum: NDArray[np.float64], maximum: NDArray[np.float64]
) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        return _amount(value, minimum, maximum) / (maximum - minimum)


def _type(function: SymmetryFunction | None) -> int:
    """Number of the n2p2 type, 0 for functions that n2p2 lacks."""
    number = TYPES.get(type(function).__name__, 0)
    weighted = function is not None and function.weighted
    return WEIGHTED_TYPES.get(number, 0) if weighted else number


def _name(function: SymmetryFunction) -> str:
    values = function.to_dict()
    kind = values.pop("type")
    values.pop("centre", None)  # the element of the atom, which stands beside it
    if "neighbors" in values:
        values["neighbors"] = "-".join(chemical_symbols[z] for z in values["neighbors"])
    words = (f"{k}={v:.6g}" if isinstance(v, float) else f"{k}={v}" for k, v in values.items())
    return f"{kind}({', '.join(words)})"
