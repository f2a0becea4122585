"""Tests of users' representations on a few atoms, before a model is made of them."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from ase import Atoms
from torch import Tensor, nn
from torch_geometric.data import Batch

from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.nn.trial import check_alone, check_jump, check_shape, largest_change

PLACES = np.array([[0.0, 0.0, 0.0], [0.5, 0.1, 0.05], [-0.2, 0.55, 0.1]])
"""Positions of the atoms at rest, in cutoffs."""

AWAY = np.array([-0.3, -0.4, np.sqrt(0.75)])
"""Direction in which the fourth atom leaves: at one cutoff only the first atom sees it."""

SCAN = np.linspace(0.55, 1.1, 23)
"""Distances of the fourth atom, in cutoffs, between which the features must not jump."""

TOLERANCES = {torch.float64: (1e-6, 1e-5), torch.float32: (1e-5, 1e-3)}
"""Distance from the cutoff, in cutoffs, and the rounding error there."""


def check_representation(
    representation: nn.Module, species: Sequence[int], cutoff: float, num_features: int | None
) -> None:
    """Test a representation on four atoms, one of which moves away.

    Those of this package are not tried: their classes declare ``built_in``. A class derived from
    one of them is tried.

    One that cannot be computed here, because it is still to be fitted or asks for more than a
    graph, passes untried; its own errors come when it is used.

    Args:
        representation: Module, graph -> x [N, F]; it stays as it is.
        species: Its elements.
        cutoff: Å.
        num_features: F, if it is known.

    Raises:
        ValueError: If it gives other than one row of F numbers for each atom; if its features are
            not finite, jump, take part in edges beyond the cutoff or depend on the rest of the
            batch; or if it writes to the graph.
    """
    if vars(type(representation)).get("built_in", False):
        return
    name = type(representation).__name__
    check_alone("representation", representation, name)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        for dtype in TOLERANCES:
            trial = _Trial(representation, species, cutoff, num_features, dtype)
            if trial.possible():
                trial.run()
                return


class _Trial:
    def __init__(
        self,
        representation: nn.Module,
        species: Sequence[int],
        cutoff: float,
        num_features: int | None,
        dtype: torch.dtype,
    ) -> None:
        self.name = type(representation).__name__
        self.given, self.module = representation, nn.Module()
        self.species, self.cutoff, self.dtype = tuple(species), cutoff, dtype
        self.num_features = -1 if num_features is None else num_features
        self.step, self.tolerance = TOLERANCES[dtype]

    def possible(self) -> bool:
        """Tell whether features can be computed in this dtype."""
        try:
            self.module = copy.deepcopy(self.given).to("cpu", self.dtype).eval()
            graph = self.graph(0.7)
            out = self.module(graph)
        except Exception:  # a user's module may raise any exception where it cannot be tested
            return False
        if out is graph:  # a placeholder
            return False
        return not isinstance(out, Tensor) or not out.is_floating_point() or out.dtype == self.dtype

    def graph(self, distance: float, first: int = 0, reach: float = 1.0) -> AtomicGraph:
        """Four atoms of all elements in turn, the last one so many cutoffs from the first."""
        positions = self.cutoff * np.vstack([PLACES, distance * AWAY])
        numbers = [self.species[(first + n) % len(self.species)] for n in range(4)]
        atoms = Atoms(numbers, positions)
        return AtomicGraph.from_atoms(atoms, reach * self.cutoff, dtype=self.dtype)

    def features(self, graph: AtomicGraph) -> Tensor:
        """Features, of the right shape, finite, and computed without a change of the graph."""
        before = {key: v.clone() for key, v in graph.to_dict().items() if isinstance(v, Tensor)}
        keys = set(graph.keys())
        x = self.module(graph)
        changed = sorted(
            key for key in before if key not in graph or not _same(before[key], graph[key])
        ) + sorted(set(graph.keys()) - keys)
        if changed:
            raise ValueError(
                "`representation`: expected a module that leaves the graph as it is, got "
                f"{self.name}, which changes {changed}; compute new tensors"
            )
        wanted = (len(graph.z), self.num_features)
        columns = "any number of" if self.num_features < 0 else self.num_features
        meaning = f"a row of {columns} features for each of {len(graph.z)} atoms,"
        check_shape("representation", f"{self.name}; sum over neighbours", x, wanted, meaning)
        if not x.is_floating_point() or not bool(torch.isfinite(x).all()):
            raise ValueError(
                f"`representation`: expected finite numbers, got others from {self.name} for "
                f"{_in_words(graph, x)}; mask before dividing, and before roots and logarithms"
            )
        return x

    def run(self) -> None:
        """Run all tests, with each of up to three elements as the atom that moves away."""
        for first in range(min(3, len(self.species))):
            near = self.features(self.graph(1.0 - self.step, first))
            gone = self.graph(1.0 + self.step, first)
            far = self.features(gone)
            remedy = "let each neighbour count by a function that vanishes smoothly at the cutoff"
            check_jump("representation", self.name, near, far, self.tolerance, remedy)
            further = self.features(self.graph(1.0 + self.step, first, reach=1.4))
            self._check_same(far, further, "gives edges beyond the cutoff nothing", "that")
            alone = Atoms([self.species[first]], [[0.0, 0.0, 0.0]])
            single = AtomicGraph.from_atoms(alone, self.cutoff, dtype=self.dtype)
            rows = torch.cat([far, self.features(single)])
            if torch.equal(far, self.features(self.graph(0.7, first))):
                continue  # a module that ignores positions is a placeholder, in a batch as well
            both = self.features(Batch.from_data_list([gone, single]))
            self._check_same(rows, both, "treats each structure of a batch alone", "the batch")
        self._check_scan()

    def _check_same(self, one: Tensor, other: Tensor, wanted: str, cause: str) -> None:
        change = largest_change(other, one)
        if not change < self.tolerance:
            raise ValueError(
                f"`representation`: expected a module that {wanted}, got {self.name}, whose "
                f"features change by {change:.1g} with {cause}; use `edge_vectors(graph)` and sums "
                "over neighbours"
            )

    def _check_scan(self) -> None:
        """Look for a jump elsewhere, in the interval with the largest change, by halving it."""
        x = [self.features(self.graph(distance)) for distance in SCAN]
        changes = [largest_change(b, a) for a, b in zip(x[:-1], x[1:], strict=True)]
        k = int(np.argmax(changes))
        low, high, below, above = SCAN[k], SCAN[k + 1], x[k], x[k + 1]
        while high - low > self.step:
            middle = 0.5 * (low + high)
            between = self.features(self.graph(middle))
            if largest_change(between, below) > largest_change(above, between):
                high, above = middle, between
            else:
                low, below = middle, between
        change = largest_change(above, below)
        # A steep function changes by less the closer one looks; a jump does not
        if change > 100.0 * self.tolerance and change > 0.01 * changes[k]:
            raise ValueError(
                "`representation`: expected features that change smoothly with the positions, got "
                f"{self.name}, which jumps by {change:.1g} where a neighbour is "
                f"{low * self.cutoff:.3g} Å away; let neighbours come and go by a function that "
                "vanishes smoothly"
            )


def _same(one: Tensor, other: Tensor) -> bool:
    return isinstance(other, Tensor) and one.shape == other.shape and bool((one == other).all())


def _in_words(graph: AtomicGraph, x: Tensor) -> str:
    """The first atom whose features are not finite."""
    atom = int((~torch.isfinite(x)).any(dim=1).nonzero()[0]) if x.is_floating_point() else 0
    return f"an atom with {int((graph.edge_index[1] == atom).sum())} neighbours"
