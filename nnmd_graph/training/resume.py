"""The checkpoint of a run, and what must be unchanged when the run is resumed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
from nnmd_graph.training.settings import TrainingSettings
from nnmd_graph.training.steps.step import name_of
from nnmd_graph.training.transfer import fingerprint_of

APART = ("loss", "init", "batch_size", "compile")
"""Settings that are compared by their effect; a compiled step is equivalent to the plain one."""

PARTS = ("settings", "precomputed", "potential", "optimizer", "schedule", "average", "progress")
"""Contents of a checkpoint."""


def settings_of(
    settings: TrainingSettings,
    potential: Potential,
    batch_size: int,
    train: AtomsDataset,
    val: AtomsDataset | None,
    init: Potential | None = None,
) -> dict[str, Any]:
    """Model, data and settings that determine the result of a run, not length, device or output."""
    kept = {name: _plain(value) for name, value in settings.kept().items() if name not in APART}
    loss = settings.loss
    kept["optimizer"] = name_of(settings.optimizer)
    kept["freeze"] = sorted(set(settings.freeze))
    # E0 stand as text in the checkpoints of all versions.
    kept["isolated_energies"] = {z: str(e0) for z, e0 in (kept["isolated_energies"] or {}).items()}
    return kept | {
        "model": describe(potential.model),
        **loss.settings(),
        "element_weights": loss.element_weights,
        "energy_start": loss.energy_start if loss.grows else None,
        "batch_size": int(batch_size),
        "init": None if init is None else fingerprint_of(init),
        "train": fingerprint(train),
        "val": None if val is None else fingerprint(val),
    }


def _plain(value: Any) -> Any:
    """Normalise values for comparison: every number is a float, every name a string."""
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if is_number else value


def fingerprint(dataset: AtomsDataset) -> str:
    """Hash of structures and labels; any change of a number changes it."""
    digest = hashlib.sha256()
    for atoms, labels in zip(dataset.frames, dataset.labels, strict=True):
        for values in (atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc,
                       labels.energy, labels.forces, labels.stress):  # fmt: skip
            digest.update(b"-" if values is None else np.asarray(values).tobytes())
        for name, value in labels.more.items():
            digest.update(name.encode() + (b"-" if value is None else value.tobytes()))
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
            f"`resume`: expected a whole checkpoint, got {str(path)!r}, which cannot be read; "
            f"{advice} ({problem})"
        )
    found = state["settings"]
    names = [*settings, *(name for name in found if name not in settings)]
    different = [name for name in names if _given(found, name) != _given(settings, name)]
    if different:
        raise ValueError(
            f"`resume`: expected the model, data and settings of the checkpoint {str(path)!r}, got "
            f"other values of {different}; use them again, or {advice}"
        )
    return state


def _given(settings: dict[str, Any], name: str) -> Any:
    """A setting; what is empty is left out of checkpoints of some versions."""
    value = settings.get(name)
    return None if value in ([], {}) else value
