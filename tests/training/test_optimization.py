"""Schedules by name."""

import math

import pytest
import torch

from nnmd_graph.choices import SCHEDULES
from nnmd_graph.training.optimization import Schedule


@pytest.fixture
def layer() -> torch.nn.Linear:
    return torch.nn.Linear(3, 1)


def adam(layer: torch.nn.Linear, rate: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(layer.parameters(), lr=rate)


def rates(schedule: Schedule, losses: list[float]) -> list[float]:
    found = []
    for epoch, loss in enumerate(losses, start=1):
        schedule.step(epoch, loss)
        found.append(schedule.learning_rate)
    return found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("constant", [1.0] * 5),
        ("cosine", [0.01 + 0.99 * (1 + math.cos(math.pi * n / 4)) / 2 for n in (1, 2, 3, 4, 4)]),
        ("exponential", [0.01 ** (n / 4) for n in (1, 2, 3, 4, 4)]),
    ],
)
def test_rates_by_epoch(layer: torch.nn.Linear, name: str, expected: list[float]) -> None:
    schedule = Schedule(name, adam(layer, 3.0), max_epochs=4)
    assert schedule.learning_rate == 3.0
    assert rates(schedule, [1.0] * 5) == pytest.approx([3.0 * factor for factor in expected])


def test_the_plateau_halves_the_rate_when_the_loss_stays(layer: torch.nn.Linear) -> None:
    schedule = Schedule("plateau", adam(layer, 1.0), 10, patience=2)
    assert rates(schedule, [3.0, 2.0, 2.0, 2.0, 2.0, 1.0]) == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5]


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_goes_on_where_it_was(layer: torch.nn.Linear, name: str) -> None:
    losses = [2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0]
    whole = rates(Schedule(name, adam(layer, 1.0), 7, 1), losses)
    optimizer = adam(layer, 1.0)
    first = Schedule(name, optimizer, 7, patience=1)
    rates(first, losses[:4])
    again = adam(layer, 1.0)
    second = Schedule(name, again, 7, patience=1)
    again.load_state_dict(optimizer.state_dict())
    second.load_state_dict(first.state_dict(), epoch=4)
    found = []
    for epoch in (5, 6, 7):
        second.step(epoch, losses[epoch - 1])
        found.append(second.learning_rate)
    assert found == whole[4:]


def test_a_prolonged_cosine_takes_the_rate_of_the_longer_one(layer: torch.nn.Linear) -> None:
    schedule = Schedule("cosine", adam(layer, 1.0), max_epochs=8)
    schedule.load_state_dict({}, epoch=4)
    assert schedule.learning_rate == pytest.approx(0.505)


@pytest.mark.parametrize("name", ["cosine", "exponential"])
def test_a_decay_ends_with_the_time(layer: torch.nn.Linear, name: str) -> None:
    schedule = Schedule(name, adam(layer, 1.0), max_epochs=1000)
    schedule.step(1, 1.0, spent=1.2)
    assert schedule.learning_rate == pytest.approx(0.01)
    schedule.load_state_dict({}, epoch=500, spent=0.1)
    half = Schedule(name, adam(layer, 1.0), max_epochs=2)
    half.step(1, 1.0)
    assert schedule.learning_rate == half.learning_rate
