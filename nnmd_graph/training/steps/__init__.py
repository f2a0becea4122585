"""Steps that change the weights: gradient, compiled gradient, L-BFGS, or a user's own."""

from typing import TYPE_CHECKING

from nnmd_graph.lazy import lazy_names

if TYPE_CHECKING:
    from nnmd_graph.training.steps.gradient import GradientStep
    from nnmd_graph.training.steps.step import Step
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = ["GradientStep", "Step"]
