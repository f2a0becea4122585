"""Symmetry functions of more elements, and the places of the known ones among them.

A symmetry function is a sum over neighbours, or over pairs of them. With the atoms of a new element
Y taken for those of a known element X, that of neighbours X is

    x~_X = x_X + x_Y,     x~_XX = x_XX + x_XY + x_YY,

so x~ = x M for a constant matrix M of zeros and ones, and functions of Y are left empty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import torch
from ase.data import chemical_symbols
from jaxtyping import Float
from torch import Tensor

from nnmd_graph.nn.first_layer import Columns
from nnmd_graph.nn.origins import Origins
from nnmd_graph.periodic_table import nearest_element
from nnmd_graph.representations.symmetry.functions import SymmetryFunction

FunctionsOf = Callable[[int], tuple[SymmetryFunction, ...]]
"""Functions of the atoms of one element."""


def extended_functions(
    functions: Sequence[SymmetryFunction], origins: Origins
) -> list[SymmetryFunction]:
    """Symmetry functions, followed by those of new elements.

    Wherever the element nearest to a new one stands, as centre or as neighbour, the new one does.
    A set with a function for each pair of elements gets one for each new pair, like
    :meth:`nnmd_graph.representations.symmetry.acsf.ACSF.auto`; of chosen functions, new
    neighbours get those that were chosen for the nearest element.
    """
    alike: dict[Any, list[Any]] = {None: [None], **{z: [z] for z in origins.old}}
    for s, z in enumerate(origins.new):
        if not origins.is_known(s):
            alike[origins.old[origins.index[s]]].append(z)
    found = dict.fromkeys(functions)
    for f in functions:
        known: Any = f.neighbors or ()  # numbers, since it is part of a set
        for centre in alike[f.centre]:
            for chosen in product(*(alike[z] for z in known)):
                neighbors = None if f.neighbors is None else tuple(sorted(chosen))
                found.setdefault(replace(f, centre=centre, neighbors=neighbors))
    return list(found)


def columns_of_functions(
    old: FunctionsOf, new: FunctionsOf, origins: Origins
) -> list[Columns | None]:
    """New column of each function of each new element's origin; None where one has no place.

    Raises:
        ValueError: If a function of a known element has no place.
    """
    return [_columns(old, new, origins, s) for s in range(len(origins.new))]


def _columns(old: FunctionsOf, new: FunctionsOf, origins: Origins, s: int) -> Columns | None:
    z, origin = origins.new[s], origins.old[origins.index[s]]
    place = {f: k for k, f in enumerate(new(z))}
    wanted = [replace(f, centre=z) if f.centre == origin else f for f in old(origin)]
    missing = [f for f in wanted if f not in place]
    if not missing:
        return [place[f] for f in wanted]
    if not origins.is_known(s):
        return None
    raise ValueError(
        f"`functions`: expected those that are known, got none like {missing[0]} of "
        f"{chemical_symbols[z]}; add it"
    )


def function_difference(old: FunctionsOf, new: FunctionsOf, origins: Origins) -> str | None:
    """Symmetry functions that one of two sets lacks, or that would change known results."""
    try:
        columns = columns_of_functions(old, new, origins)
    except ValueError as error:
        return str(error)
    for s, z in enumerate(origins.new):
        places = columns[s]
        if not origins.is_known(s) or places is None:
            continue
        for k, f in enumerate(new(z)):
            neighbors: Any = f.neighbors or ()  # numbers, since it is part of a set
            if k not in places and set(neighbors) <= set(origins.old):
                return f"{f} of {chemical_symbols[z]} is in the potential only"
    return None


def merged_functions(
    species: tuple[int, ...], functions_of: FunctionsOf, known: Sequence[int], num_rows: int
) -> list[Float[Tensor, "F F"]]:
    """M for each row of a feature scaling, float64.

    Args:
        species: Elements of a set that was extended.
        functions_of: Its functions.
        known: Elements that it had before.
        num_rows: One for each element, or 1 for all of them, which then have functions in common.
    """
    alike = {z: nearest_element(z, known) for z in species}
    num_features = max(len(functions_of(z)) for z in species)
    found = []
    for z in species[:num_rows]:
        functions = functions_of(z)
        place = {f: k for k, f in enumerate(functions)}
        merged = torch.eye(num_features, dtype=torch.float64)
        for k, f in enumerate(functions):
            neighbors: Any = f.neighbors or ()  # numbers, since it is part of a set
            names = sorted(alike[n] for n in neighbors)
            target = place.get(replace(f, neighbors=tuple(names))) if names else None
            if target is not None and target != k:
                merged[k, k], merged[k, target] = 0.0, 1.0
        found.append(merged)
    return found
