"""Elements of a model: atomic numbers to local element numbers."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from nnmd_graph.elements import atomic_number, symbol
from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.graph.geometry import check_graph


def species_tuple(species: Iterable[int | str] | int | str) -> tuple[int, ...]:
    """Sorted tuple of distinct atomic numbers from symbols or numbers.

    Raises:
        ValueError: If there is none, or one is not an element.
        TypeError: If one is neither a symbol nor a whole number.
    """
    given = [species] if isinstance(species, int | str) else list(species)
    numbers = {atomic_number(element) for element in given}
    if not numbers:
        raise ValueError("`species`: expected at least one element, got none; give ('Cu',)")
    return tuple(sorted(numbers))


def species_ids(z: Tensor, species: tuple[int, ...]) -> Tensor:
    """Local element number of each atom, ``species[species_id] = z``.

    Args:
        z: Atomic numbers, shape [N].
        species: Elements of the model, sorted.

    Returns:
        species_id, shape [N], int64.

    Raises:
        ValueError: If an atom is of an element that is not in ``species``.
    """
    known = torch.tensor(species, device=z.device, dtype=z.dtype)
    species_id = torch.searchsorted(known, z).clamp(max=len(species) - 1)
    unknown = known[species_id] != z
    if bool(unknown.any()):
        atom = int(torch.nonzero(unknown)[0])
        names = [symbol(s) for s in species]
        raise ValueError(
            f"`z`: expected elements that the model knows, {names}, got "
            f"{symbol(int(z[atom]))} (atom {atom}); train on data with this element"
        )
    return species_id


def species_of(graph: AtomicGraph, species: tuple[int, ...]) -> Tensor:
    """Local element number of each atom: the graph's ``species_id`` if it holds one already.

    Raises:
        ValueError: See :func:`species_ids`.
        TypeError: If it is no graph.
    """
    check_graph(graph)
    if "species_id" in graph:
        known: Tensor = graph.species_id
        return known
    return species_ids(graph.z, species)
