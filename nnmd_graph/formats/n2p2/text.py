"""Texts of `input.nn`, `scaling.data` and `weights.*.data`."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from nnmd_graph.data.reading.runner import Normalization, Units
from nnmd_graph.formats.n2p2.functions import CUTOFF_TYPES, FunctionLine
from nnmd_graph.formats.n2p2.settings import ACTIVATIONS
from nnmd_graph.models import EnergyModel
from nnmd_graph.representations.range_scaling import RangeScaler

Array = NDArray[np.float64]
LETTERS = {name: letter for letter, name in ACTIVATIONS.items()}


@dataclass(frozen=True)
class Element:
    """One element in the units of the files, functions in n2p2's order.

    Attributes:
        z: Atomic number.
        lines: Functions.
        layers: Weight [out, in] and bias [out] of each layer.
        activation: Names, the output layer last.
        scaling: minimum, maximum, mean and sigma of each function, [n, 4].
        atom_energy: Offset.
    """

    z: int
    lines: list[FunctionLine]
    layers: list[tuple[Array, Array]]
    activation: tuple[str, ...]
    scaling: Array
    atom_energy: float

    @property
    def hidden_channels(self) -> tuple[int, ...]:
        """Width of each hidden layer."""
        return tuple(len(bias) for _, bias in self.layers[:-1])


def settings_text(
    model: EnergyModel,
    elements: list[Element],
    head: str,
    normalization: Normalization,
    units: Units,
) -> str:
    """`input.nn`.

    Args:
        model: for its cutoff function and its scaling.
        elements: all elements by atomic number.
        head: what its first comment says of the units.
        normalization: internal units.
        units: Å and eV of one unit of the file.

    Raises:
        ValueError: nets differ in ways that n2p2 does not know.
    """
    acsf: Any = model.representation
    symbols = " ".join(chemical_symbols[e.z] for e in elements)
    lines = [
        f"# Written by nnmd_graph: {head}",
        "# In LAMMPS with metal units, atom types in this order:",
        *(f"#   {line}" for line in lammps_lines(model, "FOLDER", units)),
    ]
    if normalization != Normalization():
        lines += [f"{name} {value!r}" for name, value in normalization._asdict().items()]
    lines += [f"number_of_elements {len(elements)}", f"elements {symbols}"]
    lines += ["remove_atom_energies"]  # RuNNer adds them with this keyword only
    lines += [f"atom_energy {chemical_symbols[e.z]} {e.atom_energy!r}" for e in elements]
    inner = f" {acsf.inner_cutoff!r}" if acsf.inner_cutoff else ""
    lines.append(f"cutoff_type {CUTOFF_TYPES.index(acsf.cutoff_function)}{inner}")
    lines += [f"cutoff_alpha{inner}"] if inner else []  # the equivalent for RuNNer
    lines += _scaling_lines(model)
    lines += _network_lines(elements)
    lines += [line.text() for element in elements for line in element.lines]
    return "\n".join(lines) + "\n"


def lammps_lines(model: EnergyModel, folder: str, units: Units) -> list[str]:
    """Commands of LAMMPS for a folder, with metal units (eV and Å) and types by atomic number."""
    # LAMMPS refuses a cutoff that is smaller than that of the functions, by rounding too.
    cutoff = math.ceil(model.cutoff * 1e4 + 1e-3) / 1e4
    symbols = " ".join(chemical_symbols[z] for z in model.species)
    return [
        f'pair_style hdnnp {cutoff} dir "{folder}" showew no showewsum 100 resetew yes maxew 1000 '
        f"cflength {1.0 / units.length!r} cfenergy {1.0 / units.energy!r}",
        f"pair_coeff * * {symbols}",
    ]


def _scaling_lines(model: EnergyModel) -> list[str]:
    scaler = model.scaler
    if scaler is None:
        return []
    if not isinstance(scaler, RangeScaler):
        return ["center_symmetry_functions"]  # the rest is folded into the weights
    keys = {
        "none": [],
        "scale": ["scale_symmetry_functions"],
        "center": ["center_symmetry_functions"],
        "scale_center": ["scale_symmetry_functions", "center_symmetry_functions"],
        "sigma": ["scale_symmetry_functions_sigma"],
    }[scaler.kind]
    if scaler.kind not in ("none", "center"):
        keys += [f"scale_min_short {scaler.s_min!r}", f"scale_max_short {scaler.s_max!r}"]
    return keys


def _network_lines(elements: list[Element]) -> list[str]:
    """Layers of the nets; n2p2 lets elements differ in a few respects only."""
    widths = Counter(e.hidden_channels for e in elements).most_common(1)[0][0]
    activation = Counter(e.activation for e in elements).most_common(1)[0][0]
    for e in elements:
        if not e.hidden_channels:
            raise ValueError(
                "`potential`: expected nets with hidden layers, got one without "
                f"({chemical_symbols[e.z]}); n2p2 wants one or more"
            )
        depth_differs = len(e.hidden_channels) != len(widths)
        if depth_differs or e.hidden_channels[-1] != widths[-1]:
            raise ValueError(
                f"`potential`: expected nets that differ in the width of the first hidden layers "
                f"only, got {widths} and {e.hidden_channels} ({chemical_symbols[e.z]}); n2p2 wants "
                "the same depth and the same last hidden layer for all elements"
            )
    others = [e for e in elements if e.activation != activation]
    if len(others) > 1 or any(e.activation[-1] != activation[-1] for e in others):
        raise ValueError(
            f"`potential`: expected one activation of the output layer, and other activations in "
            f"the net of one element at most, got {[e.activation for e in elements]}; n2p2 knows "
            "no others"
        )
    lines = [
        f"global_hidden_layers_short {len(widths)}",
        f"global_nodes_short {' '.join(map(str, widths))}",
        f"global_activation_short {_letters(activation)}",
    ]
    lines += [
        f"element_nodes_short {chemical_symbols[e.z]} {' '.join(map(str, e.hidden_channels))}"
        for e in elements
        if e.hidden_channels != widths
    ]
    lines += [
        f"element_activation_short {chemical_symbols[e.z]} {_letters(e.activation)}" for e in others
    ]
    return lines


def _letters(activation: tuple[str, ...]) -> str:
    return " ".join(LETTERS[name] for name in activation)


def scaling_text(elements: list[Element]) -> str:
    """n2p2's table: numbers of element and function, minimum, maximum, mean, sigma."""
    lines = ["# element function minimum maximum mean sigma"]
    for s, element in enumerate(elements, start=1):
        for k, row in enumerate(element.scaling, start=1):
            lines.append(f"{s:10d} {k:10d} " + " ".join(f"{value:24.16E}" for value in row))
    return "\n".join(lines) + "\n"


def weights_text(element: Element) -> str:
    """n2p2's table: value, a or b (bias), number, and the layers and nodes that it connects."""
    lines = ["# value, a (weight) or b (bias), number, from layer and node, to layer and node"]
    count = 0
    for n, (weight, bias) in enumerate(element.layers):
        for j, row in enumerate(weight.T, start=1):
            for k, value in enumerate(row, start=1):
                count += 1
                place = f"{count:9d} {n:5d} {j:5d} {n + 1:5d} {k:5d}"
                lines.append(f"{value:24.16E} a {place}")
        for k, value in enumerate(bias, start=1):
            count += 1
            lines.append(f"{value:24.16E} b {count:9d} {n + 1:5d} {k:5d}")
    return "\n".join(lines) + "\n"
