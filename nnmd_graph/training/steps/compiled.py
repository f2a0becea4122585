"""Loss and gradients of a batch as one compiled function, for graph convolutions.

A step of training on forces differentiates twice and so runs some thousand small kernels; their
overhead and their passes over memory are most of its time. Here the whole step, second derivatives
included, is traced once for batches of one size, and compiled into few loops: two to five times as
fast on the CPU for molecules. ``torch.compile`` by itself does not compile a derivative of a
derivative; the traced step holds plain operations only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.models.compiled import compile_traced, why_not_compilable
from nnmd_graph.models.padding import Padding
from nnmd_graph.models.potential import Potential
from nnmd_graph.training.loss import Loss
from nnmd_graph.training.steps.step import Step

ENERGY_WEIGHT = "energy_weight"

COMPILED = ("energy", "forces")
"""Terms of a loss that a compiled step has."""

Compiled = Callable[[list[Tensor], dict[str, Tensor]], list[Tensor]]


def check_compilable(potential: Potential, loss: Loss, step: Step) -> None:
    """Refuse models, losses and steps that cannot be compiled.

    Raises:
        ValueError: If the model is no plain graph convolution network with a shared readout, or
            stress is trained on, or the optimiser takes no gradients of batches.
    """
    reason = why_not_compilable(potential)
    others = [name for name in loss.terms if loss.wants(name) and name not in COMPILED]
    if reason is None and others:
        reason = f"a loss with {others[0]}"
    if reason is None and "compile" in step.unused:
        reason = f"the optimiser {step}"
    if reason is not None:
        raise ValueError(
            "`compile`: expected graph convolutions (GCNN) with a shared readout, trained by steps "
            f"of batches on energies and forces, got {reason}; leave it out"
        )


class CompiledGradients:
    """Sets gradients as ``loss.backward()`` does, with everything compiled into one function.

    The first call compiles, some tens of seconds, and checks loss and gradients against the plain
    step.

    Args:
        potential: Its parameters that are trained at this time get gradients.
        loss: Loss function.
        graphs: Training set, made by :func:`nnmd_graph.models.padding.with_pairs`.
        batch_size: Largest number of structures in a batch.

    Warns:
        RuntimeWarning: If there is no compiler, or its results differ; the plain step stays.
    """

    def __init__(
        self,
        potential: Potential,
        loss: Loss,
        graphs: Sequence[AtomicGraph],
        batch_size: int,
    ) -> None:
        self.potential, self.loss = potential, loss
        self.names = [n for n, p in potential.named_parameters() if p.requires_grad]
        self.padding = Padding(potential.species, potential.cutoff, graphs, batch_size)
        self._step: Compiled | None = None

    def __call__(self, batch: AtomicGraph, energy: float | None = None) -> Tensor:
        """Loss of a batch; the gradients of all parameters are set, not added to.

        The gradients have the weight ``energy`` of the energy, if it is given.
        """
        energy = self.loss.weights["energy"] if energy is None else energy
        fields = self.padding(batch)
        # A tensor: a number would be compiled in. Energies are float64 always.
        fields[ENERGY_WEIGHT] = torch.tensor(energy, dtype=torch.float64, device=batch.pos.device)
        parameters = dict(self.potential.named_parameters())
        weights = [parameters[name] for name in self.names]
        plain = [weight.detach() for weight in weights]
        if self._step is None:
            self._step = self._build(plain, fields)
        loss, *gradients = self._step(plain, fields)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient
        return loss

    def plain(self, weights: list[Tensor], fields: dict[str, Tensor]) -> list[Tensor]:
        """Loss, then its gradient by each parameter, not compiled.

        Args:
            weights: Values of the parameters.
            fields: A batch, made by the padding, and the weight of the energy.
        """
        graph = AtomicGraph()
        for name, value in fields.items():
            if name != ENERGY_WEIGHT:
                graph[name] = value
        leaves = [weight.detach().requires_grad_() for weight in weights]
        with torch.enable_grad():
            out = torch.func.functional_call(
                self.potential,
                dict(zip(self.names, leaves, strict=True)),
                (graph,),
                {"forces": self.loss.wants("forces"), "stress": False},
            )
            descended, loss = self.loss.of_step(out, graph, fields[ENERGY_WEIGHT])
            gradients = torch.autograd.grad(descended, leaves, allow_unused=True)
        return [loss.detach()] + [
            torch.zeros_like(w) if g is None else g for w, g in zip(weights, gradients, strict=True)
        ]

    def _build(self, weights: list[Tensor], fields: dict[str, Tensor]) -> Compiled:
        return compile_traced(
            self.plain, (weights, fields), "the training step", self.potential.dtype
        )
