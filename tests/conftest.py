"""What every test shares: determinism, float64, shape checks, and where the published data is."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import jaxtyping
import pytest
import torch

from . import shape_checks

hypothesis.settings.register_profile("shared machine", deadline=None)
hypothesis.settings.load_profile("shared machine")
torch.set_num_threads(1)  # the tests run side by side (pytest -n), and sums come out the same

shape_checks.install()  # before the package is imported


@pytest.fixture(autouse=True)
def own_error_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch the checks off inside `pytest.raises`: the error must be the one that users get."""
    original = pytest.raises

    @contextmanager
    def raises(*args: Any, **kwargs: Any) -> Iterator[pytest.ExceptionInfo[BaseException]]:
        before = jaxtyping.config.jaxtyping_disable
        jaxtyping.config.update("jaxtyping_disable", True)
        try:
            with original(*args, **kwargs) as info:
                yield info
        finally:
            jaxtyping.config.update("jaxtyping_disable", before)

    monkeypatch.setattr(pytest, "raises", raises)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Give each test the same random numbers, whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture
def float64() -> Iterator[None]:
    """Make float64 the default dtype of a test or (with `pytestmark = usefixtures`) of a file."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make torch.compile fail at once, as it does after a while where there is no C++ compiler."""

    def call(*_: Any) -> Any:
        raise RuntimeError("no C++ compiler found")

    monkeypatch.setattr(torch, "compile", lambda function, **_: call)


@pytest.fixture
def by_tensors(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let symmetry functions run on tensor operations, as where there is no native core."""
    from nnmd_graph.native import library  # after `shape_checks.install`

    monkeypatch.setenv(library.SWITCH, "0")
    library.forget()
    yield
    library.forget()


@pytest.fixture
def natively() -> None:
    """Let symmetry functions run in the native core, or skip the test where there is none."""
    from nnmd_graph.native import status

    if not status().used:
        pytest.skip(f"no native core: {status().text}")


@pytest.fixture(params=["natively", "by_tensors"])
def either_way(request: pytest.FixtureRequest) -> None:
    """Run a test in the native core and on tensor operations."""
    request.getfixturevalue(request.param)


def leave_out_plots(patch: pytest.MonkeyPatch) -> None:
    """Leave out what each run draws, which takes longer than a short training."""

    def draw(*arguments: Any, **_: Any) -> None:
        [path] = [a for a in arguments if isinstance(a, Path)]
        path.write_bytes(b"")

    for name in ("parity", "error_histogram", "learning_curves"):
        patch.setattr(f"nnmd_graph.workflow.training.{name}", draw)


@pytest.fixture
def no_plots_of_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, for one test."""
    leave_out_plots(monkeypatch)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Give the folder of published data sets and reference results, or skip the test."""
    default = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("NNMD_GRAPH_SHARED", default))
    if not folder.is_dir():
        pytest.skip(f"no published data in {folder}; set NNMD_GRAPH_SHARED to its folder")
    return folder
