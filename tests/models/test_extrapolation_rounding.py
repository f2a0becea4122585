"""Extrapolation that rounding alone would make: positions in float32, nets in float64, and back."""

from pathlib import Path

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk

from nnmd_graph.formats.n2p2 import load_n2p2, save_n2p2
from nnmd_graph.graph import AtomicGraph
from nnmd_graph.models import BPNN, Potential
from nnmd_graph.models.extrapolation import counted
from nnmd_graph.representations import ACSF, G2, G4, G5
from nnmd_graph.representations.limits import ROUNDING, rounding
from nnmd_graph.training.preparation import fit_features, widen_ranges

BOTH = (torch.float32, torch.float64)
FUNCTIONS = [
    G2(eta=4.0, r_s=2.5),
    G2(eta=0.1),
    G4(eta=0.05, zeta=4.0, lam=1.0),
    G5(eta=0.1, zeta=16.0, lam=-1.0),
]


def frames(far: float = 0.0) -> list[ase.Atoms]:
    found = []
    for seed in range(6):
        atoms = bulk("Cu", cubic=True) * (2, 2, 2)
        atoms.rattle(0.1, seed=seed)
        atoms.positions += far + np.pi
        found.append(atoms)
    return found


def graphs(dtype: torch.dtype, far: float = 0.0) -> list[AtomicGraph]:
    return [AtomicGraph.from_atoms(atoms, 5.0, dtype=dtype) for atoms in frames(far)]


@pytest.mark.slow
@pytest.mark.parametrize("far", [0.0, 50.0])
@pytest.mark.parametrize("trained", BOTH)
@pytest.mark.parametrize("used", BOTH)
@pytest.mark.parametrize("model", BOTH)
def test_training_atoms_are_inside_in_any_precision(
    far: float, trained: torch.dtype, used: torch.dtype, model: torch.dtype
) -> None:
    potential = Potential(BPNN(ACSF(["Cu"], 5.0, FUNCTIONS), (4,)).to(model)).eval()
    known = [potential.cast(graph) for graph in graphs(trained, far)]
    fit_features(potential, known, seed=0)
    widen_ranges(potential, known)
    for graph in graphs(used, far):
        assert len(potential.extrapolation(graph)) == 0
        assert counted(potential, graph, forces=False, stress=False)[1] == 0
    squeezed = frames()[0]
    squeezed.set_cell(0.97 * squeezed.cell, scale_atoms=True)
    graph = AtomicGraph.from_atoms(squeezed, 5.0, dtype=used)
    assert len(potential.extrapolation(graph)) > 20


def test_precision_is_that_of_the_positions_whatever_their_type() -> None:
    near = graphs(torch.float32)[0]
    cast, far = near.clone(), near.clone()  # a graph of Atoms would be placed near the origin
    far.pos = near.pos + 50.0
    cast.pos, cast.cell = near.pos.double(), near.cell.double()
    assert torch.equal(rounding(cast), rounding(near))
    assert float(rounding(far).min()) > float(rounding(near).max()) > ROUNDING[torch.float64]
    assert set(rounding(graphs(torch.float64)[0]).tolist()) == {ROUNDING[torch.float64]}


@pytest.mark.slow
@pytest.mark.parametrize("trained", BOTH)
@pytest.mark.parametrize("model", BOTH)
@pytest.mark.parametrize("kind", ["decorrelated", "none"])
def test_limits_in_written_files_hold_the_training_atoms(
    tmp_path: Path, trained: torch.dtype, model: torch.dtype, kind: str
) -> None:
    energy_model = BPNN(ACSF(["Cu"], 5.0, FUNCTIONS), (4,))
    if kind == "none":
        energy_model.scaler = None
    potential = Potential(energy_model.to(model)).eval()
    fit_features(potential, [potential.cast(graph) for graph in graphs(trained)], seed=0)
    save_n2p2(potential, tmp_path)
    again = load_n2p2(tmp_path)
    for graph in graphs(torch.float64):
        assert len(again.extrapolation(graph)) == 0
