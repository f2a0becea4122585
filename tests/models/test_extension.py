"""What more elements bring: their functions, the element that they start as, what is refused."""

from typing import Any

import pytest
import torch
from torch import nn

from nnmd_graph.models import BPNN, GCNN, EnergyModel, Potential
from nnmd_graph.models.checkpoint import MODULES, register
from nnmd_graph.models.extension import extend_species
from nnmd_graph.models.readout import ElementReadout
from nnmd_graph.nn.species import species_ids
from nnmd_graph.representations import ACSF, G2, G4, G5, EmbeddedACSF

pytestmark = pytest.mark.usefixtures("float64")


def extended_set(functions: list[Any], species: Any, added: Any) -> set[Any]:
    potential = Potential(BPNN(ACSF(species, 4.0, functions), (4,)))
    return set(extend_species(potential, added).model.representation.functions)


@pytest.mark.parametrize("recipe", ["gastegger2018", "imbalzano2018"])
@pytest.mark.parametrize(("species", "added"), [("Cu", "Au"), (["H", "O"], ["Cu", "S", "Na"])])
def test_a_complete_set_stays_complete(recipe: str, species: Any, added: Any) -> None:
    options = {"num_radial": 3, "num_angular": 2}
    both = [*([species] if isinstance(species, str) else species),
            *([added] if isinstance(added, str) else added)]  # fmt: skip
    small, large = (
        ACSF.auto([*s] if isinstance(s, list) else [s], 4.0, recipe=recipe, **options)
        for s in (species, both)
    )
    potential = Potential(BPNN(small, (4,)))
    found = extend_species(potential, added).model.representation
    assert set(found.functions) == set(large.functions)
    assert found.functions[: len(small.functions)] == small.functions


def test_chosen_functions_follow_the_nearest_element() -> None:
    """Gold is nearest to copper: it has what copper has, as neighbour and as centre."""
    found = extended_set(
        [G2(eta=1.0, neighbors="Cu"), G2(eta=2.0, neighbors="H"), G2(eta=3.0, centre="Cu"),
         G4(eta=0.1, zeta=1.0, lam=1.0, neighbors=("Cu", "H"), centre="H"),
         G5(eta=0.1, zeta=1.0, lam=1.0, weighted=True)],
        ["H", "Cu"],
        "Au",
    )  # fmt: skip
    own = {"cutoff": 4.0}
    new = {
        G2(eta=1.0, neighbors="Au", **own),
        *(G2(eta=3.0, neighbors=n, centre="Au", **own) for n in ("H", "Cu", "Au")),
        G2(eta=3.0, neighbors="Au", centre="Cu", **own),
        G4(eta=0.1, zeta=1.0, lam=1.0, neighbors=("Au", "H"), centre="H", **own),
    }
    old = {f for f in found if 79 not in (*(f.neighbors or ()), f.centre)}
    assert found - old == new and len(old) == 6


def test_a_new_element_starts_as_the_nearest_one() -> None:
    potential = Potential(BPNN(ACSF(["H", "Cu"], 4.0, [G2(eta=1.0), G2(eta=2.0)]), (4,)))
    model = extend_species(potential, ["Au"]).model
    cu, au = (model.readout.net.nets[s] for s in (1, 2))
    for one, other in zip(cu.parameters(), au.parameters(), strict=True):
        assert torch.equal(one, other)
    for net in model.readout.net.nets:
        assert (net.linears[0].weight[:, 4:] == 0.0).all()
    gcnn = Potential(GCNN(["H", "Cu"], 4.0, num_layers=1, hidden_channels=4))
    rows = extend_species(gcnn, "Au").model.representation.embedding.weight
    assert torch.equal(rows[1], rows[2]) and not torch.equal(rows[0], rows[2])
    embedded = Potential(BPNN(EmbeddedACSF(["H", "Cu"], 4.0, [G2(eta=1.0)]), (4,)))
    rows = extend_species(embedded, "Au").model.representation.embedding
    assert torch.equal(rows[1], rows[2])


def test_known_elements_alone_give_an_independent_copy() -> None:
    potential = Potential(BPNN(ACSF(["Cu"], 4.0, [G2(eta=1.0)]), (4,))).train()
    copy = extend_species(potential, 29)
    assert copy is not potential and copy.training
    copy.model.baseline.set({29: 5.0}, 2.0)
    assert float(potential.model.baseline.isolated_energies[0]) == 0.0


def test_nets_of_different_widths() -> None:
    acsf = ACSF(["H", "Cu"], 4.0, [G2(eta=1.0)])
    readout = ElementReadout(
        2, 2, [[3], [5, 4]], [["tanh", "identity"], ["silu"] * 2 + ["identity"]]
    )
    model = extend_species(Potential(EnergyModel(acsf, readout)), "Au").model
    widths = [[linear.out_features for linear in net.linears] for net in model.readout.net.nets]
    assert widths == [[3, 1], [5, 4, 1], [5, 4, 1]]


def test_ranges_of_functions_of_new_neighbours_are_zero() -> None:
    potential = Potential(BPNN(ACSF(["Cu"], 4.0, [G2(eta=1.0)]), (4,)))
    potential.model.ranges.set([[0.5]], [[0.7]])
    limits = extend_species(potential, "Au").model.ranges
    inf = float("inf")
    assert limits.minimum.tolist() == [[0.5, 0.0], [inf, inf]]
    assert limits.maximum.tolist() == [[0.7, 0.0], [-inf, -inf]]


def test_what_is_refused() -> None:
    with pytest.raises(TypeError, match="`potential`: expected a Potential"):
        extend_species(nn.Linear(1, 1), "Au")  # type: ignore[arg-type]
    potential = Potential(BPNN(ACSF(["Cu"], 4.0, [G2(eta=1.0)]), (4,)))
    with pytest.raises(ValueError, match="`species`: expected the symbol"):
        extend_species(potential, "Xx")


class PerElement(nn.Module):
    """A representation of one's own with weights for each element."""

    cutoff, num_features = 4.0, 3

    def __init__(self, species: list[int]) -> None:
        super().__init__()
        self.species = tuple(species)
        self.table = nn.Parameter(torch.randn(len(species), 3))

    def forward(self, graph: Any) -> torch.Tensor:
        return self.table[species_ids(graph.z, self.species)]

    def hyper_parameters(self) -> dict[str, Any]:
        return {"species": list(self.species)}


class ListOfElements(PerElement):
    """The same with one parameter for each element, whose names move."""

    def __init__(self, species: list[int]) -> None:
        super().__init__(species)
        self.rows = nn.ParameterList(torch.randn(3) for _ in species)


class Telling(ListOfElements):
    """The same, and it says how."""

    def carry_over(self, old: nn.Module, index: tuple[int, ...]) -> None:
        self.table.copy_(old.table[list(index)])
        for s, o in enumerate(index):
            self.rows[s].copy_(old.rows[o])


def test_modules_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (PerElement, ListOfElements, Telling):
        monkeypatch.setattr("nnmd_graph.models.checkpoint.MODULES", dict(MODULES))
        register(module)
        old = module([1, 29])
        potential = Potential(EnergyModel(old, ElementReadout(2, 3, (4,))))
        if module is ListOfElements:
            with pytest.raises(ValueError, match="give the class a method carry_over"):
                extend_species(potential, "Au")
            continue
        new = extend_species(potential, "C").model.representation
        assert torch.equal(new.table, old.table[[0, 1, 1]])  # carbon is nearer to copper
