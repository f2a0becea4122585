"""`nnmd-graph compare`: what it prints and how it fails."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import yaml
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from typer.testing import CliRunner

from nnmd_graph.cli import app
from nnmd_graph.comparison.config import parse_comparison, read_comparison

ROOT = Path(__file__).resolve().parents[1]
FUNCTIONS = [{"type": "G2", "eta": 0.1}, {"type": "G2", "eta": 4.0, "r_s": 2.5}]
MODEL = {"cutoff": 3.6, "hidden_channels": [4], "representation": {"functions": FUNCTIONS}}


def run(*arguments: Any, status: int = 0) -> str:
    result = CliRunner().invoke(app, ["compare", *map(str, arguments)], env={"COLUMNS": "100"})
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    return result.output


@pytest.fixture(scope="module", autouse=True)
def quick_collection() -> Iterator[None]:
    """Leave torch and all that is imported out of the garbage collections, one a training."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder with twelve structures and settings to compare by; nothing draws."""
    monkeypatch.chdir(tmp_path)
    frames = []
    for seed in range(12):
        atoms = bulk("Cu", cubic=True)
        atoms.positions += np.random.default_rng(seed).normal(scale=0.06, size=(4, 3))
        atoms.calc = EMT()
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
        frames.append(atoms)
    ase.io.write("copper.extxyz", frames)
    config()

    def draw(*arguments: Any, **keywords: Any) -> None:
        for path in arguments:
            if isinstance(path, Path) and path.suffix == ".png":
                path.write_bytes(b"")

    for name in ("parity", "error_histogram", "learning_curves"):
        monkeypatch.setattr(f"nnmd_graph.workflow.training.{name}", draw)
    for name in ("pareto", "learning_sizes", "training_progress", "nve_energies"):
        monkeypatch.setattr(f"nnmd_graph.comparison.report.{name}", lambda *_: None)
    return tmp_path


def config(**changes: Any) -> None:
    values = {
        "data": {"train": "copper.extxyz"},
        "training": {"max_epochs": 1},
        "nve": None,
        "models": {"small": MODEL, "large": MODEL | {"hidden_channels": [8]}},
    }
    Path("compare.yaml").write_text(yaml.safe_dump(values | changes))


@pytest.mark.slow
def test_it_prints_a_table_and_goes_on_without_a_config() -> None:
    output = run("compare.yaml", "-o", "out", "--only", "small")
    for text in (
        "Training 1 of 1: small",
        "meV/atom",
        "µs/atom",
        "not finished",
        "out/report.html",
    ):
        assert text in output, text
    output = run("--output", "out", "--resume")
    assert "1 of 2 trainings are done already" in output
    assert "Training 1 of 1: large" in output and "not finished" not in output
    assert "`--output`: expected a new folder" in run("compare.yaml", "-o", "out", status=2)
    output = run("compare.yaml", "-o", "out", "--overwrite", "--only", "large,small")
    assert "Training 2 of 2" in output


def test_names_of_files_count_from_the_config(folder: Path) -> None:
    assert read_comparison("compare.yaml").data.train == [folder / "copper.extxyz"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "`CONFIG`: expected the settings of a comparison, got none"),
        (["--resume"], "('comparison' holds no comparison to go on with)"),
        (["compar.yaml"], "did you mean 'compare.yaml'?"),
        (["compare.yaml", "--only", "smal"], "got 'smal'; did you mean 'small'?"),
        (["compare.yaml", "--device", "gpu"], "`--device`: expected 'auto', 'cpu', 'cuda'"),
        (["copper.extxyz"], "`CONFIG`: expected"),
    ],
)
def test_wrong_arguments_are_named(arguments: list[str], message: str) -> None:
    assert message in run(*arguments, status=2)
    assert not Path("comparison").exists()


def test_a_typo_in_the_config_is_found_before_any_training() -> None:
    config(models={"small": MODEL | {"cutof": 3.0}})
    message = run("compare.yaml", status=2)
    assert (
        "`cutof` in `models.small` of compare.yaml: unknown key; did you mean 'cutoff'" in message
    )
    assert not Path("comparison").exists()


def test_ctrl_c_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any, **__: Any) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("nnmd_graph.comparison.protocol.do", stop)
        output = run("compare.yaml", "--only", "small", status=130)
    assert "nnmd-graph compare --output comparison --resume --only small" in output
    assert "Training 1 of 1: small" in run("--resume", "--only", "small")


@pytest.mark.parametrize(
    "page", [ROOT / "docs" / "comparing.md"], ids=lambda page: str(page.relative_to(ROOT))
)
def test_settings_of_the_pages_exist(page: Path) -> None:
    blocks = page.read_text(encoding="utf-8").split("```yml\n")[1:]
    assert blocks
    for block in blocks:
        parse_comparison(yaml.safe_load(block.split("```")[0]))
