"""Errors of the start of a fine-tuning on the new data, beside those of E0 alone."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch_geometric.loader import DataLoader

from nnmd_graph.data.dataset import AtomsDataset
from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.models.potential import Potential
from nnmd_graph.progress import track
from nnmd_graph.training.adapting import Scaling, adapt_features, scalings
from nnmd_graph.training.loss import Loss
from nnmd_graph.training.preparation import move_baseline
from nnmd_graph.training.settings import TrainingSettings
from nnmd_graph.training.task import validate

MAX_STRUCTURES = 200
"""Number of evenly spaced structures used to assess a start."""

LIMITS = (math.inf, 100.0, 10.0, 1.0, 0.1, 0.01)
"""Values of t_0 that are tried; the first one keeps the full response of the potential."""

USELESS = 2.0
"""Error of a start, in units of that of E0 alone, from which on the response to
features outside its data is removed (t_0 = 0)."""

CLEARLY = 0.98
"""Ratio of two errors below which the decrease counts as significant."""

SHOWN = {"energy_mae": "meV/atom", "forces_mae": "meV/Å", "stress_mae": "meV/Å³"}


@dataclass(frozen=True)
class StartErrors:
    """Errors on the training set before the first epoch.

    Attributes:
        start: Of the potential, by name ``forces_rmse`` for example.
        baseline: Of E0 alone, without the net.
        is_muted: Whether the potential was so wrong that its response to new features was removed.
    """

    start: dict[str, float]
    baseline: dict[str, float]
    is_muted: bool = False

    @property
    def size(self) -> float:
        """The decisive error: that of forces, if there are any."""
        return self.start[self._name] if self._name else 0.0

    @property
    def is_worse(self) -> bool:
        """Tell whether the potential is less accurate than E0 alone."""
        return bool(self._name) and not self.size <= self.baseline[self._name]

    @property
    def is_useless(self) -> bool:
        """Tell whether the potential is so wrong that E0 alone are far better."""
        return bool(self._name) and not self.size <= USELESS * self.baseline[self._name]

    @property
    def _name(self) -> str:
        names = ("forces_rmse", "energy_rmse", "stress_rmse")
        return next((n for n in names if n in self.start and n in self.baseline), "")

    def __str__(self) -> str:
        parts = [
            f"{name.removesuffix('_mae')} {self.start[name]:.4g} (E0 alone "
            f"{self.baseline[name]:.4g}) {unit}"
            for name, unit in SHOWN.items()
            if name in self.start and name in self.baseline
        ]
        return f"start on the new data, MAE: {', '.join(parts)}"

    def warn(self) -> None:
        """Advise where the start is worse than E0 alone."""
        if self.is_worse or self.is_muted:
            warnings.warn(
                "`init`: expected a potential that says something about the new data, got one "
                f"whose errors are larger than those of E0 alone ({self}"
                f"{', after its first layers were emptied' if self.is_muted else ''}); leave it "
                "out (train from nothing), or start from one trained on similar structures",
                stacklevel=2,
            )


@torch.no_grad()
def meet_new_data(
    settings: TrainingSettings,
    potential: Potential,
    graphs: Sequence[AtomicGraph],
    train: AtomsDataset,
    known: Sequence[int],
    loss: Loss,
) -> StartErrors:
    """Carry feature scaling, first layers and E0 of a trained potential over to new data.

    The influence of features outside the old data (t_0 of :mod:`nnmd_graph.models.adaptation`),
    and whether new elements are treated as the nearest known ones, are chosen for the smallest
    errors of the start. E0 are shifted as in
    :func:`nnmd_graph.training.preparation.move_baseline`, but they do not compensate a useless net:
    where its errors exceed those of E0 alone, E0 are those without the net. Where they are far
    larger, new features have no influence at the start (t_0 = 0).

    Args:
        settings: Those of the training.
        potential: Changed in place.
        graphs: The training set, prepared.
        train: The training set.
        known: Elements whose E0 are known.
        loss: Of the training.
    """
    some = list(graphs)[:: -(-len(graphs) // MAX_STRUCTURES)]
    assert potential.net is not None  # only a model with a baseline was fitted before
    baseline, carried = potential.net.baseline, _state(potential)

    def fitted() -> dict[str, float]:
        move_baseline(settings, potential, graphs, train, known)
        return _errors(potential, some, loss)

    baseline.scale.zero_()
    alone, own = fitted(), baseline.isolated_energies.clone()
    found = scalings(potential, graphs, settings.seed, known=known)
    best: tuple[StartErrors, dict[str, torch.Tensor]] | None = None
    ways = track(_ways(found), "adapting to the new data", enabled=settings.progress)
    for alike, limit in ways:
        if limit == 0.0 and best is not None and not best[0].is_useless:
            break
        potential.load_state_dict(carried)
        changed = adapt_features(found, limit, alike=alike)
        errors = StartErrors(fitted(), alone, is_muted=limit == 0.0)
        if best is None or errors.size < CLEARLY * best[0].size:
            best = errors, _state(potential)
        if not changed:
            break
    assert best is not None
    errors = best[0]
    potential.load_state_dict(best[1])
    if errors.is_worse:
        baseline.isolated_energies.copy_(own)
        errors = StartErrors(_errors(potential, some, loss), alone, errors.is_muted)
    return errors


def _ways(found: Sequence[Scaling]) -> list[tuple[bool, float]]:
    """Ways to treat new features: with new elements as known ones or not, and t_0."""
    both = (True, False) if any(s.merged is not None for s in found) else (False,)
    return [(alike, limit) for alike in both for limit in LIMITS] + [(False, 0.0)]


def _state(potential: Potential) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in potential.state_dict().items()}


def _errors(potential: Potential, graphs: Sequence[AtomicGraph], loss: Loss) -> dict[str, float]:
    with torch.enable_grad():
        return validate(potential, DataLoader(list(graphs), batch_size=8), loss).errors()
