"""The checkpoint of a run, and what must be the same for the run to go on."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnmd_graph.data.dataset import AtomsDataset
from nnmd_graph.errors import reason
from nnmd_graph.models.checkpoint import (
    FORMAT,
    FORMAT_VERSION,
    describe,
    load_tensors,
    not_finite,
    save_tensors,
)
from nnmd_graph.models.potential import Potential
from nnmd_graph.training.transfer import fingerprint_of

if TYPE_CHECKING:
    from nnmd_graph.training.trainer import Trainer


PARTS = ("settings", "precomputed", "potential", "optimizer", "schedule", "average", "progress")
"""What a checkpoint holds."""


def settings_of(
    trainer: Trainer,
    potential: Potential,
    batch_size: int,
    train: AtomsDataset,
    val: AtomsDataset | None,
    init: Potential | None = None,
) -> dict[str, Any]:
    """Model, data and settings that decide where a run ends: not its length, device or output."""
    numbers = ("learning_rate", "weight_decay", "gradient_clip", "ema_decay", "seed")
    given = {name: getattr(trainer, name) for name in numbers}
    # Numbers of NumPy are no plain values: a checkpoint that holds them would not load.
    return (
        {name: None if value is None else float(value) for name, value in given.items()}
        | {
            "model": describe(potential.model),
            "optimizer": trainer.optimizer,
            "schedule": trainer.schedule,
            "loss": trainer.loss.weights,
            "batch_size": int(batch_size),
            "isolated_energies": {
                str(element): str(e) for element, e in (trainer.isolated_energies or {}).items()
            },
            "train": fingerprint(train),
            "val": None if val is None else fingerprint(val),
        }
        | _transfer_settings(trainer, init)
    )


def _transfer_settings(trainer: Trainer, init: Potential | None) -> dict[str, Any]:
    """Those that are not the usual ones: checkpoints from before them know none of them."""
    weights = trainer.loss.element_weights
    settings: dict[str, Any] = {
        "init": None if init is None else fingerprint_of(init),
        "freeze": sorted(set(trainer.freeze)),
        "learning_rates": {part: float(x) for part, x in trainer.learning_rates.items()},
        "refit_baseline": trainer.refit_baseline,
        "element_weights": weights,
        "energy_start": trainer.loss.energy_start if trainer.loss.grows else None,
    }
    return {name: value for name, value in settings.items() if value not in (None, [], {})}


def fingerprint(dataset: AtomsDataset) -> str:
    """Hash of structures and labels, other for every change of a number."""
    digest = hashlib.sha256()
    for atoms, labels in zip(dataset.frames, dataset.labels, strict=True):
        for values in (atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc,
                       labels.energy, labels.forces, labels.stress):  # fmt: skip
            digest.update(b"-" if values is None else np.asarray(values).tobytes())
        if labels.weight is not None:
            digest.update(b"w" + np.asarray(labels.weight).tobytes())
    return digest.hexdigest()


def write_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Write the state of a run; the file is whole at any moment, the old one or the new one."""
    save_tensors({"format": FORMAT, "format_version": FORMAT_VERSION, "training": state}, path)


def _not_finite(state: dict[str, Any]) -> list[str]:
    weights = (state["potential"], state["average"] or {}, state["progress"]["best_state"])
    return [f"{name} is NaN or infinite" for part in weights for name in not_finite(part)]


def read_checkpoint(path: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """Read the state of a run that has the given settings.

    Returns:
        What :func:`write_checkpoint` wrote, tensors on the CPU; None where there is no file.

    Raises:
        ValueError: If the file is damaged, or of a run with another model, other data or settings.
    """
    if not path.is_file():
        return None
    advice = "start anew in another folder; the best model so far is in checkpoints/best.pt"
    try:
        state: dict[str, Any] = load_tensors(path)["training"]
        missing = [name for name in PARTS if name not in state]
        problem = f"without {missing}" if missing else ""
        problem = problem or ", ".join(_not_finite(state)[:3])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        problem = reason(error)
    if problem:
        raise ValueError(
            f"`resume` needs a whole checkpoint, got {str(path)!r}, which cannot be read; "
            f"{advice} ({problem})"
        )
    found = state["settings"]
    names = [*settings, *(name for name in found if name not in settings)]
    different = [name for name in names if found.get(name) != settings.get(name)]
    if different:
        raise ValueError(
            f"`resume` needs the model, data and settings of the checkpoint {str(path)!r}, got "
            f"other values of {different}; use them again, or {advice}"
        )
    return state
