"""Folders: one writes at a time, and nothing is written over that is something else's."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nnmd_graph.folders import (
    COMPARISON,
    EVALUATION,
    EXPORT,
    LOCK,
    RUN,
    check_apart,
    check_output,
    claimed,
    holding,
    shared,
)

HOLDER = """
import fcntl, sys, time
file = open(sys.argv[1], "a")
fcntl.flock(file, fcntl.LOCK_EX)
print("ready", flush=True)
time.sleep(60)
"""


def test_a_folder_is_claimed_by_one(tmp_path: Path) -> None:
    found: list[bool] = []

    def other() -> None:
        with holding(tmp_path / "run") as is_mine:
            found.append(is_mine)

    with claimed(tmp_path / "run"):
        with claimed(tmp_path / "run"):  # the same thread may do so again
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
        (tmp_path / "run" / "file").touch()
    with holding(tmp_path / "run") as is_mine:
        found.append(is_mine)
    assert found == [False, True]
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["file"]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")
def test_a_killed_process_lets_go(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / LOCK)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        with (
            pytest.raises(ValueError, match=r"`output`: .* which another process is writing to"),
            claimed(tmp_path),
        ):
            pass
        process.kill()
    with claimed(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_leftovers_of_killed_processes_go_and_other_files_stay(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    old = [".77.78-model.pt", "checkpoints/.5-last.pt", ".log.csv.new", ".model.pt.k3x9abcd"]
    mine = [".77-notes.txt", ".model", "model.pt", "checkpoints/last.pt", ".5-last.pt.bak"]
    for name in (*old, *mine):
        (tmp_path / name).touch()
    with claimed(tmp_path, ("model.pt", "log.csv", "checkpoints/last.pt")):
        there = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert there == {*mine, LOCK}


def test_several_may_share_a_folder_and_the_first_one_knows(tmp_path: Path) -> None:
    found: list[bool] = []

    def other() -> None:
        with shared(tmp_path) as is_alone:
            found.append(is_alone)

    with shared(tmp_path) as is_alone:
        found.append(is_alone)
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    other()
    assert found == [True, False, True]
    assert not list(tmp_path.iterdir())


def test_a_folder_that_was_made_for_nothing_goes_again(tmp_path: Path) -> None:
    with pytest.raises(KeyError), claimed(tmp_path / "a" / "b"):
        raise KeyError
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("mark", "held", "wanted"),
    [
        ("log.csv", RUN, COMPARISON),
        ("checkpoints/last.pt", RUN, EVALUATION),
        ("report.json", COMPARISON, RUN),
        ("comparison.yaml", COMPARISON, EXPORT),
        ("predictions.extxyz", EVALUATION, RUN),
        ("input.nn", EXPORT, EVALUATION),
    ],
)
def test_other_work_is_left_alone(tmp_path: Path, mark: str, held: str, wanted: str) -> None:
    (tmp_path / mark).parent.mkdir(exist_ok=True)
    (tmp_path / mark).touch()
    with pytest.raises(ValueError, match=rf"`output`: expected a folder for {wanted}.*{held}"):
        check_output(tmp_path, wanted)
    check_output(tmp_path, held)


def test_a_folder_that_cannot_be_made_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file" / "run", Path("/proc/none/run")):
        if folder.parts[1] == "proc" and not Path("/proc").is_dir():
            continue
        with pytest.raises(OSError, match=r"`output`: expected a folder that can be written to"):
            check_output(folder, RUN)
    with pytest.raises(ValueError, match=r"got the file"):
        check_output(tmp_path / "file", RUN)


def test_no_input_is_written_over_whatever_leads_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "start.extxyz").write_text("1")
    (tmp_path / "sub").mkdir()
    os.link(tmp_path / "start.extxyz", tmp_path / "hard.extxyz")
    (tmp_path / "soft.extxyz").symlink_to("start.extxyz")
    (tmp_path / "folder").symlink_to("sub", target_is_directory=True)
    monkeypatch.chdir(tmp_path / "sub")
    start = {"start": [tmp_path / "start.extxyz"]}
    for output in ("../start.extxyz", "../hard.extxyz", "../soft.extxyz", "../sub/../soft.extxyz"):
        with pytest.raises(ValueError, match=r"`output`: .* which is the `start`"):
            check_apart([Path(output)], start)
    with pytest.raises(ValueError, match=r"which is the `data`"):  # neither is there yet
        check_apart([tmp_path / "folder" / "a.csv"], {"data": [Path("a.csv")]})
    check_apart([Path("start.extxyz"), tmp_path / "other"], start)
