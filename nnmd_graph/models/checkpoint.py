"""Files of models: hyper-parameters, weights and a format version, never pickled code."""

from __future__ import annotations

import io
import math
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from nnmd_graph.addresses import missing
from nnmd_graph.errors import reason
from nnmd_graph.files import read_archive, write_archive
from nnmd_graph.models.energy_model import EnergyModel
from nnmd_graph.models.heads import Charges
from nnmd_graph.models.readout import ElementReadout
from nnmd_graph.models.shared_readout import SharedReadout
from nnmd_graph.models.sum_model import SumModel
from nnmd_graph.models.term import EnergyTerm, PlainTerm
from nnmd_graph.models.terms.repulsion import ZBL
from nnmd_graph.representations.common_scaling import CommonScaler
from nnmd_graph.representations.graph_convolutions import GraphConvolutions
from nnmd_graph.representations.range_scaling import RangeScaler
from nnmd_graph.representations.scaling import FeatureScaler
from nnmd_graph.representations.stacked import StackedConvolutions
from nnmd_graph.representations.symmetry.acsf import ACSF
from nnmd_graph.representations.symmetry.embedded import EmbeddedACSF

FORMAT = "nnmd_graph"
FORMAT_VERSION = 3
"""1: scalers are FeatureScalers, given as [S, F, ridge]. 2: they have a name and arguments, as all
modules; models may hold the ranges of their features. 3: a checksum of all bytes at the end."""
FIRST_SEALED = 3

Registered = TypeVar("Registered", bound=nn.Module)

MODULES: dict[str, type[nn.Module]] = {
    module.__name__: module
    for module in (
        *(ACSF, EmbeddedACSF, GraphConvolutions, StackedConvolutions),
        *(ElementReadout, SharedReadout),
        *(FeatureScaler, CommonScaler, RangeScaler),
        *(EnergyModel, SumModel, PlainTerm, ZBL, Charges),
    )
}


def register(module: type[Registered]) -> type[Registered]:
    """Register a user's representation, readout, scaler or energy term for loading by name.

    The class offers ``hyper_parameters() -> dict`` of plain values, and ``module(**dict)`` or
    ``module.from_hyper_parameters(dict)`` builds it again. Usable as a decorator.

    Raises:
        ValueError: If another class has the name.
        TypeError: If the class lacks ``hyper_parameters``.
    """
    name = module.__name__
    if MODULES.get(name, module) is not module:
        raise ValueError(
            f"`module`: expected a name of its own, got {name!r}, which is taken; rename it"
        )
    if getattr(module, "hyper_parameters", None) is None:
        raise TypeError(
            f"`module`: expected a class with hyper_parameters(), got {name}; let it return the "
            "arguments that make the module again"
        )
    MODULES[name] = module
    return module


def save_tensors(values: dict[str, Any], path: Path) -> None:
    """Write tensors and plain values with a checksum, under a temporary name, then rename.

    Raises:
        OSError: If the file cannot be written; the old one stays.
    """
    buffer = io.BytesIO()
    torch.save(values, buffer)
    write_archive(buffer.getvalue(), path)


def load_tensors(path: Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Read what :func:`save_tensors` wrote.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is truncated, damaged in any bit, foreign or holds code.
    """
    if not path.is_file():
        raise missing(path)
    try:
        content, sealed = read_archive(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, about files of others; the error says it
            values = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    except OSError:
        raise
    except Exception as error:  # foreign bytes may raise anything, IndexError and struct.error too
        # PyTorch's own words would advise to run the code in the file
        is_code = isinstance(error, pickle.UnpicklingError)
        why = "it holds more than tensors and numbers" if is_code else reason(error)[:120]
        raise ValueError(
            f"`path`: expected a file written by nnmd_graph, got {str(path)!r}, which is damaged "
            f"or foreign ({why}); save the potential again"
        ) from None
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise ValueError(
            f"`path`: expected a file written by nnmd_graph, got {str(path)!r}, which is something "
            "else; write it with Potential.save"
        )
    version: Any = values.get("format_version")
    if version not in range(1, FORMAT_VERSION + 1):
        raise ValueError(
            f"`path`: expected format version 1 to {FORMAT_VERSION}, got "
            f"{version} in {str(path)!r}; update nnmd_graph"
        )
    if version >= FIRST_SEALED and not sealed:
        raise ValueError(
            f"`path`: expected a file written by nnmd_graph, got {str(path)!r}, which is damaged "
            "or foreign (without the checksum at its end); save the potential again"
        )
    return values


def describe(model: EnergyTerm) -> dict[str, Any]:
    """Plain values that rebuild a model without its weights.

    An energy model is described by its parts, another term by its name and arguments.
    """
    values = _describe(model)
    if isinstance(model, EnergyModel):
        values = values["arguments"]
    return values | {"dtype": str(model.dtype).removeprefix("torch.")}


def build(values: dict[str, Any]) -> EnergyTerm:
    """Inverse of :func:`describe`."""
    given = {key: value for key, value in values.items() if key != "dtype"}
    if "name" not in given:
        scaler = given["scaler"]
        if isinstance(scaler, list):  # format version 1
            sizes = dict(zip(("num_species", "num_features", "ridge"), scaler, strict=False))
            given["scaler"] = {"name": "FeatureScaler", "arguments": sizes}
        given = {"name": "EnergyModel", "arguments": given}
    model = _build(given)
    if not isinstance(model, EnergyTerm):
        raise TypeError(f"an energy term is expected, got {type(model).__name__}")
    return model.to(getattr(torch, values["dtype"]))


def save(model: EnergyTerm, path: Path) -> None:
    """Write a model.

    Raises:
        ValueError: If it holds a number that is NaN or infinite, or a module that is not known.
    """
    check_finite_model(model)
    values = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "hyper_parameters": describe(model),
        "state": {name: t.detach().cpu() for name, t in model.state_dict().items()},
    }
    save_tensors(values, path)


def load(path: Path, device: str | torch.device = "cpu") -> EnergyTerm:
    """Read a model.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, foreign or incomplete, or holds a number that is NaN or
            infinite.
    """
    values = load_tensors(path, "cpu")
    try:
        model = build(values["hyper_parameters"])
        model.load_state_dict(values["state"])
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        missing = f"{error} is missing" if isinstance(error, KeyError) else reason(error)[:200]
        raise ValueError(
            f"`path`: expected a complete model, got {str(path)!r}, which does not fit together "
            f"({missing}); save the potential again"
        ) from None
    except ValueError as error:  # of a module, which knows nothing of files
        raise ValueError(f"{error} (in {str(path)!r})") from None
    wrong = not_finite(values["state"]) + _not_finite_values(values["hyper_parameters"])
    if wrong:
        raise ValueError(
            f"`path`: expected finite numbers, got NaN or infinity in {', '.join(wrong[:3])} of "
            f"{str(path)!r}; take the file of an earlier training, or train again"
        )
    return model.to(device)


def check_finite_model(model: nn.Module) -> None:
    """Refuse a model that holds NaN or infinite numbers.

    Raises:
        ValueError: If a weight, a limit, a scaling or an energy is NaN or infinite.
    """
    wrong = not_finite(model.state_dict())
    if isinstance(model, EnergyTerm):
        wrong += _not_finite_values(describe(model))
    if wrong:
        raise ValueError(
            f"`potential`: expected finite numbers, got NaN or infinity in {', '.join(wrong[:3])}; "
            "it cannot be used: train again, with a lower `learning_rate`"
        )


def not_finite(state: Mapping[str, Any]) -> list[str]:
    """Names of tensors that hold NaN or infinity; limits may be unknown, inf and -inf."""
    wrong = []
    for name, values in state.items():
        if not isinstance(values, torch.Tensor) or not values.is_floating_point():
            continue
        good = torch.isfinite(values)
        prefix, _, limit = name.rpartition(".")
        if limit in ("minimum", "maximum") and prefix.rpartition(".")[2] == "ranges":
            low, high = (state.get(f"{prefix}.{end}") for end in ("minimum", "maximum"))
            if low is not None and high is not None:
                good = good | ((low == math.inf) & (high == -math.inf))
        if not bool(good.all()):
            wrong.append(name)
    return wrong


def _not_finite_values(values: Any, name: str = "") -> list[str]:
    """Keys of plain values that are NaN or infinite."""
    if isinstance(values, float):
        return [] if math.isfinite(values) else [name]
    if isinstance(values, Mapping):
        pairs: Any = values.items()
    else:
        pairs = enumerate(values) if isinstance(values, (list, tuple)) else ()
    return [
        wrong
        for key, value in pairs
        for wrong in _not_finite_values(value, f"{name}.{key}" if name else str(key))
    ]


def _describe(module: Any) -> dict[str, Any]:
    name = type(module).__name__
    if MODULES.get(name) is not type(module):
        raise ValueError(
            "`model`: expected registered modules with hyper_parameters(), got "
            f"{name}; decorate the class with nnmd_graph.models.checkpoint.register"
        )
    known: Any = module
    return {"name": name, "arguments": _plain(known.hyper_parameters())}


def _plain(value: Any) -> Any:
    """A value with its parts described: a representation may stand on another one."""
    if isinstance(value, nn.Module):
        return _describe(value)
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value


def _build(values: Any) -> Any:
    """Inverse of :func:`_plain`."""
    if isinstance(values, list):
        return [_build(value) for value in values]
    if not isinstance(values, dict):
        return values
    if values.keys() != {"name", "arguments"}:
        return {key: _build(value) for key, value in values.items()}
    name, arguments = values["name"], _build(values["arguments"])
    if name not in MODULES:
        raise ValueError(
            f"`path`: expected modules that are known, {sorted(MODULES)}, got {name!r}; import "
            "the file that defines and registers it first"
        )
    module = MODULES[name]
    make: Any = getattr(module, "from_hyper_parameters", None)  # plain modules may lack it
    return module(**arguments) if make is None else make(arguments)
