"""Padded batches give the energies, forces and losses of plain ones."""

import pytest
import torch
from ase.build import bulk, molecule
from torch_geometric.data import Batch

from nnmd_graph.graph import AtomicGraph
from nnmd_graph.graph.labels import Labels
from nnmd_graph.models import GCNN, Potential
from nnmd_graph.models.padding import Padding, with_pairs
from nnmd_graph.nn.conv.registry import CONVOLUTIONS

SPECIES = (1, 6, 8, 29)
CUTOFF = 3.0


def graphs() -> list[AtomicGraph]:
    frames = [molecule("CH3CH2OH"), molecule("H2O"), bulk("Cu") * (2, 1, 1), molecule("H")]
    random = torch.Generator().manual_seed(0)
    made = []
    for atoms in frames:
        atoms.rattle(0.1, seed=1)
        forces = torch.randn(len(atoms), 3, generator=random, dtype=torch.float64).numpy()
        labels = Labels(energy=float(len(atoms)), forces=forces)
        made.append(AtomicGraph.from_atoms(atoms, CUTOFF, labels=labels))
    return made


@pytest.mark.slow
@pytest.mark.parametrize("conv", sorted(CONVOLUTIONS))
@pytest.mark.parametrize("chosen", [(0, 1, 2), (3,), (2, 0)])
def test_energies_and_forces(float64: None, conv: str, chosen: tuple[int, ...]) -> None:
    species = tuple(SPECIES)
    model = GCNN(species, CUTOFF, conv=conv, num_layers=2, hidden_channels=8, num_rbf=5)
    potential = Potential(model).train()
    prepared = [with_pairs(graph, species) for graph in graphs()]
    padding = Padding(species, CUTOFF, prepared, 3)
    batch = Batch.from_data_list([prepared[n] for n in chosen])
    filled = AtomicGraph(**padding(batch))
    assert len(filled.pos) == padding.num_atoms
    assert filled.pair_index.shape[1] == padding.num_pairs
    assert set(filled.batch.tolist()) == set(range(4)), "no structure without atoms"
    expected = potential(Batch.from_data_list([graphs()[n] for n in chosen]), stress=False)
    found = potential(filled, stress=False)
    torch.testing.assert_close(found["energy"][: len(chosen)], expected["energy"])
    torch.testing.assert_close(found["forces"][: len(batch.pos)], expected["forces"])
    assert torch.isnan(filled.forces[len(batch.pos) :]).all()
    assert torch.isnan(filled.energy[len(chosen) :]).all()
    assert (found["forces"][len(batch.pos) :] == 0.0).all()


def test_unknown_element(float64: None) -> None:
    with pytest.raises(ValueError, match="`z`: expected elements that the model knows"):
        with_pairs(graphs()[0], (1, 8))
