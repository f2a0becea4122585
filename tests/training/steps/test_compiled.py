"""The compiled training step: gradients of the plain one, the same training."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch_geometric.data import Batch

from nnmd_graph.data import AtomsDataset
from nnmd_graph.models import GCNN, Potential
from nnmd_graph.models.padding import with_pairs
from nnmd_graph.training import EnergyForcesLoss, Trainer
from nnmd_graph.training.steps.compiled import (
    ENERGY_WEIGHT,
    CompiledGradients,
    check_compilable,
)
from nnmd_graph.training.steps.named import find_step

from ..conftest import CUTOFF, copper, dataset, potential

HAS_COMPILER = any(map(shutil.which, ("c++", "g++", "clang++")))
needs_compiler = pytest.mark.skipif(not HAS_COMPILER, reason="needs a C++ compiler")


def network(seed: int = 0, **keywords: Any) -> Potential:
    options = {"conv": "schnet", "num_layers": 1, "hidden_channels": 4, "num_rbf": 4} | keywords
    return Potential(GCNN(("Cu",), CUTOFF, seed=seed, **options))


def weighted(num_frames: int) -> AtomsDataset:
    frames = copper(num_frames)
    for n, frame in enumerate(frames):
        frame.info["weight"] = 1.0 + n
    return dataset(frames, weight_key="weight")


def step_and_batch(model: Potential, data: AtomsDataset, loss: EnergyForcesLoss) -> Any:
    graphs = [with_pairs(model.cast(graph), model.species) for graph in data]
    loss = loss.for_training(data)
    step = CompiledGradients(model, loss, graphs, 3)
    return step, Batch.from_data_list(graphs[:2]), loss


@pytest.mark.parametrize("conv", ["schnet", "painn", "tensornet"])
@pytest.mark.parametrize("element_weights", [None, {"Cu": 2.0}])
def test_plain_gradients(float64: None, conv: str, element_weights: Any) -> None:
    model = network(conv=conv).double().train()
    loss = EnergyForcesLoss(element_weights=element_weights)
    step, batch, loss = step_and_batch(model, weighted(4), loss)
    weights = [parameter.detach() for parameter in model.parameters()]
    fields = step.padding(batch) | {ENERGY_WEIGHT: torch.tensor(7.0)}
    found, *gradients = step.plain(weights, fields)
    descended, expected = loss.of_step(model(batch, stress=False), batch, 7.0)
    descended.backward()
    torch.testing.assert_close(found, expected.detach())
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        known = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(gradient, known)


@pytest.mark.slow
@needs_compiler
def test_compiled_training(float64: None, tmp_path: Path) -> None:
    """Training, and going on after a stop."""
    data = dataset(copper(8))
    torch._dynamo.reset()

    def run(epochs: int, compile: bool, output: Path | None, resume: bool = False) -> Any:
        model = network().double()
        trainer = Trainer(
            max_epochs=epochs, batch_size=3, learning_rate=1e-3, schedule="exponential",
            loss=EnergyForcesLoss(energy_start=2.0), compile=compile, output=output, device="cpu",
        )  # fmt: skip
        return model, trainer.fit(model, data, data[:2], resume=resume)

    plain, expected = run(3, False, None)
    run(1, True, tmp_path)
    fast, history = run(3, True, tmp_path, resume=True)
    assert [row["train_loss"] for row in history] == pytest.approx(
        [row["train_loss"] for row in expected], rel=1e-9
    )
    for one, other in zip(plain.parameters(), fast.parameters(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.slow
def test_without_a_compiler_the_plain_step_stays(float64: None, no_compiler: None) -> None:
    model = network(hidden_channels=3).double().train()
    step, batch, loss = step_and_batch(model, dataset(copper(4)), EnergyForcesLoss())
    with pytest.warns(RuntimeWarning, match="training step stays uncompiled, no compiler works"):
        found = step(batch)
    assert found == loss.of_step(model(batch, stress=False), batch)[1]
    assert step._step == step.plain


@pytest.mark.parametrize(
    ("model", "loss", "optimizer", "named"),
    [
        (lambda: potential(), EnergyForcesLoss(), "adamw", "the representation ACSF"),
        (lambda: network(readout="element"), EnergyForcesLoss(), "adamw", "the readout Element"),
        (network, EnergyForcesLoss(stress=1.0), "adamw", "a loss with stress"),
        (network, EnergyForcesLoss(), "lbfgs", "the optimiser L-BFGS"),
    ],
    ids=["acsf", "readout", "stress", "lbfgs"],
)
def test_what_is_not_compiled(model: Any, loss: Any, optimizer: str, named: str) -> None:
    with pytest.raises(ValueError, match=f"`compile`: expected graph convolutions.*{named}"):
        check_compilable(model(), loss, find_step(optimizer))
