"""Time and peak memory per atom against the number of atoms, for the copper crystal of `speed`.

    python -m benchmarks.scaling --sizes 1000 4000 16000 64000 256000 1000000

measures neighbour list and energy + forces (8 G2 + 24 G5, cutoff 6 Å), each size in a process of
its own, and writes scaling.json, scaling.md and scaling.png into --output. A size that does not fit
into the memory is reported as such.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.timing import (
    COLORS,
    HERE,
    Clock,
    clock,
    machine,
    markdown,
    measured_on,
    number,
    own_process,
    write_readme,
)

Row = dict[str, Any]

SIZES = (1000, 4000, 16_000, 64_000, 256_000, 1_000_000)
STEADY_FROM = 4000
"""Atoms; smaller structures pay for what does not depend on the size."""
SHARE_OF_MEMORY = 0.9
ENOUGH_SECONDS = 10.0
WARM_UP = 32
"""Atoms; few, because the largest memory of a process counts from its start."""
LINUX = sys.platform == "linux"
KB = 1e-3
GB = 1e-9
LACK_OF_MEMORY = ("allocate memory", "not enough memory", "bad_alloc")


def main() -> None:
    """Measure, write table and plot."""
    arguments = _arguments()
    if arguments.run is not None:
        print(json.dumps(measure(arguments.run, arguments)))
        return
    file = arguments.output / "scaling.json"
    result = json.loads(file.read_text()) if arguments.table_only else _measure_all(arguments, file)
    text = report(result)
    (arguments.output / "scaling.md").write_text(text + "\n")
    plot(result["rows"], arguments.output / "scaling.png")
    if arguments.readme:
        write_readme("scaling", text)
    print(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, help="numbers of atoms")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--dtype", default="float64", choices=["float64", "float32"])
    parser.add_argument("--repeats", type=int, default=3, help="fewer where they take long")
    parser.add_argument("--memory", type=float, help="GB that a size may take")
    parser.add_argument("--output", type=Path, default=HERE / "runs" / "scaling")
    parser.add_argument("--readme", action="store_true", help="also write into README.md")
    parser.add_argument("--table-only", action="store_true", help="from what was measured before")
    parser.add_argument("--run", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.output = arguments.output.absolute()  # children run in another folder
    return arguments


def _measure_all(arguments: argparse.Namespace, file: Path) -> dict[str, Any]:
    """Every size in a process of its own; the file is written after each."""
    result: dict[str, Any] = {"machine": machine(), "threads": arguments.threads}
    result |= {"dtype": arguments.dtype, "rows": []}
    arguments.output.mkdir(parents=True, exist_ok=True)
    for size in arguments.sizes:
        print(f"{size} atoms", file=sys.stderr, flush=True)
        command = [*sys.argv[1:], "--run", str(size)]
        row = own_process("benchmarks.scaling", command, arguments.threads)
        result["rows"].append({"size": size} | row)
        file.write_text(json.dumps(result, indent=1) + "\n")
    return result


def measure(size: int, arguments: argparse.Namespace) -> Row:
    """Times in µs and peaks of memory in kB per atom, the largest in GB; or what was lacking."""
    try:
        return _measure(size, arguments)
    except (MemoryError, RuntimeError) as error:
        text = str(error)
        if isinstance(error, MemoryError) or any(part in text for part in LACK_OF_MEMORY):
            limit = _memory_limit(arguments.memory)
            return {"error": f"does not fit into {limit * GB:.1f} GB"}
        raise


def _measure(size: int, arguments: argparse.Namespace) -> Row:
    import torch

    from benchmarks.systems import copper_crystal, copper_potential
    from nnmd_graph import AtomicGraph

    torch.set_num_threads(arguments.threads)
    dtype = getattr(torch, arguments.dtype)
    potential = copper_potential().to(dtype).eval()
    cutoff = potential.cutoff

    small = AtomicGraph.from_atoms(copper_crystal(WARM_UP), cutoff, dtype=dtype)
    potential(small, stress=False)  # what is loaded or compiled the first time is not of this size
    _limit_memory(_memory_limit(arguments.memory))
    atoms = copper_crystal(size)
    _forget_peak()
    before = _peak()
    repeats, by = arguments.repeats, clock(arguments.threads)
    list_seconds, graph = _shortest(
        lambda: AtomicGraph.from_atoms(atoms, cutoff, dtype=dtype), repeats, by
    )
    list_peak = _peak()
    seconds, _ = _shortest(lambda: potential(graph, stress=False), repeats, by)
    return {
        "atoms": len(atoms),
        "neighbors": graph.edge_index.shape[1] / len(atoms),
        "neighbor_list": 1e6 * list_seconds / len(atoms),
        "energy_forces": 1e6 * seconds / len(atoms),
        "neighbor_list_memory": KB * (list_peak - before) / len(atoms),
        "memory": KB * (_peak() - before) / len(atoms),
        "peak": GB * _peak(),
    }


def _shortest(function: Callable[[], Any], repeats: int, by: Clock) -> tuple[float, Any]:
    """Shortest time of a few calls, and the last result; the one before it is gone by then."""
    times: list[float] = []
    result = None
    while len(times) < repeats and sum(times) < ENOUGH_SECONDS:
        result = None
        start = by()
        result = function()
        times.append(by() - start)
    return min(times), result


def _forget_peak() -> None:
    """Let the largest memory so far be what is in use now, where the system can do that."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> float:
    """Largest memory that this process had so far, bytes."""
    if LINUX:
        return _status()["VmHWM"]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def _status() -> dict[str, float]:
    """Sizes of this process in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    pairs = [line.split(":") for line in lines if line.endswith(" kB")]
    return {name: 1024 * float(size.split()[0]) for name, size in pairs}


def _memory_limit(gigabytes: float | None) -> float:
    """Bytes that this process may take; without a wish, most of what is free."""
    if gigabytes is not None:
        return gigabytes / GB
    if not LINUX:
        return float("inf")
    lines = Path("/proc/meminfo").read_text().splitlines()
    free = next(line for line in lines if line.startswith("MemAvailable"))
    return SHARE_OF_MEMORY * 1024 * float(free.split()[1])


def _limit_memory(limit: float) -> None:
    """Make a request for more fail, before the system ends some process to meet it."""
    if LINUX and limit < float("inf"):
        # Addresses that are reserved but never used, by libraries and threads, do not count
        status = _status()
        addresses = int(limit + status["VmSize"] - status["VmRSS"])
        resource.setrlimit(resource.RLIMIT_AS, (addresses, addresses))


def report(result: dict[str, Any]) -> str:
    """Table in Markdown."""
    head = ["atoms", "neighbours", "neighbour list, µs/atom", "energy + forces, µs/atom",
            "memory of the list, kB/atom", "memory, kB/atom", "peak, GB"]  # fmt: skip
    lines = []
    for row in result["rows"]:
        if "error" in row:
            lines.append([str(row["size"]), row["error"], *["-"] * (len(head) - 2)])
            continue
        keys = ("neighbor_list", "energy_forces", "neighbor_list_memory", "memory")
        cells = [str(row["atoms"]), f"{row['neighbors']:.1f}", *(number(row[k]) for k in keys)]
        lines.append([*cells, f"{row['peak']:.2f}"])
    parts = [markdown(head, lines)]
    steady = [r["energy_forces"] for r in result["rows"] if r.get("atoms", 0) >= STEADY_FROM]
    if len(steady) > 1:
        spread = 100 * (max(steady) / min(steady) - 1)
        parts.append(
            f"Energy + forces per atom from {STEADY_FROM} atoms on: slowest {spread:.0f} % above "
            "fastest."
        )
    count = result["threads"]
    threads = "one thread, processor time" if count == 1 else f"{count} threads, wall time"
    parts.append(f"{result['dtype']}, {threads}. {measured_on(result['machine'])}")
    return "\n\n".join(parts)


def plot(rows: Sequence[Row], path: Path) -> None:
    """Time and memory per atom against atoms."""
    from matplotlib.figure import Figure

    done = [row for row in rows if "error" not in row]
    atoms = [row["atoms"] for row in done]
    figure = Figure(figsize=(8.5, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, suffix in ((left, ""), (right, "_memory")):
        mine = "energy_forces" if not suffix else "memory"
        axes.plot(atoms, [r[f"neighbor_list{suffix}"] for r in done], "o-", color=COLORS[2],
                  label="neighbour list")  # fmt: skip
        label = "energy + forces" if not suffix else "with energy + forces"
        axes.plot(atoms, [r[mine] for r in done], "o-", color=COLORS[0], label=label)
        axes.set_xscale("log")
        axes.set_xlabel("atoms")
        axes.legend()
    left.set_ylim(bottom=0)
    right.set_yscale("log")
    left.set_ylabel("time, µs/atom")
    right.set_ylabel("peak memory, kB/atom")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
