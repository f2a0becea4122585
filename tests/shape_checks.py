"""Looks at the shapes that a signature of the package promises, `Float[Tensor, "N 3"]`, in tests.

Only functions and methods with such an annotation are wrapped: mypy has all other types, and
`jaxtyping.install_import_hook`, which wraps every function, takes longer than most tests.
"""

import re
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache, wraps
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from inspect import unwrap
from types import FunctionType, ModuleType
from typing import Any, get_args

import jaxtyping
from beartype import beartype


def install() -> None:
    """Check what is imported of the package from now on."""
    sys.meta_path.insert(0, CheckedFinder)


class CheckedFinder(PathFinder):
    """Finds the modules of the package."""

    @classmethod
    def find_spec(cls, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname.split(".")[0] != "nnmd_graph":
            return None
        spec = super().find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = CheckedLoader(fullname, spec.loader.path)
        return spec


class CheckedLoader(SourceFileLoader):
    """Reads a module, then puts checks around what it defines."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        for name, value in list(vars(module).items()):
            if getattr(value, "__module__", None) == module.__name__:
                setattr(module, name, checked(value))


def checked(made: Any) -> Any:
    """A function with checks, or a class with checks in its methods; all else as it is."""
    if isinstance(made, type):
        for name, value in list(vars(made).items()):
            if not isinstance(value, type) and (method := checked(value)) is not value:
                setattr(made, name, method)
    if isinstance(made, classmethod | staticmethod):
        method = checked(made.__func__)
        return made if method is made.__func__ else type(made)(method)
    if isinstance(made, property):
        getter = checked(made.fget)
        return made if getter is made.fget else property(getter, made.fset, None, made.__doc__)
    return with_checks(made) if isinstance(made, FunctionType) and shapes(made) else made


def shapes(function: FunctionType) -> dict[str, Any]:
    """The annotations with a shape."""
    names = unwrap(function).__globals__  # of the inner one below `torch.no_grad()`
    return {n: hint for n, hint in function.__annotations__.items() if has_shape(hint, names)}


def has_shape(hint: Any, names: dict[str, Any]) -> bool:
    """Whether an annotation, or a name in its text, is of jaxtyping."""
    if isinstance(hint, str):
        return any(has_shape(names.get(word), names) for word in re.findall(r"\w+", hint))
    if isinstance(hint, type):
        return issubclass(hint, jaxtyping.AbstractArray | jaxtyping.AbstractDtype)
    return any(has_shape(part, names) for part in get_args(hint))


def with_checks(function: FunctionType) -> Callable[..., Any]:
    """The function; inside `pytest.raises` without checks, since users get its own errors."""

    @cache  # at the first call, when all names of the module are there
    def looked_at() -> Callable[..., Any]:
        names, hints = unwrap(function).__globals__, {}
        for name, hint in shapes(function).items():
            with suppress(NameError):  # imported for mypy only
                hints[name] = eval(hint, names) if isinstance(hint, str) else hint
        copy = FunctionType(
            function.__code__,
            function.__globals__,
            function.__name__,
            function.__defaults__,
            function.__closure__,
        )
        copy.__dict__.update(vars(function))
        copy.__kwdefaults__, copy.__annotations__ = function.__kwdefaults__, hints
        copy.__module__, copy.__qualname__ = function.__module__, function.__qualname__
        return beartype(copy)

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if jaxtyping.config.jaxtyping_disable:
            return function(*args, **kwargs)
        with jaxtyping.jaxtyped("context"):  # a letter is one number all over a call
            return looked_at()(*args, **kwargs)

    return wrapper
