"""Settings in sections: what they are checked by, and messages about wrong ones.

A message names the key, what was expected, what was given, and what was probably meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
)
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_after_validator_function

from nnmd_graph.errors import did_you_mean


class OneOf:
    """A name out of a list, with a did-you-mean; JSON schemas list the names.

    Args:
        names: the list.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(names)

    def __get_pydantic_core_schema__(self, kind: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self.check, handler(kind))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return handler(schema) | {"enum": self.names}

    def check(self, value: str) -> str:
        """Refuse a name that is not in the list."""
        if value not in self.names:
            hint = did_you_mean(value, self.names)
            raise ValueError(f"expected one of {self.names}, got {value!r}{hint}")
        return value


class Section(BaseModel):
    """A part of the settings; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


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
