"""Training of potentials on energies, forces and stresses."""

from typing import TYPE_CHECKING

from nnmd_graph.lazy import lazy_names

if TYPE_CHECKING:
    from nnmd_graph.training.callbacks import Callback
    from nnmd_graph.training.loss import EnergyForcesLoss
    from nnmd_graph.training.steps.step import Step
    from nnmd_graph.training.task import DivergedError
    from nnmd_graph.training.trainer import Trainer
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = ["Callback", "DivergedError", "EnergyForcesLoss", "Step", "Trainer"]
