"""Start from a trained potential: its weights, frozen parts, E0 of the new data."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase.data import chemical_symbols
from torch import nn
from torch_geometric.loader import DataLoader

from nnmd_graph.data.dataset import AtomsDataset
from nnmd_graph.data.statistics import fit_isolated_energies
from nnmd_graph.errors import did_you_mean
from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.graph.geometry import num_structures
from nnmd_graph.models.carry_over import carry_over
from nnmd_graph.models.checkpoint import MODULES, describe
from nnmd_graph.models.potential import Potential
from nnmd_graph.nn.origins import Origins
from nnmd_graph.nn.part import Part
from nnmd_graph.representations.representation import Representation
from nnmd_graph.training.loss import num_atoms

PARTS = ("representation", "embedding", "readout", "baseline")
"""Names of parts beside the prefixes of parameter names."""


# -- parts ----------------------------------------------------------------------------------------
def parameters_of(potential: nn.Module, part: str) -> list[str]:
    """Names of the parameters of a part.

    Args:
        potential: Its parameters are named ``model.representation...`` and ``model.readout...``.
        part: ``"representation"``, ``"embedding"``, ``"readout"``, or the beginning of a name up to
            a dot, ``"model.representation.layers.0"``.
    """
    names = [name for name, _ in potential.named_parameters()]
    if part == "embedding":
        return [name for name in names if "embedding" in name.split(".")]
    if part in PARTS:  # of the model, or of a term of a sum
        return [name for name in names if re.match(rf"model\.(parts\.\d+\.)*{part}\.", name)]
    prefix = part.rstrip(".")
    return [name for name in names if name == prefix or name.startswith(f"{prefix}.")]


def check_parts(
    potential: Potential, freeze: Sequence[str], learning_rates: Mapping[str, float]
) -> None:
    """Check that the named parts exist and that trainable parameters remain.

    Raises:
        ValueError: If a name is unknown, a part has nothing to train, or all is frozen.
    """
    trainable = {name for name, p in potential.named_parameters() if p.requires_grad}
    for argument, parts in (("freeze", freeze), ("learning_rates", learning_rates)):
        for part in parts:
            if argument == "freeze" and part == "baseline":
                continue
            if part == "baseline":
                raise ValueError(
                    "`learning_rates`: expected parts that the optimiser trains, got 'baseline', "
                    "whose E0 are fitted; leave it out, or freeze it"
                )
            _check_part(potential, argument, part, trainable)
    frozen = frozen_parameters(potential, freeze)
    if not trainable - frozen:
        raise ValueError(
            f"`freeze`: expected something left to train, got {list(freeze)}, which is everything; "
            "leave one of them out"
        )
    for part in learning_rates:
        if not (trainable & set(parameters_of(potential, part))) - frozen:
            raise ValueError(
                f"`learning_rates`: expected parts that are trained, got {part!r}, which `freeze` "
                "holds; leave it out of one of them"
            )


def _check_part(potential: Potential, argument: str, part: str, trainable: set[str]) -> None:
    found = parameters_of(potential, part)
    if trainable.intersection(found):
        return
    if found or part in PARTS:
        raise ValueError(
            f"`{argument}`: expected parts with something to train, got {part!r}, which has no "
            f"trainable parameters in this potential; those with some are "
            f"{_names(potential, trainable)}"
        )
    names = _names(potential, trainable)
    every = [*PARTS, *_prefixes(potential)]
    hint = did_you_mean(part, every, cutoff=0.5)
    raise ValueError(
        f"`{argument}`: expected parts of the potential, {names}, 'baseline' or the beginning of a "
        f"name of named_parameters(), got {part!r}{hint or '; name one of these'}"
    )


def _names(potential: nn.Module, trainable: set[str]) -> list[str]:
    """Parts with trainable parameters, and the names of their modules."""
    names = sorted(trainable)
    parts = [
        part
        for part in ("representation", "readout")
        if trainable.intersection(parameters_of(potential, part))
    ]
    if any("embedding" in n.split(".") for n in names):
        parts.insert(1, "embedding")
    return parts + list(dict.fromkeys(".".join(name.split(".")[:4]) for name in names))


def _prefixes(potential: nn.Module) -> list[str]:
    found: dict[str, None] = {}
    for name, _ in potential.named_parameters():
        words = name.split(".")
        found |= dict.fromkeys(".".join(words[:n]) for n in range(1, len(words) + 1))
    return list(found)


def frozen_parameters(potential: nn.Module, freeze: Sequence[str]) -> set[str]:
    """Names of the frozen parameters."""
    return {name for part in freeze for name in parameters_of(potential, part)}


def rate_factors(potential: nn.Module, learning_rates: Mapping[str, float]) -> dict[str, float]:
    """Factor on the learning rate by parameter; where parts overlap the smaller one decides.

    A representation multiplies the factors of its parameters by its ``learning_speed``.
    """
    members = {part: parameters_of(potential, part) for part in learning_rates}
    largest_first = sorted(members, key=lambda part: -len(members[part]))
    factors = {n: float(learning_rates[part]) for part in largest_first for n in members[part]}
    for name, module in potential.named_modules():
        speed = module.learning_speed if isinstance(module, Representation) else 1.0
        for parameter, _ in module.named_parameters(prefix=name) if speed != 1.0 else ():
            factors[parameter] = speed * factors.get(parameter, 1.0)
    return factors


# -- start ----------------------------------------------------------------------------------------
def load_start(init: Potential | str | Path) -> Potential:
    """The potential to start from, read if a file or the folder of a run is named."""
    if isinstance(init, Potential):
        return init
    return Potential.load(init)


def start_from(potential: Potential, init: Potential) -> None:
    """Write the weights, scaling, limits and baseline of ``init`` into a potential."""
    check_architecture(potential, init)
    carry_over(init.model, potential.model)


def check_architecture(potential: Potential, init: Potential) -> None:
    """Check that a potential can hold the weights of another one.

    Raises:
        ValueError: If an element of ``init`` is missing, or something else is different; names the
            first difference.
    """
    lost = [chemical_symbols[z] for z in init.species if z not in potential.species]
    if lost:
        raise ValueError(
            f"`init`: expected no other elements than those of the potential, got {lost} besides; "
            "make the potential with these species too"
        )
    origins = Origins.of(init.species, potential.species)
    found = _first_difference("model", describe(init.model), describe(potential.model), origins)
    if found is None and init.net is not None and potential.net is not None:
        found = potential.net.features.difference(init.net.features, origins)
    if found is not None:
        raise ValueError(
            f"`init`: expected the architecture of the potential, got another one: {found}; make "
            "the potential as that one was made, or with extend_species(init, species)"
        )


def _first_difference(name: str, theirs: Any, ours: Any, origins: Origins) -> str | None:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        module = MODULES.get(str(theirs.get("name")), Part)
        free = module.not_architecture if issubclass(module, Part) else Part.not_architecture
        for key in [*theirs, *(key for key in ours if key not in theirs)]:
            before, after = theirs.get(key), ours.get(key)
            if key in free:
                continue
            if key == "functions" and before != after:
                return f"`{name}.functions` are others"
            if key == "arguments":
                before, after = (
                    {k: v for k, v in (values or {}).items() if k not in free}
                    for values in (before, after)
                )
            inner = name if key == "arguments" else f"{name}.{key}"
            found = _first_difference(inner, before, after, origins)
            if found is not None:
                return found
        return None
    if _are_parts(theirs) and _are_parts(ours) and len(theirs) == len(ours):
        each = [
            _first_difference(f"{name}[{n}]", one, other, origins)
            for n, (one, other) in enumerate(zip(theirs, ours, strict=True))
        ]
        return next((difference for difference in each if difference is not None), None)
    if _by_element(theirs, origins.old) and _by_element(ours, origins.new):
        pairs = [(theirs[o], ours[s]) for s, o in enumerate(origins.index) if origins.is_known(s)]
        same = all(before == after for before, after in pairs)
    else:
        same = theirs == ours
    return None if same else f"`{name}` is {theirs!r} there and {ours!r} in the potential"


def _are_parts(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(part, dict) for part in value)


def _by_element(value: Any, species: Sequence[int]) -> bool:
    """Tell whether a setting has a list for each element."""
    nested = isinstance(value, list) and any(isinstance(part, list) for part in value)
    return nested and len(value) == len(species)


def fingerprint_of(potential: Potential) -> str:
    """Hash of all weights and buffers."""
    digest = hashlib.sha256()
    for name, value in potential.state_dict().items():
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(value.detach().cpu().numpy()).tobytes())
    return digest.hexdigest()


# -- baseline -------------------------------------------------------------------------------------
@torch.no_grad()
def refit_baseline(
    potential: Potential,
    graphs: Sequence[AtomicGraph],
    train: AtomsDataset,
    *,
    given: Mapping[int | str, float] | None = None,
    elements: Iterable[int] | None = None,
    new: Iterable[int] = (),
) -> None:
    r"""Shift E0 to the level of theory of new data; the scale of the net stays.

    The smallest changes d of E0, one for each element, that minimise

    .. math:: \sum_n ((E_n - E_n^{model} - \sum_Z N_{nZ} d_Z) / N_n)^2

    over the training set. Elements that the model had no E0 for take up all that they can first,
    with the others held. Isolated atoms among the structures have their energy as E0.

    Args:
        potential: Its isolated-atom energies are changed.
        graphs: The training set, in the potential's dtype, with or without features.
        train: The same, for its isolated atoms.
        given: E0 by symbol or atomic number, eV: taken as they are.
        elements: Elements whose E0 may change; None: all.
        new: Those of them that have no E0 yet.
    """
    fixed = _fixed_energies(train, given)
    species = potential.species
    free = [z for z in (species if elements is None else elements) if z not in fixed]
    net = potential.net
    if net is None:
        return
    energies = net.baseline.isolated_energies
    for z, e0 in fixed.items():
        if z in species and (elements is None or z in elements or _is_given(z, given)):
            energies[net.species.index(z)] = e0
    counts, error = _errors(potential, graphs)
    if not len(error):
        return
    for chosen in ([z for z in free if z in set(new)], free):
        columns = [species.index(z) for z in chosen]
        matrix = counts[:, columns]
        if not matrix.any():
            continue
        change = np.linalg.lstsq(matrix, error, rcond=1e-10)[0]
        error = error - matrix @ change
        places = [net.species.index(z) for z in chosen]
        energies[places] += torch.from_numpy(change).to(energies)


def _is_given(z: int, given: Mapping[int | str, float] | None) -> bool:
    return given is not None and (z in given or chemical_symbols[z] in given)


def _fixed_energies(
    train: AtomsDataset, given: Mapping[int | str, float] | None
) -> dict[int, float]:
    """E0 without a fit: given ones, and those of isolated atoms in the training set."""
    labelled = [labels.energy is not None for labels in train.labels]
    return fit_isolated_energies(train[train.isolated & labelled], given=given)


def _errors(
    potential: Potential, graphs: Sequence[AtomicGraph]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Composition and energy error of each structure with an energy, per atom, [n, S] and [n]."""
    was_training = potential.training
    potential.eval()
    rows, errors = [], []
    for batch in DataLoader(list(graphs), batch_size=8):
        batch = batch.to(potential.device)
        if "energy" not in batch:
            continue
        error = batch.energy - potential(batch, forces=False, stress=False)["energy"]
        table = torch.zeros(num_structures(batch), len(potential.species), dtype=torch.float64)
        ids = torch.searchsorted(torch.tensor(potential.species), batch.z.cpu())
        table.index_put_((batch.batch.cpu(), ids), torch.ones(len(ids), dtype=torch.float64),
                         accumulate=True)  # fmt: skip
        atoms = num_atoms(batch).double().cpu()
        there = torch.isfinite(batch.energy).cpu()
        rows.append((table / atoms.unsqueeze(1))[there].numpy())
        errors.append((error.cpu() / atoms)[there].numpy())
    potential.train(was_training)
    if not rows:
        return np.zeros((0, len(potential.species))), np.zeros(0)
    return np.concatenate(rows), np.concatenate(errors)
