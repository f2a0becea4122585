"""Isolated atoms: frames whose energy is E0 of an element, so that training always has them."""

from collections.abc import Iterable, Sequence
from typing import Any

import ase
import numpy as np
from ase.geometry import minkowski_reduce
from numpy.typing import NDArray

from nnmd_graph.data.split import Parts, part_sizes, split_indices


def is_isolated_atom(atoms: ase.Atoms, cutoff: float) -> bool:
    """Say whether a structure is one atom without neighbours, its own images counted.

    How the frame is marked or named does not matter: one atom in a large box is isolated, one atom
    in a primitive cell is a crystal.

    Args:
        atoms: the structure.
        cutoff: pairs closer than this are neighbours, Å.
    """
    if len(atoms) != 1:
        return False
    if not atoms.pbc.any():
        return True
    # The shortest vector of a lattice is among those of its reduced cell
    reduced, _ = minkowski_reduce(atoms.cell.array, pbc=atoms.pbc)
    lengths = np.linalg.norm(reduced, axis=1)[atoms.pbc]
    return bool(lengths.min() >= cutoff)


def isolated_atoms(frames: Iterable[ase.Atoms], cutoff: float) -> NDArray[np.bool_]:
    """Mark the frames that are one isolated atom, [B]; see `is_isolated_atom`."""
    return np.array([is_isolated_atom(atoms, cutoff) for atoms in frames], dtype=bool)


def split_with_isolated(
    isolated: NDArray[np.bool_],
    train: float,
    val: float,
    test: float,
    *,
    seed: int = 0,
    groups: Sequence[Any] | None = None,
) -> Parts:
    """Draw three parts as `split_indices` does, with every isolated atom in the training set.

    Isolated atoms count as frames of the training set, so the sizes are those that were asked for,
    unless there are more isolated atoms than that. Without a training set no part has them. Where
    there is nothing but isolated atoms, they are drawn like other frames.

    Args:
        isolated: which frames are isolated atoms, [B].
        train: see `split_indices`; so are the others.
        val: see `split_indices`.
        test: see `split_indices`.
        seed: see `split_indices`.
        groups: see `split_indices`.

    Returns:
        The numbers of the frames of each part, ascending.

    Raises:
        ValueError: see `split_indices`; or the other frames are too few for validation and test.
        TypeError: see `split_indices`.
    """
    num_frames, lone, others = len(isolated), np.flatnonzero(isolated), np.flatnonzero(~isolated)
    if len(lone) == 0 or len(others) == 0:
        return split_indices(num_frames, train, val, test, seed=seed, groups=groups)
    sizes = part_sizes(num_frames, train, val, test)
    room = len(others) - sizes[1] - sizes[2]
    if room < 0:
        raise ValueError(
            f"`val`, `test`: expected together at most the {len(others)} frames that are no "
            f"isolated atoms, got {sizes[1]} + {sizes[2]}; the {len(lone)} isolated atoms stay in "
            "the training set, so lower one of them"
        )
    fewest = min(room, 1) if sizes[0] else 0
    drawn = [max(sizes[0] - len(lone), fewest), sizes[1], sizes[2]]
    if not any(drawn):
        none = np.array([], dtype=np.int64)
        return lone, none, none
    if groups is not None:
        if len(groups) != num_frames:
            split_indices(num_frames, train, val, test, seed=seed, groups=groups)  # raises
        groups = [groups[i] for i in others.tolist()]
    parts = split_indices(len(others), *drawn, seed=seed, groups=groups)
    a, b, c = (others[part] for part in parts)
    return (np.union1d(a, lone) if sizes[0] else a), b, c
