"""Extrapolation warnings against those that n2p2 printed, line by line."""

import re

import pytest
import torch
from torch_geometric.data import Batch

from nnmd_graph.formats.n2p2.read import load_n2p2
from nnmd_graph.graph import AtomicGraph


@pytest.mark.parametrize("name", ["Cu_narrow_G4", "syn_comp_20_21_22_p4a", "syn_weighted_12_13"])
def test_counts_of_n2p2(n2p2, name: str) -> None:
    """Also where a value lies on the end of its range to the last digit."""
    reference = n2p2(name)
    units = ("angstrom", "eV") if name.startswith("Cu_") else ("bohr", "hartree")
    potential = load_n2p2(reference.folder, length_unit=units[0], energy_unit=units[1])
    counts = reference.rows("energies.dat")[:, 6].astype(int).tolist()
    for n, atoms in reference.structures().items():
        graph = AtomicGraph.from_atoms(atoms, potential.cutoff, dtype=torch.float64)
        assert len(potential.extrapolation(graph)) == counts[n - 1]


def test_every_warning_of_n2p2(n2p2) -> None:
    """Six structures of O and H with limits that were narrowed by 5 % on both sides.

    The third structure has an atom without neighbours, whose functions are all zero.
    """
    reference = n2p2("syn_extrapolation")
    printed = (reference.folder / "stderr.txt").read_text()
    potential = load_n2p2(reference.folder, length_unit="bohr", energy_unit="hartree")
    graphs = [
        AtomicGraph.from_atoms(atoms, potential.cutoff, dtype=torch.float64)
        for _, atoms in sorted(reference.structures().items())
    ]
    report = potential.extrapolation(Batch.from_data_list(graphs))
    assert len(report) == 498
    counts = reference.rows("energies.dat")[:, 6].astype(int).tolist()
    assert report.per_structure.tolist() == counts
    # Values have four digits there; where n2p2 has exactly zero, ours may be 1e-16.
    ours, theirs = ([*re.split(r"VALUE: *\S+", text)] for text in (report.text(), printed))
    assert ours == theirs
    values = [float(value) for value in re.findall(r"VALUE: *(\S+)", printed)]
    assert [one.value for one in report] == pytest.approx(values, rel=5e-4, abs=1e-12)
