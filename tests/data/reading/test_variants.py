"""Files as other programs and people write them: numbers for species, marks, alphabets, CP2K."""

from pathlib import Path

import numpy as np
import pytest
from ase.units import Bohr, Hartree
from typer.testing import CliRunner

import nnmd_graph as ng
from nnmd_graph.cli import app
from nnmd_graph.data import read_frames
from nnmd_graph.data.reading.text import open_text

HEAD = (
    'Lattice="4.0 0 0 0 4.0 0 0 0 4.0" Properties=species:{kind}:1:pos:R:3:forces:R:3 energy=-3.2'
)
ATOMS = "{a} 0.0 0.0 0.0 0.1 0.0 0.0\n{b} 2.0 2.1 1.9 -0.1 0.0 0.0\n"


def extxyz(a: str, b: str, kind: str = "S", head: str = HEAD) -> str:
    return f"2\n{head.format(kind=kind)}\n{ATOMS.format(a=a, b=b)}"


def info(file: Path, status: int = 0) -> str:
    result = CliRunner().invoke(app, ["info", str(file)], env={"COLUMNS": "200"})
    assert result.exit_code == status, result.output
    return result.output


@pytest.mark.parametrize(
    ("case", "elements"), [("numbers_as_species.extxyz", "Cu 100.0%"), ("bom.xyz", "Cu 100.0%")]
)
def test_cases_of_users(shared: Path, case: str, elements: str) -> None:
    file = shared / "cases" / case
    dataset = ng.AtomsDataset.read(file, 3.0)
    assert dataset.species == (29,) and [len(atoms) for atoms in dataset.frames] == [2]
    assert dataset.labels[0].energy == -3.2 and dataset.has("forces") == 1
    assert elements in info(file)


def test_voigt_stress_of_users(shared: Path) -> None:
    labels = ng.AtomsDataset.read(shared / "cases" / "voigt_stress.extxyz", 3.0).labels[0]
    wanted = [[0.011, 0.003, 0.002], [0.003, 0.012, 0.001], [0.002, 0.001, 0.013]]
    np.testing.assert_allclose(labels.stress, wanted)


@pytest.mark.parametrize(
    "text", ["1 2 3 4 5 6", "1 6 5 6 2 4 5 4 3", "[[1, 6, 5], [6, 2, 4], [5, 4, 3]]"]
)
@pytest.mark.parametrize("name", ["stress", "virial", "REF_stress", "virials"])
def test_a_stress_or_virial_has_six_nine_or_three_times_three_numbers(
    tmp_path: Path, text: str, name: str
) -> None:
    (tmp_path / "a.xyz").write_text(
        extxyz("Cu", "O", head=f'Lattice="9 0 0 0 9 0 0 0 9" {name}="{text}"')
    )
    keys = {"REF_stress": "stress_key", "virial": "virial_key", "virials": "virial_key"}
    named = {keys[name]: name} if name in keys else {}
    dataset = ng.AtomsDataset.read(tmp_path / "a.xyz", 3.0, **named)
    factor = -1.0 / dataset.frames[0].get_volume() if name.startswith("virial") else 1.0
    wanted = factor * np.array([[1.0, 6.0, 5.0], [6.0, 2.0, 4.0], [5.0, 4.0, 3.0]])
    np.testing.assert_allclose(dataset.labels[0].stress, wanted)


@pytest.mark.parametrize(
    ("a", "b", "kind", "numbers"),
    [
        ("29", "8", "S", [29, 8]),
        ("29", "8", "I", [29, 8]),
        ("Cu", "8", "S", [29, 8]),
        ("cu", "CL", "S", [29, 17]),
        ("1", "118", "S", [1, 118]),
    ],
)
def test_species_are_symbols_or_numbers(
    tmp_path: Path, a: str, b: str, kind: str, numbers: list[int]
) -> None:
    (tmp_path / "a.xyz").write_text(extxyz("H", "H") + extxyz(a, b, kind))
    dataset = ng.AtomsDataset.read(tmp_path / "a.xyz", 3.0)
    assert dataset.frames[1].numbers.tolist() == numbers
    assert dataset.labels[1].energy == -3.2
    np.testing.assert_allclose(dataset.frames[1].positions[1], [2.0, 2.1, 1.9])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            extxyz("119", "1"),
            "'119' for an element in line 3 .*from 1 to 118, got 119.* at frame 0",
        ),
        (extxyz("Cu", "0"), "'0' for an element in line 4"),
        (extxyz("Cu1", "O2"), "'Cu1' for an element in line 3 .*did you mean 'Cu'"),
        (extxyz("H", "H") + extxyz("H", "Xx"), "'Xx' for an element in line 8 .* at frame 1"),
        (extxyz("H", "H").replace("2.1", "2.1.0"), "'2.1.0' for a number in line 4"),
        (extxyz("H", "H").replace(" 2.1 ", " "), "6 columns in line 4, where .* has 7"),
        (extxyz("H", "H").replace("species", "kind"), "no species among the Properties"),
        (extxyz("H", "H").replace("pos:R:3", "pos:R:x"), "Properties='species"),
        (extxyz("H", "H").replace("4.0 0 0 0 4.0", "4.0"), "cannot be understood in line 2"),
        (extxyz("H", "H", head="stress='1 2 3 4'"), "for stress, which has 6 .* or 9 numbers"),
        (extxyz("H", "H", head="virial='a b'"), "for virial, which has 6 .* or 9 numbers"),
        ("-2\n\n", "no number of atoms on a line of its own"),
    ],
)
def test_what_is_wrong_is_said_in_our_words(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.xyz").write_text(text)
    with pytest.raises(
        ValueError, match=f"`path`: expected extxyz frames in .*a.xyz', got .*{message}"
    ):
        list(read_frames(tmp_path / "a.xyz"))
    printed = info(tmp_path / "a.xyz", status=2)
    assert (
        printed.startswith("Error: `FILES`: expected extxyz frames") and "Traceback" not in printed
    )


@pytest.mark.parametrize(
    ("encoding", "comment"),
    [
        ("utf-8", "name=größe"), ("utf-8-sig", "name=größe"), ("latin-1", "name=größe"),
        ("cp1252", "name=größe"), ("utf-16", "name=größe"), ("utf-16-le", "\ufeffname=a"),
    ],
)  # fmt: skip
def test_alphabets_and_marks(tmp_path: Path, encoding: str, comment: str) -> None:
    mark = "\ufeff" if encoding == "utf-16-le" else ""
    text = mark + extxyz("Cu", "Cu").replace("energy=", f"{comment.lstrip(mark)} energy=")
    (tmp_path / "a.xyz").write_bytes((text * 1).encode(encoding))
    (atoms,) = (atoms for atoms, _ in read_frames(tmp_path / "a.xyz"))
    assert atoms.info["name"] in ("größe", "a")
    assert atoms.get_potential_energy() == -3.2


def test_marks_within_a_file_of_several(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text(2 * ("\ufeff" + extxyz("Cu", "Cu")), encoding="utf-8")
    assert len(list(read_frames(tmp_path / "a.xyz"))) == 2


def test_latin_1_in_formats_that_ase_reads(tmp_path: Path) -> None:
    text = "Würfel\n1.0\n4 0 0\n0 4 0\n0 0 4\nCu\n1\nDirect\n0 0 0\n"
    (tmp_path / "POSCAR").write_bytes(text.encode("latin-1"))
    ((atoms, _),) = read_frames(tmp_path / "POSCAR")
    assert atoms.numbers.tolist() == [29] and atoms.cell.volume == pytest.approx(64)
    with open_text(tmp_path / "POSCAR") as stream:
        assert stream.readline() == "Würfel\n"


def test_runner_files_may_have_a_mark_and_latin_1(tmp_path: Path) -> None:
    text = "\ufeffbegin\ncomment Größe length_unit=bohr energy_unit=hartree\n"
    text += "atom 0 0 0 Cu 0 0 0 0 0.5\nenergy -1.0\ncharge 0\nend\n"
    (tmp_path / "input.data").write_bytes(text.encode("utf-8").replace("ö".encode(), b"\xf6"))
    (atoms,) = ng.read_runner(tmp_path / "input.data")
    assert atoms.info["comment"] == "Größe"
    np.testing.assert_allclose(atoms.get_forces()[0, 2], 0.5 * Hartree / Bohr)


# ------------------------------------------------------------------------------------------- CP2K
def trajectory(steps: list[int], scale: float = 1.0, shift: float = 0.0) -> str:
    return "".join(
        f"       2\n i = {i:8d}, time = {i / 2:12.3f}, E = {-96.5 - i + shift:20.10f}\n"
        f"  Cu {0.1 * i * scale:15.10f} {0.0:15.10f} {0.0:15.10f}\n"
        f"  Cu {0.0:15.10f} {0.0:15.10f} {2.3 * scale:15.10f}\n"
        for i in steps
    )


CELL = "#   Step   Time [fs]       Ax [Angstrom]       Ay [Angstrom]  Az ...\n" + "".join(
    f"  {i}  {i / 2:.3f}  {9 + i:.10f} 0.0 0.0  0.0 10.0 0.0  0.0 0.5 11.0  {(9 + i) * 110:.5f}\n"
    for i in range(4)
)


@pytest.mark.filterwarnings("ignore:`path`.*is a trajectory of CP2K")
def test_cp2k_case_of_users(shared: Path) -> None:
    file = shared / "cases" / "cp2k_pos.xyz"
    assert ng.AtomsDataset.read(file, 3.0).labels[0].energy == pytest.approx(-2615.65, abs=0.01)
    assert "is a trajectory of CP2K (energies in hartree, converted to eV)" in info(file)


def test_a_whole_run_of_cp2k(tmp_path: Path) -> None:
    (tmp_path / "w-pos-1.xyz").write_text(trajectory([0, 1, 2, 3]))
    (tmp_path / "w-frc-1.xyz").write_text(trajectory([0, 1, 2, 3], scale=0.01))
    (tmp_path / "w-1.cell").write_text(CELL)
    dataset = ng.AtomsDataset.read(tmp_path / "w-pos-1.xyz", 3.0)
    assert dataset.has("energy") == dataset.has("forces") == 4
    assert dataset.labels[2].energy == pytest.approx(-98.5 * Hartree)
    np.testing.assert_allclose(dataset.labels[2].forces[1, 2], 0.023 * Hartree / Bohr)
    np.testing.assert_allclose(dataset.frames[2].cell.array, [[11, 0, 0], [0, 10, 0], [0, 0.5, 11]])
    assert dataset.frames[2].pbc.all()
    assert [s for _, s in read_frames(tmp_path / "w-pos-1.xyz", index="1:3")][0].startswith(
        "frame 1"
    )


def test_forces_that_were_written_less_often(tmp_path: Path) -> None:
    (tmp_path / "w-pos-1.xyz").write_text(trajectory([0, 1, 2, 3]))
    (tmp_path / "w-frc-1.xyz").write_text(trajectory([0, 2], scale=0.01))
    with pytest.warns(UserWarning) as warned:
        dataset = ng.AtomsDataset.read(tmp_path / "w-pos-1.xyz", 3.0)
    assert [labels.forces is not None for labels in dataset.labels] == [True, False, True, False]
    said = [str(w.message) for w in warned]
    assert any("no 'w-1.cell', so the structures are not periodic" in text for text in said)


@pytest.mark.filterwarnings("ignore:`path`.*is a trajectory of CP2K")
@pytest.mark.parametrize(
    ("forces", "cell", "message"),
    [
        (trajectory([0, 1], 0.01, shift=0.5), CELL, "forces of another run in 'w-frc-1.xyz'"),
        (trajectory([0, 1], 0.01).replace("Cu", "Ag"), CELL, "forces of other atoms in"),
        (trajectory([0, 1], 0.01)[:-9], CELL, "in the forces of 'w-frc-1.xyz' at frame 1"),
        (trajectory([0, 1], 0.01), CELL[:-6], "an end without a line break"),
        (trajectory([0, 1], 0.01), CELL.replace("9.0000000000", "oops"), "a line without a cell"),
        (
            trajectory([0, 1], 0.01),
            CELL.replace("  1  0", "  7  0"),
            "no cell of step 1",
        ),
    ],
)
def test_files_that_do_not_belong_together(
    tmp_path: Path, forces: str, cell: str, message: str
) -> None:
    (tmp_path / "w-pos-1.xyz").write_text(trajectory([0, 1]))
    (tmp_path / "w-frc-1.xyz").write_text(forces)
    (tmp_path / "w-1.cell").write_text(cell)
    with pytest.raises(ValueError, match=f"`path`: expected cp2k frames .*{message}"):
        list(read_frames(tmp_path / "w-pos-1.xyz"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("w-frc-1.xyz", trajectory([0, 1], 0.01), "the forces .hartree/bohr. of a CP2K run"),
        ("w-vel-1.xyz", trajectory([0, 1], 0.01), "the velocities of a CP2K run"),
        ("w-1.cell", CELL, "the table NAME-1.cell of a CP2K run"),
        (
            "w-1.ener",
            "#     Step Nr.          Time[fs]        Kin.[a.u.]\n",
            "NAME-1.ener",
        ),
        ("w-1.stress", "#   Step   Time [fs]            xx [bar]\n 1 0.5 100\n", "NAME-1.stress"),
        (
            "w.out",
            " DBCSR| Multiplication driver\n CP2K| version: 9.1\n",
            "the log of a",
        ),
        ("cp2k.log", "\n CP2K| version string:  CP2K version 2023.1\n", "the log of a CP2K run"),
        ("w.inp", "&GLOBAL\n  PROJECT w\n&END\n", "the input of a CP2K run"),
    ],
)
def test_other_files_of_cp2k_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    match = f"`path`: expected structures, got .*{message}.*; read the run's trajectory"
    with pytest.raises(ValueError, match=match):
        read_frames(tmp_path / name)
    assert "Error: `FILES`: expected structures" in info(tmp_path / name, status=2)


@pytest.mark.filterwarnings("ignore:`path`.*is a trajectory of CP2K")
def test_forces_under_another_name_are_not_taken_for_positions(tmp_path: Path) -> None:
    (tmp_path / "f.xyz").write_text(trajectory([0, 1], 0.01))
    with pytest.raises(ValueError, match="2 atoms within 0.5 Å, so probably the forces or veloc"):
        list(read_frames(tmp_path / "f.xyz"))
