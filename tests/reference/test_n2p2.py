"""Potentials of n2p2 (A. Singraber et al., C++): functions, inputs, energies, forces, files."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

from nnmd_graph.formats.n2p2 import load_n2p2, save_n2p2
from nnmd_graph.graph import AtomicGraph
from nnmd_graph.models import Potential
from nnmd_graph.nn.species import species_ids

GROUP_ERROR = "syn_comp_mixed_subtypes_GROUPBUG"
CASES = (
    "Cu2S_PBE",
    "Cu_narrow_G4",
    "Cu_wide_G5",
    "DMABN_SCAN",
    "H2O_RPBE",
    "H2O_RPBE-D3",
    "H2O_RPBE-D3_1080",
    "QM9_12_13",
    *(f"syn_act_{n}" for n in ("1layer", "Srevlogistic", *"eghlpr", "slogistic", "t")),
    *(f"syn_comp_20_21_22_{n}" for n in ("p1", "p1a", "p2", "p2a", "p3", "p4", "p4a")),
    "syn_comp_23_24_25_p2a",
    GROUP_ERROR,
    *(f"syn_cutoff_ct{n}" for n in (1, 2, 3, 4, 5, 6, 7, 8)),
    *(f"syn_cutoff_ct{n}_a035" for n in (0, 1, 2, 3, 5, 6, 8)),
    "syn_element_nodes",
    "syn_extrapolation",
    "syn_normalize_nodes",
    *(f"syn_scaling_{n}" for n in ("center", "none", "scale", "scale_m11", "scale_nominmax")),
    "syn_scaling_sigma",
    "syn_weighted_12_13",
)
QUICK = (
    "H2O_RPBE",
    "syn_comp_20_21_22_p2a",
    "syn_cutoff_ct6",
    "syn_scaling_sigma",
    "syn_weighted_12_13",
)
"""Cases that run under `-m "not slow"`, too."""


def cases(names: tuple[str, ...]) -> pytest.MarkDecorator:
    marked = [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in names]
    return pytest.mark.parametrize("name", marked)


each_case = cases(CASES)

# n2p2 sums polynomials of the ninth degree whose terms cancel at the edge of the window. A
# function that is never larger than 1e-9 or 1e-5 there comes out with few digits (ours agree with
# long doubles), and what the scaling and the net make of the rest is 1e-10 of the largest force.
CANCELLATION = {"syn_comp_20_21_22_p4a": 1e-7, "syn_cutoff_ct8_a035": 5e-8}


class Results(NamedTuple):
    """Ours, by structure."""

    features: dict[int, np.ndarray]
    scaled: dict[int, np.ndarray]
    energies: dict[int, float]
    forces: dict[int, np.ndarray]


@pytest.fixture
def results(n2p2) -> Callable[[str], Results]:
    return lambda name: evaluated(n2p2(name))


@cache
def evaluated(reference) -> Results:
    """All structures of a case in one batch."""
    potential, structures = reference.potential(), reference.structures()
    batch = Batch.from_data_list([graph_of(atoms, potential) for atoms in structures.values()])
    species_id = species_ids(batch.z, potential.species)
    x = potential.model.representation(batch)
    out = potential(batch, stress=False)
    lengths = [len(atoms) for atoms in structures.values()]
    per_atom = (x, potential.model.scaler(x, species_id), out["forces"])
    features, scaled, forces = (
        dict(zip(structures, (part.numpy() for part in values.split(lengths)), strict=True))
        for values in per_atom
    )
    return Results(
        features, scaled, dict(zip(structures, out["energy"].tolist(), strict=True)), forces
    )


def graph_of(atoms, potential: Potential) -> AtomicGraph:
    return AtomicGraph.from_atoms(atoms, potential.cutoff, dtype=torch.float64)


def test_no_case_is_left_out(n2p2) -> None:
    there = {path.name for path in n2p2("H2O_RPBE").folder.parent.iterdir() if path.is_dir()}
    assert {name for name in there if not name.startswith(("4G_", "train_"))} == set(CASES)


@each_case
def test_symmetry_functions(n2p2, results, name: str) -> None:
    ours = results(name).features
    for n, rows in n2p2(name).features().items():
        for i, values in enumerate(rows):
            np.testing.assert_allclose(ours[n][i, : len(values)], values, rtol=1e-9, atol=1e-10)
            assert not ours[n][i, len(values) :].any()


@each_case
def test_inputs_of_the_nets(n2p2, results, name: str) -> None:
    reference = n2p2(name)
    scaled = reference.scaled_features()
    if not scaled or name == GROUP_ERROR:
        pytest.skip("n2p2's table is not there, or made of wrong functions")
    for n, rows in scaled.items():
        for i, values in enumerate(rows):
            ours = results(name).scaled[n][i, : len(values)]
            atol = 2e-9 if name in CANCELLATION else 1e-11
            np.testing.assert_allclose(ours, values, rtol=1e-11, atol=atol)


@cases(tuple(name for name in CASES if name != GROUP_ERROR))
def test_energies_and_forces(n2p2, results, name: str) -> None:
    energies, forces = n2p2(name).energies(), n2p2(name).forces()
    ours = results(name)
    for n, expected in forces.items():
        assert ours.energies[n] == pytest.approx(energies[n], rel=0, abs=1e-9 * len(expected))
        atol = CANCELLATION.get(name, 1e-8)
        np.testing.assert_allclose(ours.forces[n], expected, rtol=0, atol=atol)


# --------------------------------------------------------------------------------- out and back
@pytest.mark.slow
@each_case
@pytest.mark.filterwarnings("ignore:`potential`. n2p2 mixes up polynomials")
def test_comes_back_to_the_last_bit(n2p2, name: str, tmp_path: Path) -> None:
    reference = n2p2(name)
    potential = reference.potential()
    save_n2p2(potential, tmp_path / "once", **reference.units)
    again = load_n2p2(tmp_path / "once")  # the units are stated
    assert_same(potential, again)
    for z in potential.species:
        file = f"weights.{z:03d}.data"
        if name != "syn_normalize_nodes":
            assert numbers(tmp_path / "once" / file) == numbers(reference.folder / file)
    save_n2p2(again, tmp_path / "twice", **reference.units)
    for path in (tmp_path / "once").iterdir():
        assert path.read_text() == (tmp_path / "twice" / path.name).read_text()


@pytest.mark.parametrize("name", ["H2O_RPBE-D3", "syn_scaling_sigma"])
def test_the_same_through_a_model_file(n2p2, name: str, tmp_path: Path) -> None:
    reference = n2p2(name)
    potential = reference.potential()
    potential.save(tmp_path / "model.pt")
    save_n2p2(Potential.load(tmp_path / "model.pt"), tmp_path / "n2p2", **reference.units)
    assert_same(potential, load_n2p2(tmp_path / "n2p2"))


@pytest.mark.parametrize("name", ["QM9_12_13", "syn_cutoff_ct1_a035"])
def test_in_other_units(n2p2, name: str, tmp_path: Path) -> None:
    reference = n2p2(name)
    potential = reference.potential()
    save_n2p2(potential, tmp_path, length_unit="nm", energy_unit="kcal/mol")
    again = load_n2p2(tmp_path)
    graph = graph_of(reference.structures()[1], potential)
    graph.cutoff += 1e-9  # of the other one it may be an ulp larger
    one, other = potential(graph), again(graph)
    assert other["energy"].item() == pytest.approx(one["energy"].item(), rel=1e-14)
    torch.testing.assert_close(other["forces"], one["forces"], rtol=1e-9, atol=1e-11)


def numbers(file: Path) -> list[str]:
    lines = file.read_text().splitlines()
    return [line.split()[0] for line in lines if not line.startswith("#")]


def assert_same(one: Potential, other: Potential) -> None:
    assert other.model.representation.functions == one.model.representation.functions
    before, after = one.state_dict(), other.state_dict()
    assert before.keys() == after.keys()
    assert [name for name in before if not torch.equal(before[name], after[name])] == []


# ---------------------------------------------------------------------------- published potentials
@pytest.mark.slow
def test_errors_of_the_mlearn_potentials(shared: Path) -> None:
    """To the digits that n2p2 printed for the same potentials and structures."""
    data = shared / "data/mlearn"
    if not data.is_dir():
        pytest.skip(f"no mlearn data in {data}")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.mlearn_authors", "--data", str(data)],
        cwd=Path(__file__).resolve().parents[2],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    print(done.stdout, done.stderr)
    assert done.returncode == 0 and done.stdout.count("| same |") == 5
