"""GCNN: readouts, training on forces, files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from nnmd_graph.config.config import parse_config
from nnmd_graph.data import AtomsDataset
from nnmd_graph.graph import AtomicGraph
from nnmd_graph.models import GCNN, Potential
from nnmd_graph.models.shared_readout import SharedReadout
from nnmd_graph.representations import ACSF, G2
from nnmd_graph.training import Trainer
from nnmd_graph.workflow.building import build_potential

CUTOFF = 3.8
CONVS = ["schnet", "cgcnn", "painn", "gat", "tensornet", "torch_geometric.nn.CGConv"]


def alloy(seed: int) -> Atoms:
    rng = np.random.default_rng(seed)
    atoms = bulk("Cu", cubic=True, a=3.7 * rng.uniform(0.98, 1.03))
    atoms.symbols[: 1 + seed % 2] = "Au"
    atoms.rattle(0.08, rng=rng)
    atoms.calc = EMT()
    labels = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
    atoms.calc = SinglePointCalculator(atoms, **labels)
    return atoms


@pytest.fixture(scope="module")
def dataset() -> AtomsDataset:
    return AtomsDataset([alloy(seed) for seed in range(6)], CUTOFF)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("conv", "readout"), [*((conv, "shared") for conv in CONVS), ("painn", "element")]
)
def test_training_on_forces(dataset: AtomsDataset, tmp_path: Path, conv: str, readout: str) -> None:
    model = GCNN(dataset.species, CUTOFF, conv, 2, 8, 6, readout=readout)
    potential = Potential(model)
    start = {name: p.detach().clone() for name, p in potential.named_parameters()}
    trainer = Trainer(max_epochs=6, learning_rate=0.02, device="cpu", ema_decay=0.0)
    history = trainer.fit(potential, dataset[:5], dataset[5:])
    assert min(row["train_loss"] for row in history) < 0.9 * history[0]["train_loss"]
    moved = [name for name, p in potential.named_parameters() if not torch.equal(p, start[name])]
    assert any("embedding" in name for name in moved)
    assert any("layers.0" in name for name in moved) and any("layers.1" in name for name in moved)

    potential.save(tmp_path / "model.pt")
    again, graph = Potential.load(tmp_path / "model.pt"), dataset[0]
    assert torch.equal(again(graph)["forces"], potential.eval()(graph)["forces"])


@pytest.mark.slow
def test_training_of_a_hybrid(dataset: AtomsDataset) -> None:
    acsf = ACSF(dataset.species, CUTOFF, [G2(eta=0.5), G2(eta=2.0, r_s=2.5)])
    model = GCNN(dataset.species, CUTOFF, "schnet", 1, 8, 6, stack_on=acsf, readout="element")
    trainer = Trainer(max_epochs=6, learning_rate=0.01, device="cpu", ema_decay=0.0)
    history = trainer.fit(Potential(model), dataset[:5], dataset[5:])
    assert min(row["train_loss"] for row in history) < 0.9 * history[0]["train_loss"]
    scaler = model.representation.scaler
    assert not torch.equal(scaler.mean, torch.zeros_like(scaler.mean))  # fitted by the trainer


@pytest.mark.parametrize("readout", ["shared", "element"])
def test_training_starts_near_the_baseline(dataset: AtomsDataset, readout: str) -> None:
    """Readouts are centred: on average over each element nothing is added to E0."""
    potential = Potential(GCNN(dataset.species, CUTOFF, "cgcnn", 2, 16, 6, readout=readout))
    potential.model.baseline.set({29: 0.0, 79: 0.0}, 1.0)
    graphs = [dataset[n] for n in range(len(dataset))]
    energy = [potential(graph)["atomic_energy"].detach() for graph in graphs]
    assert torch.cat(energy).abs().mean() > 0.1
    x = torch.cat([potential.model.representation(graph) for graph in graphs])
    z = torch.cat([graph.z for graph in graphs])
    potential.model.fit_features(x, (z == 79).long())
    energy = torch.cat([potential(graph)["atomic_energy"].detach() for graph in graphs])
    for number in (29, 79):
        assert abs(float(energy[z == number].mean())) < 1e-4


def test_shared_readout() -> None:
    readout = SharedReadout(3, (5,), "tanh", seed=2)
    x, species_id = torch.randn(4, 3), torch.tensor([0, 1, 1, 0])
    e = readout(x, species_id)
    assert e.shape == (4,)
    assert torch.equal(readout(x, 1 - species_id), e)
    again = SharedReadout(**readout.hyper_parameters())
    assert torch.equal(again(x, species_id), e)


def test_widths() -> None:
    model = GCNN("Cu", CUTOFF, hidden_channels=10)
    assert [linear.out_features for linear in model.readout.net.linears] == [5, 1]
    model = GCNN("Cu", CUTOFF, hidden_channels=10, readout_channels=(7, 6))
    assert [linear.out_features for linear in model.readout.net.linears] == [7, 6, 1]
    with pytest.raises(ValueError, match="`readout`: expected one of .*, got 'elements'"):
        GCNN("Cu", CUTOFF, readout="elements")


def test_trained_features_have_neither_scaler_nor_ranges() -> None:
    model = GCNN("Cu", CUTOFF)
    assert model.scaler is None and model.ranges is None


def test_a_hybrid_from_a_config(dataset: AtomsDataset) -> None:
    functions = [{"type": "G2", "eta": 0.4}, {"type": "G2", "eta": 1.0, "r_s": 2.0}]
    values = {"name": "gcnn", "cutoff": CUTOFF, "representation": {"functions": functions}}
    values["convolutions"] = {"stack": True, "num_layers": 1}
    potential = build_potential(parse_config({"model": values}), dataset.species)
    assert potential.model.representation.base.num_features == 4


def test_from_a_config(dataset: AtomsDataset) -> None:
    options: dict[str, Any] = {"conv": "gat", "num_layers": 1, "hidden_channels": 6, "num_rbf": 4}
    options |= {"options": {"heads": 3}, "readout": "element", "radial": "gaussian"}
    values = {"name": "gcnn", "cutoff": CUTOFF, "dtype": "float64", "convolutions": options}
    potential = build_potential(parse_config({"model": values, "seed": 4}), dataset.species)
    model = GCNN(
        dataset.species, CUTOFF, "gat", 1, 6, 4,
        radial="gaussian", conv_options={"heads": 3}, readout="element", seed=4,
    )  # fmt: skip
    graph = AtomicGraph.from_atoms(alloy(0), CUTOFF, dtype=torch.float64)
    assert potential.dtype == torch.float64
    assert torch.equal(
        potential.eval()(graph)["forces"], Potential(model.double()).eval()(graph)["forces"]
    )
