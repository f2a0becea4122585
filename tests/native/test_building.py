"""The native core is found, compiled once, never loaded damaged, and never stands in the way."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nnmd_graph.native import building, library, status

pytestmark = pytest.mark.slow

ASK = "from nnmd_graph.native import status; print(status().used, status().text)"


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An empty cache, looked into at the next use; afterwards all is as before."""
    good = status()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    library.forget()
    yield good
    library.forget()


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh) -> Callable[[], int]:
    """A compiler that gives at once what the real one has made, and counts how often."""
    if not fresh.used:
        pytest.skip(f"no native core: {fresh.text}")
    made, count = fresh.text.split(" (")[0], tmp_path / "count"
    script = tmp_path / "quick-c++"
    script.write_text(
        f"#!{sys.executable}\n"
        "import shutil, sys, time\n"
        "if '--version' in sys.argv:\n    print('quick 1.0')\n"
        "else:\n"
        f"    open({str(count)!r}, 'a').write('x')\n"
        "    time.sleep(0.3)\n"
        f"    shutil.copy({made!r}, sys.argv[sys.argv.index('-o') + 1])\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("CXX", str(script))
    return lambda: len(count.read_text()) if count.exists() else 0


def test_compiled_once_and_said_once(compiler, capfd) -> None:
    assert status().used
    [said] = capfd.readouterr().err.splitlines()
    assert said.startswith("nnmd_graph: compiling the native core with")
    assert said.endswith(", once, some seconds")
    library.forget()
    assert status().used and compiler() == 1
    assert capfd.readouterr().err == ""


def test_two_processes_compile_once(compiler) -> None:
    command = [sys.executable, "-c", ASK]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = {process.communicate()[0] for process in both}
    assert len(answers) == 1 and answers.pop().startswith("True")
    assert compiler() == 1


@pytest.mark.parametrize("damage", [lambda b: b[:-1000], lambda b: b"", lambda b: b[:9] + b[10:]])
def test_damaged_library_is_made_anew(compiler, damage) -> None:
    assert status().used
    [path] = building.cache_folder().glob("*.so")
    good = path.read_bytes()
    path.unlink()  # this process has it open
    path.write_bytes(damage(good))
    library.forget()
    assert status().used and compiler() == 2
    assert [p.read_bytes() for p in building.cache_folder().glob("*.so")] == [good]


def test_other_sources_flags_or_compilers_are_another_library(compiler, monkeypatch) -> None:
    keys = {building._key(building.find_compiler())}
    monkeypatch.setattr(building, "FLAGS", (*building.FLAGS, "-g"))
    keys.add(building._key(building.find_compiler()))
    monkeypatch.setattr(building, "_processor", lambda: "flags: another")
    keys.add(building._key(building.find_compiler()))
    monkeypatch.setenv("CXX", f"{os.environ['CXX']} -O1")
    keys.add(building._key(building.find_compiler()))
    assert len(keys) == 4


def without(reason: str, capfd) -> None:
    """There is no core for this reason; it is said in one line, and once to a user."""
    assert not status().used and reason in status().text
    *_, said = capfd.readouterr().err.splitlines()
    assert reason in said and library.LOST in said
    library.forget()
    assert not status().used
    assert capfd.readouterr().err == ""


def test_without_a_compiler(fresh, monkeypatch, capfd) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "")
    without("there is no C++ compiler (looked for c++, g++, clang++)", capfd)


def test_compiler_of_the_environment_that_is_not_there(fresh, monkeypatch, capfd) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler -O2")
    without("looked for no-such-compiler (CXX)", capfd)


def test_compiler_that_fails(fresh, monkeypatch, capfd) -> None:
    monkeypatch.setenv("CXX", shutil.which("false") or "false")
    without("could not compile it (failed)", capfd)  # and does not try again
    assert not list(building.cache_folder().glob("*.so"))


def test_compiler_that_gives_no_library(fresh, tmp_path, monkeypatch, capfd) -> None:
    script = tmp_path / "strange"
    script.write_text('#!/bin/sh\nfor last; do :; done\n[ "$1" = --version ] || echo x > "$last"\n')
    script.chmod(0o755)
    monkeypatch.setenv("CXX", str(script))
    without("it could not be loaded", capfd)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root writes anywhere")
def test_folder_that_cannot_be_written_to(compiler, tmp_path, monkeypatch, capfd) -> None:
    (tmp_path / "cache").mkdir(mode=0o500)
    assert not status().used and "could not be compiled" in status().text


def test_cache_that_is_a_file(compiler, tmp_path, capfd) -> None:
    (tmp_path / "cache").write_text("")
    assert not status().used and "it could not be compiled" in status().text
    assert len(capfd.readouterr().err.splitlines()) == 1


def test_switched_off_in_silence(fresh, monkeypatch, capfd) -> None:
    monkeypatch.setenv(library.SWITCH, "0")
    assert status() == library.Status(False, "switched off (NNMD_GRAPH_NATIVE=0)")
    assert capfd.readouterr().err == ""


def test_cache_of_the_user(monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert building.cache_folder() == Path("/somewhere/nnmd_graph/native")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # as the standard says: to be ignored
    assert building.cache_folder() == Path.home() / ".cache/nnmd_graph/native"
