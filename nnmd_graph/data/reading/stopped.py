"""Outputs of DFT runs that stopped early: the steps that they finished are used."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ase
import ase.io
from ase.io.aims import get_aims_out_chunks, get_header_chunk

from nnmd_graph.data.reading.text import ReadError, open_text, without_unfinished_line

UNFINISHED = "a run that stopped before its first step was finished"


class _Text(io.StringIO):
    """A text with the name of its file, as ASE's reader of OUTCAR asks for."""

    def __init__(self, text: str, name: str) -> None:
        super().__init__(text)
        self.name = name


def _finished_vasp_out(text: str) -> tuple[str, bool]:
    """Leave the text as it is: ASE reads the steps whose energies are there."""
    last = text.rfind("FREE ENERGIE OF THE ION-ELECTRON SYSTEM")
    rest = text[last:] if last >= 0 else text
    return text, "General timing and accounting" not in rest


def _finished_vasp_xml(text: str) -> tuple[str, bool]:
    if text.rstrip().endswith("</modeling>"):
        return text, False
    end = "</calculation>"
    cut = text.rfind(end)
    if cut < 0 and "<modeling" in text and "<atominfo" in text:
        raise ReadError(UNFINISHED)
    return (text if cut < 0 else f"{text[: cut + len(end)]}</modeling>"), True


def _finished_espresso(text: str) -> tuple[str, bool]:
    """Cut before the last positions (or the cell above them), whose results may be missing."""
    runs = [match.start() for match in re.finditer(r"^.*Program PWSCF", text, re.MULTILINE)]
    last = text[runs[-1] :] if runs else text
    if "JOB DONE" in last:
        return text, False
    steps = [m.start() for m in re.finditer(r"^(CELL_PARAMETERS|ATOMIC_POSITIONS)", last, re.M)]
    if len(steps) > 1 and last.startswith("CELL", steps[-2]):
        steps.pop()  # the positions below a cell are of the same step
    keep = len(text) - len(last) + (steps[-1] if steps else 0)
    return text[:keep], True


_FINISHED: dict[str, Callable[[str], tuple[str, bool]]] = {
    "vasp-out": _finished_vasp_out,
    "vasp-xml": _finished_vasp_xml,
    "espresso-out": _finished_espresso,
}
FORMATS = (*_FINISHED, "aims-output")
_MARKS = {
    "aims-output": re.compile(r"Invoking FHI-aims|Basic array size parameters:"),
    "espresso-out": re.compile(r"Program PWSCF"),
    "vasp-out": re.compile(r"\s*vasp\.\d"),
    "vasp-xml": re.compile(r"\s*(<\?xml[^>]*>\s*)?<modeling>"),
}
_AT_START = ("vasp-out", "vasp-xml")


def recognised(beginning: str) -> str | None:
    """ASE's name of the format of an output, by its first lines, whatever the file is called."""
    for format, mark in _MARKS.items():
        if (mark.match if format in _AT_START else mark.search)(beginning):
            return format
    return None


def iread_output(file: Path, format: str) -> Iterator[ase.Atoms]:
    """Read the finished steps of a run, and say whether it stopped early.

    Args:
        file: output of VASP, Quantum ESPRESSO or FHI-aims, compressed or not.
        format: ASE's name of it, one of `FORMATS`.

    Raises:
        ReadError: the run stopped before its first step was finished.
    """
    with open_text(file) as stream:
        text = without_unfinished_line(stream.read())
    if format == "aims-output":
        frames, stopped = _aims(text)
    else:
        text, stopped = _FINISHED[format](text)
        frames = ase.io.iread(_Text(text, str(file)), index=":", format=format)
    count = 0
    for atoms in frames:
        count += 1
        yield atoms
    if stopped and not count:
        raise ReadError(UNFINISHED)
    if stopped:
        warnings.warn(
            f"`path`: '{file}' ends before the run does: its {count} finished steps are used, and "
            "what comes after them is not",
            stacklevel=2,
        )


def _aims(text: str) -> tuple[Iterator[ase.Atoms], bool]:
    stream = io.StringIO(text)
    try:
        header = get_header_chunk(stream)
        chunks: list[Any] = list(get_aims_out_chunks(stream, header))
    except Exception as error:
        raise ReadError(f"{UNFINISHED} ({type(error).__name__})") from error
    stopped = not (chunks and chunks[-1].converged)
    if stopped or header.is_relaxation and len(chunks) > 1:
        chunks = chunks[:-1]  # an unfinished step, or text after the last one
    return (chunk.atoms for chunk in chunks), stopped
