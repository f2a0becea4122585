"""Committees: means, spreads, and what does not fit together."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from scipy.stats import spearmanr
from torch_geometric.data import Batch

import nnmd_graph as ng
from nnmd_graph.evaluation import predict
from nnmd_graph.models import GCNN, Committee, Potential

pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture
def committee(make_potential) -> Committee:
    return Committee(make_potential(seed=n).eval() for n in (1, 2, 3))


def test_means_and_spreads(committee: Committee, graph_of, water: Atoms, crystal: Atoms) -> None:
    batch = Batch.from_data_list([graph_of(water), graph_of(crystal)])
    out = committee(batch)
    each = [potential(batch) for potential in committee.members]
    for name in ("energy", "atomic_energy", "forces", "stress"):
        mean = (each[0][name] + each[1][name] + each[2][name]) / 3.0
        torch.testing.assert_close(out[name], mean)
    for name in ("energy", "forces"):
        values = np.array([one[name].numpy() for one in each])
        spread = out[f"{name}_uncertainty"].numpy()
        np.testing.assert_allclose(spread, values.std(axis=0), rtol=1e-9, atol=1e-12)
    assert committee(batch, forces=False, stress=False).keys() == {
        "energy", "atomic_energy", "energy_uncertainty",
    }  # fmt: skip


def test_forces_are_the_gradient_of_the_mean_energy(committee: Committee, water: Atoms) -> None:
    water.calc = ng.NNMDCalculator(committee, skin=0.0)
    forces, step = water.get_forces(), 1e-4
    for atom, axis in ((0, 0), (2, 1)):
        energies = []
        for sign in (1, -1):
            moved = water.copy()
            moved.calc = water.calc
            moved.positions[atom, axis] += sign * step
            energies.append(moved.get_potential_energy())
        assert forces[atom, axis] == pytest.approx(-(energies[0] - energies[1]) / (2 * step), 1e-6)


def test_members_that_agree_are_certain(make_potential, graph_of, water: Atoms) -> None:
    out = Committee([make_potential().eval(), make_potential().eval()])(graph_of(water))
    assert float(out["energy_uncertainty"].abs().max()) == 0.0
    assert float(out["forces_uncertainty"].abs().max()) == 0.0


def test_kinds_and_cutoffs_may_differ(make_potential, graph_of, water: Atoms) -> None:
    one = make_potential().eval()
    other = Potential(GCNN(one.species, one.cutoff + 1.0, num_layers=1, hidden_channels=4)).eval()
    committee = Committee([one, other])
    assert committee.cutoff == other.cutoff and committee.species == one.species
    graph = graph_of(water, committee.cutoff)
    mean = 0.5 * (one(graph)["forces"] + other(graph)["forces"])
    torch.testing.assert_close(committee(graph)["forces"], mean)
    with pytest.raises(ValueError, match="`cutoff` of the graph: expected at least"):
        committee(graph_of(water, one.cutoff))


def test_files(make_potential, committee: Committee, graph_of, water: Atoms, tmp_path) -> None:
    files = [tmp_path / f"{n}.pt" for n in range(3)]
    for potential, file in zip(committee.members, files, strict=True):
        potential.save(file)
    again = ng.Committee.load(files)
    graph = graph_of(water)
    torch.testing.assert_close(again(graph)["forces"], committee(graph)["forces"])
    assert "3 members" in str(again)
    with pytest.raises(FileNotFoundError, match="which is not there"):
        Committee.load([files[0], tmp_path / "none.pt"])
    with pytest.raises(TypeError, match="`paths`: expected a list of files"):
        Committee.load(files[0])


def test_bad_members(make_potential) -> None:
    with pytest.raises(ValueError, match="`potentials`: expected two or more, got 1"):
        Committee([make_potential()])
    with pytest.raises(TypeError, match="`potentials`: expected Potentials, got str"):
        Committee(["a.pt", "b.pt"])  # type: ignore[list-item]
    other = Potential(GCNN(("C", "O"), 3.0, num_layers=1, hidden_channels=4))
    with pytest.raises(ValueError, match=r"expected the same elements, got \['H, C, O', 'C, O'\]"):
        Committee([make_potential(), other])


def test_evaluation_is_that_of_the_mean(committee: Committee, water: Atoms) -> None:
    water.calc = SinglePointCalculator(water, energy=-2000.0, forces=np.zeros((3, 3)))
    dataset = ng.AtomsDataset([water], committee.cutoff, dtype=torch.float64)
    metrics = ng.evaluate(committee, dataset)
    error = committee(dataset[0])["forces"].abs().mean()
    assert metrics["forces_mae"] == pytest.approx(1000.0 * float(error))
    assert all(not potential.training for potential in committee.members)


def test_evaluation_tells_the_spread_of_the_members(
    committee: Committee, water: Atoms, tmp_path: Path
) -> None:
    frames = [water.copy() for _ in range(3)]
    for n, atoms in enumerate(frames):
        atoms.rattle(0.05, seed=n)
        atoms.info["kind"] = f"{n}"
        forces = np.random.default_rng(n).normal(size=(3, 3))
        atoms.calc = SinglePointCalculator(atoms, energy=-2000.0, forces=forces)
    dataset = ng.AtomsDataset(frames, committee.cutoff, dtype=torch.float64)
    predictions = predict(committee, dataset, groups="kind")
    each = [predict(potential, dataset) for potential in committee.members]
    forces = np.array([p.forces_pred for p in each]).std(axis=0)
    energy = np.array([p.energy_pred for p in each]).std(axis=0)
    np.testing.assert_allclose(predictions.forces_uncertainty, forces, rtol=1e-9)
    np.testing.assert_allclose(predictions.energy_uncertainty, energy, rtol=1e-7)

    metrics = ng.evaluate(committee, dataset, groups="kind")
    rms = 1000.0 * np.sqrt((forces**2).mean())
    assert metrics["forces_uncertainty"] == pytest.approx(rms)
    assert metrics["energy_uncertainty"] == pytest.approx(1000.0 * np.sqrt((energy**2).mean()))
    error = predictions.forces_pred - predictions.forces_ref
    pairs = [np.linalg.norm(values, axis=1) for values in (error, forces)]
    expected = spearmanr(*pairs).statistic
    assert metrics["uncertainty_correlation"] == pytest.approx(expected)
    assert "spread of the committee (RMS): energy" in str(metrics)
    one = metrics["groups"]["1"]
    assert one["forces_uncertainty"] == pytest.approx(1000.0 * np.sqrt((forces[3:6] ** 2).mean()))

    predictions.write(tmp_path / "predictions.extxyz", dataset.frames)
    written = ase.io.read(tmp_path / "predictions.extxyz", ":")
    np.testing.assert_allclose(written[2].arrays["forces_uncertainty"], forces[6:], atol=1e-7)
    assert written[2].info["energy_uncertainty"] == pytest.approx(3 * energy[2])
    alone = ng.evaluate(committee.members[0], dataset)
    assert "forces_uncertainty" not in alone and "spread" not in str(alone)
