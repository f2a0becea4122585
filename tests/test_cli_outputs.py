"""What the commands write lands on nothing that they read, or that something else wrote."""

import os
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from typer.testing import CliRunner

from nnmd_graph.cli import app
from nnmd_graph.models import BPNN, Potential
from nnmd_graph.representations import ACSF, G2


def run(*arguments: Any, status: int = 0) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "500"})
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    return result.output


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model and labelled structures in the working directory."""
    monkeypatch.chdir(tmp_path)
    Potential(BPNN(ACSF(["Cu"], 3.6, [G2(eta=0.5)]), (4,))).save("model.pt")
    rng, frames = np.random.default_rng(0), []
    for _ in range(3):
        atoms = bulk("Cu", cubic=True)
        atoms.positions += rng.normal(scale=0.05, size=(4, 3))
        atoms.calc = EMT()
        labels = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        atoms.calc = SinglePointCalculator(atoms, **labels)
        frames.append(atoms)
    ase.io.write("start.extxyz", frames)
    return tmp_path


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    "output", ["start.extxyz", "./sub/../start.extxyz", "soft.extxyz", "hard.extxyz", "model.traj"]
)
def test_md_does_not_eat_what_it_reads(here: Path, output: str) -> None:
    (here / "sub").mkdir()
    (here / "soft.extxyz").symlink_to("start.extxyz")
    os.link("start.extxyz", "hard.extxyz")
    (here / "model.csv").symlink_to("model.pt")
    before = files(here)
    text = run("md", "model.pt", "start.extxyz", "-o", output, "--overwrite", status=2)
    assert "--output" in text or "output" in text
    assert files(here) == before


@pytest.mark.slow
def test_evaluate_does_not_write_over_its_data_or_a_run(here: Path) -> None:
    run("evaluate", "model.pt", "start.extxyz", "-o", "errors")
    data = Path("errors") / "predictions.extxyz"
    before = files(here)
    options = ("-o", "errors", "--overwrite", "--energy-key", "reference_energy")
    text = run("evaluate", "model.pt", data, *options, status=2)
    assert "predictions.extxyz" in text
    (here / "run").mkdir()
    (here / "run" / "log.csv").write_text("epoch")
    text = run("evaluate", "model.pt", "start.extxyz", "-o", "run", "--overwrite", status=2)
    assert "holds a training run" in text
    assert files(here) == before | {"run/log.csv": b"epoch"}


@pytest.mark.parametrize(
    ("mark", "held"),
    [("log.csv", "a training run"), ("predictions.extxyz", "an evaluation"),
     ("report.json", "a comparison")],
)  # fmt: skip
def test_export_writes_into_no_other_folder(here: Path, mark: str, held: str) -> None:
    (here / "out").mkdir()
    (here / "out" / mark).write_text("")
    text = run("export", "model.pt", "-o", "out", "--overwrite", status=2)
    assert f"holds {held}" in text and [p.name for p in (here / "out").iterdir()] == [mark]


def test_quickstart_writes_over_no_file_of_the_user(here: Path) -> None:
    (here / "quickstart").mkdir()
    (here / "quickstart" / "start.extxyz").write_text("mine")
    for options in ((), ("--overwrite",)):
        assert "expected a new folder" in run("quickstart", *options, status=2)
    assert files(here / "quickstart") == {"start.extxyz": b"mine"}


@pytest.mark.parametrize("command", [
    ("train", "start.extxyz"), ("evaluate", "model.pt", "start.extxyz"),
    ("export", "model.pt"), ("md", "model.pt", "start.extxyz"),
])  # fmt: skip
def test_a_folder_that_cannot_be_written_to_is_one_message(command: tuple[str, ...]) -> None:
    output = "model.pt/out/md.traj" if command[0] == "md" else "model.pt/out"
    assert "that can be written to" in run(*command, "-o", output, status=2)
