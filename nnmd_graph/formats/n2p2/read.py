"""Potentials of n2p2 and RuNNer: `input.nn`, `scaling.data` and files of weights of a folder."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from ase.data import chemical_symbols
from numpy.typing import NDArray

from nnmd_graph.data.reading.runner import Normalization, Units, resolve_units, stated_units
from nnmd_graph.formats.n2p2.functions import finite_number, from_fortran
from nnmd_graph.formats.n2p2.settings import Network, Settings, read_settings
from nnmd_graph.models import EnergyModel, Potential
from nnmd_graph.models.readout import ElementReadout
from nnmd_graph.nn.mlp import MLP
from nnmd_graph.representations import ACSF, SymmetryFunction
from nnmd_graph.representations.range_scaling import RangeScaler

SETTINGS_FILE = "input.nn"
SCALING_FILE = "scaling.data"
WEIGHTS_FILE = "weights.{:03d}.data"
BEST_WEIGHTS_FILES = ("optweights.{:03d}.out", "optweights.{:03d}.data")
"""Weights with the smallest error of a training."""
EPOCH_WEIGHTS_FILES = ("weights.{:03d}.*.out", "*.short.{:03d}.out")
"""Weights after an epoch, of n2p2 and of RuNNer."""
LOST_DIGITS = 1e-9
"""Rounding error of an energy from which on a warning is issued, eV."""


class Origin(NamedTuple):
    """Internal units of the files that a potential was read from, used again for writing."""

    normalization: Normalization
    units: Units


def load_n2p2(
    folder: str | os.PathLike[str],
    *,
    length_unit: str | None = None,
    energy_unit: str | None = None,
) -> Potential:
    """Read a potential of n2p2 or RuNNer (2G-HDNNP: one short-range net per element).

    Where n2p2 itself is known to be wrong, the definition holds: forces between an atom and images
    of itself, polynomial functions of several cores in one group, angular functions with a
    negative shift.

    Args:
        folder: holds `input.nn`, `scaling.data` and `weights.001.data`, ... by atomic number; or
            the path of its `input.nn`. Weights may also have the names under which a training
            left them: `optweights.001.out`, `weights.001.000030.out`, `000030.short.001.out`.
        length_unit: "angstrom", "bohr" or "nm"; None if a comment in `input.nn` states it
            (`# length_unit=bohr energy_unit=hartree`), as `save_n2p2` writes it.
        energy_unit: "eV", "hartree", ..., see :mod:`nnmd_graph.units`.

    Returns:
        The potential in eV and Å, float64, in evaluation mode. It knows the limits of the
        functions in the training set from `scaling.data`.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: units are not known, or a file does not fit the others or means something that
            is not supported; the message names file and line.
    """
    folder = Path(folder)
    file = folder if folder.is_file() else folder / SETTINGS_FILE
    folder = file.parent
    settings = read_settings(file)
    given = {"length_unit": length_unit, "energy_unit": energy_unit}
    units = resolve_units(stated_units(settings.text), given, str(settings.file))
    acsf, columns = _representation(settings, units)
    scaler, low, high = _scaler(folder / SCALING_FILE, settings, acsf.num_features, columns)
    readout = _readout(folder, settings, acsf.num_features, columns)
    model = EnergyModel(acsf, readout, scaler=scaler).double()
    _set_baseline(model, settings, units)
    if model.ranges is not None:
        model.ranges.set(low, high)
    potential = Potential(model).eval()
    # Not a part of the model: only for files that are written from it in the same units.
    object.__setattr__(potential, "n2p2_origin", Origin(settings.normalization, units))
    return potential


def _representation(settings: Settings, units: Units) -> tuple[ACSF, dict[int, list[int]]]:
    """Symmetry functions, and the feature of each row of scaling.data, for each element."""
    functions: dict[int, list[SymmetryFunction]] = {}
    for z, lines in settings.functions.items():
        functions[z] = []
        for number, line in lines:
            try:
                functions[z].append(line.function(units.length))
            except ValueError as error:
                where = f"{settings.file}:{number}"
                raise ValueError(f"`folder`: {where}: {error} (in Å)") from None
    every = [f for of_element in functions.values() for f in of_element]
    try:
        acsf = ACSF(
            settings.species,
            max(f.cutoff for f in every if f.cutoff is not None),
            every,
            cutoff_function=settings.cutoff_function,
            inner_cutoff=settings.inner_cutoff,
        )
    except ValueError as error:
        raise ValueError(f"`folder`: '{settings.file}': {error}") from None
    places = {z: {f: k for k, f in enumerate(acsf.functions_of(z))} for z in settings.species}
    return acsf, {z: [places[z][f] for f in functions[z]] for z in settings.species}


def _scaler(
    file: Path, settings: Settings, num_features: int, columns: dict[int, list[int]]
) -> tuple[RangeScaler, NDArray[np.float64], NDArray[np.float64]]:
    """Scaling, and limits of the features with inf, -inf where an element has no function."""
    shape = (len(settings.species), num_features)
    scaler = RangeScaler(*shape, settings.scaling, settings.s_min, settings.s_max).double()
    rows = _scaling_rows(file, settings)
    low, high = np.full(shape, np.inf), np.full(shape, -np.inf)
    for s, z in enumerate(settings.species):
        values = np.array([rows[s, k] for k in range(len(columns[z]))])
        low[s, columns[z]], high[s, columns[z]] = values[:, 0], values[:, 1]
        for buffer, column in zip(
            (scaler.minimum, scaler.maximum, scaler.mean, scaler.sigma), values.T, strict=True
        ):
            buffer[s, columns[z]] = torch.from_numpy(column.copy())
    return scaler, low, high


def _scaling_rows(file: Path, settings: Settings) -> dict[tuple[int, int], list[float]]:
    """Minimum, maximum, mean and sigma by indices of element and function, both from 0."""
    expected = [(s, k) for s, z in enumerate(settings.species)
                for k in range(len(settings.functions[z]))]  # fmt: skip
    rows: dict[tuple[int, int], list[float]] = {}
    for number, words in _rows(file):
        if len(rows) == len(expected) and len(words) == 2:
            continue  # RuNNer's last line: smallest and largest energy
        name = f"function {len(rows) + 1} of {len(expected)}"
        if len(rows) == len(expected):
            raise _error(file, number, f"{len(expected)} rows", "more", "do the files fit?")
        if len(words) not in (5, 6):
            raise _error(file, number, "6 columns", " ".join(words), "correct it")
        s, k = expected[len(rows)]
        if words[:2] != [str(s + 1), str(k + 1)]:
            raise _error(
                file, number, f"element {s + 1} and function {k + 1}", " ".join(words[:2]),
                f"its rows must follow {SETTINGS_FILE}",
            )  # fmt: skip
        values = [_number(file, number, word) for word in words[2:]]
        if settings.scaling == "sigma" and len(values) == 3:
            raise _error(file, number, "6 columns", "no sigma", "make the file anew")
        minimum, maximum, _, sigma = row = [*values, 1.0][:4]
        width = {"scale": maximum - minimum, "scale_center": maximum - minimum, "sigma": sigma}
        if minimum > maximum or width.get(settings.scaling, 1.0) <= np.finfo(float).tiny:
            raise _error(
                file, number, f"a range to scale {name} by", f"{minimum} to {maximum}, sigma "
                f"{sigma}", "leave out functions that do not vary",
            )  # fmt: skip
        rows[s, k] = row
    if len(rows) < len(expected):
        raise _error(file, 0, f"{len(expected)} rows", str(len(rows)), "do the files fit?")
    return rows


def _readout(
    folder: Path, settings: Settings, num_features: int, columns: dict[int, list[int]]
) -> ElementReadout:
    files = find_weights(folder, settings.species)
    numbers = {z: _weights(file) for z, file in files.items()}

    def misfit(networks: dict[int, Network]) -> list[int]:
        sizes = ((z, _size(networks[z], len(columns[z]))) for z in settings.species)
        return [z for z, size in sizes if size != len(numbers[z])]

    networks = min(settings.networks, key=lambda nets: len(misfit(nets)))  # the first of the best
    for z in misfit(networks):
        raise _error(
            files[z], 0, f"{_size(networks[z], len(columns[z]))} weights for {len(columns[z])} "
            f"functions of {chemical_symbols[z]} and layers {networks[z].hidden_channels}",
            str(len(numbers[z])), "do the files fit?",
        )  # fmt: skip
    readout = ElementReadout(
        len(settings.species),
        num_features,
        [networks[z].hidden_channels for z in settings.species],
        [networks[z].activation for z in settings.species],
    ).double()
    for z, net in zip(settings.species, readout.net.nets, strict=True):
        assert isinstance(net, MLP)
        _fill(net, numbers[z], columns[z], settings.normalize_nodes)
    return readout


@torch.no_grad()
def _fill(net: MLP, numbers: NDArray[np.float64], columns: list[int], normalize: bool) -> None:
    """Weights of a net: by layer, weights by input and output, then biases."""
    start = 0
    for n, linear in enumerate(net.linears):
        n_in = len(columns) if n == 0 else linear.in_features
        weight = numbers[start : start + n_in * linear.out_features].reshape(n_in, -1)
        start += weight.size
        bias = numbers[start : start + linear.out_features]
        start += bias.size
        by = n_in if normalize else 1
        linear.weight.zero_()
        linear.weight[:, columns if n == 0 else slice(None)] = torch.from_numpy(weight.T / by)
        linear.bias.copy_(torch.from_numpy(bias / by))


def _size(network: Network, num_functions: int) -> int:
    widths = (num_functions, *network.hidden_channels, 1)
    return sum((n_in + 1) * n_out for n_in, n_out in zip(widths[:-1], widths[1:], strict=True))


def find_weights(folder: Path, species: tuple[int, ...]) -> dict[int, Path]:
    """Weight files of one kind for all elements; names of a finished potential come first.

    Raises:
        FileNotFoundError: There are none of any kind for all elements.
    """
    for name in (WEIGHTS_FILE, *BEST_WEIGHTS_FILES):
        files = {z: folder / name.format(z) for z in species}
        if all(file.is_file() for file in files.values()):
            return files
    for pattern in EPOCH_WEIGHTS_FILES:
        common = set.intersection(*(_epochs(folder, pattern.format(z)) for z in species))
        epochs = sorted(common, key=int)
        if epochs:
            last = {z: folder / pattern.format(z).replace("*", epochs[-1]) for z in species}
            if len(epochs) > 1:
                names = ", ".join(file.name for file in last.values())
                warnings.warn(
                    f"`folder`: '{folder}' has weights of {len(epochs)} epochs; those of the last "
                    f"are taken ({names}); copy those that are wanted to "
                    f"{WEIGHTS_FILE.format(species[0])}, ...",
                    stacklevel=4,
                )
            return last
    missing = [z for z in species if not (folder / WEIGHTS_FILE.format(z)).is_file()]
    raise FileNotFoundError(
        f"`folder`: expected the files of a potential, got no "
        f"'{folder / WEIGHTS_FILE.format(missing[0])}', nor {BEST_WEIGHTS_FILES[0]} or "
        f"{EPOCH_WEIGHTS_FILES[0]} for all elements; is it complete?".replace("{:03d}", "...")
    )


def _epochs(folder: Path, pattern: str) -> set[str]:
    """Read the epoch, six digits, in the names of files."""
    before, after = pattern.split("*")
    words = (path.name[len(before) : -len(after)] for path in folder.glob(pattern))
    return {word for word in words if word.isdigit()}


def _weights(file: Path) -> NDArray[np.float64]:
    return np.array([_number(file, number, words[0]) for number, words in _rows(file)])


@torch.no_grad()
def _set_baseline(model: EnergyModel, settings: Settings, units: Units) -> None:
    """E0 and scale, so that E0 + scale (net - net of the isolated atom) is n2p2's energy."""
    scale = units.energy / settings.normalization.conv_energy
    isolated = isolated_outputs(model)
    energies = {}
    for z, e in zip(settings.species, isolated, strict=True):
        offset = settings.atom_energies[z]
        energies[z] = isolated_energy(offset, settings.normalization, units, scale * e)
        if not np.isfinite(energies[z]):
            raise ValueError(
                f"`folder`: expected a net of {chemical_symbols[z]} that is finite for an atom "
                f"without neighbours, got {e}; it cannot be evaluated in this form"
            )
        if abs(scale * e) * np.finfo(float).eps > LOST_DIGITS:
            warnings.warn(
                f"`folder`: the net of {chemical_symbols[z]} gives {scale * e:.3g} eV for an atom "
                "without neighbours; energies, which are differences to it, lose digits",
                stacklevel=3,
            )
    model.baseline.set(energies, scale)


@torch.no_grad()
def isolated_outputs(model: EnergyModel) -> list[float]:
    """Output of the net for an isolated atom of each element, in the unit of the net."""
    each = torch.arange(len(model.species), device=model.baseline.scale.device)
    x = model.isolated_features(model.baseline.scale.dtype)
    scaled = x if model.scaler is None else model.scaler(x, each)
    return [float(e) for e in model.readout(scaled, each)]


def isolated_energy(
    atom_energy: float, normalization: Normalization, units: Units, output: float
) -> float:
    """E0 in eV of an element, ``output`` the energy of its net for an isolated atom in eV."""
    return units.energy * (atom_energy + normalization.mean_energy) + output


def _rows(file: Path) -> list[tuple[int, list[str]]]:
    """Lines that are neither empty nor comments, with their numbers."""
    if not file.is_file():
        raise FileNotFoundError(
            f"`folder`: expected the files of a potential, got no '{file}'; is it complete?"
        )
    text = file.read_text(encoding="utf-8-sig", errors="replace")
    lines = ((number, line.split()) for number, line in enumerate(text.split("\n"), start=1))
    return [(number, words) for number, words in lines if words and not words[0].startswith("#")]


def _number(file: Path, line: int, word: str) -> float:
    try:
        return finite_number(from_fortran(word))
    except ValueError as error:
        raise ValueError(f"`folder`: {file}:{line}: {error}; correct it") from None


def _error(file: Path, line: int, expected: str, got: str, advice: str) -> ValueError:
    where = f"{file}:{line}" if line else f"'{file}'"
    return ValueError(f"`folder`: {where}: expected {expected}, got {got}; {advice}")
