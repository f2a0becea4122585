"""What goes wrong ends in one line: of the input, the machine, or, with a file, unforeseen."""

import errno
from pathlib import Path

import pytest

from nnmd_graph.cli.failures import UNFORESEEN, WRONG_INPUT, explain
from nnmd_graph.files import naming, replacing


def caught(action) -> BaseException:
    try:
        action()
    except BaseException as error:  # noqa: B036 - as the command line does
        return error
    raise AssertionError("nothing was raised")


def missing() -> None:
    Path("no/such/folder/x.txt").read_text()


def no_room() -> None:
    with naming("run/model.pt"):
        raise OSError(errno.ENOSPC, "No space left on device")


def torch_without_room() -> None:
    with naming("run/last.pt"):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError:
            raise RuntimeError("[enforce fail at inline_container.cc] PytorchStreamWriter")  # noqa: B904


def no_memory() -> None:
    raise MemoryError("Unable to allocate 4.00 TiB for an array")


def torch_without_memory() -> None:
    raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 8 TB")


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (missing, ["'no/such/folder/x.txt'", "no such file"]),
        (no_room, ["'run/model.pt'", "no space left", "free some space"]),
        (torch_without_room, ["'run/last.pt'", "no space left"]),
        (no_memory, ["the memory does not suffice", "batch_size"]),
        (torch_without_memory, ["the memory does not suffice"]),
    ],
)
def test_the_machine_is_named(action, words: list[str]) -> None:
    message, status = explain(caught(action))
    assert status == WRONG_INPUT and "\n" not in message
    assert all(word in message.lower() or word in message for word in words), message


def deep(n: int = 0) -> int:
    return deep(n + 1)


@pytest.mark.parametrize("action", [deep, lambda: {}["gone"], lambda: 1 / 0])
def test_what_nobody_foresaw_leaves_its_traceback_in_a_file(action) -> None:
    message, status = explain(caught(action))
    assert status == UNFORESEEN and "\n" not in message
    file = Path(message.split("its traceback is in '")[1].split("'")[0])
    text = file.read_text(encoding="utf-8")
    file.unlink()
    assert "Traceback" in text and "torch" in text


def test_messages_of_the_package_are_passed_on() -> None:
    from nnmd_graph.units import length_factor

    message, status = explain(caught(lambda: length_factor("parsec")))
    assert status == WRONG_INPUT and message.startswith("`length_unit`: expected")


def test_a_file_that_cannot_be_replaced_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(OSError, match="No space"), replacing(path) as temporary:
        temporary.write_text("new")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
