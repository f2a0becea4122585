"""Training of potentials on energies, forces and stresses."""

from nnmd_graph.training.loss import EnergyForcesLoss
from nnmd_graph.training.task import DivergedError
from nnmd_graph.training.trainer import Trainer

__all__ = ["DivergedError", "EnergyForcesLoss", "Trainer"]
