"""What a training will do, said before it begins: how much of what, memory and time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch
from ase.data import chemical_symbols
from torch_geometric.loader import DataLoader

from nnmd_graph.progress import duration, memory

if TYPE_CHECKING:
    from nnmd_graph.graph.atomic_graph import AtomicGraph
    from nnmd_graph.training.run import Run

LBFGS_EVALUATIONS = 25
"""Passes over the training set in an epoch of L-BFGS, about: 20 steps and their line searches."""

VALIDATION = 0.4
"""Time of a structure in validation over that in training, about."""


def forecast(run: Run) -> list[str]:
    """Lines that say what a run is about to do.

    One batch is tried out, without a step: it takes the memory and tells the time.
    """
    settings, potential = run.settings, run.potential
    train, val = run.graphs, run.val_graphs
    parameters = sum(p.numel() for p in potential.parameters() if p.requires_grad)
    elements = " ".join(chemical_symbols[z] for z in potential.species)
    atoms = sum(graph.num_nodes for graph in train)
    representation = type(potential.model.representation).__name__
    steps = -(-len(train) // run.batch_size)
    checked = f", validation on {len(val)}" if val else ""
    epochs = settings.max_epochs - run.at.epoch
    seconds = _seconds_per_epoch(run)
    times = "time after the first epoch" if seconds is None else (
        f"about {duration(min(seconds * epochs, settings.max_seconds or float('inf')))} "
        f"({seconds:.2g} s per epoch)"
    )  # fmt: skip
    return [
        f"training on {len(train)} structures ({atoms} atoms of {elements}){checked}",
        f"model: {representation}, cutoff {potential.cutoff:g} Å, {parameters} parameters to train",
        f"{epochs} epochs of {steps} steps, batch size {run.batch_size}, {settings.optimizer}, "
        f"on {potential.device}",
        ", ".join([f"memory {m}" if n == 0 else m for n, m in enumerate(memory())] + [times]),
    ]


def _seconds_per_epoch(run: Run) -> float | None:
    """Of one batch, forward and backward, times their number; None where it is not known."""
    if run.compiled is not None:  # its first step compiles
        return None
    some = run.graphs[: run.batch_size]
    device = run.fabric.device
    batch = next(iter(DataLoader(some, len(some), generator=torch.Generator()))).to(device)
    was_training = run.potential.training
    run.module.train()
    try:
        seconds = _time_of_step(run, batch)
    except Exception:  # what it is shows in the training, or never
        return None
    finally:
        run.potential.zero_grad()
        run.potential.train(was_training)
    passes = LBFGS_EVALUATIONS if run.settings.optimizer == "lbfgs" else 1
    return seconds * (passes * len(run.graphs) + VALIDATION * len(run.val_graphs)) / len(some)


def _time_of_step(run: Run, batch: AtomicGraph) -> float:
    device, seconds = run.fabric.device, float("inf")
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for _ in range(2):  # the first one makes what is made once
            start = time.monotonic()
            wants = run.loss.wants
            out = run.module(batch, stress=wants("stress"), forces=wants("forces"))
            run.fabric.backward(run.loss.of_step(out, batch, None)[0])
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds = min(seconds, time.monotonic() - start)
            if seconds > 1.0:
                break
    return seconds
