"""Outputs of DFT codes: finished frames come in, unfinished ones are counted and left out."""

import gzip
import re
from pathlib import Path

import ase
import ase.io
import numpy as np
import pytest

from nnmd_graph.data import AtomsDataset, read_frames

HEAD = """
  ___ ___ ___ _ _ _
 |   |   |_  | | | |
 | | | | | . | | | |
 |__ |  _|___|_____|  22.1.0
 |___|_|

  Total Charge: 0.000000
"""
FRAME = """
Positions:
   0 Li     0.000000    0.000000    {z:.6f}    ( 0.0000,  0.0000,  0.0000)
   1 Li     1.700000    1.700000    1.700000    ( 0.0000,  0.0000,  0.0000)

Unit cell:
           periodic     x           y           z      points  spacing
  1. axis:    yes    3.400000    0.000000    0.000000    16     0.2125
  2. axis:    yes    0.000000    3.400000    0.000000    16     0.2125
  3. axis:    no     0.000000    0.000000    9.000000    48     0.1875

"""
ENERGY = """
Energy contributions relative to reference atoms: (reference = -405.0)

Kinetic:         +7.000000
--------------------------
Free energy:     -4.500000
Extrapolated:    -4.250000

"""
FORCES = """
Forces in eV/Ang:
  0 Li   -0.10000    0.00000    0.20000
  1 Li    0.10000    0.00000   -0.20000

"""


def frame(z: float, *parts: str) -> str:
    return FRAME.format(z=z) + "".join(parts)


def test_gpaw_text_is_recognised_and_read(tmp_path: Path) -> None:
    text = HEAD + frame(0.1, ENERGY, FORCES) + frame(0.2, ENERGY, FORCES)
    (tmp_path / "log.txt").write_text(text)
    (tmp_path / "log.txt.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("log.txt", "log.txt.gz"):
        dataset = AtomsDataset.read(tmp_path / name, 3.0)
        assert [atoms.positions[0, 2] for atoms in dataset.frames] == [0.1, 0.2]
        assert dataset.frames[0].pbc.tolist() == [True, True, False]
        assert dataset.labels[0].energy == -4.25
        np.testing.assert_allclose(dataset.labels[1].forces, [[-0.1, 0, 0.2], [0.1, 0, -0.2]])


def test_gpaw_free_energy_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text(HEAD + frame(0.1, ENERGY, FORCES))
    dataset = AtomsDataset.read(tmp_path / "log.txt", 3.0, energy_key="free_energy")
    assert dataset.labels[0].energy == -4.5


def test_unfinished_gpaw_frames_are_left_out_and_counted(tmp_path: Path) -> None:
    good = frame(0.1, ENERGY, FORCES)
    unconverged = frame(0.2, "Did not converge!\n")
    cut = frame(0.4, ENERGY, FORCES[: FORCES.index("  1 Li")])
    (tmp_path / "log.txt").write_text(HEAD + good + unconverged + frame(0.3, ENERGY, FORCES) + cut)
    with pytest.warns(UserWarning, match=r"left out 2 of 4 GPAW frames.*1 without an energy.*1 un"):
        dataset = AtomsDataset.read(tmp_path / "log.txt", 3.0)
    assert [atoms.positions[0, 2] for atoms in dataset.frames] == [0.1, 0.3]


def test_gpaw_frames_without_forces_keep_their_energy(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text(HEAD + frame(0.1, ENERGY, FORCES) + frame(0.2, ENERGY))
    with pytest.warns(UserWarning, match="of 2 frames 1 have no forces"):
        dataset = AtomsDataset.read(tmp_path / "log.txt", 3.0)
    assert dataset.has("energy") == 2


def test_a_gpaw_file_without_a_finished_frame_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text(HEAD + frame(0.1))
    with pytest.warns(UserWarning, match="left out 1 of 1"):
        with pytest.raises(ValueError, match="at least one structure, got none"):
            list(read_frames(tmp_path / "log.txt"))


@pytest.mark.parametrize("name", ["Cu111.txt", "ag.txt", "cu111.txt.gz"])
def test_gpaw_equals_ase_on_published_files(shared: Path, name: str) -> None:
    file = shared / "data" / "nnmd" / "samples" / "gpaw" / name
    reference = ase.io.read(file, ":", format="gpaw-out")
    frames = [atoms for atoms, _ in read_frames(file)]
    assert len(frames) == len(reference)
    for a, b in zip(frames, reference, strict=True):
        assert (a.numbers == b.numbers).all()
        assert (a.positions == b.positions).all()
        assert (a.cell.array == b.cell.array).all()
        assert (a.pbc == b.pbc).all()
        assert (a.get_initial_charges() == b.get_initial_charges()).all()
        assert a.calc.results["energy"] == b.calc.results["energy"]
        assert (a.calc.results["forces"] == b.calc.results["forces"]).all()
        assert a.calc.results["free_energy"] < a.calc.results["energy"]


# ---------------------------------------------------------------------------------- VASP
@pytest.fixture
def vasp() -> Path:
    folder = Path(ase.__file__).parent / "test" / "testdata" / "vasp"
    if not (folder / "vasprun_pstress.xml").is_file():
        pytest.skip("this ASE comes without these test data")
    return folder


def test_outcar(vasp: Path, tmp_path: Path) -> None:
    (tmp_path / "OUTCAR").write_bytes((vasp / "OUTCAR_example_1").read_bytes())
    (tmp_path / "OUTCAR.gz").write_bytes(gzip.compress((vasp / "OUTCAR_example_1").read_bytes()))
    for name in ("OUTCAR", "OUTCAR.gz"):
        dataset = AtomsDataset.read(tmp_path / name, 3.0)
        assert len(dataset) == dataset.has("energy") == dataset.has("forces") == 1
    free = AtomsDataset.read(tmp_path / "OUTCAR", 3.0, energy_key="free_energy")
    assert free.labels[0].energy == dataset.frames[0].calc.results["free_energy"]


def test_vasprun_with_stress_in_ase_sign(vasp: Path) -> None:
    file = vasp / "vasprun_pstress.xml"
    dataset = AtomsDataset.read(file, 3.0)
    stress = dataset.labels[0].stress
    assert stress is not None
    block = re.search(r'<varray name="stress" >\s*<v>\s*(\S+)', file.read_text())
    assert block is not None
    # VASP prints kBar, compression positive; ASE and we mean eV/Å^3, tension positive
    np.testing.assert_allclose(stress[0, 0], -float(block[1]) * 0.1 * ase.units.GPa, rtol=1e-6)


def test_a_cut_off_vasprun_is_refused(vasp: Path, tmp_path: Path) -> None:
    text = (vasp / "vasprun_pstress.xml").read_text()
    (tmp_path / "vasprun.xml").write_text(text[:300])
    with pytest.raises(ValueError, match=r"vasp-xml frames in .*vasprun\.xml.*ParseError"):
        list(read_frames(tmp_path / "vasprun.xml"))


@pytest.mark.parametrize("name", ["OUTCAR_example_1", "vasprun_pstress.xml"])
def test_unconverged_vasp_steps_are_named(vasp: Path, tmp_path: Path, name: str) -> None:
    text = (vasp / name).read_text()
    if name.startswith("OUTCAR"):
        used = max(int(i) for i in re.findall(r"Iteration\s+1\(\s*(\d+)\)", text))
        text = re.sub(r"NELM   =\s+\d+", f"NELM   = {used}", text)
    else:
        used = text.count("<scstep>")
        text = re.sub(r'name="NELM">\s+\d+', f'name="NELM">   {used}', text)
    (tmp_path / name).write_text(text)
    with pytest.warns(UserWarning, match=rf"1 of 1 frames used all NELM = {used} .*: 0; leave"):
        list(read_frames(tmp_path / name))
