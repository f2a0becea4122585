"""Published data sets from raw files in the published formats, and the real ones where they are."""

import gzip
import json
import tarfile
from pathlib import Path
from typing import Any

import ase
import ase.build
import ase.io
import ase.units
import numpy as np
import pytest
import torch_geometric.data
from ase.calculators.singlepoint import SinglePointCalculator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch_geometric.loader import DataLoader

from nnmd_graph.data import AtomsDataset, write_runner
from nnmd_graph.data.published import H2O, RMD17, Acetylacetone, MLearn, ThreeBPA
from nnmd_graph.data.published.formats import read_mlearn, read_npz
from nnmd_graph.graph import AtomicGraph
from nnmd_graph.models import BPNN, Potential
from nnmd_graph.representations import ACSF, G2
from nnmd_graph.training import Trainer

# Small files under published names have other checksums than the published ones
pytestmark = pytest.mark.filterwarnings("ignore:.*differs from the published file")
KCAL = 0.0433641039  # eV, of 1 kcal/mol, CODATA 2014 as in ASE
OFF = {"download": False, "progress": False}


def ethanol(count: int, seed: int = 0) -> dict[str, Any]:
    """Arrays of an npz file of revised MD17."""
    rng = np.random.default_rng(seed)
    atoms = ase.build.molecule("CH3CH2OH")
    shape = (count, len(atoms), 3)
    return {
        "nuclear_charges": atoms.numbers.astype(np.uint8),
        "coords": atoms.positions + 0.05 * rng.normal(size=shape),
        "energies": -97000.0 + rng.normal(size=count),
        "forces": 20.0 * rng.normal(size=shape),
        "old_indices": np.arange(count) * 10 + 7,
        "old_energies": rng.normal(size=count),
    }


@pytest.fixture
def rmd17(tmp_path: Path) -> Path:
    for seed, part in enumerate(("train", "test")):
        np.savez(tmp_path / f"rmd17_ethanol_{part}_02.npz", **ethanol(6, seed))
    return tmp_path


def whole_rmd17(folder: Path) -> dict[str, Any]:
    arrays = ethanol(9)
    (folder / "rmd17" / "npz_data").mkdir(parents=True)
    (folder / "rmd17" / "splits").mkdir()
    np.savez(folder / "rmd17" / "npz_data" / "rmd17_ethanol.npz", **arrays)
    for part, numbers in (("train", "7\n2\n5\n"), ("test", "0\n8\n")):
        (folder / "rmd17" / "splits" / f"index_{part}_03.csv").write_text(numbers)
    return arrays


# ------------------------------------------------------------------------------------------ rMD17
def test_rmd17(rmd17: Path) -> None:
    train = RMD17(rmd17, "ethanol", split="train", fold=2, cutoff=4.0, **OFF)
    arrays = ethanol(6)
    assert (len(train), train.part, train.species) == (6, "train", (1, 6, 8))
    for n, (atoms, labels) in enumerate(zip(train.frames, train.labels, strict=True)):
        np.testing.assert_allclose(atoms.positions, arrays["coords"][n])
        assert labels.energy == pytest.approx(arrays["energies"][n] * KCAL, rel=1e-8)
        np.testing.assert_allclose(labels.forces, arrays["forces"][n] * KCAL, rtol=1e-8)
        assert atoms.info["md17_index"] == 10 * n + 7
        assert not atoms.pbc.any()
    test = RMD17(rmd17, "ethanol", "test", fold=2, cutoff=4.0, **OFF)
    assert test.labels[0].energy != train.labels[0].energy
    assert test.raw_file_names == ["rmd17_ethanol_test_02.npz"]


def test_rmd17_as_the_whole_set(tmp_path: Path) -> None:
    arrays = whole_rmd17(tmp_path)
    train = RMD17(tmp_path, "ethanol", fold=3, cutoff=4.0, **OFF)
    found = [labels.energy for labels in train.labels]
    np.testing.assert_allclose(found, arrays["energies"][[7, 2, 5]] * KCAL, rtol=1e-8)
    assert len(RMD17(tmp_path, "ethanol", "test", fold=3, cutoff=4.0, **OFF)) == 2
    assert len(train.raw_paths) == 2
    with pytest.raises(FileNotFoundError, match="'rmd17_ethanol_train_01.npz'"):
        RMD17(tmp_path, "ethanol", cutoff=4.0, **OFF)


def test_rmd17_packed(tmp_path: Path) -> None:
    whole_rmd17(tmp_path / "there")
    with tarfile.open(tmp_path / "rmd17.tar.bz2", "w:bz2") as tar:
        tar.add(tmp_path / "there" / "rmd17", "rmd17")
    train = RMD17(tmp_path, "ethanol", fold=3, cutoff=4.0, **OFF)
    assert len(train) == 3
    assert sorted(p.name for p in (tmp_path / "raw").iterdir()) == train.raw_file_names[::-1]


def test_rmd17_names(rmd17: Path) -> None:
    with pytest.raises(ValueError, match="`molecule`: .*got 'etanol'; did you mean 'ethanol'"):
        RMD17(rmd17, "etanol", cutoff=4.0)
    with pytest.raises(ValueError, match="`split`: expected one of .*got 'trian'; did you mean"):
        RMD17(rmd17, "ethanol", "trian", cutoff=4.0)
    with pytest.raises(ValueError, match="`fold`: expected 1, 2, 3, 4 or 5, got 6"):
        RMD17(rmd17, "ethanol", fold=6, cutoff=4.0)
    with pytest.raises(TypeError, match="`energy_key`: expected options.*got this one"):
        RMD17(rmd17, "ethanol", fold=2, cutoff=4.0, energy_key="e", **OFF)
    with pytest.raises(TypeError, match="use AtomsDataset.read for files"):
        RMD17.read("data.extxyz", 4.0)


@pytest.mark.parametrize("text", ["1\n9\n", "", "1 -1", "one", "0.5e"])
def test_damaged_numbers(text: str, tmp_path: Path) -> None:
    whole_rmd17(tmp_path)
    (tmp_path / "rmd17" / "splits" / "index_train_03.csv").write_text(text)
    with pytest.raises(ValueError, match=r"`root`: expected .*index_train_03.csv"):
        RMD17(tmp_path, "ethanol", fold=3, cutoff=4.0, **OFF)


def test_no_code_is_unpickled(tmp_path: Path) -> None:
    arrays = ethanol(2) | {"energies": np.array([print, print], dtype=object)}
    np.savez(tmp_path / "rmd17_ethanol_train_01.npz", **arrays)
    with pytest.raises(ValueError, match="`root`: expected arrays.*damaged or foreign"):
        RMD17(tmp_path, "ethanol", cutoff=4.0, **OFF)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.floats(0.0, 0.999))
def test_cut_npz(cut: float, tmp_path: Path) -> None:
    path = tmp_path / "whole.npz"
    if not path.exists():
        np.savez(path, **ethanol(3))
    content = path.read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: int(cut * len(content))])
    with pytest.raises(ValueError, match="`root`: expected arrays.*damaged or foreign"):
        read_npz(tmp_path / "cut.npz")


# ------------------------------------------------------------------------- as a data set of PyG
def test_is_a_dataset_of_pyg_and_of_this_package(rmd17: Path) -> None:
    train = RMD17(rmd17, "ethanol", fold=2, cutoff=4.0, **OFF)
    assert isinstance(train, torch_geometric.data.Dataset)
    assert isinstance(train, AtomsDataset)
    assert isinstance(train[0], AtomicGraph)
    assert len(train[:4]) == len(train.index_select([0, 2, 3, 5])) == 4
    assert train.raw_dir == str(rmd17 / "raw")
    assert train.raw_paths == [str(rmd17 / "rmd17_ethanol_train_02.npz")]
    shuffled = train.shuffle()
    assert sorted(x.energy for x in shuffled.labels) == sorted(x.energy for x in train.labels)
    batches = list(DataLoader(train, batch_size=4))
    assert [batch.num_graphs for batch in batches] == [4, 2]
    assert batches[0].pos.shape == (36, 3)
    a, b, c = train.split(3, 2, 1, seed=0)
    assert [len(part) for part in (a, b, c)] == [3, 2, 1]
    assert not list(rmd17.glob("processed*"))


def test_transform(rmd17: Path) -> None:
    def marked(graph: AtomicGraph) -> AtomicGraph:
        graph.mark = 1
        return graph

    train = RMD17(rmd17, "ethanol", fold=2, cutoff=4.0, transform=marked, **OFF)
    assert (train[0].mark, train[2:4][1].mark, next(iter(train)).mark) == (1, 1, 1)
    assert "mark" not in train.get(0)


def test_trains(rmd17: Path) -> None:
    train = RMD17(rmd17, "ethanol", fold=2, cutoff=4.0, **OFF)
    test = RMD17(rmd17, "ethanol", "test", fold=2, cutoff=4.0, **OFF)
    potential = Potential(BPNN(ACSF(train.species, 4.0, [G2(eta=1.0)]), (4,)))
    energies = {"H": -13.6, "C": -1029.0, "O": -2041.0}
    history = Trainer(max_epochs=2, isolated_energies=energies).fit(potential, train, test)
    assert len(history) == 2


# ----------------------------------------------------------------------------------------- mlearn
def record(virial: list[float], group: str = "Elastic") -> dict[str, Any]:
    sites = [
        {"species": [{"element": "Si", "occu": 1}], "abc": [x, x, x], "xyz": [5.4 * x] * 3}
        for x in (0.0, 0.25)
    ]
    return {
        "structure": {"lattice": {"matrix": [[0, 2.7, 2.7], [2.7, 0, 2.7], [2.7, 2.7, 0]]}}
        | {"sites": sites},
        "group": group,
        "outputs": {"energy": -10.8, "forces": [[0.1, 0, 0], [-0.1, 0, 0]]}
        | {"virial_stress": virial},
        "num_atoms": 2,
        "element": "Si",
        "tag": "train",
        "description": "strained",
    }


VIRIAL = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
YZ_XZ, XZ_YZ = [1.0, 2.0, 3.0, 5.0, 6.0, 4.0], [1.0, 2.0, 3.0, 6.0, 5.0, 4.0]


@pytest.mark.parametrize(
    ("element", "split", "group", "order"),
    [
        ("Si", "train", "Elastic", YZ_XZ),
        ("Si", "train", "AIMD-NVT", XZ_YZ),
        ("Li", "test", "Vacancy", YZ_XZ),
        ("Mo", "test", "Elastic", XZ_YZ),
        ("Ni", "test", "Elastic", XZ_YZ),
        ("Cu", "train", "Elastic", None),
    ],
)
def test_mlearn_stress(element: str, split: str, group: str, order, tmp_path: Path) -> None:
    """Kbar under compression; shear components in an order of their own."""
    (tmp_path / "a.json").write_text(json.dumps([record(VIRIAL, group)]))
    (atoms,) = read_mlearn(tmp_path / "a.json", element, split)
    if order is None:
        assert "stress" not in atoms.calc.results
    else:
        expected = -np.array(order) * 6.241509e-4  # eV/Å^3 of 1 kbar
        np.testing.assert_allclose(atoms.get_stress(), expected, rtol=1e-6)


@pytest.mark.parametrize("folder", ["data/Si", "Si", "raw/Si"])
def test_mlearn(folder: str, tmp_path: Path) -> None:
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "training.json").write_text(json.dumps([record(VIRIAL)] * 3))
    train = MLearn(tmp_path, "Si", cutoff=4.0, **OFF)
    assert (len(train), train.species, train.frames[0].pbc.all()) == (3, (14,), True)
    assert train.frames[0].info["group"] == "Elastic"
    assert train.labels[0].energy == -10.8
    np.testing.assert_allclose(train.labels[0].forces, [[0.1, 0, 0], [-0.1, 0, 0]])
    with pytest.raises(FileNotFoundError, match="'Si/test.json'"):
        MLearn(tmp_path, "Si", "test", cutoff=4.0, **OFF)
    with pytest.raises(ValueError, match="`element`: expected one of .*got 'Na'"):
        MLearn(tmp_path, "Na", cutoff=4.0)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_json(data: st.DataObject, tmp_path: Path) -> None:
    """Cut anywhere, or without one of its entries."""
    if data.draw(st.booleans()):
        text = json.dumps([record(VIRIAL)])
        text = text[: data.draw(st.integers(0, len(text) - 1))]
    else:
        broken = record(VIRIAL)
        del broken[data.draw(st.sampled_from(["structure", "outputs", "group"]))]
        text = json.dumps([broken])
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match="`root`: expected the JSON of mlearn.*fetch it again"):
        read_mlearn(tmp_path / "a.json", "Si", "train")


# ------------------------------------------------------------------------------ extended XYZ, water
def write_xyz(path: Path, count: int) -> None:
    frames = []
    for n in range(count):
        atoms = ase.build.molecule("CH3CH2OH")
        atoms.rattle(0.05, seed=n)
        forces = np.zeros((9, 3))
        atoms.calc = SinglePointCalculator(atoms, energy=-100.0 - n, forces=forces)
        frames.append(atoms)
    path.parent.mkdir(parents=True, exist_ok=True)
    ase.io.write(path, frames, format="extxyz")


@pytest.mark.parametrize("name", ["train_300K.xyz", "{folder}/train_300K.xyz", "train_300K.extxyz"])
@pytest.mark.parametrize("kind", [Acetylacetone, ThreeBPA])
def test_botnet_sets(kind, name: str, tmp_path: Path) -> None:
    write_xyz(tmp_path / name.format(folder=kind.folder), 3)
    train = kind(tmp_path, cutoff=4.0, **OFF)
    assert (len(train), train.part, train.labels[2].energy) == (3, "train_300K", -102.0)
    assert set(train.species) <= set(kind.isolated_energies)
    with pytest.raises(ValueError, match="did you mean 'train_300K'"):
        kind(tmp_path, "train_30K", cutoff=4.0)


def test_compressed(tmp_path: Path) -> None:
    write_xyz(tmp_path / "a.xyz", 2)
    packed = gzip.compress((tmp_path / "a.xyz").read_bytes())
    (tmp_path / "test_300K.extxyz.gz").write_bytes(packed)
    assert len(ThreeBPA(tmp_path, "test_300K", cutoff=4.0, **OFF)) == 2


def test_water(tmp_path: Path) -> None:
    atoms = ase.build.molecule("H2O", vacuum=3.0)
    atoms.pbc = True
    forces = np.array([[0.3, 0, 0], [-0.3, 0, 0], [0, 0, 0]])
    atoms.calc = SinglePointCalculator(atoms, energy=-468.0, forces=forces)
    units = {"length_unit": "bohr", "energy_unit": "hartree"}
    write_runner([atoms] * 2, tmp_path / "input.data", **units)
    for functional in H2O.functionals:
        water = H2O(tmp_path, functional, cutoff=4.0, **OFF)
        assert (len(water), water.part) == (2, "all")
        assert water.labels[0].energy == pytest.approx(-468.0)
        np.testing.assert_allclose(water.labels[0].forces, forces, atol=1e-7)
        np.testing.assert_allclose(water.frames[0].cell, atoms.cell, atol=1e-7)
    with pytest.raises(FileNotFoundError, match="get it from https://doi.org/10.5281/zenodo.2634"):
        H2O(tmp_path / "empty", "RPBE-D3", cutoff=4.0)


# --------------------------------------------------------------------------------- the real files
@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "arguments", "folder", "size"),
    [
        (RMD17, ("ethanol",), "rmd17", 1000),
        (MLearn, ("Li", "test"), "mlearn", 29),
        (ThreeBPA, ("train_mixedT",), "3BPA", 500),
        (H2O, ("RPBE-D3",), "n2p2_H2O_RPBE-D3", 20),
    ],
    ids=["rmd17", "mlearn", "3bpa", "water"],
)
def test_published_files(kind, arguments, folder: str, size: int, shared: Path) -> None:
    if not (shared / "data" / folder).is_dir():
        pytest.skip(f"no data/{folder} in {shared}")
    dataset = kind(shared / "data" / folder, *arguments, cutoff=3.0, **OFF)
    assert len(dataset) == dataset.has("energy") == dataset.has("forces") == size
    graph = dataset[0]
    assert graph.edge_index.shape[1] > 0
    # Net force and typical sizes show that the units are right
    forces = np.concatenate([labels.forces for labels in dataset.labels])
    assert 0.1 < np.sqrt(np.mean(forces**2)) < 3.0
