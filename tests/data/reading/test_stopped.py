"""Runs of DFT codes that stopped early: finished steps are used, and that is said."""

import gzip
import re
import warnings
from pathlib import Path

import ase
import numpy as np
import pytest
from ase import Atoms

from nnmd_graph.data import read_frames

PWSCF_HEAD = """
     Program PWSCF v.7.2 starts on  1Jan2024 at 10: 0: 0
     bravais-lattice index     =            1
     lattice parameter (alat)  =       7.0000  a.u.
     unit-cell volume          =     343.0000 (a.u.)^3
     number of atoms/cell      =            2
     number of atomic types    =            1
     celldm(1)=   7.000000  celldm(2)=   0.000000  celldm(3)=   0.000000
     crystal axes: (cart. coord. in units of alat)
               a(1) = (   1.000000   0.000000   0.000000 )
               a(2) = (   0.000000   1.000000   0.000000 )
               a(3) = (   0.000000   0.000000   1.000000 )

     atomic species   valence    mass     pseudopotential
        Cu             1.00     63.54600     Cu( 1.00)

   Cartesian axes

     site n.     atom                  positions (alat units)
         1           Cu  tau(   1) = (   0.0000000   0.0000000   0.0000000  )
         2           Cu  tau(   2) = (   0.5000000   0.5000000   0.5000000  )

     number of k points=     1
                       cart. coord. in units 2pi/alat
        k(    1) = (   0.0000000   0.0000000   0.0000000), wk =   2.0000000

"""
RESULTS = """
!    total energy              =     -{e:.8f} Ry

     Forces acting on atoms (cartesian axes, Ry/au):

     atom    1 type  1   force =     0.0{n}000000    0.00000000    0.00000000
     atom    2 type  1   force =    -0.0{n}000000    0.00000000    0.00000000

     Total force =     0.020000     Total SCF correction =     0.000000

"""
POSITIONS = """
ATOMIC_POSITIONS (angstrom)
Cu               0.0000000000        0.0000000000        0.0{n}00000000
Cu               1.8500000000        1.8500000000        1.8500000000

"""
DONE = "\n     JOB DONE.\n"


def pwscf() -> str:
    steps = "".join(POSITIONS.format(n=n) + RESULTS.format(e=93.25 + n, n=n) for n in range(1, 4))
    return PWSCF_HEAD + RESULTS.format(e=93.25, n=9) + steps + DONE


@pytest.fixture
def testdata() -> Path:
    folder = Path(ase.__file__).parent / "test" / "testdata"
    if not (folder / "vasp" / "vasprun_pstress.xml").is_file():
        pytest.skip("this ASE comes without these test data")
    return folder


def read(file: Path, format: str | None = None) -> tuple[list[Atoms] | str, list[str]]:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", UserWarning)
        try:
            found: list[Atoms] | str = [atoms for atoms, _ in read_frames(file, format=format)]
        except ValueError as error:
            found = str(error)
    return found, [str(w.message) for w in warned]


def same(a: Atoms, b: Atoms) -> bool:
    keys = ("energy", "free_energy", "forces", "stress")
    return np.array_equal(a.positions, b.positions) and all(
        np.array_equal(a.calc.results.get(key), b.calc.results.get(key)) for key in keys
    )


def assert_cuts_are_harmless(file: Path, content: bytes, format: str | None, places: int) -> None:
    """Cut it at many places: its first frames, with a word about it, or one message."""
    file.write_bytes(content)
    whole, said = read(file, format)
    assert isinstance(whole, list) and whole and not said
    counts = set()
    for n in np.random.default_rng(0).integers(1, len(content), places):
        file.write_bytes(content[:n])
        found, said = read(file, format)
        if isinstance(found, str):
            assert found.startswith("`path`: expected") and "IndexError:" not in found
            continue
        counts.add(len(found))
        assert len(found) <= len(whole)
        assert all(same(a, b) for a, b in zip(found, whole, strict=False))
        if len(found) < len(whole):
            text = f"ends before the run does: its {len(found)} finished steps are used"
            assert any(text in warning for warning in said)
    assert len(counts) >= min(len(whole) - 1, 3)


@pytest.mark.parametrize("name", ["md.out", "relax.out", "socket.out"])
def test_fhi_aims(testdata: Path, tmp_path: Path, name: str) -> None:
    content = (testdata / "aims" / name).read_bytes()
    assert_cuts_are_harmless(tmp_path / "aims.out", content, "aims-output", 30)


def test_fhi_aims_is_recognised_by_what_it_says(testdata: Path, tmp_path: Path) -> None:
    text = "          Invoking FHI-aims ...\n" + (testdata / "aims" / "md.out").read_text()
    (tmp_path / "run.out").write_text(text)
    (tmp_path / "log.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("run.out", "log.gz"):
        found, said = read(tmp_path / name)
        assert len(found) == 5 and not said


def test_quantum_espresso(tmp_path: Path) -> None:
    assert_cuts_are_harmless(tmp_path / "pw.out", pwscf().encode(), None, 100)
    (tmp_path / "pw.out").write_text(pwscf())
    frames = [atoms for atoms, _ in read_frames(tmp_path / "pw.out")]
    assert [round(a.positions[0, 2], 3) for a in frames] == [0, 0.01, 0.02, 0.03]
    np.testing.assert_allclose(frames[3].get_potential_energy() / ase.units.Ry, -96.25)


def test_two_runs_of_quantum_espresso_in_one_file(tmp_path: Path) -> None:
    (tmp_path / "pw.out").write_text(pwscf() + pwscf().replace(DONE, ""))
    found, said = read(tmp_path / "pw.out")
    assert len(found) == 7 and "its 7 finished steps are used" in said[0]


@pytest.mark.parametrize(
    ("name", "format"), [("OUTCAR_example_1", "vasp-out"), ("vasprun_pstress.xml", "vasp-xml")]
)
def test_vasp(testdata: Path, tmp_path: Path, name: str, format: str) -> None:
    content = (testdata / "vasp" / name).read_bytes()
    assert_cuts_are_harmless(tmp_path / name, content, format, 25)


def test_vasprun_of_several_steps(testdata: Path, tmp_path: Path) -> None:
    text = (testdata / "vasp" / "vasprun_pstress.xml").read_text()
    step = re.search(r"<calculation>.*</calculation>", text, re.DOTALL)
    assert step is not None
    text = text.replace(step[0], 3 * (step[0] + "\n"))
    assert_cuts_are_harmless(tmp_path / "vasprun.xml", text.encode(), None, 40)


def test_an_output_of_no_known_code_must_be_named(tmp_path: Path) -> None:
    (tmp_path / "run.out").write_text("some code\n")
    with pytest.raises(
        ValueError, match="`path`: expected a file of a recognised format.*`format`"
    ):
        read_frames(tmp_path / "run.out")
