"""Symmetry functions: sums over the neighbours of an atom that no rotation changes."""

# Registers its functions for files and configs, whatever else is used
from nnmd_graph.representations.symmetry import polynomials as polynomials
