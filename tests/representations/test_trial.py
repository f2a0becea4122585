"""Representations of the user's own that would ruin a simulation are found when a model is made."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nnmd_graph as ng
from nnmd_graph.graph import AtomicGraph, edge_vectors
from nnmd_graph.models.readout import ElementReadout
from nnmd_graph.nn.cutoff import CutoffFunction
from nnmd_graph.nn.scatter import scatter_sum


class Own(nn.Module):
    """Smooth: x_i = (sum_j f_c(r_ij), sum_j r_ij f_c(r_ij))."""

    num_features = 2

    def __init__(self, species: tuple[int, ...] = (8, 29), cutoff: float = 4.0) -> None:
        super().__init__()
        self.species, self.cutoff = species, cutoff
        self.calls = 0

    def envelope(self, dist: Tensor) -> Tensor:
        return CutoffFunction("cosine")(dist, self.cutoff)

    def forward(self, graph: AtomicGraph) -> Tensor:
        self.calls += 1
        dist = edge_vectors(graph).norm(dim=1)
        weight = self.envelope(dist)
        rows = torch.stack([weight, weight * dist], dim=1)
        return scatter_sum(rows, graph.edge_index[1], len(graph.z))


class Step(Own):
    def envelope(self, dist: Tensor) -> Tensor:
        return (dist < self.cutoff).to(dist)


class SmallStep(Own):
    def envelope(self, dist: Tensor) -> Tensor:
        return super().envelope(dist) + 1e-3 * (dist < self.cutoff)


class InnerStep(Own):
    def envelope(self, dist: Tensor) -> Tensor:
        return super().envelope(dist) + 0.1 * (dist < 0.83 * self.cutoff)


class Mean(Own):
    def forward(self, graph: AtomicGraph) -> Tensor:
        number = torch.bincount(graph.edge_index[1], minlength=len(graph.z)).clamp(min=1)
        return super().forward(graph) / number[:, None]


class Counted(Own):
    """A number of neighbours, rounded."""

    def forward(self, graph: AtomicGraph) -> Tensor:
        return super().forward(graph).round(decimals=1)


class Reaching(Own):
    """A product that is zero at the cutoff, but not beyond it."""

    def envelope(self, dist: Tensor) -> Tensor:
        return (1.0 - dist / self.cutoff) ** 2


class OfOneElement(Own):
    """Smooth for all elements but one."""

    def forward(self, graph: AtomicGraph) -> Tensor:
        heavy = graph.z[graph.edge_index[0]] == 29
        counted = scatter_sum(heavy.to(graph.pos), graph.edge_index[1], len(graph.z))
        return super().forward(graph) + counted[:, None]


class PerEdge(Own):
    def forward(self, graph: AtomicGraph) -> Tensor:
        dist = edge_vectors(graph).norm(dim=1)
        return torch.stack([self.envelope(dist), dist], dim=1)


class PerStructure(Own):
    def forward(self, graph: AtomicGraph) -> Tensor:
        return super().forward(graph).sum(0, keepdim=True)


class Lacking(Own):
    """Atoms behind the last one with a neighbour have no row."""

    def forward(self, graph: AtomicGraph) -> Tensor:
        rows = int(graph.edge_index[1].max()) + 1 if graph.edge_index.numel() else 0
        return super().forward(graph)[:rows]


class Narrow(Own):
    def forward(self, graph: AtomicGraph) -> Tensor:
        return super().forward(graph)[:, :1]


class Flat(Own):
    def forward(self, graph: AtomicGraph) -> Tensor:
        return super().forward(graph)[:, 0]


class Pair(Own):
    def forward(self, graph: AtomicGraph) -> Any:
        return super().forward(graph), None


class Undefined(Own):
    """0 / 0 for an atom without neighbours."""

    def forward(self, graph: AtomicGraph) -> Tensor:
        x = super().forward(graph)
        return x * x[:, :1] / x[:, :1]


class Infinite(Own):
    def forward(self, graph: AtomicGraph) -> Tensor:
        return super().forward(graph).log()


class OfTheBatch(Own):
    def forward(self, graph: AtomicGraph) -> Tensor:
        x = super().forward(graph)
        return x - x.mean(0)


class Normalised(Own):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(2)

    def forward(self, graph: AtomicGraph) -> Tensor:
        return self.norm(super().forward(graph))


class Writing(Own):
    def forward(self, graph: AtomicGraph) -> Tensor:
        graph.x = super().forward(graph)
        return graph.x


class Wrapping(Own):
    def forward(self, graph: AtomicGraph) -> Tensor:
        x = super().forward(graph)
        graph.pos -= graph.pos.mean(0)
        return x


class Derived(ng.ACSF):
    """A class derived from one of the package is tried, too."""

    def __init__(self) -> None:
        super().__init__(["O", "Cu"], 4.0, [ng.G2(eta=0.5), ng.G2(eta=1.0)])

    def forward(self, graph: AtomicGraph) -> Tensor:
        number = torch.bincount(graph.edge_index[1], minlength=len(graph.z))
        return super().forward(graph) + number[:, None]


MAKERS: dict[str, Callable[[nn.Module], Any]] = {
    "BPNN": lambda own: ng.BPNN(own, hidden_channels=(4,)),
    "EnergyModel": lambda own: ng.EnergyModel(own, ElementReadout(2, 2, (4,))),
    "stack": lambda own: ng.GCNN([8, 29], 4.0, stack_on=own, num_layers=1, hidden_channels=4),
}


@pytest.mark.slow
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            Step,
            "expected a module that is smooth where a neighbour passes the cutoff, got Step, which "
            "jumps by",
        ),
        (SmallStep, "got SmallStep, which jumps by 0.0"),
        (InnerStep, r"got InnerStep, which jumps by \S+ where a neighbour is 3.32 Å away"),
        (Mean, "passes the cutoff, got Mean"),
        (Counted, "got Counted, which jumps by"),
        (Reaching, "expected a module that gives edges beyond the cutoff nothing, got Reaching"),
        (OfOneElement, "passes the cutoff, got OfOneElement"),
        (
            PerEdge,
            r"expected a row of 2 features for each of 4 atoms, got \[\d+, 2\] from PerEdge",
        ),
        (PerStructure, r"each of 4 atoms, got \[1, 2\] from PerStructure"),
        (Lacking, r"got \[\d, 2\] from Lacking"),
        (Narrow, r"got \[4, 1\] from Narrow"),
        (Flat, r"got \[4\] from Flat"),
        (Pair, "got tuple from Pair"),
        (Undefined, "finite numbers, got others from Undefined for an atom with 0 neighbours"),
        (Infinite, "finite numbers, got others from Infinite"),
        (
            OfTheBatch,
            "expected a module that treats each structure of a batch alone, got OfTheBatch",
        ),
        (
            Normalised,
            "expected a module that treats each structure alone, got Normalised with batch "
            "normalisation",
        ),
        (
            Writing,
            r"expected a module that leaves the graph as it is, got Writing, which changes \['x'\]",
        ),
        (Wrapping, r"got Wrapping, which changes \['pos'\]"),
        (Derived, "passes the cutoff, got Derived"),
    ],
)
def test_what_would_ruin_a_simulation_is_refused(
    kind: Callable[[], nn.Module], message: str, make: Callable[[nn.Module], Any]
) -> None:
    with pytest.raises(ValueError, match=rf"^`representation`: .*{message}"):
        make(kind())


class Untried(Own):
    def forward(self, graph: AtomicGraph) -> Tensor:
        if not hasattr(self, "fitted"):
            raise RuntimeError("fit it first")
        return super().forward(graph)


class WithCharges(Own):
    def forward(self, graph: AtomicGraph) -> Tensor:
        return super().forward(graph) * graph.charge[:, None]


class Exotic(Own):
    def forward(self, pos: Tensor, z: Tensor) -> Tensor:  # type: ignore[override]
        return pos[:, :2]


class Steep(Own):
    """Steep, but smooth."""

    def envelope(self, dist: Tensor) -> Tensor:
        return super().envelope(dist) * torch.sigmoid(200.0 * (dist - 0.8 * self.cutoff))


class Single(Own):
    """Only for float32."""

    def forward(self, graph: AtomicGraph) -> Tensor:
        dist = edge_vectors(graph).norm(dim=1)
        weight = self.envelope(dist)[:, None].expand(-1, 2)
        return torch.zeros(len(graph.z), 2).index_add(0, graph.edge_index[1], weight)


class SingleStep(Single):
    def envelope(self, dist: Tensor) -> Tensor:
        return (dist < self.cutoff).to(dist)


@pytest.mark.slow
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("kind", [Own, Untried, WithCharges, Exotic, Steep, Single])
def test_what_is_right_or_cannot_be_tried_works(
    kind: Callable[[], nn.Module], make: Callable[[nn.Module], Any]
) -> None:
    state = torch.get_rng_state()
    own = kind()
    make(own)
    assert own.calls == 0  # a copy was tried
    assert own.training
    assert torch.equal(torch.get_rng_state(), state)


def test_what_works_in_float32_only_is_tried_in_float32() -> None:
    with pytest.raises(ValueError, match="got SingleStep, which jumps by"):
        ng.BPNN(SingleStep())


@pytest.mark.slow
@pytest.mark.parametrize("cutoff", [0.9, 4.0, 12.0])
@pytest.mark.parametrize("species", [(1,), (1, 6, 7, 8, 9), tuple(range(1, 90))])
def test_any_elements_and_any_cutoff_will_do(species: tuple[int, ...], cutoff: float) -> None:
    ng.EnergyModel(Own(species, cutoff), ElementReadout(len(species), 2, (4,)))


def test_built_in_ones_are_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    acsf = ng.ACSF.auto(["Cu", "O"], 5.0)
    embedded = ng.EmbeddedACSF(["Cu", "O"], 5.0)
    start = time.perf_counter()
    monkeypatch.setattr("nnmd_graph.representations.trial._Trial", None)
    ng.BPNN(acsf)
    ng.BPNN(embedded, readout="shared")
    ng.GCNN(["Cu", "O"], 5.0, "painn", stack_on=acsf)
    assert time.perf_counter() - start < 2.0


@pytest.mark.slow
@pytest.mark.parametrize("functions", [[ng.G4(eta=0.1, zeta=2.0, lam=1.0)], [ng.G2(eta=4.0)]])
def test_the_symmetry_functions_would_pass(functions: list[Any]) -> None:
    class Same(ng.ACSF):
        pass

    ng.BPNN(Same(["Cu", "O"], 5.0, functions))
    ng.BPNN(Same(["Cu", "O"], 5.0, functions, cutoff_function="tanh3"))
