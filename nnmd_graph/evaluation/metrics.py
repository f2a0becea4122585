"""Error measures in the usual units of the field."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from nnmd_graph.evaluation.predictions import Array, Predictions
from nnmd_graph.files import write_json
from nnmd_graph.models import ExtrapolationReport
from nnmd_graph.quantities import QUANTITIES
from nnmd_graph.tables import html_of
from nnmd_graph.units import MEV

NUM_WORST = 10
"""Extrapolations that are shown one by one."""

UNITS = {name: quantity.shown_unit for name, quantity in QUANTITIES.items()}


class Metrics(dict[str, Any]):
    """Errors of a potential on a data set; a dict that prints as a table.

    Keys (only where there are labels):
        energy_mae, energy_rmse: of the energy per atom, meV/atom.
        forces_mae, forces_rmse: over all components of all atoms, meV/Å.
        stress_mae, stress_rmse: over the nine components, meV/Å^3.
        dipole_mae, charges_mae, ...: of further quantities, in the units of their table.
        forces_mae_per_element, forces_rmse_per_element: {"Cu": ..., ...}, meV/Å.
        groups: {name: Metrics} where groups were asked for.
        num_structures, num_atoms: how large the data set is.
        num_extrapolations: pairs of atom and function outside the range of the training set, with
            num_extrapolating_atoms, num_extrapolating_structures and (not for groups)
            worst_extrapolations, a list of dicts; no keys where the range is unknown.
        energy_uncertainty, forces_uncertainty: root mean square of a committee's standard
            deviations, meV/atom and meV/Å; only of committees.
        uncertainty_correlation: rank correlation (Spearman) of the length of an atom's force error
            with that of its uncertainty: 1 where the most uncertain atom has the largest error.
    """

    @classmethod
    def of(cls, predictions: Predictions) -> Metrics:
        """Compute the errors.

        Raises:
            ValueError: there is not one label.
        """
        pairs = [predictions.of(name) for name in QUANTITIES]
        check_labelled(*(pair[0] for pair in pairs if pair is not None))
        metrics = cls._errors(predictions)
        if predictions.extrapolation is not None:
            metrics["worst_extrapolations"] = _worst_extrapolations(predictions.extrapolation)
        if predictions.groups is not None:
            metrics["groups"] = {
                group: cls._errors(predictions.of_group(group))
                for group in sorted(set(predictions.groups))
            }
        return metrics

    @classmethod
    def _errors(cls, predictions: Predictions) -> Metrics:
        metrics = cls()
        for kind in QUANTITIES:
            pair = predictions.of(kind)
            if pair is None:
                continue
            reference, predicted = pair
            error = predicted - reference
            # Only missing labels are left out: a NaN prediction makes the measure NaN.
            metrics._add(kind, "", error[np.isfinite(reference)])
        labelled = np.isfinite(predictions.forces_ref).all(axis=1)
        error = predictions.forces_pred - predictions.forces_ref
        for z in np.unique(predictions.z[labelled]):
            rows = error[labelled & (predictions.z == z)]
            metrics._add("forces", chemical_symbols[z], rows)
        metrics["num_structures"] = len(predictions.num_atoms)
        metrics["num_atoms"] = len(predictions.z)
        if predictions.extrapolation is not None:
            metrics |= _extrapolation_counts(predictions.extrapolation)
        metrics |= _uncertainty(predictions)
        return metrics

    def _add(self, kind: str, element: str, error: Array) -> None:
        if error.size == 0:
            return
        values = {
            f"{kind}_mae": float(np.abs(error).mean() / QUANTITIES[kind].shown_size),
            f"{kind}_rmse": float(np.sqrt((error**2).mean()) / QUANTITIES[kind].shown_size),
        }
        for key, value in values.items():
            if element:
                self.setdefault(f"{key}_per_element", {})[element] = value
            else:
                self[key] = value

    def rows(self) -> list[tuple[str, float, float, str]]:
        """The table: (label, MAE, RMSE, unit), forces of the elements below those of all."""
        rows = []
        for kind, quantity in QUANTITIES.items():
            unit = quantity.shown_unit
            if f"{kind}_mae" not in self:
                continue
            rows.append((kind, self[f"{kind}_mae"], self[f"{kind}_rmse"], unit))
            elements = self.get(f"{kind}_mae_per_element", {})
            if len(elements) > 1:
                rmse = self[f"{kind}_rmse_per_element"]
                rows += [(f"  {name}", elements[name], rmse[name], unit) for name in elements]
        return rows

    def _repr_html_(self) -> str:
        """The table for notebooks, with the lines that follow it in the text."""
        table = [[label, number(mae), number(rmse), unit] for label, mae, rmse, unit in self.rows()]
        rest = str(self).splitlines()[len(table) + 1 :]
        return html_of(["", "MAE", "RMSE", "unit"], table, "\n".join(rest))

    def __str__(self) -> str:
        lines = [f"{'':12}{'MAE':>10}{'RMSE':>10}"]
        for label, mae, rmse, unit in self.rows():
            lines.append(f"{label:12}{number(mae):>10}{number(rmse):>10}  {unit}")
        lines.append(f"{self['num_structures']} structures, {self['num_atoms']} atoms")
        if "num_extrapolations" in self:
            lines.append(self.extrapolation())
        if "energy_uncertainty" in self:
            lines.append(self.uncertainty())
        if "groups" in self:
            lines += ["", *_group_table(self["groups"])]
        return "\n".join(lines)

    def extrapolation(self) -> str:
        """Summarise the extrapolation in one line."""
        if "num_extrapolations" not in self:
            return "extrapolation: unknown, the model does not know the range of its training set"
        if not self["num_extrapolations"]:
            return "no extrapolation: all atoms are within the range of the training set"
        return (
            f"{self['num_extrapolations']} extrapolations: {self['num_extrapolating_atoms']} atoms "
            f"in {self['num_extrapolating_structures']} structures are outside the range of the "
            "training set"
        )

    def uncertainty(self) -> str:
        """Summarise the disagreement of a committee's members in one line."""
        if "energy_uncertainty" not in self:
            return ""
        parts = [f"energy {number(self['energy_uncertainty'])} meV/atom"]
        if "forces_uncertainty" in self:
            parts.append(f"forces {number(self['forces_uncertainty'])} meV/Å")
        line = f"spread of the committee (RMS): {', '.join(parts)}"
        if "uncertainty_correlation" in self:
            line += f"; rank correlation with force errors {self['uncertainty_correlation']:.2f}"
        return line

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the numbers as JSON; what is not finite is null."""
        write_json(self, path, seal=False)
        return Path(path)


def _uncertainty(predictions: Predictions) -> dict[str, float]:
    """Keys of :class:`Metrics` that only committees have."""
    energy, forces = predictions.energy_uncertainty, predictions.forces_uncertainty
    if energy is None or forces is None:
        return {}
    found = {"energy_uncertainty": float(np.sqrt((energy**2).mean()) / MEV)}
    known = np.isfinite(forces).all(axis=1)
    if known.any():
        found["forces_uncertainty"] = float(np.sqrt((forces[known] ** 2).mean()) / MEV)
    error = np.linalg.norm(predictions.forces_pred - predictions.forces_ref, axis=1)
    spread = np.linalg.norm(forces, axis=1)
    both = np.isfinite(error) & np.isfinite(spread)
    if both.sum() > 2 and np.ptp(error[both]) > 0 and np.ptp(spread[both]) > 0:
        ranks = [np.argsort(np.argsort(values[both])) for values in (error, spread)]
        found["uncertainty_correlation"] = float(np.corrcoef(ranks[0], ranks[1])[0, 1])
    return found


def _extrapolation_counts(report: ExtrapolationReport) -> dict[str, int]:
    return {
        "num_extrapolations": len(report),
        "num_extrapolating_atoms": report.num_extrapolating_atoms,
        "num_extrapolating_structures": report.num_extrapolating_structures,
    }


def _worst_extrapolations(report: ExtrapolationReport) -> list[dict[str, Any]]:
    return [
        {
            "structure": one.structure,
            "atom": one.atom,
            "element": one.element,
            "function": one.name,
            "value": one.value,
            "minimum": one.minimum,
            "maximum": one.maximum,
        }
        for one in report.worst(NUM_WORST)
    ]


def check_labelled(*references: Array) -> None:
    """Refuse a data set without any label (all arrays NaN)."""
    if not any(np.isfinite(reference).any() for reference in references):
        raise ValueError(
            "`dataset`: expected labels to compare with, got structures without energy, forces and "
            "stress; name the keys that hold them (`energy_key=`, `forces_key=`, `stress_key=`), "
            "or use `predict`"
        )


def number(value: float) -> str:
    """Format with three significant digits, without an exponent for typical errors."""
    if not np.isfinite(value) or value == 0:
        return str(value)
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")


def _group_table(groups: Mapping[str, Metrics]) -> list[str]:
    kinds = [kind for kind in UNITS if any(f"{kind}_mae" in m for m in groups.values())]
    width = max(len("group"), *(len(name) for name in groups)) + 2
    head = f"{'':{width}}{'':>10}" + "".join(f"{f'{kind} {UNITS[kind]}':>20}" for kind in kinds)
    below = f"{'group':{width}}{'structures':>10}" + f"{'MAE':>10}{'RMSE':>10}" * len(kinds)
    lines = [head, below]
    for name, metrics in groups.items():
        line = f"{name:{width}}{metrics['num_structures']:>10}"
        for kind in kinds:
            for measure in ("mae", "rmse"):
                value = metrics.get(f"{kind}_{measure}")
                line += f"{'-' if value is None else number(value):>10}"
        lines.append(line)
    return lines
