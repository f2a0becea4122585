"""Representations: AtomicGraph -> features x [N, F] of every atom."""

from typing import TYPE_CHECKING

from nnmd_graph.lazy import lazy_names

# Registers its functions for files and configs, whatever else is used
from nnmd_graph.representations import polynomial_functions as _polynomials  # noqa: F401

if TYPE_CHECKING:
    from nnmd_graph.representations.acsf import ACSF
    from nnmd_graph.representations.embedded_acsf import EmbeddedACSF
    from nnmd_graph.representations.graph_convolutions import GraphConvolutions
    from nnmd_graph.representations.representation import FixedRepresentation, Representation
    from nnmd_graph.representations.selection import select_functions
    from nnmd_graph.representations.stacked import StackedConvolutions, stack
    from nnmd_graph.representations.symmetry_functions import G1, G2, G3, G4, G5, SymmetryFunction
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
