"""What the command line says of labels: names, units, signs, outliers, equal structures."""

import warnings
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import yaml
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect

from nnmd_graph.data import AtomsDataset

from .test_cli import SMALL, copper, run

SETTINGS = SMALL | {"training": {"max_epochs": 1}, "model": SMALL["model"] | {"cutoff": 3.0}}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_plots_of_runs: None) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(yaml.safe_dump(SETTINGS))
    return tmp_path


def written(name: str, frames: list[Atoms], rename: dict[str, str] | None = None) -> None:
    """Frames with their labels under other names, in info and arrays."""
    out = []
    for frame in frames:
        atoms = frame.copy()
        for label, value in frame.calc.results.items():
            key = (rename or {}).get(label, f"dft_{label}")
            (atoms.arrays if label == "forces" else atoms.info)[key] = value
        out.append(atoms)
    ase.io.write(name, out)


def flat(text: str) -> str:
    return " ".join(text.split())


def read_again(name: str, **reading: Any) -> AtomsDataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return AtomsDataset.read(name, 3.0, **reading)


@pytest.mark.parametrize("key", ["virial", "dft_virial", "REF_Virials"])
def test_info_points_at_a_virial_and_reads_it(key: str) -> None:
    frames = copper(3)
    stress = np.array([0.01, 0.02, 0.03, 0.001, 0.002, 0.003])
    for atoms in frames:
        atoms.calc.results["stress"] = stress
    written("plain.extxyz", frames, {"stress": "stress"})
    for atoms in frames:
        full = np.array([[0.01, 0.003, 0.002], [0.003, 0.02, 0.001], [0.002, 0.001, 0.03]])
        atoms.calc.results["stress"] = -full * atoms.get_volume()
    written("virial.extxyz", frames, {"stress": key})
    said = flat(run("info", "virial.extxyz"))
    assert key in said and f"--virial-key {key}" in said
    known = flat(run("info", "virial.extxyz", "--virial-key", key))
    assert "stress: 3" in known
    plain, virial = read_again("plain.extxyz"), read_again("virial.extxyz", virial_key=key)
    for a, b in zip(plain.labels, virial.labels, strict=True):
        assert np.allclose(a.stress, b.stress, atol=1e-7)


@pytest.mark.parametrize(
    ("unit", "factor"), [("hartree", units.Hartree), ("Ry", units.Ry), ("kcal/mol", 0.0433641)]
)
def test_units_that_a_file_states_are_converted_and_said(unit: str, factor: float) -> None:
    frames = copper(3)
    right = [atoms.get_potential_energy() for atoms in frames]
    largest = np.abs([atoms.get_forces() for atoms in frames]).max()
    for atoms in frames:
        results = {name: value / factor for name, value in atoms.calc.results.items()}
        atoms.calc = SinglePointCalculator(atoms, **results)
        atoms.info |= {"energy_unit": unit, "force-unit": f"{unit}/angstrom"}
    ase.io.write("foreign.extxyz", frames)
    said = flat(run("info", "foreign.extxyz"))
    assert f"energy_unit: {unit}" in said and "--energy-unit" in said
    found = read_again("foreign.extxyz")
    assert np.allclose([labels.energy for labels in found.labels], right, rtol=1e-5)
    assert np.abs([labels.forces for labels in found.labels]).max() == pytest.approx(
        largest, rel=1e-5
    )
    kept = read_again("foreign.extxyz", energy_unit="eV", forces_unit="eV/angstrom")
    assert kept.labels[0].energy == pytest.approx(right[0] / factor, rel=1e-5)


def test_units_of_a_database_of_schnetpack() -> None:
    right = copper(3)
    with connect("set.db") as database:
        for atoms in right:
            data = {name: np.atleast_1d(v) / 0.5 for name, v in atoms.calc.results.items()}
            database.write(Atoms(atoms), data=data)
        database.metadata = {
            "_distance_unit": "Ang",
            "_property_unit_dict": {"energy": "2 meV", "forces": "eV/Ang", "energy_U0": "Ha"},
        }
    keys = ("--energy-key", "energy", "--forces-key", "forces")
    assert "no unit known here" in flat(run("info", "set.db", *keys))
    with connect("set.db") as database:
        database.metadata = {"_property_unit_dict": {"energy": "kcal/mol", "forces": "kcal/mol/A"}}
    assert "energy_unit: kcal/mol" in flat(run("info", "set.db", *keys))
    found = read_again("set.db", energy_key="energy", forces_key="forces")
    wanted = 2 * right[0].get_potential_energy() * units.kcal / units.mol
    assert found.labels[0].energy == pytest.approx(wanted)
    assert found.labels[0].forces == pytest.approx(
        2 * right[0].get_forces() * units.kcal / units.mol
    )


@pytest.mark.slow
@pytest.mark.parametrize(("number", "shift"), [(3, 1e5), (0, -300.0), (11, 4000.0)])
def test_info_and_train_name_the_frame_that_is_far_off(number: int, shift: float) -> None:
    frames = copper(12)
    frames[number].calc.results["energy"] += shift
    ase.io.write("outlier.extxyz", frames)
    for command in (("info",), ("train", "config.yaml", "-o", "run")):
        said = flat(run(*command, "outlier.extxyz"))
        assert f"frame {number} of 'outlier.extxyz'" in said and "eV/atom" in said


@pytest.mark.slow
def test_train_names_equal_structures_in_two_parts_and_the_remedy() -> None:
    frames = copper(8)
    ase.io.write("twice.extxyz", [*frames, *frames])
    said = flat(run("train", "config.yaml", "twice.extxyz", "-o", "run"))
    assert "are in the training set too" in said and "geometry" in said
    assert "`data.groups: 'geometry'`" in said
    said = flat(run("train", "twice.extxyz", "-o", "plain", "--max-epochs", 1, "--cutoff", 3.0))
    assert "`--set data.groups=geometry`" in said
    kept = ("--set", "data.groups=geometry")
    said = flat(run("train", "config.yaml", "twice.extxyz", "-o", "kept", *kept))
    assert "are in the training set too" not in said


@pytest.mark.slow
def test_rotated_structures_of_a_test_file_are_found() -> None:
    frames = copper(12)
    turned = [atoms.copy() for atoms in frames[:3]]
    for atoms, frame in zip(turned, frames, strict=False):
        results = frame.calc.results | {"forces": frame.get_forces() @ np.eye(3)[[1, 2, 0]].T}
        atoms.set_cell(atoms.cell.array @ np.eye(3)[[1, 2, 0]].T, scale_atoms=False)
        atoms.positions = atoms.positions @ np.eye(3)[[1, 2, 0]].T
        atoms.calc = SinglePointCalculator(atoms, **results)
    ase.io.write("train.extxyz", frames)
    ase.io.write("test.extxyz", turned)
    said = flat(run("train", "config.yaml", "train.extxyz", "--test", "test.extxyz", "-o", "run"))
    assert "in the training set too" in said


@pytest.mark.parametrize("names", [("a_energy", "b_energy"), ("energy", "dft_energy")])
def test_labels_under_two_names_are_said_and_read(names: tuple[str, str]) -> None:
    frames = copper(6)
    for n, atoms in enumerate(frames):
        results = atoms.calc.results
        atoms.calc = None
        atoms.info[names[n % 2]] = results["energy"]
        atoms.arrays["my_forces"] = results["forces"]
    ase.io.write("mixed.extxyz", frames)
    reading = ("--forces-key", "my_forces")
    if names[0] != "energy":  # a key that ASE knows needs no option
        reading += ("--energy-key", names[0])
    assert f"--energy-key {names[0]},{names[1]}" in flat(run("info", "mixed.extxyz", *reading))
    both = ("--energy-key", ",".join(names), *reading[:2])
    assert "energy: 6" in flat(run("info", "mixed.extxyz", *both))


@pytest.mark.parametrize(
    ("typed", "count"), [(("a.extxyz@::3",), 4), (("a.extxyz@-1",), 1), (("a.extxyz",), 12)]
)
def test_frames_behind_a_name(typed: tuple[str, ...], count: int) -> None:
    ase.io.write("a.extxyz", copper(12))
    assert f"structures {count} " in flat(run("info", *typed)) + " "
    chosen = ("--index", ":5", "--format", "extxyz")
    expected = 5 if "@" not in typed[0] else count  # what is behind the name counts for its file
    assert f"structures {expected} " in flat(run("info", *typed, *chosen)) + " "


@pytest.mark.slow
def test_a_config_has_the_same_options() -> None:
    frames = copper(12)
    for atoms in frames:
        atoms.calc.results["energy"] /= units.Hartree
    written("a.extxyz", frames)
    data = {"train": "a.extxyz@:10", "energy_key": "dft_energy", "forces_key": "dft_forces"}
    data |= {"energy_unit": "hartree", "forces_unit": "eV/angstrom", "index": ":2"}
    Path("config.yaml").write_text(yaml.safe_dump(SETTINGS | {"data": data}))
    run("train", "config.yaml", "-o", "run")
    saved = yaml.safe_load(Path("run/config.yaml").read_text())["data"]
    assert saved["energy_unit"] == "hartree" and saved["train"][0].endswith("a.extxyz@:10")
    said = flat(
        run("train", "config.yaml", "-o", "b", "--set", "data.energy_unit=hartre", status=2)
    )
    assert "`data.energy_unit`" in said and "hartree" in said


def test_an_isolated_atom_is_listed(tmp_path: Path) -> None:
    alone = Atoms("Cu", cell=[12.0] * 3, pbc=True)
    alone.calc = SinglePointCalculator(alone, energy=1.0)
    ase.io.write("alone.extxyz", [*copper(3), alone])
    said = flat(run("info", "alone.extxyz"))
    assert "isolated atoms Cu (frame 3 of 'alone.extxyz')" in said
