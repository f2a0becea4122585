"""Settings of a run that starts from a trained model: the model comes from its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nnmd_graph.addresses import MODEL, model_file
from nnmd_graph.config.config import Config, flat
from nnmd_graph.models import Potential
from nnmd_graph.models.checkpoint import describe
from nnmd_graph.naming import naming
from nnmd_graph.representations import ACSF
from nnmd_graph.representations.symmetry.embedded import EMBEDDING_DIM
from nnmd_graph.training.transfer import load_start
from nnmd_graph.workflow.building import build_functions

DIM = "representation.embedding_dim"
READOUTS = {"ElementReadout": "element", "SharedReadout": "shared"}
REPRESENTATIONS = {"ACSF": "acsf", "EmbeddedACSF": "embedded_acsf"}
CONVOLUTIONS = ("GraphConvolutions", "StackedConvolutions")
_OF_CONVOLUTIONS = ("conv", "num_layers", "hidden_channels", "num_rbf", "radial")
KEYS = {
    "ElementReadout": ("hidden_channels", "activation"),
    "SharedReadout": ("hidden_channels", "activation"),
    "ACSF": ("cutoff_function",),
    "EmbeddedACSF": ("cutoff_function", "embedding_dim", "channels"),
    **dict.fromkeys(CONVOLUTIONS, _OF_CONVOLUTIONS),
}
"""Arguments of the parts of a model that are settings in the section `model` of a config."""

FUNCTION_KEYS = tuple(f"representation.{key}" for key in ("recipe", "options", "functions"))
"""Settings that a file does not hold: their results are compared."""


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
    with naming({"path": "transfer.from"}):
        model_file(path)
    if path.resolve() in (folder.resolve(), (folder / MODEL).resolve()):
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
    """Settings of a model, by dotted key of the section `model`."""
    found: dict[str, Any] = {
        "cutoff": potential.cutoff,
        "dtype": str(potential.dtype).removeprefix("torch."),
    }
    terms = {type(term).__name__ for term in potential.model.terms}
    found["repulsion"] = "zbl" if "ZBL" in terms else "none"
    if potential.net is None:
        return found | {"name": type(potential.model).__name__}
    spec = describe(potential.net)
    representation, readout = spec["representation"], spec["readout"]
    head = READOUTS.get(readout["name"])
    if representation["name"] in CONVOLUTIONS:
        stacked = representation["name"] == "StackedConvolutions"
        found |= {"name": "gcnn", "convolutions.stack": stacked, "convolutions.readout": head}
    elif head is not None:
        found |= {"name": "bpnn", "readout": head} | _settings(readout, "")
    else:
        found["name"] = representation["name"]
    found["heads"] = [head["name"].lower() for head in spec.get("heads", [])]
    for part in (representation, representation["arguments"].get("representation")):
        if part is not None:
            section = "convolutions." if part["name"] in CONVOLUTIONS else "representation."
            found |= _settings(part, section)
    return found


def _settings(part: dict[str, Any], section: str) -> dict[str, Any]:
    """Settings of a part by dotted key, without those that the section `model` lacks."""
    keys = KEYS.get(part["name"], ())
    found = {f"{section}{key}": part["arguments"][key] for key in keys}
    if part["name"] in REPRESENTATIONS:
        found[f"{section}name"] = REPRESENTATIONS[part["name"]]
    if part["name"] in CONVOLUTIONS:
        found[f"{section}options"] = part["arguments"]["conv_options"]
    return found


def _check_same_model(config: Config, init: Potential) -> None:
    """Refuse given settings of the model that differ from those of the file."""
    given = dict(flat(config.model.model_dump(exclude_unset=True)))
    if given.get(DIM, 0) is None and given.get("representation.channels") is None:
        given[DIM] = EMBEDDING_DIM  # the meaning of null
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
    if init.net is None:
        return []
    representation = init.net.features
    base = representation if representation.base_scaling is None else representation.base_scaling[0]
    if not isinstance(base.fixed, ACSF):
        return []
    found = build_functions(with_model_of(config, init), init.species)
    sets = [set(r.fixed.functions) for r in (base, found) if isinstance(r.fixed, ACSF)]
    if sets[0] == sets[1]:
        return []
    sizes = [len(functions) for functions in sets]
    return [f"`model.representation` has other functions, {sizes[0]} there and {sizes[1]} here"]
