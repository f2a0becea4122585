"""Pictures of a set of symmetry functions: shapes, values over a data set, a table.

Shapes are values of the set itself, on atoms with one neighbour or two, so they hold for every
type of function, cutoff function and inner cutoff. Figures are made without pyplot.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from ase.data import chemical_symbols
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nnmd_graph.data import AtomsDataset
from nnmd_graph.evaluation.plots import COLORS, written
from nnmd_graph.files import replacing
from nnmd_graph.graph import AtomicGraph
from nnmd_graph.representations import ACSF, SymmetryFunction
from nnmd_graph.representations.symmetry.selection import sample_features

Array = NDArray[np.float64]

NUM_DISTANCES, NUM_ANGLES = 120, 91
NEAREST = 1.0
"""Å; smallest distance of the neighbours for which angular shapes are drawn."""
NAMES = ("cutoff", "neighbors", "centre", "weighted")
"""Fields that all functions have; the others are parameters of their type."""
LINEAR_BELOW = 1e-3
"""Feature values are drawn on a logarithmic axis down to this."""


def plot_functions(
    acsf: ACSF, path: str | os.PathLike[str] | None = None, *, title: str = ""
) -> Figure:
    """Draw the radial and angular shapes of a set, one row for each element.

    - Radial functions: the term of one neighbour over its distance.
    - Angular functions over the distance of both neighbours, at the angle where the function is
      largest; and over the angle, at the distance where it is largest (1 Å or more). Both are
      fractions of the largest value.

    Weighted functions are drawn without their weight. With several neighbour elements (or pairs)
    each has its colour, otherwise colours follow the order of the functions.

    Args:
        acsf: The set.
        path: Image to write (.png, .pdf, .svg), or None.
        title: A line above the panels.

    Raises:
        TypeError: ``acsf`` is no ACSF.
    """
    _check(acsf)
    orders = sorted({f.order for f in acsf.functions})
    columns = [name for order in orders for name in PANELS[order]]
    size = (4.2 * len(columns), 3.2 * len(acsf.species))
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    grid = figure.subplots(len(acsf.species), len(columns), squeeze=False)
    for z, row in zip(acsf.species, grid, strict=True):
        panels = dict(zip(columns, row, strict=True))
        for order in orders:
            own = [k for k, f in enumerate(acsf.functions_of(z)) if f.order == order]
            kind = PANELS[order][0].lower()
            panels[PANELS[order][0]].set_title(
                f"{chemical_symbols[z]}, {len(own)} {kind.split(',')[0]}", fontsize=11
            )
            _draw_shapes(acsf, z, own, [panels[name] for name in PANELS[order]])
    if title:
        figure.suptitle(title, fontsize=12)
    return written(figure, path)


def plot_feature_values(
    acsf: ACSF,
    dataset: AtomsDataset,
    path: str | os.PathLike[str] | None = None,
    *,
    title: str = "",
    max_atoms: int = 3000,
    seed: int = 0,
    progress: bool = True,
) -> Figure:
    """Draw the distribution of each function's values over a data set, one row per element.

    A thin line from the smallest to the largest value, a bar from the 5th to the 95th percentile,
    a dot at the median. A function whose bar is short against its line varies at a few atoms only.

    Args:
        acsf: The set.
        dataset: Structures that hold the elements of the set.
        path: Image to write, or None.
        title: A line above the panels.
        max_atoms: Atoms of each element, drawn with ``seed``.
        seed: Of the draw.
        progress: Show a bar when it takes more than two seconds.

    Raises:
        TypeError, ValueError: See
            :func:`nnmd_graph.representations.symmetry.selection.sample_features`.
    """
    features = sample_features(acsf, dataset, max_atoms=max_atoms, seed=seed, progress=progress)
    width = float(np.clip(0.16 * acsf.num_features, 5.0, 18.0))
    figure = Figure(figsize=(width, 2.8 * len(features)), dpi=150, layout="constrained")
    rows = figure.subplots(len(features), 1, squeeze=False)[:, 0]
    for axes, (z, x) in zip(rows, features.items(), strict=True):
        _draw_values(axes, acsf.functions_of(z), x)
        axes.set_title(f"{chemical_symbols[z]}, {len(x)} atoms", fontsize=11)
    if title:
        figure.suptitle(title, fontsize=12)
    return written(figure, path)


def function_table(acsf: ACSF) -> str:
    """List the functions of each element with their parameters, in the order of the features.

    Lengths in Å, eta in Å^-2, kappa in Å^-1; see the types for the others.

    Raises:
        TypeError: ``acsf`` is no ACSF.
    """
    _check(acsf)
    parts = []
    for z in acsf.species:
        functions = acsf.functions_of(z)
        names = list(dict.fromkeys(name for f in functions for name in _parameters(f)))
        rows = [["", "type", "neighbours", "cutoff", *names]]
        for k, f in enumerate(functions):
            values = [_parameters(f).get(name, "") for name in names]
            rows.append([str(k), type(f).__name__, _neighbors(f), f"{f.cutoff:g}", *values])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
        count = f"{len(functions)} function{'s' if len(functions) != 1 else ''}"
        parts.append("\n".join([f"{chemical_symbols[z]}, {count}", *lines]))
    return "\n\n".join(parts)


def write_set(acsf: ACSF, folder: str | os.PathLike[str]) -> list[Path]:
    """Write the shapes (functions.png) and the table (functions.txt) of a set into a folder.

    Returns:
        The files.

    Raises:
        TypeError: ``acsf`` is no ACSF.
    """
    files = [Path(folder) / "functions.png", Path(folder) / "functions.txt"]
    plot_functions(acsf, files[0])
    with replacing(files[1]) as temporary:
        temporary.write_text(function_table(acsf) + "\n", encoding="utf-8")
    return files


PANELS = {1: ("Radial",), 2: ("Angular, over distance", "Angular, over angle")}
"""Panels of radial and of angular functions."""


def _check(acsf: ACSF) -> None:
    if not isinstance(acsf, ACSF):
        raise TypeError(
            f"`acsf`: expected an ACSF, got {type(acsf).__name__}; that of a BPNN is its "
            "`representation`"
        )


def _parameters(f: SymmetryFunction) -> dict[str, str]:
    """Parameters of the type of a function, as words."""
    values = {e.name: getattr(f, e.name) for e in fields(f) if e.name not in NAMES}
    return {k: f"{v:.4g}" if isinstance(v, float) else str(v) for k, v in values.items()}


def _neighbors(f: SymmetryFunction) -> str:
    if f.weighted or not isinstance(f.neighbors, tuple):
        return "weighted"
    return "-".join(chemical_symbols[z] for z in f.neighbors)


# ------------------------------------------------------------------------------------------ shapes
def _draw_shapes(acsf: ACSF, z: int, columns: list[int], panels: list[Axes]) -> None:
    """Functions of one element, all radial or all angular, in their panels."""
    functions = acsf.functions_of(z)
    groups: dict[str, list[int]] = {}
    for k in columns:
        groups.setdefault(_neighbors(functions[k]), []).append(k)
    curves = _radial_shapes if len(panels) == 1 else _angular_shapes
    for n, (name, own) in enumerate(groups.items()):
        several = colormaps["viridis"](np.linspace(0.0, 0.9, len(own)))
        # The same function of other neighbours lies below and is drawn thicker, to be visible
        thickness = 1.2 + 1.2 * (len(groups) - 1 - n)
        for place, lines in enumerate(curves(acsf, z, own)):
            color = COLORS[n % len(COLORS)] if len(groups) > 1 else several[place]
            for axes, (abscissa, values) in zip(panels, lines, strict=True):
                label = name if place == 0 else None
                axes.plot(abscissa, values, color=color, lw=thickness, label=label)
    labels = ["distance, Å"] if len(panels) == 1 else ["distance of both, Å", "angle, degrees"]
    for axes, label in zip(panels, labels, strict=True):
        axes.set_xlabel(label)
        axes.set_ylabel("term of a neighbour" if len(panels) == 1 else "fraction of the largest")
        axes.tick_params(labelsize=9, direction="in")
        axes.grid(True, color="#e6e6e6", lw=0.6)
        if len(groups) > 1:
            axes.legend(frameon=False, fontsize=8)


Lines = list[tuple[Array, Array]]
"""Abscissa and values of the curve of one function, for each of its panels."""


def _radial_shapes(acsf: ACSF, z: int, columns: list[int]) -> Iterator[Lines]:
    dist = np.linspace(0.0, acsf.cutoff, NUM_DISTANCES + 1)[1:]
    functions = acsf.functions_of(z)
    neighbors = _elements(acsf, functions[columns[0]])
    weight = neighbors[0] if functions[columns[0]].weighted else 1
    x = _terms(acsf, z, neighbors, dist, np.zeros_like(dist))
    for k in columns:
        yield [(dist, x[:, k] / weight)]


def _angular_shapes(acsf: ACSF, z: int, columns: list[int]) -> Iterator[Lines]:
    dist = np.linspace(0.0, acsf.cutoff, NUM_DISTANCES + 1)[1:]
    angle = np.linspace(0.0, 180.0, NUM_ANGLES)
    r, theta = (a.ravel() for a in np.meshgrid(dist, angle, indexing="ij"))
    neighbors = _elements(acsf, acsf.functions_of(z)[columns[0]])
    # Not quite straight lines, which polynomial functions leave out as n2p2 does
    x = _terms(acsf, z, neighbors, r, np.radians(theta.clip(1e-4, 180.0 - 1e-4)))
    first = int(np.argmax(dist >= min(NEAREST, acsf.cutoff / 4)))
    for k in columns:
        table = x[:, k].reshape(len(dist), len(angle))
        place = np.unravel_index(np.abs(table[first:]).argmax(), table[first:].shape)
        at = (int(place[0]) + first, int(place[1]))
        yield [(dist, _normed(table[:, at[1]])), (angle, _normed(table[at[0]]))]


def _normed(values: Array) -> Array:
    # Zero where a narrow window lies between the points of the grid
    return values / (np.abs(values).max() or 1.0)


def _elements(acsf: ACSF, f: SymmetryFunction) -> tuple[int, ...]:
    """Elements of the neighbours to try a function on."""
    if isinstance(f.neighbors, tuple):
        return tuple(int(z) for z in f.neighbors)
    return (acsf.species[0],) * f.order


def _terms(acsf: ACSF, z: int, neighbors: tuple[int, ...], dist: Array, theta: Array) -> Array:
    """Features of P atoms of element z with one neighbour or two at a distance and an angle.

    Args:
        acsf: The set.
        z: Element of the centres.
        neighbors: Elements of the neighbours.
        dist: Distance of each neighbour of a centre, [P], Å.
        theta: Angle between them, [P].

    Returns:
        [P, F].
    """
    size, order = len(dist), len(neighbors)
    first = np.stack([dist, np.zeros(size), np.zeros(size)], axis=1)
    second = np.stack([dist * np.cos(theta), dist * np.sin(theta), np.zeros(size)], axis=1)
    # All centres stand at the origin: only the edges say who is next to whom.
    pos = np.concatenate([np.zeros((size, 3)), *(first, second)[:order]])
    centre = np.repeat(np.arange(size), order)
    neighbor = size + np.arange(size)[:, None] + size * np.arange(order)
    graph = AtomicGraph(
        pos=torch.from_numpy(pos),
        z=torch.tensor(np.repeat([z, *neighbors], size)),
        cell=torch.zeros(1, 3, 3, dtype=torch.float64),
        pbc=torch.zeros(1, 3, dtype=torch.bool),
        edge_index=torch.from_numpy(np.stack([neighbor.ravel(), centre])),
        edge_cell_shift=torch.zeros(size * order, 3, dtype=torch.int64),
        cutoff=acsf.cutoff,
    )
    with torch.no_grad():
        return acsf(graph)[:size].numpy()


# ------------------------------------------------------------------------------------------ values
def _draw_values(axes: Axes, functions: tuple[SymmetryFunction, ...], x: Array) -> None:
    number = np.arange(x.shape[1])
    low, below, median, above, high = np.percentile(x, [0, 5, 50, 95, 100], axis=0)
    color = [COLORS[f.order - 1] for f in functions]
    axes.vlines(number, low, high, color=color, lw=1)
    axes.vlines(number, below, above, color=color, lw=4, alpha=0.6)
    axes.scatter(number, median, s=6, color="black", zorder=3)
    axes.set_yscale("symlog", linthresh=LINEAR_BELOW)
    axes.set_xlim(-1, len(number))
    axes.set_xlabel("function")
    axes.set_ylabel("value")
    axes.tick_params(labelsize=8, direction="in")
    axes.grid(True, axis="y", color="#e6e6e6", lw=0.6)
