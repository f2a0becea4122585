"""YAML files of settings: read within limits, each key once, and never a list or a word."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from nnmd_graph.addresses import missing
from nnmd_graph.memory import in_words
from nnmd_graph.naming import naming

MAX_BYTES = 2_000_000
"""Largest config file: reading takes a second per 100 kB, and typical settings have 5 kB."""

MAX_VALUES = 200_000
"""Largest number of keys and values in a config, including those repeated by aliases."""

MAX_DEPTH = 50
"""Largest depth of nested sections."""


class _Loader(yaml.SafeLoader):
    """YAML in which a key stands once: of two, PyYAML drops the first without a word.

    Numbers are those of YAML 1.2, in which 1e8 is one; to PyYAML it is a word.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                line = node.start_mark.line + 1
                raise yaml.YAMLError(f"the key {key!r} stands twice in the mapping of line {line}")
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def load_yaml(path: Path) -> Any:
    """Read a YAML file; an empty one is an error.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is empty, or no YAML, or holds more than settings can.
    """
    if not path.is_file():
        with naming({"path": "config"}):
            raise missing(path)
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(
            f"`config`: expected a file of settings, at most {in_words(MAX_BYTES)}, got '{path}' "
            f"of {in_words(size)}; if it holds structures, name it as a data file, with the ending "
            "of its format"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
        _check_size(text)
        values = yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a broken date
        raise ValueError(
            f"`config`: expected YAML, got '{path}': {' '.join(str(error).split())}; repair it"
        ) from None
    if values is None:
        raise ValueError(
            f"`config`: expected settings, got the empty file '{path}'; write for example "
            "data: {train: li.extxyz}"
        )
    return values


def _check_size(text: str) -> None:
    """Count what aliases repeat, and how deep it goes, before anything is built of it.

    Raises:
        yaml.YAMLError: it is more than settings can be, or stands in itself.
    """
    sizes: dict[str, int | None] = {}  # of what an anchor names; None while it is still open
    open_ones: list[tuple[str | None, int]] = []  # anchor, and number of values before it
    count = 0
    for event in yaml.parse(text, _Loader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_ones.pop()
            if anchor is not None:
                sizes[anchor] = count - before
        elif isinstance(event, yaml.AliasEvent):
            size = sizes.get(str(event.anchor), 1)  # an unknown one is PyYAML's to refuse
            if size is None:
                raise yaml.YAMLError(f"the alias {event.anchor!r} of line {line} holds itself")
            count += size
        elif isinstance(event, yaml.NodeEvent):
            count += 1
            if event.anchor is not None:
                sizes[event.anchor] = 1
            if isinstance(event, yaml.CollectionStartEvent):
                open_ones.append((event.anchor, count - 1))
                if event.anchor is not None:
                    sizes[event.anchor] = None
        if len(open_ones) > MAX_DEPTH:
            raise yaml.YAMLError(f"more than {MAX_DEPTH} levels in each other in line {line}")
        if count > MAX_VALUES:
            raise yaml.YAMLError(
                f"more than {MAX_VALUES} values up to line {line}, which is more than settings are "
                "(an alias repeats all that its anchor names)"
            )


def load_settings(
    path: Path, sections: Sequence[str], overrides: Mapping[str, Any]
) -> dict[str, Any]:
    """Read a file of settings, with other values in place of some of them.

    Args:
        path: the file.
        sections: names of the sections that there may be.
        overrides: values by dotted key, ``{"model.cutoff": 6.0}``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no YAML, empty, a list or a word.
    """
    values = load_yaml(path)
    if not isinstance(values, dict):
        raise ValueError(
            f"`config`: expected sections {list(sections)}, got {type(values).__name__} in "
            f"'{path}'; write for example data: {{train: li.extxyz}}"
        )
    for key, value in overrides.items():
        override(values, key, value)
    return values


def override(values: dict[str, Any], key: str, value: Any) -> None:
    """Set `values["a"]["b"]` by the dotted key "a.b"."""
    *sections, last = key.split(".")
    for section in sections:
        if not isinstance(values.get(section), dict):
            values[section] = {}
        values = values[section]
    values[last] = value
