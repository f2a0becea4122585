"""Predictions of a potential beside the labels, for a whole data set."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from nnmd_graph.errors import check_choice
from nnmd_graph.files import replacing
from nnmd_graph.models import ExtrapolationReport
from nnmd_graph.quantities import OF_EVERY_POTENTIAL, QUANTITIES

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Labels (`_ref`) and predictions (`_pred`) of B structures with N atoms in all, in float64.

    A label that is missing is NaN, and so is a prediction that was not asked for.

    Shapes:
        num_atoms [B], z [N]; energy_* [B] eV/atom; forces_* [N, 3] eV/Å; stress_* [B, 3, 3]
        eV/Å^3, tension positive; groups: a name for each structure, or None; extrapolation: what
        lies outside the range of the training set, or None where that is unknown;
        energy_uncertainty [B] eV/atom, forces_uncertainty [N, 3] eV/Å: standard deviations of the
        members of a committee, None of one potential; more: further quantities by name, label and
        prediction, see :mod:`nnmd_graph.quantities`.
    """

    num_atoms: NDArray[np.int64]
    z: NDArray[np.int64]
    energy_ref: Array
    energy_pred: Array
    forces_ref: Array
    forces_pred: Array
    stress_ref: Array
    stress_pred: Array
    groups: tuple[str, ...] | None = None
    extrapolation: ExtrapolationReport | None = None
    energy_uncertainty: Array | None = None
    forces_uncertainty: Array | None = None
    more: Mapping[str, tuple[Array, Array]] = field(default_factory=dict)

    def of(self, quantity: str) -> tuple[Array, Array] | None:
        """Label and prediction of a quantity; None where it has not been predicted."""
        if QUANTITIES[quantity] in OF_EVERY_POTENTIAL:
            return getattr(self, f"{quantity}_ref"), getattr(self, f"{quantity}_pred")
        return self.more.get(quantity)

    @property
    def structure(self) -> NDArray[np.int64]:
        """Number of the structure that each atom belongs to, [N]."""
        return np.repeat(np.arange(len(self.num_atoms)), self.num_atoms)

    def of_group(self, group: str) -> Predictions:
        """The structures of one group."""
        groups = self.groups or ()
        check_choice("group", group, sorted(set(groups)))
        chosen = np.array([name == group for name in groups])
        atoms = chosen[self.structure]
        per_atom = ("z", "forces_ref", "forces_pred", "forces_uncertainty")
        arrays = {
            one.name: getattr(self, one.name)[atoms if one.name in per_atom else chosen]
            for one in fields(self)
            if one.name not in ("groups", "extrapolation", "more")
            and getattr(self, one.name) is not None
        }
        outside = self.extrapolation
        return Predictions(
            **arrays,
            groups=(group,) * int(chosen.sum()),
            extrapolation=None if outside is None else outside.of_structures(chosen),
            more={
                name: tuple(v[atoms if QUANTITIES[name].of == "atom" else chosen] for v in pair)
                for name, pair in self.more.items()
            },
        )

    def write(self, path: str | os.PathLike[str], frames: Sequence[Atoms]) -> Path:
        """Write the structures with labels and predictions side by side as extxyz.

        The keys are predicted_energy (eV, of the whole structure), predicted_forces,
        predicted_stress, and reference_* for the labels: no program takes one of them for DFT
        data by itself. A committee adds energy_uncertainty (eV) and forces_uncertainty.

        Args:
            path: file to write; with the ending .gz it is compressed.
            frames: the structures that were predicted, in the same order (`dataset.frames`).

        Raises:
            ValueError: `frames` are other structures than the predicted ones.
        """
        if [len(atoms) for atoms in frames] != self.num_atoms.tolist():
            raise ValueError(
                f"`frames`: expected the {len(self.num_atoms)} predicted structures, in order, "
                f"got {len(frames)} structures of other sizes; give `dataset.frames`"
            )
        ends = np.cumsum(self.num_atoms)
        written = [
            self._labelled(atoms, index, slice(end - len(atoms), end))
            for index, (atoms, end) in enumerate(zip(frames, ends, strict=True))
        ]
        with replacing(path) as temporary:
            ase.io.write(temporary, written, format="extxyz", parallel=False)
        return Path(path)

    def _labelled(self, atoms: Atoms, index: int, rows: slice) -> Atoms:
        atoms = atoms.copy()  # without its calculator, which would be written as `energy`
        for prefix, suffix in (("predicted", "pred"), ("reference", "ref")):
            energy = getattr(self, f"energy_{suffix}")[index] * len(atoms)
            forces = getattr(self, f"forces_{suffix}")[rows]
            stress = getattr(self, f"stress_{suffix}")[index]
            if np.isfinite(energy):
                atoms.info[f"{prefix}_energy"] = float(energy)
            if np.isfinite(forces).any():  # some atoms may have no label
                atoms.arrays[f"{prefix}_forces"] = forces
            if np.isfinite(stress).all():
                atoms.info[f"{prefix}_stress"] = stress
            for name, pair in self.more.items():
                of_atoms = QUANTITIES[name].of == "atom"
                value = pair[suffix == "pred"][rows if of_atoms else index]
                if np.isfinite(value).all():
                    (atoms.arrays if of_atoms else atoms.info)[f"{prefix}_{name}"] = value
        if self.energy_uncertainty is not None:
            atoms.info["energy_uncertainty"] = float(self.energy_uncertainty[index] * len(atoms))
        if self.forces_uncertainty is not None and np.isfinite(self.forces_uncertainty[rows]).all():
            atoms.arrays["forces_uncertainty"] = self.forces_uncertainty[rows]
        return atoms
