"""From settings to objects: the potential, the trainer, the parts of the data."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from ase.data import chemical_symbols

from nnmd_graph.choices import LOSS_WEIGHTS
from nnmd_graph.config.config import Config, LossConfig
from nnmd_graph.data import AtomsDataset, geometry_groups
from nnmd_graph.data.duplicates import shared, warn_of_shared
from nnmd_graph.data.label_checks import warn_of_contradictions
from nnmd_graph.memory import TooLargeError
from nnmd_graph.models import (
    BPNN,
    GCNN,
    ZBL,
    EnergyModel,
    EnergyTerm,
    Potential,
    SumModel,
)
from nnmd_graph.naming import naming
from nnmd_graph.progress import track
from nnmd_graph.representations import ACSF, EmbeddedACSF
from nnmd_graph.representations.symmetry.functions import from_dict
from nnmd_graph.sections import Section
from nnmd_graph.training import Trainer
from nnmd_graph.training.loss import Loss, LossTerm

MAX_COMPARED = 5_000_000
"""Edges of the graphs by which equal structures are searched; a million takes 1.3 s."""

NAMES = ("train", "val", "test")

Parts = dict[str, AtomsDataset]
"""Training, validation and test set under "train", "val" and "test"; empty parts are left out."""


def build_potential(config: Config, species: Sequence[int]) -> Potential:
    """Make an untrained potential.

    Args:
        config: its sections `model` and `seed`.
        species: elements, atomic numbers.

    Raises:
        ValueError: the symmetry functions do not fit the elements or the cutoff.
        TypeError: the convolution does not fit its arguments.
    """
    with naming(keys_of(config.model, "model") | {"species": "data.train"}):
        return Potential(_build_model(config, species).to(getattr(torch, config.model.dtype)))


def check_sizes(config: Config) -> None:
    """Refuse sizes that would not fit in the memory with one element, before any data are read.

    Raises:
        TooLargeError: they would not.
    """
    try:
        build_potential(config, (1,))
    except TooLargeError:
        raise
    except (ValueError, TypeError):
        return  # otherwise the data decide: functions may name their elements


def _build_model(config: Config, species: Sequence[int]) -> EnergyTerm:
    net = _build_net(config, species)
    return net if config.model.repulsion == "none" else SumModel(net, ZBL(species))


def _build_net(config: Config, species: Sequence[int]) -> EnergyModel:
    model = config.model
    if model.name == "gcnn":
        values = model.convolutions.model_dump()
        with naming(keys_of(model.convolutions, "model.convolutions")):
            return GCNN(
                species,
                model.cutoff,
                stack_on=build_functions(config, species) if values.pop("stack") else None,
                conv_options=values.pop("options"),
                heads=model.heads,
                seed=config.seed,
                **values,
            )
    return BPNN(
        build_functions(config, species),
        model.hidden_channels,
        model.activation,
        readout=model.readout,
        ridge=model.ridge,
        heads=model.heads,
        seed=config.seed,
    )


def build_functions(config: Config, species: Sequence[int]) -> ACSF | EmbeddedACSF:
    """Make the symmetry functions of the section `model`."""
    chosen = config.model.representation
    options = {name: f"model.representation.options.{name}" for name in chosen.options}
    with naming(keys_of(chosen, "model.representation") | options):
        return _build_functions(config, species)


def _build_functions(config: Config, species: Sequence[int]) -> ACSF | EmbeddedACSF:
    model, chosen = config.model, config.model.representation
    functions = None
    if chosen.functions is not None:
        functions = [from_dict(values) for values in chosen.functions]
    if chosen.name == "embedded_acsf":
        return EmbeddedACSF(
            species,
            model.cutoff,
            functions,
            embedding_dim=chosen.embedding_dim,
            channels=chosen.channels,
            recipe=chosen.recipe,
            init=chosen.init,
            cutoff_function=chosen.cutoff_function,
            seed=config.seed,
            **chosen.options,
        )
    if functions is not None:
        return ACSF(species, model.cutoff, functions, cutoff_function=chosen.cutoff_function)
    return ACSF.auto(
        species,
        model.cutoff,
        recipe=chosen.recipe,
        cutoff_function=chosen.cutoff_function,
        **chosen.options,
    )


def loss_of(config: LossConfig) -> Loss:
    """The loss of the section `loss`."""
    weights = {name: getattr(config, name) for name in LOSS_WEIGHTS} | config.more
    return Loss(
        [LossTerm(n, w, error=config.errors.get(n, "square")) for n, w in weights.items()],
        energy_start=config.energy_start,
        element_weights=config.element_weights,
    )


def build_trainer(
    config: Config,
    output: Path | None,
    *,
    init: Potential | None = None,
    progress: bool = False,
) -> Trainer:
    """Make the trainer.

    Args:
        config: its sections `training`, `loss`, `transfer`, `seed` and `device`.
        output: folder of the run.
        init: what `transfer.from` names.
        progress: show progress bars.

    Raises:
        ValueError: a setting is out of range, or the device is not there.
    """
    with naming(keys_of(config.loss, "loss")):
        loss = loss_of(config.loss)
    with naming(training_keys(config)):
        return Trainer(
            **config.training.model_dump(),
            loss=loss,
            init=init,
            freeze=config.transfer.freeze,
            learning_rates=config.transfer.learning_rates,
            refit_baseline=config.transfer.refit_baseline,
            seed=config.seed,
            device=config.device,
            output=output,
            progress=progress,
        )


def read_parts(config: Config, *, known: Sequence[int] = (), progress: bool = False) -> Parts:
    """Read the data and divide them.

    Args:
        config: its sections `data` and `model`.
        known: elements that the model knows already.
        progress: show progress bars.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: no training file is named, a file is broken, a part is empty, or an element
            occurs only in the validation or test set.
    """
    data = config.data
    if not data.train:
        raise ValueError(
            "`data.train`: expected a file to train on, got none; name it in the config or on the "
            "command line"
        )
    parts = {"train": _read(config, "train", data.train, progress)}
    for name, files in (("val", data.val), ("test", data.test)):
        if files:
            parts[name] = _read(config, name, files, progress)
    lone = int(parts["train"].isolated.sum())
    sizes = data.split.sizes(len(parts["train"]), "val" in parts, "test" in parts, lone)
    seed = config.seed if data.split.seed is None else data.split.seed
    with naming(keys_of(data.split, "data.split") | {"groups": "data.groups"}):
        drawn = parts["train"].split(*sizes, seed=seed, groups=data.groups)
    for name, part in zip(NAMES, drawn, strict=True):
        if name == "train" or len(part):
            parts[name] = part
    parts = {name: parts[name] for name in NAMES if name in parts}
    _check_elements(parts, known)
    _warn_of_isolated(parts, known)
    return parts


def keys_of(section: Section, name: str) -> dict[str, str]:
    """Keys of a section of the settings, by the arguments that they become."""
    return {key: f"{name}.{key}" for key in type(section).model_fields}


def training_keys(config: Config) -> dict[str, str]:
    """Keys of the settings by the arguments of `Trainer` and of its `fit`."""
    return (
        keys_of(config.transfer, "transfer")
        | keys_of(config.training, "training")
        | {name: f"data.{name}" for name in ("train", "val", "test", *config.data.keys())}
        | {"init": "transfer.from", "dataset": "data.train", "given": "training.isolated_energies"}
    )


def _read(config: Config, part: str, files: Sequence[Path], progress: bool) -> AtomsDataset:
    keys = {name: f"data.{name}" for name in type(config.data).model_fields if name not in NAMES}
    with naming(
        keys | {"path": f"data.{part}", "frames": f"data.{part}", "cutoff": "model.cutoff"}
    ):
        return AtomsDataset.read(
            list(files),
            config.model.cutoff,
            progress=progress,
            dtype=getattr(torch, config.model.dtype),
            **config.data.reading(),
        )


def _warn_of_isolated(parts: Parts, known: Sequence[int]) -> None:
    """Warn of isolated atoms that the training set lacks, and of elements without other frames."""
    train = parts["train"]
    told = {int(train.frames[i].numbers[0]) for i in train.isolated.nonzero()[0]}
    for name, part in parts.items():
        lost = [i for i in part.isolated.nonzero()[0] if int(part.frames[i].numbers[0]) not in told]
        if name != "train" and lost:
            warnings.warn(
                f"`data.{name}`: {part.name(int(lost[0]))} is an isolated atom of an element of "
                "which `data.train` has none, so that E0 is fitted without it; move it there",
                stacklevel=3,
            )
    met = {int(z) for frame, lone in zip(train.frames, train.isolated, strict=True)
           if not lone for z in frame.numbers}  # fmt: skip
    only = sorted(told - met - set(known))
    if only and met:
        symbols = ", ".join(chemical_symbols[z] for z in only)
        warnings.warn(
            f"`data.train`: of {symbols} there are isolated atoms only; the model learns their E0 "
            "and nothing of their neighbourhoods, leave these frames out or add others",
            stacklevel=3,
        )


def warn_of_equal_structures(config: Config, parts: Parts, *, progress: bool = False) -> None:
    """Warn of parts that hold structures of the training set, and of contradictions.

    Rotated, renumbered and repeated ones count as equal: the graphs, which must be there, tell.
    """
    if sum(graph.num_edges for graph in chain.from_iterable(parts.values())) > MAX_COMPARED:
        return  # equal coordinates were reported when the parts were drawn
    graphs = chain.from_iterable(parts.values())
    total = sum(map(len, parts.values()))
    groups = geometry_groups(track(graphs, "comparing structures", total=total, enabled=progress))
    ends = np.cumsum([len(part) for part in parts.values()])
    of_part = dict(zip(parts, np.split(groups, ends[:-1]), strict=True))
    train = parts["train"]
    first = {group: i for i, group in reversed(list(enumerate(of_part["train"].tolist())))}
    inside = np.array([first[group] for group in of_part["train"].tolist()])
    warn_of_contradictions(train, inside, energies_only=True)
    for name, part in parts.items():
        drawn = getattr(config.data, name) is None
        if name == "train" or drawn and config.data.groups is None and shared(train, part):
            continue  # reported when the parts were drawn
        advice = "leave them out of one of the files"
        if drawn:
            advice = "keep equal structures in one part with `data.groups: geometry`"
        pairs = shared(train, part, (of_part["train"], of_part[name]))
        warn_of_shared(f"data.{name}", train, part, pairs, advice)


def _check_elements(parts: Parts, known: Sequence[int]) -> None:
    """Refuse elements outside the training set, about which nothing would be learnt."""
    for name, part in parts.items():
        unknown = [z for z in part.species if z not in (*parts["train"].species, *known)]
        if unknown:
            first = next(n for n, frame in enumerate(part.frames) if unknown[0] in frame.numbers)
            symbols = ", ".join(chemical_symbols[z] for z in unknown)
            raise ValueError(
                f"`data.{name}`: expected elements that the training set has, got {symbols} "
                f"besides ({part.sources[first]}); train on structures with them, or draw the "
                "parts with another `seed`"
            )
