"""A file that is cut off or damaged gives its first frames or one message, never another number."""

import bz2
import gzip
import lzma
import warnings
from collections.abc import Callable
from pathlib import Path

import ase
import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nnmd_graph.data import read_frames, write_runner
from nnmd_graph.data.reading.text import ReadError, check_ending

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress,
}  # fmt: skip
QUICK = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def frames() -> list[Atoms]:
    rng = np.random.default_rng(3)
    made = []
    for n in range(3):
        atoms = Atoms("CuOH", rng.normal(size=(3, 3)) * 3)
        atoms.set_cell([9 + n, 9.5, 10])
        atoms.pbc = True
        forces = rng.normal(size=(3, 3))
        atoms.calc = SinglePointCalculator(atoms, energy=-12.345 - n, forces=forces)
        made.append(atoms)
    return made


def read(file: Path, format: str | None = None) -> list[Atoms] | str:
    """Frames, or the message."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return [atoms for atoms, _ in read_frames(file, format=format)]
        except ValueError as error:
            return str(error)


def same(a: Atoms, b: Atoms) -> bool:
    results = [(x.calc.results if x.calc else {}) for x in (a, b)]
    return (
        np.array_equal(a.numbers, b.numbers)
        and np.array_equal(a.positions, b.positions)
        and np.array_equal(a.cell.array, b.cell.array)
        and results[0].keys() == results[1].keys()
        and all(np.array_equal(results[0][key], results[1][key]) for key in results[0])
    )


def assert_first_frames_or_one_message(
    found: list[Atoms] | str, whole: list[Atoms], file: Path
) -> None:
    if isinstance(found, str):
        assert found.startswith("`path`") and str(file) in found and "\n" not in found
        assert "IndexError:" not in found and "KeyError:" not in found
    else:
        assert len(found) <= len(whole)
        assert all(same(a, b) for a, b in zip(found, whole, strict=False))


def text_of(kind: str, folder: Path) -> bytes:
    file = folder / f"whole.{kind}"
    if file.exists():
        return file.read_bytes()
    if kind == "runner":
        write_runner(frames(), file, length_unit="bohr", energy_unit="hartree")
    elif kind == "repr.xyz":
        rows = [[f"{s} " + " ".join(map(repr, p)) for s, p in zip(a.symbols, a.positions.tolist(),
                 strict=True)] for a in frames()]  # fmt: skip
        file.write_text("".join(f"3\nenergy={-1.5 - n}\n" + "\n".join(r) + "\n"
                                for n, r in enumerate(rows)))  # fmt: skip
    elif kind == "integers.xyz":
        file.write_text("2\n\nCu 0 0 0\nCu 10 0 25\n2\n\nO 0 0 0\nO 0 0 13\n")
    elif kind == "cp2k.xyz":
        comments = [f" i = {i}, time = {i / 2:.3f}, E = -9{i}.123456" for i in range(10, 13)]
        file.write_text("".join(f"2\n{c}\nCu 0 0 0\nCu 0.0 0.0 2.3{c[5]}\n" for c in comments))
    elif kind == "vasp":
        ase.io.write(file, frames()[0], format="vasp")
    else:
        ase.io.write(file, frames())
    return file.read_bytes()


KINDS = {"extxyz": None, "runner": "runner", "repr.xyz": None, "integers.xyz": None,
         "cp2k.xyz": None, "vasp": "vasp", "traj": None, "json": None}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["repr.xyz", "integers.xyz", "cp2k.xyz"])
def test_a_short_text_cut_at_every_byte(tmp_path: Path, kind: str) -> None:
    content, file = text_of(kind, tmp_path), tmp_path / f"cut_{kind}"
    whole = read(tmp_path / f"whole.{kind}")
    assert isinstance(whole, list)
    for n in range(1, len(content)):
        file.write_bytes(content[:n])
        assert_first_frames_or_one_message(read(file), whole, file)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@QUICK
@given(st.data())
def test_a_file_cut_anywhere(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    content, file = text_of(kind, tmp_path), tmp_path / f"cut.{kind}"
    whole = read(tmp_path / f"whole.{kind}", KINDS[kind])
    assert isinstance(whole, list)
    file.write_bytes(content[: data.draw(st.integers(1, len(content) - 1))])
    assert_first_frames_or_one_message(read(file, KINDS[kind]), whole, file)


@pytest.mark.parametrize("ending", PACKERS)
@QUICK
@given(st.data())
def test_a_damaged_archive(tmp_path: Path, ending: str, data: st.DataObject) -> None:
    packed = PACKERS[ending](text_of("extxyz", tmp_path))
    whole = read(tmp_path / "whole.extxyz")
    assert isinstance(whole, list)
    file = tmp_path / f"a.extxyz{ending}"
    damaged = bytearray(packed)
    if data.draw(st.booleans()):
        damaged = damaged[: data.draw(st.integers(1, len(packed) - 1))]
    else:
        bit = data.draw(st.integers(0, 8 * len(packed) - 1))
        damaged[bit // 8] ^= 1 << bit % 8
    file.write_bytes(bytes(damaged))
    assert_first_frames_or_one_message(read(file), whole, file)


@pytest.mark.parametrize("ending", PACKERS)
@pytest.mark.parametrize("kind", ["runner", "vasp", "cp2k.xyz"])
def test_archives_are_checked_whatever_they_hold(tmp_path: Path, kind: str, ending: str) -> None:
    packed = PACKERS[ending](text_of(kind, tmp_path))
    file = tmp_path / f"a.{kind}{ending}"
    file.write_bytes(packed)
    assert isinstance(read(file, KINDS[kind]), list)
    file.write_bytes(packed[:-9])
    message = read(file, KINDS[kind])
    assert f"a {ending[1:]} archive that is damaged, cut off, or none" in message
    file.write_bytes(b"2\n\nCu 0 0 0\nCu 0 0 2\n")
    assert "archive that is damaged, cut off, or none" in read(file, KINDS[kind])


@pytest.mark.parametrize(
    ("lines", "whole"),
    [
        (["Cu 0.00 1.50 2.25", "Cu 1.00 2.00 3.00"], True),  # padded: all with two decimals
        (["Cu 0.00 1.50 2.25", "Cu 1.00 2.00 3.0"], False),
        (["Cu 0.0 1.5 2.2", "Cu 1.0 2.0 3.0"], False),  # as a program prints what it has
        (["Cu 0 1 2", "Cu 1 2 3"], False),
        (["H 1.2e-05 2.50e-01", "H 1.3e-05 2.57e-01"], True),
        (["H 1.2e-05 2.50e-01", "H 1.3e-05 2.57e-0"], False),
        (["0.120000 0.123456"], True),
        (["0.123456 0.500000"], False),
        (["0.123456 0.50000"], False),
        (["0.123456 0.12345"], False),
        (["a 12", "END"], True),
        (["a 12", "7 "], True),
        (["a 12", "7\n"], True),
        (["a 12", "1e"], False),
        (["a 12", "-4."], False),
    ],
)
def test_which_last_lines_are_whole(lines: list[str], whole: bool) -> None:
    if whole:
        check_ending(lines[-1], lines[:-1])
    else:
        with pytest.raises(ReadError, match="without a line break"):
            check_ending(lines[-1], lines[:-1])


def test_the_message_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text("1\n\nCu 0 0 0\n1\n\nCu 0 0 12")
    message = read(tmp_path / "a.xyz")
    assert "behind '12', which may be a number cut in half (if it is whole, add a" in message
    assert "at frame 1; repair the file, or read the frames before it with index=':1'" in message
