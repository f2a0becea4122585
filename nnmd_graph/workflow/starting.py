"""Settings of a run that goes on from a trained model: the model comes from its file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nnmd_graph.models import Potential
from nnmd_graph.models.readout import ElementReadout
from nnmd_graph.models.shared_readout import SharedReadout
from nnmd_graph.naming import naming
from nnmd_graph.representations import ACSF, EmbeddedACSF
from nnmd_graph.representations.embedded_acsf import EMBEDDING_DIM
from nnmd_graph.representations.graph_convolutions import GraphConvolutions
from nnmd_graph.representations.stacked import StackedConvolutions
from nnmd_graph.training.config import Config
from nnmd_graph.training.transfer import load_start
from nnmd_graph.workflow.building import build_functions

DIM = "representation.embedding_dim"
FUNCTION_KEYS = tuple(f"representation.{key}" for key in ("recipe", "options", "functions"))
"""Settings that a file does not hold: what comes of them is compared."""


def read_start(config: Config, folder: Path) -> Potential | None:
    """The model that `transfer.from` names; None where it names none.

    Args:
        config: its sections `transfer` and `model`.
        folder: of the run, which must not hold what it starts from.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged or foreign, or the section `model` says something else.
    """
    path = config.transfer.init
    if path is None:
        return None
    if not path.exists():
        raise FileNotFoundError(
            f"`transfer.from`: expected a model file or the folder of a run, got '{path}', which "
            "is not there; check the name and the folder"
        )
    if path.resolve() in (folder.resolve(), (folder / "model.pt").resolve()):
        raise ValueError(
            f"`transfer.from`: expected a model outside of the folder of the run, got '{path}', "
            "which the run would replace; name another folder (`output`)"
        )
    with naming({"path": "transfer.from"}):
        init = load_start(path)
    _check_same_model(config, init)
    return init


def with_model_of(config: Config, init: Potential | None) -> Config:
    """The settings with cutoff, dtype and kind of the model that training starts from."""
    if init is None:
        return config
    there = settings_of_model(init)
    known = {key: there[key] for key in ("name", "cutoff", "dtype")}
    return config.model_copy(update={"model": config.model.model_copy(update=known)})


def settings_of_model(potential: Potential) -> dict[str, Any]:
    """What a model says about itself, by dotted key of the section `model`."""
    representation, readout = potential.model.representation, potential.model.readout
    found: dict[str, Any] = {
        "cutoff": potential.cutoff,
        "dtype": str(potential.dtype).removeprefix("torch."),
    }
    one_each = {ElementReadout: "element", SharedReadout: "shared"}.get(type(readout))
    base: Any = representation
    if isinstance(representation, GraphConvolutions):
        values = representation.hyper_parameters()
        stacked = isinstance(representation, StackedConvolutions)
        found |= {"name": "gcnn", "convolutions.stack": stacked, "convolutions.readout": one_each}
        for key in ("conv", "num_layers", "hidden_channels", "num_rbf", "radial"):
            found[f"convolutions.{key}"] = values[key]
        found["convolutions.options"] = values["conv_options"]
        base = representation.base if isinstance(representation, StackedConvolutions) else None
    elif isinstance(readout, ElementReadout | SharedReadout):
        values = readout.hyper_parameters()
        found |= {"name": "bpnn", "readout": one_each}
        found |= {key: values[key] for key in ("hidden_channels", "activation")}
    else:
        found["name"] = type(representation).__name__
    if isinstance(base, ACSF | EmbeddedACSF):
        embedded = isinstance(base, EmbeddedACSF)
        found["representation.name"] = "embedded_acsf" if embedded else "acsf"
        fixed = base.fixed if isinstance(base, EmbeddedACSF) else base
        found["representation.cutoff_function"] = fixed.cutoff_function
        if isinstance(base, EmbeddedACSF):
            dim = base.embedding_dim if base.channels is None else None  # one of the two, as given
            found |= {DIM: dim, "representation.channels": base.channels}
    return found


def _check_same_model(config: Config, init: Potential) -> None:
    """Refuse settings of the model that are given and are not those of the file."""
    given = dict(_flat(config.model.model_dump(exclude_unset=True)))
    if given.get(DIM, 0) is None and given.get("representation.channels") is None:
        given[DIM] = EMBEDDING_DIM  # what null stands for
    there = settings_of_model(init)
    different = [
        f"`model.{key}` is {there[key]!r} there, and {value!r} here"
        for key, value in given.items()
        if key in there and there[key] != value
    ]
    if not different and any(key in given for key in FUNCTION_KEYS):
        different = _function_difference(config, init)
    if different:
        raise ValueError(
            f"`model`: expected the model of '{config.transfer.init}', got other settings: "
            f"{'; '.join(different)}; leave the section `model` out: the file has all of it"
        )


def _function_difference(config: Config, init: Potential) -> list[str]:
    representation: Any = init.model.representation
    base = getattr(representation, "base", representation)
    if not isinstance(base, ACSF | EmbeddedACSF):
        return []
    found = build_functions(with_model_of(config, init), init.species)
    sets = [r.fixed if isinstance(r, EmbeddedACSF) else r for r in (base, found)]
    if set(sets[0].functions) == set(sets[1].functions):
        return []
    sizes = [len(s.functions) for s in sets]
    return [f"`model.representation` has other functions, {sizes[0]} there and {sizes[1]} here"]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and key != "options":
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
