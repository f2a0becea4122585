"""Training runs of symmetry functions with element vectors, from settings and options."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nnmd_graph.cli import app
from nnmd_graph.config.config import parse_config, read_config
from nnmd_graph.models import Potential
from nnmd_graph.models.readout import ElementReadout
from nnmd_graph.models.shared_readout import SharedReadout
from nnmd_graph.representations import EmbeddedACSF
from nnmd_graph.workflow import train_from_config
from nnmd_graph.workflow.building import build_potential

Settings = Callable[..., dict[str, Any]]


def test_settings_reach_the_model() -> None:
    chosen = {"embedding_dim": 3, "init": "random", "options": {"num_radial": 4}}
    values = {"model": {"name": "embedded", "representation": chosen}, "seed": 5}
    model = build_potential(parse_config(values), (11, 17)).model
    assert isinstance(model.representation, EmbeddedACSF)
    assert isinstance(model.readout, ElementReadout)
    found = model.representation.hyper_parameters()
    assert (found["embedding_dim"], found["init"], found["seed"]) == (3, "random", 5)
    kinds = [f["type"] for f in found["functions"]]
    assert kinds.count("G2") == 4

    values["model"] |= {"readout": "shared"}
    model = build_potential(parse_config(values), (11, 17)).model
    assert isinstance(model.readout, SharedReadout)

    chosen = {"name": "embedded_acsf", "functions": [{"type": "G2", "eta": 1.0}]}
    model = build_potential(parse_config({"model": {"representation": chosen}}), (11, 17)).model
    assert model.representation.num_features == 8


def test_the_short_name_is_spelt_out() -> None:
    config = parse_config({"model": {"name": "embedded"}})
    assert config.model.name == "bpnn"
    assert config.model.representation.name == "embedded_acsf"
    assert parse_config(config.model_dump()) == config


def test_wrong_settings_are_named() -> None:
    wrong = {"model": {"readout": "shared"}}
    with pytest.raises(
        ValueError,
        match="`readout: shared`: expected a representation with vectors.*model.name: embedded",
    ):
        parse_config(wrong)
    wrong = {"model": {"representation": {"embedding_dim": 4}}}
    with pytest.raises(ValueError, match="`embedding_dim`: expected embedded_acsf beside it"):
        parse_config(wrong)
    both = {"embedding_dim": 4, "channels": 20}
    with pytest.raises(ValueError, match="expected `embedding_dim` or `channels`, got 4 and 20"):
        parse_config({"model": {"name": "embedded", "representation": both}})
    with pytest.raises(ValueError, match="did you mean 'embedded'"):
        parse_config({"model": {"name": "embeded"}})
    with pytest.raises(ValueError, match="representation"):
        parse_config({"model": {"name": "embedded", "representation": 3}})


def test_by_the_command_line(data: Path, tmp_path: Path) -> None:
    arguments = ["train", str(data), "--model", "embedded", "--cutoff", "3.6", "--max-epochs", "1"]
    run = tmp_path / "run"
    done = CliRunner().invoke(app, [*arguments, "--device", "cpu", "-o", str(run)])
    assert done.exit_code == 0, done.output
    assert isinstance(Potential.load(run / "model.pt").model.representation, EmbeddedACSF)
    assert read_config(run / "config.yaml").model.representation.name == "embedded_acsf"


def test_a_shared_net_is_trained_from_settings(settings: Settings, tmp_path: Path) -> None:
    values = settings()
    representation = values["model"].get("representation", {})
    chosen = {"name": "embedded", "readout": "shared", "representation": representation}
    values = values | {"model": values["model"] | chosen}
    result = train_from_config(values, tmp_path / "run")
    loaded = Potential.load(tmp_path / "run" / "model.pt")
    assert isinstance(loaded.model.readout, SharedReadout)
    assert result.metrics["test"]["forces_mae"] < 1e4
