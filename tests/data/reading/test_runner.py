"""RuNNer and n2p2 data files: read, written, and what is refused."""

import gzip
import re
from pathlib import Path

import ase
import ase.io
import hypothesis.strategies as st
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import Bohr, Hartree
from hypothesis import given

from nnmd_graph.data import AtomsDataset
from nnmd_graph.data.reading.runner import Normalization, read_runner, write_runner

WATER = """\
begin set=test
comment  a water molecule
atom 0.0 0.5 -1.25 O -0.4 0.0 0.25 0.0 -0.5
atom   1.5 0.5  1.0 H  0.2 7.0 0.0  0.0  0.0
atom  -1.5 0.5  1.0 H  0.2 0.0 -0.25 0.0 0.5
energy -17.5
charge 1.0
end
"""
CRYSTAL = """\
 begin
lattice 4.0 0.0 0.0
lattice 0.0 4.0 0.0
lattice 1.0 0.0 4.0

atom 0.0 0.0 0.0 Cu 0.0 0.0 0.0 0.0 0.0
energy -1.0E+00
end
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "input.data"
    path.write_text(WATER + CRYSTAL)
    return path


def read(path: Path, **changes) -> list[ase.Atoms]:
    return read_runner(path, **({"length_unit": "bohr", "energy_unit": "hartree"} | changes))


def labelled(atoms: ase.Atoms, energy: float = -1.0, seed: int = 0) -> ase.Atoms:
    forces = np.random.default_rng(seed).normal(size=(len(atoms), 3))
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
    return atoms


# ------------------------------------------------------------------------------------- reading
def test_reads_what_is_there_in_ev_and_angstrom(file: Path) -> None:
    water, crystal = read(file)
    assert water.get_chemical_symbols() == ["O", "H", "H"]
    np.testing.assert_allclose(water.positions[0], [0.0, 0.5 * Bohr, -1.25 * Bohr], rtol=1e-15)
    assert water.get_potential_energy() == -17.5 * Hartree
    np.testing.assert_allclose(
        water.get_forces()[2], np.array([-0.25, 0.0, 0.5]) * Hartree / Bohr, rtol=1e-15
    )
    assert water.get_initial_charges().tolist() == [-0.4, 0.2, 0.2]
    assert water.info == {"comment": "a water molecule", "set": "test", "charge": 1.0}
    assert not water.pbc.any() and water.cell.rank == 0
    assert crystal.pbc.all() and crystal.info == {}
    assert not crystal.has("initial_charges")
    np.testing.assert_allclose(crystal.cell[2], [Bohr, 0.0, 4.0 * Bohr], rtol=1e-15)
    assert crystal.get_potential_energy() == -Hartree


def test_angstrom_and_ev_are_kept_to_the_last_bit(file: Path) -> None:
    water, _ = read(file, length_unit="Angstrom", energy_unit="eV")
    assert water.positions[0].tolist() == [0.0, 0.5, -1.25]
    assert water.get_forces()[0].tolist() == [0.25, 0.0, -0.5]


def test_energy_may_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "input.data"
    path.write_text(WATER.replace("energy -17.5\n", ""))
    (water,) = read(path)
    assert set(water.calc.results) == {"forces"}


def test_normalized_units(file: Path) -> None:
    plain, _ = read(file)
    changed, _ = read(file, normalization=Normalization(-2.0, 4.0, 0.5))
    np.testing.assert_allclose(changed.positions, plain.positions / 0.5)
    energy = (-17.5 / 4.0 + 3 * -2.0) * Hartree
    assert changed.get_potential_energy() == pytest.approx(energy, rel=1e-15)
    np.testing.assert_allclose(changed.get_forces(), plain.get_forces() * 0.5 / 4.0)


@pytest.mark.parametrize("name", ["H2O_RPBE-D3", "Cu2S_PBE"])
def test_published_files(shared: Path, name: str) -> None:
    folder = shared / "data" / f"n2p2_{name}"
    units = ("bohr", "hartree") if name.startswith("H2O") else ("angstrom", "eV")
    frames = read_runner(folder / "input.data.gz", length_unit=units[0], energy_unit=units[1])
    expected = ase.io.read(folder / "all.extxyz.gz", ":")
    assert len(frames) == len(expected)
    for atoms, same in zip(frames, expected, strict=True):
        assert (atoms.numbers == same.numbers).all()
        # The published conversion took other constants: 1e-8 of the value.
        np.testing.assert_allclose(atoms.positions, same.positions, rtol=0, atol=1e-6)
        np.testing.assert_allclose(atoms.cell.array, same.cell.array, rtol=0, atol=1e-6)
        np.testing.assert_allclose(
            atoms.get_potential_energy(), same.get_potential_energy(), rtol=2e-8
        )
        np.testing.assert_allclose(atoms.get_forces(), same.get_forces(), rtol=0, atol=2e-6)


# --------------------------------------------------------------------------------------- units
def test_units_of_the_comment(tmp_path: Path) -> None:
    path = tmp_path / "input.data"
    stated = "comment first length_unit = bohr energy_unit=Hartree"
    path.write_text(WATER.replace("comment  a water molecule", stated) + CRYSTAL)
    water, crystal = read_runner(path)
    assert water.info["comment"] == "first"
    assert water.get_potential_energy() == -17.5 * Hartree
    assert crystal.get_potential_energy() == -Hartree, "what the first structure states holds on"
    with pytest.raises(ValueError, match="`length_unit`: expected 'bohr', as .*states, got 'nm'"):
        read_runner(path, length_unit="nm")


def test_units_must_be_known(file: Path) -> None:
    with pytest.raises(ValueError, match=r"`length_unit`.*input.data:1.* give for example 'bohr'"):
        read_runner(file)
    with pytest.raises(ValueError, match=r"`energy_unit`.*does not state it, got None"):
        read_runner(file, length_unit="bohr")
    with pytest.raises(ValueError, match="`energy_unit`: expected one of .* got 'hartee'; did you"):
        read(file, energy_unit="hartee")


def test_comments_that_contradict_each_other(tmp_path: Path) -> None:
    path = tmp_path / "input.data"
    one = WATER.replace("a water", "length_unit=bohr energy_unit=eV")
    path.write_text(one + one.replace("bohr", "nm"))
    with pytest.raises(ValueError, match=r"`length_unit`: expected 'nm', as .*:9' states, got"):
        read_runner(path)


# --------------------------------------------------------------------------------- wrong files
@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("begin set=test", "start", 1, "expected 'begin', got 'start'; is this a RuNNer"),
        ("set=test", "set=other", 1, "expected 'set=train' or 'set=test', got 'set=other'"),
        ("atom 0.0", "atom 0.O", 3, "expected a finite number, got '0.O'"),
        ("0.2 7.0 0.0 ", "0.2 7.0 nan ", 4, "expected a finite number, got 'nan'"),
        ("atom 0.0", "atom", 3, "expected atom x y z element charge 0 fx fy fz, got 'atom"),
        (" O -0.4", " Ox -0.4", 3, "expected the symbol of an element, got 'Ox'"),
        (" O -0.4", " X -0.4", 3, "expected the symbol of an element, got 'X'"),
        ("energy -17.5", "energy", 6, "expected a number after 'energy', got none"),
        ("energy -17.5", "energy inf", 6, "expected a finite number, got 'inf'"),
        ("charge 1.0", "totalcharge 1.0", 7, "atom, energy, charge or end, got 'totalcharge'"),
        ("end\nbegin", "begin", 8, "or end, got 'begin'"),
        ("lattice 0.0 4.0 0.0\n", "", 15, "expected no lattice vector or three, got 2"),
        ("lattice 0.0 4.0 0.0", "lattice 0.0 4.0", 11, "expected three vectors of 3 numbers"),
        ("lattice 4.0 0.0 0.0", "lattice 0.0 4.0 0.0", 10, "a lattice with a volume, got none"),
        ("atom 0.0 0.0 0.0 Cu 0.0 0.0 0.0 0.0 0.0\n", "", 15, "one atom or more before 'end'"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
    text = WATER + CRYSTAL.removeprefix(" ")
    assert text.count(old) >= 1
    path = tmp_path / "input.data"
    path.write_text(text.replace(old, new, 1))
    if "'atom" in message:
        message = message.replace("'atom", "atom")
    with pytest.raises(ValueError, match=rf"`path`: .*input\.data:{line}: .*{re.escape(message)}"):
        read(path)


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "input.data"
    path.write_text(WATER.removesuffix("end\n"))
    with pytest.raises(ValueError, match=r"input\.data:1: expected an 'end' .* is cut off"):
        read(path)


def test_no_file_and_no_structures(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="`path`: expected a file, got '.*none'"):
        read(tmp_path / "none")
    (tmp_path / "input.data").write_text("\n")
    with pytest.raises(ValueError, match="expected structures, got none in"):
        read(tmp_path / "input.data")


@pytest.mark.parametrize(
    "content", [b"\x1f\x8b\x08", b"not gzip", gzip.compress(b"begin\n", mtime=0)[:-9]]
)
def test_damaged_compression(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "input.data.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="`path`: expected text, compressed or not, got"):
        read(path)


@given(st.lists(st.sampled_from([*WATER.splitlines(), *CRYSTAL.splitlines(), "x 1", "atom"])))
def test_any_order_of_lines_gives_structures_or_one_message(tmp_path_factory, lines) -> None:
    path = tmp_path_factory.mktemp("runner") / "input.data"
    path.write_text("\n".join(lines))
    try:
        frames = read(path)
    except ValueError as error:
        assert str(error).startswith("`path`: ")
    else:
        assert frames and all(np.isfinite(atoms.positions).all() for atoms in frames)


# ------------------------------------------------------------------------------------- writing
@pytest.mark.parametrize("name", ["input.data", "input.data.gz"])
def test_comes_back_to_the_last_bit(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(1)
    charges = [0.1, -0.7, 1 / 3]
    molecule = labelled(ase.Atoms("OH2", rng.normal(size=(3, 3)), charges=charges), energy=-432.1)
    molecule.info.update(comment="two\nlines  and\tmore", set="train", charge=-1.0)
    crystal = ase.Atoms("Cu2", rng.normal(size=(2, 3)), cell=rng.normal(size=(3, 3)), pbc=True)
    frames = [molecule, labelled(crystal)]
    write_runner(frames, tmp_path / name)
    again = read_runner(tmp_path / name)
    for atoms, same in zip(frames, again, strict=True):
        assert atoms.get_chemical_symbols() == same.get_chemical_symbols()
        assert (atoms.positions == same.positions).all()
        assert (atoms.cell.array == same.cell.array).all() and (atoms.pbc == same.pbc).all()
        assert atoms.get_potential_energy() == same.get_potential_energy()
        assert (atoms.get_forces() == same.get_forces()).all()
        assert (atoms.get_initial_charges() == same.get_initial_charges()).all()
    assert again[0].info == {"comment": "two lines and more", "set": "train", "charge": -1.0}
    assert again[1].info == {"charge": 0.0}
    assert list(tmp_path.iterdir()) == [tmp_path / name]


def test_other_units_and_normalization(tmp_path: Path, file: Path) -> None:
    frames = read(file)
    normalization = Normalization(-3.3, 7.0, 1.9)
    units = {"length_unit": "nm", "energy_unit": "kcal/mol"}
    write_runner(frames, tmp_path / "other", **units, normalization=normalization)
    again = read_runner(tmp_path / "other", normalization=normalization)
    for atoms, same in zip(frames, again, strict=True):
        np.testing.assert_allclose(atoms.positions, same.positions, rtol=1e-14)
        np.testing.assert_allclose(
            atoms.get_potential_energy(), same.get_potential_energy(), rtol=1e-13
        )
        np.testing.assert_allclose(atoms.get_forces(), same.get_forces(), rtol=1e-14)


def test_a_single_structure(tmp_path: Path) -> None:
    write_runner(labelled(ase.Atoms("H")), tmp_path / "one")
    assert len(read_runner(tmp_path / "one")) == 1


def test_missing_labels_are_said_once(tmp_path: Path) -> None:
    frames = [ase.Atoms("H"), labelled(ase.Atoms("H")), ase.Atoms("O")]
    with pytest.warns(UserWarning, match="`frames`: 2 of 3 structures lack energy or forces; zero"):
        write_runner(frames, tmp_path / "input.data")
    assert read_runner(tmp_path / "input.data")[0].get_potential_energy() == 0.0


def test_what_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "input.data"
    slab = labelled(ase.Atoms("H", cell=[3, 3, 9], pbc=[True, True, False]))
    with pytest.raises(ValueError, match=r"`frames\[1\]`: .*periodic in all directions or in none"):
        write_runner([labelled(ase.Atoms("H")), slab], path)
    with pytest.raises(TypeError, match=r"`frames\[0\]`: expected an ase.Atoms, got str"):
        write_runner(["H"], path)
    with pytest.raises(ValueError, match="`frames`: expected at least one structure, got none"):
        write_runner([], path)
    with pytest.raises(ValueError, match="`energy_unit`: expected one of"):
        write_runner(slab, path, energy_unit="furlong")
    assert not list(tmp_path.iterdir())


def test_data_sets_read_files_that_state_their_units(tmp_path: Path, file: Path) -> None:
    write_runner(read(file), tmp_path / "stated.data", length_unit="bohr")
    dataset = AtomsDataset.read(tmp_path / "stated.data", 3.0, format="runner", progress=False)
    assert len(dataset) == 2 and dataset.has("forces") == 2
    last = AtomsDataset.read(tmp_path / "stated.data", 3.0, format="runner", index="-1")
    assert last.species == (29,)
    with pytest.raises(ValueError, match=r"expected runner frames in .*`length_unit`: expected"):
        AtomsDataset.read(file, 3.0, format="runner")
