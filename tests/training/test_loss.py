"""The loss against hand computations; missing labels count for nothing."""

from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from torch_geometric.data import Batch

from nnmd_graph.data import AtomsDataset
from nnmd_graph.graph import AtomicGraph
from nnmd_graph.training import EnergyForcesLoss
from nnmd_graph.training.loss import Loss, LossTerm, num_atoms

from .conftest import CUTOFF, potential

pytestmark = pytest.mark.usefixtures("float64")


def labelled(num_cells: int, **labels: Any) -> Atoms:
    atoms = bulk("Cu", a=3.6) * (num_cells, 1, 1)
    atoms.calc = SinglePointCalculator(atoms, **labels)
    return atoms


@pytest.fixture
def batch() -> Batch:
    """Two atoms with all labels, one with an energy only, three with forces only."""
    forces = np.arange(6.0).reshape(2, 3)
    frames = [
        labelled(2, energy=3.0, forces=forces, stress=[1.0, 2.0, 3.0, 0.5, 0.25, 0.125]),
        labelled(1, energy=-1.0),
        labelled(3, forces=np.ones((3, 3))),
    ]
    with pytest.warns(UserWarning, match="1 have no energy .*1 have no forces .*2 have no stress"):
        dataset = AtomsDataset(frames, CUTOFF)
    return Batch.from_data_list(list(dataset))


@pytest.fixture
def out() -> dict[str, torch.Tensor]:
    return {
        "energy": torch.tensor([4.0, 1.0, 7.0], requires_grad=True),
        "atomic_energy": torch.zeros(6),
        "forces": torch.zeros(6, 3, requires_grad=True),
        "stress": torch.zeros(3, 3, 3, requires_grad=True),
    }


# ((4 - 3) / 2)^2 and (1 - -1)^2 over two energies; 0 + 1 + 4 + ... + 25 and nine ones over 15 force
# components; 1 + 4 + 9 + 2 (1/4 + 1/16 + 1/64) over nine stress components.
ENERGY, FORCES, STRESS = 4.25 / 2, 64.0 / 15, 14.65625 / 9


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ((1.0, 0.0, 0.0), ENERGY),
        ((0.0, 1.0, 0.0), FORCES),
        ((0.0, 0.0, 1.0), STRESS),
        ((2.0, 3.0, 5.0), 2 * ENERGY + 3 * FORCES + 5 * STRESS),
    ],
)
def test_means_run_over_the_labels_that_are_there(
    batch: Batch, out: Any, weights: tuple[float, float, float], expected: float
) -> None:
    loss = EnergyForcesLoss(*weights)(out, batch)
    assert loss.item() == pytest.approx(expected, rel=1e-14)


def test_the_gradient_is_finite_and_zero_where_labels_are_missing(batch: Batch, out: Any) -> None:
    EnergyForcesLoss(1.0, 1.0, 1.0)(out, batch).backward()
    expected = torch.tensor([2 * 0.5 / 2 / 2, 2 * 2.0 / 2, 0.0])
    torch.testing.assert_close(out["energy"].grad, expected)
    assert (out["forces"].grad[2] == 0.0).all()  # the atom without forces
    assert (out["forces"].grad[3:] != 0.0).all()
    assert (out["stress"].grad[1:] == 0.0).all()
    assert all(torch.isfinite(out[term].grad).all() for term in ("energy", "forces", "stress"))


def test_the_gradient_by_weights_is_finite_with_missing_labels(batch: Batch) -> None:
    model = potential(dtype=torch.float64).train()
    loss = EnergyForcesLoss(1.0, 1.0, 1.0)
    loss(model(batch), batch).backward()
    gradients = [p.grad for p in model.parameters()]
    assert all(g is not None and torch.isfinite(g).all() for g in gradients)
    assert any((g != 0.0).any() for g in gradients if g is not None)


def test_a_prediction_that_is_no_number_is_not_taken_for_a_missing_label(
    batch: Batch, out: Any
) -> None:
    out["energy"] = torch.tensor([torch.nan, 1.0, 1.0])
    assert torch.isnan(EnergyForcesLoss()(out, batch))


def test_a_batch_without_any_wanted_label_has_loss_zero(batch: Batch, out: Any) -> None:
    batch.energy = torch.full((3,), torch.nan)
    loss = EnergyForcesLoss(1.0, 0.0, 0.0)(out, batch)
    loss.backward()
    assert loss.item() == 0.0
    assert (out["energy"].grad == 0.0).all()


def test_a_graph_without_label_fields_is_refused(batch: Batch, out: Any) -> None:
    for term in ("energy", "forces", "stress"):
        del batch[term]
    with pytest.raises(ValueError, match=r"`loss`: expected terms .* check the energy, forces"):
        EnergyForcesLoss()(out, batch)


def test_all_electron_energies_keep_their_millielectronvolts() -> None:
    """In float32 an energy of -180000 eV is rounded to 16 meV."""
    graph = AtomsDataset([labelled(4, energy=-180000.003)], CUTOFF, dtype=torch.float32)[0]
    out: Any = {"energy": torch.tensor([-180000.0], dtype=torch.float64)}
    loss = EnergyForcesLoss(1.0, 0.0, 0.0)(out, graph)
    assert float(loss) == pytest.approx((0.003 / 4) ** 2, rel=1e-6)


def test_number_of_atoms(batch: Batch) -> None:
    assert num_atoms(batch).tolist() == [2, 1, 3]


@pytest.mark.parametrize("name", ["energy", "forces", "stress"])
@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_weights_that_make_no_sense_are_refused(name: str, weight: float) -> None:
    with pytest.raises(ValueError, match=f"`{name}`: expected a weight of at least zero"):
        EnergyForcesLoss(**{name: weight})


def test_a_loss_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one of them above zero"):
        EnergyForcesLoss(0.0, 0.0, 0.0)


def test_it_prints_its_weights() -> None:
    assert repr(EnergyForcesLoss()) == "EnergyForcesLoss(energy=100, forces=1, stress=0)"


def test_the_energy_weighs_more_as_the_learning_rate_falls(
    batch: Batch, out: dict[str, torch.Tensor]
) -> None:
    loss = EnergyForcesLoss(20.0, 1.0, energy_start=2.0)
    assert repr(loss) == "EnergyForcesLoss(energy=20, forces=1, stress=0, energy_start=2)"
    weights = [loss.energy_weight(decay) for decay in (1.0, 0.5, 0.1, 0.01)]
    assert weights == pytest.approx([2.0, 4.0, 20.0, 20.0])
    assert EnergyForcesLoss(20.0, 4.0).energy_weight(0.5) == 8.0
    assert EnergyForcesLoss(20.0, 0.0).energy_weight(0.5) == 20.0  # no forces to wait for
    assert not EnergyForcesLoss(1.0, 10.0).grows
    assert EnergyForcesLoss(0.0, energy_start=2.0).energy_weight(0.5) == 0.0
    descended, value = loss.of_step(out, batch, 4.0)
    assert descended.item() == pytest.approx(4.0 * ENERGY + FORCES)
    assert value.item() == pytest.approx(20.0 * ENERGY + FORCES)
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="`energy_start`: expected a weight above zero"):
            EnergyForcesLoss(energy_start=wrong)


# ---------------------------------------------------------------------------------------- terms
@pytest.mark.parametrize("error", ["square", "huber", "absolute"])
def test_each_kind_of_error_against_a_loop(error: str) -> None:
    given = [0.0, 0.05, -0.2, 3.0]
    term = LossTerm("forces", 2.0, error=error, delta=0.1)
    out = {"forces": torch.tensor(given, dtype=torch.float64).repeat(3, 1).T}
    graph = AtomicGraph(forces=torch.zeros(4, 3, dtype=torch.float64), pos=torch.zeros(4, 3))
    graph.cell = torch.zeros(1, 3, 3)
    values = {
        "square": [e**2 for e in given],
        "absolute": [abs(e) for e in given],
        "huber": [e**2 if abs(e) < 0.1 else 0.1 * (2 * abs(e) - 0.1) for e in given],
    }[error]
    loss = Loss([term])
    assert loss(out, graph).item() == pytest.approx(2.0 * sum(values) / 4)
    assert loss.settings() == {"loss": {"forces": 2.0}} | (
        {} if error == "square" else {"loss_errors": {"forces": [error, 0.1]}}
    )


def test_the_short_form_is_a_loss_of_squares() -> None:
    short = EnergyForcesLoss(energy=3.0, forces=2.0, stress=0.5)
    terms = [LossTerm("energy", 3.0), LossTerm("forces", 2.0), LossTerm("stress", 0.5)]
    assert isinstance(short, Loss) and list(short.terms.values()) == terms
    assert Loss(terms).settings() == short.settings()
    assert Loss(terms).energy_start == short.energy_start == 2.0
    assert not Loss([LossTerm("forces", 1.0)]).grows


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: LossTerm("force", 1.0), ValueError, "did you mean 'forces'"),
        (lambda: LossTerm("forces", -1.0), ValueError, "`forces`: expected a weight"),
        (lambda: LossTerm("forces", 1.0, error="l1"), ValueError, "`error`: expected one of"),
        (lambda: LossTerm("forces", 1.0, delta=0.0), ValueError, "`delta`: expected a positive"),
        (lambda: Loss([("forces", 1.0)]), TypeError, "`terms`: expected LossTerms, got tuple"),
        (lambda: Loss([LossTerm("forces", 1.0)] * 2), ValueError, "'forces' twice"),
        (lambda: Loss([]), ValueError, "`terms`: expected one of them above zero"),
        (lambda: Loss([LossTerm("energy", 0.0), LossTerm("dipole", 0.0)]), ValueError,
         "`energy` and `dipole`: expected one of them above zero"),
    ],
)  # fmt: skip
def test_terms_that_are_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
