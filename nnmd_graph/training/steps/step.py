"""Contract of every optimiser: the change of weights in an epoch."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim.swa_utils import AveragedModel
from torch_geometric.loader import DataLoader

from nnmd_graph.errors import reason
from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.models.potential import Potential
from nnmd_graph.training.loss import Loss
from nnmd_graph.training.optimization import running_average
from nnmd_graph.training.settings import TrainingSettings
from nnmd_graph.training.task import check_finite
from nnmd_graph.training.transfer import rate_factors

Gradients = Callable[[AtomicGraph, float | None], Tensor]
"""Loss of a batch; the gradients of all parameters are set, with a weight of the energy."""


class Step(ABC):
    """Changes the weights by one epoch of training.

    A step of one's own gives :meth:`epoch`, and ``Trainer(optimizer=MyStep)`` takes the class, or
    an object where it has arguments; these are plain values that it keeps under their names. What
    it remembers from one batch to the next belongs into ``optimizer.state``, by parameter, or into
    :meth:`state_dict`: a resumed run then ends where an unbroken one does.

    Attributes:
        default_learning_rate: Rate where `learning_rate` is None; None: that of the optimiser.
        default_gradient_clip: Largest norm of the gradient where `gradient_clip` is None; 0: any.
        full_batch: Whether an epoch is one step on the whole set, whose order then does not matter.
        averages: Whether it calls :meth:`update_average` after each change of the weights; else
            the weights of the end of an epoch are validated and kept.
        passes: Approximate number of passes over the training set per epoch.
        unused: Settings that it has no use for; one that is given is an error.
        optimizer: Holds the parameters, and their learning rates as the schedule sets them, in
            ``param_groups``; made by :meth:`make_optimizer`.
        gradients: ``gradients(batch, energy_weight)`` sets the gradients, where a parameter has
            one, and gives the loss of the batch, a tensor.
        potential: What is trained.
        module: The same, to be called with batches where gradients are taken by hand, with
            ``fabric.backward(loss)``.
        loss: Loss function.
        gradient_clip: Largest norm of the gradient; 0: any.
        average: Running average of the weights; None: there is none.
    """

    default_learning_rate: float | None = 5e-3
    default_gradient_clip: float = 0.0
    full_batch: bool = False
    averages: bool = False
    passes: float = 1.0
    unused: Sequence[str] = ("weight_decay", "gradient_clip")

    optimizer: Any
    gradients: Gradients
    potential: Potential
    module: torch.nn.Module
    fabric: Fabric
    loss: Loss
    gradient_clip: float
    average: AveragedModel | None

    @abstractmethod
    def epoch(self, loader: DataLoader, energy_weight: float | None) -> float:
        """Change the weights by one pass over the training set, and return its mean loss.

        Args:
            loader: Batches of the training set, on the device; in another order each time, unless
                ``full_batch``.
            energy_weight: Weight of the energy that steps descend with; None: that of the loss.
        """

    def make_optimizer(
        self, parameters: Sequence[Any], learning_rate: float, weight_decay: float
    ) -> torch.optim.Optimizer:
        """An optimiser of parameters, or of groups of them; plain gradient descent."""
        return torch.optim.SGD(parameters, lr=learning_rate)

    def state_dict(self) -> dict[str, Any]:
        """State for a checkpoint: tensors and plain values."""
        state: dict[str, Any] = self.optimizer.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.optimizer.load_state_dict(state)

    def update_average(self) -> None:
        """Update the average of the weights, after each change of them."""
        if self.average is not None:
            self.average.update_parameters(self.potential)

    def clip_gradients(self) -> None:
        """Shorten the gradient to the largest norm."""
        if self.gradient_clip:
            norm = self.fabric.clip_gradients(
                self.module, self.optimizer, max_norm=self.gradient_clip, error_if_nonfinite=False
            )
            check_finite(torch.as_tensor(norm))

    # -- for the trainer -----------------------------------------------------------------------
    def check(self, settings: TrainingSettings) -> torch.optim.Optimizer:
        """Check that the settings apply, and return an optimiser.

        Raises:
            ValueError: If it has none for a setting, or no optimiser can be made.
            TypeError: If what it makes is no optimiser.
        """
        for name in self.unused:
            value = getattr(settings, name)
            if value and name != "compile":  # that is checked together with the model
                raise ValueError(
                    f"`{name}`: expected None, got {value}; such settings are not for {self}: "
                    "leave it out"
                )
        try:
            parameter = torch.nn.Parameter(torch.zeros(1))
            made = self.make_optimizer([parameter], self._rate(settings), settings.weight_decay)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"`optimizer`: expected what makes an optimiser of parameters, got {self}, which "
                f"fails: {reason(error)}; mend it, or give its other arguments by functools.partial"
            ) from error
        if not isinstance(made, torch.optim.Optimizer):
            raise TypeError(
                f"`optimizer`: expected what makes a torch.optim.Optimizer, got {self}, which "
                f"makes {type(made).__name__}; return the optimiser"
            )
        return made

    def start(
        self,
        potential: Potential,
        loss: Loss,
        settings: TrainingSettings,
        fabric: Fabric,
        gradients: Gradients | None = None,
    ) -> torch.optim.Optimizer:
        """Prepare for the first epoch; return the optimiser, whose rates the schedule sets."""
        trained = {name: p for name, p in potential.named_parameters() if p.requires_grad}
        factors: dict[str, float] = {}
        if "learning_rates" not in self.unused:
            factors = rate_factors(potential, settings.learning_rates)
        # The full rate comes first: it is the one in the log
        groups: dict[float, list[Tensor]] = {1.0: []}
        for name, p in trained.items():
            groups.setdefault(factors.get(name, 1.0), []).append(p)
        optimizer = self.make_optimizer(
            [{"params": p} for p in groups.values()] if factors else list(trained.values()),
            self._rate(settings),
            settings.weight_decay,
        )
        for group, factor in zip(optimizer.param_groups, groups, strict=False):
            group["lr"] = factor * group["lr"]
        self.potential, self.loss, self.fabric = potential, loss, fabric
        self.module, self.optimizer = fabric.setup(potential, optimizer)
        self.gradients = gradients or self._plain_gradients
        clip = settings.gradient_clip
        self.gradient_clip = self.default_gradient_clip if clip is None else clip
        self.average = None
        if self.averages and settings.ema_decay > 0.0:
            average = running_average(settings.ema_decay)
            self.average = AveragedModel(potential, multi_avg_fn=average)
        return optimizer

    def _plain_gradients(self, batch: AtomicGraph, energy_weight: float | None) -> Tensor:
        self.module.zero_grad()
        wants = self.loss.wants
        out = self.module(batch, stress=wants("stress"), forces=wants("forces"))
        descended, value = self.loss.of_step(out, batch, energy_weight)
        check_finite(value)
        self.fabric.backward(descended)
        return value.detach()

    def _rate(self, settings: TrainingSettings) -> Any:
        rate = settings.learning_rate
        return self.default_learning_rate if rate is None else rate

    def __str__(self) -> str:
        return type(self).__name__


def name_of(value: Any) -> str:
    """Identity of an optimiser in a checkpoint: where it is defined, and its arguments."""
    if isinstance(value, partial):
        arguments = [*map(name_of, value.args), *_listed(value.keywords)]
        return f"{name_of(value.func)}({', '.join(arguments)})"
    if inspect.isclass(value) or inspect.isroutine(value):
        return f"{value.__module__}.{value.__qualname__}"
    if callable(value) or isinstance(value, Step):
        return f"{name_of(type(value))}({', '.join(_listed(vars(value)))})"
    return str(value)


def _listed(values: Mapping[str, Any]) -> list[str]:
    return [f"{name}={name_of(value)}" for name, value in sorted(values.items())]
