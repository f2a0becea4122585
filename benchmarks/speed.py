"""Time per atom of neighbour list, symmetry functions, forces and training, beside other codes.

    python -m benchmarks.speed --reference path/to/n2p2/cases --n2p2 ./n2p2_timing

times each case in a process of its own, on one thread and on all, in float64 and float32, and
writes speed.json, speed.md and speed.png into --output. Without --reference only the copper crystal
runs, which needs no files. n2p2 takes part when its binary is given (made from
benchmarks/n2p2_timing.cpp), torchani when it is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.systems import COPPER, FOLDERS, system
from benchmarks.timing import (
    COLORS,
    HERE,
    Contestant,
    in_turns,
    machine,
    markdown,
    measured_on,
    number,
    own_process,
    write_readme,
)

Row = dict[str, Any]

QUANTITIES = {
    "neighbor_list": "neighbour list",
    "values": "values",
    "derivatives": "values + derivatives",
    "energy_forces": "energy + forces",
    "training_step": "training step",
}
SAME_ENERGY = 1e-8
"""eV per atom; codes that differ by more have not computed the same thing."""


def main() -> None:
    """Measure, write tables and plot."""
    arguments = _arguments()
    if arguments.run:
        case, threads = arguments.run[0], int(arguments.run[1])
        print(json.dumps({"rows": measure(arguments, case, threads)}))
        return
    file = arguments.output / "speed.json"
    result = json.loads(file.read_text()) if arguments.table_only else _measure_all(arguments, file)
    text = report(result)
    (arguments.output / "speed.md").write_text(text + "\n")
    plot(result["rows"], arguments.output / "speed.png")
    if arguments.readme:
        write_readme("speed", text)
    print(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--reference", type=Path, help="folder with the n2p2 cases")
    parser.add_argument("--cases", nargs="+", help="copper_N for a crystal of about N atoms")
    parser.add_argument("--n2p2", type=Path, help="binary made from benchmarks/n2p2_timing.cpp")
    threads = [1, os.cpu_count() or 1]
    parser.add_argument("--threads", nargs="+", type=int, default=threads)
    parser.add_argument("--dtypes", nargs="+", default=["float64", "float32"])
    parser.add_argument("--rounds", type=int, default=5, help="turns of each code")
    parser.add_argument("--repeats", type=int, default=3, help="repeats in each turn")
    parser.add_argument("--tensors", action="store_true", help="ours also without native core")
    parser.add_argument("--no-torchani", action="store_true", help="even where it is installed")
    parser.add_argument("--output", type=Path, default=HERE / "runs" / "speed")
    parser.add_argument("--readme", action="store_true", help="also write into README.md")
    parser.add_argument("--table-only", action="store_true", help="from what was measured before")
    parser.add_argument("--run", nargs=2, metavar=("CASE", "THREADS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    for path in ("reference", "n2p2", "output"):  # children run in another folder
        if getattr(arguments, path):
            setattr(arguments, path, getattr(arguments, path).absolute())
    if arguments.cases is None:
        arguments.cases = [*(FOLDERS if arguments.reference else ()), COPPER]
    if not arguments.reference and (without := set(arguments.cases) & set(FOLDERS)):
        parser.error(f"{', '.join(without)}: give the folder of the n2p2 cases with --reference")
    if arguments.n2p2 and not os.access(arguments.n2p2, os.X_OK):
        parser.error(f"--n2p2: expected a program, got {arguments.n2p2}")
    return arguments


def _measure_all(arguments: argparse.Namespace, file: Path) -> dict[str, Any]:
    """Every case in a process of its own; the file is written after each."""
    result: dict[str, Any] = {"machine": machine(), "rows": [], "missing": []}
    arguments.output.mkdir(parents=True, exist_ok=True)
    for case in arguments.cases:
        for threads in dict.fromkeys(arguments.threads):
            print(f"{case}, {threads} threads", file=sys.stderr, flush=True)
            command = [*sys.argv[1:], "--run", case, str(threads)]
            found = own_process("benchmarks.speed", command, threads)
            result["rows"] += found.get("rows", [])
            if "error" in found:
                result["missing"].append(f"{case} on {threads} threads: {found['error']}")
            add_ratios(result["rows"])
            file.write_text(json.dumps(result, indent=1) + "\n")
    return result


def measure(arguments: argparse.Namespace, case: str, threads: int) -> list[Row]:
    """One row for each code and dtype; in a process with this number of threads."""
    import torch

    from benchmarks.contestants import N2p2, Ours

    torch.set_num_threads(threads)
    it = system(case, arguments.reference)
    dtypes = [getattr(torch, name) for name in arguments.dtypes]
    codes: list[Contestant] = [Ours(it.atoms, it.potential, dtype) for dtype in dtypes]
    if arguments.tensors:
        codes += [Ours(it.atoms, it.potential, dtype, native=False) for dtype in dtypes]
    edges = codes[0].graph.edge_index.shape[1]
    if arguments.n2p2 and threads == 1:
        codes.append(N2p2(arguments.n2p2, it))
        _check_energies(case, [code.label for code in codes])
    if not arguments.no_torchani and find_spec("torchani"):
        codes += _torchani(it.atoms, dtypes, it.potential)
    times = in_turns(codes, arguments.rounds, arguments.repeats)
    head = {"case": case, "atoms": len(it.atoms), "neighbors": edges / len(it.atoms)}
    return [
        head | code.label | {"threads": threads} | mine
        for code, mine in zip(codes, times, strict=True)
    ]


def _torchani(atoms: Any, dtypes: Sequence[Any], potential: Any) -> list[Contestant]:
    """With ANI-2x's functions, and for one element with as many as ours at our cutoff."""
    from benchmarks.contestants import TorchANI

    os.environ.setdefault("TORCHANI_NO_WARN_EXTENSIONS", "1")  # they need CUDA
    codes: list[Contestant] = [TorchANI(atoms, dtype) for dtype in dtypes]
    functions = potential.model.representation.functions
    angular = sum(f.order == 2 for f in functions)
    if len(potential.species) == 1 and angular == 24 and len(atoms) <= 500:
        options = {
            "radial_cutoff": potential.cutoff,
            "angular_cutoff": potential.cutoff - 1e-6,  # must be below the other
            "radial_shifts": len(functions) - angular,
            "angular_shifts": 6,
            "sections": 4,
        }
        codes += [TorchANI(atoms, dtype, "torchani, our cutoff", **options) for dtype in dtypes]
    return codes


def _check_energies(case: str, labels: Sequence[Row]) -> None:
    double = {label["code"]: label["energy"] for label in labels if label["dtype"] == "float64"}
    if double and max(double.values()) - min(double.values()) > SAME_ENERGY:
        raise SystemExit(f"{case}: the codes give different energies in eV/atom: {double}")


def add_ratios(rows: list[Row]) -> None:
    """Our time over that of n2p2 in the same run, on one thread."""
    reference = {row["case"]: row for row in rows if row["code"] == "n2p2"}
    for row in rows:
        n2p2 = reference.get(row["case"])
        if n2p2 and row["code"].startswith("nnmd_graph") and row["threads"] == 1:
            row["ratio"] = {q: row[q] / n2p2[q] for q in QUANTITIES if q in n2p2}


def report(result: dict[str, Any]) -> str:
    """Tables in Markdown: ratios to n2p2 first, then every time."""
    rows: list[Row] = result["rows"]
    parts = []
    compared = [row for row in rows if "ratio" in row]
    if compared:
        head = [
            "our time / n2p2's, one thread",
            "code",
            "",
            *(QUANTITIES[q] for q in compared[0]["ratio"]),
        ]
        lines = [
            [row["case"], row["code"], row["dtype"], *(f"{x:.2f}" for x in row["ratio"].values())]
            for row in compared
        ]
        parts.append(markdown(head, lines))
    for threads in dict.fromkeys(row["threads"] for row in rows):
        clock = "one thread, processor time" if threads == 1 else f"{threads} threads, wall time"
        head = [f"µs/atom, {clock}", "atoms", "neighbours", "code", "", *QUANTITIES.values()]
        lines = [
            [row["case"], str(row["atoms"]), f"{row['neighbors']:.1f}", row["code"], row["dtype"],
             *(number(row.get(q)) for q in QUANTITIES)]
            for row in rows if row["threads"] == threads
        ]  # fmt: skip
        parts.append(markdown(head, lines))
    parts += [f"Not measured: {text}." for text in result["missing"]]
    parts.append(measured_on(result["machine"]))
    return "\n\n".join(parts)


def plot(rows: Sequence[Row], path: Path) -> None:
    """Bars of energy + forces, a panel for each number of threads."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    threads = list(dict.fromkeys(row["threads"] for row in rows))
    cases = list(dict.fromkeys(row["case"] for row in rows))
    codes = list(dict.fromkeys((row["code"], row["dtype"]) for row in rows))
    figure = Figure(figsize=(4.0 + 1.7 * len(cases), 3.4 * len(threads)), layout="constrained")
    width = 0.85 / len(codes)
    for n, axes in enumerate(figure.subplots(len(threads), 1, squeeze=False).flat):
        shown = [row for row in rows if row["threads"] == threads[n]]
        for k, case in enumerate(cases):
            group = [row for row in shown if row["case"] == case]
            for place, row in enumerate(group, start=1):
                code = codes.index((row["code"], row["dtype"]))
                x = k + (place - (len(group) + 1) / 2) * width
                color = COLORS[code % len(COLORS)]
                bar = axes.bar(x, row["energy_forces"], width, color=color)
                axes.bar_label(bar, fmt="%.0f", fontsize=6, rotation=90, padding=2)
        axes.set_yscale("log")
        axes.margins(y=0.15)
        axes.set_ylabel("energy + forces, µs/atom")
        axes.set_xticks(range(len(cases)), cases)
        axes.set_title("one thread" if threads[n] == 1 else f"{threads[n]} threads", fontsize=10)
    handles = [Patch(color=COLORS[k % len(COLORS)]) for k in range(len(codes))]
    labels = [", ".join(code) for code in codes]
    figure.legend(handles, labels, loc="outside right upper", fontsize=8)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
