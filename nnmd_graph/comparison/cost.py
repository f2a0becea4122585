"""Cost of a potential: time per atom, memory, and the machine that both were measured on."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import platform
import re
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from ase import Atoms

from nnmd_graph.graph import AtomicGraph
from nnmd_graph.models import Potential

MICROSECOND = 1e-6
MEGABYTE = 1e6
ROUNDS = 7
"""Turns of each potential; the median of them counts."""
TURN_SECONDS = 0.03
"""Seconds; a turn of a fast potential is repeated until it takes as long, to be measurable."""
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class Peak:
    """Largest memory, filled when the block ends.

    Attributes:
        megabytes: MB; None where it is unknown.
    """

    megabytes: float | None = None


@contextmanager
def peak_memory(device: str | torch.device = "cpu") -> Iterator[Peak]:
    """Measure the largest memory in use during a block.

    On a GPU it is that of torch's tensors. On the CPU it is that of the whole process, libraries
    included, which only Linux tells.
    """
    device = torch.device(device)
    peak = Peak()
    gc.collect()  # else memory of an earlier block would count for this one
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    else:
        _return_free_memory()
    is_known = device.type == "cuda" or _reset()
    try:
        yield peak
    finally:
        if device.type == "cuda":
            peak.megabytes = torch.cuda.max_memory_allocated(device) / MEGABYTE
        elif is_known:
            peak.megabytes = _largest()


def time_potentials(
    potentials: Mapping[str, Potential], frames: Sequence[Atoms], *, rounds: int = ROUNDS
) -> dict[str, float]:
    """Time of energy and forces with the neighbour list, one structure at a time.

    The potentials take turns, so that a slow minute of a busy machine meets all of them.

    Args:
        potentials: by name; they are put in evaluation mode.
        frames: structures that all of them know the elements of.
        rounds: turns of each.

    Returns:
        Median over the turns for each name, µs per atom.
    """
    repeats = {}
    for name, potential in potentials.items():
        potential.eval()
        _turn(potential, frames)  # a first call creates caches and kernels
        seconds = _turn(potential, frames)
        repeats[name] = max(1, round(TURN_SECONDS / max(seconds, 1e-9)))
    num_atoms = sum(len(atoms) for atoms in frames)
    times: dict[str, list[float]] = {name: [] for name in potentials}
    for _ in range(rounds):
        for name, potential in potentials.items():
            count = repeats[name]
            seconds = sum(_turn(potential, frames) for _ in range(count)) / count
            times[name].append(seconds / num_atoms / MICROSECOND)
    return {name: statistics.median(turns) for name, turns in times.items()}


def _turn(potential: Potential, frames: Sequence[Atoms]) -> float:
    """Seconds for energy and forces of all frames."""
    on_gpu = potential.device.type == "cuda"
    start = time.perf_counter()
    for atoms in frames:
        graph = AtomicGraph.from_atoms(
            atoms, potential.cutoff, dtype=potential.dtype, device=potential.device
        )
        potential(graph, forces=True, stress=False)
    if on_gpu:
        torch.cuda.synchronize(potential.device)
    return time.perf_counter() - start


def spread_out(frames: Sequence[Atoms], count: int) -> list[Atoms]:
    """Some structures, evenly spaced over a list."""
    step = -(-len(frames) // count)
    return list(frames[::step])


def hardware(device: str | torch.device = "cpu") -> str:
    """The machine in one line: processor or GPU, threads, torch."""
    device = torch.device(device)
    threads = torch.get_num_threads()
    where = f"{_processor()}, {threads} {'thread' if threads == 1 else 'threads'}"
    if device.type == "cuda":
        where = f"{torch.cuda.get_device_name(device)}, {where}"
    return f"{where}, torch {torch.__version__}"


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    if file.is_file():
        found = re.search(r"model name\s*: (.*)", file.read_text(encoding="utf-8"))
        if found:
            return " ".join(found[1].split())
    return platform.processor() or platform.machine()


def _return_free_memory() -> None:
    """Make glibc return the freed memory that it keeps."""
    with contextlib.suppress(OSError, AttributeError):  # another system
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _reset() -> bool:
    """Reset the kernel's record of this process's largest memory."""
    try:
        with CLEAR.open("wb", buffering=0) as file:
            file.write(b"5")
    except OSError:  # another system, or a sandbox
        return False
    return True


def _largest() -> float | None:
    """Largest resident memory of this process since then, MB."""
    try:
        found = re.search(r"VmHWM:\s*(\d+) kB", STATUS.read_text(encoding="utf-8"))
    except OSError:
        return None
    return float(found[1]) * 1024 / MEGABYTE if found else None
