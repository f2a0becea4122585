"""Representations: AtomicGraph -> features x [N, F] of every atom."""

from nnmd_graph.representations.acsf import ACSF
from nnmd_graph.representations.embedded_acsf import EmbeddedACSF
from nnmd_graph.representations.graph_convolutions import GraphConvolutions
from nnmd_graph.representations.selection import select_functions
from nnmd_graph.representations.stacked import StackedConvolutions, stack
from nnmd_graph.representations.symmetry_functions import G1, G2, G3, G4, G5, SymmetryFunction

__all__ = [
    "ACSF",
    "G1",
    "G2",
    "G3",
    "G4",
    "G5",
    "EmbeddedACSF",
    "GraphConvolutions",
    "StackedConvolutions",
    "SymmetryFunction",
    "select_functions",
    "stack",
]
