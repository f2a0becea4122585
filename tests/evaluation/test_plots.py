"""Plots: the right panels with the right numbers and units, and files that are pictures."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from nnmd_graph.data import AtomsDataset
from nnmd_graph.evaluation import (
    Predictions,
    energy_drift,
    error_histogram,
    learning_curves,
    parity,
    predict,
)
from nnmd_graph.models import Potential

pytestmark = pytest.mark.slow

PNG = b"\x89PNG"


def many(num_structures: int = 50, size: int = 40) -> Predictions:
    rng = np.random.default_rng(0)
    num_atoms = num_structures * size
    shapes = {
        "energy": (num_structures,),
        "forces": (num_atoms, 3),
        "stress": (num_structures, 3, 3),
    }
    arrays = {}
    for kind, shape in shapes.items():
        arrays[f"{kind}_ref"] = rng.normal(size=shape)
        arrays[f"{kind}_pred"] = arrays[f"{kind}_ref"] + rng.normal(scale=0.05, size=shape)
    return Predictions(
        num_atoms=np.full(num_structures, size),
        z=np.tile([29, 8], num_atoms // 2),
        **arrays,
    )


def titles(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def words(figure: Figure) -> str:
    """Every text in a figure."""
    parts = []
    for axes in figure.axes:
        parts += [axes.get_xlabel(), axes.get_ylabel(), *(text.get_text() for text in axes.texts)]
        legend = axes.get_legend()
        parts += [text.get_text() for text in legend.get_texts()] if legend else []
    return " ".join(parts)


def test_parity_has_panels_units_and_errors(
    potential: Potential, dataset: AtomsDataset, tmp_path: Path
) -> None:
    path = tmp_path / "plots" / "parity.png"
    figure = parity(predict(potential, dataset), path, title="Test set")
    assert path.read_bytes().startswith(PNG)
    assert titles(figure) == ["Energy", "Forces", "Stress"]
    for part in ("eV/atom", "eV/Å", "eV/Å³", "meV/atom", "MAE", "RMSE"):
        assert part in words(figure)
    for axes in figure.axes:
        assert axes.get_xlim() == axes.get_ylim()


def test_kinds_without_labels_have_no_panel() -> None:
    predictions = many()
    bare = dataclasses.replace(predictions, stress_ref=np.full_like(predictions.stress_ref, np.nan))
    assert titles(parity(bare)) == ["Energy", "Forces"]
    assert titles(error_histogram(bare)) == ["Energy", "Forces"]


def test_many_points_are_a_density_that_holds_each_of_them() -> None:
    predictions = many()
    panels = [axes for axes in parity(predictions).axes if axes.get_title() == "Forces"]
    (density,) = panels[0].collections[:1]
    assert density.get_array().sum() == predictions.forces_ref.size


@pytest.mark.parametrize("draw", [parity, error_histogram])
def test_nan_predictions_and_single_points_are_drawn(draw: object, tmp_path: Path) -> None:
    predictions = many(num_structures=1, size=2)
    broken = dataclasses.replace(predictions, energy_pred=np.array([np.nan]))
    for each in (predictions, broken):
        draw(each, tmp_path / "plot.png")  # type: ignore[operator]
    exact = {f"{kind}_pred": getattr(predictions, f"{kind}_ref") for kind in ("energy", "forces")}
    draw(dataclasses.replace(predictions, **exact), tmp_path / "plot.png")  # type: ignore[operator]


def test_histogram_tells_elements_apart(tmp_path: Path) -> None:
    figure = error_histogram(many(), tmp_path / "histogram.svg")
    assert "Cu" in words(figure) and "O" in words(figure)
    assert "meV/Å" in words(figure)
    assert (tmp_path / "histogram.svg").read_text().startswith("<?xml")


LOG = """epoch,seconds,train_loss,val_loss,val_energy_mae,val_energy_rmse,val_forces_mae
1,0.5,10.0,12.0,50.0,60.0,200.0
2,1.0,1.0,2.0,5.0,6.0,20.0
3,1.5,0.5,3.0,,,
"""


def test_learning_curves_of_a_log(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(LOG)
    figure = learning_curves(tmp_path / "log.csv", tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(PNG)
    assert titles(figure) == ["Loss", "Energy", "Forces"]
    assert all(axes.get_yscale() == "log" for axes in figure.axes)
    assert "best epoch, 2" in words(figure)
    assert "training validation" in words(figure) and "validation MAE" in words(figure)


def test_bad_logs(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="`log_csv`"):
        learning_curves(tmp_path / "none.csv")
    for text in ("", "epoch,train_loss\n", "a,b\n1,2\n"):
        (tmp_path / "log.csv").write_text(text)
        with pytest.raises(ValueError, match="`log_csv`: expected the log"):
            learning_curves(tmp_path / "log.csv")


def test_energy_drift_measures_the_slope_per_atom(tmp_path: Path) -> None:
    time = np.linspace(0, 20_000, 201)  # fs
    energy = -100.0 + 1e-3 * 32 * time / 20_000  # 1 meV/atom over the run
    figure = energy_drift(
        time, energy, 32, tmp_path / "drift.png", temperature=np.full(201, 300.0), title="NVE"
    )
    assert "drift +1 meV/atom in 20 ps" in words(figure)
    assert titles(figure) == ["Total energy", "Temperature"]
    assert "meV/atom" in words(figure) and "time, ps" in words(figure)
    assert titles(energy_drift(time, energy, 32)) == ["Total energy"]


@pytest.mark.parametrize("time", [[0.0], [0.0, 1.0, 2.0]])
def test_bad_runs(time: list[float]) -> None:
    with pytest.raises(ValueError, match="`time`: expected two or more samples"):
        energy_drift(time, [0.0] * min(len(time), 2), 1)
