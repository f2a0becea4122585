"""Potentials written as n2p2, RuNNer and LAMMPS (`pair_style hdnnp`) read them."""

from __future__ import annotations

import contextlib
import copy
import os
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase.data import chemical_symbols

from nnmd_graph.data.reading.runner import Normalization, Units, resolve_units
from nnmd_graph.files import replacing
from nnmd_graph.formats.n2p2.functions import FunctionLine, shortest
from nnmd_graph.formats.n2p2.read import (
    SCALING_FILE,
    SETTINGS_FILE,
    WEIGHTS_FILE,
    Origin,
    isolated_energy,
    isolated_outputs,
)
from nnmd_graph.formats.n2p2.text import (
    LETTERS,
    Array,
    Element,
    scaling_text,
    settings_text,
    weights_text,
)
from nnmd_graph.models import EnergyModel, Potential
from nnmd_graph.models.checkpoint import check_finite_model
from nnmd_graph.models.readout import ElementReadout
from nnmd_graph.nn.mlp import MLP
from nnmd_graph.representations import ACSF
from nnmd_graph.representations.limits import default_rounding
from nnmd_graph.representations.range_scaling import RangeScaler
from nnmd_graph.representations.scaling import FeatureScaler

UNKNOWN_LIMIT = 1e300
"""Stands for limits that are not known: nothing extrapolates."""


def save_n2p2(
    potential: Potential,
    folder: str | os.PathLike[str],
    *,
    length_unit: str = "angstrom",
    energy_unit: str = "eV",
) -> None:
    """Write `input.nn`, `scaling.data` and `weights.*.data`, for n2p2, RuNNer and LAMMPS.

    Energies and forces there are those here. The decorrelating scaling of this package
    (:class:`nnmd_graph.representations.scaling.FeatureScaler`), the scale of the net and the energy
    that its isolated atoms have are folded into the weights; `atom_energy` is then the energy of
    an isolated atom. A potential with the scaling of n2p2 keeps its weights as they are, and one
    that `load_n2p2` read comes back the same to the last bit if the units are the same.

    A warning says where n2p2 itself is known to compute something else.

    Args:
        potential: symmetry functions and one net per element, for example of `BPNN`, or from
            `load_n2p2`.
        folder: files in it are replaced; made if it is not there.
        length_unit: "angstrom", "bohr" or "nm"; stated in a comment of `input.nn`.
        energy_unit: "eV", "hartree", ..., see :mod:`nnmd_graph.units`.

    Raises:
        TypeError: `potential` is something else.
        ValueError: the potential has what n2p2 does not know, or a number that is NaN or infinite;
            the message names it.
    """
    if not isinstance(potential, Potential):
        raise TypeError(
            f"`potential`: expected a Potential, got {type(potential).__name__}; wrap the model"
        )
    stated = {"length_unit": length_unit, "energy_unit": energy_unit}
    units = resolve_units({}, stated, str(folder))
    model = _checked(copy.deepcopy(potential.model)).double().cpu().eval()
    check_finite_model(model)
    if potential.dtype != torch.float64:
        _widen(model, potential.dtype)
    origin = getattr(potential, "n2p2_origin", None)
    keeps = isinstance(model.scaler, RangeScaler) or not _linear_outputs(model)
    normalization, energies = _energies(model, units, origin if keeps else None, keeps)
    elements = [
        _element(model, s, units, normalization, energy, keeps) for s, energy in enumerate(energies)
    ]
    _warn_of_known_errors(elements)
    head = " ".join(f"{key}={value}" for key, value in stated.items())
    text = settings_text(model, elements, head, normalization, units)
    folder = Path(folder)
    # All are written before the first takes its place; the settings are the last, so that weights
    # of one potential do not stand beside those of another.
    files = {SETTINGS_FILE: text, SCALING_FILE: scaling_text(elements)}
    files |= {WEIGHTS_FILE.format(element.z): weights_text(element) for element in elements}
    with contextlib.ExitStack() as stack:
        for name, content in files.items():
            stack.enter_context(replacing(folder / name)).write_text(content, encoding="utf-8")


# --------------------------------------------------------------------------- what can be expressed
def _checked(model: Any) -> EnergyModel:
    """The model if all of its parts have a counterpart in n2p2."""
    _check_kind("model", model, (EnergyModel,))
    for what, module, kinds in (
        ("representation", model.representation, (ACSF,)),
        ("readout", model.readout, (ElementReadout,)),
        ("scaler", model.scaler, (RangeScaler, FeatureScaler, type(None))),
    ):
        _check_kind(what, module, kinds)
    activations = {name for net in _nets(model) for name in net.activation}
    for name in sorted(activations - LETTERS.keys()):
        raise ValueError(
            f"`potential`: expected activations that n2p2 knows ({', '.join(LETTERS)}), got "
            f"{name!r}; train with one of these, for example 'tanh'"
        )
    known: EnergyModel = model
    return known


def _check_kind(what: str, module: object, kinds: tuple[type, ...]) -> None:
    if type(module) not in kinds:
        names = " or ".join(kind.__name__ for kind in kinds)
        raise ValueError(
            f"`potential`: expected a {what} that n2p2 knows ({names}), got "
            f"{type(module).__name__}; such a potential cannot be written in its format"
        )


def _nets(model: EnergyModel) -> list[MLP]:
    readout: Any = model.readout  # a module, for the type checker
    return list(readout.net.nets)


def _widen(model: EnergyModel, dtype: torch.dtype) -> None:
    """Widen the limits to what the potential itself, in ``dtype``, counts as inside."""
    limits = model.ranges
    if limits is not None:
        known = limits.minimum <= limits.maximum
        largest = torch.maximum(limits.minimum.abs(), limits.maximum.abs())
        margin = torch.where(known, default_rounding(dtype) * largest, 0.0)
        limits.set(limits.minimum - margin, limits.maximum + margin)


def _linear_outputs(model: EnergyModel) -> bool:
    return all(net.activation[-1] == "identity" for net in _nets(model))


def _warn_of_known_errors(elements: list[Element]) -> None:
    """Warn of the few cases that n2p2 computes wrong (git 61daa0df, its group path)."""
    found: dict[str, str] = {}
    for line in (line for element in elements for line in element.lines):
        if line.kind in (3, 9) and line.values["r_s"] < 0.0:
            found.setdefault("takes a negative shift for 0", line.text())
        if line.kind in (3, 9, 13) and line.values["lam"] == 0.0:
            found.setdefault("gives NaN as forces for lambda = 0", line.text())
    for line in (line for element in elements for line in _mixed_up(element.lines)):
        found.setdefault("mixes up polynomials of the same range", line.text())
    for what, where in found.items():
        warnings.warn(f"`potential`: n2p2 {what}: {where!r}; its results differ", stacklevel=3)


def _mixed_up(lines: list[FunctionLine]) -> list[FunctionLine]:
    """Narrow polynomials that follow one of the same range in n2p2's group of their neighbours.

    n2p2 takes the window of the third distance from the one before (`SymGrpCompAngn.cpp:117`).
    """
    groups: dict[tuple[int, ...], list[FunctionLine]] = {}
    for line in lines:
        if line.kind in (21, 24):
            groups.setdefault((line.kind, *line.neighbors), []).append(line)
    return [
        after
        for group in groups.values()
        for before, after in pairwise(group)
        if before.polynomial != after.polynomial
        and all(before.values[name] == after.values[name] for name in ("cutoff", "r_l"))
    ]


# ------------------------------------------------------------------------------------ the numbers
def _energies(
    model: EnergyModel, units: Units, origin: Origin | None, keeps: bool
) -> tuple[Normalization, list[float]]:
    """Internal units, and the offset of each element that reproduces its E0."""
    isolated = model.baseline.isolated_energies.tolist()
    if not keeps:  # the net of an isolated atom will give zero
        return Normalization(), _offsets(isolated, [0.0] * len(isolated), Normalization(), units)[0]
    scale = float(model.baseline.scale)
    outputs = [scale * e for e in isolated_outputs(model)]
    first = _normalization(scale, units, origin)
    means = [first.mean_energy]
    if first != Normalization():
        # Any mean is valid, but only for some of them are all offsets exact in floating point.
        means += [0.0, *_round_means(isolated, units)]
    best = 0, first, isolated
    for mean in means:
        normalization = first._replace(mean_energy=mean)
        offsets, exact = _offsets(isolated, outputs, normalization, units)
        if exact > best[0] or mean == means[0]:
            best = exact, normalization, offsets
        if exact == len(isolated):
            break
    return best[1:]


def _offsets(
    isolated: list[float], outputs: list[float], normalization: Normalization, units: Units
) -> tuple[list[float], int]:
    """`atom_energy` of each element, and how many of them reproduce E0 to the last bit."""
    offsets, exact = [], 0
    for e0, output in zip(isolated, outputs, strict=True):

        def energy(offset: float, output: float = output) -> float:
            return isolated_energy(offset, normalization, units, output)

        guess = (e0 - output) / units.energy - normalization.mean_energy
        offsets.append(shortest(energy, e0, guess))
        exact += energy(offsets[-1]) == e0
    return offsets, exact


def _normalization(scale: float, units: Units, origin: Origin | None) -> Normalization:
    """Internal units whose energy is ``scale`` eV; the original ones if these have it."""
    mean, old_energy, old_length = Normalization()
    length = 1.0
    if origin is not None:
        mean, old_energy, old_length = origin.normalization
        if origin.units == units and units.energy / old_energy == scale:
            return origin.normalization
        mean *= origin.units.energy / units.energy
        length = units.length / origin.units.length
    conv_energy = shortest(lambda c: units.energy / c, scale, units.energy / scale)
    return Normalization(mean, conv_energy, old_length * length)


def _round_means(isolated: list[float], units: Units) -> list[float]:
    mean = float(np.mean(isolated)) / units.energy
    return [float(f"{mean:.{digits}e}") for digits in range(17)]


def _element(
    model: EnergyModel,
    s: int,
    units: Units,
    normalization: Normalization,
    atom_energy: float,
    keeps: bool,
) -> Element:
    z, net = model.species[s], _nets(model)[s]
    acsf: Any = model.representation
    functions = acsf.functions_of(z)
    try:
        lines = [FunctionLine.of(f, z, units.length) for f in functions]
    except ValueError as error:
        raise ValueError(
            f"`potential`: {error} (element {chemical_symbols[z]}); leave the function out"
        ) from None
    order = sorted(range(len(lines)), key=lambda k: lines[k].sort_key(normalization.conv_length))
    lines = [lines[k] for k in order]
    for one, next_ in pairwise(lines):
        if one == next_:
            raise ValueError(
                f"`potential`: expected functions that differ in n2p2's form, got "
                f"{one.text()!r} twice; leave one out"
            )
    layers = _layers(model, s, None if keeps else units)
    # Features beyond those of this element are zero before the scaling, constants after it.
    beyond = [k for k in range(layers[0][0].shape[1]) if k >= len(functions)]
    weight, bias = layers[0]
    if isinstance(model.scaler, RangeScaler) and weight[:, beyond].any():
        x = model.scaler(torch.zeros(1, weight.shape[1]).double(), torch.tensor([s]))[0].numpy()
        bias = bias + weight[:, beyond] @ x[beyond]
    layers[0] = (weight[:, order], bias)
    scaling = _scaling(model, s)[order]
    return Element(z, lines, layers, net.activation, scaling, atom_energy)


@torch.no_grad()
def _layers(model: EnergyModel, s: int, units: Units | None) -> list[tuple[Array, Array]]:
    """Weights and biases on features that are only centred, or scaled as n2p2 does it.

    With ``units`` the output is in that unit of energy, and zero for an isolated atom.
    """
    linears = _nets(model)[s].linears
    layers = [(linear.weight.numpy().copy(), linear.bias.numpy().copy()) for linear in linears]
    if isinstance(model.scaler, FeatureScaler):
        weight, bias = layers[0]
        layers[0] = (weight @ model.scaler.matrix[s].numpy().T, bias)
    if units is not None:
        weight, bias = layers[-1]
        factor = float(model.baseline.scale) / units.energy
        layers[-1] = (weight * factor, (bias - isolated_outputs(model)[s]) * factor)
    return layers


def _scaling(model: EnergyModel, s: int) -> Array:
    """Minimum, maximum, mean and sigma of each feature, [F, 4]."""
    scaler, limits = model.scaler, model.ranges
    if isinstance(scaler, RangeScaler):
        buffers = (scaler.minimum, scaler.maximum, scaler.mean, scaler.sigma)
        rows = np.stack([buffer[s].numpy() for buffer in buffers], axis=1)
        width = scaler.width[s].numpy()
        if scaler.kind == "sigma":
            rows[:, 3] = width  # 1 for constant features, as n2p2 divides by it
        elif scaler.kind in ("scale", "scale_center"):
            flat = rows[:, 1] - rows[:, 0] != width
            rows[flat, 1] = rows[flat, 0] + width[flat]
        return rows
    num_features = _nets(model)[s].linears[0].in_features
    rows = np.tile([-UNKNOWN_LIMIT, UNKNOWN_LIMIT, 0.0, 1.0], (num_features, 1))
    if limits is not None:
        known = (limits.minimum[s] <= limits.maximum[s]).numpy()
        rows[known, 0] = limits.minimum[s].numpy()[known]
        rows[known, 1] = limits.maximum[s].numpy()[known]
    if isinstance(scaler, FeatureScaler):
        rows[:, 2] = scaler.mean[s].numpy()
        rows[:, 3] = np.where(rows[:, 0] < rows[:, 1], _sigma(scaler, s), 0.0)
    return rows


def _sigma(scaler: FeatureScaler, s: int) -> Array:
    """Standard deviations from the matrix M of a fitted scaler, [F].

    (M M^T)^-1 = diag(sigma) (C + ridge) diag(sigma) with C the correlation matrix, whose diagonal
    is one.
    """
    inverse = torch.linalg.inv(scaler.matrix[s])
    return ((inverse.T @ inverse).diagonal() / (1.0 + scaler.ridge)).sqrt().numpy()
