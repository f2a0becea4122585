"""Labels that look wrong are named, with the frame and what helps; right ones raise no alarm."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ase.build
import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from nnmd_graph.data import AtomsDataset
from nnmd_graph.data.label_checks import outliers
from nnmd_graph.units import GPA, label_units

HARTREE, BOHR = 27.211386024367243, 0.5291772105638411


def frames(count: int = 20, **more: Any) -> list[Atoms]:
    """Copper and silver whose energies are 1 eV from -100 and -200 eV per atom, at random."""
    random = np.random.default_rng(0)
    made = []
    for _ in range(count):
        atoms = ase.build.bulk("Cu", "fcc", a=3.8, cubic=True)
        atoms.positions += random.normal(0, 0.1, (4, 3))
        atoms.symbols[: random.integers(4)] = "Ag"
        energy = sum({29: -100.0, 47: -200.0}[z] for z in atoms.numbers) + random.normal()
        atoms.calc = SinglePointCalculator(
            atoms, energy=energy, forces=random.normal(0, 1, (4, 3)), **more
        )
        made.append(atoms)
    return made


def said(given: Sequence[Atoms], **kwargs: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        AtomsDataset(given, 3.0, **kwargs)
    return [str(warning.message) for warning in caught]


# -------------------------------------------------------------------------------- outliers
@pytest.mark.parametrize("shift", [1e5, -1e5, 300.0, -500.0, 1e12])
@pytest.mark.parametrize("number", [0, 7, 19])
def test_one_energy_far_off_is_named(shift: float, number: int) -> None:
    given = frames()
    given[number].calc.results["energy"] += shift
    (message,) = said(given)
    assert f"frame {number} by" in message
    assert "did not converge" in message


def test_two_bad_energies_of_different_size_are_both_named() -> None:
    given = frames(40)
    given[3].calc.results["energy"] += 1e6
    given[30].calc.results["energy"] -= 400.0
    (message,) = said(given)
    assert "frame 3 by" in message
    assert "frame 30 by" in message


def test_a_large_force_is_named_with_its_atom() -> None:
    given = frames()
    given[5].calc.results["forces"][2, 1] = -4000.0
    (message,) = said(given)
    assert "frame 5, 4000 eV/Å on atom 2 (Ag)" in message


@pytest.mark.parametrize("kind", ["normal", "tail", "two groups", "constant"])
def test_spread_is_no_outlier(kind: str) -> None:
    random = np.random.default_rng(1)
    values = {
        "normal": np.abs(random.normal(0, 1, 500)),
        "tail": np.exp(np.abs(random.normal(0, 1.2, 2000))),
        "two groups": np.array([0.01] * 50 + [5.0] * 40),
        "constant": np.zeros(30),
    }
    assert len(outliers(values[kind])) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["mlearn/Si_test", "fitsnap_Ta/all", "zundel/test", "n2p2_Cu2S_PBE/all"]
)
def test_published_sets_raise_no_alarm(shared: Path, name: str) -> None:
    given = ase.io.read(shared / "data" / f"{name}.extxyz.gz", ":")
    assert not [message for message in said(given) if "far" in message]


# -------------------------------------------------------------------------------- zeros
def test_energies_that_are_all_zero_beside_forces_are_named() -> None:
    given = frames(3)
    for atoms in given:
        atoms.calc.results["energy"] = 0.0
    (message,) = said(given)
    assert "every energy is exactly 0" in message
    assert "`energy_key`" in message


DUMP = """ITEM: TIMESTEP
{step}
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS pp pp pp
0 8
0 8
0 8
ITEM: ATOMS id {column} x y z fx fy fz
1 {first} 0 0 0 0.1 0 0
2 {second} 0 0 2.1 -0.1 0 0
"""


@pytest.mark.parametrize(
    ("column", "names", "expected"),
    [("type", "12", [1, 2]), ("element", ["Cu", "O"], [29, 8]), ("mass", [63.55, 16.0], [29, 8])],
)
def test_a_lammps_dump_has_no_energy(
    tmp_path: Path, column: str, names: Any, expected: list[int]
) -> None:
    path = tmp_path / "run.lammpstrj"
    texts = [DUMP.format(step=n, column=column, first=names[0], second=names[1]) for n in range(2)]
    path.write_text("".join(texts), encoding="utf-8")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        dataset = AtomsDataset.read(path, 3.0)
    messages = [str(w.message) for w in caught if "LAMMPS" in str(w.message)]
    assert dataset.has("energy") == 0
    assert dataset.has("forces") == 2
    assert dataset.frames[0].numbers.tolist() == expected
    assert any("no energy" in message for message in messages)
    assert any("H, He, Li" in message for message in messages) == (column == "type")


# -------------------------------------------------------------------------------- contradictions
def test_equal_structures_with_unequal_labels_are_named() -> None:
    given = frames(4)
    for n, change in enumerate(("energy", "forces")):
        twin = given[n].copy()
        results = {k: np.copy(v) for k, v in given[n].calc.results.items() if v is not None}
        results[change] = results[change] + 0.5
        twin.calc = SinglePointCalculator(twin, energy=float(results["energy"]),
                                          forces=results["forces"])  # fmt: skip
        given.append(twin)
    (message,) = said(given)
    assert "frame 0 and frame 4: energies" in message
    assert "frame 1 and frame 5: forces that differ by 0.5 eV/Å" in message


def test_equal_structures_with_equal_labels_are_no_contradiction() -> None:
    given = frames(4)
    assert not said([*given, *given])


def test_equal_structures_on_both_sides_of_a_split_are_said() -> None:
    dataset = AtomsDataset([a for a in frames(10) for _ in range(4)], 3.0)
    with pytest.warns(UserWarning, match=r"structures are in the training set too .*='geometry'"):
        dataset.split(0.5, 0.5, 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset.split(0.5, 0.5, 0.0, groups="geometry")


# -------------------------------------------------------------------------------- range
@pytest.mark.parametrize(("label", "shape"), [("forces", (4, 3)), ("stress", (6,))])
def test_a_label_that_float32_cannot_hold_is_an_error(label: str, shape: tuple[int, ...]) -> None:
    given = frames(3, stress=np.zeros(6))
    values = np.zeros(shape)
    values.flat[-1] = 1e39
    given[1].calc.results[label] = values
    message = rf"`frames\[1\]` \(b\): `{label}`: expected numbers that float32 can hold, got 1e\+39"
    with pytest.raises(ValueError, match=message):
        AtomsDataset(given, 3.0, dtype=torch.float32, sources=["a", "b", "c"])


# -------------------------------------------------------------------------------- virial
TENSOR = np.array([[0.011, 0.003, 0.002], [0.003, 0.012, 0.001], [0.002, 0.001, 0.013]])


@pytest.mark.parametrize("shape", [(6,), (9,), (3, 3)])
@pytest.mark.parametrize("kind", ["virial_key", "stress_key", "a stress"])
def test_a_virial_becomes_a_stress(shape: tuple[int, ...], kind: str) -> None:
    atoms = frames(1)[0]
    name = "my_stress" if kind == "a stress" else "virials"
    full = TENSOR if kind == "a stress" else -TENSOR * atoms.get_volume()
    voigt = full[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    atoms.info[name] = voigt if shape == (6,) else full.reshape(shape)
    key = "virial_key" if kind == "virial_key" else "stress_key"
    if kind == "stress_key":
        with pytest.warns(UserWarning, match="'virials' is a virial .*virial_key='virials'"):
            dataset = AtomsDataset([atoms], 3.0, **{key: name})
    else:
        dataset = AtomsDataset([atoms], 3.0, **{key: name})
    np.testing.assert_allclose(dataset.labels[0].stress, TENSOR, rtol=1e-12)


def test_a_virial_that_nobody_reads_is_said() -> None:
    given = frames(3)
    for atoms in given:
        atoms.info["dft_virial"] = np.eye(3)
    (message,) = said(given)
    assert "virial in eV (stress = -virial / volume), pass virial_key='dft_virial'" in message


# -------------------------------------------------------------------------------- mixed names
def test_frames_with_other_names_are_said_and_can_be_read() -> None:
    given = frames(6)
    for atoms in given[3:]:
        atoms.info["dft_energy"] = atoms.calc.results["energy"]
        atoms.arrays["dft_forces"] = atoms.calc.results["forces"]
        atoms.calc = None
    messages = said(given)
    advice = "energy_key='energy,dft_energy'"
    assert any(f"3 have 'dft_energy' instead (first: frame 3); read both with {advice}" in m
               for m in messages)  # fmt: skip
    assert any("forces_key='forces,dft_forces'" in m for m in messages)
    for key in ("energy,dft_energy", ["energy", "dft_energy"]):
        dataset = AtomsDataset(given, 3.0, energy_key=key, forces_key="forces,dft_forces")
        assert dataset.has("energy") == dataset.has("forces") == 6
    with pytest.raises(ValueError, match="`energy_key`: .* got 'dft_enrgy'.*mean 'dft_energy'"):
        AtomsDataset(given, 3.0, energy_key="energy,dft_enrgy", forces_key="forces,dft_forces")


# -------------------------------------------------------------------------------- units
def test_units_that_are_given_convert_everything() -> None:
    atoms = frames(1, stress=np.arange(6.0))[0]
    dataset = AtomsDataset([atoms], 3.0, energy_unit="hartree", length_unit="bohr")
    found, raw = dataset.labels[0], atoms.calc.results
    assert found.energy == pytest.approx(raw["energy"] * HARTREE)
    np.testing.assert_allclose(found.forces, raw["forces"] * HARTREE / BOHR)
    assert found.stress[0, 1] == pytest.approx(5.0 * HARTREE / BOHR**3)
    np.testing.assert_allclose(dataset.frames[0].positions, atoms.positions * BOHR)
    np.testing.assert_allclose(dataset.frames[0].cell.array, atoms.cell.array * BOHR)
    assert dataset.frames[0].get_potential_energy() == found.energy
    again = AtomsDataset(dataset.frames, 3.0)
    assert again.labels[0].energy == found.energy
    assert atoms.cell[0, 0] == 3.8  # the caller's frame stays as it is


@pytest.mark.parametrize(
    ("key", "unit", "label", "factor"),
    [
        ("energy-unit", "Hartree", "energy", HARTREE),
        ("energy_units", "Ha", "energy", HARTREE),
        ("unit_energy", "kcal/mol", "energy", 0.04336410390059322),
        ("Force_Unit", "Ha/a0", "forces", HARTREE / BOHR),
        ("forces-unit", "hartree bohr^-1", "forces", HARTREE / BOHR),
        ("stress_unit", "GPa", "stress", GPA),
        ("stress-units", "kbar", "stress", 0.1 * GPA),
        ("length_unit", "nm", "length", 10.0),
    ],
)
def test_units_that_a_frame_states_count_and_are_said(
    key: str, unit: str, label: str, factor: float
) -> None:
    atoms = frames(1, stress=np.ones(6))[0]
    before = {"length": atoms.cell[0, 0], **atoms.calc.results}
    atoms.info[key] = unit
    with pytest.warns(
        UserWarning, match=rf"states {key}: {re.escape(unit)}.*converted.*to eV and Å.*_unit='"
    ):
        dataset = AtomsDataset([atoms], 3.0)
    found = dataset.frames[0].cell[0, 0] if label == "length" else dataset.labels[0]
    value = found if label == "length" else getattr(found, label)
    np.testing.assert_allclose(np.ravel(value)[0], np.ravel(before[label])[0] * factor, rtol=1e-9)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("units", "hartree"),
        ("unit", "kcal/mol"),
        ("Units", "Hartree, Bohr"),
        ("units", "a.u."),
        ("lammps_units", "real"),
        ("E_unit", "Ry"),
        ("units", {"energy": "kJ/mol", "length": "nm"}),
    ],
)
def test_units_of_nothing_in_particular_are_said(key: str, text: Any) -> None:
    atoms = frames(1)[0]
    energy = atoms.calc.results["energy"]
    atoms.info[key] = text
    words = f"states {re.escape(f'{key}: {text}')}, and not of what.*give `energy_unit`"
    with pytest.warns(UserWarning, match=words):
        assert AtomsDataset([atoms], 3.0).labels[0].energy == energy
    assert not said([atoms], energy_unit="hartree")


@pytest.mark.parametrize(
    ("key", "text"),
    [("units", "eV"), ("units", "metal"), ("units", "eV/A"), ("unit_cell", "primitive"),
     ("formula_units", "4"), ("community", "bohr"), ("units", "eV, Å")],
)  # fmt: skip
def test_ours_and_what_is_no_unit_are_not_said(key: str, text: str) -> None:
    atoms = frames(1)[0]
    atoms.info[key] = text
    assert not said([atoms])


@pytest.mark.parametrize("name", ["dft_energy", "TotEnergy", "E", "U0", "e_tot"])
def test_energies_under_other_names_are_pointed_at(name: str) -> None:
    given = frames(3)
    for atoms in given:
        atoms.info[name] = atoms.calc.results.pop("energy")
    (message,) = said(given)
    assert f"pass energy_key={name!r}" in message


def test_what_is_given_counts_more_than_what_is_stated() -> None:
    atoms = frames(1)[0]
    energy = atoms.calc.results["energy"]
    atoms.info["energy_unit"] = "hartree"
    with pytest.warns(UserWarning, match="`energy_unit`: frame 0 states .*'eV' was given"):
        assert AtomsDataset([atoms], 3.0, energy_unit="eV").labels[0].energy == energy
    atoms.info["energy_unit"] = "parsec"
    with pytest.warns(UserWarning, match="energy_unit: parsec, which is no unit known"):
        assert AtomsDataset([atoms], 3.0).labels[0].energy == energy
    atoms.info["energy_unit"] = "eV"
    assert not said([atoms])


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ({"energy_unit": "hartre"}, "`energy_unit`: .*mean 'hartree'"),
        ({"length_unit": "metre"}, "`length_unit`"),
        ({"forces_unit": "hartree"}, "`forces_unit`: .*such as 'hartree/bohr'"),
        ({"stress_unit": "atm"}, "`stress_unit`: .*'kbar'"),
    ],
)
def test_unknown_units(units: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AtomsDataset(frames(1), 3.0, **units)
    with pytest.raises(ValueError, match=message):
        label_units(**units)


# -------------------------------------------------------------------------------- file@index
@pytest.mark.parametrize(("behind", "count"), [("@:3", 3), ("@::2", 3), ("@-1", 1), ("", 5)])
def test_frames_are_chosen_behind_the_name(tmp_path: Path, behind: str, count: int) -> None:
    ase.io.write(tmp_path / "a.xyz", frames(5), format="extxyz")
    assert len(AtomsDataset.read(f"{tmp_path / 'a.xyz'}{behind}", 3.0)) == count
    both = AtomsDataset.read([f"{tmp_path / 'a.xyz'}{behind}", tmp_path / "a.xyz"], 3.0, index=":2")
    assert len(both) == (count if behind else 2) + 2


def test_a_file_with_an_at_in_its_name_is_that_file(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "a.xyz", frames(5), format="extxyz")
    ase.io.write(tmp_path / "a.xyz@1", frames(3), format="extxyz")
    assert len(AtomsDataset.read(tmp_path / "a.xyz@1", 3.0, format="extxyz")) == 3
