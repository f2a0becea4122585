"""More elements for a potential that was trained without them."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from itertools import product
from typing import Any

from nnmd_graph.models import checkpoint
from nnmd_graph.models.carry_over import Origins, carry_over
from nnmd_graph.models.potential import Potential
from nnmd_graph.nn.species import species_tuple


def extend_species(potential: Potential, species: Iterable[int | str] | int | str) -> Potential:
    """The same potential with more elements; what it knows about the others stays exactly so.

    Energies, forces and stresses of structures of the old elements are the same up to rounding
    (1e-12 in float64). Symmetry functions are added for the new neighbours, those that the nearest
    known element has, so that a complete set stays complete; first-layer weights of these features
    are zero. A new element starts with the net, the scaling and the embedding of the known element
    nearest in the periodic table, and with E0 = 0: nothing is known about it until it is trained,
    with ``Trainer(init=potential)``, which fits its E0 and the scaling of its features.

    Args:
        potential: Not changed.
        species: Elements to add, symbols or atomic numbers; known ones may be among them.

    Returns:
        Another potential, in the mode, dtype and on the device of the first.

    Raises:
        TypeError: If ``potential`` is no Potential.
        ValueError: If ``species`` is no element, or a module of one's own is not registered or
            depends on the elements in an unknown way.
    """
    if not isinstance(potential, Potential):
        raise TypeError(
            f"`potential`: expected a Potential, got {type(potential).__name__}; write "
            "Potential.load(path)"
        )
    old = potential.model
    origins = Origins.of(old.species, species_tuple([*old.species, *_listed(species)]))
    if not origins.added:
        return copy.deepcopy(potential)
    values = extended_description(checkpoint.describe(old), origins)
    model = checkpoint.build(values)
    before, after = (getattr(m.representation, "num_features", None) for m in (old, model))
    if before != after:  # the readout takes what the representation now gives
        values = _resized(values, before, after)
        model = checkpoint.build(values)
    model.to(potential.device)
    carry_over(old, model)
    return Potential(model).train(potential.training)


def _listed(species: Iterable[int | str] | int | str) -> list[int | str]:
    return [species] if isinstance(species, int | str) else list(species)


def extended_description(values: dict[str, Any], origins: Origins) -> dict[str, Any]:
    """What :func:`nnmd_graph.models.checkpoint.describe` gives, with more elements."""
    parts = {
        name: None if values[name] is None else _extended_module(values[name], origins)
        for name in ("representation", "readout", "scaler")
    }
    return values | parts | {"species": list(origins.new)}


def _extended_module(values: dict[str, Any], origins: Origins) -> dict[str, Any]:
    name, given = values["name"], values["arguments"]
    arguments: dict[str, Any] = {
        key: _extended_module(value, origins)
        if isinstance(value, dict) and value.keys() == {"name", "arguments"}
        else value
        for key, value in given.items()
    }
    if "species" in arguments:
        arguments["species"] = list(origins.new)
    if "num_species" in arguments:
        arguments["num_species"] = len(origins.new)
    if name == "ACSF":
        arguments["functions"] = extended_functions(arguments["functions"], origins)
    if name == "ElementReadout":
        for key in ("hidden_channels", "activation"):
            value = arguments[key]
            if not isinstance(value, str) and any(isinstance(part, list) for part in value):
                arguments[key] = [value[o] for o in origins.index]  # one list for each element
    return {"name": name, "arguments": arguments}


def extended_functions(functions: list[dict[str, Any]], origins: Origins) -> list[dict[str, Any]]:
    """Symmetry functions with those of new elements behind them.

    Wherever the element nearest to a new one stands, as centre or as neighbour, the new one does.
    A set with a function for each pair of elements gets one for each new pair, like
    :meth:`nnmd_graph.representations.acsf.ACSF.auto`; of chosen functions, new neighbours get those
    that were chosen for the nearest element.
    """
    alike: dict[int | None, list[int | None]] = {z: [z] for z in origins.old}
    alike[None] = [None]
    for s, z in enumerate(origins.new):
        if not origins.is_known(s):
            alike[origins.old[origins.index[s]]].append(z)
    found = {_key(f): f for f in functions}
    for f in functions:
        neighbors = f.get("neighbors")
        for centre in alike[f.get("centre")]:
            for chosen in product(*(alike[z] for z in neighbors or ())):
                other = dict(f)
                if centre is not None:
                    other["centre"] = centre
                if neighbors is not None:
                    other["neighbors"] = sorted(z for z in chosen if z is not None)
                found.setdefault(_key(other), other)
    return list(found.values())


def _key(function: dict[str, Any]) -> str:
    return repr(sorted(function.items()))


def _resized(values: dict[str, Any], before: Any, after: Any) -> dict[str, Any]:
    """Readout and scaler for another number of features."""
    values = dict(values)
    for name, key in (("readout", "in_channels"), ("scaler", "num_features")):
        part = values[name]
        if part is not None and part["arguments"].get(key) == before:
            values[name] = part | {"arguments": part["arguments"] | {key: after}}
    return values
