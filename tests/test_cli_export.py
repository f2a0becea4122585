"""`nnmd-graph export`: the files, what is printed for LAMMPS, and how it fails."""

from pathlib import Path

import pytest
import torch
from ase.build import bulk
from typer.testing import CliRunner

from nnmd_graph.cli import app
from nnmd_graph.formats.n2p2 import load_n2p2
from nnmd_graph.graph import AtomicGraph
from nnmd_graph.models import BPNN, Potential
from nnmd_graph.representations import ACSF, G2, G3


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Potential:
    """A potential, saved as `run/model.pt` in the working directory."""
    monkeypatch.chdir(tmp_path)
    potential = Potential(BPNN(ACSF(["Cu"], 4.0, [G2(eta=0.5), G2(eta=2.0, r_s=2.5)]), (4,)))
    potential.model.baseline.set({29: -3.5}, scale=0.5)
    potential.save("run/model.pt")
    return potential.double().eval()


def run(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(app, ["export", *arguments], env={"COLUMNS": "200"})
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    return result.output


def test_writes_files_and_prints_the_lines_of_lammps(model: Potential) -> None:
    output = run("run", "--to", "n2p2", "--output", "out")
    assert 'pair_style hdnnp 4.0001 dir "out" showew no' in output
    assert "cflength 1.0 cfenergy 1.0" in output and "pair_coeff * * Cu" in output
    again = load_n2p2("out")
    graph = AtomicGraph.from_atoms(bulk("Cu"), 4.0, dtype=torch.float64)
    torch.testing.assert_close(again(graph)["energy"], model(graph)["energy"])


def test_units(model: Potential) -> None:
    output = run("run/model.pt", "-o", "out", "--length-unit", "bohr", "--energy-unit", "hartree")
    assert "cflength 1.88972" in output and "cfenergy 0.0367493" in output
    assert "# Written by nnmd_graph: length_unit=bohr energy_unit=hartree" in Path(
        "out/input.nn"
    ).read_text(encoding="utf-8")


def test_refuses_what_is_there_and_what_it_does_not_know(model: Potential) -> None:
    run("run", "--output", "out")
    before = Path("out/input.nn").read_text(encoding="utf-8")
    message = run("run", "--output", "out", "--energy-unit", "meV", status=2)
    assert "`--output`: expected a new folder, got 'out' with input.nn" in message
    assert Path("out/input.nn").read_text(encoding="utf-8") == before
    run("run", "--output", "out", "--energy-unit", "meV", "--overwrite")
    assert Path("out/input.nn").read_text(encoding="utf-8") != before
    assert "`--to`: expected one of n2p2, got 'lammps'; LAMMPS reads" in run(
        "run", "--to", "lammps", status=2
    )
    assert "`--length-unit`: expected one of" in run("run", "--length-unit", "mile", status=2)
    assert not Path("n2p2").exists()


def test_a_function_that_n2p2_does_not_have(model: Potential) -> None:
    Potential(BPNN(ACSF(["Cu"], 4.0, [G3(kappa=1.0)]), (4,))).save("other.pt")
    assert "`potential`: n2p2 has no G3 (element Cu)" in run("other.pt", status=2)
