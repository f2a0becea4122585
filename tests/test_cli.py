"""The command line: what it writes and prints, how it fails, and that nothing is lost."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import torch
import yaml
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from typer.testing import CliRunner

from nnmd_graph.cli import app
from nnmd_graph.config.config import parse_config, read_config
from nnmd_graph.models import Potential
from nnmd_graph.workflow import copper as copper_script
from nnmd_graph.workflow.building import build_potential
from nnmd_graph.workflow.training import FILES

ROOT = Path(__file__).resolve().parents[1]
SMALL: dict[str, Any] = {
    "model": {
        "cutoff": 3.6,
        "hidden_channels": [6],
        "representation": {
            "functions": [
                {"type": "G2", "eta": 0.1},
                {"type": "G2", "eta": 4.0, "r_s": 2.5},
                {"type": "G5", "eta": 0.05, "zeta": 2.0, "lam": 1.0},
            ]
        },
    },
    "training": {"max_epochs": 3, "checkpoint_seconds": 0},
}


def copper(num_frames: int = 12, seed: int = 0) -> list[Atoms]:
    rng = np.random.default_rng(seed)
    frames = []
    for n in range(num_frames):
        atoms = bulk("Cu", cubic=True, a=3.6 * rng.uniform(0.97, 1.05))
        atoms.positions += rng.normal(scale=0.06, size=(4, 3))
        atoms.info["kind"] = "even" if n % 2 == 0 else "odd"
        atoms.calc = EMT()
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
        frames.append(atoms)
    return frames


def run(*arguments: Any, status: int = 0) -> str:
    """Run a command in this process; give what it printed."""
    result = CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "100"})
    assert result.exit_code == status, result.output
    return result.output


def fails(*arguments: Any) -> str:
    """Run a command that must fail with one message; give that."""
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output and "Error: " in result.stderr
    return result.stderr


def same_weights(a: Path, b: Path) -> bool:
    first, second = (Potential.load(path).state_dict() for path in (a, b))
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.fixture(autouse=True)
def quick_plots(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the drawing out, which takes longer than these trainings; some tests draw."""
    if "draws" in request.node.name:
        return

    def draw(*arguments: Any, **keywords: Any) -> None:
        path = [a for a in arguments if isinstance(a, Path)][-1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")

    for name in ("parity", "error_histogram", "learning_curves"):
        monkeypatch.setattr(f"nnmd_graph.workflow.training.{name}", draw)
    for name in ("parity", "error_histogram"):
        monkeypatch.setattr(f"nnmd_graph.evaluation.plots.{name}", draw)
    monkeypatch.setattr("nnmd_graph.workflow.dynamics.energy_drift", draw)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, with twelve structures and settings to train on them."""
    monkeypatch.chdir(tmp_path)
    ase.io.write("copper.extxyz", copper())
    config({})
    return tmp_path


def config(changes: dict[str, Any], **training: Any) -> Path:
    values = {"data": {"train": "copper.extxyz"}} | SMALL | changes
    values["training"] = values["training"] | training
    Path("config.yaml").write_text(yaml.safe_dump(values))
    return Path("config.yaml")


@pytest.fixture
def model() -> Path:
    """A model that knows copper."""
    potential = build_potential(parse_config(SMALL), (29,))
    potential.model.baseline.set({29: 0.0}, 0.1)
    potential.save("model.pt")
    return Path("model.pt")


# ---------------------------------------------------------------------------------------- train
@pytest.mark.slow
def test_a_data_file_alone_trains_and_draws() -> None:
    output = run("train", "copper.extxyz", "--max-epochs", 2)
    written = {str(p.relative_to("run")) for p in Path("run").rglob("*") if p.is_file()}
    assert written == set(FILES)
    values = json.loads(Path("run/metrics.json").read_text())
    assert values["epochs"] == 2
    assert values["test"]["energy_mae"] > 0 and values["test"]["forces_rmse"] > 0
    for text in ("validation", "meV/atom", "meV/Å", "run/report.html", "nnmd-graph md run/model"):
        assert text in output
    assert read_config("run/config.yaml").model.cutoff == 5.0


def test_options_stand_above_the_config() -> None:
    ase.io.write("other.extxyz", copper(5, seed=1))
    run(
        *("train", "config.yaml", "-o", "a", "--seed", 3, "--max-epochs", 2, "--cutoff", 3.7),
        *("--test", "other.extxyz", "--device", "cpu", "--model", "bpnn"),
    )
    found = read_config("a/config.yaml")
    assert (found.seed, found.training.max_epochs, found.model.cutoff) == (3, 2, 3.7)
    assert found.device == "cpu"
    values = json.loads(Path("a/metrics.json").read_text())
    assert values["test"]["num_structures"] == 5
    assert values["train"]["num_structures"] == 11


def test_one_config_serves_several_data_files() -> None:
    ase.io.write("other.extxyz", copper(6, seed=1))
    run("train", "config.yaml", "other.extxyz", "copper.extxyz", "-o", "a")
    assert [p.name for p in read_config("a/config.yaml").data.train] == [
        "other.extxyz",
        "copper.extxyz",
    ]


def test_labels_under_other_names() -> None:
    frames = copper(6)
    for atoms in frames:
        atoms.info["dft_energy"] = atoms.get_potential_energy()
        atoms.arrays["dft_forces"] = atoms.get_forces()
        atoms.calc = None
    ase.io.write("named.extxyz", frames)
    assert "expected labels" in fails("train", "config.yaml", "named.extxyz", "-o", "a")
    names = ("--energy-key", "dft_energy", "--forces-key", "dft_forces")
    run("train", "config.yaml", "named.extxyz", "-o", "b", *names)
    assert read_config("b/config.yaml").data.forces_key == "dft_forces"


def test_missing_labels_are_said_once() -> None:
    frames = copper()
    frames[3].calc.results.pop("forces")
    ase.io.write("some.extxyz", frames)
    output = run("train", "config.yaml", "some.extxyz")
    assert output.count("Warning: `data.train`: of 12 frames 1 have no forces") == 1


@pytest.mark.slow
def test_the_folder_of_a_run_is_not_overwritten() -> None:
    run("train", "config.yaml")
    before = Path("run/model.pt").read_bytes()
    assert "`--output`: expected a new folder, got 'run'" in fails("train", "config.yaml")
    assert Path("run/model.pt").read_bytes() == before
    run("train", "config.yaml", "--overwrite", "--seed", 1)
    assert Path("run/model.pt").read_bytes() != before


@pytest.mark.slow
def test_resume_without_arguments_takes_the_settings_of_the_run() -> None:
    run("train", "config.yaml")
    run("train", "--resume", "--max-epochs", 5)
    assert json.loads(Path("run/metrics.json").read_text())["epochs"] == 5


def test_resume_where_there_is_nothing_starts() -> None:
    output = run("train", "config.yaml", "--resume", "-o", "new")
    assert "There is no run in new" in output
    assert Path("new/model.pt").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed", 7], "`--seed` was 0, now 7"),
        (["--cutoff", 3.7], "`--cutoff` was 3.6, now 3.7"),
    ],
)
def test_resume_with_other_settings_is_an_error(arguments: list[Any], message: str) -> None:
    run("train", "config.yaml")
    before = Path("run/model.pt").read_bytes()
    assert message in fails("train", "config.yaml", "--resume", *arguments)
    assert Path("run/model.pt").read_bytes() == before


# ------------------------------------------------------------------------------- killed and resumed
def start_training(output: str) -> "subprocess.Popen[str]":
    """Train in a process of its own, and wait until it is in the middle."""
    process = subprocess.Popen(
        [sys.executable, "-m", "nnmd_graph", "train", "config.yaml", "-o", output],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Whoever runs the tests in the background has ctrl-C ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    log = Path(output) / "log.csv"
    for _ in range(6000):
        if log.exists() and len(log.read_text().splitlines()) > 4:
            return process
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    process.kill()
    raise AssertionError("training did not start within a minute")


@pytest.mark.slow
def test_a_training_that_was_stopped_goes_on_to_the_same_weights() -> None:
    config({}, max_epochs=40)
    run("train", "config.yaml", "-o", "unbroken")
    for how in (signal.SIGKILL, signal.SIGINT):
        stopped = Path(how.name)
        process = start_training(how.name)
        process.send_signal(how)
        printed = process.communicate(timeout=60)[0]
        assert not (stopped / "metrics.json").exists(), "it had finished already"
        if how == signal.SIGINT:
            assert process.returncode == 130
            assert "Traceback" not in printed
            assert f"nnmd-graph train --output {stopped} --resume" in printed
            assert (stopped / "model.pt").is_file()
        run("train", "--output", stopped, "--resume")
        assert same_weights(stopped / "model.pt", Path("unbroken/model.pt"))
        errors = [json.loads((f / "metrics.json").read_text()) for f in (stopped, Path("unbroken"))]
        assert errors[0]["test"] == errors[1]["test"]


# ------------------------------------------------------------------------------------- wrong input
def broken(name: str, frames: list[Atoms]) -> None:
    ase.io.write(name, frames, format="extxyz")


def nan_forces() -> None:
    frames = copper()
    frames[2].calc.results["forces"][1, 0] = np.nan
    broken("bad.extxyz", frames)


def nan_energy() -> None:
    frames = copper()
    frames[2].calc.results["energy"] = np.nan
    broken("bad.extxyz", frames)


def nan_positions() -> None:
    frames = copper()
    results = frames[2].calc.results
    frames[2].positions[0, 0] = np.nan
    frames[2].calc = SinglePointCalculator(frames[2], **results)
    broken("bad.extxyz", frames)


def atoms_on_top() -> None:
    frames = copper()
    results = frames[2].calc.results
    frames[2].positions[1] = frames[2].positions[0]
    frames[2].calc = SinglePointCalculator(frames[2], **results)
    broken("bad.extxyz", frames)


def no_volume() -> None:
    text = Path("copper.extxyz").read_text().splitlines()
    lattice = text[1].split('"')[1]
    text[1] = text[1].replace(lattice, "0 0 0 0 0 0 0 0 0")
    Path("bad.extxyz").write_text("\n".join(text) + "\n")


def wrong_shape() -> None:
    text = Path("copper.extxyz").read_text().replace("forces:R:3", "forces:R:2:rest:R:1")
    Path("bad.extxyz").write_text(text)


def truncated() -> None:
    text = Path("copper.extxyz").read_text().splitlines()
    Path("bad.extxyz").write_text("\n".join(text[:-2]) + "\n")


def empty() -> None:
    Path("bad.extxyz").write_text("")


def one_frame() -> None:
    broken("bad.extxyz", copper(1))


WRONG_DATA: list[tuple[Callable[[], None], str]] = [
    (nan_forces, "frame 2 of 'bad.extxyz': `forces`: expected finite numbers"),
    (nan_energy, "frame 2 of 'bad.extxyz': `energy`: expected finite numbers"),
    (nan_positions, "frame 2 of 'bad.extxyz': `positions`: expected finite numbers"),
    (atoms_on_top, "expected atoms at least 0.001 Å apart, got atoms 0 and 1"),
    (no_volume, "`cell`: expected vectors that span a volume in the periodic directions"),
    (wrong_shape, "`forces`: expected shape [N, 3], got [4, 2]"),
    (truncated, "2 of the frame's 4 atoms at frame 11; repair the file"),
    (empty, "expected structures, got the empty file"),
    (one_frame, "`data.split.val`: expected at least one frame"),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "message"), WRONG_DATA, ids=[make.__name__ for make, _ in WRONG_DATA]
)
def test_wrong_data_are_named(make: Callable[[], None], message: str) -> None:
    make()
    assert message in fails("train", "config.yaml", "bad.extxyz")
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "cooper.extxyz"], "'copper.extxyz'?"),
        (["train", "confg.yaml"], "`SOURCES`: expected a file, got 'confg.yaml', which is not the"),
        (["train"], "`SOURCES`: expected a data file or a config file, got none"),
        (["train", "--resume"], "('run' holds no run to go on with)"),
        (["train", "config.yaml", "config.yaml"], "`SOURCES`: expected one config file, got 2"),
        (["train", "copper.extxyz", "--model", "bpn"], "got 'bpn'; did you mean 'bpnn'?"),
        (["train", "copper.extxyz", "--cutoff", -1], "`--cutoff` in the options: expected a n"),
        (["train", "copper.extxyz", "--max-epochs", 0], "`--max-epochs` in the options"),
        (["train", "copper.extxyz", "--device", "gpu"], "`--device`: expected 'auto', 'cpu'"),
        (["train", "copper.extxyz", "-o", "config.yaml"], "expected a folder, got the file"),
        (
            ["train", "copper.extxyz", "--energy-key", "E"],
            "`--energy-key`: expected a key of the f",
        ),
        (["info", "missing.extxyz"], "which is not there"),
        (["info", "missing.pt"], "`FILES`: expected a file, got"),
        (["info", "."], "which is not there"),
    ],
)
def test_wrong_arguments_are_named(arguments: list[Any], message: str) -> None:
    assert message in fails(*arguments)


def test_a_typo_in_the_config() -> None:
    config({}, max_epoch=4)
    message = fails("train", "config.yaml")
    assert "`training.max_epoch` in config.yaml: unknown key; did you mean 'max_epochs'?" in message


def test_a_batch_larger_than_the_set() -> None:
    config({}, batch_size=64)
    message = fails("train", "config.yaml")
    assert (
        "`training.batch_size`: expected at most the 10 structures of the training set, got 64"
        in message
    )


def test_a_diverging_training_says_so() -> None:
    config({}, learning_rate=1e30, ema_decay=0)
    assert "lower `training.learning_rate`" in fails("train", "config.yaml")


@pytest.mark.parametrize("command", ["evaluate", "md", "info"])
def test_broken_models_are_refused(command: str, model: Path) -> None:
    rest = [] if command == "info" else ["copper.extxyz"]
    content = model.read_bytes()
    Path("cut.pt").write_bytes(content[: len(content) // 2])
    assert "which is damaged or foreign" in fails(command, "cut.pt", *rest)
    Path("empty.pt").write_bytes(b"")
    where = "FILES" if command == "info" else "MODEL"
    assert f"`{where}`: expected" in fails(command, "empty.pt", *rest)
    torch.save({"weights": torch.zeros(3)}, "foreign.pt")
    assert "which is something else" in fails(command, "foreign.pt", *rest)
    torch.save(torch.nn.Linear(2, 2), "pickled.pt")
    assert "which is damaged or foreign" in fails(command, "pickled.pt", *rest)


def test_unknown_elements_are_refused(model: Path) -> None:
    frames = copper(3)
    frames[1].numbers[2] = 47
    frames[1].calc.atoms.numbers[2] = 47
    ase.io.write("silver.extxyz", frames)
    message = fails("evaluate", model, "silver.extxyz")
    assert "elements that the model knows (Cu), got Ag (frame 1 of 'silver.extxyz')" in message
    assert "(Cu), got Ag (atom 2)" in fails("md", model, "silver.extxyz", "--index", 1)
    assert not list(Path().glob("md.*"))


@pytest.mark.slow
def test_from_the_shell_the_message_is_all_there_is() -> None:
    config({}, max_epoch=4)
    done = subprocess.run(
        [sys.executable, "-m", "nnmd_graph", "train", "config.yaml"],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and "did you mean 'max_epochs'?" in done.stderr


def test_where_an_error_comes_from_is_shown_when_asked_for() -> None:
    result = CliRunner().invoke(app, ["--traceback", "train", "missing.xyz"])
    assert isinstance(result.exception, FileNotFoundError)


# ------------------------------------------------------------------------ evaluate, md, info, help
def test_evaluate_prints_and_writes_the_errors(model: Path) -> None:
    output = run("evaluate", model, "copper.extxyz", "--groups", "kind", "--output", "errors")
    values = json.loads(Path("errors/metrics.json").read_text())
    assert values["num_structures"] == 12
    assert values["groups"]["odd"]["num_structures"] == 6
    for text in ("all", "even", "odd", "meV/atom"):
        assert text in output
    assert len(ase.io.read("errors/predictions.extxyz", ":")) == 12
    assert Path("errors/report.html").is_file()
    assert "expected a new folder" in fails(
        "evaluate", model, "copper.extxyz", "--output", "errors"
    )


def test_evaluate_gives_the_numbers_of_the_run() -> None:
    ase.io.write("test.extxyz", copper(4, seed=2))
    run("train", "config.yaml", "--test", "test.extxyz")
    run("evaluate", "run", "test.extxyz", "-o", "errors")
    first = json.loads(Path("run/metrics.json").read_text())["test"]
    second = json.loads(Path("errors/metrics.json").read_text())
    for key in ("energy_mae", "energy_rmse", "forces_mae", "forces_rmse"):
        assert second[key] == pytest.approx(first[key])


def test_further_models_make_a_committee(model: Path) -> None:
    Path("other.pt").write_bytes(model.read_bytes())
    one = run("evaluate", model, "copper.extxyz")
    arguments = ("copper.extxyz", "--committee", "other.pt", "--committee", model)
    both = run("evaluate", model, *arguments)
    row = next(line for line in one.splitlines() if "all" in line)
    assert row in both and "spread of the committee (RMS): energy 0" in both
    assert "4 atoms" in run("md", model, *arguments, "--steps", 2)
    assert "did you mean 'other.pt'" in fails(
        "md", model, "copper.extxyz", "--committee", "none.pt"
    )


def test_md_prints_drift_and_temperature(model: Path) -> None:
    output = run("md", model, "copper.extxyz", "--steps", 20, "--repeat", 2, 1, 1)
    for text in ("8 atoms, NVE, 0.02 ps", "mean temperature", "energy drift", "meV/atom"):
        assert text in output
    assert {p.name for p in Path().glob("md.*")} == {"md.traj", "md.csv", "md.png"}
    assert "which exist" in fails("md", model, "copper.extxyz")
    output = run("md", model, "copper.extxyz", "--ensemble", "NVT", "--steps", 5, "-o", "b.xyz")
    assert "NVT" in output and "drift" not in output


def test_md_keeps_the_velocities_of_its_start_and_says_so(model: Path) -> None:
    atoms = copper(1)[0]
    atoms.set_velocities(np.full((4, 3), 0.02))  # nothing but drift
    ase.io.write("start.traj", atoms)
    md = ("md", model, "start.traj", "--steps", 2, "--temperature", 300, "-o")
    output = run(*md, "a.traj")
    assert "Velocities are those of start.traj" in output and "`--velocities draw`" in output
    first = ase.io.read("a.traj", 0).get_momenta()
    np.testing.assert_allclose(first, atoms.get_momenta())
    output = run(*md, "b.traj", "--velocities", "draw")
    assert "Velocities are" not in output and "drawn at 300 K" in output
    assert "`--velocities`: expected one of" in fails(*md, "c.traj", "--velocities", "new")
    atoms.set_constraint(FixAtoms(range(4)))
    ase.io.write("fixed.traj", atoms)
    assert "4 that are all fixed" in fails("md", model, "fixed.traj", "-o", "d.traj")


@pytest.mark.slow
def test_extrapolation_is_printed() -> None:
    config({"data": {"train": "copper.extxyz", "split": {"train": 1.0, "val": 0.0, "test": 0.0}}})
    run("train", "config.yaml")
    ase.io.write("stretched.extxyz", stretched())
    assert "no extrapolation" in run("evaluate", "run", "copper.extxyz")
    output = run("evaluate", "run", "stretched.extxyz", "-o", "errors")
    assert "extrapolations: 8 atoms in 2 structures" in output
    assert "G2(" in Path("errors/report.html").read_text()
    output = run("md", "run", "stretched.extxyz", "--steps", 5, "--extrapolation", "WARN")
    assert "Warning: `START`" in output and "in 6 of 6 steps" in output
    output = run("md", "run", "stretched.extxyz", "--steps", 5, "-o", "b.traj")
    assert "Warning" not in output and "in 6 of 6 steps" in output
    md = ("md", "run", "stretched.extxyz", "-o", "c.traj")
    assert "expected at most 0" in fails(*md, "--extrapolation", "error")
    assert "`--extrapolation`: expected one of" in fails(*md, "--extrapolation", "maybe")
    assert "ended in step 1: " in fails(*md, "--max-extrapolations", 20)


def stretched() -> list[Atoms]:
    """Copper that is unlike that of the training set, with labels of zero."""
    frames = []
    for atoms in copper(2, seed=5):
        atoms.set_cell(1.15 * atoms.cell, scale_atoms=True)
        atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=np.zeros((4, 3)))
        frames.append(atoms)
    return frames


def test_md_that_blows_up_says_so(model: Path) -> None:
    potential = Potential.load(model)
    potential.model.baseline.set({29: 0.0}, 1e8)
    potential.save(model)
    message = fails("md", model, "copper.extxyz", "--timestep", 20, "--steps", 50)
    assert "the simulation" in message and "Shorten `--timestep`" in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ensemble", "npt"], "`--ensemble`: expected one of ['nve', 'nvt']"),
        (["--temperature", -5], "`--temperature`: expected 0 K or more"),
        (["--index", ":"], "`--index`: expected one structure, got 12"),
        (["--repeat", 0, 1, 1], "`--repeat`: expected three positive integers"),
        (["--output", "md.foo"], "`--output`: expected a name that ends in"),
        (["--device", "gpu"], "`--device`: expected 'auto', 'cpu'"),
    ],
)
def test_wrong_options_of_md(model: Path, options: list[Any], message: str) -> None:
    assert message in fails("md", model, "copper.extxyz", *options)


def test_info_tells_models_from_data(model: Path) -> None:
    output = run("info", model, "copper.extxyz", "--cutoff", 4)
    for text in ("format version", "parameters", "3 (2 G2, 1 G5)", "suggested cutoff", "4 Å"):
        assert text in output
    run("train", "config.yaml")
    assert "float32" in run("info", "run")


def test_info_about_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "torch" in run("info", "--system") and "native core" in run("info", "--system")
    assert "`FILES`: expected a model or data files, got none" in fails("info")


def test_info_says_why_there_is_no_native_core(by_tensors: None) -> None:
    assert "not used: switched off (NNMD_GRAPH_NATIVE=0)" in run("info", "--system")


def test_info_plots_the_functions_of_models(model: Path) -> None:
    output = run("info", model, "--plots", "pictures")
    assert "functions.png" in output and "functions.txt" in output
    assert Path("pictures/functions.png").read_bytes().startswith(b"\x89PNG")
    assert "Cu, 3 functions" in Path("pictures/functions.txt").read_text(encoding="utf-8")


def test_help_and_version() -> None:
    output = run("--help")
    for command in ("quickstart", "train", "evaluate", "md", "info"):
        assert command in output
        assert "Usage" in run(command, "--help")
    assert "torch" in run("--version")


# ----------------------------------------------------------------------------------- quickstart
@pytest.mark.slow
def test_quickstart_tells_the_whole_story_and_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copper_script, "NUM_STRAINED", 8)
    monkeypatch.setattr(copper_script, "SNAPSHOTS", 1)
    monkeypatch.setattr(copper_script, "RATTLED_SURFACES", 1)
    monkeypatch.setattr("nnmd_graph.workflow.quickstart.STEPS", 10)
    output = run("quickstart", "--max-epochs", 2)
    folder = Path("quickstart")
    names = {"copper.extxyz", "train.yaml", "start.extxyz", "run", "md.traj", "md.csv", "md.png"}
    assert {path.name for path in folder.iterdir()} == names
    for name in FILES:
        assert (folder / "run" / name).is_file()
    for line in output.splitlines():
        if line.startswith("  nnmd-graph train"):
            run(*line.split()[1:])  # it is told to be the same training
    assert same_weights(folder / "run" / "model.pt", Path("run/model.pt"))
    assert "expected a new folder" in fails("quickstart")


@pytest.mark.slow
def test_the_data_of_the_quickstart_are_reproducible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copper_script, "NUM_STRAINED", 2)
    monkeypatch.setattr(copper_script, "SNAPSHOTS", 1)
    monkeypatch.setattr(copper_script, "RATTLED_SURFACES", 1)
    first, second, other = (copper_script.copper_frames(seed) for seed in (0, 0, 1))
    assert first == second and first != other
    assert {atoms.info["config_type"] for atoms in first} > {"strained", "300 K", "fcc111"}
    assert all(np.isfinite(atoms.get_stress()).all() for atoms in first)
