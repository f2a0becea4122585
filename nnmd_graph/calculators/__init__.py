"""Other engines: ASE drives a `Potential`; n2p2, RuNNer and LAMMPS take and give files."""

from nnmd_graph.calculators.ase import NNMDCalculator
from nnmd_graph.calculators.n2p2 import load_n2p2
from nnmd_graph.calculators.n2p2_write import save_n2p2

__all__ = ["NNMDCalculator", "load_n2p2", "save_n2p2"]
