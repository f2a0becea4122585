"""Text files of any kind: compressed, with a byte-order mark, in Latin-1, truncated."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import IO, Any

_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_TAIL = 1 << 16  # bytes, more than the lines of a hundred atoms
_CUTTABLE = re.compile(r"[-+.\deEdD]*\d[-+.\deEdD]*")
_NUMBER = re.compile(r"[-+]?\d*\.(?P<decimals>\d*)(?:[eEdD][-+](?P<exponent>\d+))?")


class ReadError(ValueError):
    """Describe what is wrong with the content of a file."""


def _latin_1(error: UnicodeError) -> tuple[str, int]:
    """Decode what is not UTF-8 as Latin-1, in which every byte is a character."""
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error("nnmd_latin_1", _latin_1)


def open_text(file: Path) -> io.TextIOWrapper:
    """Open a text, compressed (.gz, .bz2, .xz) or not, in UTF-8, UTF-16 or Latin-1.

    A byte-order mark is no part of it.

    Raises:
        ReadError: an archive is damaged, cut off, or none.
    """
    if file.suffix in _OPENERS:
        _check_archive(file)
    stream = _open_binary(file)
    start = stream.read(2)
    stream.seek(0)
    is_utf_16 = start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    encoding = "utf-16" if is_utf_16 else "utf-8-sig"
    return io.TextIOWrapper(stream, encoding=encoding, errors="nnmd_latin_1")


def head(file: Path, num_characters: int = 20000) -> str:
    """Return the beginning of a text; for a binary file, meaningless characters."""
    with open_text(file) as text:
        return text.read(num_characters)


def check_last_line(file: Path) -> None:
    """Refuse a text that may end in the middle of a number, which would read as another one.

    A text that ends with a line break is whole, and one that ends with a word, or with a number
    that has as many decimals as the others of a column where all are written with the same number.

    Raises:
        ReadError: it may be cut off.
    """
    if file.suffix in _OPENERS:
        _check_archive(file)
    with _open_binary(file) as stream:
        if file.suffix in _OPENERS:
            tail = b""
            while block := stream.read(_TAIL):
                tail = (tail + block)[-_TAIL:]
        else:
            stream.seek(0, io.SEEK_END)
            stream.seek(max(stream.tell() - _TAIL, 0))
            tail = stream.read()
    lines = tail.decode("utf-8", "replace").splitlines(keepends=True)
    if lines:
        check_ending(lines[-1], lines[1:-1])


def check_ending(last: str, others: Sequence[str]) -> None:
    """Refuse a last line that may be cut in a number; see `check_last_line`.

    Args:
        last: the line, with its line break if it has one.
        others: lines before it.

    Raises:
        ReadError: it may be cut off.
    """
    words = last.split()
    if not words or last[-1].isspace() or not _CUTTABLE.fullmatch(words[-1]):
        return
    table = list(takewhile(lambda row: len(row) == len(words), map(str.split, reversed(others))))
    column = [row[-1] for row in table] or [word for word in words[:-1] if "." in word]
    shape = _shape(words[-1])
    # A trailing zero shows that numbers are written with a fixed number of decimals
    near = [word for row in (*table, words[:-1]) for word in row]
    padded = any(_shape(word) == shape and re.search(r"0([eEdD]|$)", word) for word in near)
    if shape is None or not padded or {_shape(word) for word in column} != {shape}:
        raise ReadError(
            f"an end without a line break behind {words[-1]!r}, which may be a number cut in half "
            "(if it is whole, add a line break at the end of the file)"
        )


def _shape(word: str) -> tuple[int, int] | None:
    """Digits behind the point and in the exponent, of a number with two decimals or more."""
    match = _NUMBER.fullmatch(word)
    if match is None or len(match["decimals"]) < 2:
        return None
    return len(match["decimals"]), len(match["exponent"] or "")


def without_unfinished_line(text: str) -> str:
    """Leave out the last line, if no line break ends it and a number in it may be cut."""
    lines = text[-_TAIL:].splitlines(keepends=True)
    try:
        check_ending(lines[-1] if lines else "", lines[1:-1])
    except ReadError:
        return text[: text.rfind("\n") + 1]
    return text


def _open_binary(file: Path) -> IO[bytes]:
    return _OPENERS.get(file.suffix, open)(file, "rb")


def _check_archive(file: Path) -> None:
    """Unpack it once: its checksum stands at the end, and frames are read before that."""
    try:
        with _open_binary(file) as stream:
            while stream.read(1 << 20):
                pass
    except (EOFError, OSError, zlib.error, lzma.LZMAError, ValueError) as error:
        kind = file.suffix.removeprefix(".")
        raise ReadError(
            f"a {kind} archive that is damaged, cut off, or none ({type(error).__name__})"
        ) from error
