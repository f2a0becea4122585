"""Errors in one line; for an unforeseen error, the name of a file with the details."""

from __future__ import annotations

import dis
import errno
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from types import FrameType, TracebackType

from nnmd_graph.errors import MessageError, reason

UNFORESEEN, WRONG_INPUT, INTERRUPTED = 1, 2, 130
"""Exit statuses: a fault of this package; of the input or the machine; Ctrl-C."""

PACKAGE = __name__.partition(".")[0]

ADVICE = {
    errno.ENOSPC: "free some space, or write to another disk",
    errno.EDQUOT: "delete something, or write to another disk",
    errno.EFBIG: "raise the limit (`ulimit -f`), or write less",
    errno.EACCES: "change the permissions, or name another file",
    errno.EPERM: "change the permissions, or name another file",
    errno.EROFS: "name a folder that can be written to",
    errno.EISDIR: "name a file",
    errno.ENOTDIR: "a part of the name is a file",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "raise the limit (`ulimit -n`)",
}
"""Advice for errors of the operating system."""

NO_MEMORY = ("can't allocate memory", "out of memory", "not enough memory", "unable to allocate")
"""Phrases of PyTorch and NumPy for insufficient memory, in lower case."""

FILES = ("path", "file", "filename", "output", "folder")
"""Variables that hold the name of a file, where an error does not."""


def explain(error: BaseException) -> tuple[str, int]:
    """The message for an error, and the exit status.

    Errors that this package raises have messages for users. Others are those of the machine (files,
    memory), or were not foreseen: their traceback goes to a file in the folder for temporary files.
    """
    if isinstance(error, MessageError):
        return str(error), WRONG_INPUT
    if isinstance(error, MemoryError) or any(words in str(error).lower() for words in NO_MEMORY):
        return (
            f"the memory does not suffice ({reason(error)}); take a smaller `batch_size`, fewer or "
            "smaller structures, or a smaller model"
        ), WRONG_INPUT
    if isinstance(error, OSError) and error.errno is not None:
        return _of_the_system(error), WRONG_INPUT
    if _is_raised_here(error):
        return str(error) or type(error).__name__, WRONG_INPUT
    if isinstance(error, UnicodeError):
        name = _file_of(error)
        of = f"'{name}': " if name else ""
        return f"{of}expected text in UTF-8, got other bytes ({error}); convert it", WRONG_INPUT
    if isinstance(error, ImportError):
        return f"a package is missing or broken ({reason(error)}); install it", WRONG_INPUT
    return _unforeseen(error), UNFORESEEN


def _of_the_system(error: OSError) -> str:
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    names = names or [name for name in [_file_of(error)] if name]
    of = " and ".join(f"'{name}'" for name in names)
    what = (error.strerror or type(error).__name__).lower()
    advice = ADVICE.get(error.errno or 0, "check the name and the folder")
    return f"{of}: {what}; {advice}" if of else f"{what}; {advice}"


def _is_raised_here(error: BaseException) -> bool:
    """Tell whether a `raise` statement of this package raised the error."""
    *_, (frame, instruction) = [(None, -1), *_frames(error.__traceback__)]
    if frame is None or isinstance(error, (AssertionError, NotImplementedError)):
        return False
    code = frame.f_code.co_code
    return _is_ours(frame) and dis.opname[code[instruction]] == "RAISE_VARARGS"


def _file_of(error: BaseException) -> str:
    """The file that was being processed, according to the variables of the frames."""
    for frame, _ in reversed(list(_frames(error.__traceback__))):
        if _is_ours(frame):
            for name in FILES:
                value = frame.f_locals.get(name)
                if isinstance(value, (str, os.PathLike)):
                    return os.fspath(value)
    return ""


def _frames(trace: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    """Frames from the outermost to the one that failed, with their current instructions."""
    while trace is not None:
        yield trace.tb_frame, trace.tb_lasti
        trace = trace.tb_next


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] == PACKAGE


def _unforeseen(error: BaseException) -> str:
    from nnmd_graph.versions import versions

    what = f"{type(error).__name__}: {reason(error)}"
    lines = [f"{name} {version}\n" for name, version in versions().items()]
    lines += [f"{' '.join(sys.argv)}\n\n", *traceback.format_exception(error)]
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="nnmd-graph-", suffix=".txt", encoding="utf-8", delete=False
        ) as file:
            file.writelines(lines)
    except OSError as full:
        where = f"its traceback could not be written ({reason(full)})"
    else:
        where = f"its traceback is in '{file.name}'"
    return f"an error that nobody foresaw: {what}; {where}: please report it"
