"""Runs that start from a model file: config, command line, and going on with them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from typer.testing import CliRunner

from nnmd_graph.cli import app
from nnmd_graph.config.config import parse_config, read_config, to_yaml, write_config
from nnmd_graph.models import GCNN, Potential
from nnmd_graph.representations.symmetry.embedded import EMBEDDING_DIM
from nnmd_graph.workflow.building import build_potential
from nnmd_graph.workflow.starting import DIM, settings_of_model
from nnmd_graph.workflow.training import train_from_config

from .conftest import SMALL, copper

Settings = Callable[..., dict[str, Any]]


def alloy() -> list[Atoms]:
    frames = copper(10, seed=3)
    for atoms in frames:
        results = dict(atoms.calc.results)
        atoms.symbols[0] = "Au"
        atoms.calc = SinglePointCalculator(atoms, **results)
        atoms.info["heavy"] = 2.0
    return frames


@pytest.fixture
def model(settings: Settings, tmp_path: Path) -> Path:
    """A run on copper."""
    train_from_config(settings(max_epochs=2), tmp_path / "old")
    return tmp_path / "old" / "model.pt"


@pytest.fixture
def new(tmp_path: Path) -> Path:
    ase.io.write(tmp_path / "alloy.extxyz", alloy())
    return tmp_path / "alloy.extxyz"


def run(*arguments: Any, status: int = 0) -> Any:
    result = CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "100"})
    assert result.exit_code == status, result.output
    return result


@pytest.mark.slow
def test_the_command_line_adds_the_elements_of_the_data(
    model: Path, new: Path, tmp_path: Path
) -> None:
    """The model of the file without one word about it; resumed without any, too."""
    folder = tmp_path / "run"
    run("train", new, "--from", model.parent, "--output", folder, "--max-epochs", 2)
    found = Potential.load(folder / "model.pt")
    assert found.species == (29, 79) and found.cutoff == 3.6
    assert found.model.readout.hyper_parameters()["hidden_channels"] == [6]
    saved = read_config(folder / "config.yaml")
    assert saved.transfer.init == model.parent.absolute() and not saved.model.model_fields_set
    assert "model:  # that of `transfer.from`" in (folder / "config.yaml").read_text()
    run("train", "--output", folder, "--resume", "--max-epochs", 3)
    unbroken = tmp_path / "unbroken"
    run("train", new, "--from", model, "--output", unbroken, "--max-epochs", 3)
    states = [
        torch.load(f / "checkpoints/last.pt", weights_only=True)["training"]["potential"]
        for f in (folder, unbroken)
    ]
    assert states[0].keys() == states[1].keys()


@pytest.mark.slow
def test_a_config_freezes_and_weighs(model: Path, new: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "data: {train: alloy.extxyz, weight_key: heavy}\n"
        "model: {cutoff: 3.6, hidden_channels: [6]}\n"
        "loss: {element_weights: balanced}\n"
        "training: {max_epochs: 2, learning_rate: 1.0e-3}\n"
        "transfer:\n  from: old\n  freeze: [baseline]\n"
        "  learning_rates: {model.readout.net.nets.0: 0.1}\n"
    )
    result = train_from_config(config, tmp_path / "run")
    old = Potential.load(model).model.baseline
    baseline = result.potential.model.baseline
    assert torch.equal(baseline.scale, old.scale)
    assert baseline.isolated_energies[0] == old.isolated_energies[0]
    assert baseline.isolated_energies[1] != 0.0  # gold had none
    saved = read_config(tmp_path / "run" / "config.yaml")
    assert saved.model.model_fields_set == {"cutoff", "hidden_channels"}
    assert saved.data.weight_key == "heavy" and saved.loss.element_weights == "balanced"
    again = train_from_config(tmp_path / "run" / "config.yaml", tmp_path / "run", resume=True)
    assert again.history == result.history


@pytest.mark.slow
@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"cutoff": 4.0}, "`model.cutoff` is 3.6 there, and 4.0 here"),
        ({"dtype": "float64"}, "`model.dtype` is 'float32' there"),
        ({"name": "gcnn"}, "`model.name` is 'bpnn' there, and 'gcnn' here"),
        ({"hidden_channels": [7]}, r"`model.hidden_channels` is \[6\] there"),
        ({"representation": {"recipe": "imbalzano2018"}}, "other functions, 3 there"),
        ({"name": "embedded"}, "`model.representation.name` is 'acsf' there"),
    ],
)
def test_a_contradicting_model_is_refused(
    model: Path, settings: Settings, tmp_path: Path, section: dict[str, Any], message: str
) -> None:
    values = settings() | {"model": section, "transfer": {"from": str(model)}}
    with pytest.raises(ValueError, match=message):
        train_from_config(values, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_same_model_said_again_is_no_contradiction(
    model: Path, settings: Settings, tmp_path: Path
) -> None:
    values = settings(max_epochs=1) | {"transfer": {"from": str(model)}}
    assert values["model"] == SMALL["model"]  # cutoff, width and functions
    train_from_config(values, tmp_path / "run")


def test_channels_said_again(settings: Settings, tmp_path: Path) -> None:
    functions = {"functions": [{"type": "G2", "eta": e} for e in (0.5, 1.0)], "channels": 3}
    values = settings(max_epochs=1) | {"model": {"name": "embedded", "representation": functions}}
    train_from_config(values, tmp_path / "old")
    values |= {"transfer": {"from": str(tmp_path / "old" / "model.pt")}}
    train_from_config(values, tmp_path / "new")
    for other in (2, None):
        section = {"name": "embedded", "representation": functions | {"channels": other}}
        with pytest.raises(ValueError, match=rf"channels` is 3 there, and {other} here"):
            train_from_config(values | {"model": section}, tmp_path / "other")


def test_where_a_run_cannot_start_from(model: Path, data: Path, tmp_path: Path) -> None:
    message = run("train", data, "--from", "no.pt", "--output", tmp_path / "run", status=2).stderr
    assert "`--from`: expected a file" in message and "Traceback" not in message
    foreign = tmp_path / "foreign.pt"
    foreign.write_text("foreign")
    message = run("train", data, "--from", foreign, "--output", tmp_path / "run", status=2).stderr
    assert "damaged or foreign" in message
    old = model.parent
    message = run("train", data, "--from", old, "--output", old, "--overwrite", status=2).stderr
    assert "would replace" in message and model.is_file()


def test_the_model_of_any_config_says_what_it_is() -> None:
    functions = {"functions": [{"type": "G2", "eta": 1.0}]}
    sections: list[dict[str, Any]] = [
        {"hidden_channels": [5], "activation": "silu", "representation": functions},
        {"name": "embedded", "readout": "shared", "representation": functions},
        {"name": "embedded", "representation": functions | {"embedding_dim": 3}},
        {"name": "embedded", "representation": functions | {"channels": 2}},
        {"name": "gcnn", "convolutions": {"conv": "painn", "hidden_channels": 8, "num_rbf": 4}},
        {"name": "gcnn", "convolutions": {"stack": True, "readout": "element"},
         "representation": functions},
    ]  # fmt: skip
    for section in sections:
        config = parse_config({"model": section})
        there = settings_of_model(build_potential(config, (1, 8)))
        for key, value in there.items():
            of_config: Any = config.model
            for name in key.split("."):
                of_config = getattr(of_config, name)
            if key == DIM and config.model.representation.channels is None:
                of_config = of_config or EMBEDDING_DIM  # null stands for it
            assert of_config == value, key
    assert settings_of_model(Potential(GCNN([1], 3.0)))["name"] == "gcnn"


def test_a_config_with_transfer_is_written_and_read(tmp_path: Path) -> None:
    values = {
        "data": {"train": "a.extxyz"},
        "model": {"convolutions": {"conv": "painn"}},
        "loss": {"element_weights": {"Cu": 2.0}},
        "transfer": {"from": "m.pt", "freeze": ["readout"], "learning_rates": {"embedding": 0.5}},
    }
    path = write_config(parse_config(values), tmp_path / "config.yaml")
    again = read_config(path)
    assert again.model.model_fields_set == {"convolutions"}
    assert again.transfer.init == Path("m.pt").absolute()
    assert to_yaml(read_config(write_config(again, tmp_path / "b.yaml"))) == to_yaml(again)
    with pytest.raises(ValueError, match=r"`transfer.form`.*did you mean 'from'\?"):
        parse_config({"transfer": {"form": "m.pt"}})
    with pytest.raises(ValueError, match="`loss.element_weights`"):
        parse_config({"loss": {"element_weights": {"Xx": 2.0}}})
    with pytest.raises(ValueError, match="`transfer.learning_rates`"):
        parse_config({"transfer": {"learning_rates": {"readout": 0.0}}})
