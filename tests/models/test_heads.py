"""Charges and dipole moments: physics, training, evaluation, files, the calculator."""

from pathlib import Path
from typing import Any

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.singlepoint import SinglePointCalculator
from torch import Tensor
from torch_geometric.data import Batch

import nnmd_graph as ng
from nnmd_graph.graph import AtomicGraph
from nnmd_graph.models.extension import extend_species
from nnmd_graph.models.heads import make_heads

pytestmark = [
    pytest.mark.usefixtures("float64"),
    pytest.mark.filterwarnings("ignore:`dataset`. its compositions cannot tell"),  # water alone
    pytest.mark.filterwarnings("ignore:`init`. expected a potential that says something"),
]

SPECIES = ("H", "O")


def model(seed: int = 0, **options: Any) -> ng.EnergyModel:
    acsf = ng.ACSF(SPECIES, 4.0, [ng.G2(eta=0.3), ng.G2(eta=2.0, r_s=1.0)])
    return ng.BPNN(acsf, (5,), heads=["charges"], seed=seed, **options).double()


def waters(number: int, quantities: tuple[str, ...] = ("charges", "dipole")) -> list[ase.Atoms]:
    """Bent and stretched, with charges that follow the mean bond length."""
    frames = []
    for seed in range(number):
        atoms = molecule("H2O")
        atoms.rattle(0.08, seed=seed)
        length = atoms.get_distances(0, [1, 2]).mean()
        q = np.array([-2.0, 1.0, 1.0]) * (0.35 + 0.4 * (length - 0.97))
        values = {"charges": q, "dipole": q @ atoms.positions}
        energy = {"energy": 5.0 * (length - 0.97) ** 2, "forces": np.zeros((3, 3))}
        atoms.calc = SinglePointCalculator(
            atoms, **energy, **{name: values[name] for name in quantities}
        )
        frames.append(atoms)
    return frames


def graph(atoms: ase.Atoms) -> AtomicGraph:
    return AtomicGraph.from_atoms(atoms, 4.0, dtype=torch.float64)


MODELS = {
    "bpnn": model,
    "embedded": lambda: ng.BPNN(
        ng.EmbeddedACSF(SPECIES, 4.0, [ng.G2(eta=0.3)], embedding_dim=2), (5,), readout="shared",
        heads=["charges"],
    ).double(),
    "painn": lambda: ng.GCNN(SPECIES, 4.0, "painn", 1, 6, 4, heads=[ng.Charges]).double(),
    "sum": lambda: ng.SumModel(ng.ZBL(SPECIES).double(), model()),
}  # fmt: skip


@pytest.mark.parametrize("kind", MODELS)
def test_charges_are_neutral_and_the_dipole_moment_is_theirs(kind: str) -> None:
    potential = ng.Potential(MODELS[kind]()).eval()
    assert potential.quantities == ("charges", "dipole")
    frames = [waters(2)[1], molecule("O2"), ase.Atoms("H")]
    out = potential(Batch.from_data_list([graph(atoms) for atoms in frames]))
    charges = out["charges"].split([3, 2, 1])
    for q, atoms, dipole in zip(charges, frames, out["dipole"], strict=True):
        assert abs(q.sum().item()) < 1e-12
        np.testing.assert_allclose(dipole, q.numpy() @ atoms.positions, atol=1e-12)
    assert charges[0].abs().min() > 0
    assert "charges" not in potential(graph(frames[0]), heads=False)


def test_moves_and_turns_with_the_molecule() -> None:
    potential, atoms = ng.Potential(model()).eval(), waters(1)[0]
    one = potential(graph(atoms))["dipole"][0]
    moved = atoms.copy()
    moved.positions += [300.0, -20.0, 5.0]
    torch.testing.assert_close(potential(graph(moved))["dipole"][0], one, rtol=0, atol=1e-10)
    turned = atoms.copy()
    turned.positions = turned.positions @ np.diag([-1.0, 1.0, 1.0])[[1, 2, 0]]
    expected = one @ torch.tensor(np.diag([-1.0, 1.0, 1.0])[[1, 2, 0]])
    torch.testing.assert_close(potential(graph(turned))["dipole"][0], expected)


@pytest.mark.slow
@pytest.mark.parametrize("trained_on", [("charges",), ("dipole",), ("charges", "dipole")])
def test_trained_on_either(trained_on: tuple[str, ...], tmp_path: Path) -> None:
    """The dipole moments alone tell the charges; a resumed run ends the same."""
    data = ng.AtomsDataset(waters(24), 4.0, quantities=trained_on)
    assert data.has(trained_on[0]) == 24 and data.label_names[3:] == trained_on
    train, val = data[:18], data[18:]
    terms = [ng.LossTerm(name, 10.0) for name in trained_on]
    options: dict[str, Any] = {
        "loss": ng.Loss([ng.LossTerm("energy", 1.0), *terms]), "device": "cpu", "batch_size": 6,
        "learning_rate": 0.02, "schedule": "constant", "checkpoint_seconds": 0.0,
    }  # fmt: skip

    def run(epochs: int, folder: str, resume: bool = False) -> tuple[ng.Potential, list[Any]]:
        potential = ng.Potential(model())
        trainer = ng.Trainer(max_epochs=epochs, output=tmp_path / folder, **options)
        return potential, trainer.fit(potential, train, val, resume=resume)

    potential, history = run(40, "whole")
    names = [f"val_{name}_mae" for name in trained_on]
    assert all(history[-1][name] < 0.3 * history[0][name] for name in names)
    assert f"val_{trained_on[0]}_mae" in (tmp_path / "whole/log.csv").read_text().splitlines()[0]
    run(2, "parts")
    assert run(3, "parts", resume=True)[1][-1] | {"seconds": 0} == history[2] | {"seconds": 0}
    both = ng.AtomsDataset(waters(30)[24:], 4.0, quantities=["charges", "dipole"])
    metrics = ng.evaluate(potential, both)
    assert metrics["charges_mae"] < 60 and metrics["dipole_mae"] < 300  # me and mD
    assert "me" in str(metrics) and "mD" in str(metrics)


def test_evaluated_and_written(tmp_path: Path) -> None:
    from nnmd_graph.evaluation import error_histogram, learning_curves, parity, predict

    data = ng.AtomsDataset(waters(6), 4.0, quantities=["dipole", "charges"])
    potential = ng.Potential(model()).eval()
    predictions = predict(potential, data)
    reference, predicted = predictions.of("dipole")  # type: ignore[misc]
    assert reference.shape == predicted.shape == (6, 3)
    assert predictions.of("charges")[0].shape == (18,)  # type: ignore[index]
    for draw in (parity, error_histogram):
        titles = [axes.get_title() for axes in draw(predictions).axes]
        assert {"Dipole", "Charges", "Energy"} <= set(titles)
    learning_curves([{"epoch": n, "train_loss": 1.0, "val_dipole_mae": 1.0} for n in (1, 2)])
    frames = ase.io.read(predictions.write(tmp_path / "p.extxyz", data.frames), ":")
    np.testing.assert_allclose(frames[1].info["predicted_dipole"], predicted[1], atol=1e-7)
    np.testing.assert_allclose(frames[1].arrays["reference_charges"], reference_charges(data)[1])


def reference_charges(data: ng.AtomsDataset) -> list[Any]:
    return [labels.get("charges") for labels in data.labels]


def test_the_calculator_gives_them() -> None:
    potential, atoms = ng.Potential(model()).eval(), waters(1)[0]
    out = potential(graph(atoms))
    atoms.calc = ng.NNMDCalculator(potential)
    atoms.get_forces()
    assert "dipole" not in atoms.calc.results  # only what was asked for is paid for
    np.testing.assert_allclose(atoms.get_dipole_moment(), out["dipole"][0])
    np.testing.assert_allclose(atoms.get_charges(), out["charges"])
    SinglePointCalculator(atoms, **atoms.calc.results)
    plain = atoms.copy()
    plain.calc = ng.NNMDCalculator(ng.Potential(ng.ZBL(SPECIES)))
    with pytest.raises(PropertyNotImplementedError):
        plain.get_dipole_moment()
    atoms.set_cell([8.0, 8.0, 8.0])
    atoms.pbc = True
    with pytest.raises(PropertyNotImplementedError, match="expected a molecule, got a periodic"):
        atoms.get_dipole_moment()
    assert abs(atoms.get_charges().sum()) < 1e-12
    committee = waters(1)[0]
    committee.calc = ng.NNMDCalculator(ng.Committee([potential, ng.Potential(model(seed=1))]))
    assert committee.get_dipole_moment().shape == (3,)


def test_files_and_more_elements(tmp_path: Path) -> None:
    potential, atoms = ng.Potential(model(seed=2)).eval(), waters(1)[0]
    potential.save(tmp_path / "charges.pt")
    again, more = ng.Potential.load(tmp_path / "charges.pt"), extend_species(potential, "C")
    for other in (again, more):
        for name in ("charges", "dipole", "energy"):
            expected = potential(graph(atoms))[name]
            torch.testing.assert_close(other(graph(atoms))[name], expected, rtol=0, atol=1e-12)
    out = more(graph(molecule("CO")))
    assert torch.isfinite(out["dipole"]).all()
    data = ng.AtomsDataset(waters(8), 4.0, quantities=["dipole"])
    tuned = ng.Potential(model(seed=5))
    loss = ng.Loss([ng.LossTerm("energy", 1.0), ng.LossTerm("dipole", 1.0)])
    ng.Trainer(max_epochs=1, loss=loss, device="cpu").fit(potential, data)
    ng.Trainer(max_epochs=1, init=potential, loss=loss, device="cpu").fit(tuned, data)
    with pytest.raises(ValueError, match="`init`: expected the architecture of the potential"):
        plain = ng.Potential(ng.BPNN(tuned.net.representation, (5,)).double())  # type: ignore
        ng.Trainer(max_epochs=1, init=potential).fit(plain, data)


@pytest.mark.slow
def test_a_head_and_a_quantity_of_ones_own() -> None:
    """Magnetic moments in twenty lines, with a name that the table did not have."""
    moments = ng.Quantity("moments", "atom", (3,), "µB", "mµB", 1e-3)
    ng.register_quantity(moments)

    class Moments(ng.Head):
        quantities = ("moments",)

        def forward(self, x: Tensor, species_id: Tensor, graph: AtomicGraph) -> dict[str, Tensor]:
            size = self.readout(x, species_id)
            return {"moments": size.unsqueeze(1) * torch.tensor([0.0, 0.0, 1.0])}

    frames = waters(8, quantities=())
    for atoms in frames:
        atoms.arrays["moments"] = np.outer([2.0, 0.5, 0.5], [0, 0, 1.0])
    data = ng.AtomsDataset(frames, 4.0, quantities=["moments"])
    potential = ng.Potential(ng.BPNN(model().representation, (5,), heads=[Moments]).double())
    loss = ng.Loss([ng.LossTerm("moments", 1.0, error="huber", delta=0.5)])
    history = ng.Trainer(loss=loss, max_epochs=30, learning_rate=0.02, device="cpu").fit(
        potential, data
    )
    assert history[-1]["train_loss"] < 0.2 * history[0]["train_loss"]
    assert ng.evaluate(potential, data)["moments_mae"] < 400
    with pytest.raises(ValueError, match="a name of its own, a word, got 'moments'"):
        ng.register_quantity(ng.Quantity("moments", "structure", (), "µB", "µB", 1.0))
    with pytest.raises(ValueError, match="a word, got 'two words'"):
        ng.register_quantity(ng.Quantity("two words", "atom", (), "e", "e", 1.0))


@pytest.mark.parametrize(
    ("heads", "error", "message"),
    [
        (["charge"], ValueError, "did you mean 'charges'"),
        ("dipoles", ValueError, "or hand in a class of your own"),
        ([lambda s, f: torch.nn.Linear(f, 1)], TypeError, "what makes a nnmd_graph.Head, got Lin"),
    ],
)
def test_what_is_no_head(heads: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"`heads`: .*{message}"):
        make_heads(heads, 2, 3)


def test_labels_that_are_asked_for_and_not_there() -> None:
    frames = waters(3, quantities=("charges",))
    with pytest.raises(ValueError, match="`quantities`: expected labels of dipole .* under 'dipol"):
        ng.AtomsDataset(frames, 4.0, quantities=["dipole"])
    with pytest.raises(ValueError, match="`quantities`: expected one of .* did you mean 'dipole'"):
        ng.AtomsDataset(frames, 4.0, quantities=["dipol"])
    with pytest.raises(ValueError, match="`quantities`: expected further ones, got 'energy'"):
        ng.AtomsDataset(frames, 4.0, quantities=["energy"])
    frames[1].calc.results["charges"] = np.ones(2)
    with pytest.raises(ValueError, match=r"`charges`: expected shape \[3\] for 3 atoms, got \[2\]"):
        ng.AtomsDataset(frames, 4.0, quantities=["charges"])
    data = ng.AtomsDataset(waters(4), 4.0)
    loss = ng.Loss([ng.LossTerm("energy", 1.0), ng.LossTerm("dipole", 1.0)])
    acsf = ng.ACSF(SPECIES, 4.0, [ng.G2(eta=1.0)])
    with pytest.raises(ValueError, match="`loss`: expected quantities that the potential predicts"):
        ng.Trainer(loss=loss, max_epochs=1).fit(ng.Potential(ng.BPNN(acsf, (4,))), data)


def test_some_frames_lack_them_and_crystals_have_no_dipole_moment() -> None:
    frames = [*waters(2), *waters(2, quantities=("charges",))]
    crystal = bulk("MgO", "rocksalt", a=4.2)
    crystal.symbols = "HO"
    crystal.calc = SinglePointCalculator(
        crystal, energy=0.0, forces=np.zeros((2, 3)), dipole=np.ones(3)
    )
    data = ng.AtomsDataset([*frames, crystal], 4.0, quantities={"dipole": None})
    assert data.has("dipole") == 2
    assert torch.isnan(data[4].dipole).all()
    named = waters(2, quantities=())
    for atoms in named:
        atoms.info["mu"] = [1.0, 2.0, 3.0]
    data = ng.AtomsDataset(named, 4.0, quantities={"dipole": "mu"})
    assert data[0].dipole.tolist() == [[1.0, 2.0, 3.0]]
    assert data[0].to_atoms().get_dipole_moment().tolist() == [1.0, 2.0, 3.0]
