"""Weights of structures and elements, against sums by hand."""

from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from torch_geometric.data import Batch

from nnmd_graph.data import AtomsDataset
from nnmd_graph.models import Potential
from nnmd_graph.training import EnergyForcesLoss, Trainer
from nnmd_graph.training.metrics import RunningErrors

from .conftest import CUTOFF, Fit, copper, dataset, potential, same_weights

pytestmark = pytest.mark.usefixtures("float64")

WEIGHTS = (0.25, 3.0, 1.0)


def mixed() -> list[Atoms]:
    """Three cells of copper, in which some atoms are called gold; the last one has no weight."""
    frames = copper(3)
    for n, (atoms, weight) in enumerate(zip(frames, WEIGHTS, strict=True)):
        atoms.numbers[:n] = atoms.calc.atoms.numbers[:n] = 79
        if n < 2:
            atoms.info["weight"] = weight
    return frames


@pytest.fixture
def weighted() -> AtomsDataset:
    return dataset(mixed(), weight_key="weight")


def random_output(data: AtomsDataset) -> Any:
    draw = torch.Generator().manual_seed(0)
    shapes = {"energy": (3,), "forces": (12, 3), "stress": (3, 3, 3)}
    return {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}


def by_hand(data: AtomsDataset, out: Any, element_weights: dict[int, float]) -> dict[str, float]:
    """sum w e^2 / sum w, one label at a time."""
    sums = {name: [0.0, 0.0] for name in ("energy", "forces", "stress")}
    for n, (atoms, labels) in enumerate(zip(data.frames, data.labels, strict=True)):
        w = WEIGHTS[n] if labels.weight is not None else 1.0
        errors = [("energy", (float(out["energy"][n]) - labels.energy) / 4, w)]
        for row, col in np.ndindex(3, 3):
            e = float(out["stress"][n, row, col]) - labels.stress[row, col]
            errors.append(("stress", e, w))
        for i, axis in np.ndindex(4, 3):
            e = float(out["forces"][4 * n + i, axis]) - labels.forces[i, axis]
            errors.append(("forces", e, w * element_weights.get(int(atoms.numbers[i]), 1.0)))
        for name, e, weight in errors:
            sums[name][0] += weight * e * e
            sums[name][1] += weight
    return {name: square / weight for name, (square, weight) in sums.items()}


@pytest.mark.parametrize("elements", [{}, {"Au": 5.0}, {29: 0.5, "Au": 2.0}])
@pytest.mark.parametrize("structures", [False, True])
def test_the_loss_is_the_weighted_mean(elements: dict[Any, float], structures: bool) -> None:
    data = dataset(mixed(), weight_key="weight" if structures else None)
    batch, out = Batch.from_data_list(list(data)), random_output(data)
    by_number = {79 if key == "Au" else key: value for key, value in elements.items()}
    means = by_hand(data, out, by_number)
    loss = EnergyForcesLoss(2.0, 3.0, 5.0, element_weights=elements or None)
    expected = 2.0 * means["energy"] + 3.0 * means["forces"] + 5.0 * means["stress"]
    assert float(loss(out, batch)) == pytest.approx(expected, rel=1e-12)
    errors = RunningErrors(loss)  # what the best epoch is chosen by, in batches
    for n, graph in enumerate(data):
        part = {k: v[4 * n : 4 * n + 4] if k == "forces" else v[n : n + 1] for k, v in out.items()}
        errors.add(part, graph)
    assert errors.value() == pytest.approx(expected, rel=1e-12)


def test_steps_in_batches_of_one_keep_the_weights(weighted: AtomsDataset) -> None:
    """Their mean over the set is the weighted mean; each divided by itself would say nothing."""
    out = random_output(weighted)
    loss = EnergyForcesLoss(2.0, 0.0, 5.0).for_training(weighted)
    values = []
    for n, graph in enumerate(weighted):
        part = {"energy": out["energy"][n : n + 1], "stress": out["stress"][n : n + 1]}
        values.append(float(loss.of_step(part, graph)[1]))
    means = by_hand(weighted, out, {})
    expected = 2.0 * means["energy"] + 5.0 * means["stress"]
    assert np.mean(values) == pytest.approx(expected, rel=1e-12)


def test_balanced_elements_count_the_same(weighted: AtomsDataset) -> None:
    """Nine atoms of copper and three of gold, each times the weight of its structure."""
    copper_weight, gold_weight = 4 * 0.25 + 3 * 3.0 + 2 * 1.0, 1 * 3.0 + 2 * 1.0
    loss = EnergyForcesLoss(element_weights="balanced").for_training(weighted)
    assert isinstance(loss.element_weights, dict)
    sums = {29: copper_weight, 79: gold_weight}
    shares = [loss.element_weights[z] * sums[z] for z in (29, 79)]
    assert shares[0] == pytest.approx(shares[1])
    assert sum(shares) == pytest.approx(copper_weight + gold_weight)


def test_balanced_needs_a_training_set(weighted: AtomsDataset) -> None:
    batch, out = Batch.from_data_list(list(weighted)), random_output(weighted)
    with pytest.raises(ValueError, match="call for_training"):
        EnergyForcesLoss(element_weights="balanced")(out, batch)


def test_weights_of_one_change_nothing(fit: Fit) -> None:
    """To the last bit without weights; to rounding with all of them one."""
    frames = copper(8)
    for atoms in frames:
        atoms.info["weight"] = 1.0
    plain, _ = fit(train=dataset(frames))
    assert same_weights(plain, fit()[0])
    ones, _ = fit(train=dataset(frames, weight_key="weight"))
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(ones.state_dict()[name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`frames`. equal structures with unequal labels")
@pytest.mark.parametrize("optimizer", ["adamw", "lbfgs"])
def test_a_heavy_structure_is_fitted_better(optimizer: str) -> None:
    """Two equal cells with different labels, one of which has nearly all of the weight."""
    frames = [copper(1)[0] for _ in range(4)]
    for n, atoms in enumerate(frames):
        atoms.calc.results["energy"] += 0.4 * (-1) ** n
        atoms.info["w"] = 50.0 if n % 2 else 1.0
    data = dataset(frames, weight_key="w")
    model = potential(dtype=torch.float64)
    settings: dict[str, Any] = {"batch_size": 1} if optimizer == "adamw" else {}
    loss = EnergyForcesLoss(1.0, 0.0)
    Trainer(loss=loss, optimizer=optimizer, max_epochs=40, device="cpu", **settings).fit(
        model, data
    )
    errors = [float(model(g)["energy"] - g.energy) for g in data]
    assert abs(errors[1]) < 0.1 and abs(errors[0]) > 0.6


def test_rare_elements_gain_by_balance() -> None:
    loss = EnergyForcesLoss(0.0, 1.0, element_weights="balanced")
    frames = mixed()
    model: Potential = potential(species=("Cu", "Au"), dtype=torch.float64)
    rows = Trainer(loss=loss, max_epochs=2, device="cpu").fit(model, dataset(frames))
    assert len(rows) == 2 and loss.element_weights == "balanced"  # the caller's loss stays


# --------------------------------------------------------------------------------------- reading
def test_weights_are_read_by_name_only(weighted: AtomsDataset) -> None:
    assert [float(graph.weight) for graph in weighted] == [*WEIGHTS[:2], 1.0]
    assert "weight" not in dataset(mixed())[0]
    assert [float(graph.weight) for graph in weighted[[1, 2]]] == [3.0, 1.0]
    assert Batch.from_data_list(list(weighted)).weight.shape == (3,)


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), "heavy", [1.0, 2.0]])
def test_weights_that_make_no_sense_are_refused(weight: Any) -> None:
    frames = mixed()
    frames[1].info["weight"] = weight
    with pytest.raises(ValueError, match=r"`frames\[1\]`: `weight`: expected"):
        AtomsDataset(frames, CUTOFF, weight_key="weight")


def test_a_key_that_no_frame_has_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`weight_key`.*did you mean 'weight'\?"):
        AtomsDataset(mixed(), CUTOFF, weight_key="weigth")


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("balance", TypeError, "expected 'balanced' or weights by element, got 'balance'"),
        ({"Xx": 1.0}, ValueError, "`element_weights`: expected the symbol of an element, got 'Xx'"),
        ({"Cu": 0.0}, ValueError, "expected positive numbers, got 0.0 for 'Cu'"),
        ({"Cu": 1.0, 29: 2.0}, ValueError, "got Cu twice"),
        (3.0, TypeError, "got 3.0"),
    ],
)
def test_element_weights_that_make_no_sense_are_refused(
    given: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        EnergyForcesLoss(element_weights=given)


def test_it_prints_the_weights_of_elements() -> None:
    text = repr(EnergyForcesLoss(element_weights={"Cu": 5.0}))
    assert text == "EnergyForcesLoss(energy=100, forces=1, stress=0, element_weights={29: 5.0})"
