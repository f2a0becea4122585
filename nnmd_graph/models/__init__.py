"""Models: representation and readout give an energy; a potential adds forces and stress."""

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
from nnmd_graph.models.readout import Readout
from nnmd_graph.models.sum_model import SumModel
from nnmd_graph.models.term import EnergyTerm
from nnmd_graph.models.terms.repulsion import ZBL

__all__ = [
    "BPNN",
    "GCNN",
    "ZBL",
    "Committee",
    "EnergyModel",
    "EnergyTerm",
    "Extrapolation",
    "ExtrapolationError",
    "ExtrapolationReport",
    "Potential",
    "Readout",
    "SumModel",
    "extend_species",
]
