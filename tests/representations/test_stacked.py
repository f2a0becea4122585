"""Graph convolutions on top of symmetry functions."""

from pathlib import Path

import pytest
import torch
from ase.build import molecule
from torch import Tensor, nn

from nnmd_graph.graph import AtomicGraph
from nnmd_graph.models import GCNN, EnergyModel, Potential
from nnmd_graph.models.readout import ElementReadout
from nnmd_graph.nn.species import species_ids
from nnmd_graph.representations import ACSF, G2, G5, GraphConvolutions, stack

pytestmark = pytest.mark.usefixtures("float64")
SPECIES, R_C = ("C", "H", "O"), 3.6


@pytest.fixture
def acsf() -> ACSF:
    return ACSF(SPECIES, R_C, [G2(eta=0.4), G5(eta=0.05, zeta=2.0, lam=1.0)])


@pytest.fixture
def graph() -> AtomicGraph:
    return AtomicGraph.from_atoms(molecule("CH3CH2OH"), 4.0, dtype=torch.float64)


def test_features_enter_by_a_matrix_of_each_element(acsf: ACSF, graph: AtomicGraph) -> None:
    module = stack(acsf, "schnet", 2, 8, 5)
    module.fit([graph])
    species_id = species_ids(graph.z, acsf.species)
    f = module.scaler(acsf(graph), species_id)
    x = torch.stack(
        [
            module.embedding.weight[s] + module.inputs[s].weight @ row
            for s, row in zip(species_id.tolist(), f, strict=True)
        ]
    )
    plain = GraphConvolutions(SPECIES, R_C, "schnet", 2, 8, 5)
    torch.testing.assert_close(module(graph), plain.convolved(x, graph))


def test_the_scaling_is_fitted_to_the_inner_features(acsf: ACSF, graph: AtomicGraph) -> None:
    module = stack(acsf, "schnet", 1, 8, 5)
    module.fit(iter([graph, graph]))
    species_id = species_ids(graph.z, acsf.species)
    f = module.scaler(acsf(graph), species_id)
    hydrogen = graph.z == 1
    assert f[hydrogen].mean(0).abs().max() < 1e-10
    assert 0.1 < float(f[hydrogen].std()) < 1.5


def test_cutoffs_of_both_parts(acsf: ACSF) -> None:
    assert stack(acsf).cutoff == R_C
    assert stack(acsf, cutoff=5.0).cutoff == 5.0
    assert stack(acsf, cutoff=2.0).cutoff == R_C
    assert stack(acsf, cutoff=2.0).radial.cutoff == 2.0


def test_saved_and_loaded(acsf: ACSF, graph: AtomicGraph, tmp_path: Path) -> None:
    module = stack(acsf, "painn", 1, 8, 5, cutoff=3.0, ridge=0.2, radial="gaussian")
    module.fit([graph])
    potential = Potential(EnergyModel(module, ElementReadout(3, 8, (4,))).double()).eval()
    potential.save(tmp_path / "model.pt")
    again = Potential.load(tmp_path / "model.pt")
    assert torch.equal(again(graph)["forces"], potential(graph)["forces"])
    assert again.cutoff == potential.cutoff == R_C
    assert again.model.representation.scaler.ridge == 0.2


def test_by_gcnn(acsf: ACSF, graph: AtomicGraph) -> None:
    model = GCNN(SPECIES, 3.0, "schnet", 2, 8, 5, stack_on=acsf, readout="element", seed=3)
    other = EnergyModel(
        stack(acsf, "schnet", 2, 8, 5, cutoff=3.0, seed=3),
        ElementReadout(3, 8, (4,), "silu", seed=3),
    )
    assert torch.equal(model.double()(graph), other.double()(graph))
    with pytest.raises(ValueError, match="`species`: expected those of `stack_on`, .1, 6, 8., got"):
        GCNN(("C", "H"), 3.0, stack_on=acsf)


def test_what_cannot_be_stacked_on() -> None:
    class Blind(nn.Module):
        def forward(self, graph: AtomicGraph) -> Tensor:
            return graph.pos

    with pytest.raises(TypeError, match="`representation`: expected .* got Blind without"):
        stack(Blind())
