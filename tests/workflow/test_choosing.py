"""Data of many elements train by default, in little memory and time; who names a model gets it."""

import time
import warnings
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from typer.testing import CliRunner

from nnmd_graph.cli import app
from nnmd_graph.config.config import read_config
from nnmd_graph.workflow.training import train_from_config

SETTINGS: dict[str, Any] = {"training": {"max_epochs": 2, "ema_decay": 0.0}}


def alloys(elements: list[int], count: int) -> list[ase.Atoms]:
    """Random alloys in which every element occurs, with labels of no meaning."""
    frames = []
    for seed in range(count):
        random = np.random.default_rng(seed)
        atoms = bulk("Cu", "fcc", a=4.0, cubic=True)
        atoms.numbers = [elements[seed % len(elements)], *random.choice(elements, 3)]
        atoms.rattle(0.1, seed=seed)
        forces = random.normal(size=(4, 3))
        atoms.calc = SinglePointCalculator(atoms, energy=random.normal(), forces=forces)
        frames.append(atoms)
    return frames


@pytest.fixture
def many(tmp_path: Path) -> Path:
    ase.io.write(tmp_path / "many.extxyz", alloys(list(range(21, 31)), 40))
    return tmp_path / "many.extxyz"


@pytest.mark.slow
@pytest.mark.parametrize("count", [7, 13, 24])
def test_many_elements_train_by_default(tmp_path: Path, count: int) -> None:
    ase.io.write(tmp_path / "data.extxyz", alloys(list(range(21, 21 + count)), 2 * count + 10))
    values = {"data": {"train": str(tmp_path / "data.extxyz"), "split": {"val": 0.0, "test": 0.0}}}
    values["data"]["split"]["train"] = 1.0  # type: ignore[index]
    start = time.monotonic()
    with pytest.warns(UserWarning, match=rf"`model.name`: 'gcnn' with 'painn' .* {count} elements"):
        result = train_from_config(values | SETTINGS, tmp_path / "run")
    assert time.monotonic() - start < 60.0
    assert len(result.potential.species) == count
    config = read_config(tmp_path / "run" / "config.yaml")
    assert (config.model.name, config.model.convolutions.conv) == ("gcnn", "painn")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        more: dict[str, Any] = {"training": {"max_epochs": 3, "ema_decay": 0.0}}
        result = train_from_config(values | more, tmp_path / "run", resume=True)
    assert len(result.history) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ({"name": "gcnn"}, "schnet"),
        ({"name": "gcnn", "convolutions": {"conv": "cgcnn", "num_layers": 1}}, "cgcnn"),
        ({"representation": {"functions": [{"type": "G2", "eta": 1.0}]}}, "bpnn"),
    ],
)
def test_who_names_a_model_gets_it(
    many: Path, tmp_path: Path, model: dict[str, Any], kind: str
) -> None:
    values = {"data": {"train": str(many), "split": {"train": 36, "val": 2, "test": 2}}}
    train_from_config(values | SETTINGS | {"model": model, "seed": 3}, tmp_path / "run")
    config = read_config(tmp_path / "run" / "config.yaml").model
    assert kind in (config.name, config.convolutions.conv)


def test_few_elements_keep_symmetry_functions(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "few.extxyz", alloys([29, 47], 12))
    train_from_config({"data": {"train": str(tmp_path / "few.extxyz")}} | SETTINGS, tmp_path / "r")
    assert read_config(tmp_path / "r" / "config.yaml").model.name == "bpnn"


@pytest.mark.slow
def test_the_command_line_says_it(many: Path, tmp_path: Path) -> None:
    arguments = [str(many), "-o", str(tmp_path / "run"), "--max-epochs", "1"]
    result = CliRunner().invoke(app, ["train", *arguments])
    text = " ".join(result.output.split())
    assert result.exit_code == 0, text
    assert "'gcnn' with 'painn' is trained, as the data have 10 elements" in text
    more = CliRunner().invoke(app, ["train", *arguments[:-1], "2", "--resume"])
    assert more.exit_code == 0, more.output
