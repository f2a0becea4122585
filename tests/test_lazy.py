"""What takes seconds to import is imported when it is needed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import nnmd_graph as ng
from nnmd_graph import choices
from nnmd_graph.nn.conv.registry import CONVOLUTIONS
from nnmd_graph.nn.cutoff import CUTOFF_FUNCTIONS
from nnmd_graph.nn.mlp import ACTIVATIONS
from nnmd_graph.representations.symmetry.recipes import RECIPES

HEAVY = ("torch", "torch_geometric", "ase", "numpy", "matplotlib", "lightning_fabric", "rich")

SCRIPT = f"""
import sys
from pathlib import Path
import nnmd_graph, nnmd_graph.cli
from nnmd_graph.cli import app

def run(*words):
    try:
        app(list(words), prog_name="nnmd-graph", standalone_mode=True)
    except SystemExit:
        pass
    found = [name for name in {HEAVY!r} if name in sys.modules]
    assert not found, (words, found)

Path("wrong.yaml").write_text("data: {{trian: x.xyz}}")
Path("typed.yaml").write_text("training: {{max_epochs: many}}")
Path("missing.yaml").write_text("data: {{train: missing.xyz}}")
run("--help")
run("train", "--help")
run("train", "--no-such-option")
run("nonsense")
run("train", "wrong.yaml")
run("train", "typed.yaml")
run("compare", "wrong.yaml")
run("train", "missing.yaml")
run("train", "missing.extxyz")
run("train")
run("info", "missing.extxyz")
run("evaluate", "model.pt", "missing.extxyz")
run("md", "model.pt", "missing.extxyz@-1")
open("there.extxyz", "w").write("1")
run("md", "model.pt", "there.extxyz")
run("evaluate", "model.pt", "there.extxyz")
run("export", "model.pt", "--to", "n2p2")
run("info", "model.pt")
"""


@pytest.mark.slow
def test_help_and_wrong_configs_come_without_pytorch(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert "did you mean 'train'?" in said
    assert "`data.train`: expected a file, got" in said and "`SOURCES`: expected a file" in said
    for argument in ("MODEL", "FILES"):
        assert f"`{argument}`: expected a file, got 'model.pt', which is not there" in said
    for argument in ("FILES", "DATA", "START"):
        assert f"`{argument}`: expected a file, got 'missing.extxyz', which is not there" in said


def test_public_names_are_found_and_listed() -> None:
    assert set(ng.__all__) <= set(dir(ng))
    for name in ng.__all__:
        assert getattr(ng, name).__name__ == name
    assert ng.__version__


def test_modules_inside_the_package_are_found_as_attributes() -> None:
    assert ng.units.length_factor("bohr") > 0.0
    assert ng.representations.symmetry.acsf.ACSF is ng.ACSF


@pytest.mark.parametrize("name", ["Acsf", "__wrapped__", "train"])
def test_unknown_names_are_refused_as_by_any_module(name: str) -> None:
    with pytest.raises(AttributeError, match=f"has no attribute '{name}'"):
        getattr(ng, name)
    assert not hasattr(ng, name)


def test_from_imports_work() -> None:
    names: dict[str, object] = {}
    exec("from nnmd_graph import Potential, Trainer, graph", names)
    assert names["Potential"] is ng.Potential


def test_names_that_settings_choose_from_are_those_of_the_code() -> None:
    """They stand apart, so that a config is checked without PyTorch."""
    assert set(choices.CONVOLUTIONS) <= set(CONVOLUTIONS)
    assert set(choices.CUTOFF_FUNCTIONS) == set(CUTOFF_FUNCTIONS)
    assert set(choices.RECIPES) == set(RECIPES)
    assert set(choices.SMOOTH_ACTIVATIONS) < set(ACTIVATIONS)


def test_every_public_name_is_declared_once() -> None:
    """Under TYPE_CHECKING, where type checkers and the package itself read it."""
    tree = ast.parse(Path(ng.__file__).read_text(encoding="utf-8"))
    declared = [
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("nnmd_graph")
        for alias in node.names
    ]
    assert set(ng.__all__) <= set(declared) and len(declared) == len(set(declared))
