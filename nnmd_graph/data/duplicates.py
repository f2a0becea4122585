"""Which frames show the same structure: they must not be split between training and test."""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable, Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from nnmd_graph.data.label_checks import structure_key
from nnmd_graph.data.labelled import LabelledFrames
from nnmd_graph.graph import AtomicGraph, edge_vectors

NUM_WAVES = 8
"""Cosine waves per pair of elements; each is one number that equal structures share."""


def geometry_groups(graphs: Iterable[AtomicGraph], tolerance: float = 1e-5) -> NDArray[np.int64]:
    r"""Find structures that are equal, to keep them in one part of a split.

    Two structures count as equal when their reduced compositions are and, for each pair of
    elements a, b, their pair distances within the cutoff are, as seen by

    .. math:: p_k^{ab} = \frac{1}{N} \sum_{edges\ a-b} f_c(d) \cos(k \pi d / r_c), \quad k = 0 .. 7

    This sees through what leaves an invariant energy alone: shifted, rotated, mirrored, wrapped or
    renumbered atoms, another choice of the cell, a supercell.

    Args:
        graphs: the structures, with one cutoff.
        tolerance: largest difference of a p_k. Single atoms of a large cell that moved by less
            than about 0.01 Å can hide below it: then the two structures count as equal.

    Returns:
        For each structure the number of the first one that equals it, [B].
    """
    compositions: dict[tuple[int, ...], int] = {}
    buckets: list[list[int]] = []
    prints: list[NDArray[np.float64]] = []
    for i, graph in enumerate(graphs):
        z, counts = np.unique(graph.z.cpu().numpy(), return_counts=True)
        reduced = (*z.tolist(), *(counts // math.gcd(*counts.tolist())).tolist())
        bucket = compositions.setdefault(reduced, len(buckets))
        if bucket == len(buckets):
            buckets.append([])
        buckets[bucket].append(i)
        prints.append(_fingerprint(graph, z))
    labels = np.arange(len(prints))
    for bucket_members in buckets:
        _link(labels, np.array(bucket_members), prints, tolerance)
    _, first, group = np.unique(labels, return_index=True, return_inverse=True)
    return first[group]


def _fingerprint(graph: AtomicGraph, elements: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute all p_k of a structure, flat."""
    d = edge_vectors(graph).double().norm(dim=1)
    x = math.pi * d / float(graph.cutoff[0])
    k = torch.arange(NUM_WAVES, dtype=torch.float64)
    waves = 0.5 * (1 + torch.cos(x))[:, None] * torch.cos(k * x[:, None])
    species = torch.searchsorted(torch.as_tensor(elements), graph.z)
    num_elements = len(elements)
    j, i = species[graph.edge_index]
    pair = torch.minimum(i, j) * num_elements + torch.maximum(i, j)
    sums = torch.zeros(num_elements**2, NUM_WAVES, dtype=torch.float64)
    sums.index_add_(0, pair, waves)
    result: NDArray[np.float64] = (sums / len(graph.z)).flatten().numpy()
    return result


def _link(
    labels: NDArray[np.int64],
    members: NDArray[np.int64],
    prints: list[NDArray[np.float64]],
    tolerance: float,
) -> None:
    """Give equal labels to the members with equal fingerprints, without comparing all pairs."""
    table = np.stack([prints[m] for m in members])
    # Along the direction of largest variance few neighbours remain for comparison
    centred = table - table.mean(0)
    direction = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    along = centred @ direction
    order = np.argsort(along, kind="stable")
    table, along, members = table[order], along[order], members[order]
    first = np.searchsorted(along, along - tolerance * np.abs(direction).sum())
    for row in range(1, len(members)):
        window = table[first[row] : row]
        equal = np.flatnonzero(np.abs(window - table[row]).max(1) <= tolerance)
        if len(equal):
            labels[members[row]] = labels[members[first[row] + equal[-1]]]


def shared(
    train: LabelledFrames,
    part: LabelledFrames,
    groups: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
) -> list[tuple[int, int]]:
    """Find the structures of a part that are in the training set as well.

    Args:
        train: the training set.
        part: the validation or test set.
        groups: for each structure of both a number that equal ones share; default: those with the
            same coordinates are equal, see `structure_key`.

    Returns:
        Numbers of such structures in the part, each with that of one in the training set; isolated
        atoms do not count.
    """
    keys: list[list[Hashable]]
    if groups is None:
        keys = [[structure_key(atoms) for atoms in side.frames] for side in (train, part)]
    else:
        keys = [numbers.tolist() for numbers in groups]
    first = {key: i for i, key in enumerate(keys[0])}
    return [
        (i, first[key]) for i, key in enumerate(keys[1]) if key in first and not part.isolated[i]
    ]


def warn_of_shared(
    name: str,
    train: LabelledFrames,
    part: LabelledFrames,
    pairs: Sequence[tuple[int, int]],
    advice: str = "keep equal structures in one part with groups='geometry'",
) -> None:
    """Warn of structures that are on both sides of a split, as `shared` finds them."""
    if pairs:
        i, j = pairs[0]
        warnings.warn(
            f"`{name}`: {len(pairs)} of {len(part)} structures are in the training set too "
            f"({part.name(i)} equals {train.name(j)}), which makes the errors too small; {advice}",
            stacklevel=4,
        )
