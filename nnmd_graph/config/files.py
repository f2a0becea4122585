"""Names of files in settings, and settings as files that show when they are damaged."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from nnmd_graph.addresses import check_there, split_address
from nnmd_graph.config.loading import load_yaml
from nnmd_graph.files import checksum, replacing
from nnmd_graph.naming import naming
from nnmd_graph.sections import Section

DataSection = TypeVar("DataSection", bound=Section)

PARTS = ("train", "val", "test")
HEAD = "# checksum: "


def located(file: Path, folder: Path) -> Path:
    """A file beside the config file, or else in the working directory."""
    name = Path(split_address(file)[0])  # without the frames that may stand behind it
    if file.is_absolute() or not folder.joinpath(name).exists() and name.exists():
        return file.absolute()
    return folder.joinpath(file).absolute()


def map_parts(data: DataSection, change: Callable[[Path], Path]) -> DataSection:
    """The section `data` with other names of the files of its parts."""
    given = {part: getattr(data, part) for part in PARTS}
    changed = {
        part: [change(f) for f in files] for part, files in given.items() if files is not None
    }
    return data.model_copy(update=changed)


def check_parts(data: Section) -> None:
    """Refuse files of data that are missing or empty; see `check_there`."""
    for part in PARTS:
        with naming({"path": f"data.{part}"}):
            check_there(getattr(data, part) or ())


def write_settings(
    text: str, path: str | os.PathLike[str], may_change: Collection[str] = ()
) -> Path:
    """Write settings in one go, whole or not at all, with a checksum in the first line.

    Args:
        text: YAML.
        path: file to write; its folder is made.
        may_change: dotted keys whose values may be edited while the file is in use.
    """
    path = Path(path)
    with replacing(path) as temporary:
        head = _head(yaml.safe_load(text), may_change)
        temporary.write_text(f"{head}\n{text}", encoding="utf-8")
    return path


def is_written_here(path: Path) -> bool:
    """Tell whether settings were written by this package, and not by a user or an older version."""
    with path.open("rb") as file:
        return file.readline().startswith(HEAD.encode())


def check_settings_file(path: Path, may_change: Collection[str] = (), *, advice: str) -> None:
    """Refuse settings that were cut off, damaged or edited since :func:`write_settings`.

    Values that may change, and do not fit their checksum, are told in a warning. A file of an older
    version has no checksum.

    Args:
        path: the file.
        may_change: as for `write_settings`.
        advice: what to do with a file that is refused.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not as it was written.
    """
    values = load_yaml(path)
    if not is_written_here(path):
        return
    with path.open(encoding="utf-8") as file:
        found = file.readline().removesuffix("\n")
    expected = _head(values, may_change)
    if found == expected:
        return
    if found.split()[:3] != expected.split()[:3]:
        raise ValueError(
            f"`config`: expected '{path}' as it was written, got one that does not match its "
            f"checksum: it was cut off, damaged or edited; {advice}"
        )
    given = dict(_flat(values))
    listing = ", ".join(f"{key} = {given[key]}" for key in may_change if key in given)
    warnings.warn(
        f"'{path}' was edited or damaged since it was written; going on with {listing}",
        stacklevel=2,
    )


def _head(values: Any, may_change: Collection[str]) -> str:
    """First line of a file: checksums of what must not change, and of everything."""
    given = dict(_flat(values)) if isinstance(values, Mapping) else {"": values}
    fixed = {key: None if key in may_change else value for key, value in given.items()}
    digests = [checksum(part).rpartition(":")[2][:32] for part in (fixed, given)]
    return f"{HEAD}{' '.join(digests)}"


def _flat(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)
