"""Optimisers by name, of torch and of one's own: trained, resumed to the last bit, or refused."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric

from nnmd_graph import choices
from nnmd_graph.training import Step, Trainer
from nnmd_graph.training.steps.gradient import GradientStep
from nnmd_graph.training.steps.named import STEPS, find_step
from nnmd_graph.training.steps.step import name_of

from ..conftest import BreakingLoss, Fit, potential, same_weights, without_seconds


class SignStep(Step):
    """w <- w - lr sign(dL/dw + momentum times the last sign), for each batch."""

    default_learning_rate = 1e-3

    def __init__(self, momentum: float = 0.0) -> None:
        self.momentum = momentum

    def epoch(self, loader: Any, energy_weight: float | None) -> float:
        losses = []
        for batch in loader:
            losses.append(float(self.gradients(batch, energy_weight)))
            for group in self.optimizer.param_groups:
                for p in group["params"]:
                    last = self.optimizer.state[p].get("sign", torch.zeros_like(p))
                    sign = (p.grad + self.momentum * last).sign()
                    p.data -= group["lr"] * sign
                    self.optimizer.state[p]["sign"] = sign
        return sum(losses) / len(losses)


class Averaged(SignStep):
    averages, unused = True, ()

    def epoch(self, loader: Any, energy_weight: float | None) -> float:
        self.clip_gradients()
        loss = super().epoch(loader, energy_weight)
        self.update_average()
        return loss


def sgd(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=1e-4, momentum=0.9)


OPTIMIZERS: dict[str, Any] = {
    "RAdam": torch.optim.RAdam,
    "a function": sgd,
    "partial": partial(torch.optim.NAdam, momentum_decay=1e-3),
    "a step": SignStep,
    "a step with an argument": SignStep(momentum=0.5),
    "an averaged step": Averaged,
    "a gradient step": GradientStep(torch.optim.Adamax, learning_rate=1e-2),
}


# -------------------------------------------------------------------------------------- end to end
@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_of_any_kind_trains_and_resumes_to_the_last_bit(
    fit: Fit, tmp_path: Path, name: str
) -> None:
    settings = {"optimizer": OPTIMIZERS[name], "max_epochs": 6, "seed": 3}
    model, history = fit(output=tmp_path / "unbroken", **settings)
    assert min(row["train_loss"] for row in history[1:]) < history[0]["train_loss"]
    with pytest.raises(KeyboardInterrupt):
        fit(output=tmp_path / "a", loss=BreakingLoss(11), checkpoint_seconds=0.0, **settings)
    again, rows = fit(output=tmp_path / "a", resume=True, **settings)
    assert same_weights(model, again)
    assert without_seconds(rows) == without_seconds(history)


def test_another_optimizer_does_not_go_on(fit: Fit, tmp_path: Path) -> None:
    fit(output=tmp_path, optimizer=SignStep(momentum=0.5), max_epochs=1)
    for other in (SignStep(momentum=0.6), SignStep, torch.optim.RAdam, "adam"):
        with pytest.raises(ValueError, match=r"other values of \['optimizer'"):
            fit(output=tmp_path, optimizer=other, resume=True)


def test_a_step_that_serves_twice_begins_anew(fit: Fit) -> None:
    step = SignStep(momentum=0.5)
    trainer = Trainer(optimizer=step)
    assert same_weights(fit(optimizer=step)[0], fit(optimizer=step)[0])
    assert vars(step) == {"momentum": 0.5} and trainer.optimizer is step


def test_adam_by_its_class_is_adam_by_name(fit: Fit) -> None:
    fused = partial(torch.optim.Adam, fused=True)
    settings: dict[str, Any] = {"weight_decay": 0.1, "learning_rates": {"readout": 0.5}}
    expected, _ = fit(optimizer="adam", **settings)
    assert same_weights(fit(optimizer=fused, learning_rate=5e-3, **settings)[0], expected)
    assert not same_weights(fit(optimizer=fused, **settings)[0], expected)  # 1e-3, that of torch


def test_the_forecast_names_the_optimizer(fit: Fit, capfd: pytest.CaptureFixture[str]) -> None:
    fit(optimizer=torch.optim.RAdam, progress=True, max_epochs=1)
    assert "torch.optim.radam.RAdam" in capfd.readouterr().err


# ------------------------------------------------------------------------- what steps are made of
def started(optimizer: Any, **settings: Any) -> tuple[Step, torch.optim.Optimizer]:
    model, trainer = potential(), Trainer(optimizer=optimizer, **settings)
    model.requires_grad_(True)
    step = find_step(trainer.optimizer)
    return step, step.start(model, trainer.loss, trainer, Fabric(accelerator="cpu", devices=1))


@pytest.mark.parametrize(
    ("name", "kind", "rate", "clip"),
    [
        ("adam", torch.optim.Adam, 5e-3, 1.0),
        ("adamw", torch.optim.AdamW, 5e-3, 1.0),
        ("lbfgs", torch.optim.LBFGS, 1.0, 0.0),
        (torch.optim.RAdam, torch.optim.RAdam, 1e-3, 1.0),
        (sgd, torch.optim.SGD, 1e-4, 1.0),
        (SignStep, torch.optim.SGD, 1e-3, 0.0),
    ],
)
def test_kinds_and_defaults(name: Any, kind: type, rate: float, clip: float) -> None:
    step, optimizer = started(name)
    assert type(optimizer) is kind
    assert (optimizer.param_groups[0]["lr"], step.gradient_clip) == (rate, clip)
    if name is not sgd:
        _, optimizer = started(name, learning_rate=0.5)
        assert optimizer.param_groups[0]["lr"] == 0.5


def test_names_are_those_of_the_settings() -> None:
    assert tuple(STEPS) == choices.OPTIMIZERS
    rates = {name: find_step(name).default_learning_rate for name in STEPS}
    assert rates == choices.DEFAULT_LEARNING_RATE
    assert type(find_step("lbfgs")).default_learning_rate == rates["lbfgs"]


@pytest.mark.parametrize(("clip", "expected"), [(None, 1.0), (0.0, 0.0), (3.0, 3.0)])
def test_the_gradient_is_clipped_to_one_unless_something_else_is_wanted(
    clip: float | None, expected: float
) -> None:
    assert started("adamw", gradient_clip=clip)[0].gradient_clip == expected


def test_weight_decay_is_passed_on_and_parts_have_their_rates() -> None:
    _, optimizer = started("adamw", weight_decay=0.25, learning_rates={"readout": 0.1})
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.25}
    rates = {len(group["params"]): group["lr"] for group in optimizer.param_groups}
    assert rates == {0: 5e-3, len(list(potential().parameters())): 0.1 * 5e-3}


def test_optimizers_have_names_that_stay_the_same() -> None:
    here = __name__
    assert name_of("adamw") == "adamw"
    assert name_of(torch.optim.RAdam) == "torch.optim.radam.RAdam"
    assert name_of(SignStep(0.5)) == f"{here}.SignStep(momentum=0.5)"
    assert name_of(partial(sgd, lr=1)) == f"{here}.sgd(lr=1)"


# ------------------------------------------------------------------------------------ wrong kinds
class Unfinished(Step):
    pass


class Needy(SignStep):
    def __init__(self, size: int) -> None:
        super().__init__()


LR = partial(torch.optim.Adam, lr=0.1)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"optimizer": 3}, TypeError, "got int; write for example optimizer=torch.optim.RAdam"),
        ({"optimizer": None}, TypeError, "`optimizer`: expected a name, .* got NoneType"),
        ({"optimizer": torch.optim.Adam([torch.zeros(1)])}, TypeError, "got Adam; write"),
        ({"optimizer": lambda p: None}, TypeError, "lambda>, which makes NoneType; return the op"),
        ({"optimizer": lambda: None}, ValueError, "takes 0 positional arguments"),
        ({"optimizer": Unfinished}, TypeError, "class Unfinished that cannot be made: Can't"),
        ({"optimizer": Needy}, TypeError, "class Needy that cannot be made: .*missing 1 required"),
        ({"optimizer": torch.optim.LBFGS}, ValueError, "LBFGS, whose step needs a closure"),
        ({"optimizer": sgd, "learning_rate": 0.1}, ValueError, "`learning_rate`: .* not for .*sgd"),
        ({"optimizer": LR, "learning_rate": 1.0}, ValueError, r"`learning_rate`: .*Adam\(lr=0.1"),
        ({"optimizer": torch.optim.Rprop, "weight_decay": 1.0}, ValueError, "`weight_decay`: expe"),
        ({"optimizer": SignStep, "gradient_clip": 1.0}, ValueError, "`gradient_clip`: .*SignStep"),
        ({"optimizer": "lbfgs", "weight_decay": 0.1}, ValueError, "are not for L-BFGS: leave it"),
    ],
)
def test_what_is_no_optimizer_is_refused_when_the_trainer_is_made(
    settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        Trainer(**settings)
    assert str(caught.value).startswith("`")
