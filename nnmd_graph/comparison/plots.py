"""Plots of several models side by side. Each model has one colour in all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from nnmd_graph.comparison.potentials import Row
from nnmd_graph.evaluation.metrics import UNITS
from nnmd_graph.evaluation.plots import GREY, new_figure
from nnmd_graph.evaluation.predictions import Array

# Distinguishable for the colour-blind (Okabe and Ito), also by the markers.
COLORS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999933",
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
WIDTH = 4.6


def style(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Colour and marker of each model."""
    return {
        name: {"color": COLORS[n % len(COLORS)], "marker": MARKERS[n % len(MARKERS)]}
        for n, name in enumerate(names)
    }


def pareto(rows: Sequence[Row]) -> Figure | None:
    """Draw errors against time per atom; the grey line joins the models that no other one beats.

    Returns:
        The figure, or None if no model has both numbers.
    """
    looks = style([row["name"] for row in rows])
    kinds = _kinds(rows, "us_per_atom")
    if not kinds:
        return None
    figure, panels = new_figure(kinds, width=WIDTH)
    for kind, axes in panels.items():
        there = [r for r in rows if _positive(r, f"{kind}_mae") and _positive(r, "us_per_atom")]
        time = np.array([row["us_per_atom"] for row in there])
        error = np.array([row[f"{kind}_mae"] for row in there])
        best = front(time, error)
        axes.plot(time[best], error[best], color=GREY, lw=1.2, ls="--", zorder=1)
        for row in there:
            look = looks[row["name"]]
            std = row.get(f"{kind}_mae_std")
            axes.errorbar(
                row["us_per_atom"], row[f"{kind}_mae"], yerr=std, fmt=look["marker"], ms=7,
                color=look["color"], capsize=3, lw=1.2, label=row["name"],
            )  # fmt: skip
        _logarithmic(axes)
        axes.set_xlabel("µs/atom, energy and forces")
        axes.set_ylabel(f"{kind} MAE, {UNITS[kind]}")
    _legend(figure, panels)
    return figure


def front(cost: Array, error: Array) -> list[int]:
    """Indices of the entries that no other entry beats in both, by ascending cost."""
    best: list[int] = []
    for n in np.lexsort((error, cost)):
        if not best or error[n] < error[best[-1]]:
            best.append(int(n))
    return best


def learning_sizes(points: Sequence[Row], names: Sequence[str]) -> Figure | None:
    """Draw errors against the size of the training set, both axes logarithmic.

    Args:
        points: rows with `num_train`, several a model.
        names: all models, in order.
    """
    looks = style(names)
    kinds = _kinds(points, "num_train")
    if not kinds:
        return None
    figure, panels = new_figure(kinds, width=WIDTH)
    for kind, axes in panels.items():
        for name in names:
            mine = [p for p in points if p["name"] == name and _positive(p, f"{kind}_mae")]
            mine.sort(key=lambda point: point["num_train"])
            if not mine:
                continue
            std = [point.get(f"{kind}_mae_std") or 0.0 for point in mine]
            axes.errorbar(
                [point["num_train"] for point in mine], [point[f"{kind}_mae"] for point in mine],
                yerr=std, color=looks[name]["color"], marker=looks[name]["marker"], lw=1.5, ms=5,
                capsize=3, label=name,
            )  # fmt: skip
        _logarithmic(axes)
        sizes = sorted({point["num_train"] for point in points})
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("training structures")
        axes.set_ylabel(f"{kind} MAE, {UNITS[kind]}")
    _legend(figure, panels)
    return figure


def training_progress(
    logs: Mapping[str, Sequence[Mapping[str, Array]]], names: Sequence[str]
) -> Figure | None:
    """Draw the validation error of the forces (or else of the energy) during the trainings.

    Args:
        logs: columns of the log.csv of each run, the best seed first: that one is drawn bold.
        names: all models, in order.
    """
    everything = [log for mine in logs.values() for log in mine]
    choices = {
        "val_forces_mae": f"validation force MAE, {UNITS['forces']}",
        "val_energy_mae": f"validation energy MAE, {UNITS['energy']}",
        "train_loss": "training loss",
    }
    column = next((c for c in choices if any(c in log for log in everything)), None)
    if column is None:
        return None
    looks = style(names)
    figure, panels = new_figure(["Over epochs", "Over time"], width=WIDTH)
    for key, axes in zip(("epoch", "seconds"), panels.values(), strict=True):
        for name in names:
            for n, log in enumerate(logs.get(name, ())):
                if column not in log:
                    continue
                values = np.where(log[column] > 0, log[column], np.nan)
                axes.plot(
                    log[key], values, color=looks[name]["color"], lw=1.6 if n == 0 else 0.7,
                    alpha=1.0 if n == 0 else 0.45, label=name if n == 0 else None,
                )  # fmt: skip
        axes.set_yscale("log")
        _plain_numbers(axes.yaxis, axes.get_ylim())
        axes.set_ylabel(choices[column])
    panels["Over epochs"].set_xlabel("epoch")
    panels["Over time"].set_xlabel("training time, s")
    _legend(figure, panels)
    return figure


def nve_energies(curves: Mapping[str, tuple[Array, Array]], names: Sequence[str]) -> Figure | None:
    """Draw the total energy of NVE runs.

    Args:
        curves: time in ps and change of the energy in meV/atom.
        names: all models, in order.
    """
    if not curves:
        return None
    looks = style(names)
    figure, panels = new_figure(["Total energy"], width=7.0)
    axes = panels["Total energy"]
    for name in names:
        if name in curves:
            axes.plot(*curves[name], color=looks[name]["color"], lw=1.2, label=name)
    axes.set_xlabel("time, ps")
    axes.set_ylabel("change, meV/atom")
    _legend(figure, panels)
    return figure


def _kinds(rows: Sequence[Row], other: str) -> list[str]:
    """Kinds of errors that some row has together with another number, forces first."""
    order = ("forces", "energy", "stress")
    return [
        kind
        for kind in order
        if any(_positive(row, f"{kind}_mae") and _positive(row, other) for row in rows)
    ][:2]


def _positive(row: Row, key: str) -> bool:
    value = row.get(key)
    return value is not None and np.isfinite(value) and value > 0


def _logarithmic(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        _plain_numbers(axis, limits)


def _plain_numbers(axis: Any, limits: tuple[float, float]) -> None:
    """Label the axis with 40 instead of 4 x 10^1, at several ticks however short the axis is."""
    ratio = limits[1] / limits[0]
    if ratio < 4:
        axis.set_major_locator(MaxNLocator(6))
    elif ratio < 200:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _legend(figure: Figure, panels: Mapping[str, Axes]) -> None:
    handles, labels = next(iter(panels.values())).get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=9)
