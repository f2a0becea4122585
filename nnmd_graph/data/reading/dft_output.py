"""Outputs of DFT codes whose frames may be unfinished: GPAW text, VASP."""

import io
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import ase
import ase.io

from nnmd_graph.data.reading.text import ReadError, open_text, without_unfinished_line

_BLOCK = re.compile(r"^(?=positions:\s*$)", re.IGNORECASE | re.MULTILINE)
_CHARGE = re.compile(r"^\s*total charge:.*$", re.IGNORECASE | re.MULTILINE)


def iread_gpaw(file: Path) -> Iterator[ase.Atoms]:
    """Read GPAW's text output, frame by frame.

    A frame runs from one "Positions:" to the next. One bad frame does not cost the rest: frames
    without an energy (the cycle did not converge, or the job was stopped) and frames cut off in
    the middle are left out, and a warning counts them. `energy` is extrapolated to zero width, as
    ASE reads it; `free_energy`, whose derivative the forces are, stands beside it.

    Args:
        file: the text output, compressed or not.

    Yields:
        The structures, labels in their calculators.

    Raises:
        ReadError: there is no "Positions:" in the file.
    """
    with open_text(file) as stream:
        head, *blocks = _BLOCK.split(without_unfinished_line(stream.read()))
    if not blocks:
        raise ReadError("no line 'Positions:', so no GPAW text output")
    charge = _CHARGE.search(head)
    prefix = charge.group() + "\n" if charge else ""
    left_out: Counter[str] = Counter()
    for block in blocks:
        try:
            atoms = ase.io.read(io.StringIO(prefix + block), index=0, format="gpaw-out")
        except Exception as error:  # a cut-off table gives OSError, ValueError, IndexError, ...
            left_out[f"unreadable ({type(error).__name__})"] += 1
            continue
        assert isinstance(atoms, ase.Atoms)
        if atoms.calc is None or atoms.calc.results.get("energy") is None:
            left_out["without an energy: not converged, or stopped"] += 1
            continue
        contributions = getattr(atoms.calc, "energy_contributions", {})
        if "free energy" in contributions:
            atoms.calc.results.setdefault("free_energy", contributions["free energy"])
        yield atoms
    if left_out:
        reasons = "; ".join(f"{count} {reason}" for reason, count in left_out.items())
        warnings.warn(
            f"'{file}': left out {left_out.total()} of {len(blocks)} GPAW frames ({reasons})",
            stacklevel=2,
        )


def warn_if_unconverged(file: Path) -> None:
    """Warn of VASP steps whose electronic cycle used all of its NELM iterations.

    VASP goes on after such a step, and ASE reads it like any other, but its energy and forces can
    be far off.

    Args:
        file: OUTCAR or vasprun.xml, compressed or not.
    """
    with open_text(file) as stream:
        nelm, iterations = _electronic_iterations(stream)
    if nelm is None or nelm <= 1:
        return
    bad = [step for step, count in enumerate(iterations) if count >= nelm]
    if bad:
        shown = ", ".join(map(str, bad[:10])) + (", ..." if len(bad) > 10 else "")
        warnings.warn(
            f"'{file}': {len(bad)} of {len(iterations)} frames used all NELM = {nelm} electronic "
            f"iterations and are probably not converged: {shown}; leave them out of the training",
            stacklevel=2,
        )


def _electronic_iterations(lines: io.TextIOBase) -> tuple[int | None, list[int]]:
    """Give NELM and the number of electronic iterations of each ionic step."""
    nelm: int | None = None
    iterations: list[int] = []
    for line in lines:
        if nelm is None and "NELM" in line:
            match = re.search(r'NELM(?:">|\s*=)\s*(\d+)', line)
            nelm = int(match.group(1)) if match else None
        elif "Iteration" in line:  # OUTCAR: "--- Iteration    1(  17)  ---"
            match = re.search(r"Iteration\s*(\d+)\(\s*(\d+)\)", line)
            if match:
                step, iteration = int(match.group(1)), int(match.group(2))
                iterations += [0] * (step - len(iterations))
                iterations[step - 1] = iteration
        elif "<calculation>" in line:
            iterations.append(0)
        elif "<scstep>" in line and iterations:
            iterations[-1] += 1
    return nelm, iterations
