"""Structures from files: whatever ASE reads, with errors that name the file and the frame."""

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import ase
import ase.db
import ase.io
import numpy as np
from ase.io.formats import filetype, ioformats
from ase.utils import string2index

from nnmd_graph.addresses import existing, split_address
from nnmd_graph.data.reading import lammps, stopped
from nnmd_graph.data.reading.cp2k import iread_cp2k, is_trajectory, what_it_is
from nnmd_graph.data.reading.dft_output import iread_gpaw, warn_if_unconverged
from nnmd_graph.data.reading.extxyz import FrameError, iread_extxyz, parse
from nnmd_graph.data.reading.runner import iread_runner
from nnmd_graph.data.reading.text import ReadError, check_last_line, head, open_text
from nnmd_graph.errors import did_you_mean, reason

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

    extxyz, ASE databases, GPAW text and trajectories of CP2K are read frame by frame here, the rest
    as `ase.io.iread` does it. Compared with ASE:

    - a text may be in UTF-8, UTF-16 or Latin-1, with a byte-order mark; one that may end in the
      middle of a number (no line break, and nothing that shows that it is whole) is refused;
    - an archive is unpacked once before anything is read from it, so that a damaged one is refused;
    - extxyz: blank lines between frames do not end the file silently; species may be atomic
      numbers, a stress 6 numbers;
    - outputs of VASP, Quantum ESPRESSO and FHI-aims that stopped early give the steps that are
      finished, and a warning; a GPAW frame without energy or cut off in the middle is left out and
      counted in a warning, and its free energy is kept as `free_energy`;
    - CP2K: energies come from the comments of NAME-pos-1.xyz, forces and cells from NAME-frc-1.xyz
      and NAME-1.cell beside it, all converted to eV and Å;
    - the key-value pairs and data of a database row are found in `atoms.info` (and in
      `atoms.arrays`, if they have a row per atom).

    Args:
        path: the file; the frames that are wanted may stand behind an "@": "li.extxyz@::10".
        index: which frames, as in `ase.io.read`: ":" all, "-1" the last, "::10" every tenth; what
            stands in the name counts more.
        format: ASE's name of the format; default: guessed from the name and the first bytes.
            "cp2k" reads NAME-pos-1.xyz of CP2K, "runner" RuNNer's and n2p2's `input.data` if its
            comments state the units; others go through `read_runner`.

    Returns:
        An iterator over the structures with their sources.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the format is unknown, a frame cannot be read, or there is none.
        TypeError: `path` or `index` is of the wrong type.
    """
    path, index = split_address(path, index)
    file = existing(path)
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
    except Exception as error:  # ASE's readers may raise anything, even zlib.error
        bad, cause = expected, error
        if isinstance(error, FrameError):
            bad, cause = error.number, error.cause
        before = f", or read the frames before it with index=':{bad}'" if bad else ""
        raise ValueError(
            f"`path`: expected {format} frames in '{file}', got {_told(cause, format)} at frame "
            f"{bad}; repair the file{before}, or {_ALTERNATIVES.get(format, _OTHER)}"
        ) from cause
    if not found:
        raise ValueError(
            f"`path`: expected at least one structure, got none from '{file}' as {format} with "
            f"index {_spelled(selection)}; check the file and the index"
        )


def _told(cause: Exception, format: str) -> str:
    """Describe an error in our words; ASE's text only where it speaks of the file."""
    if isinstance(cause, ReadError):
        return str(cause)
    kind = type(cause).__name__
    if isinstance(cause, (ValueError, OSError)) and str(cause):
        kind = f"{kind}: {reason(cause)}"
    return f"what is not understood there ({kind}; cut off, damaged, or no {format}?)"


def _spelled(selection: slice) -> str:
    bounds = (selection.start, selection.stop, selection.step)
    text = ":".join("" if bound is None else str(bound) for bound in bounds)
    return repr(text.removesuffix(":") if selection.step is None else text)


# ------------------------------------------------------------------------------------- arguments
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
        beginning = _beginning(file)
        try:
            format = stopped.recognised(beginning) or filetype(str(file))
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
        if format == "espresso-out" and not stopped.recognised(beginning):
            raise ValueError(  # ASE's guess for every .out file
                f"`path`: expected a file of a recognised format, got '{file}'; name its `format`, "
                "e.g. espresso-out or aims-output"
            )
        if format == "extxyz" and is_trajectory(beginning):
            return "cp2k"
    if format not in ioformats or not ioformats[format].can_read:
        hint = did_you_mean(format, COMMON_FORMATS) or did_you_mean(format, ioformats)
        raise ValueError(
            f"`format`: expected a name that ASE reads, e.g. one of {', '.join(COMMON_FORMATS)}, "
            f"got {format!r}{hint or '; `ase info --formats` lists them all'}"
        )
    return format


def _beginning(file: Path) -> str:
    """Read the beginning of a file; refuse one that is known and holds no structures."""
    if file.is_dir():
        return ""
    try:
        text = head(file)
    except ReadError as error:
        raise ValueError(f"`path`: expected a file, got '{file}', {error}; repair it") from error
    kind = what_it_is(file, text)
    if kind is not None:
        raise ValueError(f"`path`: expected structures, got '{file}', {kind}")
    return text


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
    is_text = ioformats[format].acceptsfd and not ioformats[format].isbinary

    def read(file: Path, selection: slice) -> Numbered:
        def iread(index: slice) -> Iterator[ase.Atoms]:
            if is_text:
                with open_text(file) as text:
                    yield from ase.io.iread(text, index=index, format=format)
            else:
                yield from ase.io.iread(
                    str(file), index=index, format=format, do_not_split_by_at_sign=True
                )

        if is_text:
            check_last_line(file)
        start, step = selection.start or 0, selection.step or 1
        if ioformats[format].single or start < 0 or step < 0:
            # The places of these frames are unknown until the file is read
            yield from _select(iread(slice(None)), selection)
        else:
            for count, atoms in enumerate(iread(selection)):
                yield start + count * step, atoms

    return read


def _read_extxyz(file: Path, selection: slice) -> Numbered:
    for number, frame in _select(iread_extxyz(file), selection):
        yield number, parse(frame)


def _iread_database(file: Path, selection: slice) -> Numbered:
    # ASE tells the kind of a database from its name
    named = file.suffix in (".db", ".json", ".aselmdb")
    kind = "extract_from_name" if named else "db"
    with ase.db.connect(str(file), type=kind, serial=True) as database:
        units = stated_units(database.metadata)
        for number, row in _select(database.select(), selection):
            try:
                atoms = row.toatoms(add_additional_information=True)
                _flatten(atoms)
                for key, unit in units.items():
                    atoms.info.setdefault(key, unit)
            except Exception as error:
                raise FrameError(number, error) from error
            yield number, atoms


def _flatten(atoms: ase.Atoms) -> None:
    """Bring the key-value pairs and the data of a row to where named labels are looked for."""
    for table in ("key_value_pairs", "data"):
        for key, value in atoms.info.pop(table, {}).items():
            atoms.info.setdefault(key, value)
            per_atom = isinstance(value, np.ndarray) and len(value.shape) == 2
            if per_atom and len(value) == len(atoms) and key not in atoms.arrays:
                atoms.new_array(key, value)


def stated_units(metadata: Any) -> dict[str, str]:
    """Units that SchNetPack writes into a database, as keys of a frame: energy_unit, ..."""
    if not isinstance(metadata, dict):
        return {}
    given = metadata.get("_property_unit_dict")
    units = {f"{name}_unit": unit for name, unit in given.items()} if given else {}
    units["distance_unit"] = metadata.get("_distance_unit")
    return {key: unit for key, unit in units.items() if isinstance(unit, str) and unit}


def _output_reader(format: str) -> Reader:
    return lambda file, selection: _select(stopped.iread_output(file, format), selection)


def _dump_reader(format: str) -> Reader:
    read = _ase_reader(format)
    return lambda file, selection: lammps.without_inventions(file, format, read(file, selection))


_READERS: dict[str, Reader] = {
    "extxyz": _read_extxyz,
    "db": _iread_database,
    "json": _iread_database,
    "runner": lambda file, selection: _select(iread_runner(file), selection),
    "cp2k": lambda file, selection: _select(iread_cp2k(file), selection),
    "gpaw-out": lambda file, selection: _select(iread_gpaw(file), selection),
}
_READERS |= {format: _output_reader(format) for format in stopped.FORMATS}
_READERS |= {format: _dump_reader(format) for format in lammps.FORMATS}
