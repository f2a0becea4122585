"""Flip single bits of every file that the package reads back: none is taken for whole.

    python tests/damage.py --flips 200

trains a small potential and a small comparison in a temporary folder, then damages a copy of each
file, bit by bit and by cutting it off, and reads it as the package does. Reading must fail with the
name of the file, or give what the whole file gives.
"""

import argparse
import functools
import hashlib
import json
import random
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import torch
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

import nnmd_graph as ng
from nnmd_graph.comparison.config import read_comparison
from nnmd_graph.comparison.measurements import measured
from nnmd_graph.comparison.runs import Planned
from nnmd_graph.config.config import MAY_CHANGE, read_config
from nnmd_graph.config.files import check_settings_file
from nnmd_graph.files import read_json
from nnmd_graph.models.checkpoint import load_tensors
from nnmd_graph.training.resume import read_checkpoint
from nnmd_graph.workflow import train_from_config

FUNCTIONS = [{"type": "G2", "eta": 0.1}, {"type": "G2", "eta": 4.0, "r_s": 2.5}]
SETTINGS: dict[str, Any] = {
    "model": {"cutoff": 3.6, "hidden_channels": [4], "representation": {"functions": FUNCTIONS}},
    "training": {"max_epochs": 2},
}
Reader = Callable[[Path], Any]


@dataclass
class Result:
    """What became of the damaged copies of one file."""

    refused: int = 0
    same: int = 0
    wrong: list[str] = field(default_factory=list)


def plain(values: Any) -> Any:
    """Something that compares by value, tensors by their bytes."""
    if isinstance(values, torch.Tensor):
        content = values.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        return str(values.dtype), tuple(values.shape), hashlib.sha256(content).hexdigest()
    if isinstance(values, dict):
        return {str(key): plain(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [plain(value) for value in values]
    return repr(values)


def damaged(content: bytes, flips: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Copies with one bit flipped, in the middle and at both ends, and cut off anywhere."""
    draw, size = random.Random(seed), 8 * len(content)
    ends = [*range(min(64, size)), *range(max(0, size - 8 * 128), size)]
    share = min(len(ends), flips // 4)
    for bit in [*draw.sample(ends, share), *(draw.randrange(size) for _ in range(flips - share))]:
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        yield f"bit {bit % 8} of byte {bit // 8}", bytes(changed)
    lengths = {0, 1, len(content) - 1, *(draw.randrange(len(content)) for _ in range(flips // 4))}
    for length in sorted(lengths):
        yield f"cut off after {length} of {len(content)} bytes", content[:length]
    yield "zeros", bytes(len(content))
    yield "a byte more", content + b"\0"
    yield "twice", content + content


def check(path: Path, read: Reader, flips: int, seed: int = 0) -> Result:
    """Damage a file in many ways, read it each time, and leave it as it was."""
    content, result = path.read_bytes(), Result()
    expected = plain(read(path))
    try:
        for how, other in damaged(content, flips, seed):
            path.write_bytes(other)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")  # what is told is not taken for whole
                    found = plain(read(path))
            except (ValueError, FileNotFoundError, UserWarning) as error:
                result.refused += 1
                if path.name not in str(error):
                    result.wrong.append(f"{how}: the message does not name the file: {error}")
                continue
            except Exception as error:  # anything else is nobody's message
                result.wrong.append(f"{how}: {type(error).__name__}: {error}")
                continue
            if found == expected:
                result.same += 1
            else:
                result.wrong.append(f"{how}: accepted with other values")
    finally:
        path.write_bytes(content)
    return result


# ------------------------------------------------------------------------------ files and readers
def read_model(path: Path) -> Any:
    potential = ng.Potential.load(path)
    return [dict(potential.state_dict()), repr(potential)]


def read_state(path: Path) -> Any:
    return read_checkpoint(path, settings_of(path.parents[1]))


@functools.cache
def settings_of(run: Path) -> Any:
    """Those of the checkpoint, while it is whole."""
    return load_tensors(run / "checkpoints" / "last.pt")["training"]["settings"]


def read_run_config(path: Path) -> Any:
    check_settings_file(path, MAY_CHANGE, advice="do")
    return read_config(path).model_dump(mode="json")


def read_comparison_config(path: Path) -> Any:
    check_settings_file(path, advice="do")
    return read_comparison(path).model_dump(mode="json")


def planned(folder: Path) -> Planned:
    return Planned("bpnn", 0, 0, True, folder, read_config(folder / "config.yaml"))


def read_measured(path: Path) -> Any:
    return measured(path.parents[1], path.stem)


def read_log(path: Path) -> Any:
    found = planned(path.parent).log
    return None if found is None else found.read_bytes()


READERS: dict[str, Reader] = {
    "run/model.pt": read_model,
    "run/checkpoints/best.pt": read_model,
    "run/checkpoints/last.pt": read_state,
    "run/config.yaml": read_run_config,
    "comparison/comparison.yaml": read_comparison_config,
    "comparison/data.json": lambda path: read_json(path, ("train",), what="checksums"),
    "comparison/measurements/bpnn.json": read_measured,
    "comparison/runs/bpnn/seed-0/result.json": lambda path: planned(path.parent).result,
    "comparison/runs/bpnn/seed-0/log.csv": read_log,
    "comparison/runs/bpnn/seed-0/config.yaml": read_run_config,
    "comparison/runs/bpnn/seed-0/model.pt": read_model,
}


def make(folder: Path) -> Path:
    """Train a run and a comparison on copper."""
    rng, frames = np.random.default_rng(0), []
    for _ in range(12):
        atoms = bulk("Cu", cubic=True, a=3.6 * rng.uniform(0.97, 1.05))
        atoms.positions += rng.normal(scale=0.06, size=(4, 3))
        atoms.calc = EMT()
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
        frames.append(atoms)
    ase.io.write(folder / "copper.extxyz", frames)
    data = {"train": str(folder / "copper.extxyz")}
    train_from_config(SETTINGS | {"data": data}, folder / "run")
    models = {"bpnn": SETTINGS["model"]}
    values = {"data": data, "training": SETTINGS["training"], "models": models, "seeds": [0]}
    ng.compare(values | {"nve": {"steps": 5}}, output=folder / "comparison")
    return folder


def main() -> None:
    """Print a line for each file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=200, help="bits of each file")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        results = {}
        for name, read in READERS.items():
            result = check(Path(folder) / name, read, given.flips, given.seed)
            counts = {"refused": result.refused, "same": result.same, "wrong": len(result.wrong)}
            results[name] = counts
            print(f"{name}: {json.dumps(results[name])}", *result.wrong[:5], sep="\n  ")
    raise SystemExit(any(result["wrong"] for result in results.values()))


if __name__ == "__main__":
    main()
