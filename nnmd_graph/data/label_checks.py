"""Labels that look wrong: energies far off the others, zeros that a reader made up, contradictions.

Everything here looks at labels and coordinates only; no neighbours are searched.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Sequence

import ase
import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from nnmd_graph.data.labelled import LabelledFrames

MIN_FRAMES = 10
"""Smallest number of frames for which outliers are looked for."""

OUTLIER, GAP = 20.0, 4.0
"""An outlier is so many standard deviations off (as the median deviation has them), and so many
times as far as the next frame that is none: published sets with tails of 40 eV/atom have no gap."""

LARGE_FORCE = 50.0
"""eV/Å; smaller forces are never called outliers."""

ENERGY_NOISE, FORCE_NOISE, STRESS_NOISE = 1e-3, 1e-2, 1e-3
"""eV/atom, eV/Å, eV/Å^3; permitted difference between labels of equal structures."""

SHOWN = 5
"""Largest number of frames named in a message."""


def warn_of_suspicious_labels(dataset: LabelledFrames) -> None:
    """Describe suspicious labels, one line each, with the frames and a remedy.

    Args:
        dataset: the frames.
    """
    _warn_of_zero_energies(dataset)
    _warn_of_energies(dataset)
    _warn_of_forces(dataset)
    warn_of_contradictions(dataset, equal_structures(dataset.frames))


def outliers(deviation: NDArray[np.float64]) -> NDArray[np.int64]:
    """Find values that are far above all others: a tenth of them at most.

    Args:
        deviation: not negative, [n].

    Returns:
        Numbers of the outliers, the largest first.
    """
    order = np.argsort(-deviation, kind="stable")
    there = deviation[order]
    scale = max(1.4826 * float(np.median(deviation)), 1e-12)
    last = 0
    for k in range(1, max(1, len(there) // 10) + 1):
        if there[k - 1] > OUTLIER * scale and there[k - 1] > GAP * there[k]:
            last = k
    return order[:last]


def energy_deviations(dataset: LabelledFrames) -> tuple[list[int], NDArray[np.float64]]:
    r"""Deviation of each energy per atom from what the composition explains.

    E0 are fitted by least absolute deviations, which one bad frame does not move:

    .. math:: \min_{E0} \sum_n | E_n - \sum_Z N_{nZ} E0_Z | / N_n

    Args:
        dataset: the frames; isolated atoms, and those without an energy, are left out.

    Returns:
        Numbers of the frames and their deviations from the median, eV/atom, with their signs.
    """
    chosen = [
        i
        for i, labels in enumerate(dataset.labels)
        if labels.energy is not None and not dataset.isolated[i]
    ]
    species = {z: s for s, z in enumerate(dataset.species)}
    counts = np.zeros((len(chosen), len(species)))
    for row, i in enumerate(chosen):
        for z, count in zip(*np.unique(dataset.frames[i].numbers, return_counts=True), strict=True):
            counts[row, species[int(z)]] = count
    atoms = counts.sum(1)
    energy = np.array([dataset.labels[i].energy for i in chosen], dtype=float) / atoms
    residual = _least_absolute(counts / atoms[:, None], energy)
    return chosen, residual - np.median(residual)


def _least_absolute(matrix: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Residuals of the fit with the least sum of absolute values, by reweighting."""
    residual = y - np.median(y)
    for _ in range(20):
        floor = max(1e-3 * float(np.median(np.abs(residual))), 1e-9)
        root = 1.0 / np.sqrt(np.maximum(np.abs(residual), floor))
        solution = np.linalg.lstsq(matrix * root[:, None], y * root, rcond=1e-10)[0]
        residual = y - matrix @ solution
    return residual


def _warn_of_energies(dataset: LabelledFrames) -> None:
    if dataset.has("energy") - int(dataset.isolated.sum()) < MIN_FRAMES:
        return
    chosen, deviation = energy_deviations(dataset)
    if len(chosen) < MIN_FRAMES:
        return
    found = outliers(np.abs(deviation))
    if len(found):
        worst = [f"{dataset.name(chosen[n])} by {deviation[n]:+.4g} eV/atom" for n in found[:SHOWN]]
        warnings.warn(
            f"`frames`: energies far off those of all other frames of like composition: "
            f"{_listed(worst, len(found))}; a calculation that did not converge looks like this, "
            "remove these frames, or leave them if they are right",
            stacklevel=4,
        )


def _warn_of_forces(dataset: LabelledFrames) -> None:
    labelled = [i for i, labels in enumerate(dataset.labels) if labels.forces is not None]
    if len(labelled) < MIN_FRAMES:
        return
    largest = np.array([_largest(dataset.labels[i].forces)[0] for i in labelled])
    found = [n for n in outliers(largest) if largest[n] > LARGE_FORCE]
    if found:
        worst = []
        for n in found[:SHOWN]:
            i = labelled[n]
            atom = _largest(dataset.labels[i].forces)[1]
            symbol = chemical_symbols[dataset.frames[i].numbers[atom]]
            worst.append(f"{dataset.name(i)}, {largest[n]:.4g} eV/Å on atom {atom} ({symbol})")
        warnings.warn(
            f"`frames`: forces far above those of all other frames: {_listed(worst, len(found))}; "
            "a calculation that did not converge, or atoms that nearly touch, look like this, "
            "remove these frames, or leave them if they are right",
            stacklevel=4,
        )


def _largest(forces: NDArray[np.float64] | None) -> tuple[float, int]:
    """The largest force of a frame, and its atom; masked ones do not count."""
    assert forces is not None
    size = np.nan_to_num(np.abs(forces).max(axis=1))
    return float(size.max()), int(size.argmax())


def _warn_of_zero_energies(dataset: LabelledFrames) -> None:
    """Detect energies of 0.0, which a reader may write where it finds none."""
    zero = [i for i, labels in enumerate(dataset.labels) if labels.energy == 0.0]
    moved = [
        i for i in zero if (f := dataset.labels[i].forces) is not None and np.nan_to_num(f).any()
    ]
    if moved and len(zero) == dataset.has("energy"):
        frame = dataset.name(moved[0])
        warnings.warn(
            f"`frames`: every energy is exactly 0, although forces are not (first: {frame}); "
            "readers write that where a file has no energy: name the energy with `energy_key`, or "
            "train on forces alone with a loss of energy 0",
            stacklevel=4,
        )


# ----------------------------------------------------------------------------- equal structures
def equal_structures(frames: Sequence[ase.Atoms]) -> NDArray[np.int64]:
    """Find structures with the same atoms in the same places (to 1e-6 Å), in the same order.

    `geometry_groups` sees more (rotated, renumbered ones) and needs graphs.

    Returns:
        For each structure the number of the first one that equals it, [B].
    """
    first: dict[bytes, int] = {}
    keys = (structure_key(atoms) for atoms in frames)
    return np.array([first.setdefault(key, i) for i, key in enumerate(keys)], dtype=np.int64)


def structure_key(atoms: ase.Atoms) -> bytes:
    """Hash of a structure; equal for equal ones."""
    digest = hashlib.sha1(usedforsecurity=False)
    digest.update(atoms.numbers.astype(np.int64).tobytes() + atoms.pbc.tobytes())
    for array in (atoms.cell.array if atoms.pbc.any() else np.zeros(0), atoms.positions):
        digest.update((np.round(array, 6) + 0.0).tobytes())  # + 0.0: no negative zeros
    return digest.digest()


def warn_of_contradictions(
    dataset: LabelledFrames, groups: NDArray[np.int64], *, energies_only: bool = False
) -> None:
    """Warn of equal structures with unequal labels: no model can learn both.

    Args:
        dataset: the frames.
        groups: the number of the first equal structure for each, [B].
        energies_only: where the groups hold rotated structures, whose forces differ.
    """
    repeated = [i for i in np.flatnonzero(groups != np.arange(len(groups))).tolist()
                if not dataset.isolated[i]]  # fmt: skip
    found: list[str] = []
    for i in repeated:
        difference = _difference(dataset, int(groups[i]), i, energies_only)
        if difference:
            found.append(f"{dataset.name(int(groups[i]))} and {dataset.name(i)}: {difference}")
    if found:
        warnings.warn(
            f"`frames`: equal structures with unequal labels, of which no model can learn both: "
            f"{_listed(found[:SHOWN], len(found), '; ')}; keep the right ones",
            stacklevel=5,
        )


def _difference(dataset: LabelledFrames, i: int, j: int, energies_only: bool) -> str:
    a, b = dataset.labels[i], dataset.labels[j]
    if a.energy is not None and b.energy is not None:
        per_atom = a.energy / len(dataset.frames[i]), b.energy / len(dataset.frames[j])
        if abs(per_atom[0] - per_atom[1]) > ENERGY_NOISE:
            return f"energies {per_atom[0]:.6g} and {per_atom[1]:.6g} eV/atom"
    if energies_only:
        return ""
    for name, unit, noise in (("forces", "eV/Å", FORCE_NOISE), ("stress", "eV/Å^3", STRESS_NOISE)):
        x, y = getattr(a, name), getattr(b, name)
        if x is not None and y is not None:
            largest = float(np.nan_to_num(np.abs(x - y)).max(initial=0.0))
            if largest > noise:
                return f"{name} that differ by {largest:.3g} {unit}"
    return ""


def _listed(names: Iterable[str], total: int, separator: str = ", ") -> str:
    shown = list(names)
    more = f"{separator}and {total - len(shown)} more" if total > len(shown) else ""
    return separator.join(shown) + more
