"""Checks of every pass over a data set, and the pass of validation."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch_geometric.loader import DataLoader

from nnmd_graph.errors import MessageError
from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.models.checkpoint import not_finite
from nnmd_graph.models.potential import Potential
from nnmd_graph.training.loss import Loss
from nnmd_graph.training.metrics import RunningErrors


class DivergedError(MessageError):
    """The loss became NaN or infinite."""


def validate(potential: Potential, loader: DataLoader, loss: Loss) -> RunningErrors:
    """Errors of a potential over a data set."""
    was_training = potential.training
    potential.eval()
    errors = RunningErrors(loss)
    for batch in every(loader):
        batch = batch.to(potential.device)
        stress = "stress" in batch and loss.wants("stress")
        errors.add(potential(batch, forces="forces" in batch, stress=stress), batch)
    potential.train(was_training)
    return errors


def every(loader: DataLoader) -> Iterator[AtomicGraph]:
    """Batches of all structures of a loader; an epoch without some of them is refused.

    Raises:
        RuntimeError: If the batches together hold more or fewer structures than the set.
    """
    seen, expected = 0, len(loader.dataset)
    for batch in loader:
        seen += int(batch.num_graphs)
        yield batch
    if seen != expected:
        raise RuntimeError(
            f"`loader`: expected all {expected} structures in an epoch, got {seen}; do not drop "
            "incomplete batches"
        )


def check_finite_weights(potential: torch.nn.Module) -> None:
    """Stop before weights that are not finite are kept.

    Raises:
        DivergedError: If one is NaN or infinite.
    """
    if wrong := not_finite(potential.state_dict()):
        raise DivergedError(
            f"the weights became NaN or infinite ({wrong[0]}); lower `learning_rate`, set "
            "`gradient_clip`, or look for broken labels in the data"
        )


def check_finite(value: torch.Tensor | float) -> None:
    """Stop before a loss or gradient that is not finite spoils the weights.

    Raises:
        DivergedError: If it is NaN or infinite.
    """
    if not bool(torch.isfinite(torch.as_tensor(value))):
        raise DivergedError(
            "the loss became NaN or infinite; lower `learning_rate`, set `gradient_clip`, or look "
            "for broken labels in the data"
        )
