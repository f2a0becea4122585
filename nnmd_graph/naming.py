"""Names of arguments in messages, for readers of Python, a config or a command.

Messages are written for Python: `` `energy_key`: expected ... ``, "pass energy_key='dft'". A layer
that is called by other means (a config file, a command line) says once what it calls the arguments
that it hands on, and everything that passes through it, error or warning, speaks of those.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

Names = Mapping[str, str] | Callable[[], Mapping[str, str]]
"""Names by those that the layer below uses: an option ("--energy-key"), a key of a config
("data.energy_key") or what stands in a command's usage ("FILES"). As a function: made when needed.
"""

SET = "--set "
"""Beginning of the names of settings that an option changes: `--set key=value`."""

_LAYERS: ContextVar[tuple[Names, ...]] = ContextVar("layers", default=())

_VALUE = r"'[^']*'|\"[^\"]*\"|\{[^}`]*\}|\[[^\]`]*\]|[\w.+-]*\w"
_FRAME = re.compile(r"`frames\[\d+\]` \((?P<source>[^()`]*)\)")
_MENTION = re.compile(
    rf"`(?P<name>[A-Za-z_][\w.]*)(?P<index>\[[^\]`]*\])?(?:(?:=|: )(?P<value>{_VALUE}))?`"
    rf"|(?<![\w.`'\"\[(-])(?P<bare>[A-Za-z_][\w.]*)=(?P<given>{_VALUE})(?![\w(])"
)


@contextmanager
def naming(names: Names) -> Iterator[None]:
    """Rename arguments in errors that pass through, as the interface above names them.

    Warnings are shown by whoever shows them: `renamed` gives their words.

    Args:
        names: what the interface calls the arguments of what is called inside.
    """
    token = _LAYERS.set((names, *_LAYERS.get()))
    try:
        yield
    except Exception as error:
        if len(error.args) == 1 and isinstance(error.args[0], str):
            error.args = (spelled(error.args[0], names),)
        raise
    finally:
        _LAYERS.reset(token)


def renamed(message: str) -> str:
    """Rename the arguments of a message by all active layers, the innermost first."""
    for names in _LAYERS.get():
        message = spelled(message, names)
    return message


def spelled(message: str, names: Names) -> str:
    """Put other names for arguments into a message.

    An argument is recognised in backticks (`` `key` ``, `` `key[3]` ``, `` `key='a'` ``) or with a
    value (key='a'); other words stay as they are.

    Args:
        message: what is said, in the names of Python.
        names: see `Names`.
    """
    if "`" not in message and "=" not in message:
        return message
    table = names() if callable(names) else names
    if "frames" in table:  # the reader of a file knows the file, not the list made of it
        message = _FRAME.sub(r"\g<source>", message)

    def replace(match: re.Match[str]) -> str:
        name = table.get(match["name"] or match["bare"])
        if name is None:
            return match.group()
        value = match["value"] or match["given"]
        return f"`{name}{match['index'] or ''}{_assigned(name, value)}`"

    return _MENTION.sub(replace, message)


def _assigned(name: str, value: str | None) -> str:
    """The value of an argument, as it is typed in the interface."""
    if value is None or (name.startswith("-") and value == "True"):
        return ""
    text = str(ast.literal_eval(value)) if value[0] in "'\"" else value
    if name.startswith("-"):
        return f"{'=' if name.startswith(SET) else ' '}{shlex.quote(text)}"
    return f": {value}" if "." in name or name.islower() else f" {value}"
