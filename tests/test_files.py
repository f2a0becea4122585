"""Files are whole or not there, and a damaged one is never taken for whole."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nnmd_graph.files import is_leftover, read_archive, read_json, replacing, write_json

from .conftest import leave_out_plots
from .damage import READERS, check, make, read_model

STORED = Path(__file__).parent / "models" / "data"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run and a small comparison."""
    with pytest.MonkeyPatch.context() as patch:
        leave_out_plots(patch)
        return make(tmp_path_factory.mktemp("written"))


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_no_flipped_bit_and_no_cut_file_is_taken_for_whole(written: Path, name: str) -> None:
    """As `python tests/damage.py --flips 200` does, with fewer bits."""
    result = check(written / name, READERS[name], flips=20, seed=1)
    assert not result.wrong
    assert result.refused > 15 or name.endswith("config.yaml")  # where comments are


@pytest.mark.parametrize("name", ["bpnn_format_1", "bpnn_format_2", "gcnn_format_2"])
def test_files_of_earlier_versions_are_checked_by_what_they_have(tmp_path: Path, name: str) -> None:
    shutil.copy(STORED / f"{name}.pt", tmp_path / "model.pt")
    result = check(tmp_path / "model.pt", read_model, flips=60)
    assert not [wrong for wrong in result.wrong if "other values" in wrong]
    assert result.refused


# ------------------------------------------------------------------------------------------- JSON
def test_json_comes_back_and_has_no_word_that_json_lacks(tmp_path: Path) -> None:
    values = {"a": 0.1 + 0.2, "b": [1, None, "ü"], "c": {"d": float("nan"), "e": -float("inf")}}
    for seal in (False, True):
        write_json(values, tmp_path / "file.json", seal=seal)
        text = (tmp_path / "file.json").read_text(encoding="utf-8")
        assert "NaN" not in text and "Infinity" not in text
        found = read_json(tmp_path / "file.json", ("a",), what="numbers")
        assert found == values | {"c": {"d": None, "e": None}}
    assert read_json(tmp_path / "none.json", what="numbers") is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[1, 2]", "the JSON of a list"),
        ("3", "the JSON of a int"),
        ("", "no JSON"),
        ("\0\0\0", "no JSON"),
        ('{"a": NaN}', "NaN is no number of JSON"),
        ('{"b": 1}', "a file without 'a'"),
        ("[" * 100_000, "no JSON"),
        ('{"a": 1, "checksum": "sha256:00"}', "does not match its checksum"),
        ('{"a": 1, "checkswm": "sha256:00"}', "does not match its checksum"),
    ],
)
def test_other_json_is_one_message_with_the_name(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"result.json': expected numbers, .*{problem}") as info:
        read_json(path, ("a",), what="numbers")
    assert "\n" not in str(info.value)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_bytes(b'{"a": "\xff"}')
    with pytest.raises(ValueError, match=r"result.json.*no JSON"):
        read_json(tmp_path / "result.json", what="numbers")


def test_a_file_may_be_laid_out_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json({"a": 1.5, "b": {"c": [1, 2]}}, path, seal=True)
    values = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(values.items()))))
    assert read_json(path, what="numbers") == {"a": 1.5, "b": {"c": [1, 2]}}


# ---------------------------------------------------------------------------------------- writing
def full(path: Path) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def nowhere(path: Path) -> None:
    path.with_name("none").with_suffix(".x").read_bytes()


@pytest.mark.parametrize(("write", "named"), [(full, "model.txt"), (nowhere, "none.x")])
def test_what_cannot_be_written_names_the_file_and_leaves_the_old_one(
    tmp_path: Path, write: Callable[[Path], None], named: str
) -> None:
    path = tmp_path / "model.txt"
    path.write_text("old")
    with pytest.raises(OSError, match=named), replacing(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        write(temporary)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (".123.456-last.pt", True),
        (".123-last.pt", True),
        (".last.pt.k3_x9abc", True),
        (".log.csv.new", True),
        ("last.pt", False),
        (".mine-last.pt", False),
        (".last.pt", False),
        (".123-mine.pt", False),
        (".gitignore", False),
    ],
)
def test_leftovers_of_killed_processes_are_known_by_their_names(name: str, expected: bool) -> None:
    assert is_leftover(name, of=("last.pt", "log.csv")) == expected


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"PK\x05\x06", b"PK\x05\x06" + b"\0" * 18])
def test_archives_of_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pt").write_bytes(content)
    if len(content) == 22:  # whole, and empty: an archive without the parts of a model
        assert read_archive(tmp_path / "a.pt") == (content, False)
        return
    with pytest.raises(ValueError, match=r"no bytes|not a zip"):
        read_archive(tmp_path / "a.pt")
