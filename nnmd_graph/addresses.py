"""Names of files with the frames that are wanted behind an "@", as ASE has them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

_INDEX = re.compile(r"-?\d+|(-?\d*)?:(-?\d*)?(:-?\d*)?")


def split_address(path: Any, index: Any = ":") -> tuple[Any, Any]:
    """Take "data.extxyz@::10" apart: the file and its frames.

    A file whose whole name holds an "@" is that file.

    Args:
        path: name of a file, with or without frames.
        index: frames where the name has none.

    Returns:
        The name of the file, and its frames.
    """
    if not isinstance(path, (str, os.PathLike)):
        return path, index
    text = os.fspath(path)
    name, at, chosen = text.rpartition("@")
    if at and name and _INDEX.fullmatch(chosen) and not Path(text).exists():
        return name, chosen
    return path, index
