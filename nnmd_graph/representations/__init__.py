"""Representations: AtomicGraph -> features x [N, F] of every atom."""

from typing import TYPE_CHECKING

from nnmd_graph.lazy import lazy_names

if TYPE_CHECKING:
    from nnmd_graph.representations.graph_convolutions import GraphConvolutions
    from nnmd_graph.representations.representation import FixedRepresentation, Representation
    from nnmd_graph.representations.stacked import StackedConvolutions, stack
    from nnmd_graph.representations.symmetry.acsf import ACSF
    from nnmd_graph.representations.symmetry.embedded import EmbeddedACSF
    from nnmd_graph.representations.symmetry.functions import G1, G2, G3, G4, G5, SymmetryFunction
    from nnmd_graph.representations.symmetry.selection import select_functions
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "ACSF",
    "G1",
    "G2",
    "G3",
    "G4",
    "G5",
    "EmbeddedACSF",
    "FixedRepresentation",
    "GraphConvolutions",
    "Representation",
    "StackedConvolutions",
    "SymmetryFunction",
    "select_functions",
    "stack",
]
