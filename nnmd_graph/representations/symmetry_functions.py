r"""Atom-centred symmetry functions G1 to G5 as parameter sets.

Numbered as in J. Behler, J. Chem. Phys. 134, 074106 (2011), doi 10.1063/1.3553717. n2p2 and
RuNNer number by type: 2 = G2, 3 = G4, 9 = G5. The sums themselves are in ``acsf.py``.

With r_ij the distance of atom i and neighbour j, theta the angle j-i-k, f_c the cutoff function:

    G1 = sum_j f_c(r_ij)                                                                     (eq. 5)
    G2 = sum_j exp(-eta (r_ij - r_s)^2) f_c(r_ij)                                            (eq. 6)
    G3 = sum_j cos(kappa r_ij) f_c(r_ij)                                                     (eq. 7)
    G4 = 2^(1-zeta) sum_{j<k} (1 + lam cos theta)^zeta
         exp(-eta ((r_ij - r_s)^2 + (r_ik - r_s)^2 + (r_jk - r_s)^2)) f_c(r_ij) f_c(r_ik) f_c(r_jk)
    G5 = the same without the two factors of r_jk                                       (eqs. 8, 9)

Angular sums run over unordered pairs j < k, as in n2p2; the printed sum of Behler 2011 runs over
both orders and is twice as large.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from ase.data import atomic_numbers, chemical_symbols

Neighbors = int | str | tuple[int | str, ...] | None


def atomic_number(element: int | str) -> int:
    """Atomic number of an element given as a number or a symbol.

    Raises:
        ValueError: If there is no such element.
    """
    if isinstance(element, str) and element in atomic_numbers:
        return atomic_numbers[element]
    if not isinstance(element, str) and 0 < int(element) < len(chemical_symbols):
        return int(element)
    raise ValueError(
        f"`neighbors` must name elements by symbol or atomic number, got {element!r}; "
        "write 'Cu' or 29"
    )


@dataclass(frozen=True, kw_only=True)
class SymmetryFunction:
    """One symmetry function: its parameters, the elements it sums over, its cutoff.

    Args:
        cutoff: Cutoff radius r_c in Å; None takes that of the set.
        neighbors: The element (radial) or pair of elements (angular) that the sum runs over,
            symbols or atomic numbers; None makes one function for each of them.
    """

    cutoff: float | None = None
    neighbors: Neighbors = None

    order: ClassVar[int] = 1
    """Number of neighbours in a term: 1 radial, 2 angular."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "neighbors" and not (field.name == "cutoff" and value is None):
                # Plain floats: numpy's would end up in checkpoints, which hold no foreign types.
                object.__setattr__(self, field.name, self._finite(field.name, value))
        if self.cutoff is not None and not self.cutoff > 0.0:
            raise ValueError(
                f"`cutoff` of {type(self).__name__} must be positive, got {self.cutoff}; "
                "give a radius in Å"
            )
        if self.neighbors is not None:
            object.__setattr__(self, "neighbors", self._sorted_neighbors())

    def _finite(self, name: str, value: Any) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise ValueError(
                f"`{name}` of {type(self).__name__} must be finite, got {value!r}; give a number"
            )
        return number

    def _sorted_neighbors(self) -> tuple[int, ...]:
        given = self.neighbors if isinstance(self.neighbors, tuple | list) else (self.neighbors,)
        # mypy: the union with None was left before this is called.
        numbers = tuple(sorted(atomic_number(element) for element in given))  # type: ignore[arg-type]
        if len(numbers) != self.order:
            raise ValueError(
                f"`neighbors` of {type(self).__name__} must be {self.order} element(s), "
                f"got {given}; a radial function sums over one element, an angular one over a pair"
            )
        return numbers

    def shape(self) -> tuple[float, ...]:
        """Parameters apart from cutoff and neighbours, in the order of the fields."""
        skip = ("cutoff", "neighbors")
        return tuple(float(getattr(self, f.name)) for f in fields(self) if f.name not in skip)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for config files and checkpoints; inverse of :func:`from_dict`."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        if values["neighbors"] is not None:
            values["neighbors"] = list(values["neighbors"])
        return {"type": type(self).__name__} | {k: v for k, v in values.items() if v is not None}


@dataclass(frozen=True, kw_only=True)
class G1(SymmetryFunction):
    """Coordination number, G1 = sum_j f_c(r_ij) (Behler 2011, eq. 5)."""


@dataclass(frozen=True, kw_only=True)
class G2(SymmetryFunction):
    """Radial shell, G2 = sum_j exp(-eta (r_ij - r_s)^2) f_c(r_ij) (Behler 2011, eq. 6).

    Args:
        eta: Width in Å^-2.
        r_s: Centre of the shell in Å.
    """

    eta: float
    r_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class G3(SymmetryFunction):
    """Damped cosine, G3 = sum_j cos(kappa r_ij) f_c(r_ij) (Behler 2011, eq. 7).

    Args:
        kappa: Wave number in Å^-1.
    """

    kappa: float


@dataclass(frozen=True, kw_only=True)
class _Angular(SymmetryFunction):
    eta: float
    zeta: float
    lam: float
    r_s: float = 0.0

    order: ClassVar[int] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.zeta <= 0.0:
            raise ValueError(
                f"`zeta` of {type(self).__name__} must be positive, got {self.zeta}; "
                "1, 2, 4, 16 are usual"
            )
        if abs(self.lam) > 1.0:
            raise ValueError(
                f"`lam` of {type(self).__name__} must lie in [-1, 1], got {self.lam}; "
                "1 and -1 are usual"
            )


@dataclass(frozen=True, kw_only=True)
class G4(_Angular):
    """Narrow angular function: all three distances of the triplet inside r_c (Behler 2011, eq. 8).

    G4 = 2^(1-zeta) sum_{j<k} (1 + lam cos theta)^zeta exp(-eta (r_ij^2 + r_ik^2 + r_jk^2))
    f_c(r_ij) f_c(r_ik) f_c(r_jk); n2p2 type 3. Behler's printed sum is twice this one.

    Args:
        eta: Width in Å^-2.
        zeta: Angular sharpness, > 0.
        lam: Sign of the cosine, -1 to 1.
        r_s: Shift in Å, taken from each of the three distances.
    """


@dataclass(frozen=True, kw_only=True)
class G5(_Angular):
    """Wide angular function: r_jk is free (Behler 2011, eq. 9).

    G5 = 2^(1-zeta) sum_{j<k} (1 + lam cos theta)^zeta exp(-eta (r_ij^2 + r_ik^2))
    f_c(r_ij) f_c(r_ik); n2p2 type 9. Behler's printed sum is twice this one.

    Args:
        eta: Width in Å^-2.
        zeta: Angular sharpness, > 0.
        lam: Sign of the cosine, -1 to 1.
        r_s: Shift in Å, taken from both distances.
    """


TYPES: dict[str, type[SymmetryFunction]] = {t.__name__: t for t in (G1, G2, G3, G4, G5)}


def from_dict(values: dict[str, Any]) -> SymmetryFunction:
    """Build a symmetry function from plain values, ``{"type": "G2", "eta": 1.0, "r_s": 0.0}``.

    Raises:
        ValueError: If the type is unknown or its parameters do not fit.
    """
    values = dict(values)
    name = values.pop("type", None)
    if name not in TYPES:
        raise ValueError(
            f"`type` of a symmetry function must be one of {sorted(TYPES)}, got {name!r}; "
            "write for example {type: G2, eta: 1.0, r_s: 0.0}"
        )
    if isinstance(values.get("neighbors"), list):
        values["neighbors"] = tuple(values["neighbors"])
    try:
        return TYPES[name](**values)
    except TypeError as error:
        names = [f.name for f in fields(TYPES[name])]
        raise ValueError(
            f"`{name}` takes the parameters {names}, got {sorted(values)}; ({error})"
        ) from None
