"""Loss and gradients of a batch as one compiled function, for graph convolutions.

A step of training on forces differentiates twice and so runs some thousand small kernels; their
overhead and their passes over memory are most of its time. Here the whole step, second derivatives
included, is traced once for batches of one size, and compiled into few loops: two to five times as
fast on the CPU for molecules. ``torch.compile`` by itself does not compile a derivative of a
derivative; the traced step holds plain operations only.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.models.padding import Padding
from nnmd_graph.models.potential import Potential
from nnmd_graph.models.shared_readout import SharedReadout
from nnmd_graph.representations.graph_convolutions import GraphConvolutions
from nnmd_graph.training.loss import EnergyForcesLoss

TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-9}
"""Largest difference between compiled and plain gradients, over the largest gradient."""

Step = Callable[[list[Tensor], dict[str, Tensor]], list[Tensor]]


def check_compilable(potential: Potential, loss: EnergyForcesLoss, optimizer: str) -> None:
    """Refuse what has no compiled training step.

    Raises:
        ValueError: If the model is no plain graph convolution network with a shared readout, or
            stress is trained on, or the optimiser is L-BFGS.
    """
    model = potential.model
    reason = ""
    if type(model.representation) is not GraphConvolutions:
        reason = f"the representation {type(model.representation).__name__}"
    elif not isinstance(model.readout, SharedReadout):
        reason = f"the readout {type(model.readout).__name__}"
    elif loss.wants("stress"):
        reason = "a loss with stress"
    elif optimizer == "lbfgs":
        reason = "the optimiser lbfgs"
    if reason:
        raise ValueError(
            "`compile` needs graph convolutions (GCNN) with a shared readout, trained by adam or "
            f"adamw on energies and forces, got {reason}; leave it out"
        )


class CompiledStep:
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
        loss: EnergyForcesLoss,
        graphs: Sequence[AtomicGraph],
        batch_size: int,
    ) -> None:
        self.potential, self.loss = potential, loss
        self.names = [n for n, p in potential.named_parameters() if p.requires_grad]
        self.padding = Padding(potential.species, potential.cutoff, graphs, batch_size)
        self._step: Step | None = None

    def __call__(self, batch: AtomicGraph) -> Tensor:
        """Loss of a batch; the gradients of all parameters are set, not added to."""
        fields = self.padding(batch)
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
            fields: A batch, made by the padding.
        """
        graph = AtomicGraph()
        for name, value in fields.items():
            graph[name] = value
        leaves = [weight.detach().requires_grad_() for weight in weights]
        with torch.enable_grad():
            out = torch.func.functional_call(
                self.potential,
                dict(zip(self.names, leaves, strict=True)),
                (graph,),
                {"forces": self.loss.wants("forces"), "stress": False},
            )
            loss = self.loss.of_step(out, graph)
            gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
        return [loss.detach()] + [
            torch.zeros_like(w) if g is None else g for w, g in zip(weights, gradients, strict=True)
        ]

    def _build(self, weights: list[Tensor], fields: dict[str, Tensor]) -> Step:
        expected = self.plain(weights, fields)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the compiler about itself
                traced = make_fx(lambda w, f: self.plain(w, f))(weights, fields)
                traced.graph.eliminate_dead_code()
                traced.recompile()
                compiled: Step = torch.compile(traced, fullgraph=True, dynamic=False)
                results = compiled(weights, fields)
        except Exception as error:  # whatever a missing or broken compiler raises
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            return self._stay_plain(f"no compiler works here ({reason[:200]})")
        limit = TOLERANCE[self.potential.dtype] * max(float(g.abs().max()) for g in expected)
        for one, other in zip(expected, results, strict=True):
            if not float((one - other).abs().max()) <= limit:
                return self._stay_plain("compiled gradients differ from plain ones")
        return compiled

    def _stay_plain(self, reason: str) -> Step:
        warnings.warn(f"the training step stays uncompiled, {reason}", RuntimeWarning, stacklevel=2)
        return self.plain
