"""Settings from the command line, `--set training.max_epochs=50`, above those of a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel

from nnmd_graph.errors import reason
from nnmd_graph.sections import unknown_key


def parse_overrides(given: Iterable[str], model: type[BaseModel]) -> dict[str, Any]:
    """Values by dotted key from words such as "training.max_epochs=50".

    Args:
        given: `key=value`, the value as it would stand in a YAML file: 50, null, [64, 64], {Cu: 5}.
        model: the settings, which say what keys there are.

    Returns:
        The values; names of files are in full, counted from the working directory.

    Raises:
        ValueError: there is no `=`, no such key, or the value is no YAML.
    """
    values: dict[str, Any] = {}
    for word in given:
        key, equals, text = word.partition("=")
        key = key.strip()
        if not (equals and key):
            raise ValueError(
                f"`--set`: expected key=value, got {word!r}; write for example "
                "--set training.batch_size=8"
            )
        kind = _kind_of(key, model)
        try:
            value = yaml.safe_load(text)
        except (yaml.YAMLError, RecursionError) as error:
            raise ValueError(
                f"`--set {key}`: expected a value as in YAML, got {text!r} ({reason(error)}); "
                "quote it"
            ) from None
        values[key] = _in_full(value) if _names_files(kind) else value
    return values


def _kind_of(key: str, model: type[BaseModel]) -> Any:
    """The type of a setting; Any for free-form ones."""
    kind: Any = model
    done: list[str] = []
    for name in key.split("."):
        section = _section(kind)
        if section is not None:
            if name not in section.model_fields:
                raise ValueError(
                    f"`--set {key}`: {unknown_key(name, '.'.join(done), section, model)}"
                )
            kind = section.model_fields[name].annotation
        elif (values := _values_of_mapping(kind)) is not None:
            kind = values
        else:
            raise ValueError(
                f"`--set {key}`: expected a key of the settings, got {'.'.join(done)!r} with "
                f"{name!r} behind it, but it is a value; write --set {'.'.join(done)}=..."
            )
        done.append(name)
    section = _section(kind)
    if section is not None:
        inside = next(iter(section.model_fields))
        raise ValueError(
            f"`--set {key}`: expected a key, got a section; write for example "
            f"--set {key}.{inside}=..."
        )
    return kind


def _section(kind: Any) -> type[BaseModel] | None:
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _values_of_mapping(kind: Any) -> Any:
    """Kind of the values of a mapping, where a setting may be one; else None."""
    for one in (kind, *get_args(kind)):
        if getattr(one, "__origin__", None) is dict:
            return get_args(one)[1]
    return None if kind is not Any else Any


def _names_files(kind: Any) -> bool:
    return kind is Path or any(_names_files(part) for part in get_args(kind))


def _in_full(value: Any) -> Any:
    if isinstance(value, list):
        return [_in_full(one) for one in value]
    return str(Path(value).absolute()) if isinstance(value, str) and value else value
