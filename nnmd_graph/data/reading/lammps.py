"""LAMMPS dumps, which hold no energy and often no elements, whatever a reader assumes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import ase
from ase.io.formats import open_with_compression

FORMATS = ("lammps-dump-text", "lammps-dump-binary")


def without_inventions(
    file: Path, format: str, frames: Iterator[tuple[int, ase.Atoms]]
) -> Iterator[tuple[int, ase.Atoms]]:
    """Remove what ASE's reader of dumps adds: an energy of 0 eV, and elements for types.

    Args:
        file: the dump.
        format: ASE's name of it, one of `FORMATS`.
        frames: what ASE read, numbered.
    """
    if format == "lammps-dump-text" and not _has_elements(file):
        warnings.warn(
            f"'{file}': a LAMMPS dump without elements, whose atom types 1, 2, 3 ... are read as "
            "H, He, Li ...; write it with 'dump_modify ID element Cu O', or read it in Python with "
            "ase.io.read(name, ':', specorder=['Cu', 'O']) and hand the frames to AtomsDataset",
            stacklevel=2,
        )
    told = False
    for number, atoms in frames:
        results = getattr(atoms.calc, "results", {})
        if results.get("energy") == 0.0:
            del results["energy"]
            if not told:
                warnings.warn(
                    f"'{file}': a LAMMPS dump holds no energy, and none is read from frame "
                    f"{number} on; its forces count",
                    stacklevel=2,
                )
                told = True
        yield number, atoms


def _has_elements(file: Path) -> bool:
    with open_with_compression(str(file)) as text:
        for line in text:
            if line.startswith("ITEM: ATOMS"):
                return bool({"element", "mass"} & set(line.split()))
    return True  # no dump; the reader says what is wrong
