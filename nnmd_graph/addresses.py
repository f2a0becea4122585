"""Files by their names: data, with the frames that are wanted behind an "@", and models."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nnmd_graph.errors import did_you_mean

MODEL = "model.pt"
"""The model file in the folder of a run."""

_INDEX = re.compile(r"-?\d+|(-?\d*)?:(-?\d*)?(:-?\d*)?")


def split_address(path: Any, index: Any = ":") -> tuple[Any, Any]:
    """Split "data.extxyz@::10" into the file and its frames.

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
    """Refuse missing or empty files of structures at once, without importing PyTorch.

    Args:
        files: their names, with or without frames.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is empty, or a folder.
    """
    for file in files:
        existing(split_address(file)[0])


def existing(path: str | os.PathLike[str]) -> Path:
    """Return a file of structures after checking that it exists and is not empty.

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
        raise missing(file)
    if file.stat().st_size == 0:
        raise ValueError(
            f"`path`: expected structures, got the empty file '{file}' (0 bytes); write it again"
        )
    return file


def model_file(path: str | os.PathLike[str]) -> Path:
    """Return the model file that a name stands for: the folder of a run stands for its `model.pt`.

    Raises:
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    file = path / MODEL if path.is_dir() else path
    if not file.is_file():
        raise missing(file)
    return file


def missing(file: Path) -> FileNotFoundError:
    """The error for a missing file, with the name that was probably meant."""
    there = [p.name for p in file.parent.iterdir()] if file.parent.is_dir() else []
    hint = did_you_mean(file.name, there) or "; check the name and the folder"
    if not file.parent.is_dir():
        hint = f"; there is no folder '{file.parent}' either"
    elif "@" in file.name and "did you mean" not in hint:
        hint = "; behind '@' stands a number or a slice of frames, e.g. 'li.xyz@::10'"
    return FileNotFoundError(f"`path`: expected a file, got '{file}', which is not there{hint}")
