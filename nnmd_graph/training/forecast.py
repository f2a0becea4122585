"""Plan of a training, printed before it begins: sizes, memory and time."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from ase.data import chemical_symbols
from torch_geometric.loader import DataLoader

from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.progress import duration, memory
from nnmd_graph.training.settings import TrainingSettings
from nnmd_graph.training.steps.step import Step, name_of

VALIDATION = 0.4
"""Approximate time of a structure in validation, relative to training."""


def forecast(
    settings: TrainingSettings,
    step: Step,
    train: Sequence[AtomicGraph],
    val: Sequence[AtomicGraph],
    batch_size: int,
    epochs: int,
) -> list[str]:
    """Lines that describe the planned run.

    One batch is tried out, without a step: it takes the memory and tells the time.

    Args:
        settings: Those of the training.
        step: Ready for the first epoch.
        train: Training set, prepared.
        val: Validation set, prepared.
        batch_size: Structures per step.
        epochs: Those that are left.
    """
    potential = step.potential
    parameters = sum(p.numel() for p in potential.parameters() if p.requires_grad)
    elements = " ".join(chemical_symbols[z] for z in potential.species)
    atoms = sum(graph.num_nodes for graph in train)
    model = type(potential.net.representation if potential.net else potential.model).__name__
    steps = -(-len(train) // batch_size)
    checked = f", validation on {len(val)}" if val else ""
    times = "time after the first epoch"
    if not settings.compile:  # the first step compiles
        each = _seconds_per_structure(step, train[:batch_size])
        if each is not None:
            seconds = each * (step.passes * len(train) + VALIDATION * len(val))
            whole = min(seconds * epochs, settings.max_seconds or float("inf"))
            times = f"about {duration(whole)} ({seconds:.2g} s per epoch)"
    return [
        f"training on {len(train)} structures ({atoms} atoms of {elements}){checked}",
        f"model: {model}, cutoff {potential.cutoff:g} Å, {parameters} parameters to train",
        f"{epochs} epochs of {steps} steps, batch size {batch_size}, "
        f"{name_of(settings.optimizer)}, on {potential.device}",
        ", ".join([f"memory {m}" if n == 0 else m for n, m in enumerate(memory())] + [times]),
    ]


def _seconds_per_structure(step: Step, some: Sequence[AtomicGraph]) -> float | None:
    """Time of loss and gradients of one batch; None where it fails."""
    potential = step.potential
    device = potential.device
    batch = next(iter(DataLoader(list(some), len(some), generator=torch.Generator()))).to(device)
    was_training = potential.training
    step.module.train()
    try:
        return _seconds(step, batch, device) / len(some)
    except Exception:  # the error appears in the training, or never
        return None
    finally:
        potential.zero_grad()
        potential.train(was_training)


def _seconds(step: Step, batch: AtomicGraph, device: torch.device) -> float:
    seconds = float("inf")
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for _ in range(2):  # the first call creates caches and kernels
            start = time.monotonic()
            step.gradients(batch, None)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds = min(seconds, time.monotonic() - start)
            if seconds > 1.0:
                break
    return seconds
