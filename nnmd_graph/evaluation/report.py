"""Self-contained report of a training run: errors, plots, settings, versions."""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from matplotlib.figure import Figure

from nnmd_graph.evaluation.metrics import UNITS, Metrics, number
from nnmd_graph.files import replacing
from nnmd_graph.versions import versions

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem;
       color: #222; background: #fff; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; margin: 0.5rem 0 1rem; }
th, td { padding: 0.25rem 0.9rem; text-align: right; border-bottom: 1px solid #eee;
         font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 2px solid #999; }
td.unit { text-align: left; color: #666; } tr.part td:first-child { padding-left: 2rem; }
figure { margin: 1rem 0; } figcaption { color: #555; } img { max-width: 100%; }
pre { background: #f6f6f4; padding: 0.8rem; overflow-x: auto; font-size: 0.85rem; }
.scroll { overflow-x: auto; }
"""


def write_report(
    folder: str | os.PathLike[str],
    *,
    metrics: Mapping[str, Metrics] | None = None,
    figures: Mapping[str, Figure | str | os.PathLike[str]] | None = None,
    config: Mapping[str, Any] | str | None = None,
    facts: Mapping[str, object] | None = None,
    title: str = "Training report",
) -> Path:
    """Write `folder`/report.html, one file with everything in it.

    Args:
        folder: the folder of the run; it is made if it is not there.
        metrics: errors for each data set, e.g. {"validation": ..., "test": ...}.
        figures: {caption: figure, or path of a .png or .svg}; None takes each .png in the folder.
        config: the settings, as a mapping or as text; None takes config.yaml in the folder, if any.
        facts: short lines for the top, e.g. {"elements": "Cu", "cutoff": "6 Å"}.
        title: heading of the page.

    Returns:
        The path of the page.

    Raises:
        FileNotFoundError: a figure is not there.
    """
    folder = Path(folder)
    if figures is None:
        figures = {path.stem.replace("_", " "): path for path in sorted(folder.glob("*.png"))}
    if config is None and (folder / "config.yaml").is_file():
        config = (folder / "config.yaml").read_text(encoding="utf-8")
    parts = [f"<h1>{html.escape(title)}</h1>"]
    if facts:
        parts.append(pairs_table(facts))
    for name, errors in (metrics or {}).items():
        parts += [f"<h2>Errors: {html.escape(name)}</h2>", _errors(errors)]
    if figures:
        parts.append("<h2>Plots</h2>")
        parts += [figure_html(caption, figure) for caption, figure in figures.items()]
    if config is not None:
        text = config if isinstance(config, str) else _yaml(config)
        parts += ["<h2>Configuration</h2>", f"<pre>{html.escape(text)}</pre>"]
    parts += ["<h2>Versions</h2>", pairs_table(versions())]
    return write_html(folder / "report.html", title, parts)


def write_html(path: Path, title: str, parts: Sequence[str], style: str = "") -> Path:
    """Write the parts of a page one below the other, in the common style and `style`."""
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}{style}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def _errors(metrics: Metrics) -> str:
    """The errors as a table, and those of the groups as another."""
    rows = []
    for label, mae, rmse, unit in metrics.rows():
        kind = ' class="part"' if label.startswith(" ") else ""
        rows.append(
            f"<tr{kind}><td>{html.escape(label.strip())}</td><td>{number(mae)}</td>"
            f'<td>{number(rmse)}</td><td class="unit">{unit}</td></tr>'
        )
    size = f"{metrics['num_structures']} structures, {metrics['num_atoms']} atoms"
    table = html_table("<th></th><th>MAE</th><th>RMSE</th><th></th>", rows)
    if "groups" in metrics:
        table += _group_table(metrics["groups"])
    if "num_extrapolations" in metrics:
        table += f"<p>{html.escape(metrics.extrapolation())}</p>"
        table += _extrapolation_table(metrics.get("worst_extrapolations", []))
    if "energy_uncertainty" in metrics:
        table += f"<p>{html.escape(metrics.uncertainty())}</p>"
    return f"<p>{size}</p>{table}"


def _extrapolation_table(worst: list[dict[str, Any]]) -> str:
    """The functions furthest outside their limits; structures and atoms count from 0."""
    if not worst:
        return ""
    rows = []
    for one in worst:
        names = (f"{one['structure']}", f"{one['atom']}", one["element"], one["function"])
        values = (f"{one[key]:.4g}" for key in ("value", "minimum", "maximum"))
        cells = "".join(f"<td>{html.escape(text)}</td>" for text in (*names, *values))
        rows.append(f"<tr>{cells}</tr>")
    head = ("structure", "atom", "element", "function", "value", "minimum", "maximum")
    return html_table("".join(f"<th>{name}</th>" for name in head), rows)


def _group_table(groups: Mapping[str, Metrics]) -> str:
    kinds = [kind for kind in UNITS if any(f"{kind}_mae" in m for m in groups.values())]
    head = "<th>group</th><th>structures</th>" + "".join(
        f"<th>{kind} MAE<br>{UNITS[kind]}</th><th>{kind} RMSE<br>{UNITS[kind]}</th>"
        for kind in kinds
    )
    rows = []
    for name, metrics in groups.items():
        values = [metrics.get(f"{kind}_{measure}") for kind in kinds for measure in ("mae", "rmse")]
        cells = "".join(f"<td>{'-' if v is None else number(v)}</td>" for v in values)
        rows.append(
            f"<tr><td>{html.escape(name)}</td><td>{metrics['num_structures']}</td>{cells}</tr>"
        )
    return html_table(head, rows)


def pairs_table(pairs: Mapping[str, object]) -> str:
    """Table of names and values, one row each."""
    rows = [
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(str(value))}</td></tr>"
        for name, value in pairs.items()
    ]
    return html_table("", rows)


def html_table(head: str, rows: list[str]) -> str:
    """A table of ready rows that scrolls where it is wider than the page."""
    head = f"<thead><tr>{head}</tr></thead>" if head else ""
    return f'<div class="scroll"><table>{head}<tbody>{"".join(rows)}</tbody></table></div>'


def figure_html(caption: str, figure: Figure | str | os.PathLike[str]) -> str:
    """A figure, embedded in the page."""
    kind = "png"
    if isinstance(figure, Figure):
        stream = io.BytesIO()
        figure.savefig(stream, format="png")
        data = stream.getvalue()
    else:
        path = Path(figure)
        if not path.is_file():
            raise FileNotFoundError(f"`figures`: expected an image, got no file {path}; draw it")
        data = path.read_bytes()
        kind = {".svg": "svg+xml", ".jpg": "jpeg"}.get(path.suffix, path.suffix.lstrip("."))
    text = html.escape(caption, quote=True)
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
    return f'<figure><img alt="{text}" src="{source}"><figcaption>{text}</figcaption></figure>'


def _yaml(config: Mapping[str, Any]) -> str:
    """Settings as YAML; values without a YAML type are written as text."""
    plain = {
        key: value if isinstance(value, (str, int, float, bool, list, dict)) else str(value)
        for key, value in config.items()
    }
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
