r"""Atom-centred symmetry functions as parameter sets: Behler's G1 to G5 and polynomial ones.

G1 to G5 are numbered as in J. Behler, J. Chem. Phys. 134, 074106 (2011), doi 10.1063/1.3553717.
With r_ij the distance of atom i and neighbour j, theta the angle j-i-k, f_c the cutoff function:

    G1 = sum_j f_c(r_ij)                                                                     (eq. 5)
    G2 = sum_j exp(-eta (r_ij - r_s)^2) f_c(r_ij)                                            (eq. 6)
    G3 = sum_j cos(kappa r_ij) f_c(r_ij)                                                     (eq. 7)
    G4 = 2^(1-zeta) sum_{j<k} (1 + lam cos theta)^zeta
         exp(-eta ((r_ij - r_s)^2 + (r_ik - r_s)^2 + (r_jk - r_s)^2)) f_c(r_ij) f_c(r_ik) f_c(r_jk)
    G5 = the same without the two factors of r_jk                                       (eqs. 8, 9)

Polynomial functions have compact windows C instead (M. P. Bircher, A. Singraber, C. Dellago, Mach.
Learn.: Sci. Technol. 2, 035026 (2021), doi 10.1088/2632-2153/abf817):

    PolynomialRadial = sum_j C(r_ij)
    PolynomialNarrow = sum_{j<k} C(r_ij) C(r_ik) C(r_jk) C(theta)
    PolynomialWide   = sum_{j<k} C(r_ij) C(r_ik) C(theta)

``weighted`` functions sum over neighbours of all elements, each with its atomic number Z_j as a
factor, Z_j Z_k in angular ones (M. Gastegger et al., J. Chem. Phys. 148, 241709 (2018), doi
10.1063/1.5019667).

| function | n2p2 type | weighted |
|---|---|---|
| G2 | 2 | 12 |
| G4 | 3 | 13 |
| G5 | 9 | |
| PolynomialRadial | 20 | 23 |
| PolynomialNarrow | 21 | 24 |
| PolynomialWide | 22 | 25 |

Angular sums run over unordered pairs j < k, as in n2p2; the printed sum of Behler 2011 runs over
both orders and is twice as large. All of them are products of one function of each distance and
one of the angle, which ``kernels/factors.py`` evaluates; the sums are in ``kernels/sums.py``. A
function says itself which these are, so that one of the user's own needs nothing but its class.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

from nnmd_graph.elements import atomic_number
from nnmd_graph.representations.symmetry.keys import AngularKey, RadialKey

if TYPE_CHECKING:
    from torch import Tensor

TYPES: dict[str, type[SymmetryFunction]] = {}
"""Every symmetry function by the name of its class; a class joins when it is defined."""

Neighbors = int | str | tuple[int | str, ...] | None


@dataclass(frozen=True, kw_only=True)
class SymmetryFunction:
    """One symmetry function: its parameters, the elements it belongs to and sums over, its cutoff.

    A function of one's own is a frozen dataclass of this class that gives the formula of its
    factors, elementwise in torch; derivatives are taken automatically, and the cutoff function is
    multiplied to each factor of a distance:

        radial:           sum_j radial(r_ij) f_c(r_ij)
        angular, wide:    sum_{j<k} radial(r_ij) f_c(r_ij) radial(r_ik) f_c(r_ik) angular(cos theta)
        angular, narrow:  the same times radial(r_jk) f_c(r_jk)

    Args:
        cutoff: Cutoff radius r_c in Å; None takes that of the set.
        neighbors: The element (radial) or pair of elements (angular) that the sum runs over,
            symbols or atomic numbers; None makes one function for each of them.
        centre: The element of the central atom; None serves all elements.
        weighted: Sum over neighbours of all elements, each times its atomic number; then
            ``neighbors`` is None.
    """

    cutoff: float | None = None
    neighbors: Neighbors = None
    centre: int | str | None = None
    weighted: bool = False

    order: ClassVar[int] = 1
    """Number of neighbours in a term: 1 radial, 2 angular."""
    narrow: ClassVar[bool] = False
    """Tell whether a term depends on the distance of the two neighbours as well."""

    def __init_subclass__(cls) -> None:
        """Make the class known to :func:`from_dict` by its name, unless that begins with "_".

        Raises:
            ValueError: If a function of the package has the name.
        """
        name, known = cls.__name__, TYPES.get(cls.__name__)
        if known is not None and _is_ours(known) and not _is_ours(cls):
            raise ValueError(
                f"`{name}`: expected a name of its own for a symmetry function, got that of "
                f"{known.__module__}.{name}; rename the class"
            )
        if not name.startswith("_"):
            TYPES[name] = cls

    def radial(self, dist: Tensor) -> Tensor:
        """Factor of one distance without f_c, elementwise; for functions of one's own.

        Args:
            dist: Distances r of any shape, Å.
        """
        raise NotImplementedError(f"{type(self).__name__} must offer radial(dist)")

    def angular(self, cos: Tensor) -> Tensor:
        """Factor of the angle theta between two neighbours, elementwise, where `order` is 2.

        Args:
            cos: cos theta of any shape.
        """
        raise NotImplementedError(f"{type(self).__name__} must offer angular(cos), or order = 1")

    def radial_key(self) -> RadialKey:
        """The factor of a distance, as the sums take it."""
        return RadialKey("formula", (), formula=self.radial)

    def angular_key(self) -> AngularKey | None:
        """The factor of the angle, as the sums take it; None for a radial function."""
        return AngularKey("formula", (), formula=self.angular) if self.order == 2 else None

    @property
    def is_native(self) -> bool:
        """Whether the native core knows the factors: all but formulas of one's own."""
        keys = (self.radial_key(), self.angular_key())
        return all(key is None or key.formula is None for key in keys)

    def check_formulas(self, cutoff: float) -> None:
        """Test the formulas of a user's function.

        Raises:
            ValueError: If one is not elementwise, or not finite between 0 and the cutoff.
        """
        import torch  # here: configs are checked without it

        points = torch.linspace(0.05, 1.0, 8, dtype=torch.float64).view(4, 2)
        parts = (("radial", self.radial_key(), cutoff * points, "0 to the cutoff"),
                 ("angular", self.angular_key(), 2.0 * points - 1.0, "-1 to 1"))  # fmt: skip
        for name, key, x, interval in parts:
            if key is None or key.formula is None:
                continue
            value = key.formula(x)
            shape = value.shape if isinstance(value, torch.Tensor) else type(value).__name__
            if shape == x.shape and not value.isfinite().all():
                raise self._error(
                    name, f"finite numbers from {interval}", value.flatten().tolist(),
                    "mask before roots, logarithms and divisions",
                )  # fmt: skip
            if shape != x.shape or not torch.equal(key.formula(x[1:2]), value[1:2]):
                raise self._error(
                    name, "one value for each value, in the same shape",
                    f"{shape} for {tuple(x.shape)}", "write it elementwise in torch",
                )  # fmt: skip

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            wanted = "float" in str(field.type) and value is not None
            if wanted or str(field.type) == "float":
                # Plain floats: numpy's would end up in checkpoints, which hold no foreign types.
                object.__setattr__(self, field.name, self._finite(field.name, value))
        if self.cutoff is not None and not self.cutoff > 0.0:
            raise self._error("cutoff", "a positive number", self.cutoff, "give a radius in Å")
        object.__setattr__(self, "weighted", bool(self.weighted))
        if self.weighted and self.neighbors is not None:
            raise self._error(
                "neighbors", "None when it is weighted", self.neighbors,
                "a weighted function sums over all elements",
            )  # fmt: skip
        if self.neighbors is not None:
            object.__setattr__(self, "neighbors", self._sorted_neighbors())
        if self.centre is not None:
            object.__setattr__(self, "centre", atomic_number(self.centre, "centre"))

    def _error(self, name: str, expected: str, value: Any, advice: str) -> ValueError:
        return ValueError(
            f"`{name}` of {type(self).__name__}: expected {expected}, got {value}; {advice}"
        )

    def _finite(self, name: str, value: Any) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise self._error(name, "a finite number", repr(value), "give a number")
        return number

    def _sorted_neighbors(self) -> tuple[int, ...]:
        given = self.neighbors if isinstance(self.neighbors, tuple | list) else (self.neighbors,)
        numbers = tuple(sorted(atomic_number(element, "neighbors") for element in given))
        if len(numbers) != self.order:
            raise self._error(
                "neighbors", f"{self.order} element(s)", given,
                "a radial function sums over one element, an angular one over a pair",
            )  # fmt: skip
        return numbers

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for config files and checkpoints; inverse of :func:`from_dict`."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        if values["neighbors"] is not None:
            values["neighbors"] = list(values["neighbors"])
        if not values["weighted"]:
            del values["weighted"]
        return {"type": type(self).__name__} | {k: v for k, v in values.items() if v is not None}


@dataclass(frozen=True, kw_only=True)
class G1(SymmetryFunction):
    """Coordination number, G1 = sum_j f_c(r_ij) (Behler 2011, eq. 5)."""

    def radial_key(self) -> RadialKey:
        """Constant."""
        return RadialKey("gaussian", (0.0, 0.0))


@dataclass(frozen=True, kw_only=True)
class G2(SymmetryFunction):
    """Radial shell, G2 = sum_j exp(-eta (r_ij - r_s)^2) f_c(r_ij) (Behler 2011, eq. 6).

    Args:
        eta: Width in Å^-2.
        r_s: Centre of the shell in Å.
    """

    eta: float
    r_s: float = 0.0

    def radial_key(self) -> RadialKey:
        """A Gaussian of the distance."""
        return RadialKey("gaussian", (self.eta, self.r_s))


@dataclass(frozen=True, kw_only=True)
class G3(SymmetryFunction):
    """Damped cosine, G3 = sum_j cos(kappa r_ij) f_c(r_ij) (Behler 2011, eq. 7).

    Args:
        kappa: Wave number in Å^-1.
    """

    kappa: float

    def radial_key(self) -> RadialKey:
        """A cosine of the distance."""
        return RadialKey("wave", (self.kappa,))


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
            raise self._error("zeta", "a positive number", self.zeta, "1, 2, 4, 16 are usual")
        if abs(self.lam) > 1.0:
            raise self._error("lam", "a number in [-1, 1]", self.lam, "1 and -1 are usual")

    def radial_key(self) -> RadialKey:
        """A Gaussian of each distance."""
        return RadialKey("gaussian", (self.eta, self.r_s))

    def angular_key(self) -> AngularKey:
        """A power of 1 + lam cos theta."""
        return AngularKey("power", (self.zeta, self.lam))


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

    narrow: ClassVar[bool] = True


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


def _is_ours(kind: type) -> bool:
    return kind.__module__.startswith(__name__.partition(".")[0] + ".")


def from_dict(values: dict[str, Any]) -> SymmetryFunction:
    """Build a symmetry function from plain values, ``{"type": "G2", "eta": 1.0, "r_s": 0.0}``.

    Raises:
        ValueError: If the type is unknown or its parameters do not fit.
    """
    values = dict(values)
    name = values.pop("type", None)
    if name not in TYPES:
        raise ValueError(
            f"`type` of a symmetry function: expected one of {sorted(TYPES)}, got {name!r}; "
            "write for example {type: G2, eta: 1.0, r_s: 0.0}, or import the file that defines it"
        )
    if isinstance(values.get("neighbors"), list):
        values["neighbors"] = tuple(values["neighbors"])
    try:
        return TYPES[name](**values)
    except TypeError as error:
        names = [f.name for f in fields(TYPES[name])]
        raise ValueError(
            f"`{name}`: expected parameters among {names}, got {sorted(values)}; correct them "
            f"({error})"
        ) from None
