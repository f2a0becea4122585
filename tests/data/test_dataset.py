"""A data set is a sequence of graphs: checked at the door, built once, shared by its parts."""

import copy
import pickle
from pathlib import Path
from typing import Any

import ase.build
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from torch_geometric.loader import DataLoader

from nnmd_graph.data import AtomsDataset
from nnmd_graph.graph import AtomicGraph


def labelled(atoms: Atoms, **results: Any) -> Atoms:
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def copper(n: int = 4, seed: int = 0, **results: Any) -> Atoms:
    atoms = ase.build.bulk("Cu", cubic=True)[:n]
    atoms.rattle(0.05, seed=seed)
    return labelled(atoms, **(results or {"energy": -1.0 * n, "forces": np.ones((n, 3))}))


@pytest.fixture
def frames() -> list[Atoms]:
    return [copper(seed=i, energy=float(i), forces=np.full((4, 3), i)) for i in range(10)]


# ------------------------------------------------------------------------- the sequence
def test_items_are_graphs_with_labels(frames: list[Atoms]) -> None:
    dataset = AtomsDataset(frames, 4.0)
    graph = dataset[3]
    assert isinstance(graph, AtomicGraph)
    assert graph.energy.item() == 3.0
    assert (graph.forces == 3.0).all()
    assert graph.cutoff.item() == 4.0
    assert dataset[-1].energy.item() == 9.0
    assert dataset[np.int64(2)].energy.item() == 2.0
    assert len(list(dataset)) == len(dataset) == 10
    reference = AtomicGraph.from_atoms(frames[3], 4.0)
    assert torch.equal(graph.edge_index, reference.edge_index)
    assert torch.equal(graph.pos, reference.pos)


@pytest.mark.parametrize(
    ("index", "wanted"),
    [
        (slice(2, 5), [2, 3, 4]),
        (slice(None, None, -4), [9, 5, 1]),
        ([7, -1, 7], [7, 9, 7]),
        (np.array([1, 2]), [1, 2]),
        (torch.tensor([4]), [4]),
        ([i == 6 for i in range(10)], [6]),
        (np.arange(10) > 7, [8, 9]),
        ([], []),
        (slice(0, 0), []),
    ],
)
def test_parts(frames: list[Atoms], index: Any, wanted: list[int]) -> None:
    part = AtomsDataset(frames, 4.0)[index]
    assert isinstance(part, AtomsDataset)
    assert [labels.energy for labels in part.labels] == wanted
    assert [graph.energy.item() for graph in part] == wanted
    assert part.cutoff == 4.0
    assert part[:1][:1].has("energy") == min(len(wanted), 1)


def test_parts_share_the_graphs(frames: list[Atoms], monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    original = AtomicGraph.from_atoms
    monkeypatch.setattr(
        AtomicGraph, "from_atoms", lambda *a, **k: built.append(1) or original(*a, **k)
    )
    dataset = AtomsDataset(frames, 4.0)
    part = dataset[2:6][::2]
    assert not built
    assert part[1].edge_index.data_ptr() == dataset[4].edge_index.data_ptr()
    assert len(built) == 1
    dataset.build()
    for part in (*dataset.split(0.5, 0.2, 0.3), dataset[[1, 1, 3]]):
        part.build()
    assert len(built) == 10


def test_moving_a_graph_leaves_the_data_set_alone(frames: list[Atoms]) -> None:
    dataset = AtomsDataset(frames, 4.0)
    graph = dataset[0]
    graph.to("meta")
    graph.energy = None
    graph.extra = 1
    assert dataset[0].pos.device.type == "cpu"
    assert dataset[0].energy.item() == 0.0
    assert "extra" not in dataset[0]


def test_frames_of_the_caller_are_neither_changed_nor_followed(frames: list[Atoms]) -> None:
    before = copy.deepcopy(frames)
    dataset = AtomsDataset(frames, 4.0)
    dataset.frames[0].positions += 1.0
    assert (frames[0].positions == before[0].positions).all()
    frames[1].positions += 1.0
    frames[1].calc.results["energy"] = 99.0
    frames[1].info["new"] = True
    graph = dataset[1]
    np.testing.assert_allclose(graph.pos.numpy(), before[1].positions, atol=1e-6)
    assert graph.energy.item() == 1.0
    assert "new" not in dataset.frames[1].info
    assert dataset.frames[1].calc.results["energy"] == 1.0


def test_frames_keep_their_info_and_labels(frames: list[Atoms]) -> None:
    frames[0].info["config_type"] = "bulk"
    dataset = AtomsDataset(iter(frames), 4.0)
    assert dataset.frames[0].info["config_type"] == "bulk"
    assert dataset.frames[2].get_potential_energy() == 2.0


def test_results_of_a_live_calculator_are_labels() -> None:
    atoms = ase.build.bulk("Cu", cubic=True)
    atoms.rattle(0.05)
    atoms.calc = EMT()
    energy, forces, stress = (
        atoms.get_potential_energy(),
        atoms.get_forces(),
        atoms.get_stress(voigt=False),
    )
    dataset = AtomsDataset([atoms], 4.0)
    atoms.rattle(0.05, seed=1)
    atoms.get_forces()
    assert dataset.labels[0].energy == energy
    np.testing.assert_allclose(dataset.labels[0].forces, forces)
    np.testing.assert_allclose(dataset.labels[0].stress, stress)
    np.testing.assert_allclose(dataset.frames[0].get_stress(voigt=False), stress)
    assert not isinstance(dataset.frames[0].calc, EMT)


def test_frames_that_share_a_calculator_are_refused() -> None:
    calc = EMT()
    frames = []
    for seed in range(2):
        atoms = ase.build.bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=seed)
        atoms.calc = calc
        atoms.get_potential_energy()
        frames.append(atoms)
    with pytest.raises(ValueError, match=r"`frames\[0\]`: .*share one calculator"):
        AtomsDataset(frames, 4.0)


def test_constraints_do_not_hide_forces() -> None:
    from ase.constraints import FixAtoms

    atoms = copper()
    atoms.set_constraint(FixAtoms([0, 1]))
    forces = AtomsDataset([atoms], 4.0).labels[0].forces
    assert forces is not None
    assert (forces == 1.0).all()


def test_mixed_periodicity_in_one_batch() -> None:
    molecule = Atoms("H2O", [[0, 0, 0], [0, 0.8, 0.6], [0, -0.8, 0.6]])
    slab = ase.build.fcc111("Al", (1, 1, 2), vacuum=5.0)
    wire = Atoms("Au", cell=[0, 0, 2.6], pbc=[False, False, True])
    bulk = ase.build.bulk("Cu")
    all_frames = [labelled(atoms, energy=1.0) for atoms in (molecule, slab, wire, bulk)]
    dataset = AtomsDataset(all_frames, 4.0)
    assert dataset.species == (1, 8, 13, 29, 79)
    batch = next(iter(DataLoader(dataset, batch_size=4)))
    assert batch.pbc.tolist() == [atoms.pbc.tolist() for atoms in all_frames]
    assert batch.cell.shape == (4, 3, 3)
    assert batch.energy.shape == (4,)
    assert torch.isnan(batch.forces).all()


def test_species_are_those_of_the_part() -> None:
    dataset = AtomsDataset([Atoms("Cu"), Atoms("Li"), Atoms("CuLi", [[0, 0, 0], [0, 0, 2]])], 3.0)
    assert dataset.species == (3, 29)
    assert dataset[:1].species == (29,)
    assert dataset[:0].species == ()
    assert (
        repr(dataset) == "AtomsDataset(3 frames of Li Cu, cutoff 3 Å, energy 0, forces 0, stress 0)"
    )


def test_dtype_is_that_of_the_beginning() -> None:
    dataset = AtomsDataset([copper()], 4.0)
    torch.set_default_dtype(torch.float64)
    try:
        assert dataset[0].pos.dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)
    assert AtomsDataset([copper()], 4.0, dtype=torch.float64)[0].pos.dtype == torch.float64


@pytest.mark.parametrize("backend", ["vesin", "ase"])
def test_backends_agree(frames: list[Atoms], backend: str) -> None:
    graph = AtomsDataset(frames, 5.0, backend=backend)[0]
    assert torch.equal(graph.edge_index, AtomsDataset(frames, 5.0)[0].edge_index)


def test_it_travels_to_worker_processes(frames: list[Atoms]) -> None:
    dataset = AtomsDataset(frames, 4.0).build()
    again = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(again[3].pos, dataset[3].pos)


def test_read_builds_the_same_data_set(frames: list[Atoms], tmp_path: Path) -> None:
    ase.io.write(tmp_path / "a.xyz", frames)
    a = AtomsDataset.read(tmp_path / "a.xyz", 4.0, dtype=torch.float64, index="::3")
    b = AtomsDataset(frames[::3], 4.0, dtype=torch.float64)
    assert len(a) == len(b) == 4
    for x, y in zip(a, b, strict=True):
        assert torch.equal(x.edge_index, y.edge_index)
        torch.testing.assert_close(x.pos, y.pos, atol=1e-7, rtol=0)


# ------------------------------------------------------------------------- labels
def of_users(said: pytest.WarningsRecorder) -> list[str]:
    """Warnings of this package: `pytest.warns` records those of its dependencies too."""
    return [str(one.message) for one in said if one.category is UserWarning]


def test_missing_labels_are_said_once_and_counted() -> None:
    bare = Atoms("Cu")
    all_frames = [copper(energy=1.0), copper(energy=1.0, forces=np.zeros((4, 3))), bare]
    with pytest.warns(UserWarning, match="of 3 frames 1 have no energy .*2 have no forces") as said:
        dataset = AtomsDataset(all_frames, 4.0)
    assert len(of_users(said)) == 1
    assert (dataset.has("energy"), dataset.has("forces"), dataset.has("stress")) == (2, 1, 0)
    assert dataset[2].energy.isnan().all()
    with pytest.warns(UserWarning, match="in the training set too") as said:
        dataset[:2].split(0.5, 0.5, 0.0)
    assert len(of_users(said)) == 1  # of the labels nothing


def test_unlabelled_frames_are_fine() -> None:
    dataset = AtomsDataset([Atoms("Cu"), Atoms("Li")], 4.0)
    assert dataset.has("energy") == 0


def test_labels_under_another_name_are_pointed_at() -> None:
    atoms = Atoms("Cu2", [[0, 0, 0], [0, 0, 2.5]])
    atoms.info["REF_energy"] = -1.0
    atoms.new_array("dft_forces", np.zeros((2, 3)))
    with pytest.warns(UserWarning) as said:
        AtomsDataset([atoms], 4.0)
    messages = of_users(said)
    assert len(messages) == 2
    assert "energy_key='REF_energy'" in messages[0]
    assert "forces_key='dft_forces'" in messages[1]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"energy_key": "REF_enrgy"}, r"`energy_key`: .*'REF_enrgy'.*did you mean 'REF_energy'\?"),
        ({"forces_key": "fff"}, r"`forces_key`: .*atoms\.arrays: \['REF_forces'\]"),
        ({"stress_key": "virial"}, r"`stress_key`: .*calculator: \['energy', 'forces'\]"),
    ],
)
def test_a_key_that_no_frame_has(keys: dict[str, str], message: str) -> None:
    atoms = copper()
    atoms.info["REF_energy"] = -1.0
    atoms.new_array("REF_forces", np.zeros((4, 3)))
    with pytest.raises(ValueError, match=message):
        AtomsDataset([atoms], 4.0, **keys)


def test_a_key_that_some_frames_have() -> None:
    all_frames = [Atoms("Cu"), Atoms("Cu")]
    all_frames[0].info["e"] = -1.0
    with pytest.warns(UserWarning, match="1 have no energy"):
        dataset = AtomsDataset(all_frames, 4.0, energy_key="e")
    assert dataset.has("energy") == 1


def test_unknown_label() -> None:
    with pytest.raises(ValueError, match=r"`label`: .*got 'force'; did you mean 'forces'"):
        AtomsDataset([copper()], 4.0).has("force")


# ------------------------------------------------------------------------- what is refused
def moved(value: float) -> Atoms:
    atoms = copper()
    atoms.positions[2, 1] = value
    atoms.calc = None
    return atoms


def stretched(value: float) -> Atoms:
    return Atoms("Cu", cell=[[3, 0, 0], [0, value, 0], [0, 0, 3]], pbc=True)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (Atoms(), "expected at least one atom"),
        (Atoms("X"), r"`numbers`: .*dummy atom X"),
        (moved(np.nan), r"`positions`: expected finite numbers.*nan.*for atom 2"),
        (moved(np.inf), r"`positions`: expected finite numbers.*inf.*for atom 2"),
        (stretched(np.nan), r"`cell`: expected finite numbers.*vector 1"),
        (stretched(0.0), r"`cell`: expected vectors that span a volume.*`pbc`"),
        (copper(energy=np.nan), "`energy`: expected finite numbers"),
        (copper(energy=-np.inf), "`energy`: expected finite numbers"),
        (copper(forces=np.full((4, 3), np.nan)), "`forces`: expected finite numbers"),
        (copper(forces=np.zeros((3, 3))), r"`forces`: expected shape \[4, 3\]"),
        (copper(forces=np.zeros(12)), r"`forces`: expected shape \[N, 3\]"),
        (copper(stress=np.full(6, np.inf)), "`stress`: expected finite numbers"),
        (copper(stress=np.zeros(5)), "`stress`: expected 6"),
    ],
)
def test_a_bad_frame_is_named(frame: Atoms, message: str) -> None:
    with pytest.raises(ValueError, match=r"`frames\[1\]`: " + message):
        AtomsDataset([copper(), frame], 4.0)


def test_atoms_on_top_of_each_other_are_named_when_the_graph_is_built() -> None:
    twins = Atoms("Cu2", [[0, 0, 0], [0, 0, 1e-5]])
    dataset = AtomsDataset([Atoms("Cu"), twins], 4.0, sources=["here", "there"])
    with pytest.raises(ValueError, match=r"`frames\[1\]` \(there\): .*atoms 0 and 1"):
        dataset.build()


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ([], ValueError, "`frames`: expected at least one structure"),
        (Atoms("Cu"), TypeError, r"`frames`: .*a single one; pass \[atoms\]"),
        ("li.xyz", TypeError, r"AtomsDataset\.read"),
        (Path("li.xyz"), TypeError, r"AtomsDataset\.read"),
        (3, TypeError, "`frames`: expected several ase.Atoms, got int"),
        (["li.xyz"], TypeError, r"`frames\[0\]`: expected an ase\.Atoms, got str"),
    ],
)
def test_what_is_no_list_of_frames(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        AtomsDataset(given, 4.0)


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"cutoff": 0.0}, ValueError, "`cutoff`: expected a positive number"),
        ({"cutoff": -2}, ValueError, "`cutoff`: expected a positive number"),
        ({"cutoff": float("nan")}, ValueError, "`cutoff`"),
        ({"cutoff": "5"}, TypeError, "`cutoff`"),
        ({"backend": "vessin"}, ValueError, "`backend`: expected one of"),
        ({"dtype": torch.int64}, TypeError, "`dtype`: expected a floating dtype"),
        ({"dtype": "float32"}, TypeError, "`dtype`: expected a floating dtype"),
        ({"sources": ["a", "b"]}, ValueError, "`sources`: expected one per frame, 1"),
    ],
)
def test_bad_arguments(kwargs: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        AtomsDataset([copper()], **{"cutoff": 4.0, **kwargs})


@pytest.mark.parametrize(
    ("index", "error"),
    [
        (10, IndexError),
        (-11, IndexError),
        ([0, 10], IndexError),
        ([True, False], IndexError),
        (1.0, TypeError),
        ("3", TypeError),
        ([0.5], TypeError),
        (True, TypeError),
        ([[0, 1]], TypeError),
    ],
)
def test_bad_indices(frames: list[Atoms], index: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="`index`"):
        AtomsDataset(frames, 4.0)[index]


# ------------------------------------------------------------------------- published data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "species", "labels"),
    [
        ("mlearn/Li_test.extxyz.gz", (3,), (29, 29, 29)),
        ("deepmd_water/valid.extxyz.gz", (1, 8), (80, 80, 0)),
        ("3BPA/iso_atoms.extxyz.gz", (1, 6, 7, 8), (4, 0, 0)),
        ("nnmd/samples/lennard-jones/lennard_jones.traj", (3,), (601, 601, 601)),
        ("n2p2_Cu2S_PBE/all.extxyz.gz", (16, 29), (20, 20, 0)),
    ],
)
def test_published_sets(
    shared: Path, name: str, species: tuple[int, ...], labels: tuple[int, ...]
) -> None:
    dataset = AtomsDataset.read(shared / "data" / name, 4.0)
    assert dataset.species == species
    assert tuple(dataset.has(label) for label in ("energy", "forces", "stress")) == labels
    assert dataset[0].edge_index.shape[0] == 2
