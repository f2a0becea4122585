"""Symmetry functions as the plan that the native core reads: lists of integers and numbers.

``native/core/plan.h`` reads what is written here, in this order; each set of functions becomes

| part | integers | numbers |
|---|---|---|
| radial sets | kind, f_c, number; of windows: core, asymmetric | r_c, inner, parameters |
| tables | radial set, neighbour element (-1: all) | |
| radial sums | table, column of each function | |
| pair sums | two tables, narrow, windows | |
| their angles | number; of windows: core | parameters |
| their functions | number; radial factor, angle, column of each | |
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from nnmd_graph.nn.cutoff import CutoffFunction
from nnmd_graph.representations.symmetry.functions import SymmetryFunction
from nnmd_graph.representations.symmetry.keys import AngularKey, RadialKey

EVERY = -1
RADIAL_KINDS = ("gaussian", "wave", "window")
ANGULAR_KINDS = ("power", "window")
CORES = {"e": 4, "p1": 5, "p2": 6, "p3": 7, "p4": 8}
CUTOFFS = {
    "hard": 0,
    "cosine": 1,
    "tanh3": 2,
    "tanh3_normalized": 3,
    "exponential": 4,
    "poly1": 5,
    "poly2": 6,
    "poly3": 7,
    "poly4": 8,
}

RadialSet = tuple[tuple[RadialKey, ...], float]
"""Functions of one kind, and their cutoff."""


@dataclass
class _Lists:
    ints: list[int] = field(default_factory=list)
    numbers: list[float] = field(default_factory=list)


def plan_of(
    functions_of: Sequence[Sequence[SymmetryFunction]],
    species: tuple[int, ...],
    num_features: int,
    fc: CutoffFunction,
) -> tuple[list[int], list[float]]:
    """The plan: integers and numbers.

    Args:
        functions_of: Functions of atoms of each element.
        species: Elements, sorted atomic numbers.
        num_features: Number of columns.
        fc: Cutoff function.
    """
    # Elements with the same functions share one set.
    keys = [tuple(map(id, functions)) for functions in functions_of]
    sets = dict(zip(keys, functions_of, strict=True))
    number = {key: n for n, key in enumerate(sets)}
    plan = _Lists([len(species), num_features], [float(z) for z in species])
    plan.ints += [len(sets), *(number[key] for key in keys)]
    for functions in sets.values():
        _Set(functions, species, fc).write(plan)
    return plan.ints, plan.numbers


class _Set:
    """Functions of one element, sorted into sums that share radial sets and tables."""

    def __init__(
        self, functions: Sequence[SymmetryFunction], species: tuple[int, ...], fc: CutoffFunction
    ) -> None:
        self.species, self.fc = species, fc
        self.sets: dict[RadialSet, int] = {}
        self.tables: dict[tuple[int, int], int] = {}
        self.radial, self.pairs = _Lists(), _Lists()
        self.num_radial = self.num_pairs = 0
        found: dict[tuple[object, ...], list[int]] = {}
        for column, f in enumerate(functions):
            a, b = f.radial_key(), f.angular_key()
            kinds = (a.kind, b.kind if b else None, f.narrow)
            found.setdefault((f.neighbors, f.cutoff, *kinds), []).append(column)
        for columns in found.values():
            self._add([functions[n] for n in columns], columns)

    def _add(self, functions: Sequence[SymmetryFunction], columns: Sequence[int]) -> None:
        first = functions[0]
        elements = [EVERY] * first.order
        if not first.weighted:
            # mypy: ACSF has given every function its neighbours as a tuple of numbers.
            elements = sorted(self.species.index(z) for z in first.neighbors)  # type: ignore[union-attr]
        radial = [f.radial_key() for f in functions]
        cutoff = float(first.cutoff)  # type: ignore[arg-type]  # ... and its cutoff
        if first.order == 1:
            self.num_radial += 1
            self.radial.ints += [self._table((tuple(radial), cutoff), elements[0]), *columns]
            return
        self.num_pairs += 1
        distinct = tuple(dict.fromkeys(radial))
        tables = [self._table((distinct, cutoff), s) for s in elements]
        angular = [key for f in functions if (key := f.angular_key())]
        angles = list(dict.fromkeys(angular))
        windows = angles[0].kind == "window"
        self.pairs.ints += [*tables, int(first.narrow), int(windows), len(angles)]
        for key in angles:
            _write_angle(self.pairs, key)
        self.pairs.ints.append(len(functions))
        for a, b, column in zip(radial, angular, columns, strict=True):
            self.pairs.ints += [distinct.index(a), angles.index(b), column]

    def _table(self, radial: RadialSet, element: int) -> int:
        number = self.sets.setdefault(radial, len(self.sets))
        return self.tables.setdefault((number, element), len(self.tables))

    def write(self, plan: _Lists) -> None:
        """Write this set down behind what the plan has."""
        plan.ints.append(len(self.sets))
        for keys, cutoff in self.sets:
            kind = keys[0].kind
            plan.ints += [RADIAL_KINDS.index(kind), CUTOFFS[self.fc.name], len(keys)]
            plan.numbers += [cutoff, self.fc.inner]
            for key in keys:
                if kind == "window":
                    core = key.core.removesuffix("a")
                    plan.ints += [CORES[core], int(core != key.core)]
                plan.numbers += key.parameters
        plan.ints.append(len(self.tables))
        for table in self.tables:
            plan.ints += table
        for count, part in ((self.num_radial, self.radial), (self.num_pairs, self.pairs)):
            plan.ints += [count, *part.ints]
            plan.numbers += part.numbers


def _write_angle(plan: _Lists, key: AngularKey) -> None:
    if key.kind == "window":
        plan.ints.append(CORES[key.core])
        plan.numbers += [math.radians(x) for x in key.parameters]
    else:
        plan.numbers += key.parameters
