"""Names of files with the frames that are wanted behind an "@", as ASE has them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nnmd_graph.errors import did_you_mean

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


def check_there(files: Iterable[str | os.PathLike[str]]) -> None:
    """Refuse files of structures that are missing or empty, at once: reading takes PyTorch.

    Args:
        files: their names, with or without frames.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is empty, or a folder.
    """
    for file in files:
        existing(split_address(file)[0])


def existing(path: str | os.PathLike[str]) -> Path:
    """Give a file of structures that is there and holds something.

    Args:
        path: its name, without frames.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is empty, or a folder.
        TypeError: this is no name.
    """
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
            hint = "; behind '@' stands a number or a slice of frames, e.g. 'li.xyz@::10'"
        else:
            hint = "; check the name and the folder"
        raise FileNotFoundError(f"`path`: expected a file, got '{file}', which is not there{hint}")
    if file.stat().st_size == 0:
        raise ValueError(f"`path`: expected structures, got the empty file '{file}' (0 bytes)")
    return file
