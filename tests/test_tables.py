"""Tables in notebooks: whole, and escaped."""

import ase
import pytest

from nnmd_graph.comparison.potentials import Comparison
from nnmd_graph.data import AtomsDataset
from nnmd_graph.evaluation import Metrics
from nnmd_graph.tables import html_of


@pytest.mark.parametrize("text", ["<b>", "a & b", '"x"', "<script>alert(1)</script>"])
def test_every_text_is_escaped(text: str) -> None:
    page = html_of([text], [[text, text]], text)
    assert text not in page and page.count("&") >= 4


def test_metrics() -> None:
    metrics = Metrics(forces_mae=12.3, forces_rmse=20.0, num_structures=2, num_atoms=7)
    page = metrics._repr_html_()
    assert "<th>forces</th><td>12.3" in page and "meV/Å" in page and "2 structures, 7 atoms" in page


def test_data_sets() -> None:
    page = AtomsDataset([ase.Atoms("CuAu", [[0, 0, 0], [0, 0, 2.5]])], cutoff=3.0)._repr_html_()
    assert "<th>elements</th><td>Cu Au</td>" in page and "<th>with forces</th><td>0</td>" in page


def test_comparisons() -> None:
    rows = [
        {"name": "a<b>", "error": None, "forces_mae": 1.0, "forces_rmse": 2.0},
        {"name": "c", "error": "diverged", "forces_mae": None, "forces_rmse": None},
    ]
    page = Comparison(rows, {"data": "9 structures"})._repr_html_()
    assert "a&lt;b&gt;" in page and "c: diverged" in page and "forces meV/Å MAE" in page
