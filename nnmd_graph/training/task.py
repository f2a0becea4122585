"""One epoch of training and one of validation: the physics part of the loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from lightning_fabric import Fabric
from torch_geometric.loader import DataLoader

from nnmd_graph.errors import MessageError
from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.models.checkpoint import not_finite
from nnmd_graph.models.potential import Potential
from nnmd_graph.training.loss import EnergyForcesLoss
from nnmd_graph.training.metrics import RunningErrors


class DivergedError(MessageError):
    """The loss became NaN or infinite."""


def train_epoch(
    fabric: Fabric,
    module: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    loader: DataLoader,
    loss: EnergyForcesLoss,
    *,
    energy_weight: float | None = None,
    gradient_clip: float | None = None,
    after_step: Callable[[], None] | None = None,
    compiled: Callable[[AtomicGraph, float | None], torch.Tensor] | None = None,
) -> float:
    """One pass over the training set; returns its mean loss.

    Steps descend with ``energy_weight``, where it is given; the loss has its own weights. A
    compiled step, where there is one, sets the gradients.
    """
    module.train()
    if isinstance(optimizer, torch.optim.LBFGS):
        return _full_batch_step(fabric, module, optimizer, loader, loss)
    total, batches = 0.0, 0
    for batch in every(loader):
        optimizer.zero_grad()
        if compiled is None:
            out = module(batch, stress=loss.wants("stress"), forces=loss.wants("forces"))
            descended, value = loss.of_step(out, batch, energy_weight)
            check_finite(value)
            fabric.backward(descended)
        else:
            value = compiled(batch, energy_weight)
            check_finite(value)
        if gradient_clip is not None:
            norm = fabric.clip_gradients(
                module, optimizer, max_norm=gradient_clip, error_if_nonfinite=False
            )
            check_finite(torch.as_tensor(norm))
        optimizer.step()
        if after_step is not None:
            after_step()
        total, batches = total + float(value.detach()), batches + 1
    return total / batches


def _full_batch_step(
    fabric: Fabric,
    module: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    loader: DataLoader,
    loss: EnergyForcesLoss,
) -> float:
    """L-BFGS: the loss of the whole set and its gradient, summed over batches."""
    counts: dict[str, torch.Tensor] = {}
    for batch in every(loader):
        for term in loss.weights:
            if loss.wants(term) and term in batch:
                present, weight = torch.isfinite(batch[term]), loss.weight_of(term, batch)
                count = present.sum() if weight is None else (weight * present).sum()
                counts[term] = counts.get(term, torch.zeros_like(count)) + count

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        total = torch.zeros(())
        for batch in every(loader):
            out = module(batch, stress=loss.wants("stress"), forces=loss.wants("forces"))
            sums = loss.squares(out, batch)
            value = loss.total({t: (square, counts[t]) for t, (square, _) in sums.items()})
            check_finite(value)
            fabric.backward(value)
            total = total + value.detach().cpu()
        return total

    # mypy: torch declares the closure to return a float; L-BFGS takes a tensor.
    return float(optimizer.step(closure))  # type: ignore[arg-type]


def validate(potential: Potential, loader: DataLoader, loss: EnergyForcesLoss) -> RunningErrors:
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
    """Batches of all structures of a loader; an epoch that lacks some is no epoch.

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
    """Stop before weights that are no numbers are kept.

    Raises:
        DivergedError: If one is NaN or infinite.
    """
    if wrong := not_finite(potential.state_dict()):
        raise DivergedError(
            f"the weights became NaN or infinite ({wrong[0]}); lower `learning_rate`, set "
            "`gradient_clip`, or look for broken labels in the data"
        )


def check_finite(value: torch.Tensor | float) -> None:
    """Stop before a loss or gradient that is no number spoils the weights.

    Raises:
        DivergedError: If it is NaN or infinite.
    """
    if not bool(torch.isfinite(torch.as_tensor(value))):
        raise DivergedError(
            "the loss became NaN or infinite; lower `learning_rate`, set `gradient_clip`, or look "
            "for broken labels in the data"
        )
