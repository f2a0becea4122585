"""Bad arguments and data that do not fit are refused before any work, and say what to do."""

from pathlib import Path
from typing import Any

import pytest
import torch

from nnmd_graph.data import AtomsDataset
from nnmd_graph.training import Trainer

from .conftest import CUTOFF, Fit, copper, dataset, potential


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("optimizer", "sgd"),
        ("schedule", "linear"),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("max_epochs", 0),
        ("max_seconds", -1.0),
        ("batch_size", 0),
        ("gradient_clip", float("inf")),
        ("ema_decay", 1.0),
        ("ema_decay", -0.1),
        ("weight_decay", -1.0),
        ("weight_decay", float("nan")),
        ("patience", 0),
        ("checkpoint_seconds", -1.0),
        ("seed", -1),
        ("seed", 2**40),
        ("device", "tpu"),
        ("device", "cuda:first"),
    ],
)
def test_values_out_of_range(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"`{name}`: expected .*; "):
        Trainer(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_epochs", 2.5),
        ("max_epochs", "10"),
        ("max_epochs", None),
        ("batch_size", True),
        ("learning_rate", "fast"),
        ("seed", 1.5),
        ("ema_decay", None),
        ("loss", "mse"),
    ],
)
def test_values_of_the_wrong_kind(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=rf"`{name}`: expected .*, got .*; "):
        Trainer(**{name: value})


@pytest.mark.parametrize("setting", [{"gradient_clip": 1.0}, {"weight_decay": 0.1}])
def test_settings_that_lbfgs_would_ignore(setting: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="are not for L-BFGS"):
        Trainer(optimizer="lbfgs", **setting)  # type: ignore[arg-type]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA")
def test_a_device_that_is_not_there() -> None:
    with pytest.raises(
        ValueError, match="`device`: expected one that is there, got 'cuda' without CUDA"
    ):
        Trainer(device="cuda")


def test_a_batch_larger_than_the_training_set(fit: Fit) -> None:
    with pytest.raises(ValueError, match="`batch_size`: expected at most the 8 structures"):
        fit(batch_size=9)


@pytest.mark.parametrize("name", ["train", "val"])
def test_an_empty_set(fit: Fit, name: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}`: expected at least one structure, got none"):
        fit(**{name: dataset(copper(1))[:0]})


@pytest.mark.parametrize("name", ["train", "val"])
def test_frames_in_place_of_a_data_set(fit: Fit, name: str) -> None:
    with pytest.raises(TypeError, match=f"`{name}`: expected an AtomsDataset, got list; write"):
        fit(**{name: copper(1)})


@pytest.mark.parametrize("name", ["train", "val"])
def test_unknown_elements(fit: Fit, name: str) -> None:
    frames = copper(4)
    frames[2].numbers[0] = 79
    frames[2].calc.atoms.numbers[0] = 79
    with pytest.raises(ValueError, match=rf"`{name}`: expected elements .* got \['Au'\] besides"):
        fit(**{name: dataset(frames)})


@pytest.mark.parametrize("name", ["train", "val"])
def test_no_wanted_labels(fit: Fit, name: str) -> None:
    frames = copper(4)
    for atoms in frames:
        del atoms.calc.results["energy"], atoms.calc.results["forces"]
    with pytest.raises(ValueError, match=f"`{name}`: expected labels that the loss asks for"):
        fit(**{name: dataset(frames)})


@pytest.mark.parametrize("name", ["train", "val"])
def test_graphs_that_are_too_small(fit: Fit, name: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}`: expected graphs up to the cutoff"):
        fit(**{name: AtomsDataset(copper(4), CUTOFF - 0.1)})


def test_a_model_in_place_of_a_potential(fit: Fit) -> None:
    model: Any = potential().model
    with pytest.raises(TypeError, match=r"`potential`: expected a Potential, got EnergyModel"):
        fit(model=model)


@pytest.mark.parametrize(
    ("given", "error"),
    [({"Xx": 1.0}, ValueError), ({"Cu": "much"}, TypeError), ({"Cu": float("nan")}, ValueError)],
)
def test_isolated_energies_that_are_none(
    fit: Fit, tmp_path: Path, given: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match="`(given|isolated_energies)"):
        fit(isolated_energies=given, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_nothing_is_done_before_an_error(fit: Fit, tmp_path: Path) -> None:
    model = potential()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match="`batch_size`"):
        fit(model=model, batch_size=100, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_model_that_could_not_be_saved_is_refused_before_the_first_epoch(
    fit: Fit, tmp_path: Path
) -> None:
    class OwnReadout(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(5, 1)

        def forward(self, x: torch.Tensor, species_id: torch.Tensor) -> torch.Tensor:
            return self.linear(x).squeeze(-1)

    model = potential()
    model.model.readout = OwnReadout()
    with pytest.raises(ValueError, match=r"registered modules .* got OwnReadout"):
        fit(model=model, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    fit(model=model)  # without files there is no need of it
