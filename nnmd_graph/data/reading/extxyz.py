"""XYZ and extended XYZ, frame by frame."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TextIO

import ase
import numpy as np
from ase.io.extxyz import key_val_str_to_dict, parse_properties, read_xyz

from nnmd_graph.data.reading.text import ReadError, check_ending, open_text
from nnmd_graph.elements import atomic_number, symbol

_SPECIAL = re.compile(r"(?<![\w-])(stress|virial)(?=\s*=)")
_MARK = "__as_written"
_DEFAULT_PROPERTIES = "species:S:1:pos:R:3"


class FrameError(Exception):
    """Tells which frame went wrong."""

    def __init__(self, number: int, cause: Exception) -> None:
        super().__init__(number, cause)
        self.number = number
        self.cause = cause


class Frame(NamedTuple):
    """The lines of a frame: the count, the comment, the atoms, VEC lines.

    Attributes:
        number: of the frame, from 0.
        first: number of its first line in the file, from 1.
        lines: with their line breaks.
    """

    number: int
    first: int
    lines: list[str]


def iread_extxyz(file: Path) -> Iterator[Frame]:
    """Cut a file into its frames; `parse` makes structures of them.

    Blank lines between frames do not end the file, as they do in ASE.

    Raises:
        FrameError: a frame does not begin with a number of atoms, or the last one is cut off.
    """
    with open_text(file) as text:
        yield from _frames(text)


def _frames(text: TextIO) -> Iterator[Frame]:
    number, at = 0, 1
    line = text.readline()
    while line:
        if not line.strip():  # ASE stops here, and whatever follows would be lost in silence
            line, at = text.readline(), at + 1
            continue
        line = line.removeprefix("\ufeff")  # left by a file to which another one was appended
        num_atoms = _count(line, number, at)
        lines = [line, *islice(text, 1 + num_atoms)]
        following = text.readline()
        while following.lstrip().startswith("VEC"):
            lines.append(following)
            following = text.readline()
        if len(lines) < 2 + num_atoms or not lines[-1].endswith("\n"):
            _check_complete(lines, num_atoms, number)
        yield Frame(number, at, lines)
        line, number, at = following, number + 1, at + len(lines)


def _count(line: str, number: int, at: int) -> int:
    try:
        num_atoms = int(line)
    except ValueError:
        num_atoms = -1
    if num_atoms < 0:
        found = line.strip()[:60]
        cause = f"no number of atoms on a line of its own (line {at}), found {found!r}"
        raise FrameError(number, ReadError(cause))
    return num_atoms


def _check_complete(lines: list[str], num_atoms: int, number: int) -> None:
    """Refuse a last frame that ends early; a number cut in half would read as another number."""
    if len(lines) < 2 + num_atoms:
        there = f"{max(len(lines) - 2, 0)} of the frame's {num_atoms} atoms"
        raise FrameError(number, ReadError(f"an end of the file after {there}"))
    if num_atoms > 1 and len(lines[-1].split()) < len(lines[-2].split()):
        raise FrameError(number, ReadError("an end in the middle of the last atom's line"))
    try:
        check_ending(lines[-1], lines[2:-1])
    except ReadError as error:
        raise FrameError(number, error) from None


def parse(frame: Frame) -> ase.Atoms:
    """Make the structure of a frame.

    Species may be symbols or atomic numbers; a stress 6 numbers (Voigt), 9, or 3x3 in brackets.

    Raises:
        FrameError: a line cannot be understood; the message says which.
    """
    try:
        atoms = _read(frame.lines)
        if atoms.numbers.any() or not len(atoms):
            return atoms
        raise ReadError("dummy atoms")  # so ASE makes them where there are no species
    except Exception as error:  # ASE's reader may raise any exception
        try:
            lines = _repaired(frame, error)
        except ReadError as explained:
            raise FrameError(frame.number, explained) from error
    return _read(lines)


def _read(lines: list[str]) -> ase.Atoms:
    text = io.StringIO("".join(lines))
    atoms = next(read_xyz(text, 0, properties_parser=_comment))
    assert isinstance(atoms, ase.Atoms)
    return atoms


def _comment(line: str) -> dict[str, Any]:
    """Keys and values of a comment; ASE takes a stress of 9 numbers only."""
    try:
        return _with_matrices(key_val_str_to_dict(line))
    except ValueError:
        values = _with_matrices(key_val_str_to_dict(_SPECIAL.sub(rf"\1{_MARK}", line)))
    for key in ("stress", "virial"):
        value = values.pop(key + _MARK, None)
        if value is not None:
            shape = np.shape(value)
            if shape not in ((6,), (9,), (3, 3)) or np.asarray(value).dtype.kind not in "if":
                raise ReadError(f"{value!r} for {key}, which has 6 (Voigt) or 9 numbers")
            values[key] = value.reshape(3, 3, order="F") if shape == (9,) else value
    return values


def _with_matrices(values: dict[str, Any]) -> dict[str, Any]:
    """Read numbers that stand in the brackets of lists: [[xx, xy, xz], ...]."""
    for key, value in values.items():
        if isinstance(value, str) and value.startswith("[["):
            with contextlib.suppress(ValueError):
                values[key] = np.array(json.loads(value), dtype=float)
    return values


def _repaired(frame: Frame, error: Exception) -> list[str]:
    """Lines of a frame that ASE could not read with symbols in place of numbers of elements.

    Raises:
        ReadError: that was not it; says which line is wrong.
    """
    lines = list(frame.lines)
    try:
        values = _comment(lines[1].strip()) if lines[1].strip() else {}
    except ReadError as wrong:
        raise ReadError(f"{wrong} in line {frame.first + 1}") from None
    except ValueError as wrong:
        raise ReadError(
            f"a comment that cannot be understood in line {frame.first + 1} ({wrong})"
        ) from None
    given = values.get("Properties", _DEFAULT_PROPERTIES)
    try:
        properties, _, dtype, conversions = parse_properties(given)
    except Exception:
        raise ReadError(f"Properties={given!r} in line {frame.first + 1}") from None
    kinds = list(np.dtype(dtype).names or ())
    named = {ase_name: name for name, (ase_name, _) in properties.items()}
    if not {"symbols", "numbers"} & set(named):
        raise ReadError(f"no species among the Properties={given!r} in line {frame.first + 1}")
    column = kinds.index(named["symbols"]) if "symbols" in named else None
    as_numbers = False
    for n in range(int(lines[0])):
        where, words = f"in line {frame.first + 2 + n}", lines[2 + n].split()
        if len(words) < len(kinds):
            raise ReadError(
                f"{len(words)} columns {where}, where Properties={given!r} has {len(kinds)}"
            )
        for c, convert in enumerate(conversions):
            if c == column:
                name = _symbol(words[c], where)
                as_numbers |= name != words[c]
                words[c] = name
            else:
                _convert(words[c], convert, where)
        lines[2 + n] = " ".join(words) + "\n"
    if not as_numbers:
        _give_up(frame, error)
    lines[1] = lines[1].replace("species:I:1", "species:S:1")
    return lines


def _symbol(word: str, where: str) -> str:
    is_number = word.lstrip("+-").isdigit()
    try:
        z = atomic_number(int(word) if is_number else word.capitalize(), None)
    except ValueError as wrong:
        if word.capitalize() == "X":
            return "X"  # a dummy atom, which is refused elsewhere
        raise ReadError(f"{word!r} for an element {where} ({wrong})") from None
    return symbol(z)


def _convert(word: str, convert: Any, where: str) -> None:
    try:
        if convert is not str:
            convert(word)
    except Exception:
        kind = {int: "a whole number", float: "a number"}.get(convert, "T or F")
        raise ReadError(f"{word!r} for {kind} {where}") from None


def _give_up(frame: Frame, error: Exception) -> NoReturn:
    raise ReadError(
        f"a frame that ASE's reader does not understand ({type(error).__name__}) from line "
        f"{frame.first} on"
    )
