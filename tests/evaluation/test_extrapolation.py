"""Extrapolation over a data set: counts in the metrics, the worst on the page."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ase import Atoms

from nnmd_graph.data import AtomsDataset
from nnmd_graph.evaluation import evaluate, predict, write_report
from nnmd_graph.graph import AtomicGraph
from nnmd_graph.models import Potential
from nnmd_graph.nn.species import species_ids

MakeDataset = Callable[[list[Atoms]], AtomsDataset]
COUNTS = ("num_extrapolations", "num_extrapolating_atoms", "num_extrapolating_structures")


@pytest.fixture
def knowing(potential: Potential, dataset: AtomsDataset) -> Potential:
    """A potential that knows the first three structures."""
    for n in range(3):
        graph = dataset[n]
        x = potential.model.representation(graph)
        potential.model.ranges.fit(x, species_ids(graph.z, potential.species))
    return potential


def test_nothing_is_said_where_the_ranges_are_unknown(
    potential: Potential, dataset: AtomsDataset
) -> None:
    metrics = evaluate(potential, dataset)
    assert not [key for key in metrics if "extrapolat" in key]
    assert "extrapolation" not in str(metrics) and "unknown" in metrics.extrapolation()
    assert predict(potential, dataset).extrapolation is None


@pytest.mark.parametrize("batch_size", [None, 1, 4])
def test_counts_are_those_of_single_structures(
    batch_size: int | None, knowing: Potential, dataset: AtomsDataset
) -> None:
    singles = [
        knowing.extrapolation(AtomicGraph.from_atoms(atoms, knowing.cutoff, dtype=torch.float64))
        for atoms in dataset.frames
    ]
    predictions = predict(knowing, dataset, batch_size=batch_size)
    report = predictions.extrapolation
    assert report is not None
    assert report.per_structure.tolist() == [len(single) for single in singles]
    assert report.per_structure[:3].tolist() == [0, 0, 0] and report.per_structure[-1] > 0
    assert [(o.atom, o.feature) for o in report] == [
        (o.atom, o.feature) for single in singles for o in single
    ]
    metrics = evaluate(knowing, dataset, batch_size=batch_size)
    assert [metrics[key] for key in COUNTS] == [
        len(report),
        sum(single.num_extrapolating_atoms for single in singles),
        sum(len(single) > 0 for single in singles),
    ]
    assert f"{len(report)} extrapolations: " in str(metrics)
    assert len(metrics["worst_extrapolations"]) == min(10, len(report))


def test_training_structures_have_none(
    knowing: Potential, frames: list[Atoms], make_dataset: MakeDataset
) -> None:
    metrics = evaluate(knowing, make_dataset(frames[:3]))
    assert [metrics[key] for key in COUNTS] == [0, 0, 0]
    assert metrics["worst_extrapolations"] == []
    assert str(metrics).endswith("within the range of the training set")


def test_groups_have_their_own_counts(knowing: Potential, dataset: AtomsDataset) -> None:
    metrics = evaluate(knowing, dataset, groups="config_type")
    for key in COUNTS:
        assert sum(group[key] for group in metrics["groups"].values()) == metrics[key]
    assert metrics["groups"]["molecule"]["num_extrapolating_structures"] == 1


def test_the_page_shows_the_worst_and_json_takes_all(
    knowing: Potential, dataset: AtomsDataset, tmp_path: Path
) -> None:
    metrics = evaluate(knowing, dataset)
    assert json.loads(metrics.write(tmp_path / "metrics.json").read_text()) == metrics
    assert "Infinity" not in (tmp_path / "metrics.json").read_text()
    text = write_report(tmp_path, metrics={"test": metrics}).read_text()
    worst = metrics["worst_extrapolations"][0]
    assert metrics.extrapolation() in text and worst["function"] in text
    assert f"<td>{worst['value']:.4g}</td>" in text


def test_predictions_are_the_same_with_ranges(
    potential: Potential, dataset: AtomsDataset, knowing: Potential
) -> None:
    before = knowing.model.ranges
    metrics = evaluate(knowing, dataset)
    knowing.model.ranges = None
    plain = evaluate(knowing, dataset)
    knowing.model.ranges = before
    assert {key: metrics[key] for key in plain} == plain
