"""Files come in as they were written, and a bad one is named together with its bad frame."""

import gzip
from pathlib import Path
from typing import Any

import ase.db
import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.trajectory import Trajectory
from ase.stress import full_3x3_to_voigt_6_stress
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nnmd_graph.data import AtomsDataset, read_frames

number = st.floats(-50, 50).map(lambda x: round(x, 6))


@st.composite
def labelled_frames(draw: st.DrawFn) -> Atoms:
    """Any structure that a file can hold: any elements, cell, periodicity, some labels."""
    n = draw(st.integers(1, 5))
    pbc = draw(st.tuples(st.booleans(), st.booleans(), st.booleans()))
    skew = draw(hnp.arrays(float, (3, 3), elements=st.floats(-1, 1).map(lambda x: round(x, 6))))
    cell = np.diag([7.0, 8.0, 9.0]) + skew if any(pbc) else None
    atoms = Atoms(
        numbers=draw(st.lists(st.integers(1, 94), min_size=n, max_size=n)),
        positions=draw(hnp.arrays(float, (n, 3), elements=number)),
        cell=cell,
        pbc=pbc,
    )
    results: dict[str, Any] = {}
    if draw(st.booleans()):
        results["energy"] = draw(number)
    if draw(st.booleans()):
        results["forces"] = draw(hnp.arrays(float, (n, 3), elements=number))
    if any(pbc) and draw(st.booleans()):
        results["stress"] = draw(hnp.arrays(float, 6, elements=number))
    if results:
        atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def simple(n: int = 3, energy: float = -1.0) -> Atoms:
    atoms = Atoms(f"Cu{n}", positions=2.5 * np.arange(3 * n).reshape(n, 3))
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=np.full((n, 3), energy))
    return atoms


def read(path: Path, **kwargs: Any) -> list[Atoms]:
    return [atoms for atoms, _ in read_frames(path, **kwargs)]


def assert_same(a: Atoms, b: Atoms) -> None:
    assert (a.numbers == b.numbers).all()
    assert (a.pbc == b.pbc).all()
    np.testing.assert_allclose(a.positions, b.positions, atol=1e-7)
    np.testing.assert_allclose(a.cell.array, b.cell.array, atol=1e-7)
    for name in ("energy", "forces", "stress"):
        x, y = ((c.calc.results.get(name) if c.calc else None) for c in (a, b))
        assert (x is None) == (y is None)
        if x is not None:
            np.testing.assert_allclose(x, y, atol=1e-7)


# ------------------------------------------------------------------------- what comes in
@pytest.mark.parametrize("name", ["a.extxyz", "a.xyz", "a.extxyz.gz", "a.traj", "a.db", "a.json"])
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(frames=st.lists(labelled_frames(), min_size=1, max_size=4))
def test_written_frames_come_back(tmp_path: Path, name: str, frames: list[Atoms]) -> None:
    file = tmp_path / name
    file.unlink(missing_ok=True)
    ase.io.write(file, frames)
    back = read(file)
    assert len(back) == len(frames)
    for a, b in zip(back, frames, strict=True):
        assert_same(a, b)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(frames=st.lists(labelled_frames(), min_size=1, max_size=4))
def test_extxyz_equals_ase(tmp_path: Path, frames: list[Atoms]) -> None:
    file = tmp_path / "a.xyz"
    ase.io.write(file, frames)
    for a, b in zip(read(file), ase.io.read(file, ":"), strict=True):
        assert_same(a, b)
        assert a.info == b.info


@pytest.mark.slow
@pytest.mark.parametrize(
    "index", [":", "0", "-1", "2", "1:4", "::2", "-3:", ":-2", "::-1", 3, -2, slice(1, None, 3)]
)
@pytest.mark.parametrize("name", ["a.xyz", "a.traj", "a.db", "a.xyz.gz"])
def test_index_selects_as_in_ase(tmp_path: Path, name: str, index: Any) -> None:
    file = tmp_path / name
    frames = [simple(energy=float(i)) for i in range(6)]
    ase.io.write(file, frames)
    numbers = [int(a.get_potential_energy()) for a in read(file, index=index)]
    every = list(range(6))
    if isinstance(index, str) and ":" in index:
        index = slice(*[int(x) if x else None for x in index.split(":")])
    elif isinstance(index, str):
        index = int(index)
    wanted = every[index] if isinstance(index, slice) else [every[index]]
    assert numbers == wanted
    sources = [source for _, source in read_frames(file, index=index)]
    assert sources == [f"frame {i} of {name!r}" for i in wanted]


def test_blank_lines_between_frames_lose_nothing(tmp_path: Path) -> None:
    file = tmp_path / "a.xyz"
    ase.io.write(tmp_path / "one.xyz", simple())
    one = (tmp_path / "one.xyz").read_text()
    file.write_text("\n" + one + "\n \n" + one + "\n")
    assert len(read(file)) == 2


def test_a_file_without_final_newline_is_complete(tmp_path: Path) -> None:
    file = tmp_path / "a.xyz"
    ase.io.write(file, [simple(), simple()])
    file.write_text(file.read_text().rstrip("\n"))
    assert len(read(file)) == 2


def test_cell_vectors_below_the_atoms(tmp_path: Path) -> None:
    file = tmp_path / "a.xyz"
    frame = "2\nsurface\nCu 0 0 0\nCu 0 0 2.5\nVEC1 3 0 0\nVEC2 0 4 0\n"
    file.write_text(frame * 2)
    a, b = read(file)
    assert b.pbc.tolist() == [True, True, False]
    np.testing.assert_allclose(a.cell.array, np.diag([3.0, 4.0, 0.0]))


def test_an_at_sign_belongs_to_the_name(tmp_path: Path) -> None:
    file = tmp_path / "a@300.xyz"
    ase.io.write(tmp_path / "b.xyz", [simple()] * 2)
    (tmp_path / "b.xyz").rename(file)
    assert len(read(file)) == 2


def moved(by: float, **labels: Any) -> Atoms:
    """Another structure each time: equal ones with unequal labels are warned of."""
    atoms = simple(**labels)
    atoms.positions[0] += 0.01 * by
    atoms.calc.atoms = atoms.copy()
    return atoms


def test_rows_of_a_database_keep_named_labels(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    with ase.db.connect(file) as db:
        for i in range(2):
            data = {"dft_forces": np.full((3, 3), float(i)), "note": [1, 2]}
            db.write(moved(i), dft_energy=-2.0 - i, data=data)
    dataset = AtomsDataset.read(file, 3.0, energy_key="dft_energy", forces_key="dft_forces")
    assert [labels.energy for labels in dataset.labels] == [-2.0, -3.0]
    forces = dataset.labels[1].forces
    assert forces is not None
    assert (forces == 1.0).all()


def test_named_keys_of_extxyz_are_found(tmp_path: Path) -> None:
    file = tmp_path / "a.xyz"
    stress = np.array([[0.3, 0.1, 0.0], [0.1, 0.2, 0.0], [0.0, 0.0, -0.1]])
    frames = []
    for voigt in (stress, stress.flatten(), full_3x3_to_voigt_6_stress(stress)):
        atoms = Atoms("CuNi", [[0, 0, 0], [0, 0, 2.5]], cell=[9, 9, 9], pbc=True)
        atoms.info.update(REF_energy=-7.5, REF_stress=voigt)
        atoms.new_array("REF_forces", np.arange(6.0).reshape(2, 3))
        frames.append(atoms)
    ase.io.write(file, frames)
    dataset = AtomsDataset.read(
        file, 3.0, energy_key="REF_energy", forces_key="REF_forces", stress_key="REF_stress"
    )
    for labels in dataset.labels:
        assert labels.energy == -7.5
        np.testing.assert_allclose(labels.forces, np.arange(6.0).reshape(2, 3))
        np.testing.assert_allclose(labels.stress, stress)


def test_several_files_follow_each_other(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "a.xyz", [moved(0, energy=1.0), moved(1, energy=2.0)])
    ase.io.write(tmp_path / "b.traj", [moved(2, energy=3.0)])
    dataset = AtomsDataset.read([tmp_path / "a.xyz", str(tmp_path / "b.traj")], 3.0)
    assert [labels.energy for labels in dataset.labels] == [1.0, 2.0, 3.0]
    assert dataset.sources == ["frame 0 of 'a.xyz'", "frame 1 of 'a.xyz'", "frame 0 of 'b.traj'"]


def test_a_trajectory_may_lack_labels(tmp_path: Path) -> None:
    with Trajectory(tmp_path / "a.traj", "w") as file:
        file.write(simple())
        file.write(Atoms("Cu2", [[0, 0, 0], [0, 0, 2.5]]))
    with pytest.warns(UserWarning, match="of 2 frames 1 have no energy .*1 have no forces"):
        dataset = AtomsDataset.read(tmp_path / "a.traj", 3.0)
    assert dataset.has("energy") == 1


# ------------------------------------------------------------------------- what does not
@pytest.mark.parametrize("name", ["a.xyz", "a.xyz.gz"])
def test_a_cut_off_file_names_its_frame(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    ase.io.write(tmp_path / "full.xyz", [simple()] * 4)
    lines = (tmp_path / "full.xyz").read_text().splitlines(keepends=True)
    text = "".join(lines[:13])
    file.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    with pytest.raises(ValueError, match=r"1 of the frame's 3 atoms at frame 2.*index=':2'"):
        read(file)
    assert len(read(file, index=":2")) == 2


def test_a_line_cut_in_the_middle_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.xyz"
    ase.io.write(file, [simple()] * 2)
    file.write_text(file.read_text().rstrip().rsplit(" ", 1)[0])
    with pytest.raises(ValueError, match=r"middle of the last atom's line at frame 1"):
        read(file)


def test_a_broken_archive_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.xyz.gz"
    rng = np.random.default_rng(0)
    frames = [Atoms("Cu50", positions=50 * rng.random((50, 3))) for _ in range(20)]
    ase.io.write(file, frames)
    file.write_bytes(file.read_bytes()[:-4000])
    with pytest.raises(ValueError, match=r"`path`: .*a\.xyz\.gz.*EOFError"):
        read(file)


def test_a_foreign_header_names_its_frame(tmp_path: Path) -> None:
    file = tmp_path / "a.xyz"
    ase.io.write(file, [simple()] * 2)
    file.write_text(file.read_text() + "Step 3 of 9\n")
    with pytest.raises(ValueError, match=r"number of atoms .* found 'Step 3 of 9' at frame 2"):
        read(file)


def test_a_word_for_a_number_names_its_frame(tmp_path: Path) -> None:
    file = tmp_path / "a.xyz"
    ase.io.write(file, [simple()] * 3)
    lines = file.read_text().splitlines(keepends=True)
    lines[7] = lines[7].replace("0.0", "oops", 1)
    file.write_text("".join(lines))
    with pytest.raises(ValueError, match=r"xyz', got 'oops.*' for a number in line 8 at frame 1"):
        read(file)


def test_a_missing_file_suggests_its_neighbour(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "lithium.xyz", simple())
    with pytest.raises(FileNotFoundError, match=r"`path`: .*did you mean 'lithium\.xyz'"):
        read_frames(tmp_path / "litium.xyz")
    with pytest.raises(FileNotFoundError, match="no folder"):
        read_frames(tmp_path / "no" / "lithium.xyz")
    with pytest.raises(FileNotFoundError, match="behind '@' stands a number or a slice"):
        read_frames(tmp_path / "q.traj@:3x")
    with pytest.raises(FileNotFoundError, match="check the name"):
        AtomsDataset.read([tmp_path / "lithium.xyz", tmp_path / "q"], 3.0)


@pytest.mark.parametrize(
    ("path", "kwargs", "error", "message"),
    [
        ("folder", {}, ValueError, "expected a file, got the folder"),
        ("empty.xyz", {}, ValueError, r"empty file .* \(0 bytes\)"),
        ("blank.xyz", {}, ValueError, "at least one structure, got none .* as extxyz"),
        ("data.unknown", {}, ValueError, "whose format ASE knows.*`format`.*extxyz"),
        ("noise", {}, ValueError, "whose format ASE knows"),
        ("good.xyz", {"format": "gpaw"}, ValueError, "`format`: .*did you mean 'gpaw-out'"),
        ("good.xyz", {"format": "eps"}, ValueError, "`format`: expected a name that ASE reads"),
        ("good.xyz", {"format": "gpaw-out"}, ValueError, "gpaw-out frames .*Positions:"),
        ("good.xyz", {"format": "db"}, ValueError, "db frames .*DatabaseError"),
        ("good.xyz", {"index": "5:"}, ValueError, "got none .* index '5:'"),
        ("good.xyz", {"index": "all"}, ValueError, "`index`: expected a number or a slice"),
        ("good.xyz", {"index": 1.5}, TypeError, "`index`: expected an int, a str or a slice"),
        (3, {}, TypeError, "`path`: expected a file name"),
    ],
)
def test_bad_files_and_arguments(
    tmp_path: Path, path: Any, kwargs: dict[str, Any], error: type[Exception], message: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.xyz").touch()
    (tmp_path / "blank.xyz").write_text("\n\n")
    (tmp_path / "data.unknown").write_text("Cu 1 2 3\n")
    (tmp_path / "noise").write_text("Cu 1 2 3\n")
    ase.io.write(tmp_path / "good.xyz", [simple()] * 2)
    with pytest.raises(error, match=message):
        list(read_frames(tmp_path / path if isinstance(path, str) else path, **kwargs))


def test_no_files_at_all() -> None:
    with pytest.raises(ValueError, match="`path`: .*empty list"):
        AtomsDataset.read([], 3.0)


def test_the_cutoff_is_checked_before_reading(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`cutoff`"):
        AtomsDataset.read(tmp_path / "missing.xyz", -1.0)


@pytest.mark.parametrize("word", ["nan", "NaN", "inf", "-Infinity"])
@pytest.mark.parametrize("place", ["energy", "forces", "positions"])
def test_numbers_that_are_none_name_the_file(tmp_path: Path, word: str, place: str) -> None:
    file = tmp_path / "a.xyz"
    head = '1\nProperties=species:S:1:pos:R:3:forces:R:3 energy={energy} pbc="F F F"\n'
    frame = head + "Cu 0.0 0.0 {positions} 0.0 0.0 {forces}\n"
    good = dict.fromkeys(["energy", "forces", "positions"], "-1.0")
    file.write_text(frame.format(**good) + frame.format(**good | {place: word}))
    match = rf"`frames\[1\]` \(frame 1 of 'a\.xyz'\): `{place}`: expected finite numbers"
    with pytest.raises(ValueError, match=match):
        AtomsDataset.read(file, 3.0)
