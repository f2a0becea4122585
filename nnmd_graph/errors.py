"""The words of error messages: `` `argument`: expected ..., got ...; do ... ``."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class MessageError(RuntimeError):
    """An error of a computation whose message is all that a user needs."""


def did_you_mean(name: object, names: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Hint at the closest of some names, to be appended to a message; empty if none is close.

    Args:
        name: what was given.
        names: what would have been right.
        cutoff: similarity from 0 to 1 that counts as close.
    """
    close = get_close_matches(str(name), list(names), n=1, cutoff=cutoff)
    return f"; did you mean {close[0]!r}?" if close else ""


def check_choice(argument: str, value: object, known: Iterable[str], advice: str = "") -> None:
    """Refuse a value that is not among the known ones.

    Args:
        argument: its name.
        value: what was given.
        known: what would have been right.
        advice: what to do where no known value is close to it.

    Raises:
        ValueError: it is not among them.
    """
    names = list(known)
    if value not in names:
        hint = did_you_mean(value, names) or (f"; {advice}" if advice else "")
        raise ValueError(f"`{argument}`: expected one of {names}, got {value!r}{hint}")


def reason(error: BaseException) -> str:
    """First line of what an exception says, or its class where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
