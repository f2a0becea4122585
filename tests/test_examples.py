"""Every example runs, as a user would run it."""

import csv
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase.io import read

import nnmd_graph as ng

Run = Callable[..., str]
EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def run_in_a_process(name: str, *arguments: str, folder: Path) -> str:
    """Run an example in a folder; its output, also to be seen when the test fails."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=600,
    )
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run an example in this process, which has imported everything; gives its output."""

    def run_here(name: str, *arguments: str) -> str:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run_here


@pytest.mark.slow
def test_01_to_03_train_evaluate_simulate(tmp_path: Path) -> None:
    output = run_in_a_process(
        "01_train_and_evaluate.py", "--frames", "20", "--epochs", "15", "--cutoff", "4.0",
        folder=tmp_path,
    )  # fmt: skip
    assert "20 frames of Cu Au" in output
    assert re.search(r"energy +[\d.]+ +[\d.]+ +meV/atom", output)
    assert ng.Potential.load(tmp_path / "alloy.pt").species == (29, 79)
    assert (tmp_path / "alloy_parity.png").stat().st_size > 10_000

    output = run_in_a_process("03_md_ase.py", "alloy.pt", "--steps", "40", folder=tmp_path)
    assert "relaxed Cu3Au" in output and "40 steps of 108 atoms" in output
    assert len(read(tmp_path / "alloy_md.traj", ":")) == 3


@pytest.mark.slow
def test_02_custom_representation(run: Run, tmp_path: Path) -> None:
    output = run("02_custom_representation.py", "--frames", "10", "--epochs", "2")
    assert "the same forces after loading: True" in output


@pytest.fixture
def stiff_lithium(tmp_path: Path) -> Path:
    """A lithium potential that pulls a little at every atom: radial, untrained, weak."""
    functions = [ng.G2(eta=1.0, r_s=r) for r in (2.5, 3.0, 3.5)]
    potential = ng.Potential(ng.BPNN(ng.ACSF(["Li"], 4.5, functions), hidden_channels=(8,)))
    potential.model.baseline.set({3: -1.9}, scale=0.02)
    potential.save(tmp_path / "li.pt")
    return tmp_path / "li.pt"


@pytest.mark.slow
def test_04_nve_lithium(run: Run, stiff_lithium: Path, tmp_path: Path) -> None:
    output = run(
        "04_nve_lithium.py", str(stiff_lithium), "--atoms", "16", "--time-ps", "0.1",
        "--equilibration-ps", "0.02", "--timestep", "0.5", "--output", "nve.traj",
    )  # fmt: skip
    with (tmp_path / "nve.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    time = np.array([float(row["time_fs"]) for row in rows])
    energy = np.array([float(row["total_energy_eV"]) for row in rows]) * 1000 / 16
    assert time[-1] == 100.0

    printed = re.search(r"energy drift +([-+][\d.]+) meV/atom in 0.1 ps", output)
    assert printed is not None
    # Least squares by hand: covariance over variance
    slope = ((time - time.mean()) * (energy - energy.mean())).mean() / time.var()
    assert float(printed[1]) == pytest.approx(slope * 100.0, abs=2e-5)
    assert abs(float(printed[1])) < 1.0
    printed = re.search(r"largest deviation +([\d.]+) meV/atom", output)
    assert printed is not None
    assert float(printed[1]) == pytest.approx(np.abs(energy - energy[0]).max(), abs=2e-5)
    assert "16 atoms of bcc Li" in output
    assert re.search(r"neighbour lists +\d+ in 200 steps", output)
    assert (tmp_path / "nve.png").stat().st_size > 10_000


@pytest.mark.slow
def test_06_custom_convolution(run: Run, tmp_path: Path) -> None:
    output = run("06_custom_convolution.py", "--frames", "10", "--epochs", "2")
    assert "the same forces after loading: True" in output


@pytest.mark.slow
def test_05_choose_functions(run: Run, tmp_path: Path) -> None:
    output = run(
        "05_choose_functions.py", "--frames", "12", "--numbers", "4", "8", "--methods", "cur",
        "herding", "random", "--epochs", "2", "--output", "some",
    )  # fmt: skip
    with (tmp_path / "some.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    choices = [(row["choice"], int(row["functions"])) for row in rows]
    assert choices[:3] == [("pool", 88), ("gastegger2018", 44), ("imbalzano2018", 37)]
    assert set(choices[3:]) == {(m, n) for m in ("cur", "herding", "random") for n in (4, 8)}
    assert all(float(row["forces_mae"]) > 0.0 for row in rows)
    assert "cur, 4 functions:" in output and "zeta" in output
    for name in ("some.png", "some_shapes.png", "some_values.png"):
        assert (tmp_path / name).stat().st_size > 10_000


@pytest.mark.slow
def test_07_compare(run: Run, no_plots_of_runs: None, tmp_path: Path) -> None:
    arguments = ("--frames", "12", "--epochs", "1", "--seeds", "1", "--width", "4")
    output = run("07_compare.py", *arguments)
    assert "Training 3 of 3: painn" in output and "Other structures:" in output
    assert re.search(r"bpnn +[\d.]+ +[\d.]+ +", output)
    assert (tmp_path / "comparison" / "report.html").stat().st_size > 100_000
    again = run("07_compare.py", *arguments, "--resume")
    assert "3 of 3 trainings are done already" in again


# Two epochs do not make a potential that is worth starting from
@pytest.mark.filterwarnings("ignore:`init`. expected a potential that says something")
@pytest.mark.slow
def test_08_transfer(run: Run, tmp_path: Path) -> None:
    output = run("08_transfer.py", "--frames", "8", "--few", "4", "--epochs", "2")
    change = re.search(r"after gold was added differ by (\S+) eV/Å", output)
    assert change is not None and float(change[1]) < 1e-4
    assert re.search(r"fine-tuned +: energy +[\d.]+ meV/atom, forces +[\d.]+ meV/Å", output)
    assert ng.Potential.load(tmp_path / "alloy.pt").species == (29, 79)


def test_every_example_is_run_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(
        re.findall(r'"(\d\d_\w+\.py)"', text)
    )
