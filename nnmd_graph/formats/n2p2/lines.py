"""The lines of `input.nn`: keywords with their words, for n2p2 or for RuNNer."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from nnmd_graph.errors import did_you_mean
from nnmd_graph.formats.n2p2.functions import finite_number, from_fortran
from nnmd_graph.formats.n2p2.keywords import (
    ALIASES,
    FLAGS,
    KNOWN,
    N2P2_ONLY,
    READ,
    REFUSED,
    REPEATED,
    RUNNER_ONLY,
)

A = TypeVar("A")
T = TypeVar("T")


class Lines:
    """Keywords with their words and the numbers of their lines.

    Attributes:
        file: The file.
        text: All of it, comments too.
        found: Lines of each keyword, old spellings under the new one.
        runner: Whether RuNNer is to read it: it has keywords that only RuNNer knows, and none that
            only n2p2 knows.
        both: Whether it has keywords of either kind.
    """

    def __init__(self, file: Path) -> None:
        if not file.is_file():
            raise FileNotFoundError(
                f"`folder`: expected the folder of an n2p2 or RuNNer potential, got no '{file}'; "
                "check the name"
            )
        self.file = file
        self.text = file.read_text(encoding="utf-8-sig", errors="replace")
        self.found: dict[str, list[tuple[int, list[str]]]] = {}
        self.unknown: dict[str, int] = {}
        spelled: dict[str, str] = {}
        keys: set[str] = set()
        # Not splitlines(): a form feed in a comment ends no line.
        for number, line in enumerate(self.text.split("\n"), start=1):
            key, *words = line.split("#")[0].split("!")[0].split() or [""]
            name = ALIASES.get(key, key)
            if name in READ and spelled.setdefault(name, key) != key:
                raise self.error(number, f"either {spelled[name]!r} or {key!r}", "both")
            if name in READ and name in self.found and name not in REPEATED:
                raise self.error(number, f"{key!r} once", "it again")
            self.found.setdefault(name, []).append((number, words))
            keys.add(key)
            if key and key not in KNOWN:
                self.unknown.setdefault(key, number)
        self.runner = bool(keys & RUNNER_ONLY) and not keys & N2P2_ONLY
        self.both = bool(keys & RUNNER_ONLY) and bool(keys & N2P2_ONLY)
        if self.runner:
            for name in self.found:
                self.found[name] = [
                    (n, [from_fortran(w) for w in ws]) for n, ws in self.found[name]
                ]

    def error(self, number: int, expected: str, got: str, advice: str = "correct it") -> ValueError:
        """Name the mistake and its line (0 for the file as a whole)."""
        return ValueError(
            f"`folder`: {self.where(number)}: expected {expected}, got {got}; {advice}"
        )

    def where(self, number: int) -> str:
        """Format a line."""
        return f"{self.file}:{number}" if number else f"'{self.file}'"

    def parse(self, number: int, read: Callable[[A], T], value: A) -> T:
        """Convert a value; errors name the line."""
        try:
            return read(value)
        except ValueError as error:
            raise ValueError(f"`folder`: {self.where(number)}: {error}; correct it") from None

    def line_of(self, key: str) -> int:
        """Number of the (first) line of a keyword that is there."""
        return self.found[key][0][0]

    def words(self, key: str, least: int = 1) -> tuple[int, list[str]]:
        """Line and words of a keyword that must be there."""
        if key not in self.found:
            close = [
                name for name in self.unknown if did_you_mean(name.lower(), [key], cutoff=0.75)
            ]
            got = f"{close[0]!r} in line {self.unknown[close[0]]}" if close else "none"
            raise self.error(0, f"the keyword {key!r}", got, "is this a potential's input.nn?")
        ((number, words),) = self.found[key]
        if len(words) < least:
            raise self.error(number, f"{least} word(s) behind {key!r}", str(len(words)))
        return number, words

    def number(self, key: str, default: float) -> float:
        """The number behind a keyword; ``default`` without the keyword."""
        if key not in self.found:
            return default
        line, words = self.words(key)
        return self.parse(line, finite_number, words[0])

    def agreeing_number(self, names: tuple[str, str], default: float) -> float:
        """A number that has a name in n2p2 and another in RuNNer."""
        there = [name for name in names if name in self.found]
        values = [self.number(name, default) for name in there]
        if len(set(values)) > 1:
            raise self.error(
                self.line_of(there[1]), f"{there[0]!r} and {there[1]!r} to agree",
                f"{values[0]} and {values[1]}", "n2p2 knows the one and RuNNer the other: keep one",
            )  # fmt: skip
        return values[0] if values else default

    def check_supported(self) -> None:
        """Refuse keywords that change energies in an unsupported way."""
        for key, what in REFUSED.items():
            if key in self.found:
                raise self.error(
                    self.line_of(key), "a short-range potential", f"{key!r}",
                    f"{what} are not read",
                )  # fmt: skip

    def warn(self) -> None:
        """Warn of keywords without an effect that their author may have intended."""
        names = sorted(KNOWN)
        for key, number in self.unknown.items():
            near = did_you_mean(key.lower(), names)
            self.say(
                number,
                f"neither n2p2 nor RuNNer knows the keyword {key!r}, which is left out{near}",
            )
        for key in FLAGS:
            if key in self.found and self.found[key][0][1]:
                words = " ".join(self.found[key][0][1])
                self.say(
                    self.line_of(key), f"{key!r} takes no words and is on, whatever {words!r} "
                    "means; take the line out to switch it off",
                )  # fmt: skip

    def say(self, number: int, text: str) -> None:
        """Issue a warning that names the line."""
        warnings.warn(f"`folder`: {self.where(number)}: {text}", stacklevel=5)
