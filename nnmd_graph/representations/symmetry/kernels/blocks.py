"""Symmetry functions of one central element, sorted into sums that share their work."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nnmd_graph.nn.cutoff import CutoffFunction
from nnmd_graph.representations.symmetry.functions import SymmetryFunction
from nnmd_graph.representations.symmetry.kernels.factors import (
    AngularFactors,
    RadialFactors,
)
from nnmd_graph.representations.symmetry.kernels.moments import MomentSum, WideFamily, has_moments
from nnmd_graph.representations.symmetry.kernels.narrow import GaussianSum, NarrowSum
from nnmd_graph.representations.symmetry.kernels.sums import PairSum, RadialSum, WideSum
from nnmd_graph.representations.symmetry.kernels.tables import EVERY, Gradient, Table
from nnmd_graph.representations.symmetry.keys import AngularKey, RadialKey

Sum = RadialSum | PairSum
Tables = dict[int, Table]
BackToEdges = Callable[[Tensor], list[Tensor]]
"""dE/dx [C, F] -> dE/d edge_vec for each table, [C, n_s, 3]."""


class FunctionSet:
    """The functions of atoms of one element.

    Args:
        functions: In the order of the features, each with cutoff and neighbours.
        species: Elements of the set, sorted.
        fc: Cutoff function.
    """

    def __init__(
        self,
        functions: Sequence[SymmetryFunction],
        species: tuple[int, ...],
        fc: CutoffFunction,
    ) -> None:
        self.functions, self.species = tuple(functions), species
        self.sums = _sums(self.functions, species, fc)
        self.weighted = any(f.weighted for f in self.functions)
        self.farthest = max((float(f.cutoff or 0.0) for f in self.functions), default=1.0)

    def __len__(self) -> int:
        return len(self.functions)

    def __call__(self, vec: Tensor, edges: Sequence[Tensor]) -> tuple[Tensor, BackToEdges]:
        """Values at some centres and their pullback.

        Args:
            vec: Edge vectors, [M, 3], Å.
            edges: Edge of each place for each neighbour element, [C, n_s]; -1 is none.

        Returns:
            x [C, F] and the pullback to the tables of edges.
        """
        tables = self._tables(vec, edges)
        results = [(part, *part(tables)) for part in self._with_neighbors(tables)]
        columns = [column for part, *_ in results for column in part.columns]
        x = vec.new_zeros(len(edges[0]), len(self))
        if results:
            blocks = torch.cat([values for _, values, _ in results], 1)
            x = x.index_copy(1, torch.tensor(columns, device=vec.device), blocks)

        def pullback(w: Tensor) -> list[Tensor]:
            """W may have more columns than this element has functions."""
            gradients = {s: Gradient() for s in tables}
            for part, _, back in results:
                chosen = torch.tensor(part.columns, device=w.device)
                back(w.index_select(1, chosen), gradients)
            return self._apart(gradients, tables)

        return x, pullback

    def jacobian(self, vec: Tensor, edges: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Values [C, F] and, for each table of edges, their derivatives, [C, n_s, 3, F]."""
        tables = self._tables(vec, edges)
        x = vec.new_zeros(len(edges[0]), len(self))
        columns = [vec.new_zeros(*at.shape, 3, len(self)) for at in edges]
        for part in self._with_neighbors(tables):
            values, pullback = part(tables)
            x[:, list(part.columns)] = values
            for n, column in enumerate(part.columns):
                w = torch.zeros_like(values)
                w[:, n] = 1.0
                gradients = {s: Gradient() for s in tables}
                pullback(w, gradients)
                for total, by_edge in zip(columns, self._apart(gradients, tables), strict=True):
                    total[..., column] = by_edge
        return x, columns

    def _with_neighbors(self, tables: Tables) -> list[Sum]:
        """The sums that are not empty, in their fastest form."""
        found: list[Sum] = []
        for part in self.sums:
            keys = (part.neighbor,) if isinstance(part, RadialSum) else part.pair
            sizes = [tables[key].dist.shape[1] for key in keys]
            if all(sizes):
                found += part.divided(*sizes) if isinstance(part, WideFamily) else (part,)
        return found

    def _tables(self, vec: Tensor, edges: Sequence[Tensor]) -> Tables:
        # Empty places hold a neighbour that is out of reach of all functions.
        nobody = vec.new_tensor([[2.0 * self.farthest, 0.0, 0.0]])
        far = torch.cat([vec, nobody])
        tables = {}
        for s, at in enumerate(edges):
            place = torch.where(at < 0, len(vec), at).flatten()
            vectors = far.index_select(0, place).view(*at.shape, 3)
            tables[s] = Table.of(vectors.mT.contiguous())
        if self.weighted:
            weights = [
                torch.full(at.shape, float(z), dtype=vec.dtype, device=vec.device)
                for z, at in zip(self.species, edges, strict=True)
            ]
            parts = [tables[s].vec for s in range(len(edges))]
            tables[EVERY] = Table.of(torch.cat(parts, 2), torch.cat(weights, 1))
        return tables

    def _apart(self, gradients: dict[int, Gradient], tables: Tables) -> list[Tensor]:
        """Gradients by edge vector, table by table; those of all neighbours are divided."""
        total = [gradients[s].total(tables[s]) for s in range(len(self.species))]
        if self.weighted:
            every = gradients[EVERY].total(tables[EVERY])
            parts = every.split([part.shape[2] for part in total], 2)
            total = [one + other for one, other in zip(total, parts, strict=True)]
        return [part.mT for part in total]


def _sums(
    functions: Sequence[SymmetryFunction], species: tuple[int, ...], fc: CutoffFunction
) -> list[Sum | WideFamily]:
    """Functions of one kind, cutoff and neighbour element (or pair) share a sum."""
    found: dict[tuple[object, ...], list[int]] = {}
    for column, f in enumerate(functions):
        a, b = f.radial_key(), f.angular_key()
        kinds = (a.kind, b.kind if b else None, f.narrow, b is not None and has_moments(b))
        found.setdefault((f.neighbors, f.cutoff, *kinds), []).append(column)
    return [
        _sum([functions[n] for n in columns], columns, species, fc) for columns in found.values()
    ]


def _sum(
    functions: Sequence[SymmetryFunction],
    columns: Sequence[int],
    species: tuple[int, ...],
    fc: CutoffFunction,
) -> Sum | WideFamily:
    first = functions[0]
    keys = (EVERY,) * first.order
    if not first.weighted:
        # mypy: ACSF has given every function its neighbours as a tuple of numbers.
        keys = tuple(sorted(species.index(z) for z in first.neighbors))  # type: ignore[union-attr]
    # mypy: ACSF has given every function its cutoff.
    cutoff = float(first.cutoff)  # type: ignore[arg-type]
    radial = [f.radial_key() for f in functions]
    if first.order == 1:
        return RadialSum(keys[0], RadialFactors(tuple(radial), cutoff, fc), tuple(columns))
    angular = [f.angular_key() for f in functions]
    distinct: tuple[list[RadialKey], list[AngularKey]]
    distinct = list(dict.fromkeys(radial)), list(dict.fromkeys(a for a in angular if a))
    places = [
        distinct[0].index(b) * len(distinct[1]) + distinct[1].index(a)
        for b, a in zip(radial, angular, strict=True)
        if a
    ]
    factors = RadialFactors(tuple(distinct[0]), cutoff, fc), AngularFactors(tuple(distinct[1]))
    arguments = ((keys[0], keys[-1]), *factors, tuple(places), tuple(columns))
    if first.narrow:
        unshifted = all(key.kind == "gaussian" and not key.parameters[1] for key in distinct[0])
        return GaussianSum(*arguments) if unshifted else NarrowSum(*arguments)
    if all(has_moments(a) for a in distinct[1]):
        return WideFamily(MomentSum(*arguments))
    return WideSum(*arguments)
