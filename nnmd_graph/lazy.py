"""Names of a package that are imported when they are first used: PyTorch alone takes seconds."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def lazy_names(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package (PEP 562) that import what is asked for.

    The names are declared once, as imports that type checkers and editors see::

        if TYPE_CHECKING:
            from nnmd_graph.training.trainer import Trainer
        else:
            __getattr__, __dir__ = lazy_names(__name__)

    Modules inside the package are found as well, as if they had been imported.

    Args:
        package: its `__name__`. No name in it may be that of a module inside it: when that module
            is imported, it takes the place of the name.

    Returns:
        The two functions.
    """
    module = sys.modules[package]
    file = Path(module.__file__ or "")
    homes = dict(_declared(file.read_text(encoding="utf-8")))

    def get(name: str) -> Any:
        if name in homes and homes[name] != package:
            value = getattr(importlib.import_module(homes[name]), name)
            setattr(module, name, value)  # Python finds it without this function next time
            return value
        # Python and its tools often ask for dunder names, which are no files
        if not name.startswith("__") and importlib.util.find_spec(f"{package}.{name}") is not None:
            return importlib.import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def names() -> list[str]:
        return sorted({*vars(module), *homes})

    return get, names


def _declared(source: str) -> Iterator[tuple[str, str]]:
    """Each name that is imported under `if TYPE_CHECKING:`, with the module it comes from."""
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
            for line in statement.body:
                if isinstance(line, ast.ImportFrom) and line.module:
                    for alias in line.names:
                        yield alias.name, line.module
