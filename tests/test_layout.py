"""The house stays in order: each folder imports only from those above it, and files stay short."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "nnmd_graph"
ORDER = [
    "shapes",
    "lazy",
    "versions",
    "errors",
    "naming",
    "elements",
    "periodic_table",
    "choices",
    "sections",
    "units",
    "quantities",
    "addresses",
    "files",
    "folders",
    "memory",
    "devices",
    "screen",
    "progress",
    "tables",
    "graph",
    "data",
    "native",
    "nn",
    "representations",
    "models",
    "training",
    "config",
    "evaluation",
    "calculators",
    "formats",
    "testing",
    "active",
    "workflow",
    "comparison",
    "cli",
]
MAX_LINES = 400
FILES = sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    """`graph` for nnmd_graph/graph/neighbors.py, `units` for nnmd_graph/units.py."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_modules(path: Path, source: str) -> list[str]:
    """Every nnmd_graph module that a file imports, at any depth, with relative imports resolved."""
    here = ["nnmd_graph", *path.relative_to(PACKAGE).parent.parts]
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            module = [*base, *(node.module.split(".") if node.module else [])]
            # `from nnmd_graph import graph` names a folder only behind the word import
            found += [".".join([*module, alias.name]) for alias in node.names]
    return [name for name in found if name.split(".")[0] == "nnmd_graph"]


def violations(path: Path, source: str) -> list[str]:
    mine = ORDER.index(room(path))
    wrong = []
    for module in imported_modules(path, source):
        parts = module.split(".")
        if len(parts) < 2 or parts[1] not in ORDER:
            wrong.append(f"{module}: import from the folder itself, not from the package's top")
        elif ORDER.index(parts[1]) > mine:
            wrong.append(f"{module}: {parts[1]} stands below {ORDER[mine]}")
    return wrong


def test_every_file_imports_only_from_above() -> None:
    doors = (PACKAGE / "__init__.py", PACKAGE / "__main__.py")  # they open on every room
    paths = [path for path in FILES if path not in doors]
    unknown = {room(path) for path in paths} - set(ORDER)
    assert not unknown, "add the room to the order in DESIGN and here"
    wrong = {path: violations(path, path.read_text(encoding="utf-8")) for path in paths}
    assert not {path: found for path, found in wrong.items() if found}


def test_no_module_of_the_training_imports_itself_by_way_of_others() -> None:
    """Imports for type checkers count, too."""
    names = {".".join(p.relative_to(PACKAGE.parent).with_suffix("").parts): p for p in FILES}
    graph = {
        name: {
            known
            for found in imported_modules(path, path.read_text(encoding="utf-8"))
            if (known := found if found in names else found.rpartition(".")[0]) in names
        }
        - {name}
        for name, path in names.items()
        if name.startswith("nnmd_graph.training.") and path.name != "__init__.py"
    }
    assert list(TopologicalSorter(graph).static_order())


def test_every_file_is_short() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert not {path: count for path, count in lines.items() if count >= MAX_LINES}


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("from nnmd_graph.models.potential import Potential", True),
        ("import nnmd_graph.models", True),
        ("from nnmd_graph import models", True),
        ("from nnmd_graph import Potential", True),
        ("from ..models import potential", True),
        ("def f():\n    from nnmd_graph.cli import main", True),
        ("from nnmd_graph.units import GPA", False),
        ("from .triplets import triplets", False),
        ("from . import triplets", False),
        ("import torch", False),
    ],
)
def test_the_check_itself_sees_wrong_imports(source: str, wrong: bool) -> None:
    assert bool(violations(PACKAGE / "graph" / "convert.py", source)) == wrong


def test_no_file_is_called_utils() -> None:
    words = {"utils", "util", "helper", "helpers", "misc", "common"}
    assert not [
        path for path in FILES if words & set(path.relative_to(PACKAGE).with_suffix("").parts)
    ]


def imports_of() -> dict[str, set[str]]:
    """Which files import which, also for type checkers and inside functions."""
    names = {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in FILES
    }
    found = {}
    for name, path in names.items():
        modules = imported_modules(path, path.read_text(encoding="utf-8"))
        # The door of a folder opens on its files; what a file needs of it is one of these
        known = {".".join(module.split(".")[: n + 1]) for module in modules for n in range(5)}
        found[name] = {other for other in known & names.keys() if other != name}
    return found


def test_no_two_files_need_each_other() -> None:
    """Files without imports of files that are left are taken away, until none are."""
    left = imports_of()
    while free := {name for name, needed in left.items() if not needed & left.keys()}:
        left = {name: needed for name, needed in left.items() if name not in free}
    assert not left


def test_contributing_tells_the_order_and_where_gradients_are_taken() -> None:
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    places = [text.find(f"`{name}`") for name in ORDER]
    assert -1 not in places and places == sorted(places)
    for path in FILES:
        if "autograd.grad(" in path.read_text(encoding="utf-8"):
            assert f"`{path.relative_to(PACKAGE).as_posix()}`" in text
