"""Messages about wrong config files: key, expected value, given value, probable meaning."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from nnmd_graph.addresses import missing
from nnmd_graph.errors import did_you_mean
from nnmd_graph.memory import in_words
from nnmd_graph.naming import naming

MAX_BYTES = 2_000_000
"""Of a config file: reading it takes a second for every 100 kB, and settings are some 5 kB."""

MAX_VALUES = 200_000
"""Keys and values that a config may hold, those counted that an alias repeats."""

MAX_DEPTH = 50
"""Of sections in sections."""


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


def check_kind(values: Any, path: Path, sections: Sequence[str]) -> None:
    """Refuse a YAML file that is a list or a word.

    Raises:
        ValueError: `values` is no mapping.
    """
    if not isinstance(values, dict):
        raise ValueError(
            f"`config`: expected sections {list(sections)}, got {type(values).__name__} in "
            f"'{path}'; write for example data: {{train: li.extxyz}}"
        )


def validation_message(error: ValidationError, model: type[BaseModel], source: str) -> str:
    """All that is wrong in one message, unknown keys first, one line for each key."""
    lines: dict[str, str] = {}
    problems = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    for problem in problems:
        fields, rest, owner = _located(problem["loc"], model)
        key = (
            ".".join([*fields, *rest]) if problem["type"] == "extra_forbidden" else ".".join(fields)
        )
        if problem["type"] == "extra_forbidden":
            text = unknown_key(str(rest[-1]), ".".join(fields), owner, model)
        else:
            text = _wrong_value(problem)
            description = _description(fields, model)
            text += f" ({description})" if description else ""
        lines.setdefault(key, f"`{key}` in {source}: {text}")
    return "\n".join(lines.values())


def argument_error(error: ValidationError, model: type[BaseModel]) -> Exception:
    """The first thing that is wrong with the keyword arguments of a class, as Python says it."""
    problem: Any = error.errors()[0]
    kind, (name, *inside) = problem["type"], problem["loc"] or ("",)
    if kind == "extra_forbidden":
        hint = did_you_mean(name, model.model_fields)
        return TypeError(f"`{name}`: expected one of {', '.join(model.model_fields)}, got it{hint}")
    text = _wrong_value(problem)
    if not text.startswith("`"):
        for long, short in _SHORT.items():
            text = text.replace(long, short)
        index = "".join(f"[{part!r}]" for part in inside[:1])
        advice = "" if "; " in text else "; change it or leave it out"
        about = _description([str(name)], model).replace("null", "None")
        text = f"`{name}{index}`: {text}{advice} ({about})"
    wrong_kind = kind.endswith("_type") or kind in ("int_from_float", "is_instance_of")
    return TypeError(text) if wrong_kind else ValueError(text)


_SHORT = {"a valid integer": "an integer", "a valid boolean": "True or False", "a valid ": "a "}


def _located(
    loc: tuple[int | str, ...], model: type[BaseModel]
) -> tuple[list[str], list[str], type[BaseModel]]:
    """Split a place into names of fields and what comes behind them; the section they end in."""
    fields: list[str] = []
    for part in loc:
        if part not in model.model_fields:
            break
        fields.append(str(part))
        kind = model.model_fields[str(part)].annotation
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            break
        model = kind
    return fields, [str(part) for part in loc[len(fields) :]], model


def unknown_key(name: str, section: str, owner: type[BaseModel], model: type[BaseModel]) -> str:
    """Say that a section of the settings has no such key."""
    names = list(owner.model_fields)
    hint = did_you_mean(name, names)
    if not hint:
        others = [key for key in _keys(model) if key.rpartition(".")[2] == name]
        hint = f"; did you mean {others[0]!r}?" if others else ""
    where = f"`{section}` has the keys" if section else "there are"
    return f"unknown key{hint or ';'} {where} {', '.join(names)}"


def _wrong_value(problem: Any) -> str:
    message = problem["msg"].removeprefix("Value error, ")
    for ours, theirs in _WORDS.items():
        message = message.replace(theirs, ours)
    message = message[:1].lower() + message[1:]
    if problem["type"] == "model_type":
        message = "expected a section with keys and values"
    return f"{message}, got {_shown(problem['input'])}" if "got " not in message else message


def _shown(value: Any) -> str:
    """A value in a message, cut where it would fill the screen."""
    try:
        text = repr(value)
    except ValueError:  # integers of more digits than Python writes
        text = "a number of thousands of digits"
    return text if len(text) <= 200 else f"{text[:80]}... ({len(text)} characters)"


_WORDS = {
    "expected a number greater": "Input should be greater",
    "expected a number less": "Input should be less",
    "expected": "Input should be",
}


def _description(fields: list[str], model: type[BaseModel]) -> str:
    description = ""
    for name in fields:
        field = model.model_fields[name]
        description = field.description or ""
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            model = field.annotation
    return description


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys(field.annotation, f"{prefix}{name}.")
