"""Several potentials side by side: errors beside cost, as a table."""

from __future__ import annotations

import copy
import csv
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nnmd_graph.comparison.cost import hardware, peak_memory, spread_out, time_potentials
from nnmd_graph.data import AtomsDataset
from nnmd_graph.data.frames import labelled
from nnmd_graph.evaluation.evaluate import evaluate
from nnmd_graph.evaluation.metrics import UNITS, check_labelled, number
from nnmd_graph.files import replacing, write_json
from nnmd_graph.models import Potential
from nnmd_graph.tables import html_of

Row = dict[str, Any]
Source = Potential | str | os.PathLike[str]

NUM_TIMED = 5
"""Structures that the time is measured on, evenly spaced over the set."""

ERRORS = tuple(f"{kind}_{measure}" for kind in UNITS for measure in ("mae", "rmse"))

COSTS = {
    "us_per_atom": "µs/atom",
    "num_parameters": "parameters",
    "peak_memory_mb": "memory MB",
    "training_seconds": "training s",
    "nve_drift": "drift meV/atom/ps",
}
"""Columns after the errors."""


@dataclass(frozen=True)
class Comparison:
    """Potentials side by side; it prints as a table.

    Attributes:
        rows: one dict per potential. Keys, where they are known: name; error (why there are no
            numbers, or None); energy_mae, energy_rmse (meV/atom), forces_mae, forces_rmse (meV/Å),
            stress_mae, stress_rmse (meV/Å^3), each with _std where it is a mean over seeds;
            us_per_atom (energy and forces with the neighbour list), num_parameters,
            peak_memory_mb (MB).
        facts: what the numbers belong to: data, machine.
        folder: where a comparison with trainings wrote its files, or None.
        details: of a comparison with trainings, every run and more: report.json as a dict.
    """

    rows: list[Row]
    facts: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None
    details: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Row:
        """The row of a potential by its name."""
        for row in self.rows:
            if row["name"] == name:
                return row
        raise KeyError(f"expected one of {[row['name'] for row in self.rows]}, got {name!r}")

    def __str__(self) -> str:
        lines = text_table(self.rows)
        return "\n".join([*lines, *(f"{name}: {fact}" for name, fact in self.facts.items())])

    def _repr_html_(self) -> str:
        """The table for notebooks."""
        columns = _table_columns(self.rows)
        head = [" ".join(filter(None, column[:2])) for column in columns]
        rows = [[column[n] for column in columns] for n in range(2, len(self.rows) + 2)]
        notes = [f"{row['name']}: {row['error']}" for row in self.rows if row.get("error")]
        notes += [f"{name}: {fact}" for name, fact in self.facts.items()]
        return html_of(head, rows, "\n".join(notes))

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write the rows as CSV; what is not known is empty."""
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        with (
            replacing(path) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(self.rows)
        return Path(path)

    def to_json(self, path: str | os.PathLike[str]) -> Path:
        """Write everything as JSON; what is not known or not finite is null."""
        values = {"rows": self.rows, "facts": self.facts} | self.details
        write_json(values, path, seal=False)
        return Path(path)


def compare_potentials(
    potentials: Mapping[str, Source],
    dataset: AtomsDataset,
    *,
    device: str | None = None,
    progress: bool = False,
) -> Comparison:
    """Evaluate trained potentials on one data set, and time them.

    A potential that cannot be evaluated (a damaged file, an unknown element) is a row that says so.

    Args:
        potentials: by name: potentials, their files, or folders of runs; they are left as they are.
        dataset: labelled structures. A potential with another cutoff gets graphs of its own.
        device: where to compute; None for where each potential is, files on the CPU.
        progress: show bars.

    Raises:
        TypeError: the potentials are no mapping or something else, the data no AtomsDataset.
        ValueError: no potentials, no structures, or no labels.
    """
    _check(potentials, dataset)
    ready: dict[str, Potential] = {}
    rows: list[Row] = []
    parts = {(dataset.cutoff, dataset.dtype): dataset}
    for name, source in potentials.items():
        row: Row = {"name": name, "error": None}
        rows.append(row)
        try:
            potential = _loaded(source, device)
            with peak_memory(potential.device) as peak:
                part = _with_cutoff(parts, dataset, potential)
                metrics = evaluate(potential, part, progress=progress)
        except Exception as error:  # of this potential; the others go on
            row["error"] = reason(error)
            continue
        row |= {key: metrics[key] for key in ERRORS if key in metrics}
        row["num_parameters"] = count_parameters(potential)
        row["peak_memory_mb"] = peak.megabytes
        ready[name] = potential
    frames = spread_out(dataset.frames, NUM_TIMED)
    times = time_potentials(ready, frames)
    for row in rows:
        if row["name"] in times:
            row["us_per_atom"] = times[row["name"]]
    num_atoms = sum(len(atoms) for atoms in dataset.frames)
    facts = {
        "data": f"{len(dataset)} structures, {num_atoms} atoms",
    }
    if ready:
        machine = hardware(next(iter(ready.values())).device)
        facts["µs/atom"] = f"energy and forces with neighbour list, on {machine}"
    return Comparison(rows, facts)


def _check(potentials: Mapping[str, Source], dataset: AtomsDataset) -> None:
    if not isinstance(potentials, Mapping):
        raise TypeError(
            "`models`: expected potentials by name, got "
            f'{type(potentials).__name__}; write {{"small": potential}}'
        )
    if not potentials:
        raise ValueError(
            '`models`: expected a potential or more, by name, got none; write {"a": potential}'
        )
    for name, source in potentials.items():
        if not isinstance(source, (Potential, str, os.PathLike)):
            raise TypeError(
                f"`models[{name!r}]`: expected a Potential or the name of its file, got "
                f"{type(source).__name__}; wrap an energy model as Potential(model)"
            )
    if not isinstance(dataset, AtomsDataset):
        raise TypeError(
            f"`dataset`: expected an AtomsDataset, got {type(dataset).__name__}; write "
            "AtomsDataset(frames, cutoff=5.0)"
        )
    if len(dataset) == 0:
        raise ValueError("`dataset`: expected one structure or more, got none; check the file")
    if not any(dataset.has(kind) for kind in UNITS):
        check_labelled()  # raises, with the advice that `evaluate` gives


def _loaded(source: Source, device: str | None) -> Potential:
    """A copy or a loaded potential: measuring leaves the caller's object unchanged."""
    if isinstance(source, Potential):
        potential = copy.deepcopy(source).eval()
        return potential if device is None else potential.to(device)
    return Potential.load(source, device=device or "cpu")


def _with_cutoff(
    parts: dict[tuple[float, Any], AtomsDataset], dataset: AtomsDataset, potential: Potential
) -> AtomsDataset:
    """The data set with graphs of the potential's own cutoff and dtype, made once for each."""
    key = (potential.cutoff, potential.dtype)
    if key not in parts:
        frames = [labelled(*pair) for pair in zip(dataset.frames, dataset.labels, strict=True)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # missing labels were reported when it was read
            parts[key] = AtomsDataset(
                frames, key[0], dtype=key[1], backend=dataset.backend, sources=dataset.sources
            )
    return parts[key]


def count_parameters(potential: Potential) -> int:
    """Count the trainable parameters."""
    return sum(p.numel() for p in potential.parameters() if p.requires_grad)


def reason(error: BaseException) -> str:
    """The reason why a model has no results, in one line."""
    text = " ".join(str(error).split())
    kind = type(error).__name__
    return f"{kind}: {text}" if text else kind


def text_table(rows: Sequence[Row]) -> list[str]:
    """The rows as lines of aligned text; a row without results gives the reason."""
    columns = _table_columns(rows)
    widths = [max(map(len, column[1:])) for column in columns]
    for n, column in enumerate(columns):  # the head above MAE and RMSE may use the width of both
        if column[0]:
            widths[n] = max(widths[n], len(column[0]) - widths[n + 1] - 2)
    lines = []
    for n in range(len(rows) + 2):
        line = f"{columns[0][n]:{widths[0]}}"
        if n >= 2 and rows[n - 2].get("error") and not has_numbers(rows[n - 2]):
            lines.append(f"{line}  {rows[n - 2]['error']}")
            continue
        skip = False
        for k in range(1, len(columns)):
            if n == 0 and columns[k][0]:
                line += f"  {columns[k][0]:>{widths[k] + widths[k + 1] + 2}}"
                skip = True
            elif not skip:
                line += f"  {columns[k][n]:>{widths[k]}}"
            else:
                skip = False
        lines.append(line.rstrip())
    return lines if any(column[0] for column in columns) else lines[1:]


def _table_columns(rows: Sequence[Row]) -> list[list[str]]:
    """Columns of the table: quantity above MAE and RMSE, title, one cell per row."""
    columns = [["", "model", *(str(row["name"]) for row in rows)]]
    for kind in UNITS:
        if not any(f"{kind}_mae" in row for row in rows):
            continue
        for measure in ("mae", "rmse"):
            head = f"{kind} {UNITS[kind]}" if measure == "mae" else ""
            cells = [spread(row, f"{kind}_{measure}") for row in rows]
            columns.append([head, measure.upper(), *cells])
    for key, head in COSTS.items():
        if any(row.get(key) is not None for row in rows):
            columns.append(["", head, *(cost(row, key) for row in rows)])
    return columns


def has_numbers(row: Row) -> bool:
    """Tell whether there is any error measure in a row."""
    return any(row.get(key) is not None for key in ERRORS)


def spread(row: Row, key: str) -> str:
    """A number, with its spread where it is a mean; `-` where it is not known."""
    if row.get(key) is None:
        return "-"
    text = number(row[key])
    return text if row.get(f"{key}_std") is None else f"{text} ± {number(row[f'{key}_std'])}"


def cost(row: Row, key: str) -> str:
    """A number of the columns after the errors."""
    value = row.get(key)
    if value is None:
        return "-"
    if isinstance(value, int):
        return str(value)
    if key == "nve_drift":  # the sign tells whether it heats up
        return f"{value:+.0f}" if abs(value) >= 100 else f"{value:+.2g}"
    return number(value)
