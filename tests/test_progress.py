"""A bar appears only where somebody waits and watches."""

import io
from typing import Any

import pytest
from rich.console import Console

from nnmd_graph import progress


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    text = io.StringIO()

    def console(**_: Any) -> Console:
        return Console(file=text, force_terminal=True, width=100)

    monkeypatch.setattr(progress, "Console", console)
    return text


def test_slow_loops_show_a_bar(screen: io.StringIO) -> None:
    assert list(progress.track(range(5), "building graphs", delay=0.0)) == list(range(5))
    assert "building graphs" in screen.getvalue()
    assert "/5" in screen.getvalue()


def test_loops_without_a_length(screen: io.StringIO) -> None:
    items = iter(("a", "b", "c"))
    assert list(progress.track((x for x in items), "reading", delay=0.0)) == ["a", "b", "c"]
    assert "reading" in screen.getvalue()


def test_fast_loops_and_silent_ones_show_nothing(screen: io.StringIO) -> None:
    assert list(progress.track(range(3), "x")) == [0, 1, 2]
    assert list(progress.track(range(3), "x", delay=0.0, enabled=False)) == [0, 1, 2]
    assert screen.getvalue() == ""


def test_no_bar_in_a_log_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.track(range(3), "x", delay=0.0)) == [0, 1, 2]
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_an_error_in_the_loop_takes_the_bar_away(screen: io.StringIO) -> None:
    with pytest.raises(ZeroDivisionError):
        for i in progress.track(range(3), "x", delay=0.0):
            1 / (1 - i)
    assert screen.getvalue().endswith("\x1b[2K") or "\x1b[?25h" in screen.getvalue()
