"""Structures from files: whatever ASE reads, with errors that name the file and the frame."""

import io
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import ase
import ase.db
import ase.io
import numpy as np
from ase.io.extxyz import read_xyz
from ase.io.formats import filetype, ioformats, open_with_compression
from ase.utils import string2index

from nnmd_graph.data.dft_output import iread_gpaw, warn_if_unconverged
from nnmd_graph.data.runner import iread_runner
from nnmd_graph.errors import did_you_mean

_OTHER = "name another `format`"
_ALTERNATIVES = {"vasp-out": "read the run's vasprun.xml, which holds the same"}
COMMON_FORMATS = ("extxyz", "traj", "db", "gpaw-out", "vasp-out", "vasp-xml")


class SourcedFrame(NamedTuple):
    """A structure and where it came from, e.g. "frame 17 of 'li.extxyz'"."""

    atoms: ase.Atoms
    source: str


def read_frames(
    path: str | os.PathLike[str], *, index: int | str | slice = ":", format: str | None = None
) -> Iterator[SourcedFrame]:
    """Read structures one after the other, compressed (.gz, .bz2, .xz) or not.

    extxyz, ASE databases and GPAW text are read frame by frame here, the rest as `ase.io.iread`
    does it. Compared with ASE: blank lines between extxyz frames do not end the file silently; the
    key-value pairs and data of a database row are found in `atoms.info` (and in `atoms.arrays`, if
    they have a row per atom); a GPAW frame without energy or cut off in the middle is left out and
    counted in a warning, and its free energy is kept as `free_energy`.

    Args:
        path: the file; an "@" in its name is a letter like any other.
        index: which frames, as in `ase.io.read`: ":" all, "-1" the last, "::10" every tenth.
        format: ASE's name of the format; default: guessed from the name and the first bytes.
            "runner" reads RuNNer's and n2p2's `input.data` if its comments state the units; others
            go through `read_runner`.

    Returns:
        An iterator over the structures with their sources.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the format is unknown, a frame cannot be read, or there is none.
        TypeError: `path` or `index` is of the wrong type.
    """
    file = _existing(path)
    selection = _selection(index)
    format = _format(file, format)
    return _read(file, selection, format)


def _read(file: Path, selection: slice, format: str) -> Iterator[SourcedFrame]:
    if format in ("vasp-out", "vasp-xml"):
        warn_if_unconverged(file)
    reader = _READERS.get(format) or _ase_reader(format)
    expected = max(selection.start or 0, 0)
    found = False
    try:
        for number, atoms in reader(file, selection):
            found = True
            yield SourcedFrame(atoms, f"frame {number} of {file.name!r}")
            expected = number + (selection.step or 1)
    except Exception as error:  # ASE's readers raise anything, from AssertionError to zlib.error
        bad, cause = expected, error
        if isinstance(error, _FrameError):
            bad, cause = error.number, error.cause
        before = f", or read the frames before it with index=':{bad}'" if bad else ""
        raise ValueError(
            f"`path`: expected {format} frames in '{file}', got {type(cause).__name__}: {cause} at "
            f"frame {bad}; repair the file{before}, or {_ALTERNATIVES.get(format, _OTHER)}"
        ) from cause
    if not found:
        raise ValueError(
            f"`path`: expected at least one structure, got none from '{file}' as {format} with "
            f"index {_spelled(selection)}; check the file and the index"
        )


def _spelled(selection: slice) -> str:
    bounds = (selection.start, selection.stop, selection.step)
    text = ":".join("" if bound is None else str(bound) for bound in bounds)
    return repr(text.removesuffix(":") if selection.step is None else text)


class _FrameError(Exception):
    """Tells which frame went wrong."""

    def __init__(self, number: int, cause: Exception) -> None:
        super().__init__(number, cause)
        self.number = number
        self.cause = cause


# ------------------------------------------------------------------------------------- arguments
def _existing(path: str | os.PathLike[str]) -> Path:
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(
            f"`path`: expected a file name or a list of them, got {type(path).__name__}; "
            "structures that are in memory already go into AtomsDataset(frames, cutoff)"
        )
    file = Path(path)
    if file.is_dir():
        if (file / "metadata.json").exists():  # an ASE bundle trajectory
            return file
        raise ValueError(
            f"`path`: expected a file, got the folder '{file}'; give the files in it, e.g. "
            "sorted(Path(folder).glob('*.xyz'))"
        )
    if not file.exists():
        there = [p.name for p in file.parent.iterdir()] if file.parent.is_dir() else []
        close = did_you_mean(file.name, there)
        if not file.parent.is_dir():
            hint = f"; there is no folder '{file.parent}' either"
        elif close:
            hint = close
        elif "@" in file.name:
            hint = "; frames are chosen with `index`, not with '@'"
        else:
            hint = "; check the name and the folder"
        raise FileNotFoundError(f"`path`: expected a file, got '{file}', which is not there{hint}")
    if file.stat().st_size == 0:
        raise ValueError(f"`path`: expected structures, got the empty file '{file}' (0 bytes)")
    return file


def _selection(index: int | str | slice) -> slice:
    if isinstance(index, slice):
        return index
    if isinstance(index, str):
        text = index
        try:
            index = string2index(text)
        except ValueError:
            pass
        if isinstance(index, str):  # ASE keeps what it cannot parse, for database queries
            raise ValueError(
                f"`index`: expected a number or a slice such as ':', '-1' or '::10', got {text!r}"
            )
    if isinstance(index, bool) or not isinstance(index, (int, np.integer, slice)):
        raise TypeError(
            f"`index`: expected an int, a str or a slice, got {type(index).__name__} {index!r}"
        )
    if isinstance(index, slice):
        return index
    return slice(int(index), int(index) + 1 or None)


def _format(file: Path, format: str | None) -> str:
    if format in _READERS:
        return format
    if format is None:
        try:
            format = filetype(str(file))
        except Exception as error:
            raise ValueError(
                f"`path`: expected a file whose format ASE knows, got '{file}' "
                f"({type(error).__name__}: {error}); name its `format`, "
                f"e.g. one of {', '.join(COMMON_FORMATS)}"
            ) from error
        if format not in ioformats:
            raise ValueError(
                f"`path`: expected a file whose format ASE knows, got '{file}'; name its `format`, "
                f"e.g. one of {', '.join(COMMON_FORMATS)}"
            )
    if format not in ioformats or not ioformats[format].can_read:
        hint = did_you_mean(format, COMMON_FORMATS) or did_you_mean(format, ioformats)
        raise ValueError(
            f"`format`: expected a name that ASE reads, e.g. one of {', '.join(COMMON_FORMATS)}, "
            f"got {format!r}{hint or '; `ase info --formats` lists them all'}"
        )
    return format


# --------------------------------------------------------------------------------------- readers
Numbered = Iterator[tuple[int, ase.Atoms]]
Reader = Callable[[Path, slice], Numbered]


def _select(items: Iterable[Any], selection: slice) -> Iterator[tuple[int, Any]]:
    """Number the items and keep the selected ones; only negative indices need all of them."""
    numbered = enumerate(items)
    bounds = (selection.start, selection.stop, selection.step)
    if all(bound is None or bound >= 0 for bound in bounds):
        return islice(numbered, *bounds)
    return iter(list(numbered)[selection])


def _ase_reader(format: str) -> Reader:
    def read(file: Path, selection: slice) -> Numbered:
        def iread(index: slice) -> Iterator[ase.Atoms]:
            return ase.io.iread(str(file), index=index, format=format, do_not_split_by_at_sign=True)

        start, step = selection.start or 0, selection.step or 1
        if ioformats[format].single or start < 0 or step < 0:
            # Where these frames are in the file is not known until it is read
            yield from _select(iread(slice(None)), selection)
        else:
            for count, atoms in enumerate(iread(selection)):
                yield start + count * step, atoms

    return read


def _iread_extxyz(file: Path, selection: slice) -> Numbered:
    with open_with_compression(str(file)) as text:
        for number, frame in _select(_extxyz_frames(text), selection):
            try:
                atoms = next(read_xyz(io.StringIO(frame), 0))
            except Exception as error:
                raise _FrameError(number, error) from error
            yield number, atoms


def _extxyz_frames(text: TextIO) -> Iterator[str]:
    """Cut a file into the texts of its frames: the count, the comment, the atoms, VEC lines."""
    number = 0
    line = text.readline()
    while line:
        if not line.strip():  # ASE stops here, and whatever follows would be lost in silence
            line = text.readline()
            continue
        try:
            num_atoms = int(line)
        except ValueError:
            found = line.strip()[:60]
            cause = ValueError(
                f"expected the number of atoms on a line of its own, found {found!r}"
            )
            raise _FrameError(number, cause) from None
        lines = [line, *islice(text, 1 + num_atoms)]
        if len(lines) < 2 + num_atoms or not lines[-1].endswith("\n"):
            _check_complete(lines, num_atoms, number)
        line = text.readline()
        while line.lstrip().startswith("VEC"):
            lines.append(line)
            line = text.readline()
        yield "".join(lines)
        number += 1


def _check_complete(lines: list[str], num_atoms: int, number: int) -> None:
    """Refuse a last frame that ends early; a number cut in half would read as another number."""
    if len(lines) < 2 + num_atoms:
        cause = ValueError(
            f"the file ends after {max(len(lines) - 2, 0)} of the frame's {num_atoms} atoms"
        )
        raise _FrameError(number, cause)
    if num_atoms > 1 and len(lines[-1].split()) < len(lines[-2].split()):
        raise _FrameError(number, ValueError("the file ends in the middle of the last atom's line"))


def _iread_database(file: Path, selection: slice) -> Numbered:
    # ASE tells the kind of a database from its name
    named = file.suffix in (".db", ".json", ".aselmdb")
    kind = "extract_from_name" if named else "db"
    with ase.db.connect(str(file), type=kind, serial=True) as database:
        for number, row in _select(database.select(), selection):
            try:
                atoms = row.toatoms(add_additional_information=True)
                _flatten(atoms)
            except Exception as error:
                raise _FrameError(number, error) from error
            yield number, atoms


def _flatten(atoms: ase.Atoms) -> None:
    """Bring the key-value pairs and the data of a row to where named labels are looked for."""
    for table in ("key_value_pairs", "data"):
        for key, value in atoms.info.pop(table, {}).items():
            atoms.info.setdefault(key, value)
            per_atom = isinstance(value, np.ndarray) and len(value.shape) == 2
            if per_atom and len(value) == len(atoms) and key not in atoms.arrays:
                atoms.new_array(key, value)


_READERS: dict[str, Reader] = {
    "extxyz": _iread_extxyz,
    "db": _iread_database,
    "json": _iread_database,
    "runner": lambda file, selection: _select(iread_runner(file), selection),
    "gpaw-out": lambda file, selection: _select(iread_gpaw(file), selection),
}
