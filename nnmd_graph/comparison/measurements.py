"""Measurements after the trainings of a comparison: time per atom, energy drift."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms

from nnmd_graph.comparison.config import ComparisonConfig, NVEConfig
from nnmd_graph.comparison.cost import hardware, spread_out, time_potentials
from nnmd_graph.comparison.potentials import NUM_TIMED, reason
from nnmd_graph.comparison.runs import Planned
from nnmd_graph.data import AtomsDataset, read_frames
from nnmd_graph.devices import find_device
from nnmd_graph.files import read_json, write_json
from nnmd_graph.models import Potential
from nnmd_graph.units import MEV
from nnmd_graph.workflow.dynamics import run_md

NUM_SAMPLES = 200
"""Approximate number of points of the energy curve."""
FS_PER_PS = 1000.0

TIMING = ("stage", "hardware", "us_per_atom")
Measured = dict[str, Any]


def measured_file(folder: Path, model: str) -> Path:
    """Where the measurements of a model are kept."""
    return folder / "measurements" / f"{model}.json"


def measured(folder: Path, model: str) -> Measured:
    """Read the measurements of a model; empty where there are none.

    Raises:
        ValueError: the file is damaged or someone else's.
    """
    path = measured_file(folder, model)
    values = read_json(path, what="the measurements of a model") or {}
    for name, keys in (("timing", TIMING), ("nve", ("error", "settings"))):
        found = values.get(name, dict.fromkeys(keys))
        missing = [key for key in keys if not isinstance(found, dict) or key not in found]
        if missing or values.keys() - {"timing", "nve"}:
            raise ValueError(
                f"'{path}': expected the measurements of a model, timing and nve, got other "
                "values; delete the file, and they are made again"
            )
    return values


def best_run(planned: list[Planned], model: str) -> Planned | None:
    """The run on the whole training set with the lowest loss on the validation set."""
    runs = [
        (result["best_loss"], run.seed, run)
        for run in planned
        if run.model == model and run.is_whole
        if (result := run.result) is not None and result["error"] is None
    ]
    return min(runs, key=lambda entry: entry[:2])[2] if runs else None


def start_of(config: NVEConfig, test: AtomsDataset) -> Atoms:
    """The structure that the simulations start from.

    Raises:
        FileNotFoundError: the file is not there.
        ValueError: it cannot be read, or a structure without a cell is to be repeated.
    """
    if config.atoms is None:
        atoms = test.frames[0].copy()
    else:
        atoms = next(frame.atoms for frame in read_frames(config.atoms, index=0)).copy()
    atoms.calc = None
    if config.repeat == (1, 1, 1):
        return atoms
    if atoms.cell.rank < 3:
        raise ValueError(
            f"`nve.repeat`: expected [1, 1, 1] for a structure without a whole cell, got "
            f"{list(config.repeat)}; leave it out"
        )
    return atoms * config.repeat


def measure(
    config: ComparisonConfig,
    folder: Path,
    best: Mapping[str, Planned],
    test: AtomsDataset,
    start: Atoms | None,
    say: Callable[[str], None],
) -> None:
    """Carry out the missing measurements and store them.

    The times of all models are taken in one stage, in turns, for their ratios count. They are
    kept; only models that were never in one stage together are timed again.

    Args:
        config: the device and the simulation.
        folder: of the comparison.
        best: a finished run of each model that is to be measured.
        test: structures to take the times on.
        start: structure for the simulations; None for none.
        say: is told what is done.
    """
    device = find_device(config.device)
    kept = {model: measured(folder, model) for model in best}
    stages = {values.get("timing", {}).get("stage") for values in kept.values()}
    if best and (len(stages) > 1 or None in stages):
        say(f"Timing {', '.join(best)}")
        for model, timing in _timings(best, test, device).items():
            kept[model]["timing"] = timing
        # All or none of them: an interrupted stage is repeated
        for model, values in kept.items():
            write_json(values, measured_file(folder, model), seal=True)
    for model, run in best.items():
        settings = config.nve.model_dump(mode="json") | {"seed": run.seed}
        if start is None or kept[model].get("nve", {}).get("settings") == settings:
            continue
        say(f"Simulating with {model}")
        kept[model]["nve"] = _simulate(config.nve, run, start, device) | {"settings": settings}
        write_json(kept[model], measured_file(folder, model), seal=True)


def _timings(
    best: Mapping[str, Planned], test: AtomsDataset, device: torch.device
) -> dict[str, Measured]:
    frames = spread_out(test.frames, NUM_TIMED)
    stage, machine = uuid.uuid4().hex, hardware(device)
    timings: dict[str, Measured] = {}
    potentials = {}
    for model, run in best.items():
        timings[model] = {"stage": stage, "hardware": machine, "us_per_atom": None}
        try:
            potential = Potential.load(run.folder / "model.pt", device=device)
            time_potentials({model: potential}, frames[:1], rounds=1)
            potentials[model] = potential
        except Exception as error:  # of this model; the others are measured
            timings[model]["error"] = reason(error)
    for model, time in time_potentials(potentials, frames).items():
        timings[model]["us_per_atom"] = time
    return timings


def _simulate(config: NVEConfig, run: Planned, start: Atoms, device: torch.device) -> Measured:
    """Energy per atom over time and its drift, meV/atom, ps."""
    try:
        result = run_md(
            run.folder / "model.pt",
            start,
            velocities="draw",
            temperature=config.temperature,
            steps=config.steps,
            timestep=config.timestep,
            log_interval=max(1, config.steps // NUM_SAMPLES),
            device=device,
            extrapolation="ignore",
        )
    except Exception as error:  # a simulation that blows up is a result
        return {"error": reason(error)}
    time, energy = result.samples[:, 0] / FS_PER_PS, result.samples[:, 3]
    change = (energy - energy[0]) / len(result.atoms) / MEV
    return {
        "error": None,
        "num_atoms": len(result.atoms),
        "picoseconds": float(time[-1]),
        "drift": float(np.polyfit(time, change, 1)[0]),
        "largest": float(np.abs(change).max()),
        "mean_temperature": result.mean_temperature,
        "time": time.tolist(),
        "change": change.tolist(),
    }
