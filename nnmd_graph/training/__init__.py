"""Training of potentials on energies, forces and stresses."""

from nnmd_graph.training.loss import EnergyForcesLoss
from nnmd_graph.training.trainer import Trainer

__all__ = ["EnergyForcesLoss", "Trainer"]
