"""Plots of errors, training and MD. Each returns its `Figure`, and writes it where a path is given.

Figures are made without pyplot, so no window opens, nothing piles up in memory, and the style of
the user's own plots is left alone.
"""

from __future__ import annotations

import contextlib
import csv
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter
from numpy.typing import ArrayLike

from nnmd_graph.errors import reason
from nnmd_graph.evaluation.metrics import Metrics, number
from nnmd_graph.evaluation.predictions import Array, Predictions
from nnmd_graph.files import replacing
from nnmd_graph.quantities import QUANTITIES
from nnmd_graph.units import MEV

# Distinguishable for the colour-blind (Okabe and Ito).
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
GREY = "#777777"
POINTS_FOR_DENSITY = 3000  # above this many, points hide each other
FS_PER_PS = 1000.0


def parity(
    predictions: Predictions, path: str | os.PathLike[str] | None = None, *, title: str = ""
) -> Figure:
    """Draw predictions against labels: energy per atom, force components, stress components.

    Kinds without labels have no panel; many points are drawn as a density.

    Args:
        predictions: what `predict` gave.
        path: image to write (.png, .pdf, .svg), or None.
        title: a line above the panels.

    Raises:
        ValueError: there is not one label.
    """
    metrics = Metrics.of(predictions)
    figure, panels = new_figure(_kinds(metrics), title)
    for kind, axes in panels.items():
        reference, predicted = _labelled(predictions, kind)
        _draw_parity(figure, axes, reference, predicted)
        quantity = QUANTITIES[kind]
        axes.set_xlabel(f"reference, {quantity.axis_unit}")
        axes.set_ylabel(f"predicted, {quantity.axis_unit}")
        mae, rmse = metrics[f"{kind}_mae"], metrics[f"{kind}_rmse"]
        text = (
            f"MAE   {number(mae)} {quantity.shown_unit}\nRMSE {number(rmse)} {quantity.shown_unit}"
        )
        axes.text(0.05, 0.95, text, transform=axes.transAxes, va="top", fontsize=9)
    return written(figure, path)


def error_histogram(
    predictions: Predictions, path: str | os.PathLike[str] | None = None, *, title: str = ""
) -> Figure:
    """Draw the distribution of the errors with a logarithmic count, which shows the tails.

    Force errors are drawn apart for each element. Arguments and errors as for `parity`.
    """
    figure, panels = new_figure(_kinds(Metrics.of(predictions)), title)
    for kind, axes in panels.items():
        if kind == "forces":
            series = _force_errors(predictions)
        else:
            reference, predicted = _labelled(predictions, kind)
            series = {"": (predicted - reference) / QUANTITIES[kind].shown_size}
        _draw_histograms(axes, series)
        axes.set_xlabel(f"predicted - reference, {QUANTITIES[kind].shown_unit}")
        whole = QUANTITIES[kind].shape == ()
        axes.set_ylabel(f"{QUANTITIES[kind].of}s" if whole else "components")
    return written(figure, path)


def learning_curves(
    log_csv: str | os.PathLike[str] | Sequence[Mapping[str, float]],
    path: str | os.PathLike[str] | None = None,
    *,
    title: str = "",
) -> Figure:
    """Draw the losses and validation errors of a training run over its epochs.

    Args:
        log_csv: the `log.csv` that a `Trainer` writes, or the history that its `fit` returns;
            columns that are empty are left out.
        path: image to write, or None.
        title: a line above the panels.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: there are no epochs, or it is not such a log.
        TypeError: it is neither the name of a file nor a history.
    """
    is_file = isinstance(log_csv, (str, os.PathLike))
    # mypy does not narrow the type in the other branch by `is_file`
    log = read_log(Path(log_csv)) if is_file else _columns(log_csv)  # type: ignore[arg-type]
    groups = {
        "Loss": ("loss", ("train_loss", "val_loss")),
        **{
            q.title: (q.shown_unit, (f"val_{q.name}_mae", f"val_{q.name}_rmse"))
            for q in QUANTITIES.values()
        },
    }
    # The axes are logarithmic, so a column is drawn only if it has a positive number.
    positive = {name for name, column in log.items() if (column > 0).any()}
    drawn = {
        name: (label, [column for column in columns if column in positive])
        for name, (label, columns) in groups.items()
        if positive.intersection(columns)
    }
    figure, panels = new_figure(list(drawn), title)
    for name, axes in panels.items():
        label, columns = drawn[name]
        for column, color in zip(columns, COLORS, strict=False):
            values = np.where(log[column] > 0, log[column], np.nan)
            axes.plot(log["epoch"], values, color=color, lw=1.6, label=_words(column))
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")  # 40 rather than 4 x 10^1
        axes.yaxis.set_minor_formatter(LogFormatter())
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        if "val_loss" in log and np.isfinite(log["val_loss"]).any():
            best = log["epoch"][np.nanargmin(log["val_loss"])]
            axes.axvline(best, color=GREY, lw=1, ls=":", label=f"best epoch, {best:.0f}")
        axes.legend(frameon=False, fontsize=9)
    return written(figure, path)


def _columns(history: object) -> dict[str, Array]:
    """The rows that `Trainer.fit` returns as columns; NaN where a row has no number."""
    rows = list(history) if isinstance(history, Sequence) else None
    if rows is None or not all(isinstance(row, Mapping) for row in rows):
        raise TypeError(
            "`log_csv`: expected the name of a log.csv, or the history that `Trainer.fit` returns, "
            f"got {type(history).__name__}; write learning_curves(history)"
        )
    if not rows or not all({"epoch", "train_loss"} <= row.keys() for row in rows):
        raise ValueError(
            "`log_csv`: expected the history of a training run, rows with epoch, train_loss, ..., "
            f"got {len(rows)} rows{' without them' if rows else ''}; train for an epoch or more"
        )
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: np.array([row.get(name, np.nan) for row in rows], float) for name in names}


@contextlib.contextmanager
def numbers_first(what: str) -> Iterator[None]:
    """Draw a plot; failure is a warning only, as the results are already written.

    Args:
        what: the image, for the warning.
    """
    try:
        yield
    except Exception as error:
        text = f"{type(error).__name__}: {reason(error)}"
        warnings.warn(
            f"`{what}` could not be drawn ({text}); the numbers are not affected", stacklevel=3
        )


def energy_drift(
    time: ArrayLike,
    total_energy: ArrayLike,
    num_atoms: int,
    path: str | os.PathLike[str] | None = None,
    *,
    temperature: ArrayLike | None = None,
    title: str = "",
) -> Figure:
    """Draw the total energy of an NVE run, with its drift as a straight line.

    Args:
        time: time of each sample, fs, [T].
        total_energy: potential and kinetic energy of the system, eV, [T].
        num_atoms: number of atoms of the system.
        path: image to write, or None.
        temperature: K, [T], for a second panel.
        title: a line above the panels.

    Raises:
        ValueError: fewer than two samples, or arrays of different lengths.
    """
    t = np.asarray(time, dtype=float) / FS_PER_PS
    energy = np.asarray(total_energy, dtype=float)
    heat = None if temperature is None else np.asarray(temperature, dtype=float)
    shapes = {t.shape, energy.shape, t.shape if heat is None else heat.shape}
    if len(shapes) > 1 or t.ndim != 1 or len(t) < 2:
        raise ValueError(
            "`time`: expected two or more samples, as many as of the energy and temperature, "
            f"got shapes {sorted(shapes)}; sample all in one place"
        )
    per_atom = (energy - energy[0]) / num_atoms / MEV
    slope, start = np.polyfit(t, per_atom, 1)
    names = ["Total energy"] if heat is None else ["Total energy", "Temperature"]
    figure, panels = new_figure(names, title, width=5.2)
    axes = panels["Total energy"]
    axes.plot(t, per_atom, color=COLORS[0], lw=1)
    label = f"drift {slope * (t[-1] - t[0]):+.3g} meV/atom in {t[-1] - t[0]:.3g} ps"
    axes.plot(t, start + slope * t, color=COLORS[1], lw=1.6, label=label)
    axes.set_ylabel("change, meV/atom")
    axes.legend(frameon=False, fontsize=9)
    if heat is not None:
        panels["Temperature"].plot(t, heat, color=COLORS[0], lw=1)
        panels["Temperature"].set_ylabel("temperature, K")
    for each in panels.values():
        each.set_xlabel("time, ps")
    return written(figure, path)


def new_figure(
    names: list[str], title: str = "", width: float = 4.0
) -> tuple[Figure, dict[str, Axes]]:
    """A row of panels with the given titles."""
    figure = Figure(figsize=(width * len(names), 4.0), dpi=150, layout="constrained")
    row = figure.subplots(1, len(names), squeeze=False)[0]
    for axes, name in zip(row, names, strict=True):
        axes.set_title(QUANTITIES[name].title if name in QUANTITIES else name, fontsize=11)
        axes.tick_params(labelsize=9, direction="in")
        axes.grid(True, color="#e6e6e6", lw=0.6)
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    if title:
        figure.suptitle(title, fontsize=12)
    return figure, dict(zip(names, row, strict=True))


def _draw_parity(figure: Figure, axes: Axes, reference: Array, predicted: Array) -> None:
    points = np.concatenate([reference, predicted])
    points = points[np.isfinite(points)]  # a diverged model predicts NaN, and gets a plot
    low, high = points.min(), points.max()
    margin = 0.04 * (high - low) or 0.5
    limits = (low - margin, high + margin)
    if len(reference) > POINTS_FOR_DENSITY:
        extent = (*limits, *limits)
        density = axes.hexbin(
            reference, predicted, gridsize=70, extent=extent, norm=LogNorm(), mincnt=1,
            cmap="viridis", linewidths=0.1,
        )  # fmt: skip
        bar = figure.colorbar(density, ax=axes, fraction=0.046, pad=0.02)
        bar.ax.tick_params(labelsize=8)
        bar.set_label("points", fontsize=8)
    else:
        axes.scatter(reference, predicted, s=9, color=COLORS[0], alpha=0.5, linewidths=0)
    axes.plot(limits, limits, color=GREY, lw=0.9, ls="--", zorder=3)
    axes.set_xlim(limits)
    axes.set_ylim(limits)
    axes.set_aspect("equal")


def _draw_histograms(axes: Axes, series: Mapping[str, Array]) -> None:
    # All series share their bins; some of the far tail may lie outside of the axis.
    everything = np.concatenate([values[np.isfinite(values)] for values in series.values()])
    reach = np.abs(everything).max(initial=0.0) or 1.0
    bins = np.linspace(-reach, reach, 62).tolist()
    for (name, values), color in zip(series.items(), COLORS * 20, strict=False):
        axes.hist(
            values[np.isfinite(values)], bins=bins, histtype="stepfilled", color=color,
            alpha=0.35 if len(series) > 1 else 0.6, edgecolor=color, label=name,
        )  # fmt: skip
    if everything.size:
        axes.set_yscale("log")
    axes.axvline(0, color=GREY, lw=0.9, ls="--")
    if len(series) > 1:
        axes.legend(frameon=False, fontsize=9)


def _kinds(metrics: Metrics) -> list[str]:
    return [kind for kind in QUANTITIES if f"{kind}_mae" in metrics]


def _labelled(predictions: Predictions, kind: str) -> tuple[Array, Array]:
    """Reference and prediction of every number that has a label, flat."""
    pair = predictions.of(kind)
    assert pair is not None  # it has errors
    there = np.isfinite(pair[0])
    return pair[0][there], pair[1][there]


def _force_errors(predictions: Predictions) -> dict[str, Array]:
    """Errors of the force components of each element that has labels, meV/Å."""
    error = (predictions.forces_pred - predictions.forces_ref) / MEV
    labelled = np.isfinite(predictions.forces_ref).all(axis=1)
    return {
        chemical_symbols[z]: error[labelled & (predictions.z == z)].ravel()
        for z in np.unique(predictions.z[labelled])
    }


def read_log(path: Path) -> dict[str, Array]:
    """Numeric columns of a training log."""
    if not path.is_file():
        raise FileNotFoundError(
            f"`log_csv`: expected a training log, got no file {path}; name log.csv of a run"
        )
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    if not rows or "epoch" not in rows[0] or "train_loss" not in rows[0]:
        raise ValueError(
            f"`log_csv`: expected the log of a training run with columns epoch, train_loss, ..., "
            f"got {list(rows[0]) if rows else 'no epochs'} in {path}; train first"
        )
    log = {}
    for name in rows[0]:
        try:
            column = np.array([float(row[name] or "nan") for row in rows])
        except (TypeError, ValueError):
            continue  # a column of words cannot be drawn
        if np.isfinite(column).any():
            log[name] = column
    return log


def _words(column: str) -> str:
    split, measure = column.split("_")[0], column.split("_")[-1]
    split = {"train": "training", "val": "validation"}.get(split, split)
    return split if measure == "loss" else f"{split} {measure.upper()}"


def written(figure: Figure, path: str | os.PathLike[str] | None) -> Figure:
    """The figure, written to an image if there is a path."""
    if path is not None:
        with replacing(path) as temporary:
            figure.savefig(temporary)
    return figure
