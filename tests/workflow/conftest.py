"""Small copper cells with EMT labels, in files, and settings that train on them in a second."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

SMALL: dict[str, Any] = {
    "model": {
        "cutoff": 3.6,
        "hidden_channels": [6],
        "representation": {
            "functions": [
                {"type": "G2", "eta": 0.1},
                {"type": "G2", "eta": 4.0, "r_s": 2.5},
                {"type": "G5", "eta": 0.05, "zeta": 2.0, "lam": 1.0},
            ]
        },
    },
    "training": {"max_epochs": 3, "checkpoint_seconds": 0},
}


def copper(num_frames: int = 12, seed: int = 0) -> list[Atoms]:
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(num_frames):
        atoms = bulk("Cu", cubic=True, a=3.6 * rng.uniform(0.97, 1.05))
        atoms.positions += rng.normal(scale=0.06, size=(4, 3))
        atoms.calc = EMT()
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        stress = atoms.get_stress()
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces, stress=stress)
        frames.append(atoms)
    return frames


@pytest.fixture
def data(tmp_path: Path) -> Path:
    ase.io.write(tmp_path / "copper.extxyz", copper())
    return tmp_path / "copper.extxyz"


@pytest.fixture
def settings(data: Path) -> Callable[..., dict[str, Any]]:
    """Give the settings, with changes of the training section."""

    def make(**training: Any) -> dict[str, Any]:
        return SMALL | {
            "data": {"train": str(data)},
            "training": SMALL["training"] | training,
        }

    return make


@pytest.fixture(autouse=True)
def quick_plots(request: pytest.FixtureRequest) -> None:
    """Leave the drawing out; some tests draw."""
    if "writes" not in request.node.name and "written" not in request.node.name:
        request.getfixturevalue("no_plots_of_runs")
