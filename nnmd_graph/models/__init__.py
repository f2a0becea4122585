"""Models: a representation and a readout make an energy; a potential adds forces and stress."""

from nnmd_graph.models.committee import Committee
from nnmd_graph.models.energy_model import BPNN, EnergyModel
from nnmd_graph.models.extension import extend_species
from nnmd_graph.models.extrapolation import (
    Extrapolation,
    ExtrapolationError,
    ExtrapolationReport,
)
from nnmd_graph.models.gcnn import GCNN
from nnmd_graph.models.potential import Potential

__all__ = [
    "BPNN",
    "GCNN",
    "Committee",
    "EnergyModel",
    "Extrapolation",
    "ExtrapolationError",
    "ExtrapolationReport",
    "Potential",
    "extend_species",
]
