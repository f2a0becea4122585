"""Training runs of graph convolutions from settings, with resume; hybrids too."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from nnmd_graph.cli import app
from nnmd_graph.models import Potential
from nnmd_graph.workflow import train_from_config

Settings = Callable[..., dict[str, Any]]
TINY = {"num_layers": 1, "hidden_channels": 6, "num_rbf": 4}


def with_model(settings: dict[str, Any], **convolutions: Any) -> dict[str, Any]:
    return settings | {
        "model": settings["model"] | {"name": "gcnn", "convolutions": TINY | convolutions}
    }


@pytest.mark.slow
@pytest.mark.parametrize("convolutions", [{"conv": "painn"}, {"conv": "schnet", "stack": True}])
def test_a_run_and_its_continuation(
    settings: Settings, tmp_path: Path, convolutions: dict[str, Any]
) -> None:
    whole = train_from_config(with_model(settings(), **convolutions), tmp_path / "whole")
    assert torch.isfinite(torch.tensor(whole.metrics["test"]["forces_mae"]))
    assert whole.facts["model"].startswith("gcnn, cutoff 3.6")

    parts = with_model(settings(max_epochs=3, max_seconds=1e-9), **convolutions)
    first = train_from_config(parts, tmp_path / "run")
    assert len(first.history) == 1
    resumed = train_from_config(
        with_model(settings(), **convolutions), tmp_path / "run", resume=True
    )
    loaded = Potential.load(tmp_path / "run" / "model.pt")
    for potential in (resumed.potential, loaded):
        for name, value in whole.potential.state_dict().items():
            assert torch.equal(potential.state_dict()[name], value), name


def test_by_the_command_line(data: Path, tmp_path: Path) -> None:
    arguments = ["train", str(data), "--model", "gcnn", "--cutoff", "3.6", "--max-epochs", "1"]
    done = CliRunner().invoke(app, [*arguments, "--device", "cpu", "-o", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    assert Potential.load(tmp_path / "run" / "model.pt").species == (29,)


def test_wrong_options_are_named(settings: Settings, tmp_path: Path) -> None:
    values = with_model(settings(), conv="gat", options={"head": 2})
    with pytest.raises(TypeError, match="got GATConv: .*'head'"):
        train_from_config(values, tmp_path / "run")
