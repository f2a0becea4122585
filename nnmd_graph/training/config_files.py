"""Names of files in settings, and settings as files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from nnmd_graph.files import replacing
from nnmd_graph.training.model_config import Section

DataSection = TypeVar("DataSection", bound=Section)

PARTS = ("train", "val", "test")


def located(file: Path, folder: Path) -> Path:
    """A file beside the config file, or else in the working directory."""
    if file.is_absolute() or not folder.joinpath(file).exists() and file.exists():
        return file.absolute()
    return folder.joinpath(file).absolute()


def map_parts(data: DataSection, change: Callable[[Path], Path]) -> DataSection:
    """The section `data` with other names of the files of its parts."""
    given = {part: getattr(data, part) for part in PARTS}
    changed = {
        part: [change(f) for f in files] for part, files in given.items() if files is not None
    }
    return data.model_copy(update=changed)


def write_text(text: str, path: str | os.PathLike[str]) -> Path:
    """Write a file in one go, whole or not at all; its folder is made."""
    path = Path(path)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
