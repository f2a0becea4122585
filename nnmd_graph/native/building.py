"""Compiling the native core, once for each user, processor, compiler and version of its sources.

A library is written beside its place and renamed last, one process at a time; its name holds the
hash of its content, so that a damaged one is told and never loaded.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from nnmd_graph.files import replacing
from nnmd_graph.folders import holding

SOURCES = Path(__file__).parent / "core"
MAIN = "symmetry.cpp"
COMPILERS = ("c++", "g++", "clang++")
FLAGS = (
    "-std=c++17", "-O3", "-fPIC", "-shared", "-pthread", "-fvisibility=hidden",
    # No -ffast-math: it would turn denormal numbers off in the whole process, and reorder sums
    "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast",
)  # fmt: skip
FOR_THIS_PROCESSOR = (("-march=native",), ("-mcpu=native",), ())
"""Tried in turn: not every compiler knows each of them."""

SECONDS = 300.0
"""After which a compiler, or another process that compiles, is not waited for."""


class NotBuilt(Exception):
    """There is no library; the text says why."""


def cache_folder() -> Path:
    """Where libraries are kept: of the user's, see XDG_CACHE_HOME."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if os.path.isabs(base) else Path(os.path.expanduser("~/.cache"))
    return root / "nnmd_graph" / "native"


def find_compiler() -> list[str]:
    """The C++ compiler: that of CXX, or the first one there is.

    Raises:
        NotBuilt: There is none.
    """
    try:
        named = shlex.split(os.environ.get("CXX", ""))
    except ValueError as error:
        raise NotBuilt(f"CXX is no command ({error})") from error
    for command in [named] if named else [[name] for name in COMPILERS]:
        path = shutil.which(command[0])
        if path:
            return [path, *command[1:]]
    looked_for = f"{named[0]} (CXX)" if named else ", ".join(COMPILERS)
    raise NotBuilt(f"there is no C++ compiler (looked for {looked_for})")


def built(say: Callable[[str], None]) -> Path:
    """The library for this machine, compiled if it is not there yet.

    Args:
        say: Is told once if it takes some seconds.

    Raises:
        NotBuilt: There is no compiler, it fails, or the folder cannot be written to.
    """
    compiler = find_compiler()
    try:
        folder, key = cache_folder(), _key(compiler)
        found = _good(folder, key)
        return found if found else _build(compiler, folder, key, say)
    except (OSError, subprocess.SubprocessError) as error:
        raise NotBuilt(f"it could not be compiled ({error})") from error


def _build(compiler: list[str], folder: Path, key: str, say: Callable[[str], None]) -> Path:
    end, failed = time.monotonic() + SECONDS, folder / f"{key}.failed"
    while time.monotonic() < end:
        with holding(folder, [f"{key}.so"]) as is_mine:
            # Another process may have been at it
            found = _good(folder, key)
            if found:
                return found
            if failed.exists():
                raise NotBuilt(failed.read_text())
            if is_mine:
                say(f"compiling the native core with {compiler[0]}, once, some seconds")
                return _compile(compiler, folder, key)
        time.sleep(0.2)
    raise NotBuilt(f"another process has been compiling it in {folder} for {SECONDS:.0f} s")


def _compile(compiler: list[str], folder: Path, key: str) -> Path:
    for stale in folder.glob(f"{key}-*"):
        stale.unlink()
    with replacing(folder / f"{key}.so") as temporary:
        for processor in FOR_THIS_PROCESSOR:
            command = [*compiler, *FLAGS, *processor, str(SOURCES / MAIN), "-o", str(temporary)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
            if done.returncode == 0:
                break
        else:
            errors = [line for line in done.stderr.splitlines() if "error" in line] or ["failed"]
            note = folder / f"{key}.failed"
            reason = f"{compiler[0]} could not compile it ({errors[0].strip()})"
            note.write_text(f"{reason}; remove {note} to try again")
            raise NotBuilt(note.read_text())
        content = temporary.read_bytes()
    library = folder / f"{key}-{_digest(content)}.so"
    os.replace(folder / f"{key}.so", library)
    return library


def _good(folder: Path, key: str) -> Path | None:
    """A library of this key whose content is what its name says."""
    for path in sorted(folder.glob(f"{key}-*.so")):
        if path.stem == f"{key}-{_digest(path.read_bytes())}":
            return path
    return None


def _key(compiler: list[str]) -> str:
    """Everything that the compiled code depends on."""
    version = subprocess.run([*compiler, "--version"], capture_output=True, timeout=SECONDS)
    parts = [repr((compiler, FLAGS, FOR_THIS_PROCESSOR)).encode(), version.stdout]
    parts += [part.encode() for part in (sys.platform, platform.machine(), _processor())]
    for path in sorted(SOURCES.iterdir()):
        parts += [path.name.encode(), path.read_bytes()]
    return _digest(b"\0".join(parts))


def _processor() -> str:
    """What the processor can do, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = ("flags", "Features", "model name")
    return "\n".join(dict.fromkeys(line for line in lines if line.startswith(names)))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
