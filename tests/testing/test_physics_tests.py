"""A model that a test file defines inherits the battery, and the battery finds wrong ones."""

from collections.abc import Iterable

import pytest
import torch

from nnmd_graph.graph import AtomicGraph, edge_vectors
from nnmd_graph.models import BPNN, Potential
from nnmd_graph.models.checkpoint import register
from nnmd_graph.nn.cutoff import CutoffFunction
from nnmd_graph.nn.scatter import scatter_sum
from nnmd_graph.nn.species import species_tuple
from nnmd_graph.testing import PhysicsTests
from nnmd_graph.testing.structures import ethanol, triclinic


@register
class Shells(torch.nn.Module):
    """x_i = sum_j f_c(r_ij) exp(-r_ij^k), k = 1, 2: right, unless `fault` names a mistake."""

    def __init__(self, species: Iterable[int | str], cutoff: float, fault: str = "") -> None:
        super().__init__()
        self.species, self.cutoff, self.num_features = species_tuple(species), cutoff, 2
        self.fault = fault

    def forward(self, graph: AtomicGraph) -> torch.Tensor:
        edge_vec = edge_vectors(graph)
        if self.fault == "direction":
            edge_vec = edge_vec * edge_vec.new_tensor([1.0, 1.0, 1.2])
        edge_dist = edge_vec.norm(dim=1, keepdim=True)
        terms = torch.cat([torch.exp(-edge_dist), torch.exp(-(edge_dist**2))], dim=1)
        terms = terms * CutoffFunction("cosine")(edge_dist, self.cutoff)
        if self.fault == "half":
            terms = terms * (graph.edge_index[0] <= graph.edge_index[1])[:, None]
        if self.fault == "detached":
            terms = terms.detach() + 0.0 * edge_dist
        x = scatter_sum(terms, graph.edge_index[1], len(graph.z))
        return x + 0.01 * graph.pos.sum(1, keepdim=True) if self.fault == "position" else x

    def hyper_parameters(self) -> dict[str, object]:
        return {"species": list(self.species), "cutoff": self.cutoff, "fault": self.fault}


class TestShells(PhysicsTests):
    structures = (triclinic, ethanol)

    def make_model(self, species: tuple[int, ...], cutoff: float) -> torch.nn.Module:
        return BPNN(Shells(species, cutoff), (8,))


class FaultyShells(PhysicsTests):
    fault = ""

    def make_model(self, species: tuple[int, ...], cutoff: float) -> torch.nn.Module:
        return BPNN(Shells(species, cutoff, self.fault), (8,))


@pytest.mark.parametrize(
    ("fault", "test"),
    [
        ("position", "test_translation"),
        ("position", "test_far_fragments_add_up"),
        ("half", "test_permutation"),
        ("detached", "test_forces_equal_central_differences"),
    ],
)
def test_the_battery_finds_a_fault(fault: str, test: str) -> None:
    tests = FaultyShells()
    tests.fault = fault
    case = tests.make_case(*ethanol())
    with pytest.raises(AssertionError):
        getattr(tests, test)(case)


def test_the_battery_finds_a_preferred_direction() -> None:
    tests = FaultyShells()
    tests.fault = "direction"
    with pytest.raises(AssertionError):
        tests.test_orthogonal_transformation(tests.make_case(*triclinic()), 1)


def test_a_potential_is_taken_as_it_is() -> None:
    """A trained one, for example."""

    class Trained(PhysicsTests):
        def make_model(self, species: tuple[int, ...], cutoff: float) -> torch.nn.Module:
            return Potential(BPNN(Shells(species, cutoff), (8,)))

    tests = Trained()
    tests.test_no_net_force(tests.make_case(*ethanol()))


def test_what_is_no_model_is_named() -> None:
    class Nothing(PhysicsTests):
        def make_model(self, species: tuple[int, ...], cutoff: float) -> torch.nn.Module:
            return torch.nn.Linear(1, 1)

    with pytest.raises(TypeError, match="`make_model`: expected an energy term or a Potential"):
        Nothing().make_case(*ethanol())


def test_a_class_without_a_model_is_named() -> None:
    with pytest.raises(NotImplementedError, match="must offer make_model"):
        PhysicsTests().make_case(*ethanol())
