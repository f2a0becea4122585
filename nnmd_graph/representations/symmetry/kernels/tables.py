"""Neighbourhoods: the edges of some centres as one table per element, one row per centre.

Sums over neighbours and pairs of neighbours then are sums over rows and small matrix products.
Rows that are shorter than the longest are filled with a neighbour far outside every cutoff.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import torch
from torch import Tensor

from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.graph.geometry import edge_vectors
from nnmd_graph.nn.scatter import take
from nnmd_graph.nn.spherical import SphericalHarmonics
from nnmd_graph.representations.symmetry.kernels.factors import RadialFactors, ValueAndSlope

# Pairs of neighbours in the tables of some centres: few enough for the memory, many enough to make
# the other costs of a set of tables small.
MAX_PAIRS = {"cpu": 2**21, "cuda": 2**25}

# Edges whose vectors are held at once.
MAX_EDGES = {"cpu": 2**17, "cuda": 2**23}

EVERY = -1
"""Key of the table of all neighbours, each with its atomic number as weight."""


@dataclass(frozen=True)
class Rows:
    """Edges of some centres of one element, as places in tables.

    Attributes:
        centres: Centres, [C], all of one element, as numbers in the graph.
        element: That element's local number.
        edges: Edge of each place, [C, n_s], for each neighbour element s; -1 where there is none.
            Numbers count from the first edge of the chunk.
    """

    centres: Tensor
    element: int
    edges: tuple[Tensor, ...]


@dataclass(frozen=True)
class EdgeChunk:
    """Consecutive edges of a graph, those of some centres, and their places in tables.

    Attributes:
        edges: The edges.
        rows: Tables of centres of one element each.
    """

    edges: slice
    rows: list[Rows]


@dataclass
class Table:
    """Neighbours of one element (or all of them) around C centres, n places in a row.

    Components come before neighbours: products with matrices of pairs are fast that way.

    Attributes:
        vec: Edge vectors, [C, 3, n], Å.
        dist: Distances, [C, n], Å.
        unit: Unit vectors, [C, 3, n].
        weight: Factor of each neighbour, [C, n], or None for one.
    """

    vec: Tensor
    dist: Tensor
    unit: Tensor
    weight: Tensor | None = None
    _radial: dict[RadialFactors, ValueAndSlope] = field(default_factory=dict)
    _harmonics: SphericalHarmonics | None = None

    @classmethod
    def of(cls, vec: Tensor, weight: Tensor | None = None) -> Table:
        """Derive distances and directions from edge vectors."""
        dist = torch.sqrt((vec * vec).sum(1))
        return cls(vec, dist, vec / dist.unsqueeze(1), weight)

    def radial(self, factors: RadialFactors) -> ValueAndSlope:
        """Values and slopes of radial factors, [C, B, n] each, with the weights; kept."""
        if factors not in self._radial:
            value, slope = (part.transpose(0, 1) for part in factors(self.dist))
            if self.weight is not None:
                weight = self.weight.unsqueeze(1)
                value, slope = value * weight, slope * weight
            self._radial[factors] = value.contiguous(), slope.contiguous()
        return self._radial[factors]

    def harmonics(self, degree: int) -> SphericalHarmonics:
        """Spherical harmonics of the directions up to a degree; the highest so far are kept."""
        if self._harmonics is None or self._harmonics.max_degree < degree:
            self._harmonics = SphericalHarmonics(self.unit.movedim(1, -1), degree)
        return self._harmonics


class Gradient:
    """Derivatives of a scalar by the vectors of one table, by the parts that sums return.

    Attributes:
        dist: By distance, [C, n].
        unit: By unit vector, [C, 3, n]; what is along the vector does not count.
        vec: By vector, [C, 3, n].
        harmonics: By spherical harmonics, [(L + 1)^2, C, n].
    """

    def __init__(self) -> None:
        self.dist: Tensor | None = None
        self.unit: Tensor | None = None
        self.vec: Tensor | None = None
        self.harmonics: Tensor | None = None

    def add(
        self,
        *,
        dist: Tensor | None = None,
        unit: Tensor | None = None,
        vec: Tensor | None = None,
        harmonics: Tensor | None = None,
    ) -> None:
        """Add parts."""
        if harmonics is not None:
            self.harmonics = _sum(self.harmonics, harmonics)
        if dist is not None:
            self.dist = dist if self.dist is None else self.dist + dist
        if unit is not None:
            self.unit = unit if self.unit is None else self.unit + unit
        if vec is not None:
            self.vec = vec if self.vec is None else self.vec + vec

    def total(self, table: Table) -> Tensor:
        """The whole derivative by vector, [C, 3, n]."""
        if self.harmonics is not None:
            degree = math.isqrt(len(self.harmonics)) - 1
            self.add(unit=table.harmonics(degree).pullback(self.harmonics).movedim(-1, 1))
        result, along = self.vec, self.dist
        if self.unit is not None:
            across = self.unit / table.dist.unsqueeze(1)
            result = across if result is None else result + across
            radial = (across * table.unit).sum(1)
            along = -radial if along is None else along - radial
        if along is not None:
            part = along.unsqueeze(1) * table.unit
            result = part if result is None else result + part
        return torch.zeros_like(table.vec) if result is None else result


def _sum(one: Tensor | None, other: Tensor) -> Tensor:
    """Add two gradients with respect to spherical harmonics; their degrees may differ."""
    if one is None:
        return other
    if len(one) < len(other):
        one, other = other, one
    if len(one) == len(other):
        return one + other
    return torch.cat([one[: len(other)] + other, one[len(other) :]])


def edge_chunks(
    graph: AtomicGraph, species_id: Tensor, num_species: int, cutoff: float
) -> Iterator[EdgeChunk]:
    """Cut the edges of a graph, sorted by centre, into chunks of whole centres.

    Args:
        graph: A graph or a batch with edges sorted by centre.
        species_id: Local element number of each atom, [N].
        num_species: Number of elements S.
        cutoff: Edges beyond do not count, Å.
    """
    neighbor, centre = graph.edge_index
    for atoms, edges in whole_centres(graph, MAX_EDGES.get(centre.device.type, MAX_EDGES["cpu"])):
        start, stop = atoms.start, atoms.stop
        with torch.no_grad():
            vec = edge_vectors(graph, edges)
            inside = torch.nonzero((vec * vec).sum(-1) < cutoff**2).squeeze(-1)
        key = (take(centre[edges], inside) - start) * num_species
        key = key + take(species_id, take(neighbor[edges], inside))
        yield EdgeChunk(edges, list(_rows(inside, key, species_id[start:stop], num_species, start)))


def whole_centres(graph: AtomicGraph, most: int) -> Iterator[tuple[slice, slice]]:
    """Cut a graph whose edges are sorted by centre into consecutive atoms and their edges.

    Args:
        graph: A graph or a batch.
        most: Edges of a chunk; an atom with more has one of its own.
    """
    if graph.num_edges <= most:
        yield slice(0, graph.num_nodes), slice(0, graph.num_edges)
        return
    count = torch.bincount(graph.edge_index[1], minlength=graph.num_nodes)
    ends = torch.cumsum(count, 0).cpu()
    start, first = 0, 0
    while start < graph.num_nodes:
        stop = int(torch.searchsorted(ends, first + most, right=True))
        stop = min(max(stop, start + 1), graph.num_nodes)
        last = int(ends[stop - 1])
        yield slice(start, stop), slice(first, last)
        start, first = stop, last


@cache
def keep_freed_memory() -> None:
    """Make the C library keep the memory of large arrays instead of returning it each time.

    Each set of tables allocates and frees the same arrays. glibc returns them to the
    system unless it has seen larger ones come and go: one of the largest size that it looks at,
    32 MB, is enough. Elsewhere this does nothing.
    """
    torch.empty(32 * 2**20 - 2**13, dtype=torch.uint8)


def _rows(
    ids: Tensor, key: Tensor, element: Tensor, num_species: int, offset: int
) -> Iterator[Rows]:
    """Centres of one element with similar numbers of neighbours, as tables of edges.

    Args:
        ids: Numbers of edges, [M].
        key: centre * num_species + neighbour element of each, [M].
        element: Element of each centre, [C].
        num_species: Number of elements S.
        offset: Number of the first centre.
    """
    most = MAX_PAIRS.get(ids.device.type, MAX_PAIRS["cpu"])
    if len(key) and bool((key[1:] < key[:-1]).any()):
        ids = take(ids, torch.argsort(key, stable=True))
    count = torch.bincount(key, minlength=len(element) * num_species)
    first = (torch.cumsum(count, 0) - count).view(-1, num_species)
    count = count.view(-1, num_species)
    degree = count.sum(1)
    for s in torch.unique(element).tolist():
        centres = torch.nonzero(element == s).squeeze(-1)
        size = take(degree, centres)
        order = torch.argsort(size, stable=True)
        centres, size = take(centres, order), take(size, order)
        start = 0
        while start < len(centres):
            ends = torch.arange(1, len(size) - start + 1, device=size.device)
            fits = int((ends * size[start:].square() <= most).sum())
            chosen = centres[start : start + max(1, fits)]
            start += len(chosen)
            tables = [_table(ids, first[:, n], count[:, n], chosen) for n in range(num_species)]
            yield Rows(chosen + offset, s, tuple(tables))


def _table(ids: Tensor, first: Tensor, count: Tensor, centres: Tensor) -> Tensor:
    """Edges of one neighbour element, a row for each centre, [C, n], filled with -1."""
    count = take(count, centres).unsqueeze(-1)
    place = torch.arange(int(count.max()), device=centres.device)
    at = take(first, centres).unsqueeze(-1) + place
    there = place < count
    found = take(ids, torch.where(there, at, 0).flatten()).view_as(at) if len(ids) else at
    return torch.where(there, found, -1)
