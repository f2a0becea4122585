"""Training works: the loss falls, tiny nets overfit, the best epoch wins, and bad runs say so."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nnmd_graph.data import AtomsDataset
from nnmd_graph.evaluation import evaluate
from nnmd_graph.models import Potential
from nnmd_graph.training import EnergyForcesLoss, Trainer
from nnmd_graph.training.task import DivergedError

from .conftest import Fit, copper, dataset, potential, same_weights, without_seconds


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "adam", "lbfgs"])
def test_the_loss_falls(fit: Fit, optimizer: str) -> None:
    rate = 1.0 if optimizer == "lbfgs" else 0.02
    settings: dict[str, Any] = {"optimizer": optimizer, "learning_rate": rate, "ema_decay": 0.0}
    whole = EnergyForcesLoss(energy_start=100.0)  # one weight for the whole training
    many = 4 if optimizer == "lbfgs" else 20  # of L-BFGS, each with 20 steps
    for loss, epochs, share in ((whole, 5, 0.5), (EnergyForcesLoss(), many, 0.1)):
        _, history = fit(loss=loss, max_epochs=epochs, **settings)
        losses = [row["train_loss"] for row in history]
        assert losses[-1] < share * losses[0]
        assert [row["epoch"] for row in history] == list(range(1, epochs + 1))


@pytest.mark.slow
def test_a_tiny_net_overfits(fit: Fit, train: AtomsDataset) -> None:
    few = train[:3]
    model, _ = fit(
        train=few, val=None, optimizer="lbfgs", schedule="constant", max_epochs=10, batch_size=3
    )
    metrics = evaluate(model, few)
    assert metrics["energy_mae"] < 3.0  # of 24 meV/atom and 430 meV/Å that the labels spread
    assert metrics["forces_mae"] < 6.0


@pytest.mark.slow
@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_the_best_epoch_on_the_validation_set_wins(
    fit: Fit, val: AtomsDataset, ema_decay: float
) -> None:
    """With a rate that is too high the validation loss jumps."""
    model, history = fit(
        max_epochs=12, learning_rate=1.0, schedule="constant", batch_size=2, ema_decay=ema_decay
    )
    best = min(history, key=lambda row: row["val_loss"])
    assert best["epoch"] < 12
    metrics = evaluate(model, val)
    for name in ("energy_mae", "energy_rmse", "forces_mae", "forces_rmse"):
        assert metrics[name] == pytest.approx(best[f"val_{name}"], rel=1e-4)
    assert not model.training


def test_without_a_validation_set_the_training_loss_decides(fit: Fit) -> None:
    _, history = fit(val=None)
    assert set(history[0]) == {"epoch", "seconds", "learning_rate", "train_loss"}
    assert without_seconds(history) == without_seconds(fit(val=None)[1])


def test_the_average_of_the_weights_is_what_is_validated_and_kept(fit: Fit) -> None:
    plain, rows = fit(ema_decay=0.0, max_epochs=2)
    averaged, average_rows = fit(ema_decay=0.5, max_epochs=2)
    # The same steps are taken ...
    assert [r["train_loss"] for r in rows] == [r["train_loss"] for r in average_rows]
    # ... and other weights judged and kept.
    assert [r["val_loss"] for r in rows] != [r["val_loss"] for r in average_rows]
    assert not same_weights(plain, averaged)


def test_the_average_is_the_exponential_one(fit: Fit) -> None:
    """a_n = d a_n-1 + (1 - d) w_n, d = min(decay, (1 + n) / (10 + n)); the first step as it is."""
    settings: dict[str, Any] = {"batch_size": 8, "schedule": "constant"}
    steps = []
    for epochs in (1, 2, 3):  # one step an epoch; the loss falls, so the last epoch is the best
        steps.append(dict(fit(ema_decay=0.0, max_epochs=epochs, **settings)[0].named_parameters()))
    model, history = fit(ema_decay=0.5, max_epochs=3, **settings)
    assert history[-1]["val_loss"] == min(row["val_loss"] for row in history)
    for name, value in model.named_parameters():
        expected = 2 / 11 * steps[0][name] + 9 / 11 * steps[1][name]
        expected = 0.25 * expected + 0.75 * steps[2][name]
        torch.testing.assert_close(value, expected)


def test_gradient_clipping_bounds_the_step(fit: Fit) -> None:
    start = potential()
    start.model.baseline.set({29: -3.5}, 1.0)
    settings: dict[str, Any] = {"optimizer": "adam", "max_epochs": 1, "batch_size": 8, "val": None}
    # Adam's first step is lr * g / (|g| + 1e-8): it feels a gradient that is clipped to 1e-9.
    (free, clipped) = (
        fit(model=_copy(start), gradient_clip=clip, **settings)[0] for clip in (0.0, 1e-9)
    )
    assert _distance(clipped, start) < 0.2 * _distance(free, start)
    unclipped, _ = fit(model=_copy(start), gradient_clip=1e9, **settings)
    assert same_weights(unclipped, free)


def _copy(model: Potential) -> Potential:
    copied = potential()
    copied.load_state_dict(model.state_dict())
    return copied


def _distance(a: Potential, b: Potential) -> float:
    pairs = zip(a.parameters(), b.parameters(), strict=True)
    return max(float((x - y).detach().abs().max()) for x, y in pairs)


@pytest.mark.slow
@pytest.mark.parametrize("loss", [EnergyForcesLoss(), EnergyForcesLoss(1.0, 1.0, 10.0)])
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_precomputed_features_change_nothing(
    fit: Fit, float64: None, optimizer: str, loss: EnergyForcesLoss
) -> None:
    data = {"train": dataset(copper(4)), "val": dataset(copper(2, seed=1))}
    (a, rows), (b, other_rows) = (
        fit(
            model=potential(dtype=torch.float64), optimizer=optimizer, precompute=precompute,
            loss=loss, ema_decay=0.0, max_epochs=3 if optimizer == "adam" else 1, **data,
        )
        for precompute in (False, True)
    )  # fmt: skip
    for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True):
        torch.testing.assert_close(x, y, rtol=1e-6, atol=1e-9)
    for row, other in zip(without_seconds(rows), without_seconds(other_rows), strict=True):
        assert row == pytest.approx(other, rel=1e-6)


def test_energies_only(fit: Fit) -> None:
    loss = EnergyForcesLoss(energy=1.0, forces=0.0)
    _, history = fit(loss=loss, max_epochs=10, ema_decay=0.0)
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert "val_forces_mae" in history[0]  # measured all the same


def test_all_electron_energies_train_in_float32_as_valence_energies_do(fit: Fit) -> None:
    """E0 of -45000 eV: float32 would round four atoms to 16 meV."""
    rows = []
    for offset in (0.0, -45000.0):
        model, history = fit(
            train=dataset(copper(8, energy_offset=offset)),
            val=dataset(copper(3, seed=1, energy_offset=offset)),
            loss=EnergyForcesLoss(1.0, 0.0),
            learning_rate=0.02,
        )
        assert model.dtype == torch.float32
        rows.append(without_seconds(history))
    for valence, all_electron in zip(*rows, strict=True):
        assert valence["val_energy_mae"] < 500.0
        assert all_electron == pytest.approx(valence, rel=1e-4)


def test_patience_stops_early(fit: Fit) -> None:
    """A rate of nearly zero: after the first epochs nothing gets better."""
    settings: dict[str, Any] = {"learning_rate": 1e-30, "max_epochs": 50, "ema_decay": 0.0}
    _, history = fit(patience=4, **settings)
    assert len(history) == 5
    assert len(fit(patience=1, **settings)[1]) == 2


def test_time_is_limited(fit: Fit) -> None:
    _, history = fit(max_seconds=1e-9, max_epochs=50)
    assert len(history) == 1


def test_the_default_batch_is_a_tenth_of_a_small_set(fit: Fit, tmp_path: Path) -> None:
    fit(batch_size=None, output=tmp_path, max_epochs=1)
    state = torch.load(tmp_path / "checkpoints" / "last.pt", weights_only=True)["training"]
    assert state["settings"]["batch_size"] == 1


def test_the_global_random_numbers_stay_untouched(fit: Fit) -> None:
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    for optimizer in ("adamw", "lbfgs"):
        fit(optimizer=optimizer, max_epochs=1)
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]
    assert torch.equal(torch.get_rng_state(), before[2])


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "lbfgs"])
@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_the_weight_of_the_energy_follows_the_learning_rate(
    fit: Fit, optimizer: str, schedule: str
) -> None:
    settings: dict[str, Any] = {"optimizer": optimizer, "schedule": schedule, "max_epochs": 2}
    loss = EnergyForcesLoss(energy_start=100.0)  # that of the end
    model, history = fit(loss=loss, **settings)
    again, rows = fit(loss=EnergyForcesLoss(energy_start=1.0), **settings)
    ramp = optimizer == "adamw" and schedule == "cosine"
    assert same_weights(model, again) is not ramp
    if ramp:  # one loss for all epochs is logged
        assert rows[0]["train_loss"] == pytest.approx(history[0]["train_loss"], rel=0.5)
        assert rows[0]["train_loss"] != history[0]["train_loss"]


def test_equal_seeds_give_equal_weights(fit: Fit) -> None:
    torch.manual_seed(1)
    a, rows = fit(seed=3)
    torch.manual_seed(2)  # a global seed has no say
    torch.rand(5)
    b, other_rows = fit(seed=3)
    assert same_weights(a, b)
    assert without_seconds(rows) == without_seconds(other_rows)


def test_other_seeds_give_other_weights(fit: Fit) -> None:
    a, _ = fit(seed=3)
    assert not same_weights(a, fit(seed=4)[0])  # another order
    assert not same_weights(a, fit(seed=3, model=potential(seed=1))[0])  # another start


def test_the_data_are_not_changed(fit: Fit) -> None:
    data = dataset(copper(4))
    before = [{k: v.clone() for k, v in graph.to_dict().items()} for graph in data]
    fit(train=data, val=data[:2], precompute=True, max_epochs=1, batch_size=2)
    for graph, fields in zip(data, before, strict=True):
        assert set(graph.to_dict()) == set(fields)
        assert all(torch.equal(graph[name], value) for name, value in fields.items())


class Diverging(EnergyForcesLoss):
    """Infinite from the n-th batch on."""

    def __init__(self, at_call: int) -> None:
        super().__init__()
        self.calls_left = at_call

    def sums(self, out: Any, graph: Any) -> Any:
        self.calls_left -= 1
        sums = super().sums(out, graph)
        if self.calls_left <= 0:
            sums = {term: (square * torch.inf, count) for term, (square, count) in sums.items()}
        return sums


# Three calls an epoch: two training batches and one of validation.
@pytest.mark.parametrize("at_call", [7, 8, 9])
def test_divergence_keeps_the_best_epoch(fit: Fit, tmp_path: Path, at_call: int) -> None:
    expected, rows = fit(max_epochs=2, schedule="constant")
    model = potential()
    with pytest.raises(DivergedError, match="lower `learning_rate`"):
        fit(
            model=model, loss=Diverging(at_call), schedule="constant", max_epochs=9, output=tmp_path
        )
    assert same_weights(model, expected)
    assert not model.training
    assert same_weights(Potential.load(tmp_path / "model.pt"), expected)
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 1 + len(rows)


@pytest.mark.parametrize("at_call", [1, 3])
def test_divergence_in_the_first_epoch_leaves_no_broken_model(
    fit: Fit, tmp_path: Path, at_call: int
) -> None:
    model = potential()
    with pytest.raises(DivergedError):
        fit(model=model, loss=Diverging(at_call), output=tmp_path)
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    assert not (tmp_path / "model.pt").exists()


@pytest.mark.parametrize("gradient_clip", [0.0, 1.0])
def test_a_gradient_that_is_no_number_is_divergence(fit: Fit, gradient_clip: float | None) -> None:
    class BrokenGradient(EnergyForcesLoss):
        def of_step(self, *arguments: Any) -> tuple[torch.Tensor, torch.Tensor]:
            descended, value = super().of_step(*arguments)
            descended.register_hook(lambda gradient: gradient * torch.nan)
            return descended, value

    model = potential()
    with pytest.raises(DivergedError):
        fit(model=model, loss=BrokenGradient(), gradient_clip=gradient_clip)
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())


def test_nothing_is_shown_or_written_by_default(
    fit: Fit, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fit()
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_the_default_device_is_there(train: AtomsDataset) -> None:
    model = potential()
    Trainer(max_epochs=1, batch_size=8).fit(model, train)
    assert model.device.type == ("cuda" if torch.cuda.is_available() else "cpu")
