"""What `info` finds in models and data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator

from nnmd_graph.config.config import parse_config
from nnmd_graph.models.checkpoint import FORMAT_VERSION
from nnmd_graph.workflow import describe_data, describe_model
from nnmd_graph.workflow.building import build_potential


def test_a_model(tmp_path: Path, settings: Callable[..., dict[str, Any]]) -> None:
    potential = build_potential(parse_config(settings()), (8, 29))
    potential.model.baseline.set({8: -1.5, 29: 2.0}, 1.0)
    potential.save(tmp_path / "model.pt")
    facts = describe_model(tmp_path / "model.pt")
    assert facts["elements"] == "O Cu"
    assert facts["cutoff"] == "3.6 Å"
    # Two radial functions for two elements, one angular for three pairs
    assert facts["functions"] == "7 (4 G2, 3 G5)"
    assert facts["parameters"] == str(2 * (7 * 6 + 6 + 6 + 1))
    assert facts["dtype"] == "float32"
    assert facts["format version"] == str(FORMAT_VERSION)
    assert facts["isolated atoms"] == "O -1.5000 eV, Cu 2.0000 eV"
    assert facts["hidden channels"].startswith("6")


def labelled(atoms: Atoms, energy: float, force: float | None) -> Atoms:
    forces = None if force is None else np.full((len(atoms), 3), force)
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
    return atoms


@pytest.mark.filterwarnings("ignore:`frames`")
def test_data(tmp_path: Path) -> None:
    slab = bulk("Cu", cubic=True, a=3.6)
    slab.pbc = (True, True, False)
    turned = bulk("Cu", cubic=True, a=3.6)
    turned.rotate(90, "x", rotate_cell=True)
    frames = [
        labelled(bulk("Cu", cubic=True, a=3.6), -4.0, 0.1),
        labelled(turned, -4.0, 0.1),
        labelled(slab, -8.0, None),
        labelled(molecule("H2O"), -3.0, 0.2),
    ]
    ase.io.write(tmp_path / "a.extxyz", frames)
    facts = describe_data(tmp_path / "a.extxyz", cutoff=3.0)
    assert facts["structures"] == "4"
    assert facts["elements"] == "H 13.3%, O 6.7%, Cu 80.0%"
    assert facts["atoms"] == "15 (3 to 4 per structure)"
    assert facts["periodic"] == (
        "0 directions: 1 (molecules), 2 directions: 1 (slabs), 3 directions: 2 (bulk)"
    )
    assert facts["labels"] == "energy: 4, forces: 3, stress: 0"
    assert facts["energy"] == "-2.0000 to -1.0000 eV/atom"
    assert "largest 0.346 eV/Å" in facts["forces"]
    assert "stress" not in facts
    bulk_neighbors, slab_neighbors, water_neighbors = 8 * 12, 4 * 8, 3 * 2
    mean = (bulk_neighbors + slab_neighbors + water_neighbors) / 15
    assert facts["neighbours"] == f"{mean:.1f} within 3 Å (2 to 12)"
    assert facts["shortest distance"] == "0.969 Å"
    assert facts["equal structures"] == "1"


@pytest.mark.filterwarnings("ignore:`frames`")
@pytest.mark.parametrize(
    ("atoms", "cutoff"),
    [
        (bulk("Cu", cubic=True), "5.5 Å"),
        (bulk("Si", cubic=True), "6 Å"),
        (molecule("CH3CH2OH"), "4.5 Å"),
        (Atoms("Cu"), "4 Å"),
    ],
    ids=["copper", "silicon", "ethanol", "atom"],
)
def test_the_suggested_cutoff(tmp_path: Path, atoms: Atoms, cutoff: str) -> None:
    ase.io.write(tmp_path / "a.extxyz", atoms)
    assert describe_data(tmp_path / "a.extxyz")["suggested cutoff"] == cutoff
