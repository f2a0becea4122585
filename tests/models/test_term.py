"""Energy terms of one's own: from a class to forces, files and the calculator."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from torch import Tensor, nn
from torch_geometric.data import Batch

import nnmd_graph as ng
from nnmd_graph.graph import AtomicGraph, edge_vectors
from nnmd_graph.models.checkpoint import MODULES, register
from nnmd_graph.models.extension import extend_species
from nnmd_graph.nn.scatter import scatter_sum

pytestmark = pytest.mark.usefixtures("float64")


class Spring(ng.EnergyTerm):
    """Neighbours on springs that end smoothly at the cutoff."""

    def __init__(self, species: Any = ("Cu",), cutoff: float = 3.5, length: float = 2.5) -> None:
        super().__init__(species, cutoff)
        self.length = length

    def atomic_energy(self, graph: AtomicGraph) -> Tensor:
        r = edge_vectors(graph).norm(dim=1)
        fc = (1 - (r / self.cutoff).clamp(max=1.0)) ** 3
        return scatter_sum((r - self.length) ** 2 * fc, graph.edge_index[1], len(graph.z))

    def hyper_parameters(self) -> dict[str, Any]:
        return {"species": list(self.species), "cutoff": self.cutoff, "length": self.length}


class PlainSpring(nn.Module):
    """The same without the contract."""

    species, cutoff = (29,), 3.5

    def forward(self, graph: AtomicGraph) -> Tensor:
        return Spring().atomic_energy(graph)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[nn.Module]], Any]:
    monkeypatch.setattr("nnmd_graph.models.checkpoint.MODULES", dict(MODULES))
    return register


@pytest.fixture
def crystal() -> ase.Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=3)
    return atoms


def test_forces_and_stress_come_with_it(crystal: ase.Atoms) -> None:
    potential = ng.Potential(Spring()).eval()
    assert (potential.species, potential.cutoff, potential.net) == ((29,), 3.5, None)
    crystal.calc = ng.NNMDCalculator(potential)
    forces, stress = crystal.get_forces(), crystal.get_stress()
    from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress

    np.testing.assert_allclose(forces, calculate_numerical_forces(crystal, 1e-4), atol=1e-6)
    np.testing.assert_allclose(stress, calculate_numerical_stress(crystal, 1e-4), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_term_without_parameters_has_a_dtype(crystal: ase.Atoms, dtype: torch.dtype) -> None:
    potential = ng.Potential(Spring()).to(dtype)
    assert potential.dtype == dtype and potential.device == torch.device("cpu")
    out = potential(AtomicGraph.from_atoms(crystal, 3.5))
    assert out["forces"].dtype == dtype and out["energy"].dtype == torch.float64
    assert not potential.state_dict()


def test_any_module_with_species_and_cutoff_is_one(crystal: ase.Atoms) -> None:
    graph = AtomicGraph.from_atoms(crystal, 3.5, dtype=torch.float64)
    one, other = (ng.Potential(m).eval()(graph) for m in (Spring(), PlainSpring()))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    "model", [nn.Linear(1, 1), nn.Identity(), "model.pt", None, type("Half", (), {"species": (1,)})]
)
def test_what_is_no_term_is_refused_when_the_potential_is_made(model: Any) -> None:
    with pytest.raises(TypeError, match="`model`: expected an energy model with species and"):
        ng.Potential(model)


@pytest.mark.parametrize(
    ("given", "named"),
    [({"species": ()}, "species"), ({"species": ("Xq",)}, "species"), ({"cutoff": 0.0}, "cutoff"),
     ({"cutoff": float("nan")}, "cutoff")],
)  # fmt: skip
def test_bad_arguments(given: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"`{named}`"):
        Spring(**given)


def test_a_class_without_an_energy_cannot_be_made() -> None:
    class Empty(ng.EnergyTerm):
        pass

    with pytest.raises(TypeError, match="atomic_energy"):
        Empty(["Cu"], 3.0)


@pytest.mark.parametrize("shape", [(1,), (4, 1), ()])
def test_one_energy_for_each_atom(crystal: ase.Atoms, shape: tuple[int, ...]) -> None:
    class Wrong(Spring):
        def atomic_energy(self, graph: AtomicGraph) -> Tensor:
            return graph.pos.sum() * torch.ones(shape)

    with pytest.raises(ValueError, match="`model`: expected an energy for each of 4 atoms, got"):
        ng.Potential(Wrong())(AtomicGraph.from_atoms(crystal, 3.5, dtype=torch.float64))


def test_saved_and_loaded_where_the_class_is_registered(
    tmp_path: Path, crystal: ase.Atoms, registered: Any
) -> None:
    potential, path = ng.Potential(Spring(length=2.4)).eval(), tmp_path / "spring.pt"
    with pytest.raises(ValueError, match="registered modules .* got Spring"):
        potential.save(path)
    registered(Spring)
    potential.save(path)
    graph = AtomicGraph.from_atoms(crystal, 3.5, dtype=torch.float64)
    again = ng.Potential.load(path)
    assert again.dtype == torch.float64
    assert torch.equal(again(graph)["forces"], potential(graph)["forces"])
    del __import__("nnmd_graph.models.checkpoint", fromlist=["MODULES"]).MODULES["Spring"]
    with pytest.raises(ValueError, match=r"got 'Spring'; import the file that defines"):
        ng.Potential.load(path)


class Copper(Spring):
    """Made without arguments."""

    def __init__(self) -> None:
        super().__init__(["Cu"], 3.4, 2.6)

    hyper_parameters = ng.EnergyTerm.hyper_parameters


class Forgetful(Spring):
    """Does not say how long its springs are."""

    hyper_parameters = ng.EnergyTerm.hyper_parameters


def test_arguments_that_nobody_told_are_not_lost(tmp_path: Path, registered: Any) -> None:
    registered(Copper)
    ng.Potential(Copper()).save(tmp_path / "copper.pt")
    again = ng.Potential.load(tmp_path / "copper.pt").model
    assert isinstance(again, Copper) and (again.cutoff, again.length) == (3.4, 2.6)
    registered(Forgetful)
    with pytest.raises(ValueError, match="got Forgetful, whose argument 'length' is not told"):
        ng.Potential(Forgetful(length=2.0)).save(tmp_path / "forgetful.pt")
    with pytest.raises(ValueError, match="`species`: expected a term that can be made for other"):
        extend_species(ng.Potential(Copper()), "O")


def test_a_class_that_says_no_arguments_cannot_be_registered(registered: Any) -> None:
    with pytest.raises(TypeError, match="expected a class with hyper_parameters"):
        registered(PlainSpring)


def test_vectors_of_an_engine_give_the_same(crystal: ase.Atoms) -> None:
    """Models of every road, with vectors that the graph brought along, and without positions."""
    species = ("Cu",)
    models = {
        "term": Spring(),
        "bpnn": ng.BPNN(ng.ACSF.auto(species, 3.5, num_radial=3, num_angular=1), (4,)).double(),
        "embedded": ng.BPNN(ng.EmbeddedACSF(species, 3.5, embedding_dim=2), (4,)).double(),
        "gcnn": ng.GCNN(species, 3.5, "painn", 2, 6, 4).double(),
        "sum": ng.SumModel(ng.GCNN(species, 3.5, "schnet", 1, 6, 4).double(), Spring()),
    }
    graphs = [AtomicGraph.from_atoms(a, 3.5, dtype=torch.float64) for a in (crystal, crystal[:1])]
    batch = Batch.from_data_list(graphs)
    for name, model in models.items():
        potential = ng.Potential(model)
        for training in (False, True):
            potential.train(training)
            expected = potential(batch)
            brought = batch.clone()
            brought.edge_vec = edge_vectors(batch).clone()
            brought.pos = torch.zeros_like(batch.pos)
            out = potential(brought)
            for key, value in expected.items():
                torch.testing.assert_close(
                    out[key].detach(), value.detach(), rtol=1e-9, atol=1e-10, msg=f"{name} {key}"
                )
            assert out["forces"].requires_grad == training


def test_extended_by_elements() -> None:
    found = extend_species(ng.Potential(ng.ZBL(["O"])), "Cu")
    assert found.species == (8, 29) and isinstance(found.model, ng.ZBL)
    water = AtomicGraph.from_atoms(molecule("O2"), found.cutoff)
    assert torch.isfinite(found(water)["energy"]).all()
