"""Tables for notebooks."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


def html_of(head: Sequence[object], rows: Iterable[Sequence[object]], note: str = "") -> str:
    """A table as HTML, every text escaped; the first column names the rows.

    Args:
        head: titles of the columns; empty: none.
        rows: cells, as many as there are titles.
        note: a line below.
    """
    parts = ["<table>"]
    if head:
        cells = "".join(f"<th>{html.escape(str(cell))}</th>" for cell in head)
        parts.append(f"<thead><tr>{cells}</tr></thead>")
    parts.append("<tbody>")
    for name, *cells_of_row in rows:
        cells = "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells_of_row)
        parts.append(f"<tr><th>{html.escape(str(name))}</th>{cells}</tr>")
    parts.append("</tbody></table>")
    if note:
        parts.append("<p>" + "<br>".join(map(html.escape, note.splitlines())) + "</p>")
    return "".join(parts)
