"""The native library of this process: found, compiled or done without, and why."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from nnmd_graph.native.building import NotBuilt, built, cache_folder

SWITCH = "NNMD_GRAPH_NATIVE"
"""Environment variable; 0 leaves the native core out."""

INTERFACE = 4
"""Version of the C interface that this package speaks."""

LOST = "symmetry functions run on tensor operations, some times slower"

_LOCK = threading.Lock()
_FOUND: list[Library | str] = []
"""What was found at the first use: the library, or why there is none."""


@dataclass(frozen=True)
class Status:
    """Whether the native core is used, and why.

    Attributes:
        used: Whether it is.
        text: Which library, or why none.
    """

    used: bool
    text: str


class Library:
    """The functions of the compiled core.

    Args:
        path: A shared library.

    Raises:
        OSError: If it cannot be loaded, or is of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.functions = ctypes.CDLL(str(path))
        try:
            version = self.functions.nnmd_interface()
        except AttributeError:
            version = None
        if version != INTERFACE:
            raise OSError(f"{path} has the interface {version}, not {INTERFACE}")
        for made in ("nnmd_plan", "nnmd_nets_f64", "nnmd_nets_f32"):
            getattr(self.functions, made).restype = ctypes.c_void_p
        self.vector_bytes = int(self.functions.nnmd_vector_bytes())


def core() -> Library | None:
    """The native core, looked for at the first call; None: everything runs without it."""
    with _LOCK:
        if not _FOUND:
            _FOUND.append(_find())
    found = _FOUND[0]
    return found if isinstance(found, Library) else None


def status() -> Status:
    """Whether the native core is used, and why."""
    core()
    found = _FOUND[0]
    if isinstance(found, Library):
        return Status(True, f"{found.path} (vectors of {8 * found.vector_bytes} bits)")
    return Status(False, found)


def forget() -> None:
    """Look for the native core again at the next use."""
    with _LOCK:
        _FOUND.clear()


def _find() -> Library | str:
    if os.environ.get(SWITCH) == "0":
        return f"switched off ({SWITCH}=0)"
    brought = Path(__file__).parent / "libsymmetry.so"  # by a wheel
    try:
        return Library(brought if brought.exists() else built(_say))
    except (NotBuilt, OSError) as error:
        reason = str(error) if isinstance(error, NotBuilt) else f"it could not be loaded ({error})"
        _say_once(f"no native core: {reason}; {LOST}")
        return reason


def _say(text: str) -> None:
    print(f"nnmd_graph: {text}", file=sys.stderr, flush=True)


def _say_once(text: str) -> None:
    """Say it to this user once; where that cannot be noted, once in each process."""
    note = cache_folder() / "said"
    try:
        if note.exists() and text in note.read_text().splitlines():
            return
        note.parent.mkdir(parents=True, exist_ok=True)
        with note.open("a") as file:
            file.write(f"{text}\n")
    except OSError:
        pass
    _say(text)
