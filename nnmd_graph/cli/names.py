"""Names of the arguments of functions on the command line: options, or keys of a config."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

from nnmd_graph.naming import SET, naming

DATA = ("path", "paths", "frames", "dataset", "data.train")
FILE_ARGUMENTS = {
    "sources": DATA,
    "files": DATA,
    "data": DATA,
    "start": (*DATA, "atoms"),
}
"""Arguments of commands that stand for files, and what functions call those."""

SECTIONS = ("data", "training", "model", "transfer", "loss")
OWN_KEYS = {"model": "model.name", "init": "transfer.from"}
"""Options whose names differ from the key in a config."""

CONFIG_SUFFIXES = (".yaml", ".yml")


class Command(TyperCommand):
    """A command whose errors and warnings speak of its options."""

    def invoke(self, ctx: Any) -> Any:
        """Run it."""
        gc.enable()  # `main` starts without
        with naming(lambda: option_names(ctx)):
            return super().invoke(ctx)


def option_names(ctx: Any) -> dict[str, str]:
    """Names of options by the names of Python arguments and by the keys of a config.

    A command that was given a config file speaks of keys, except for options that were typed.
    """
    with_config = any(
        Path(str(value)).suffix.lower() in CONFIG_SUFFIXES
        for parameter in ctx.command.params
        if parameter.param_type_name == "argument"
        for value in _listed(ctx.params.get(parameter.name))
    )
    keys = _config_keys() if ctx.command.name in ("train", "compare") else {}
    names: dict[str, str] = {}
    if with_config:
        names = {name: key for name, key in keys.items() if "." in key}
        names |= dict.fromkeys(DATA, "data.train")
    for parameter in ctx.command.params:
        typed = ctx.get_parameter_source(parameter.name).name == "COMMANDLINE"
        is_setting = parameter.name in keys
        if with_config and is_setting and not typed:
            continue
        shown = _shown(parameter)
        names[parameter.name] = shown
        if parameter.name == "sources":
            names["config"] = shown
        if is_setting:
            names[keys[parameter.name]] = shown
        if not with_config:
            names |= dict.fromkeys(FILE_ARGUMENTS.get(parameter.name, ()), shown)
    if ctx.command.name == "train" and not with_config:  # settings without an option of their own
        names = {key: SET + key for key in keys.values() if "." in key} | names
    return names


def _listed(value: Any) -> Any:
    return value if isinstance(value, (list, tuple)) else [value]


def _shown(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.name).upper()
    return str(max(parameter.opts, key=len))


def _config_keys() -> Mapping[str, str]:
    """Keys of a config by the names of options and arguments, the first section first."""
    from nnmd_graph.config.config import Config

    keys: dict[str, str] = {}
    for section in SECTIONS:
        # mypy: an annotation may be anything; those of SECTIONS are sections
        for name in Config.model_fields[section].annotation.model_fields:  # type: ignore[union-attr]
            keys.setdefault(name, f"{section}.{name}")
    for name in ("energy", "forces", "stress", "train", "name", "options", "split"):
        keys.pop(name, None)  # these mean something else in Python, or are no arguments
    top = {name: name for name in ("seed", "device")}
    return keys | top | {"given": "training.isolated_energies"} | OWN_KEYS
