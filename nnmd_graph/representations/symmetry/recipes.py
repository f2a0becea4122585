"""Published automatic choices of symmetry functions, and a large pool to choose from.

Every recipe takes the cutoff in Å and returns functions without neighbours, which ACSF expands to
one per element or element pair.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nnmd_graph.errors import check_choice, did_you_mean
from nnmd_graph.memory import COPIES, check_memory
from nnmd_graph.representations.symmetry.functions import G2, G4, G5, SymmetryFunction


def imbalzano2018(
    cutoff: float,
    *,
    num_radial: int = 6,
    num_angular: int = 4,
    zeta: Sequence[float] = (1.0, 4.0, 16.0),
    angular: str = "G4",
) -> list[SymmetryFunction]:
    """Radial shells and angular functions on geometric series of widths.

    Centred: eta_m = (n^(m/n) / r_c)^2, r_s = 0; shifted: r_s,m = r_c / n^(m/n),
    eta_s,m = 1 / (r_s,n-m - r_s,n-m-1)^2 (the width of a shell follows its distance to the next);
    angular: centred with n of its own, m = 0 .. n - 1, lam = 1 and -1 and every zeta. Source:
    G. Imbalzano et al., J. Chem. Phys. 148, 241730 (2018), doi 10.1063/1.5024611.

    Args:
        cutoff: r_c in Å.
        num_radial: n of the radial series: n + 1 centred and n shifted functions.
        num_angular: n of the angular series, the number of its widths.
        zeta: Angular exponents.
        angular: ``"G4"`` (narrow, n2p2 type 3) or ``"G5"`` (wide, type 9).
    """
    if num_radial < 2 or num_angular < 0 or angular not in ("G4", "G5"):
        raise ValueError(
            "`num_radial`: expected at least 2, `num_angular` at least 0, `angular` 'G4' or 'G5', "
            f"got {num_radial}, {num_angular}, {angular!r}; the defaults are 6, 4, 'G4'"
        )
    n = num_radial
    functions: list[SymmetryFunction] = [
        G2(eta=(n ** (m / n) / cutoff) ** 2, r_s=0.0) for m in range(n + 1)
    ]
    shells = [cutoff / n ** (m / n) for m in range(n + 1)]
    functions += [
        G2(eta=1.0 / (shells[m] - shells[m + 1]) ** 2, r_s=shells[m + 1]) for m in range(n)
    ]
    kind = G4 if angular == "G4" else G5
    functions += [
        kind(eta=(num_angular ** (m / num_angular) / cutoff) ** 2, zeta=z, lam=lam)
        for m in range(num_angular)
        for z in zeta
        for lam in (1.0, -1.0)
    ]
    return functions


def gastegger2018(
    cutoff: float,
    *,
    num_radial: int = 12,
    num_angular: int | Sequence[int] = 4,
    zeta: Sequence[float] = (1.0, 2.0, 4.0, 8.0),
    angular: str = "G5",
    r_min: float = 1.0,
) -> list[SymmetryFunction]:
    """Evenly spaced shells as wide as their distance, radial and angular.

    n shells from r_min on, d = (r_c - r_min) / n apart: r_s,m = r_min + m d, eta = 1 / (2 d^2);
    angular functions have their own, coarser shells, lam = 1, -1 and every zeta. Both neighbours of
    an angle are in one shell: wide shells beside narrow ones tell more of unequal distances (rMD17
    ethanol, 60 epochs: 20.9 meV/Å with 4 and 2 shells, 22.9 with 4). Source: M.
    Gastegger et al., J. Chem. Phys. 148, 241709 (2018), doi 10.1063/1.5019667, the shifted scheme
    (there with element weights and zeta = 1).

    Args:
        cutoff: r_c in Å.
        num_radial: Number of radial shells.
        num_angular: Number of angular shells; 0 leaves the angular functions out, [4, 2] takes 4
            and besides 2 wider ones.
        zeta: Angular exponents.
        angular: ``"G5"`` (wide, n2p2 type 9) or ``"G4"`` (narrow, type 3).
        r_min: Centre of the first shell in Å, a little below the shortest bond.
    """
    shells = [num_angular] if isinstance(num_angular, int) else list(num_angular)
    if num_radial < 1 or min(shells, default=0) < 0 or angular not in ("G4", "G5"):
        raise ValueError(
            "`num_radial`: expected at least 1, `num_angular` at least 0, `angular` 'G4' or 'G5', "
            f"got {num_radial}, {num_angular}, {angular!r}; the defaults are 12, 4, 'G5'"
        )
    if not 0.0 <= r_min < cutoff:
        raise ValueError(
            f"`r_min`: expected a number in [0, {cutoff}) Å, got {r_min}; the default is 1.0"
        )
    width = (cutoff - r_min) / num_radial
    functions: list[SymmetryFunction] = [
        G2(eta=0.5 / width**2, r_s=r_min + m * width) for m in range(num_radial)
    ]
    kind = G4 if angular == "G4" else G5
    for n in shells:
        width = (cutoff - r_min) / max(n, 1)
        functions += [
            kind(eta=0.5 / width**2, r_s=r_min + m * width, zeta=z, lam=lam)
            for m in range(n)
            for z in zeta
            for lam in (1.0, -1.0)
        ]
    return functions


def pool(
    cutoff: float,
    *,
    num_radial: int = 16,
    num_angular: int | Sequence[int] = 4,
    zeta: Sequence[float] = (1.0, 2.0, 4.0, 8.0),
    angular: str = "both",
    r_min: float = 1.0,
) -> list[SymmetryFunction]:
    """A large pool of functions, to choose from with ``select_functions``.

    The shells of ``gastegger2018`` at two resolutions, n of them and half as many twice as wide;
    angular functions wide (G5) at both, narrow (G4) at the lower one. With the defaults 24 radial
    functions and 64 angular ones for one element.

    Angular shells at more resolutions tell more of two neighbours at unequal distances (mlearn Si:
    63.4 meV/Å with 6 and 3 shells, 61.7 with 6, 4, 3, 2 and 1).

    Args:
        cutoff: r_c in Å.
        num_radial: Number of radial shells at the higher resolution.
        num_angular: Number of angular shells at the higher resolution; 0 leaves them out. [6, 4, 2]
            names all resolutions; narrow functions come at half of the highest one and below.
        zeta: Angular exponents.
        angular: ``"both"``, ``"G5"`` (wide only, which is fast) or ``"G4"`` (narrow only).
        r_min: Centre of the first shell in Å, a little below the shortest bond.
    """
    wide = [num_angular, num_angular // 2] if isinstance(num_angular, int) else list(num_angular)
    if num_radial < 2 or min(wide, default=-1) < 0 or angular not in ("both", "G4", "G5"):
        raise ValueError(
            "`num_radial`: expected at least 2, `num_angular` at least 0, `angular` 'both', 'G4' "
            f"or 'G5', got {num_radial}, {num_angular}, {angular!r}; the defaults are 16, 4, 'both'"
        )
    functions: list[SymmetryFunction] = []
    for n in (num_radial, num_radial // 2):
        functions += gastegger2018(cutoff, num_radial=n, num_angular=0, r_min=r_min)
    shells = {"G5": wide, "G4": [n for n in wide if 2 * n <= max(wide)]}
    if angular != "both":
        shells = {angular: wide}
    for kind, numbers in shells.items():
        for n in numbers:
            functions += gastegger2018(
                cutoff, num_radial=1, num_angular=n, zeta=zeta, angular=kind, r_min=r_min
            )[1:]
    return functions


RECIPES: dict[str, Callable[..., list[SymmetryFunction]]] = {
    "gastegger2018": gastegger2018,
    "imbalzano2018": imbalzano2018,
    "pool": pool,
}

BYTES_OF_A_FUNCTION = 2000
"""Memory of a symmetry function as an object, with its places in the sums, bytes."""


def _numbers(recipe: str, given: Mapping[str, Any]) -> tuple[int, int]:
    """Count the radial and angular functions of a recipe, from its arguments alone."""
    radial, angular = given["num_radial"], given["num_angular"]
    shells = [angular] if isinstance(angular, int) else list(angular)
    each = 2 * len(given["zeta"])
    if recipe == "imbalzano2018":
        return 2 * radial + 1, each * sum(shells)
    if recipe == "gastegger2018":
        return radial, each * sum(shells)
    wide = [angular, angular // 2] if isinstance(angular, int) else shells
    narrow = [n for n in wide if 2 * n <= max(wide)] if given["angular"] == "both" else []
    return radial + radial // 2, each * sum(wide + narrow)


def num_features(numbers: tuple[int, int], num_species: int) -> int:
    """Features of functions without neighbours: one for each element, or pair of elements."""
    radial, angular = numbers
    return radial * num_species + angular * (num_species * (num_species + 1) // 2)


def automatic_functions(
    recipe: str,
    cutoff: float,
    options: Mapping[str, Any],
    num_species: int,
    needed: Callable[[tuple[int, int], int], float],
    what: str,
) -> list[SymmetryFunction]:
    """Functions of a recipe, unless the model made of them would not fit in memory.

    Args:
        recipe: A name out of :data:`RECIPES`.
        cutoff: r_c in Å.
        options: Arguments of the recipe.
        num_species: Number of elements S.
        needed: Bytes by the numbers of radial and angular functions, and of elements.
        what: Needs them.

    Raises:
        ValueError: If the recipe or an option is unknown, or it does not fit.
        TypeError: If an option is of the wrong kind.
    """
    check_choice("recipe", recipe, sorted(RECIPES))
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(RECIPES[recipe]).parameters.items()
        if name != "cutoff"
    }
    given = defaults | {name: _checked(recipe, name, options[name], defaults) for name in options}

    def bytes_with(values: Mapping[str, Any]) -> float:
        return needed(_numbers(recipe, values), num_species)

    # Name the most expensive option, or the elements if no option is larger than usual.
    asked = {n: bytes_with(given | {n: defaults[n]}) for n in options}
    name = min(asked, key=lambda n: asked[n], default="species")
    if name == "species" or asked[name] >= bytes_with(given):
        numbers = _numbers(recipe, given)
        check_memory(
            "species",
            num_species,
            lambda n: needed(numbers, n),
            size=num_species,
            unit=" elements",
            what=f"{what} of {num_features(numbers, num_species)} functions",
            instead="take GCNN, whose cost does not grow with the number of elements (on the "
            "command line `--model gcnn`), or fewer functions",
        )
    else:
        integer = isinstance(given[name], int)
        check_memory(
            name,
            given[name],
            (lambda n: bytes_with(given | {name: n})) if integer else bytes_with(given),
            size=given[name] if integer else None,
            what=what,
            instead=f"the default is {defaults[name]}",
        )
    try:
        return RECIPES[recipe](cutoff, **given)
    except OverflowError:
        raise ValueError(
            f"`cutoff`: expected a radius in Å, got {cutoff:g}; 4 to 8 Å are usual"
        ) from None


def _checked(recipe: str, name: str, value: Any, defaults: Mapping[str, Any]) -> Any:
    """Check that an option is of the type of its default; a whole number may be given as 1e3."""
    if name not in defaults:
        hint = did_you_mean(name, defaults)
        raise TypeError(
            f"`{name}`: expected options of {recipe!r}, {list(defaults)}, got this one{hint}"
        )
    if name in ("num_radial", "num_angular"):
        many = isinstance(value, Sequence) and not isinstance(value, str) and name != "num_radial"
        return [_whole(name, n) for n in value] if many else _whole(name, value)
    if name == "zeta" and (isinstance(value, str) or not isinstance(value, Sequence)):
        raise TypeError(f"`zeta`: expected a list of numbers, got {value!r}; write [1.0, 4.0]")
    return value


def _whole(name: str, value: Any) -> int:
    """Convert to an integer; 1e3 is one."""
    if isinstance(value, float | np.floating) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"`{name}`: expected an integer, got {value!r}; write for example 4")
    return int(value)


def bytes_of_model(num_species: int, num_features: int) -> float:
    """Least memory of a model with a net per element, for functions and their scaling, bytes."""
    return BYTES_OF_A_FUNCTION * num_features + bytes_of_scaling(num_species, num_features)


def bytes_of_scaling(num_species: int, num_features: int) -> float:
    """Memory of the scaling of all features by all in training, for some elements, bytes."""
    return 4 * COPIES * num_species * num_features**2
