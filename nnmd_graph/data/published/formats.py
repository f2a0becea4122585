"""Formats that only one published data set has, read into structures with labels."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ase
import ase.units
import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator
from numpy.typing import NDArray

KCAL_PER_MOL = ase.units.kcal / ase.units.mol
KBAR = 0.1 * ase.units.GPa


def read_npz(path: Path, index: Path | None = None) -> list[ase.Atoms]:
    """Structures of one molecule, in the format of revised MD17.

    `nuclear_charges` [N], `coords` [B, N, 3] in Å, `energies` [B] in kcal/mol, `forces` [B, N, 3]
    in kcal/mol/Å, `old_indices` [B], the numbers in the original MD17.

    Args:
        path: the file.
        index: text file with the numbers of the structures that are wanted, one per line.

    Raises:
        ValueError: the file is damaged, or lacks one of these.
    """
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            z, pos = file["nuclear_charges"], file["coords"]
            energies = np.asarray(file["energies"]) * KCAL_PER_MOL
            forces = file["forces"] * KCAL_PER_MOL
            old = file["old_indices"] if "old_indices" in file else None
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"`root`: expected arrays nuclear_charges, coords, energies and forces, got '{path}', "
            f"which is damaged or foreign ({error}); fetch it again"
        ) from error
    chosen = range(len(pos)) if index is None else _numbers(index, len(pos))
    frames = []
    for n in chosen:
        atoms = ase.Atoms(numbers=z, positions=pos[n])
        if old is not None:
            atoms.info["md17_index"] = int(old[n])
        frames.append(_labelled(atoms, energy=float(energies[n]), forces=forces[n]))
    return frames


def _numbers(index: Path, count: int) -> list[int]:
    try:
        numbers = [int(float(line)) for line in index.read_text(encoding="ascii").split()]
    except (ValueError, UnicodeDecodeError) as error:
        raise ValueError(
            f"`root`: expected one number a line, got '{index}' ({error}); fetch it again"
        ) from error
    if not numbers or min(numbers) < 0 or max(numbers) >= count:
        raise ValueError(
            f"`root`: expected numbers of structures from 0 to {count - 1}, got '{index}' with "
            f"others or none; fetch the file that belongs to the data"
        )
    return numbers


def read_mlearn(path: Path, element: str, split: str) -> list[ase.Atoms]:
    """Structures in the format of Y. Zuo et al. (doi 10.1021/acs.jpca.9b08723).

    JSON of pymatgen structures, with energy in eV, forces in eV/Å and a virial stress in kbar,
    positive under compression. The six components have no stated order, and not one order: the
    rotated cells of elastic strain and the rest differ. Orders here are those that agree with the
    authors' own potentials; where none was compared the stress is left out.

    Raises:
        ValueError: the file is damaged or something else.
    """
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
        return [_mlearn_frame(record, element, split) for record in records]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ValueError(
            f"`root`: expected the JSON of mlearn, got '{path}', which is damaged or foreign "
            f"({type(error).__name__}: {str(error)[:100]}); fetch it again"
        ) from error


def _mlearn_frame(record: dict[str, Any], element: str, split: str) -> ase.Atoms:
    structure, outputs = record["structure"], record["outputs"]
    sites = structure["sites"]
    atoms = ase.Atoms(
        symbols=[site["species"][0]["element"] for site in sites],
        positions=[site["xyz"] for site in sites],
        cell=structure["lattice"]["matrix"],
        pbc=True,
    )
    atoms.info["group"] = record["group"]
    if "description" in record:
        atoms.info["description"] = record["description"]
    labels: dict[str, Any] = {"energy": float(outputs["energy"])}
    labels["forces"] = np.array(outputs["forces"], dtype=float)
    order = _stress_order(element, split, record["group"])
    if order is not None:
        virial = np.array(outputs["virial_stress"], dtype=float)
        labels["stress"] = -KBAR * virial[list(order)]
    return _labelled(atoms, **labels)


def _stress_order(element: str, split: str, group: str) -> Sequence[int] | None:
    """Indices of xx, yy, zz, yz, xz, xy (Voigt order) in `virial_stress`."""
    yz_xz = (0, 1, 2, 4, 5, 3)  # the file has xx, yy, zz, xy, yz, xz
    xz_yz = (0, 1, 2, 5, 4, 3)  # xx, yy, zz, xy, xz, yz
    if element in ("Cu", "Ni"):
        return xz_yz if split == "test" else None
    if element in ("Si", "Ge"):
        return yz_xz if group == "Elastic" else xz_yz
    return yz_xz if element == "Li" else xz_yz


def _labelled(atoms: ase.Atoms, **labels: float | NDArray[Any]) -> ase.Atoms:
    atoms.calc = SinglePointCalculator(atoms, **labels)
    return atoms
