"""Potential: what it returns, in which type, and what it refuses."""

import copy

import ase
import pytest
import torch
from torch import nn
from torch_geometric.data import Batch

from nnmd_graph.models import Potential
from nnmd_graph.representations import ACSF, G1
from nnmd_graph.representations.precomputed import precompute


@pytest.fixture
def batch(water, crystal, graph_of) -> Batch:
    return Batch.from_data_list([graph_of(atoms) for atoms in (water, crystal, ase.Atoms("H"))])


def test_shapes_and_types(make_potential, batch) -> None:
    for dtype in (torch.float32, torch.float64):
        out = make_potential(dtype)(batch)
        shapes = {name: tuple(value.shape) for name, value in out.items()}
        expected = {"energy": (3,), "atomic_energy": (6,), "forces": (6, 3), "stress": (3, 3, 3)}
        assert shapes == expected
        assert out["energy"].dtype == out["atomic_energy"].dtype == torch.float64
        assert out["forces"].dtype == out["stress"].dtype == dtype


def test_one_structure_without_a_batch(make_potential, crystal, graph_of) -> None:
    out = make_potential()(graph_of(crystal))
    assert out["energy"].shape == (1,) and out["stress"].shape == (1, 3, 3)
    torch.testing.assert_close(out["energy"][0], out["atomic_energy"].sum())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("forces", [True, False])
@pytest.mark.parametrize("stress", [True, False])
@pytest.mark.parametrize("features", [True, False])
def test_only_what_is_asked_for(
    make_potential, water, crystal, graph_of, training, forces, stress, features
) -> None:
    potential = make_potential().train(training)
    graphs = [graph_of(atoms) for atoms in (water, crystal)]
    full = potential.eval()(Batch.from_data_list(graphs))
    if features:
        graphs = [precompute(potential.model.representation, graph) for graph in graphs]
    out = potential.train(training)(Batch.from_data_list(graphs), forces=forces, stress=stress)
    wanted = {"energy": True, "atomic_energy": True, "forces": forces, "stress": stress}
    names = {name for name in wanted if wanted[name]}
    assert out.keys() == names
    for name in names:
        torch.testing.assert_close(out[name].detach(), full[name], rtol=1e-9, atol=1e-11)
        assert out[name].requires_grad == training


def test_stress_is_zero_without_volume(make_potential, batch) -> None:
    stress = make_potential()(batch)["stress"]
    assert stress[0].abs().max() == stress[2].abs().max() == 0.0
    assert stress[1].abs().max() > 1e-4
    torch.testing.assert_close(stress[1], stress[1].T, rtol=0, atol=0)


def test_graph_is_cast_to_the_potential(make_potential, water, graph_of) -> None:
    for dtype in (torch.float32, torch.float64):
        outs = [make_potential(dtype)(graph_of(water, dtype=d)) for d in (dtype, torch.float32)]
        torch.testing.assert_close(outs[0]["forces"], outs[1]["forces"], rtol=1e-4, atol=1e-5)


def test_float32_is_near_float64(make_potential, batch) -> None:
    double = make_potential()
    single = copy.deepcopy(double).to(torch.float32)
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    one, other = single(batch), double(batch)
    # E0 of thousands of eV do not cost digits
    torch.testing.assert_close(one["energy"], other["energy"], rtol=0, atol=1e-5)
    torch.testing.assert_close(one["forces"].double(), other["forces"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(one["stress"].double(), other["stress"], rtol=1e-4, atol=1e-6)


def test_leaves_its_graph_alone(make_potential, batch) -> None:
    before = {key: value.clone() for key, value in batch.to_dict().items()}
    potential = make_potential()
    potential(batch)
    potential.to(torch.float32)(batch)
    after = batch.to_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert not batch.pos.requires_grad


def test_forces_also_under_no_grad(make_potential, batch) -> None:
    potential = make_potential().eval()
    expected = potential(batch)["forces"]
    with torch.no_grad():
        assert torch.equal(potential(batch)["forces"], expected)


def test_positions_that_already_require_gradients(make_potential, water, graph_of) -> None:
    """Second derivatives, as for phonons: forces differentiate further by the positions."""
    potential, graph = make_potential(), graph_of(water)
    graph.pos.requires_grad_()
    forces = potential(graph, stress=False)["forces"]
    (row,) = torch.autograd.grad(forces[0, 0], graph.pos)
    values, step = [], 1e-5
    for sign in (1, -1):
        moved = water.copy()
        moved.positions[1, 1] += sign * step
        values.append(potential(graph_of(moved))["forces"][0, 0].item())
    assert row[1, 1].item() == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-6)


def test_knows_what_it_is(make_potential) -> None:
    potential = make_potential(torch.float32)
    assert potential.species == (1, 6, 8)
    assert potential.cutoff == 3.5
    assert (potential.dtype, potential.device) == (torch.float32, torch.device("cpu"))
    assert "H, C, O; cutoff=3.5 Å" in repr(potential)


@pytest.mark.parametrize("model", [nn.Linear(2, 1), None, "bpnn"])
def test_needs_an_energy_model(model) -> None:
    with pytest.raises(TypeError, match=r"`model`: expected an energy model.*got \w+.*BPNN"):
        Potential(model)


def test_graph_that_does_not_reach_the_cutoff(make_potential, water, crystal, graph_of) -> None:
    graphs = [graph_of(water), graph_of(crystal, cutoff=3.0)]
    with pytest.raises(ValueError, match=r"`cutoff` of the graph.*3.5 Å, got 3.0 Å.*cutoff=3.5"):
        make_potential()(Batch.from_data_list(graphs))


def test_graph_that_reaches_further(make_potential, crystal, graph_of) -> None:
    potential = make_potential()
    near, far = potential(graph_of(crystal)), potential(graph_of(crystal, cutoff=5.0))
    for name in near:
        torch.testing.assert_close(near[name], far[name], rtol=1e-10, atol=1e-11)


def test_unknown_element(make_potential, graph_of) -> None:
    graph = graph_of(ase.Atoms("HN", [[0, 0, 0], [1, 0, 0]]))
    for ready in (graph, precompute(ACSF(("H", "N"), 3.5, [G1()]), graph)):
        with pytest.raises(ValueError, match=r"`z`.*\['H', 'C', 'O'\].*N \(atom 1\)"):
            make_potential()(ready)
