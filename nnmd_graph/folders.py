"""Folders of results: one process writes at a time, and no other files are lost."""

from __future__ import annotations

import contextlib
import importlib
import os
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from nnmd_graph.files import is_leftover

LOCK = ".lock"

RUN, COMPARISON = "a training run", "a comparison"
EVALUATION, EXPORT = "an evaluation", "a potential in the format of n2p2"
MARKS: dict[str, tuple[str, ...]] = {
    RUN: ("log.csv", "checkpoints/last.pt", "checkpoints/best.pt"),
    COMPARISON: ("comparison.yaml", "report.json", "measurements"),
    EVALUATION: ("predictions.extxyz",),
    EXPORT: ("input.nn",),
}
"""Kinds of folder, by the files that stand in them."""

_HELD: dict[str, int] = {}
"""Folders that threads of this process hold."""


# ------------------------------------------------------------------------------- what may be lost
def check_output(folder: Path, kind: str) -> None:
    """Refuse a folder that cannot be written to, or that holds results of another kind.

    Args:
        folder: it need not be there yet.
        kind: what will be written, a key of `MARKS`.

    Raises:
        ValueError: the folder is a file, or holds something else.
        OSError: it cannot be written to.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"`output`: expected a folder, got the file '{folder}'; name another one")
    for other, mark in work_in(folder).items():
        if other != kind:
            raise ValueError(
                f"`output`: expected a folder for {kind}, got '{folder}', which holds {other} "
                f"({mark}); name another one (`output`)"
            )
    check_writable(folder)


def work_in(folder: Path) -> dict[str, str]:
    """Kinds of a folder, keys of `MARKS`, each with a file that shows it."""
    return {
        kind: mark
        for kind, marks in MARKS.items()
        for mark in reversed(marks)
        if (folder / mark).exists()
    }


def check_writable(folder: Path) -> None:
    """Refuse a folder that cannot be written to, or cannot be created, before the work begins.

    Raises:
        OSError: what the system says.
    """
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise OSError(
            f"`output`: expected a folder that can be written to, got '{folder}' "
            f"({error.strerror or error}); name another one (`output`)"
        ) from None


def check_apart(outputs: Iterable[Path], inputs: Mapping[str, Iterable[Path]]) -> None:
    """Refuse to overwrite a file that is read, whatever links lead there.

    Args:
        outputs: files that will be written.
        inputs: files that are read, by the argument that names them.

    Raises:
        ValueError: two of them are one file.
    """
    written = [(path, os.path.realpath(path)) for path in outputs]
    for argument, paths in inputs.items():
        for path in paths:
            for output, name in written:
                # Links may be hard, and a file system may ignore case
                same = path.exists() and output.exists() and os.path.samefile(path, output)
                if same or os.path.realpath(path) == name:
                    raise ValueError(
                        f"`output`: expected other files than those that are read, got '{output}', "
                        f"which is the `{argument}` '{path}'; name another one (`output`)"
                    )


# ------------------------------------------------------------------------------------------ locks
@contextlib.contextmanager
def claimed(folder: Path, names: Iterable[str] = ()) -> Iterator[None]:
    """Claim a folder for writing; it is created, and remains of killed processes are removed.

    Args:
        folder: a thread may claim it again inside.
        names: files that are written there, in subfolders too.

    Raises:
        ValueError: another process, or thread, is at it.
        OSError: the folder cannot be made or written to.
    """
    with holding(folder, names) as is_mine:
        if not is_mine:
            raise ValueError(
                f"`output`: expected a folder that nobody writes to, got '{folder}', which another "
                "process is writing to; wait until it is done, or name another one (`output`)"
            )
        yield


@contextlib.contextmanager
def holding(folder: Path, names: Iterable[str] = ()) -> Iterator[bool]:
    """Hold a folder during the block; yields whether that succeeded. Killed processes let go."""
    key, me = os.path.realpath(folder), threading.get_ident()
    if _HELD.get(key) == me:
        yield True
        return
    with _made(folder), _locked(folder / LOCK, shared=False) as is_mine:
        if is_mine:
            _HELD[key] = me
            _clear(folder, names)
        try:
            yield is_mine
        finally:
            if is_mine:
                del _HELD[key]


@contextlib.contextmanager
def shared(folder: Path, names: Iterable[str] = ()) -> Iterator[bool]:
    """Share a folder with other writers; yields whether there were none at the start."""
    with _made(folder):
        with _locked(folder / LOCK, shared=False) as is_alone:
            if is_alone:
                _clear(folder, names)
        with _locked(folder / LOCK, shared=True):
            yield is_alone


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Create a folder; folders created here that are empty in the end are removed."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # it holds something
            for path in new:
                path.rmdir()


@contextlib.contextmanager
def _locked(path: Path, *, shared: bool) -> Iterator[bool]:
    file = path.open("a")
    while is_mine := _lock(file, shared=shared):
        # The previous holder may have removed the file after it was opened here
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            break
        file.close()
        file = path.open("a")
    try:
        yield is_mine
    finally:
        if is_mine and (not shared or _lock(file, shared=False)):
            with contextlib.suppress(OSError):  # a system on which open files cannot be removed
                path.unlink()
        file.close()


def _lock(file: IO[Any], *, shared: bool) -> bool:
    """Lock a file if nobody else has; the system releases it when the process ends."""
    try:
        fcntl = importlib.import_module("fcntl")
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except ImportError:  # another system
        return shared or _lock_byte(file)
    except OSError:  # a file system without locks: as without them
        pass
    return True


def _lock_byte(file: IO[Any]) -> bool:
    msvcrt = importlib.import_module("msvcrt")
    try:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    return True


def _clear(folder: Path, names: Iterable[str]) -> None:
    """Remove temporary files of processes that were killed."""
    by_folder: dict[Path, list[str]] = {}
    for name in names:
        path = folder / name
        by_folder.setdefault(path.parent, []).append(path.name)
    for place, files in by_folder.items():
        for path in place.iterdir() if place.is_dir() else ():
            if is_leftover(path.name, files):
                path.unlink(missing_ok=True)
