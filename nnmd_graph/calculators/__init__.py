"""Engines that a `Potential` drives: ASE."""

from nnmd_graph.calculators.ase import NNMDCalculator

__all__ = ["NNMDCalculator"]
