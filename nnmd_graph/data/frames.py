"""Structures that enter a data set: checked, then copied."""

import copy
import os
from collections.abc import Iterable, Sequence
from typing import Any

import ase
import numpy as np
import torch
from ase.calculators.singlepoint import SinglePointCalculator
from numpy.typing import NDArray

from nnmd_graph.elements import check_atomic_numbers
from nnmd_graph.graph import Labels


def as_list(frames: Any) -> list[Any]:
    """List the structures that the caller handed in.

    Raises:
        TypeError: a single structure, a file name, or nothing that can be listed.
        ValueError: there are none.
    """
    if isinstance(frames, ase.Atoms):
        raise TypeError("`frames`: expected several ase.Atoms, got a single one; pass [atoms]")
    if isinstance(frames, (str, os.PathLike)):
        raise TypeError(
            f"`frames`: expected ase.Atoms, got the name {str(frames)!r}; "
            "use AtomsDataset.read(path, cutoff)"
        )
    if not isinstance(frames, Iterable):
        raise TypeError(
            f"`frames`: expected several ase.Atoms, got {type(frames).__name__}; give a list"
        )
    given = list(frames)
    if not given:
        raise ValueError(
            "`frames`: expected at least one structure, got none; check the file or the list"
        )
    return given


def check_structure(atoms: Any) -> None:
    """Refuse early what would make a graph impossible, not after hours of work.

    Raises:
        TypeError: not an `ase.Atoms`.
        ValueError: no atoms, atoms that are no element, numbers that are not finite, or a
            periodic direction without a volume.
    """
    if not isinstance(atoms, ase.Atoms):
        raise TypeError(
            f"expected an ase.Atoms, got {type(atoms).__name__}; read files with AtomsDataset.read"
        )
    if len(atoms) == 0:
        raise ValueError("expected at least one atom, got a structure without atoms; remove it")
    for name, array in (("positions", atoms.positions), ("cell", atoms.cell.array)):
        bad = np.argwhere(~np.isfinite(array))
        if len(bad):
            what = f"atom {bad[0, 0]}" if name == "positions" else f"vector {bad[0, 0]}"
            raise ValueError(
                f"`{name}`: expected finite numbers in Å, got {array[bad[0, 0]].tolist()} for "
                f"{what}; repair or remove the frame"
            )
    check_atomic_numbers(atoms.numbers)
    periodic = atoms.cell.array[atoms.pbc]
    if len(periodic) and np.linalg.matrix_rank(periodic) < len(periodic):
        raise ValueError(
            f"`cell`: expected vectors that span a volume in the periodic directions "
            f"{atoms.pbc.tolist()}, got {atoms.cell.array.tolist()}; set the cell, or `pbc` to "
            "False where the structure does not repeat"
        )


def snapshot(atoms: ase.Atoms, labels: Labels) -> ase.Atoms:
    """Copy a frame with its results, so that later changes by the caller have no effect."""
    frame = atoms.copy()
    if isinstance(atoms.calc, SinglePointCalculator):
        frame.calc = copy.copy(atoms.calc)
        frame.calc.results = dict(atoms.calc.results)
    elif atoms.calc is not None:  # a live calculator would go on to other structures
        frame.calc = SinglePointCalculator(frame, **labels.results())
    assert isinstance(frame, ase.Atoms)
    return frame


def labelled(frame: ase.Atoms, labels: Labels, keys: Iterable[str] = ()) -> ase.Atoms:
    """A structure whose labels, whatever their names were, are those of a calculator.

    Args:
        frame: the structure.
        labels: its labels.
        keys: entries of `frame.info` that go along.
    """
    atoms = ase.Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=frame.pbc)
    atoms.info = {key: frame.info[key] for key in keys if key in frame.info}
    atoms.calc = SinglePointCalculator(atoms, **labels.results())
    return atoms


def positions_of(index: Any, length: int) -> NDArray[np.int64]:
    """Turn a slice, numbers or a mask into numbers from 0 to length - 1.

    Raises:
        IndexError: out of range.
        TypeError: `index` is none of these.
    """
    if isinstance(index, slice):
        return np.arange(length)[index]
    array = index.cpu().numpy() if isinstance(index, torch.Tensor) else np.asarray(index)
    if array.ndim == 1 and array.dtype == bool:
        if len(array) != length:
            raise IndexError(f"`index`: expected a mask of {length} frames, got {len(array)}")
        return np.flatnonzero(array)
    if array.ndim != 1 or not (array.size == 0 or np.issubdtype(array.dtype, np.integer)):
        raise TypeError(
            f"`index`: expected an int, a slice, a list of ints or a mask, got {index!r}"
        )
    array = array.astype(np.int64)
    outside = array[(array < -length) | (array >= length)]
    if len(outside):
        raise IndexError(f"`index`: expected frames of {length}, got {outside[0]}")
    return array % length if length else array


def check_sources(sources: Sequence[str] | None, num_frames: int) -> list[str]:
    """Names of the frames in messages.

    Raises:
        ValueError: not one for each frame.
    """
    names = [""] * num_frames if sources is None else list(sources)
    if len(names) != num_frames:
        raise ValueError(
            f"`sources`: expected one per frame, {num_frames}, got {len(names)}; leave it out"
        )
    return names
