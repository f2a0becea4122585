"""Files of models: hyper-parameters, weights and a format version, never pickled code."""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nnmd_graph.models.energy_model import EnergyModel
from nnmd_graph.models.readout import ElementReadout
from nnmd_graph.representations.acsf import ACSF
from nnmd_graph.representations.common_scaling import CommonScaler
from nnmd_graph.representations.embedded_acsf import EmbeddedACSF
from nnmd_graph.representations.range_scaling import RangeScaler
from nnmd_graph.representations.scaling import FeatureScaler

FORMAT = "nnmd_graph"
FORMAT_VERSION = 2
"""1: scalers are FeatureScalers, given as [S, F, ridge]. 2: they have a name and arguments, as all
modules; models may hold the ranges of their features."""

MODULES: dict[str, type[nn.Module]] = {
    module.__name__: module
    for module in (ACSF, EmbeddedACSF, ElementReadout, FeatureScaler, CommonScaler, RangeScaler)
}


def register(module: type[nn.Module]) -> type[nn.Module]:
    """Make a representation, readout or scaler of one's own loadable, by its class name.

    The class offers ``hyper_parameters() -> dict`` of plain values, and ``module(**dict)`` or
    ``module.from_hyper_parameters(dict)`` builds it again. Usable as a decorator.

    Raises:
        ValueError: If another class has the name.
    """
    name = module.__name__
    if MODULES.get(name, module) is not module:
        raise ValueError(f"`module` must have a name of its own, {name!r} is taken; rename it")
    MODULES[name] = module
    return module


def save_tensors(values: dict[str, Any], path: Path) -> None:
    """Write tensors and plain values under a temporary name, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save(values, file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load_tensors(path: Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Read what :func:`save_tensors` wrote.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is truncated, foreign or holds code.
    """
    if not path.is_file():
        raise FileNotFoundError(f"`path` must be a file, got {str(path)!r}, which does not exist")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, about files of others; the error says it
            values = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # foreign bytes may raise anything, IndexError and struct.error too
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"`path` must be a file written by nnmd_graph, got {str(path)!r}, which is damaged or "
            f"foreign ({reason[:120]}); save the potential again"
        ) from None
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise ValueError(
            f"`path` must be a file written by nnmd_graph, got {str(path)!r}, which is something "
            "else; write it with Potential.save"
        )
    if values.get("format_version") not in range(1, FORMAT_VERSION + 1):
        raise ValueError(
            f"`path` must be of format version 1 to {FORMAT_VERSION}, got "
            f"{values.get('format_version')} in {str(path)!r}; update nnmd_graph"
        )
    return values


def describe(model: EnergyModel) -> dict[str, Any]:
    """Plain values that rebuild a model without its weights."""
    return {
        "species": list(model.species),
        "cutoff": model.cutoff,
        "representation": _describe(model.representation),
        "readout": _describe(model.readout),
        "scaler": None if model.scaler is None else _describe(model.scaler),
        "dtype": str(model.baseline.scale.dtype).removeprefix("torch."),
    }


def build(values: dict[str, Any]) -> EnergyModel:
    """Inverse of :func:`describe`."""
    model = EnergyModel(
        _build(values["representation"]),
        _build(values["readout"]),
        species=values["species"],
        cutoff=values["cutoff"],
        scaler=_build_scaler(values["scaler"]),
    )
    return model.to(getattr(torch, values["dtype"]))


def save(model: EnergyModel, path: Path) -> None:
    """Write a model."""
    values = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "hyper_parameters": describe(model),
        "state": {name: t.detach().cpu() for name, t in model.state_dict().items()},
    }
    save_tensors(values, path)


def load(path: Path, device: str | torch.device = "cpu") -> EnergyModel:
    """Read a model; errors as in :func:`load_tensors`."""
    values = load_tensors(path, "cpu")
    try:
        model = build(values["hyper_parameters"])
        model.load_state_dict(values["state"])
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ValueError(
            f"`path` must hold a complete model, got {str(path)!r}, which does not fit together "
            f"({str(error).splitlines()[0][:200]}); save the potential again"
        ) from None
    return model.to(device)


def _describe(module: nn.Module) -> dict[str, Any]:
    name = type(module).__name__
    if MODULES.get(name) is not type(module) or not hasattr(module, "hyper_parameters"):
        raise ValueError(
            f"`model` must be made of registered modules with hyper_parameters(), got {name}; "
            "decorate the class with nnmd_graph.models.checkpoint.register"
        )
    # mypy: torch declares unknown attributes of a module as tensors.
    arguments = module.hyper_parameters()  # type: ignore[operator]
    # A representation may stand on another one.
    arguments = {k: _describe(v) if isinstance(v, nn.Module) else v for k, v in arguments.items()}
    return {"name": name, "arguments": arguments}


def _build(values: dict[str, Any]) -> nn.Module:
    name, arguments = values["name"], values["arguments"]
    if name not in MODULES:
        raise ValueError(
            f"`path` must hold modules that are known, {sorted(MODULES)}, got {name!r}; import "
            "the file that defines and registers it first"
        )
    arguments = {k: _build(v) if _is_module(v) else v for k, v in arguments.items()}
    module = MODULES[name]
    if hasattr(module, "from_hyper_parameters"):
        return module.from_hyper_parameters(arguments)
    return module(**arguments)


def _is_module(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"name", "arguments"}


def _build_scaler(values: dict[str, Any] | list[Any] | None) -> Any:
    if values is None:
        return None
    return FeatureScaler(*values) if isinstance(values, list) else _build(values)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
