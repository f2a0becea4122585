"""The calculator among others: threads, inference mode, ASE's files, inputs of the wrong kind."""

import copy
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator

import nnmd_graph as ng
from nnmd_graph import AtomicGraph, Committee, NNMDCalculator, Potential

pytestmark = pytest.mark.usefixtures("float64")

Make = Callable[..., Potential]


def crystals(count: int) -> list[Atoms]:
    """Structures of equal and of different size, which share no energy."""
    frames = [bulk("Cu", cubic=True) * (1 + n % 2, 1, 1) for n in range(count)]
    for n, atoms in enumerate(frames):
        atoms.rattle(0.1, seed=n)
    return frames


@pytest.fixture
def committee(make_potential: Make) -> Committee:
    members = [make_potential("Cu") for _ in range(3)]
    for n, member in enumerate(members):
        for weight in member.parameters():
            weight.data.mul_(1.0 + 0.1 * n)
    return Committee(members)


# -- threads --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("what", ["potential", "committee"])
def test_threads_that_share_a_calculator_get_their_own_numbers(
    what: str, make_potential: Make, committee: Committee
) -> None:
    calc = NNMDCalculator(make_potential("Cu") if what == "potential" else committee)
    frames = crystals(8)
    expected = []
    for atoms in frames:
        atoms.calc = calc
        expected.append((atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()))
    assert len({energy for energy, _, _ in expected}) == 8

    def ask(n: int) -> None:
        atoms = frames[n % 8].copy()
        atoms.calc = calc
        energy, forces, stress = expected[n % 8]
        assert atoms.get_potential_energy() == energy
        np.testing.assert_array_equal(atoms.get_forces(), forces)
        np.testing.assert_array_equal(atoms.get_stress(), stress)

    start = threading.Barrier(8)
    with ThreadPoolExecutor(8, initializer=start.wait) as pool:
        list(pool.map(ask, range(72)))  # 216 properties


def test_a_calculator_is_copied_and_stored_with_a_lock_of_its_own(make_potential: Make) -> None:
    atoms = crystals(1)[0]
    atoms.calc = NNMDCalculator(make_potential("Cu"))
    energy = atoms.get_potential_energy()
    for other in (copy.deepcopy(atoms.calc), pickle.loads(pickle.dumps(atoms.calc))):
        other.reset()
        assert other.get_potential_energy(atoms) == energy


# -- modes of torch -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
@pytest.mark.parametrize("kind", ["acsf", "painn", "embedded"])
def test_it_works_without_gradients(
    mode: Callable[[], torch.no_grad], kind: str, tmp_path: Path
) -> None:
    if kind == "painn":
        model = ng.GCNN(["Cu"], cutoff=3.5, conv="painn", num_layers=1, hidden_channels=8)
    elif kind == "embedded":
        model = ng.BPNN(ng.EmbeddedACSF(["Cu"], cutoff=3.5, embedding_dim=2), (4,))
    else:
        model = ng.BPNN(ng.ACSF.auto(["Cu"], cutoff=3.5), (4,))
    potential = Potential(model).eval()
    potential.save(tmp_path / "model.pt")
    atoms = crystals(2)[1]
    atoms.calc = NNMDCalculator(potential)
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    with mode():
        graph = AtomicGraph.from_atoms(atoms, 3.5)
        for given in (potential, Potential.load(tmp_path / "model.pt")):
            out = given(graph)
            assert out["energy"].item() == pytest.approx(energy, rel=1e-12)
            np.testing.assert_allclose(out["forces"].numpy(), forces, atol=1e-12)
            given(graph, forces=False, stress=False)
            atoms.calc = NNMDCalculator(given)
            np.testing.assert_allclose(atoms.get_forces(), forces, atol=1e-12)
            moved = atoms.copy()
            moved.calc = atoms.calc
            moved.rattle(1e-3, seed=1)
            assert np.isfinite(moved.get_stress()).all()
    atoms.calc.reset()
    np.testing.assert_allclose(atoms.get_forces(), forces, atol=1e-12)
    np.testing.assert_allclose(potential(graph.clone())["forces"].numpy(), forces, atol=1e-12)


def test_weights_made_in_inference_mode_are_told_of(make_potential: Make) -> None:
    with torch.inference_mode():
        potential = Potential(ng.BPNN(ng.ACSF.auto(["Cu"], cutoff=3.5), (4,))).eval()
        with pytest.raises(ValueError, match=r"`potential`: .*inside torch.inference_mode\(\)"):
            potential(AtomicGraph.from_atoms(bulk("Cu"), 3.5))
        atoms = crystals(1)[0]
        atoms.calc = NNMDCalculator(potential)  # has a copy of its own
        assert np.isfinite(atoms.get_forces()).all()


# -- results ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.traj", "a.extxyz", "a.json"])
def test_results_of_a_committee_go_where_those_of_others_go(
    name: str, committee: Committee, tmp_path: Path
) -> None:
    atoms = crystals(1)[0]
    atoms.calc = NNMDCalculator(committee)
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    spread = atoms.calc.uncertainty
    assert set(spread) == {"energy_uncertainty", "forces_uncertainty"}
    assert spread["energy_uncertainty"] > 0.0 and spread["forces_uncertainty"].shape == (4, 3)
    single = atoms.copy()
    single.calc = SinglePointCalculator(single, **atoms.calc.results)
    for frame in (atoms, single):
        ase.io.write(tmp_path / name, frame)
        again = ase.io.read(tmp_path / name)
        assert again.get_potential_energy() == pytest.approx(energy, abs=1e-7)
        np.testing.assert_allclose(again.get_forces(), forces, atol=1e-7)
    results = copy.deepcopy(atoms.calc.results)
    for key, value in spread.items():
        assert key not in results and key not in dict(results)
        np.testing.assert_array_equal(results[key], value)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(results))[key], value)
    with pytest.raises(KeyError, match="dipole"):
        results["dipole"]


def test_uncertainties_belong_to_the_last_structure(
    committee: Committee, make_potential: Make
) -> None:
    calc = NNMDCalculator(committee)
    assert calc.uncertainty == {}
    first, second = crystals(2)
    calc.get_property("energy", first)
    before = calc.uncertainty["energy_uncertainty"]
    calc.get_property("energy", second)
    assert calc.uncertainty["energy_uncertainty"] != before
    one = NNMDCalculator(make_potential("Cu"))
    one.get_property("energy", first)
    assert one.uncertainty == {}


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize("skin", ["0.5", None, True, [0.5], 1j])
def test_a_skin_that_is_no_number(skin: object, make_potential: Make) -> None:
    with pytest.raises(TypeError, match="`skin`: expected a number in Å, got"):
        NNMDCalculator(make_potential("Cu"), skin=skin)  # type: ignore[arg-type]


@pytest.mark.parametrize("skin", [float("nan"), -0.1, float("inf"), np.float64("nan")])
def test_a_skin_that_is_no_length(skin: float, make_potential: Make) -> None:
    with pytest.raises(ValueError, match="`skin`: expected a length >= 0 in Å, got"):
        NNMDCalculator(make_potential("Cu"), skin=skin)


@pytest.mark.parametrize("device", [None, 0, True, float("nan"), ["cpu"]])
def test_a_device_of_the_wrong_kind(device: object, make_potential: Make, tmp_path: Path) -> None:
    potential = make_potential("Cu")
    potential.save(tmp_path / "model.pt")
    for given in (potential, tmp_path / "model.pt"):
        with pytest.raises(TypeError, match="`device`: expected 'auto', 'cpu'"):
            NNMDCalculator(given, device=device)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="`device`: expected 'auto', 'cpu'"):
        Potential.load(tmp_path / "model.pt", device=device)  # type: ignore[arg-type]


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "meta", "cpu:0:0", torch.device("meta")])
def test_a_device_that_is_none(device: object, make_potential: Make) -> None:
    with pytest.raises(ValueError, match="`device`: expected"):
        NNMDCalculator(make_potential("Cu"), device=device)  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [119, 500, 92])
def test_an_element_that_there_is_not(number: int, make_potential: Make) -> None:
    atoms = bulk("Cu")
    atoms.numbers[:] = number
    atoms.calc = NNMDCalculator(make_potential("Cu"))
    with pytest.raises(ValueError, match=r"`atoms`: expected elements.*\(Cu\), got .*\(atom 0\)"):
        atoms.get_potential_energy()


def test_the_folder_of_a_run_means_its_model(make_potential: Make, tmp_path: Path) -> None:
    potential = make_potential("Cu")
    potential.save(tmp_path / "run" / "model.pt")
    atoms = crystals(1)[0]
    energies = []
    for source in (potential, tmp_path / "run", str(tmp_path / "run")):
        atoms.calc = NNMDCalculator(source)
        energies.append(atoms.get_potential_energy())
    assert len(set(energies)) == 1
    assert (
        Committee.load([tmp_path / "run", tmp_path / "run" / "model.pt"]).cutoff == potential.cutoff
    )
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"empty.model.pt"):
        NNMDCalculator(tmp_path / "empty")


@pytest.mark.parametrize("atoms", [bulk("Cu"), [bulk("Cu")], None, "a.xyz"])
def test_what_is_no_graph_is_told_how_to_become_one(
    atoms: object, make_potential: Make, committee: Committee
) -> None:
    acsf = ng.ACSF.auto(["Cu"], cutoff=3.5)
    gcnn = ng.GCNN(["Cu"], cutoff=3.5, conv="schnet", num_layers=1, hidden_channels=8)
    takers = [make_potential("Cu"), committee, acsf, acsf.jacobian, gcnn, gcnn.representation]
    takers += [make_potential("Cu").extrapolation, ng.BPNN(acsf)]
    for take in takers:
        with pytest.raises(TypeError, match=r"`graph`: .*got \w+; make it with AtomicGraph.from_a"):
            take(atoms)


# -- numbers that are none -------------------------------------------------------------------------


def test_atoms_that_meet_while_a_list_is_kept_are_named(make_potential: Make) -> None:
    atoms = Atoms("Cu3", [[0, 0, 0], [0, 0, 0.4], [0, 2.0, 0]])
    atoms.calc = NNMDCalculator(make_potential("Cu"), skin=1.0)
    atoms.get_forces()
    for z in (0.0, 1e-9, 5e-4):
        atoms.positions[1, 2] = z
        with pytest.raises(ValueError, match=r"`pos`: expected atoms.*apart, got atoms [01] and"):
            atoms.get_potential_energy()
    atoms.positions[1, 2] = 0.3
    assert np.isfinite(atoms.get_forces()).all()
    assert atoms.calc.num_rebuilds == 1


@pytest.mark.parametrize("broken", ["weights", "one element"])
def test_results_that_are_not_finite_name_the_atom(broken: str) -> None:
    potential = Potential(ng.BPNN(ng.ACSF.auto(["C", "H", "O"], cutoff=3.5), (4,))).eval()
    if broken == "weights":
        for weight in potential.parameters():
            weight.data.fill_(float("nan"))
    else:
        potential.model.baseline.set({1: 0.0, 6: 0.0, 8: float("inf")}, 1.0)
    atoms = molecule("CH3CH2OH")
    atoms.calc = NNMDCalculator(potential)
    with pytest.raises(
        ValueError, match=r"`atoms`: expected a structure with finite .*, got .*atom"
    ):
        atoms.get_potential_energy()
    dataset = ng.AtomsDataset([molecule("CH4"), atoms], 3.5)
    with pytest.raises(ValueError, match=r"`potential`: expected finite.*structure [01]"):
        ng.evaluation.predict(potential, dataset)


def test_positions_that_run_away_are_refused(make_potential: Make) -> None:
    atoms = crystals(1)[0]
    atoms.calc = NNMDCalculator(make_potential("Cu"))
    atoms.get_forces()
    for far in (1e200, float("inf"), float("nan")):
        other = atoms.copy()
        other.calc = atoms.calc
        other.positions[2, 1] = far
        with pytest.raises(ValueError, match=r"`pos`: expected .*atom 2"):
            other.get_forces()
    other = atoms.copy()
    other.calc = atoms.calc
    other.cell[1, 1] = float("nan")
    with pytest.raises(ValueError, match=r"`cell`: expected finite"):
        other.get_forces()


@pytest.mark.parametrize("thickness", [1e-160, 1e-14, 0.0])
def test_a_slab_whose_cell_has_no_thickness_has_no_stress(
    thickness: float, make_potential: Make
) -> None:
    atoms = Atoms("Cu", cell=[2.5, 2.5, thickness], pbc=(True, True, False))
    atoms.calc = NNMDCalculator(make_potential("Cu"))
    assert np.isfinite(atoms.get_potential_energy())
    with pytest.raises(ase.calculators.calculator.PropertyNotImplementedError, match="volume"):
        atoms.get_stress()


@pytest.mark.parametrize("skin", [0.0, 0.5])
def test_float32_energies_do_not_depend_on_the_place_of_the_atoms(
    skin: float, make_potential: Make
) -> None:
    calc = NNMDCalculator(make_potential("Cu"), dtype="float32", skin=skin)
    atoms = bulk("Cu", cubic=True) * (2, 2, 2)
    atoms.rattle(0.1, seed=2)
    rng = np.random.default_rng(0)
    places = [0.0, 1e5 * np.ones(3), -1e8 * np.array([0.3, 1.0, 0.7])]
    places.append(rng.integers(-(10**6), 10**6, (len(atoms), 3)) @ atoms.cell.array)
    for step in (0.0, 0.02):  # the second within the skin
        found = []
        for place in places:
            moved = atoms.copy()
            moved.positions += place
            moved.calc = calc
            moved.get_forces()
            moved.positions += step * np.sin(np.arange(3 * len(atoms))).reshape(-1, 3)
            found.append((moved.get_potential_energy(), moved.get_forces()))
        for energy, forces in found[1:]:
            assert energy == pytest.approx(found[0][0], abs=1e-5)
            np.testing.assert_allclose(forces, found[0][1], rtol=0, atol=1e-4)
