"""The page of a comparison: one file that opens anywhere, with tables and figures in it."""

from __future__ import annotations

import html
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from nnmd_graph.comparison.potentials import Row, cost, has_numbers, spread
from nnmd_graph.evaluation.metrics import UNITS, number
from nnmd_graph.evaluation.report import figure_html, html_table, pairs_table, write_html
from nnmd_graph.versions import versions

BAD = "td.bad { text-align: left; color: #a33; }"


def write_page(
    path: Path,
    rows: Sequence[Row],
    *,
    part: str,
    facts: Mapping[str, str],
    figures: Mapping[str, Mapping[str, Figure | str | os.PathLike[str]]],
    settings: str,
) -> Path:
    """Write the page.

    Args:
        path: the file.
        rows: one per model, see `Comparison`.
        part: what the errors are those of: "test set".
        facts: short lines for the top.
        figures: {heading: {caption: figure or image file}}.
        settings: the config as text.
    """
    title = "Comparison of models"
    parts = [f"<h1>{title}</h1>", pairs_table(facts), f"<h2>Errors, {html.escape(part)}</h2>"]
    seeds = max((row.get("num_seeds", 0) for row in rows), default=0)
    about = "Best of each column in bold."
    if seeds > 1:
        about = f"Mean ± standard deviation over up to {seeds} seeds. {about}"
    parts += [f"<p>{about}</p>", error_table(rows), "<h2>Cost</h2>", cost_table(rows)]
    if any(row.get("nve_drift") is not None or row.get("nve_error") for row in rows):
        parts += ["<h2>Energy conservation (NVE)</h2>", nve_table(rows)]
    for heading, images in figures.items():
        parts.append(f"<h2>{html.escape(heading)}</h2>")
        parts += [figure_html(caption, image) for caption, image in images.items()]
    parts += ["<h2>Settings</h2>", f"<pre>{html.escape(settings)}</pre>"]
    parts += ["<h2>Versions</h2>", pairs_table(versions())]
    return write_html(path, title, parts, BAD)


def error_table(rows: Sequence[Row]) -> str:
    """Errors with their spread; a model without any has the reason in its row."""
    kinds = [kind for kind in UNITS if any(f"{kind}_mae" in row for row in rows)]
    columns = {
        f"{kind}_{measure}": f"{kind} {measure.upper()}<br>{UNITS[kind]}"
        for kind in kinds
        for measure in ("mae", "rmse")
    }
    cells: dict[str, Callable[[Row], str]] = {key: partial(spread, key=key) for key in columns}
    return _rows(rows, columns, cells, best=tuple(columns))


def cost_table(rows: Sequence[Row]) -> str:
    """Time, memory, size."""
    fastest = min((r["us_per_atom"] for r in rows if r.get("us_per_atom")), default=None)
    columns = {
        "us_per_atom": "energy and forces<br>µs/atom",
        "relative": "relative",
        "num_parameters": "parameters",
        "training_seconds": "training<br>s",
        "epochs": "epochs",
        "peak_memory_mb": "memory of training<br>MB",
    }

    def relative(row: Row) -> str:
        return f"{row['us_per_atom'] / fastest:.2f}" if fastest and row.get("us_per_atom") else "-"

    cells: dict[str, Callable[[Row], str]] = {key: partial(cost, key=key) for key in columns}
    cells["relative"] = relative
    return _rows(
        [row for row in rows if has_numbers(row)],
        columns,
        cells,
        best=("us_per_atom", "num_parameters", "training_seconds", "peak_memory_mb"),
    )


def nve_table(rows: Sequence[Row]) -> str:
    """Drift and largest deviation of the energy."""
    columns = {"nve_drift": "drift<br>meV/atom/ps", "nve_largest": "largest deviation<br>meV/atom"}
    shown = [row | {"error": row.get("nve_error")} for row in rows if has_numbers(row)]
    cells: dict[str, Callable[[Row], str]] = {
        "nve_drift": lambda row: cost(row, "nve_drift"),
        "nve_largest": lambda row: number(row["nve_largest"]),
    }
    return _rows(shown, columns, cells, best=("nve_drift", "nve_largest"), key="nve_drift")


def _rows(
    rows: Sequence[Row],
    columns: Mapping[str, str],
    cells: Mapping[str, Callable[[Row], str]],
    *,
    best: Sequence[str],
    key: str | None = None,
) -> str:
    """A table with the smallest number of some columns in bold.

    A row without numbers (without `key`) shows its error instead; one with both has it behind.
    """
    smallest = {
        name: min((abs(row[name]) for row in rows if row.get(name) is not None), default=None)
        for name in best
    }
    lines = []
    for row in rows:
        line = f"<td>{html.escape(str(row['name']))}</td>"
        note = html.escape(str(row.get("error") or ""))
        if not (has_numbers(row) if key is None else row.get(key) is not None):
            lines.append(f'<tr>{line}<td class="bad" colspan="{len(columns) + 1}">{note}</td></tr>')
            continue
        for name, cell in cells.items():
            text = html.escape(cell(row))
            value = row.get(name)
            if value is not None and name in smallest and abs(value) == smallest[name]:
                text = f"<b>{text}</b>"
            line += f"<td>{text}</td>"
        lines.append(f'<tr>{line}<td class="bad">{note}</td></tr>')
    head = "".join(f"<th>{name}</th>" for name in columns.values())
    return html_table(f"<th>model</th>{head}<th></th>", lines)
