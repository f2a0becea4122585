"""Published automatic choices of symmetry functions, and a large pool to choose from.

Every recipe takes the cutoff in Å and returns functions without neighbours, which ACSF expands to
one per element or element pair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nnmd_graph.representations.symmetry_functions import G2, G4, G5, SymmetryFunction


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
            "`num_radial` must be at least 2, `num_angular` at least 0, `angular` 'G4' or 'G5', "
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
            "`num_radial` must be at least 1, `num_angular` at least 0, `angular` 'G4' or 'G5', "
            f"got {num_radial}, {num_angular}, {angular!r}; the defaults are 12, 4, 'G5'"
        )
    if not 0.0 <= r_min < cutoff:
        raise ValueError(f"`r_min` must lie in [0, {cutoff}) Å, got {r_min}; the default is 1.0")
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
    """More functions than one wants to pay for, to choose from with ``select_functions``.

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
            "`num_radial` must be at least 2, `num_angular` at least 0, `angular` 'both', 'G4' or "
            f"'G5', got {num_radial}, {num_angular}, {angular!r}; the defaults are 16, 4, 'both'"
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
