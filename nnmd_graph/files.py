"""Files that are written whole or not at all, and that reveal any changed bit.

What this package reads back carries a checksum of its own: archives of tensors as the comment at
their end, JSON as an entry, settings as a first line (:mod:`nnmd_graph.config.files`).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
import threading
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

SEAL = b"nnmd_graph sha256 "
CHECKSUM = "checksum"
DIGEST = "sha256:"
_END_OF_ARCHIVE, _LENGTH_OF_END = b"PK\x05\x06", 22
_LENGTH_OF_DIGEST = 64


# --------------------------------------------------------------------------------------- writing
@contextlib.contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Name the file in errors that occur while it is written.

    A full disk shows when bytes are written, where the system does not know the name any more, and
    torch's archives turn it into an error of their own.

    Raises:
        OSError: what the system said, with the name.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        cause = error if isinstance(error, OSError) else error.__context__
        if isinstance(cause, OSError) and cause.errno is not None and cause.filename is None:
            raise OSError(cause.errno, cause.strerror, os.fspath(path)) from error
        raise


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary name to write to; the file replaces `path` if nothing fails.

    The ending of the name is kept, as programs tell the format by it. What a killed process leaves
    behind is found by :func:`is_leftover`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.{threading.get_native_id()}-{path.name}")
    try:
        with naming(path):
            yield temporary
            _to_disk(temporary)
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def is_leftover(name: str, of: Iterable[str]) -> bool:
    """Tell whether a killed process left a temporary file for one of some files."""
    return any(
        (name.endswith(f"-{file}") and name[1 : -len(file) - 1].replace(".", "").isdigit())
        or name == f".{file}.new"  # these two patterns are of older versions
        or (name.startswith(f".{file}.") and len(name) == len(file) + 10)
        for file in of
        if name.startswith(".")
    )


def _to_disk(path: Path) -> None:
    """Wait until the bytes are on disk: after a power cut no name may stand without them."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_archive(content: bytes, path: str | os.PathLike[str]) -> None:
    """Write a zip archive with the checksum of all its bytes at its end."""
    with replacing(path) as temporary:
        temporary.write_bytes(_sealed(content))


def write_json(values: Mapping[str, Any], path: str | os.PathLike[str], *, seal: bool) -> None:
    """Write JSON; what is not finite is null.

    Args:
        values: plain values.
        path: file to write.
        seal: whether to add a checksum, for :func:`read_json`.
    """
    plain = json.loads(json.dumps(finite(values), allow_nan=False))
    if seal:
        plain = {CHECKSUM: checksum(plain)} | plain
    with replacing(path) as temporary:
        text = json.dumps(plain, indent=2, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def finite(values: Any) -> Any:
    """The same with None for numbers that JSON cannot express."""
    if isinstance(values, Mapping):
        return {str(key): finite(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [finite(value) for value in values]
    if isinstance(values, float) and not math.isfinite(values):
        return None
    return values


# --------------------------------------------------------------------------------------- reading
def read_archive(path: Path) -> tuple[bytes, bool]:
    """The bytes of a zip archive, checked, and whether it has the checksum of this package.

    An archive without one is of an older version, or someone else's: its parts must match the
    checksums (CRC-32) that the format has for each of them.

    Raises:
        ValueError: what is damaged, in a few words.
    """
    content = path.read_bytes()
    if not content.strip(b"\0"):
        raise ValueError("no bytes but zeros" if content else "no bytes")
    end = len(content) - _LENGTH_OF_DIGEST
    if content[: max(end, 0)].endswith(SEAL):
        if _digest(content[:end]) != content[end:]:
            raise ValueError("its bytes do not match their checksum")
        return content, True
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            damaged = archive.testzip()
    except Exception as error:  # foreign bytes may raise any exception
        raise ValueError(str(error) or type(error).__name__) from None
    if damaged is not None:
        raise ValueError(f"the part {damaged} does not match its checksum")
    return content, False


def read_json(path: Path, keys: Iterable[str] = (), *, what: str) -> dict[str, Any] | None:
    """Read what :func:`write_json` wrote, with a seal or (older versions) without; None: no file.

    Args:
        path: the file.
        keys: what must be there.
        what: what the file holds, for messages.

    Raises:
        ValueError: the file is damaged, cut off or someone else's.
    """
    if not path.is_file():
        return None
    problem = ""
    values: Any = {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refused)
    except (ValueError, RecursionError) as error:  # of bytes that are no text, too
        problem = f"no JSON ({str(error) or type(error).__name__})"
    if not problem and not isinstance(values, dict):
        problem = f"the JSON of a {type(values).__name__}"
    elif not problem and _has_seal(values):
        found = values.pop(CHECKSUM, None)
        if found != checksum(values):
            problem = "a file that does not match its checksum: it was damaged or edited"
    missing = [] if problem else [key for key in keys if key not in values]
    if missing:
        problem = f"a file without {', '.join(repr(key) for key in missing)}"
    if problem:
        raise ValueError(
            f"'{path}': expected {what}, as this package writes it, got {problem}; put the file "
            "back as it was, or delete it, and what it holds is made again"
        )
    return dict(values)


def checksum_of_file(path: Path) -> str:
    """Checksum of the bytes of a file."""
    return DIGEST + hashlib.sha256(path.read_bytes()).hexdigest()


def checksum(values: Any) -> str:
    """Checksum of plain values, independent of their layout in a file."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return DIGEST + hashlib.sha256(text.encode()).hexdigest()


def _has_seal(values: Mapping[str, Any]) -> bool:
    """Tell whether there is a checksum, even under a damaged name."""
    return CHECKSUM in values or any(
        isinstance(value, str) and value.startswith(DIGEST) for value in values.values()
    )


def _refused(word: str) -> float:
    raise ValueError(f"{word} is no number of JSON")


def _sealed(content: bytes) -> bytes:
    end = len(content) - _LENGTH_OF_END
    if content[end : end + 4] != _END_OF_ARCHIVE or content[-2:] != b"\0\0":
        raise ValueError("`content`: expected a zip archive without a comment, got other bytes")
    length = len(SEAL) + _LENGTH_OF_DIGEST
    content = content[:-2] + length.to_bytes(2, "little") + SEAL
    return content + _digest(content)


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
