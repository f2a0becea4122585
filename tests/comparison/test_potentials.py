"""`ng.compare` with a data set: rows, files, errors that are rows."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

import nnmd_graph as ng
from nnmd_graph.comparison.cost import peak_memory, time_potentials
from nnmd_graph.comparison.page import cost_table, error_table, nve_table
from nnmd_graph.comparison.plots import front, learning_sizes, pareto
from nnmd_graph.comparison.potentials import text_table

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("float64")]


def frames(count: int = 3) -> list[Atoms]:
    made = []
    for seed in range(count):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=seed)
        forces = np.random.default_rng(seed).normal(size=(4, 3))
        atoms.calc = SinglePointCalculator(atoms, energy=-3.0 - seed, forces=forces)
        made.append(atoms)
    return made


@pytest.fixture
def data() -> ng.AtomsDataset:
    return ng.AtomsDataset(frames(), cutoff=3.0)


def small(element: str = "Cu", cutoff: float = 3.0) -> ng.Potential:
    acsf = ng.ACSF([element], cutoff, [ng.G2(eta=0.1), ng.G2(eta=2.0)])
    return ng.Potential(ng.BPNN(acsf, hidden_channels=(4,)))


def test_the_numbers_are_those_of_evaluate(data: ng.AtomsDataset, tmp_path: Path) -> None:
    potential = small().train()
    potential.save(tmp_path / "b.pt")
    comparison = ng.compare({"a": potential, "b": tmp_path / "b.pt", "c": str(tmp_path)}, data)
    expected = ng.evaluate(potential, data)
    for name in ("a", "b"):
        row = comparison[name]
        for key in ("energy_mae", "energy_rmse", "forces_mae", "forces_rmse"):
            assert row[key] == expected[key]
        assert row["error"] is None and row["us_per_atom"] > 0
        assert row["num_parameters"] == sum(p.numel() for p in potential.parameters())
        assert "stress_mae" not in row  # there are no such labels
    assert "model.pt" in comparison["c"]["error"]  # a folder is that of a run
    assert potential.training  # as it was
    with pytest.raises(KeyError, match="expected one of"):
        comparison["d"]


def test_graphs_have_the_cutoff_of_the_model(data: ng.AtomsDataset) -> None:
    near, far = small(), small(cutoff=4.5)
    comparison = ng.compare({"near": near, "far": far}, data)
    expected = ng.evaluate(far, ng.AtomsDataset(frames(), cutoff=4.5))
    assert comparison["far"]["forces_mae"] == pytest.approx(expected["forces_mae"], rel=1e-12)
    assert comparison["near"]["forces_mae"] == ng.evaluate(near, data)["forces_mae"]


def test_labels_of_other_names_are_those_of_every_model() -> None:
    named = frames()
    for atoms in named:
        atoms.info["dft"] = 2.0 * atoms.get_potential_energy()
    data = ng.AtomsDataset(named, cutoff=3.0, energy_key="dft")
    far = small(cutoff=4.5)
    comparison = ng.compare({"far": far, "single": small().float()}, data)
    expected = ng.evaluate(far, ng.AtomsDataset(named, cutoff=4.5, energy_key="dft"))
    assert comparison["far"]["energy_mae"] == pytest.approx(expected["energy_mae"], rel=1e-12)
    assert comparison["single"]["error"] is None


def test_an_error_is_a_row(data: ng.AtomsDataset, tmp_path: Path) -> None:
    (tmp_path / "cut.pt").write_text("no model")
    models = {
        "silver": small("Ag"),
        "good": small(),
        "cut": tmp_path / "cut.pt",
        "missing": "missing.pt",
    }
    comparison = ng.compare(models, data)
    assert [row["name"] for row in comparison.rows] == list(models)
    assert "got Cu" in comparison["silver"]["error"]
    assert "damaged or foreign" in comparison["cut"]["error"]
    assert "FileNotFoundError" in comparison["missing"]["error"]
    assert comparison["good"]["error"] is None
    for text in ("silver   ValueError", "meV/atom", "meV/Å", "µs/atom", "3 structures, 12 atoms"):
        assert text in str(comparison)


def test_files(data: ng.AtomsDataset, tmp_path: Path) -> None:
    comparison = ng.compare({"a": small(), "silver": small("Ag")}, data)
    values = json.loads(comparison.to_json(tmp_path / "c.json").read_text(encoding="utf-8"))
    assert values["rows"] == comparison.rows and "data" in values["facts"]
    with comparison.to_csv(tmp_path / "c.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["forces_mae"]) == comparison["a"]["forces_mae"]
    assert rows[1]["forces_mae"] == "" and "got Cu" in rows[1]["error"]


def test_a_prediction_of_nan_is_an_error_and_no_json_of_nan(
    data: ng.AtomsDataset, tmp_path: Path
) -> None:
    potential = small()
    with torch.no_grad():
        for parameter in potential.parameters():
            parameter.fill_(torch.nan)
    comparison = ng.compare({"a": potential}, data)
    assert "expected finite energies and forces" in comparison["a"]["error"]
    assert "structure 0" in comparison["a"]["error"]
    comparison["a"]["forces_mae"] = float("nan")
    text = comparison.to_json(tmp_path / "c.json").read_text()
    assert "NaN" not in text and json.loads(text)["rows"][0]["forces_mae"] is None


@pytest.mark.parametrize(
    ("models", "error", "message"),
    [
        ({}, ValueError, "`models`: expected a potential or more"),
        ([], TypeError, "`models`: expected potentials by name, got list"),
        ({"a": 3}, TypeError, r"`models\['a'\]`: expected a Potential or the name of its file"),
    ],
)
def test_wrong_models(
    models: Any, error: type[Exception], message: str, data: ng.AtomsDataset
) -> None:
    with pytest.raises(error, match=message):
        ng.compare(models, data)


def test_wrong_data(data: ng.AtomsDataset) -> None:
    with pytest.raises(TypeError, match="`dataset`: expected an AtomsDataset, got list"):
        ng.compare({"a": small()}, frames())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`dataset`: expected one structure or more"):
        ng.compare({"a": small()}, data[:0])
    unlabelled = ng.AtomsDataset([bulk("Cu")], cutoff=3.0)
    with pytest.raises(ValueError, match="expected labels to compare with"):
        ng.compare({"a": small()}, unlabelled)
    with pytest.raises(ValueError, match="expected a data set to evaluate the potentials on"):
        ng.compare({"a": small()})
    with pytest.raises(ValueError, match="`output`, `only`, `resume`, `overwrite`"):
        ng.compare({"a": small()}, data, resume=True)


# ---------------------------------------------------------------------------------------- cost
def test_twice_the_work_takes_twice_the_time_or_so() -> None:
    class Twice(ng.Potential):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            for _ in range(20):
                super().forward(*args, **kwargs)
            return super().forward(*args, **kwargs)

    once, often = small().eval(), Twice(small().model).eval()
    times = time_potentials({"once": once, "often": often}, frames(), rounds=3)
    assert 3 * times["once"] < times["often"]


def test_memory_is_that_of_the_block() -> None:
    with peak_memory() as before:
        pass
    with peak_memory() as during:
        np.ones(25_000_000)  # 200 MB, gone when the block ends
    with peak_memory() as after:
        pass
    if before.megabytes is None or during.megabytes is None or after.megabytes is None:
        pytest.skip("this system does not tell")
    assert 150 < during.megabytes - before.megabytes < 250
    assert abs(after.megabytes - before.megabytes) < 50


# -------------------------------------------------------------------------------------- tables
def row(name: str, mae: float, time: float, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "error": None,
        "num_seeds": 2,
        "forces_mae": mae,
        "forces_mae_std": 0.1 * mae,
        "forces_rmse": 2 * mae,
        "forces_rmse_std": None,
        "us_per_atom": time,
        "num_parameters": 7,
    } | more


ROWS = [
    row("fast", 40.0, 100.0, nve_drift=-0.02, nve_largest=0.3),
    row("slow", 8.0, 1000.0, nve_drift=None, nve_error="UnstableError: <hot>"),
    row("worse", 60.0, 500.0, error="seed 1: DivergedError: NaN"),
    {"name": "broken", "error": "DivergedError: NaN", "num_seeds": 0},
]


def test_the_table_of_text() -> None:
    head, below, *lines = text_table(ROWS)
    assert head.strip() == "forces meV/Å"
    assert below.split()[:3] == ["model", "MAE", "RMSE"]
    assert lines[0].split()[:5] == ["fast", "40.0", "±", "4.00", "80.0"]
    assert lines[3] == "broken  DivergedError: NaN"
    assert head.rindex("Å") == below.index("RMSE") + 3  # the head ends where its columns do


def test_the_best_is_bold() -> None:
    table = error_table(ROWS)
    assert "<b>8.00 ± 0.800</b>" in table and table.count("<b>") == 2
    assert 'colspan="3">DivergedError: NaN' in table
    assert "seed 1: DivergedError" in table
    costs = cost_table(ROWS)
    assert "<b>100</b>" in costs and "<td>10.00</td>" in costs and "broken" not in costs
    drift = nve_table(ROWS)
    assert "<b>-0.02</b>" in drift and "UnstableError: &lt;hot&gt;" in drift


def test_the_front() -> None:
    cost = np.array([5.0, 1.0, 3.0, 3.0, 9.0])
    error = np.array([1.0, 4.0, 2.0, 3.0, 1.0])
    assert front(cost, error) == [1, 2, 0]


def test_plots_of_what_is_there() -> None:
    figure = pareto(ROWS)
    assert figure is not None
    (axes,) = figure.axes
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert axes.lines[0].get_xdata().tolist() == [100.0, 1000.0]  # the front
    assert pareto([ROWS[3]]) is None
    points = [r | {"num_train": n} for r in ROWS for n in (10, 100)]
    drawn = learning_sizes(points, [r["name"] for r in ROWS])
    assert drawn is not None
    assert [tick.get_text() for tick in drawn.axes[0].get_xticklabels()] == ["10", "100"]
    assert learning_sizes([], ["a"]) is None
