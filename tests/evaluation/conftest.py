"""Structures of two elements with labels that a known potential gives, and one to be evaluated."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator

from nnmd_graph.data import AtomsDataset
from nnmd_graph.models import BPNN, Potential
from nnmd_graph.representations import ACSF, G2, G5

CUTOFF = 4.0


def _potential(seed: int = 0) -> Potential:
    functions = [G2(eta=0.3, r_s=0.0), G2(eta=2.0, r_s=2.5), G5(eta=0.05, zeta=2.0, lam=1.0)]
    model = BPNN(ACSF(("Cu", "O"), CUTOFF, functions), hidden_channels=(8,), seed=seed)
    return Potential(model.to(torch.float64)).eval()


def _frames(num_frames: int = 6) -> list[Atoms]:
    """Crystals of different sizes and a molecule, with random labels."""
    rng = np.random.default_rng(0)
    frames = []
    for n in range(num_frames):
        if n == num_frames - 1:
            atoms = molecule("H2O")
            atoms.numbers = [8, 29, 29]
            atoms.positions *= 1.8
            atoms.info["config_type"] = "molecule"
        else:
            atoms = bulk("CuO", "rocksalt", a=4.2) * (1 + n % 3, 1, 1)
            atoms.rattle(0.1, seed=n)
            atoms.info["config_type"] = "crystal"
        stress = rng.normal(scale=0.02, size=6) if atoms.cell.volume else None
        labels = {"energy": rng.normal(), "forces": rng.normal(size=(len(atoms), 3))}
        if stress is not None:
            labels["stress"] = stress
        atoms.calc = SinglePointCalculator(atoms, **labels)
        frames.append(atoms)
    return frames


@pytest.fixture
def potential() -> Potential:
    return _potential()


@pytest.fixture
def frames() -> list[Atoms]:
    return _frames()


@pytest.fixture
def make_dataset() -> Callable[[list[Atoms]], AtomsDataset]:
    def make(frames: list[Atoms]) -> AtomsDataset:
        return AtomsDataset(frames, CUTOFF, dtype=torch.float64)

    return make


@pytest.fixture
def dataset(
    frames: list[Atoms], make_dataset: Callable[[list[Atoms]], AtomsDataset]
) -> AtomsDataset:
    with pytest.warns(UserWarning, match="1 have no stress"):
        return make_dataset(frames)
