"""Symmetry functions as lines of n2p2's `input.nn`, and the order in which n2p2 sorts them.

    symfunction_short H 3 O H 0.2 1.0 1.0 12.0      element, type, neighbours, eta, lambda, zeta, rc

Source: n2p2's `SymFnc*.cpp` (A. Singraber et al., J. Chem. Theory Comput. 15, 1827 (2019), doi
10.1021/acs.jctc.8b00770; M. P. Bircher, A. Singraber, C. Dellago, Mach. Learn.: Sci. Technol. 2,
035026 (2021), doi 10.1088/2632-2153/abf817).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ase.data import chemical_symbols

from nnmd_graph.elements import atomic_number
from nnmd_graph.representations.symmetry.functions import G1, G2, G4, G5, SymmetryFunction
from nnmd_graph.representations.symmetry.polynomials import (
    PolynomialNarrow,
    PolynomialRadial,
    PolynomialWide,
)

CUTOFF_TYPES = (
    "hard",
    "cosine",
    "tanh3",
    "tanh3_normalized",
    "exponential",
    "poly1",
    "poly2",
    "poly3",
    "poly4",
)
"""Cutoff functions by n2p2's `cutoff_type`."""

POLYNOMIALS = ("p1", "p2", "p3", "p4", "e", "p1a", "p2a", "p3a", "p4a")
"""Cores that n2p2 has; it knows no asymmetric "e"."""


_FORTRAN = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))[dD]([+-]?\d+)")
_NO_EXPONENT = re.compile(r"(?<=[\d.])[dD][+-]?0+$")


class _Layout(NamedTuple):
    """Class, whether weighted, and the numbers behind the elements in n2p2's order."""

    function: type[SymmetryFunction]
    weighted: bool
    numbers: tuple[str, ...]
    optional: tuple[str, ...] = ()


_ANGULAR = ("eta", "lam", "zeta", "cutoff")
_WINDOW = ("r_l", "cutoff")
_ANGLE = (*_WINDOW, "theta_l", "theta_h")
LAYOUTS: dict[int, _Layout] = {
    2: _Layout(G2, False, ("eta", "r_s", "cutoff")),
    3: _Layout(G4, False, _ANGULAR, ("r_s",)),
    9: _Layout(G5, False, _ANGULAR, ("r_s",)),
    12: _Layout(G2, True, ("eta", "r_s", "cutoff")),
    13: _Layout(G4, True, ("eta", "r_s", "lam", "zeta", "cutoff")),
    20: _Layout(PolynomialRadial, False, _WINDOW),
    21: _Layout(PolynomialNarrow, False, _ANGLE),
    22: _Layout(PolynomialWide, False, _ANGLE),
    23: _Layout(PolynomialRadial, True, _WINDOW),
    24: _Layout(PolynomialNarrow, True, _ANGLE),
    25: _Layout(PolynomialWide, True, _ANGLE),
}
_TYPES = {(layout.function, layout.weighted): kind for kind, layout in LAYOUTS.items()}
_LENGTHS = ("cutoff", "r_s", "r_l")


@dataclass(frozen=True)
class FunctionLine:
    """One symmetry function in the units of the file.

    Attributes:
        kind: n2p2's type.
        centre: Atomic number of the central atom.
        neighbors: Atomic numbers of the neighbours, sorted; none in weighted functions.
        values: Numbers by the names of the fields of the function.
        polynomial: Core of polynomial functions.
    """

    kind: int
    centre: int
    neighbors: tuple[int, ...]
    values: dict[str, float]
    polynomial: str = ""

    @classmethod
    def parse(cls, words: Sequence[str]) -> FunctionLine:
        """Read the words behind `symfunction_short`.

        Raises:
            ValueError: Unknown elements or types, words that are no numbers, too few or too many.
        """
        if len(words) < 2:
            raise ValueError(f"expected an element, a type and parameters, got {list(words)}")
        kind = int(words[1]) if words[1].isdigit() else 0
        if kind not in LAYOUTS:
            raise ValueError(
                f"expected a symmetry function of type {list(LAYOUTS)}, got type {words[1]!r}"
            )
        layout, rest = LAYOUTS[kind], list(words[2:])
        core = issubclass(layout.function, PolynomialRadial | PolynomialNarrow | PolynomialWide)
        num_elements = 0 if layout.weighted else layout.function.order
        names = (*layout.numbers, *layout.optional)
        least = num_elements + len(layout.numbers) + core
        if not least <= len(rest) <= least + len(layout.optional):
            raise ValueError(
                f"expected for type {kind} {num_elements} element(s), {', '.join(names)}"
                f"{' and the polynomial' if core else ''}, got {' '.join(rest)!r}"
            )
        centre, *neighbors = (atomic_number(w, None) for w in (words[0], *rest[:num_elements]))
        polynomial = rest.pop() if core else ""
        if core and polynomial not in POLYNOMIALS:
            raise ValueError(f"expected one of {POLYNOMIALS}, got {polynomial!r}")
        numbers = [finite_number(word) for word in rest[num_elements:]]
        values = {name: 0.0 for name in layout.optional} | dict(zip(names, numbers, strict=False))
        return cls(kind, centre, tuple(sorted(neighbors)), values, polynomial)

    @classmethod
    def of(cls, function: SymmetryFunction, centre: int, length: float) -> FunctionLine:
        """Express a function of a set in units of ``length`` Å; inverse of :meth:`function`.

        Raises:
            ValueError: n2p2 has no such function.
        """
        kind = _TYPES.get((G2 if isinstance(function, G1) else type(function), function.weighted))
        if kind is None:
            weighted = "weighted " if function.weighted else ""
            raise ValueError(f"n2p2 has no {weighted}{type(function).__name__}")
        polynomial = getattr(function, "polynomial", "")
        if polynomial and polynomial not in POLYNOMIALS:
            raise ValueError(f"n2p2 has no polynomial {polynomial!r}, only {POLYNOMIALS}")
        layout, values = LAYOUTS[kind], {}
        for name in (*layout.numbers, *layout.optional):
            # A coordination number, G1, is a shell of no width.
            inside = float(getattr(function, name, 0.0))
            values[name] = _to_file(name, inside, length)
        neighbors: Any = function.neighbors or ()  # sorted atomic numbers, once constructed
        return cls(kind, centre, tuple(neighbors), values, polynomial)

    def function(self, length: float) -> SymmetryFunction:
        """The function in Å, for the central element only.

        Args:
            length: Å of one unit of length of the file.

        Raises:
            ValueError: A parameter is outside of what the function takes.
        """
        layout = LAYOUTS[self.kind]
        values: dict[str, Any] = {
            name: _from_file(name, value, length) for name, value in self.values.items()
        }
        if self.polynomial:
            values["polynomial"] = self.polynomial
        neighbors = None if layout.weighted else self.neighbors
        return layout.function(
            centre=self.centre, neighbors=neighbors, weighted=layout.weighted, **values
        )

    def sort_key(self, conv_length: float) -> tuple[float | str, ...]:
        """Key by which n2p2 sorts the functions of an element, in its internal unit of length."""
        internal = {
            name: value / (conv_length * conv_length)
            if name == "eta"
            else value * conv_length
            if name in _LENGTHS
            else value
            for name, value in self.values.items()
        }
        if self.polynomial:
            order = ["cutoff", "r_l", "theta_l", "theta_h"]
            first: list[float | str] = [self.polynomial, *self.neighbors]
            return (self.kind, *first, *(internal[name] for name in order if name in internal))
        order = ["cutoff", "eta", "r_s", "zeta", "lam"]
        return (self.kind, *(internal[n] for n in order if n in internal), *self.neighbors)

    def text(self) -> str:
        """The line of `input.nn`, each number with the fewest digits that reproduce it."""
        layout = LAYOUTS[self.kind]
        names = [*layout.numbers, *(name for name in layout.optional if self.values[name])]
        elements = [chemical_symbols[z] for z in (self.centre, *self.neighbors)]
        words = [elements[0], str(self.kind), *elements[1:]]
        words += [repr(self.values[name]) for name in names]
        return " ".join(["symfunction_short", *words, self.polynomial]).rstrip()


def from_fortran(word: str) -> str:
    """A number as `1.5d-3` in the spelling of C and Python; other words as they are."""
    return _FORTRAN.sub(r"\1e\2", word) if _FORTRAN.fullmatch(word) else word


def finite_number(word: str) -> float:
    """Convert a word to a finite number.

    Raises:
        ValueError: It is none. `1.0d-1` is one for RuNNer, but 1.0 for n2p2, which stops at the d;
            `1.0d0` is the same for both.
    """
    try:
        value = float(_NO_EXPONENT.sub("", word))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"expected a finite number, got {word!r}")
    return value


def shortest(forward: Callable[[float], float], target: float, guess: float) -> float:
    """The number with the fewest digits near ``guess`` that ``forward`` maps onto ``target``.

    Conversions of units round; a number found so comes back to the last bit. Where there is none,
    ``guess`` itself.
    """
    for digits in range(17):
        value = float(f"{guess:.{digits}e}")
        if forward(value) == target:
            return value
    below = above = guess
    for _ in range(16):
        below, above = math.nextafter(below, -math.inf), math.nextafter(above, math.inf)
        for value in (below, above):
            if forward(value) == target:
                return value
    return guess


def _from_file(name: str, value: float, length: float) -> float:
    if name == "eta":
        return value / (length * length)
    return value * length if name in _LENGTHS else value


def _to_file(name: str, value: float, length: float) -> float:
    guess = value * (length * length) if name == "eta" else value / length
    if name not in (*_LENGTHS, "eta"):
        guess = value
    return shortest(lambda v: _from_file(name, v, length), value, guess)
