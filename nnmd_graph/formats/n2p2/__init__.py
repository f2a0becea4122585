"""Potentials of n2p2, RuNNer and LAMMPS (`pair_style hdnnp`)."""

from nnmd_graph.formats.n2p2.read import load_n2p2
from nnmd_graph.formats.n2p2.write import save_n2p2

__all__ = ["load_n2p2", "save_n2p2"]
