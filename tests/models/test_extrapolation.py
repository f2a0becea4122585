"""Which atom, which function, how far outside: reports of a potential on structures."""

from collections.abc import Callable

import ase
import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

from nnmd_graph.graph import AtomicGraph
from nnmd_graph.models import BPNN, EnergyModel, ExtrapolationReport, Potential
from nnmd_graph.models.extrapolation import Extrapolation, counted, reported
from nnmd_graph.models.in_core import InCore
from nnmd_graph.nn.species import species_ids
from nnmd_graph.representations import ACSF, G1, G2, G4
from nnmd_graph.representations.precomputed import precompute
from nnmd_graph.representations.symmetry.polynomials import PolynomialWide

pytestmark = pytest.mark.usefixtures("float64")
GraphOf = Callable[..., AtomicGraph]
MakePotential = Callable[..., Potential]


def fit(potential: Potential, *graphs: AtomicGraph) -> Potential:
    """Set the limits to those of these structures."""
    limits = potential.model.ranges
    unknown = torch.full_like(limits.minimum, torch.inf)
    limits.set(unknown, -unknown)
    for graph in graphs:
        x = potential.model.representation(potential.cast(graph))
        limits.fit(x, species_ids(graph.z, potential.species))
    return potential


@pytest.fixture
def potential(make_potential: MakePotential, water: ase.Atoms, graph_of: GraphOf) -> Potential:
    """One that knows water, and carbon not at all."""
    return fit(make_potential().eval(), graph_of(water))


@pytest.fixture
def stretched(water: ase.Atoms) -> ase.Atoms:
    """Water with one bond too long."""
    atoms = water.copy()
    atoms.positions[1] *= 1.3
    return atoms


def test_training_structures_are_inside(
    potential: Potential, water: ase.Atoms, graph_of: GraphOf
) -> None:
    turned = water.copy()
    turned.rotate(40, "z")
    turned = turned[[2, 0, 1]]
    report = potential.extrapolation(Batch.from_data_list([graph_of(water), graph_of(turned)]))
    assert len(report) == 0 and list(report) == []
    assert report.summary() == "no extrapolation"
    assert report.per_structure.tolist() == [0, 0] and report.text() == ""


def test_each_one_is_named(potential: Potential, stretched: ase.Atoms, graph_of: GraphOf) -> None:
    graph = graph_of(stretched)
    x = potential.model.representation(graph)
    limits, species_id = potential.model.ranges, species_ids(graph.z, potential.species)
    expected = [
        (i, k)
        for i in range(3)
        for k in range(x.shape[1])
        if not limits.minimum[species_id[i], k] - 2.2e-13
        <= x[i, k]
        <= limits.maximum[species_id[i], k] + 2.2e-13
    ]
    report = potential.extrapolation(graph)
    assert expected and [(one.atom, one.feature) for one in report] == expected
    for one in report:
        s = int(species_id[one.atom])
        assert one.structure == 0
        assert one.element == stretched.symbols[one.atom]
        functions = potential.model.representation.functions_of(one.element)
        assert one.function == functions[one.feature]
        assert one.value == float(x[one.atom, one.feature])
        assert one.minimum == float(limits.minimum[s, one.feature])
        assert one.maximum == float(limits.maximum[s, one.feature])


def test_how_far_is_counted_in_ranges() -> None:
    def one(value: float, minimum: float = 2.0, maximum: float = 6.0) -> Extrapolation:
        return Extrapolation(0, 0, "H", 0, None, value, minimum, maximum)

    assert one(8.0).excess == 0.5
    assert one(1.0).excess == -0.25
    assert one(0.1, 0.0, 0.0).excess == np.inf
    assert one(-0.1, 0.0, 0.0).excess == -np.inf
    assert one(8.0).name == "feature 0"
    assert (
        str(one(8.0)) == "structure 0, atom 0 (H), feature 0: 8 outside [2, 6] by 0.5 of the range"
    )


def test_batches_are_their_structures(
    potential: Potential, stretched: ase.Atoms, crystal: ase.Atoms, graph_of: GraphOf
) -> None:
    graphs = [graph_of(a) for a in (stretched, ase.Atoms("H"), crystal, stretched)]
    batch = potential.extrapolation(Batch.from_data_list(graphs))
    singles = [potential.extrapolation(graph) for graph in graphs]
    joined = ExtrapolationReport.joined(singles)
    assert [o.atom for o in batch] == [o.atom for single in singles for o in single]
    assert [o.structure for o in batch] == [
        n for n, single in enumerate(singles) for _ in range(len(single))
    ]
    assert list(batch) == list(joined) and batch.text() == joined.text()
    assert batch.unknown == joined.unknown == ("C",)
    assert batch.per_structure.tolist() == [len(single) for single in singles]
    assert batch.per_atom.tolist() == np.concatenate([s.per_atom for s in singles]).tolist()
    assert batch.num_extrapolating_structures == sum(len(s) > 0 for s in singles)
    assert batch.num_extrapolating_atoms == sum(s.num_extrapolating_atoms for s in singles)
    part = batch.of_structures(np.array([False, False, True, True]))
    assert list(part) == list(ExtrapolationReport.joined(singles[2:]))
    assert part.num_atoms.tolist() == [2, 3]


def test_sequence_and_worst(
    potential: Potential, stretched: ase.Atoms, crystal: ase.Atoms, graph_of: GraphOf
) -> None:
    graphs = [graph_of(stretched), graph_of(crystal)]
    report = potential.extrapolation(Batch.from_data_list(graphs))
    assert len(report) > 5
    assert report[-1] == report[len(report) - 1] == list(report)[-1]
    assert report[1:3] == list(report)[1:3]
    with pytest.raises(IndexError):
        report[len(report)]
    assert np.array_equal(report.excess, [one.excess for one in report])
    sizes = [abs(one.excess) for one in report.worst(len(report))]
    assert sizes == sorted((abs(one.excess) for one in report), reverse=True)
    assert len(report.worst(3)) == 3
    # One water has one oxygen, each function of which has one value.
    assert abs(report.worst(1)[0].excess) == np.inf and report.worst(1)[0].element == "O"
    assert "5 atoms in 2 of 2 structures; no training atom was of C" in str(report)


def test_the_text_is_that_of_n2p2(potential: Potential, stretched: ase.Atoms) -> None:
    """A line of stderr of nnp-predict, made from its numbers."""
    line = (
        "### NNP EXTRAPOLATION WARNING ### STRUCTURE:      0 ATOM:         2 ELEMENT:  H "
        "SYMFUNC:   11 TYPE:  3 VALUE:  0.000E+00 MIN:  7.539E-05 MAX:  1.432E-03"
    )
    function = G4(eta=0.05, zeta=2.5, lam=1.0)
    values = (0.0, 7.5392394878676523e-05, 1.4324555026948539e-03)
    assert Extrapolation(0, 2, "H", 10, function, *values).text() == line


@pytest.mark.parametrize(
    ("function", "number"),
    [
        (G1(), 1),
        (G2(eta=1.0), 2),
        (G2(eta=1.0, weighted=True), 12),
        (PolynomialWide(r_l=0.0, theta_l=10.0, theta_h=90.0), 22),
        (PolynomialWide(r_l=0.0, theta_l=10.0, theta_h=90.0, weighted=True), 25),
        (None, 0),
    ],
)
def test_numbers_of_types(function: object, number: int) -> None:
    text = Extrapolation(0, 0, "Cu", 0, function, 1.0, 0.0, 0.5).text()  # type: ignore[arg-type]
    assert f" TYPE: {number:2d} " in text


def test_a_function_in_words() -> None:
    function = G4(eta=0.5, zeta=2.0, lam=-1.0, neighbors=("O", "H"), centre="O", cutoff=6.0)
    one = Extrapolation(0, 0, "O", 0, function, 1.0, 0.0, 0.5)
    assert one.name == "G4(cutoff=6, neighbors=H-O, eta=0.5, zeta=2, lam=-1, r_s=0)"


def test_precomputed_features_are_used(
    potential: Potential, stretched: ase.Atoms, graph_of: GraphOf
) -> None:
    graph = graph_of(stretched)
    with_features = precompute(potential.model.representation, graph)
    assert potential.extrapolation(with_features).text() == potential.extrapolation(graph).text()
    with_features.features = with_features.features + 100.0
    assert potential.extrapolation(with_features).num_extrapolating_atoms == 3


@pytest.mark.parametrize("features", [False, True])
@pytest.mark.parametrize("asked", [{}, {"stress": False}, {"forces": False, "stress": False}])
def test_counted_while_the_potential_computes(
    asked: dict[str, bool],
    features: bool,
    potential: Potential,
    stretched: ase.Atoms,
    crystal: ase.Atoms,
    graph_of: GraphOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graphs = [graph_of(stretched), graph_of(crystal)]
    if features:
        graphs = [precompute(potential.model.representation, graph) for graph in graphs]
    batch = Batch.from_data_list(graphs)
    expected = len(potential.extrapolation(batch))
    text = potential.extrapolation(batch).text()
    # Without features computed a second time: those cost as much as the energy.
    monkeypatch.setattr(potential, "extrapolation", None)
    if not features:
        calls = count_calls(potential.model.representation, monkeypatch)
    output, count = counted(potential, batch, **asked)
    assert count == expected > 0
    for name, value in potential(batch, **asked).items():
        assert torch.equal(output[name], value)
    _, report = reported(potential, batch, **asked)
    assert report.text() == text
    assert features or len(calls) == 3


def count_calls(representation: torch.nn.Module, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ways to features, one entry for each time that they are computed."""
    calls: list[str] = []
    ways = [(representation, name) for name in ("forward", "jacobian", "chunks")]
    for owner, name in [*ways, (InCore, "__call__")]:
        if hasattr(owner, name):
            original = getattr(owner, name)

            def counting(*given: object, name: str = name, original: object = original) -> object:
                calls.append(name)
                return original(*given)

            monkeypatch.setattr(owner, name, counting)
    return calls


def test_features_in_pieces(
    potential: Potential,
    stretched: ase.Atoms,
    graph_of: GraphOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A potential that goes over its atoms element by element, in columns that they have."""
    graph = graph_of(stretched)
    expected = potential.extrapolation(graph)
    x = potential.model.representation(graph)
    species_id = species_ids(graph.z, potential.species)

    class Pieces(torch.nn.Module):
        model, cast = potential.model, potential.cast

        def forward(self, graph: AtomicGraph, numbered: bool) -> None:
            for atoms in (torch.tensor([2, 1]), torch.tensor([0])):
                numbers = atoms if numbered else None
                self.model.ranges.show(x[atoms, :9], species_id[atoms], numbers)

    assert not x[:, 9:].any()
    assert counted(Pieces(), graph, numbered=False)[1] == len(expected)
    calls = count_calls(potential.model.representation, monkeypatch)
    assert reported(Pieces(), graph, numbered=True)[1].text() == expected.text()
    assert not calls
    assert reported(Pieces(), graph, numbered=False)[1].text() == expected.text()
    assert len(calls) == 1


def test_a_model_that_passes_its_features_by_is_counted_too(
    potential: Potential,
    stretched: ase.Atoms,
    graph_of: GraphOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(potential.model.ranges, "show", lambda *given: None)
    graph = graph_of(stretched)
    expected = potential.extrapolation(graph)
    assert counted(potential, graph)[1] == len(expected) > 0
    assert reported(potential, graph)[1].text() == expected.text()


def test_float32_counts_the_same(
    potential: Potential, stretched: ase.Atoms, water: ase.Atoms, graph_of: GraphOf
) -> None:
    expected = [(o.atom, o.feature) for o in potential.extrapolation(graph_of(stretched))]
    potential = potential.float()
    assert len(potential.extrapolation(graph_of(water))) == 0
    assert [(o.atom, o.feature) for o in potential.extrapolation(graph_of(stretched))] == expected


def test_it_is_saved(
    potential: Potential, stretched: ase.Atoms, graph_of: GraphOf, tmp_path
) -> None:
    graph = graph_of(stretched)
    potential.save(tmp_path / "model.pt")
    loaded = Potential.load(tmp_path / "model.pt")
    assert loaded.extrapolation(graph).text() == potential.extrapolation(graph).text()


def test_a_potential_that_was_not_trained(acsf: ACSF, water: ase.Atoms, graph_of: GraphOf) -> None:
    with pytest.raises(
        ValueError, match="`potential`: expected one that knows the limits.*not been trained"
    ):
        Potential(BPNN(acsf).double()).extrapolation(graph_of(water))


def test_features_that_are_trained_have_no_ranges(
    coordination, water: ase.Atoms, graph_of: GraphOf
) -> None:
    class Sum(torch.nn.Module):
        def forward(self, x: torch.Tensor, species_id: torch.Tensor) -> torch.Tensor:
            return x.sum(dim=-1)

    model = EnergyModel(coordination([1, 8], 3.5), Sum())
    assert model.ranges is None
    model.fit_features(torch.rand(4, 2), torch.tensor([0, 0, 1, 1]))
    with pytest.raises(ValueError, match="`potential`: expected.*representation is trained"):
        Potential(model).extrapolation(graph_of(water))


def test_a_graph_that_does_not_reach_the_cutoff(
    potential: Potential, water: ase.Atoms, graph_of: GraphOf
) -> None:
    with pytest.raises(ValueError, match="`cutoff` of the graph"):
        potential.extrapolation(graph_of(water, cutoff=2.0))


def test_features_without_a_description(
    potential: Potential, stretched: ase.Atoms, graph_of: GraphOf
) -> None:
    class Plain(torch.nn.Module):
        species, cutoff, num_features = (1, 8), 3.5, 1

        def forward(self, graph: AtomicGraph) -> torch.Tensor:
            return torch.ones(graph.num_nodes, 1) * graph.num_nodes

    model = BPNN(Plain())
    model.ranges.set([[0.0], [0.0]], [[1.0], [4.0]])
    report = Potential(model).extrapolation(graph_of(stretched))
    assert [(one.atom, one.name, one.function) for one in report] == [
        (1, "feature 0", None),
        (2, "feature 0", None),
    ]
