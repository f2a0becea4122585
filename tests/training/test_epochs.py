"""An epoch sees every structure once, whatever the batch size, and so does a step of L-BFGS."""

from collections import Counter
from typing import Any

import pytest
import torch
from torch_geometric.loader import DataLoader

from nnmd_graph.data import AtomsDataset
from nnmd_graph.training import EnergyForcesLoss, Trainer
from nnmd_graph.training.task import every

from .conftest import copper, dataset, potential

SIZE = 7


@pytest.fixture(scope="module")
def seven() -> AtomsDataset:
    torch.set_default_dtype(torch.float64)
    made = dataset(copper(SIZE)).build()
    torch.set_default_dtype(torch.float32)
    return made


def seen(
    train: AtomsDataset, val: AtomsDataset | None = None, **settings: Any
) -> tuple[Counter[float], Counter[float], torch.nn.Module]:
    """How often the energy of each structure was computed in training and in validation."""
    model = potential(dtype=torch.float64)
    counts: dict[bool, Counter[float]] = {True: Counter(), False: Counter()}

    def note(module: torch.nn.Module, arguments: tuple[Any, ...]) -> None:
        counts[module.training].update(arguments[0].energy.tolist())

    model.register_forward_pre_hook(note)
    Trainer(seed=1, **settings).fit(model, train, val)
    return counts[True], counts[False], model


@pytest.mark.parametrize("precompute", [True, False])
@pytest.mark.parametrize("batch_size", range(1, SIZE + 1))
def test_an_epoch_sees_every_structure_once(
    seven: AtomsDataset, batch_size: int, precompute: bool
) -> None:
    settings: dict[str, Any] = {"batch_size": batch_size, "precompute": precompute}
    counts, _, _ = seen(seven, max_epochs=2, ema_decay=0.0, **settings)
    assert counts == dict.fromkeys((graph.energy.item() for graph in seven), 2)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", range(1, SIZE + 1))
def test_every_step_of_lbfgs_sees_every_structure(seven: AtomsDataset, batch_size: int) -> None:
    counts, _, model = seen(seven, optimizer="lbfgs", batch_size=batch_size, max_epochs=1)
    assert len(counts) == SIZE
    assert len(set(counts.values())) == 1
    whole = seen(seven, optimizer="lbfgs", batch_size=SIZE, max_epochs=1)[2]
    for one, other in zip(model.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("batch_size", [2, 3, 5])
def test_validation_sees_every_structure(seven: AtomsDataset, batch_size: int) -> None:
    _, judged, _ = seen(seven[:6], seven, batch_size=batch_size, max_epochs=1)
    assert set(judged) == {graph.energy.item() for graph in seven}
    assert len(set(judged.values())) == 1


def test_the_mean_loss_of_an_epoch_is_that_of_all_structures(seven: AtomsDataset) -> None:
    """With a rate of nearly zero nothing changes, and batches of one are all that counts."""
    losses = []
    for part in (seven, seven[:6]):
        model = potential(dtype=torch.float64)
        model.model.baseline.set({29: -3.5}, 1.0)
        trainer = Trainer(loss=EnergyForcesLoss(), batch_size=1, learning_rate=1e-12, max_epochs=1)
        losses.append(trainer.fit(model, part)[0]["train_loss"])
    model = potential(dtype=torch.float64)
    model.model.baseline.set({29: -3.5}, 1.0)
    last = Trainer(batch_size=1, learning_rate=1e-12, max_epochs=1).fit(model, seven[6:])
    mean = (6 * losses[1] + last[0]["train_loss"]) / 7
    assert losses[0] == pytest.approx(mean, rel=1e-6)


@pytest.mark.parametrize("batch_size", [2, 4, 5])
def test_an_epoch_that_lacks_structures_is_an_error(seven: AtomsDataset, batch_size: int) -> None:
    graphs = list(seven)
    assert sum(batch.num_graphs for batch in every(DataLoader(graphs, batch_size))) == SIZE
    with pytest.raises(RuntimeError, match=rf"all {SIZE} structures in an epoch, got"):
        list(every(DataLoader(graphs, batch_size, drop_last=True)))
