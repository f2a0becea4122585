"""How far a loop is shows where somebody waits: a bar on a terminal, lines in a log."""

import io
import re
from typing import Any

import pytest

from nnmd_graph import progress
from nnmd_graph import screen as screen_module
from nnmd_graph.progress import Meter, duration, memory, size, track


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Give a terminal of 100 columns."""
    return shown(monkeypatch, width=100, force_terminal=True)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Give the log of a batch system."""
    return shown(monkeypatch, width=80, force_terminal=False)


def shown(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> io.StringIO:
    text, kind = io.StringIO(), screen_module.Screen
    monkeypatch.setattr(screen_module, "Screen", lambda **_: kind(file=text, **settings))
    return text


def plain(text: io.StringIO) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.getvalue())


def test_slow_loops_show_a_bar(screen: io.StringIO) -> None:
    assert list(track(range(5), "building graphs", delay=0.0)) == list(range(5))
    assert "building graphs" in screen.getvalue()
    assert "/5" in screen.getvalue()


def test_loops_without_a_length(screen: io.StringIO) -> None:
    items = iter(("a", "b", "c"))
    assert list(track((x for x in items), "reading", delay=0.0)) == ["a", "b", "c"]
    assert "reading" in screen.getvalue()


def test_fast_loops_and_silent_ones_show_nothing(screen: io.StringIO) -> None:
    assert list(track(range(3), "x")) == [0, 1, 2]
    assert list(track(range(3), "x", delay=0.0, enabled=False)) == [0, 1, 2]
    assert screen.getvalue() == ""


def test_an_error_in_the_loop_takes_the_bar_away(screen: io.StringIO) -> None:
    with pytest.raises(ZeroDivisionError):
        for i in track(range(3), "x", delay=0.0):
            1 / (1 - i)
    assert screen.getvalue().endswith("\x1b[2K") or "\x1b[?25h" in screen.getvalue()


def test_fast_loops_leave_no_line_in_a_log(log: io.StringIO) -> None:
    assert list(track(range(3), "x", delay=0.0)) == [0, 1, 2]
    assert log.getvalue() == ""


def test_a_log_gets_lines_with_errors_times_and_memory(
    log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "INTERVAL", 0.0)
    with Meter("epoch", 400) as meter:
        meter.show(11, "forces 47.10 meV/Å")
        meter.show(12, "forces 45.68 meV/Å")
    lines = log.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("epoch 12/400  forces 45.68 meV/Å  ")
    assert re.search(r"\d s, .* left(, \d+(\.\d)? [MG]B)?", lines[1])


def test_lines_keep_their_distance(log: io.StringIO) -> None:
    """Unless one is asked for, as for the first epoch and the last."""
    with Meter("epoch", 3) as meter:
        for done in (1, 2, 3):
            meter.show(done, now=done == 3)
    assert log.getvalue().splitlines()[0].startswith("epoch 3/3")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_time_left_is_visible_on_narrow_terminals(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    text = shown(monkeypatch, width=width, force_terminal=True)
    note = "energy 12.34 meV/atom, forces 123.45 meV/Å"
    with Meter("epoch", 400, delay=0.0) as meter:
        meter.show(12, note)
    assert re.search(r"12/400\s+(-|\d+):(--|\d\d):(--|\d\d)", plain(text))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (9.4, "9.4 s"), (61.0, "61 s"), (420.0, "7 min"), (12000.0, "3 h 20 min"),
     (200000.0, "2 d 7 h")],
)  # fmt: skip
def test_times_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_sizes_in_words() -> None:
    assert [size(3.1e8), size(2.14e9)] == ["310 MB", "2.1 GB"]
    assert all(re.fullmatch(r"\d+(\.\d)? [MG]B( on the GPU)?", part) for part in memory())
