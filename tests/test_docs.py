"""The pages tell the truth: links lead somewhere, code runs, commands and settings exist."""

import importlib.util
import inspect
import re
import shlex
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
import typer.main
import yaml
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

import nnmd_graph as ng
from nnmd_graph.cli import app
from nnmd_graph.config.config import parse_config

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "benchmarks").glob("*.md")),
]
IDS = [str(page.relative_to(ROOT)) for page in PAGES]
each_page = pytest.mark.parametrize("page", PAGES, ids=IDS)


def blocks(page: Path, language: str) -> list[str]:
    """Fenced code of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """What GitHub makes of headings: lower case, hyphens, no punctuation."""
    headings = re.findall(r"^#+ (.*)$", without_code(page.read_text(encoding="utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# --------------------------------------------------------------------------------------- links
@each_page
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8")))
    for link in links:
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{link}: no such file"
        assert target.is_relative_to(ROOT), f"{link}: leads out of the repository"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


def test_every_page_is_in_an_index() -> None:
    for index in (ROOT / "docs/index.md", ROOT / "docs/ru/index.md"):
        text = index.read_text(encoding="utf-8")
        for page in index.parent.glob("*.md"):
            assert page == index or f"({page.name})" in text, f"{page.name} is not in {index}"


# ---------------------------------------------------------------------------------------- code
@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the pages speak of, all of them small."""
    frames = []
    for seed in range(10):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=seed)
        atoms.calc = EMT()
        results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        atoms.calc = SinglePointCalculator(atoms, **results, stress=atoms.get_stress())
        frames.append(atoms)
    for name in ("data.extxyz", "copper.extxyz"):
        ase.io.write(tmp_path / name, frames)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Two epochs do not make a potential that is worth starting from
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`init`. expected a potential that says something")
@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page, "python")], ids=lambda p: p.name
)
def test_python_runs(page: Path, data_folder: Path, no_plots_of_runs: None) -> None:
    """All code of a page in one namespace, with fewer epochs and steps."""
    code = "\n".join(blocks(page, "python"))
    code = re.sub(r"max_epochs=\d+", "max_epochs=2", code)
    code = code.replace('"training": dict(', '"nve": {"steps": 10}, "training": dict(')
    exec(compile(code, str(page), "exec"), {"__name__": "page"})


def commands(page: Path) -> Iterator[list[str]]:
    """Every `nnmd-graph ...` in code: blocks, indented lines, and inline."""
    text = page.read_text(encoding="utf-8")
    inline = re.findall(r"`(nnmd-graph [^`]+)`", text)
    lines = re.findall(r"(?:^|&& )(nnmd-graph .*)$", text, re.M)
    for line in [*inline, *lines, *re.findall(r"^ {4}.*(nnmd-graph .*)$", text, re.M)]:
        yield shlex.split(line.replace("...", ""), comments=True)[1:]


@each_page
def test_commands_and_options_exist(page: Path) -> None:
    group = typer.main.get_command(app)
    for words in commands(page):
        command = group
        for word in words:
            if word in ("COMMAND", "|"):
                break
            if command is group and not word.startswith("-"):
                assert word in group.commands, f"no command {word!r}"
                command = group.commands[word]
            elif word.startswith("--"):
                options = {name for p in command.params for name in p.opts} | {"--help"}
                assert word.partition("=")[0] in options, f"{command.name} has no option {word}"


@each_page
def test_settings_exist(page: Path) -> None:
    for block in blocks(page, "yaml"):
        parse_config(yaml.safe_load(block))


def test_the_reference_of_settings_is_current() -> None:
    script = ROOT / "docs/config_reference.py"
    spec = importlib.util.spec_from_file_location("config_reference", script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (ROOT / "docs/config.md").read_text(encoding="utf-8")
    assert text == module.reference(), "run: python docs/config_reference.py"


@pytest.mark.parametrize("name", ["quickstart", "tests"])
def test_the_two_commands_are_marked_and_the_same_in_both_languages(name: str) -> None:
    """`.ci/run` takes them from the README by these marks."""
    found = [
        re.findall(rf"^<!-- {name} -->\n    (\S.*)$", page.read_text(encoding="utf-8"), re.M)
        for page in (ROOT / "README.md", ROOT / "docs/ru/quickstart.md")
    ]
    assert len(found[0]) == 1 and found[0] == found[1]


# --------------------------------------------------------------------------------------- names
def test_the_listed_names_exist() -> None:
    text = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"`ng\.(\w+)`", text)) | {"G2", "G3", "G4"}
    assert listed == set(ng.__all__)
    for module, names in re.findall(r"^\| `(nnmd_graph\.[\w.]+)` \| (.*?) \|$", text, re.M):
        for name in re.findall(r"`(\w+)`", names):
            assert hasattr(import_module(module), name), f"{module} has no {name}"


def test_the_default_recipe_is_cited_as_such() -> None:
    cited = re.findall(
        r'`recipe="(\w+)"` \(default', (ROOT / "README.md").read_text(encoding="utf-8")
    )
    assert cited == [inspect.signature(ng.ACSF.auto).parameters["recipe"].default]


# -------------------------------------------------------------------------------------- errors
def copper() -> Atoms:
    return bulk("Cu", cubic=True)


def copper_potential() -> ng.Potential:
    return ng.Potential(ng.BPNN(ng.ACSF(["Cu"], 3.0, [ng.G1()]), hidden_channels=(4,)))


def labelled(count: int, **results: object) -> ng.AtomsDataset:
    frames = [copper() for _ in range(count)]
    for atoms in frames:
        atoms.calc = SinglePointCalculator(atoms)
        atoms.calc.results.update(results)
    return ng.AtomsDataset(frames, 3.0)


def read_text(name: str, content: bytes) -> None:
    Path(name).write_bytes(content)
    ng.AtomsDataset.read(name, 3.0)


def nan_positions() -> None:
    atoms = copper()
    atoms.positions[1] = np.nan
    ng.AtomsDataset([atoms], 3.0)


def foreign_file() -> None:
    Path("foreign.pt").write_text("not a model", encoding="utf-8")
    ng.Potential.load("foreign.pt")


def stress_of_a_molecule() -> None:
    water = molecule("H2O")
    acsf = ng.ACSF(["H", "O"], 3.0, [ng.G1()])
    water.calc = ng.NNMDCalculator(ng.Potential(ng.BPNN(acsf, hidden_channels=(4,))))
    water.get_stress()


def no_finite_force() -> None:
    potential = copper_potential()
    for weight in potential.parameters():
        weight.data.fill_(np.nan)
    atoms = copper()
    atoms.calc = ng.NNMDCalculator(potential)
    atoms.get_forces()


def failing_callback() -> None:
    class Plot(ng.Callback):
        def on_epoch(self, row: dict[str, float]) -> None:
            raise RuntimeError("no screen")

    trainer = ng.Trainer(max_epochs=1, device="cpu", callbacks=[Plot()])
    trainer.fit(copper_potential(), labelled(4, energy=0.0, forces=np.zeros((4, 3))))


PROVOKED: dict[str, Callable[[], object]] = {
    "an empty data set": lambda: ng.AtomsDataset([], 3.0),
    "a file that is not there": lambda: ng.AtomsDataset.read("li.xyz", 3.0),
    "a file that ends in the middle of a frame or of a number": lambda: read_text(
        "cut.xyz", b"1\n\nCu 0 0 0.12"
    ),
    "an archive that is damaged": lambda: read_text("cut.xyz.gz", b"1\n\nCu 0 0 0\n"),
    "a file of CP2K without structures": lambda: read_text("run.log", b" CP2K| version 2023.1\n"),
    "NaN or infinite positions": nan_positions,
    "a force that float32 cannot hold": lambda: labelled(1, forces=np.full((4, 3), 1e39)),
    "an unknown unit": lambda: ng.AtomsDataset([copper()], 3.0, energy_unit="parsec"),
    "NaN or infinite forces": lambda: labelled(1, forces=np.full((4, 3), np.nan)),
    "forces of the wrong shape": lambda: labelled(1, forces=np.zeros((3, 3))),
    "a periodic direction without a volume": lambda: ng.AtomsDataset([Atoms("Cu", pbc=True)], 3.0),
    "positions or cell vectors beyond 1e12 Å": lambda: ng.AtomicGraph.from_atoms(
        Atoms("Cu2", positions=np.diag([1.0, 1e13, 0.0])[:2]), 3.0
    ),
    "a cutoff that gives more neighbours than the memory holds": lambda: ng.AtomsDataset(
        [copper()], 1e5
    )[0],
    "atoms on top of each other": lambda: ng.AtomicGraph.from_atoms(
        Atoms("Cu2", positions=np.zeros((2, 3))), 3.0
    ),
    "an element that the model does not know": lambda: copper_potential()(
        ng.AtomicGraph.from_atoms(bulk("Ag"), 3.0)
    ),
    "a graph made with too small a cutoff": lambda: copper_potential()(
        ng.AtomicGraph.from_atoms(copper(), 2.0)
    ),
    "no labels to train on": lambda: ng.Trainer().fit(copper_potential(), labelled(4)),
    "no labels to compare with": lambda: ng.evaluate(copper_potential(), labelled(4)),
    "parts that are larger than the set": lambda: labelled(9, energy=0.0).split(0.8, 0.2, 0.2),
    "a batch that is larger than the set": lambda: ng.Trainer(batch_size=10).fit(
        copper_potential(), labelled(4, energy=0.0, forces=np.zeros((4, 3)))
    ),
    "an unknown key in a config": lambda: parse_config({"training": {"max_epoch": 5}}),
    "a value that does not fit": lambda: parse_config({"model": {"cutoff": -5}}),
    "extrapolation of a model that does not know its training set": lambda: (
        copper_potential().extrapolation(ng.AtomicGraph.from_atoms(copper(), 3.0))
    ),
    "a damaged or foreign model file": foreign_file,
    "a callback that fails": failing_callback,
    "ase.Atoms where a graph is expected": lambda: copper_potential()(copper()),
    "an energy or a force that is not finite": no_finite_force,
    "stress of a molecule": stress_of_a_molecule,
}


def error_rows() -> dict[str, tuple[str, str]]:
    """The first table of docs/errors.md: what is wrong -> the error, a part of its message."""
    text = (ROOT / "docs/errors.md").read_text(encoding="utf-8").split("## While it runs")[0]
    rows = re.findall(r"^\| (.*?) \| (\w+Error) \| (.*) \|$", text, re.M)
    return {what: (error, message) for what, error, message in rows}


def test_every_listed_error_is_provoked_here() -> None:
    assert list(error_rows()) == list(PROVOKED)


@pytest.mark.slow
@pytest.mark.parametrize("what", PROVOKED)
def test_errors_say_what_the_page_says(what: str, data_folder: Path) -> None:
    error, message = error_rows()[what]
    with pytest.raises(Exception, match=re.escape(message)) as caught:
        PROVOKED[what]()
    assert error in (kind.__name__ for kind in type(caught.value).mro())


def test_what_is_called_no_error_is_none() -> None:
    lone = ng.AtomicGraph.from_atoms(Atoms("Cu"), 3.0)
    potential = copper_potential()
    potential.model.baseline.set({29: -3.5}, 1.0)
    assert potential(lone)["energy"].item() == -3.5
    near, far = (ng.AtomicGraph.from_atoms(copper(), r_c) for r_c in (3.0, 5.0))
    torch.testing.assert_close(potential(near)["forces"], potential(far)["forces"])
    torch.testing.assert_close(potential(near)["energy"], potential(far)["energy"])
