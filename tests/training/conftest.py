"""A few copper cells with EMT labels, tiny models, and a loss that can break a run off."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from nnmd_graph.data import AtomsDataset
from nnmd_graph.models import BPNN, Potential
from nnmd_graph.models.potential import Prediction
from nnmd_graph.representations import ACSF, G2, G5
from nnmd_graph.training import EnergyForcesLoss, Trainer

CUTOFF = 3.6


def copper(num_frames: int, *, seed: int = 0, energy_offset: float = 0.0) -> list[Atoms]:
    """Rattled and stretched cells of four atoms with energy, forces and stress."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(num_frames):
        atoms = bulk("Cu", cubic=True, a=3.6 * rng.uniform(0.97, 1.05))
        atoms.positions += rng.normal(scale=0.06, size=(4, 3))
        atoms.calc = EMT()
        labels = {
            "energy": atoms.get_potential_energy() + energy_offset * len(atoms),
            "forces": atoms.get_forces(),
            "stress": atoms.get_stress(),
        }
        atoms.calc = SinglePointCalculator(atoms, **labels)
        frames.append(atoms)
    return frames


def dataset(frames: list[Atoms], **keywords: Any) -> AtomsDataset:
    return AtomsDataset(frames, CUTOFF, **keywords)


def potential(
    seed: int = 0, *, species: Any = ("Cu",), dtype: torch.dtype = torch.float32
) -> Potential:
    functions = [
        G2(eta=0.1, r_s=0.0),
        G2(eta=2.0, r_s=2.2),
        G2(eta=4.0, r_s=2.7),
        G5(eta=0.05, zeta=1.0, lam=-1.0),
        G5(eta=0.05, zeta=4.0, lam=1.0),
    ]
    model = BPNN(ACSF(species, CUTOFF, functions), hidden_channels=(8,), seed=seed)
    return Potential(model.to(dtype))


class BreakingLoss(EnergyForcesLoss):
    """Raises an error the n-th time that it is computed: in the middle of an epoch."""

    def __init__(self, at_call: int, error: type[BaseException] = KeyboardInterrupt) -> None:
        super().__init__()
        self.calls_left = at_call
        self.error = error

    def sums(self, out: Prediction, graph: Any) -> Any:
        self.calls_left -= 1
        if self.calls_left == 0:
            raise self.error
        return super().sums(out, graph)


Fit = Callable[..., tuple[Potential, list[dict[str, float]]]]


@pytest.fixture(scope="session")
def train() -> AtomsDataset:
    return dataset(copper(8))


@pytest.fixture(scope="session")
def val() -> AtomsDataset:
    return dataset(copper(3, seed=1))


@pytest.fixture
def fit(train: AtomsDataset, val: AtomsDataset) -> Fit:
    """Train a new tiny potential for a few epochs; returns it and its history."""

    def run(
        resume: bool = False, model: Potential | None = None, **settings: Any
    ) -> tuple[Potential, list[dict[str, float]]]:
        model = potential() if model is None else model
        defaults: dict[str, Any] = {"max_epochs": 3, "batch_size": 4, "device": "cpu"}
        data = {"train": train, "val": val}
        for name in data:
            data[name] = settings.pop(name, data[name])
        history = Trainer(**(defaults | settings)).fit(model, **data, resume=resume)
        return model, history

    return run


def same_weights(a: Potential, b: Potential) -> bool:
    """Whether every weight and every buffer is the same to the last bit."""
    x, y = a.state_dict(), b.state_dict()
    return x.keys() == y.keys() and all(torch.equal(x[name], y[name]) for name in x)


def without_seconds(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history]
