"""Seeded, disjoint splits into training, validation and test."""

import math
from collections.abc import Hashable, Sequence
from numbers import Integral, Real
from typing import Any

import ase
import numpy as np
import torch
from numpy.typing import NDArray

from nnmd_graph.errors import did_you_mean

NAMES = ("train", "val", "test")

Parts = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def split_indices(
    num_frames: int,
    train: float,
    val: float,
    test: float,
    *,
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
) -> Parts:
    """Draw three disjoint sets of frame numbers.

    The numbers depend on nothing but the arguments. With `groups`, all frames of a group go into
    the same part; the sizes then are as close to the wanted ones as the groups allow.

    Args:
        num_frames: how many frames there are.
        train: fraction (float) or number (int) of frames; so are `val` and `test`. Fractions that
            sum to 1 use every frame; an explicit 0 leaves a part empty.
        val: see `train`.
        test: see `train`.
        seed: of the random draw, 0 to 2^32 - 1.
        groups: a label for each frame.

    Returns:
        The numbers of the frames of each part, ascending.

    Raises:
        ValueError: the parts are larger than the set, or one that was asked for would be empty.
        TypeError: fractions and numbers are mixed, something else is no number, or a group label
            cannot be compared.
    """
    sizes = part_sizes(num_frames, train, val, test)
    # RandomState: NumPy guarantees its numbers, so a split can be reproduced
    random = np.random.RandomState(_checked_seed(seed))
    if groups is None:
        order = random.permutation(num_frames)
        ends = np.cumsum(sizes)
        parts = [order[end - size : end] for size, end in zip(sizes, ends, strict=True)]
    else:
        parts = _split_groups(num_frames, sizes, groups, random)
    a, b, c = (np.sort(part).astype(np.int64) for part in parts)
    return a, b, c


def part_sizes(num_frames: int, train: float, val: float, test: float) -> list[int]:
    """Turn fractions or numbers into numbers of frames.

    Fractions are rounded so that together they miss no frame: each part gets the whole part of
    `fraction * num_frames`, and the rest goes to the largest remainders.

    Args:
        num_frames: how many frames there are.
        train: see `split_indices`.
        val: see `split_indices`.
        test: see `split_indices`.

    Returns:
        Three numbers.

    Raises:
        ValueError: see `split_indices`.
        TypeError: see `split_indices`.
    """
    given: dict[str, Any] = dict(zip(NAMES, (train, val, test), strict=True))
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(
                f"`{name}`: expected a fraction (float) or a number of frames (int), got "
                f"{type(value).__name__} {value!r}"
            )
        if not (math.isfinite(value) and float(value) >= 0):
            raise ValueError(f"`{name}`: expected a finite number >= 0, got {value}")
    # 0 is both a fraction and a number, so it mixes with either
    as_counts = {name: isinstance(value, Integral) for name, value in given.items() if value != 0}
    if not as_counts:
        raise ValueError(
            "`train`, `val`, `test`: expected at least one above 0, got 0, 0, 0; set `train`"
        )
    if len(set(as_counts.values())) > 1:
        raise TypeError(
            "`train`, `val`, `test`: expected fractions (float) or numbers of frames (int), got "
            f"both: {train!r}, {val!r}, {test!r}; write all of them as one kind"
        )
    if all(as_counts.values()):
        sizes = [int(value) for value in given.values()]
        if sum(sizes) > num_frames:
            raise ValueError(
                f"`train`, `val`, `test`: expected together at most the {num_frames} frames of the "
                f"data set, got {train} + {val} + {test} = {sum(sizes)}; lower one of them"
            )
        return sizes
    return _rounded(num_frames, given)


def _checked_seed(seed: Any) -> int:
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise TypeError(f"`seed`: expected an int, got {type(seed).__name__} {seed!r}")
    if not 0 <= int(seed) < 2**32:
        raise ValueError(f"`seed`: expected 0 <= seed < 2^32, got {seed}")
    return int(seed)


def _rounded(num_frames: int, fractions: dict[str, float]) -> list[int]:
    total = math.fsum(fractions.values())
    if total > 1 + 1e-9:
        text = " + ".join(f"{value:g}" for value in fractions.values())
        raise ValueError(
            f"`train`, `val`, `test`: expected fractions that sum to at most 1, got {text} = "
            f"{total:g}; lower one of them, or give numbers of frames as int"
        )
    wanted = [fraction * num_frames for fraction in fractions.values()]
    sizes = [math.floor(want + 1e-9) for want in wanted]
    rest = math.floor(total * num_frames + 1e-6) - sum(sizes)
    by_remainder = sorted(range(len(sizes)), key=lambda i: sizes[i] - wanted[i])
    for i in by_remainder[:rest]:
        sizes[i] += 1
    for (name, fraction), size in zip(fractions.items(), sizes, strict=True):
        if fraction > 0 and size == 0:
            raise ValueError(
                f"`{name}`: expected at least one frame, got {fraction:g} of {num_frames} frames, "
                "which is none; give numbers of frames as int, e.g. "
                f"{name}=1, or 0 for no {name} set"
            )
    return sizes


def _split_groups(
    num_frames: int,
    sizes: list[int],
    groups: Sequence[Hashable],
    random: np.random.RandomState,
) -> list[NDArray[np.int64]]:
    if len(groups) != num_frames:
        raise ValueError(
            f"`groups`: expected one label for each of the {num_frames} frames, got "
            f"{len(groups)}; leave it out, or name a key of `atoms.info`"
        )
    members: dict[Hashable, list[int]] = {}
    for frame, given in enumerate(groups):
        # Elements of a tensor compare by identity, their numbers by value
        group = given.tolist() if isinstance(given, torch.Tensor) else given
        if not isinstance(group, Hashable):
            raise TypeError(
                f"`groups`: expected labels that can be compared, such as int or str, got "
                f"{type(group).__name__} for frame {frame}; use str(label)"
            )
        members.setdefault(group, []).append(frame)
    shuffled = list(members.values())
    shuffled = [shuffled[i] for i in random.permutation(len(shuffled))]
    num_parts = sum(size > 0 for size in sizes)
    if len(shuffled) < num_parts:
        raise ValueError(
            f"`groups`: expected at least {num_parts} groups for {num_parts} parts, got "
            f"{len(shuffled)}; all frames of a group stay together, so use finer groups or None"
        )
    # Frames that no part asked for are a fourth part, or the groups would spill over into the three
    bins = _fill([*sizes, num_frames - sum(sizes)], shuffled)
    _leave_none_empty(bins, sizes)
    return [np.array([i for group in groups for i in group], dtype=int) for groups in bins[:3]]


def _fill(targets: list[int], groups: list[list[int]]) -> list[list[list[int]]]:
    """Assign the groups: large ones to the part with most room, small ones at random."""
    bins: list[list[list[int]]] = [[] for _ in targets]
    room = list(targets)
    open_bins = [b for b, target in enumerate(targets) if target > 0]
    large = min(targets[b] for b in open_bins) / 2
    first = sorted((g for g in groups if len(g) > max(large, 1)), key=len, reverse=True)
    for group in first + [g for g in groups if len(g) <= max(large, 1)]:
        fitting = [b for b in open_bins if room[b] >= len(group)]
        if len(group) > large or not fitting:
            best = max(open_bins, key=lambda b: room[b])
        else:  # in proportion, so that every part gets its share of small groups
            best = max(fitting, key=lambda b: room[b] / targets[b])
        bins[best].append(group)
        room[best] -= len(group)
    return bins


def _leave_none_empty(bins: list[list[list[int]]], sizes: list[int]) -> None:
    """Move a smallest group to each part that was asked for and got none."""
    for wanted in range(len(sizes)):
        if sizes[wanted] > 0 and not bins[wanted]:
            donor = max(range(len(bins)), key=lambda b: len(bins[b]))
            smallest = min(bins[donor], key=len)
            bins[donor].remove(smallest)
            bins[wanted].append(smallest)


def groups_by_key(frames: Sequence[ase.Atoms], groups: str) -> list[str]:
    """A label for each frame out of a key of `atoms.info`.

    Raises:
        ValueError: no frame has the key.
    """
    values = [atoms.info.get(groups) for atoms in frames]
    if all(value is None for value in values):
        keys = sorted({key for atoms in frames for key in atoms.info})
        hint = did_you_mean(groups, ["geometry", *keys])
        raise ValueError(
            f"`groups`: expected 'geometry' or a key of `atoms.info` ({keys}), got {groups!r}{hint}"
        )
    # A frame without the key is a group of its own; str, since a value may be an array
    return [f"={v}" if v is not None else f"#{i}" for i, v in enumerate(values)]
