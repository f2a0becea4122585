"""Statistics of a data set: isolated-atom energies, energies, forces, neighbours."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from nnmd_graph.data.labelled import LabelledFrames
from nnmd_graph.elements import atomic_number

SPREAD_OF_ISOLATED_ATOMS = 1e-3
"""eV; isolated atoms of one element that differ by more get a warning."""


def fit_isolated_energies(
    dataset: LabelledFrames, *, given: Mapping[int | str, float] | None = None
) -> dict[int, float]:
    r"""Find the energy E0 of an isolated atom of each element, the baseline that a model adds to.

    Energies that are `given` are taken as they are. Otherwise a frame that is one isolated atom
    (without neighbours within the cutoff, its own images counted) is the answer for its element,
    the lowest one where there are several. The rest is fitted, per atom, to the other frames:

    .. math:: \min_{E0} \sum_n \left( \frac{E_n - \sum_Z N_{nZ} E0_Z}{N_n} \right)^2

    Where the compositions cannot tell some elements apart (H2O alone says nothing about H and O),
    the solution of least norm is taken, which is exact for these compositions, and a warning names
    the elements.

    Args:
        dataset: the frames; those without energy are passed over.
        given: known energies, eV, by atomic number or symbol.

    Returns:
        E0 in eV by atomic number, for the elements of the data set and of `given`.

    Raises:
        ValueError: there is no energy to fit to, or `given` has an unknown element or no finite
            number.
        TypeError: a key or a value of `given` is neither element nor number.
    """
    energies = _given_energies(given or {})
    for z, energy in _isolated_atoms(dataset).items():
        energies.setdefault(z, energy)
    missing = [z for z in dataset.species if z not in energies]
    if missing:
        energies.update(_least_squares(dataset, energies, missing))
    return dict(sorted(energies.items()))


def _given_energies(given: Mapping[Any, Any]) -> dict[int, float]:
    energies: dict[int, float] = {}
    for key, energy in given.items():
        if isinstance(energy, bool) or not isinstance(energy, Real):
            raise TypeError(f"`given[{key!r}]`: expected a number in eV, got {energy!r}")
        if not math.isfinite(energy):
            raise ValueError(f"`given[{key!r}]`: expected a finite number in eV, got {energy}")
        energies[atomic_number(key, "given")] = float(energy)
    return energies


def _isolated_atoms(dataset: LabelledFrames) -> dict[int, float]:
    """Read E0 off the frames that are one isolated atom; the lowest where there are several."""
    found: dict[int, list[tuple[float, str]]] = {}
    for i in np.flatnonzero(dataset.isolated).tolist():
        energy = dataset.labels[i].energy
        if energy is not None:
            z = int(dataset.frames[i].numbers[0])
            found.setdefault(z, []).append((energy, dataset.name(i)))
    for z, energies in found.items():
        (low, lowest), (high, highest) = min(energies), max(energies)
        if high - low > SPREAD_OF_ISOLATED_ATOMS:
            warnings.warn(
                f"`dataset`: {len(energies)} isolated atoms of {chemical_symbols[z]} have energies "
                f"from {low:.6g} eV ({lowest}) to {high:.6g} eV ({highest}); the lowest is taken "
                "as E0, give another one with `given`",
                stacklevel=3,
            )
    return {z: min(energies)[0] for z, energies in found.items()}


def _least_squares(
    dataset: LabelledFrames, known: dict[int, float], missing: list[int]
) -> dict[int, float]:
    counts, energy = _compositions(dataset, [*missing, *known])
    rest = energy - counts[:, len(missing) :] @ np.array(list(known.values()))
    atoms = counts.sum(1)
    # Isolated atoms of known elements carry no information about the missing ones
    rows = counts[:, : len(missing)].any(1)
    matrix = (counts[:, : len(missing)] / atoms[:, None])[rows]
    if len(matrix) == 0:
        what = "an energy" if len(energy) == 0 else f"an energy and {_symbols(missing)}"
        raise ValueError(
            f"`dataset`: expected frames with {what} to fit isolated-atom energies to, got none; "
            "name the energy with `energy_key`, or pass the energies as `given`"
        )
    solution, _, rank, _ = np.linalg.lstsq(matrix, (rest / atoms)[rows], rcond=1e-10)
    if rank < len(missing):
        _warn_undetermined(matrix, missing)
    return {z: float(e0) for z, e0 in zip(missing, solution, strict=True)}


def _compositions(
    dataset: LabelledFrames, elements: list[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Count the atoms of each element in the frames with an energy: [n, S], and their energies."""
    column = {z: i for i, z in enumerate(elements)}
    labelled = [
        (atoms.numbers, labels.energy)
        for atoms, labels in zip(dataset.frames, dataset.labels, strict=True)
        if labels.energy is not None
    ]
    counts = np.zeros((len(labelled), len(elements)))
    for row, (numbers, _) in enumerate(labelled):
        for z, count in zip(*np.unique(numbers, return_counts=True), strict=True):
            counts[row, column[int(z)]] = count
    return counts, np.array([energy for _, energy in labelled], dtype=np.float64)


def _warn_undetermined(matrix: NDArray[np.float64], elements: list[int]) -> None:
    """Name the elements whose energies can be traded against each other: the null space."""
    _, values, vt = np.linalg.svd(matrix, full_matrices=True)
    rank = int((values > 1e-10 * values[0]).sum())
    null = np.abs(vt[rank:]).max(0) > 1e-6
    undetermined = [z for z, free in zip(elements, null, strict=True) if free]
    symbols = _symbols(undetermined)
    example = ", ".join(f"'{chemical_symbols[z]}': ..." for z in undetermined)
    warnings.warn(
        f"`dataset`: its compositions cannot tell the isolated-atom energies of {symbols} apart; "
        "the solution of least norm is used, which is right for these compositions but means "
        "nothing for others (another stoichiometry, a single atom); add isolated-atom frames, or "
        f"pass given={{{example}}}",
        stacklevel=4,
    )


def _symbols(elements: list[int]) -> str:
    return ", ".join(chemical_symbols[z] for z in elements)


@dataclass(frozen=True)
class EnergyStatistics:
    """Energy per atom over the frames that have one, eV/atom.

    Attributes:
        num_structures: how many have an energy.
        mean: average over structures.
        std: standard deviation over structures.
        min: lowest.
        max: highest.
    """

    num_structures: int
    mean: float
    std: float
    min: float
    max: float


def energy_statistics(
    dataset: LabelledFrames, isolated_energies: Mapping[int, float] | None = None
) -> EnergyStatistics:
    """Summarise the energies per atom relative to the isolated atoms.

    Args:
        dataset: the frames; those without energy are passed over.
        isolated_energies: E0 by atomic number, eV, to subtract; default: total energies.

    Returns:
        Mean, standard deviation and range, eV/atom.

    Raises:
        ValueError: no frame has an energy, or an element has no E0.
    """
    e0 = isolated_energies
    unknown = [] if e0 is None else [z for z in dataset.species if z not in e0]
    if unknown:
        raise ValueError(
            f"`isolated_energies`: expected an energy for each of {_symbols(list(dataset.species))}"
            f", got none for {_symbols(unknown)}; use fit_isolated_energies(dataset)"
        )
    counts, energy = _compositions(dataset, list(dataset.species))
    if len(energy) == 0:
        raise ValueError(
            f"`dataset`: expected energies, got none in {len(dataset)} frames; "
            "name the label with `energy_key`"
        )
    if e0 is not None:
        energy = energy - counts @ np.array([e0[z] for z in dataset.species])
    per_atom = energy / counts.sum(1)
    return EnergyStatistics(
        num_structures=len(per_atom),
        mean=float(per_atom.mean()),
        std=float(per_atom.std()),
        min=float(per_atom.min()),
        max=float(per_atom.max()),
    )


def force_rms(dataset: LabelledFrames) -> float:
    """Compute the root mean square of all force components, eV/Å.

    Args:
        dataset: the frames; those without forces, and atoms without, are passed over.

    Returns:
        sqrt(mean(F^2)); 0 where all forces vanish.

    Raises:
        ValueError: no frame has forces.
    """
    forces = [labels.forces for labels in dataset.labels if labels.forces is not None]
    if not forces:
        raise ValueError(
            f"`dataset`: expected forces, got none in {len(dataset)} frames; "
            "name the label with `forces_key`"
        )
    return math.sqrt(np.nanmean(np.concatenate(forces) ** 2))


def neighbor_counts(dataset: LabelledFrames) -> tuple[float, int]:
    """Count the neighbours within the cutoff.

    Args:
        dataset: the frames; their graphs are built.

    Returns:
        Mean and maximum over all atoms.

    Raises:
        ValueError: there are no frames.
    """
    if len(dataset) == 0:
        raise ValueError("`dataset`: expected at least one frame, got none")
    edges = atoms = most = 0
    for graph in dataset:
        degree = graph.edge_index[1].bincount(minlength=len(graph.z))
        edges, atoms = edges + int(degree.sum()), atoms + len(degree)
        most = max(most, int(degree.max()))
    return edges / atoms, most
