"""Molecular dynamics: conserved energy, the right temperature, logs, and blow-ups."""

import csv
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import bulk, molecule

from nnmd_graph.models import BPNN, ExtrapolationError, Potential
from nnmd_graph.representations import ACSF, G2
from nnmd_graph.workflow import MDResult, UnstableError, run_md
from nnmd_graph.workflow.dynamics import COLUMNS
from nnmd_graph.workflow.velocities import draw_velocities


@pytest.fixture
def potential() -> Potential:
    functions = [G2(eta=1.0, r_s=r) for r in (2.0, 2.5, 3.0)]
    model = BPNN(ACSF(("Cu",), 3.5, functions), hidden_channels=(6,), seed=1)
    return Potential(model.to(torch.float64)).eval()


@pytest.fixture
def atoms() -> Atoms:
    return bulk("Cu", cubic=True) * (2, 1, 1)


@pytest.mark.slow
def test_nve_conserves_the_energy(potential: Potential, atoms: Atoms) -> None:
    before = atoms.copy()
    result = run_md(potential, atoms, temperature=200, steps=200, timestep=1.0)
    assert result.samples.shape == (21, 5)
    assert abs(result.drift) < 0.05 and abs(result.difference) < 0.05
    assert result.samples[:, 2].std() / len(atoms) > 1e-4  # it does move
    assert atoms == before


def test_drift_is_slope_times_length_and_difference_is_end_minus_start(atoms: Atoms) -> None:
    t = np.linspace(0.0, 100.0, 11)
    energy = 1.0 + 0.002 * t
    energy[-1] += 0.5
    rows = [[x, 0.0, 0.0, e, 300.0] for x, e in zip(t, energy, strict=True)]
    result = MDResult(atoms, 1.0, rows=rows)
    slope = np.polyfit(t, energy, 1)[0]
    assert result.drift == pytest.approx(slope * 100.0 / 8 * 1000)
    assert result.difference == pytest.approx(0.7 / 8 * 1000)


def test_the_same_seed_gives_the_same_run(potential: Potential, atoms: Atoms) -> None:
    for ensemble in ("nve", "nvt"):
        runs = [
            run_md(potential, atoms, steps=5, ensemble=ensemble, seed=seed).samples
            for seed in (3, 3, 4)
        ]
        assert np.array_equal(runs[0], runs[1])
        assert not np.array_equal(runs[0], runs[2])


@pytest.mark.slow
def test_nvt_keeps_its_temperature(potential: Potential, atoms: Atoms) -> None:
    with torch.no_grad():
        potential.model.baseline.scale.fill_(1e-9)  # an ideal gas, of which all is known
    result = run_md(potential, atoms * (1, 2, 2), temperature=400, steps=600, ensemble="nvt")
    assert result.samples[20:, 4].mean() == pytest.approx(400, rel=0.2)
    assert result.samples[:, 4].std() > 10.0


def test_velocities_have_the_temperature_and_neither_drift_nor_rotation() -> None:
    atoms = molecule("CH3CH2OH")
    draw_velocities(atoms, 300.0, np.random.RandomState(0))
    assert atoms.get_temperature() == pytest.approx(300.0)
    assert np.abs(atoms.get_momenta().sum(0)).max() < 1e-12
    assert np.abs(atoms.get_angular_momentum()).max() < 1e-10
    draw_velocities(atoms, 0.0, np.random.RandomState(0))
    assert not atoms.get_momenta().any()


def test_velocities_are_maxwell_boltzmann() -> None:
    atoms = bulk("Cu", cubic=True) * (6, 6, 6)
    draw_velocities(atoms, 500.0, np.random.RandomState(0))
    width = np.sqrt(units.kB * 500.0 / atoms.get_masses()[0])
    scaled = atoms.get_velocities().ravel() / width
    assert scaled.std() == pytest.approx(1.0, rel=0.01)
    assert (scaled**4).mean() == pytest.approx(3.0, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["md.traj", "md.extxyz"])
def test_what_is_written(potential: Potential, atoms: Atoms, tmp_path: Path, name: str) -> None:
    result = run_md(potential, atoms, steps=25, log_interval=10, output=tmp_path / "new" / name)
    frames = ase.io.read(tmp_path / "new" / name, ":")
    assert len(frames) == 4  # steps 0, 10, 20 and the last
    assert frames[-1].get_momenta().any()
    assert frames[-1].get_potential_energy() == pytest.approx(result.samples[-1, 1])
    with (tmp_path / "new" / "md.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == list(COLUMNS)
    assert np.array_equal(np.array(rows[1:], dtype=float), result.samples)
    assert result.samples[:, 0].tolist() == [0.0, 10.0, 20.0, 25.0]
    assert (tmp_path / "new" / "md.png").stat().st_size > 0


def test_files_that_are_there_are_not_replaced(
    potential: Potential, atoms: Atoms, tmp_path: Path
) -> None:
    (tmp_path / "md.csv").write_text("mine")
    with pytest.raises(ValueError, match=r"`output`: expected new files, got .*md.csv"):
        run_md(potential, atoms, steps=2, output=tmp_path / "md.traj")
    assert (tmp_path / "md.csv").read_text() == "mine"
    run_md(potential, atoms, steps=2, output=tmp_path / "md.extxyz", overwrite=True)
    run_md(potential, atoms, steps=2, output=tmp_path / "md.extxyz", overwrite=True)
    assert len(ase.io.read(tmp_path / "md.extxyz", ":")) == 2


@pytest.mark.parametrize("name", ["md.extxyz", "log.traj", "report.traj", "parity.traj"])
def test_files_of_something_else_stay_even_with_overwrite(
    potential: Potential, atoms: Atoms, tmp_path: Path, name: str
) -> None:
    """Labelled structures, which have no table of energies beside them, and files of runs."""
    ase.io.write(tmp_path / "md.extxyz", atoms)
    for file in ("log.csv", "report.csv", "parity.png"):
        (tmp_path / file).write_text("mine")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=r"`output`: expected .* which no simulation wrote"):
        run_md(potential, atoms, steps=2, output=tmp_path / name, overwrite=True)
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}


def test_a_simulation_is_not_written_over_its_model(
    potential: Potential, atoms: Atoms, tmp_path: Path
) -> None:
    potential.save(tmp_path / "md.png")
    (tmp_path / "md.csv").write_text(",".join(COLUMNS))
    with pytest.raises(ValueError, match=r"`output`: .*md.png', which is the `potential`"):
        run_md(tmp_path / "md.png", atoms, steps=2, output=tmp_path / "md.traj", overwrite=True)
    Potential.load(tmp_path / "md.png")


def test_a_blow_up_is_an_error_and_what_came_before_is_kept(
    potential: Potential, atoms: Atoms, tmp_path: Path
) -> None:
    with torch.no_grad():
        potential.model.baseline.scale.fill_(1e7)
    with pytest.raises(UnstableError, match=r"the simulation (blew up|broke down) in step"):
        run_md(potential, atoms.copy(), steps=100, timestep=50.0, output=tmp_path / "md.traj")
    assert len(ase.io.read(tmp_path / "md.traj", ":")) >= 1


def test_not_a_number_is_an_error(potential: Potential, atoms: Atoms) -> None:
    with torch.no_grad():
        potential.model.baseline.scale.fill_(float("nan"))
    with pytest.raises(UnstableError, match=r"potential energy nan"):
        run_md(potential, atoms, steps=5)


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("ensemble", "npt", r"`ensemble`: expected one of \['nve', 'nvt'\], got 'npt'"),
        ("temperature", -1.0, r"`temperature`: expected 0 K or more"),
        ("temperature", float("nan"), r"`temperature`: expected 0 K or more"),
        ("timestep", 0.0, r"`timestep`: expected a positive time in fs"),
        ("steps", 0, r"`steps`: expected a positive integer"),
        ("log_interval", 0, r"`log_interval`: expected a positive integer"),
        ("seed", -1, r"`seed`: expected 0 <= seed"),
        ("output", "md.foo", r"`output`: expected a name that ends in one of .traj"),
    ],
)
def test_wrong_arguments(
    potential: Potential, atoms: Atoms, argument: str, value: object, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run_md(potential, atoms, **{argument: value})  # type: ignore[arg-type]


def test_an_unknown_element_is_an_error(potential: Potential) -> None:
    with pytest.raises(ValueError, match=r"got Ag \(atom 0\)"):
        run_md(potential, bulk("Ag"), steps=1)


def test_one_isolated_atom_flies_straight_on(potential: Potential) -> None:
    result = run_md(potential, Atoms("Cu", [[0.0, 0.0, 0.0]]), steps=10, log_interval=1)
    assert result.samples[:, 4].std() < 1e-9


def test_steps_outside_the_training_range_are_counted(potential: Potential, atoms: Atoms) -> None:
    assert run_md(potential, atoms, steps=5).num_extrapolations is None
    one = torch.ones(1, 3)
    potential.model.ranges.set(0.0 * one, 99.0 * one)
    result = run_md(potential, atoms, steps=5)
    assert (result.num_extrapolations, result.num_extrapolating_steps) == (0, 0)
    potential.model.ranges.set(98.0 * one, 99.0 * one)
    result = run_md(potential, atoms, steps=5)
    assert (result.num_extrapolations, result.num_extrapolating_steps) == (6 * 8 * 3, 6)
    assert run_md(potential, atoms, steps=5, extrapolation="ignore").num_extrapolations is None
    with pytest.warns(UserWarning, match="`atoms`.*24 extrapolations"):
        run_md(potential, atoms, steps=5, extrapolation="warn")
    with pytest.raises(ExtrapolationError, match="expected at most 0, got 24"):
        run_md(potential, atoms, steps=5, extrapolation="error")


def test_what_came_before_too_many_extrapolations_is_kept(
    potential: Potential, atoms: Atoms, tmp_path: Path
) -> None:
    potential.model.ranges.set(torch.full((1, 3), 98.0), torch.full((1, 3), 99.0))
    with pytest.raises(ExtrapolationError, match="ended in step 3: .* at most 72, got 96"):
        run_md(
            *(potential, atoms),
            steps=5,
            log_interval=1,
            max_extrapolations=72,
            output=tmp_path / "md.traj",
        )
    assert len(ase.io.read(tmp_path / "md.traj", ":")) == 3
