"""Arguments and data of a training run, checked before any work."""

from __future__ import annotations

import math
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING

from ase.data import chemical_symbols

from nnmd_graph.choices import OPTIMIZERS, SCHEDULES, TERMS
from nnmd_graph.data.dataset import AtomsDataset
from nnmd_graph.devices import find_device
from nnmd_graph.graph.labels import check_range
from nnmd_graph.models.model_file import model_file
from nnmd_graph.models.potential import Potential
from nnmd_graph.training.callbacks import Callback
from nnmd_graph.training.compiled import check_compilable
from nnmd_graph.training.costs import check_costs
from nnmd_graph.training.loggers import check_loggers
from nnmd_graph.training.loss import EnergyForcesLoss

if TYPE_CHECKING:
    from nnmd_graph.training.trainer import Trainer


def check_arguments(trainer: Trainer) -> None:
    """Check the settings of a trainer.

    Raises:
        TypeError: If the loss is not an EnergyForcesLoss, or a number not a number.
        ValueError: If a setting is out of range or unknown.
    """
    if not isinstance(trainer.loss, EnergyForcesLoss):
        raise TypeError(
            f"`loss`: expected an EnergyForcesLoss, got {type(trainer.loss).__name__}; "
            "write EnergyForcesLoss(energy=100.0, forces=1.0)"
        )
    for name, choices in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
        if getattr(trainer, name) not in choices:
            raise ValueError(
                f"`{name}`: expected one of {choices}, got {getattr(trainer, name)!r}; choose one"
            )
    _check_positive(trainer, "max_epochs", "batch_size", "patience", integer=True)
    _check_positive(trainer, "learning_rate", "max_seconds")
    if trainer.gradient_clip is not None and trainer.gradient_clip != 0:
        _check_positive(trainer, "gradient_clip")
    for name in ("ema_decay", "weight_decay", "checkpoint_seconds", "seed"):
        _check_number(name, getattr(trainer, name), integer=name == "seed")
    if not 0.0 <= trainer.ema_decay < 1.0:
        raise ValueError(
            f"`ema_decay`: expected a number in [0, 1), got {trainer.ema_decay}; 0 turns averaging "
            "off"
        )
    if not 0.0 <= trainer.weight_decay < math.inf:
        raise ValueError(
            f"`weight_decay`: expected at least 0, got {trainer.weight_decay}; 0 is off"
        )
    if not trainer.checkpoint_seconds >= 0.0:
        raise ValueError(
            f"`checkpoint_seconds`: expected at least 0, got {trainer.checkpoint_seconds}; 0 "
            "writes one after every epoch"
        )
    if not 0 <= trainer.seed < 2**32:
        raise ValueError(
            f"`seed`: expected a number in 0 .. 2^32 - 1, got {trainer.seed}; give a small one"
        )
    if trainer.optimizer == "lbfgs" and (trainer.gradient_clip or trainer.weight_decay):
        raise ValueError(
            "`gradient_clip` and `weight_decay` are not for L-BFGS, got "
            f"{trainer.gradient_clip} and {trainer.weight_decay}; leave them out"
        )
    _check_transfer(trainer)
    _check_callbacks(trainer)
    find_device(trainer.device)


def _check_transfer(trainer: Trainer) -> None:
    """Where training starts from, and what stays or goes slowly."""
    init = trainer.init
    if not (init is None or isinstance(init, Potential | Path)):
        raise TypeError(
            f"`init`: expected a Potential or the name of its file, got {type(init).__name__}; "
            "write init='model.pt'"
        )
    if isinstance(init, Path) and not model_file(init).is_file():
        raise FileNotFoundError(
            f"`init`: expected a model file or the folder of a run, got '{init}', which is not "
            "there; check the name and the folder"
        )
    if isinstance(trainer.freeze, str) or not all(isinstance(x, str) for x in trainer.freeze):
        raise TypeError(
            f"`freeze`: expected names of parts, got {trainer.freeze!r}; write for example "
            "freeze=['representation']"
        )
    for part, factor in trainer.learning_rates.items():
        _check_number(f"learning_rates[{part!r}]", factor)
        if not 0.0 < factor < math.inf:
            raise ValueError(
                f"`learning_rates`: expected positive factors on the learning rate, got {factor} "
                f"for {part!r}; what is not to change belongs into `freeze`"
            )
    if trainer.learning_rates and trainer.optimizer == "lbfgs":
        raise ValueError(
            f"`learning_rates` are not for L-BFGS, got {trainer.learning_rates}; leave them out, "
            "or freeze parts"
        )
    refit = trainer.refit_baseline
    if not (refit is None or isinstance(refit, bool)):
        raise TypeError(
            f"`refit_baseline`: expected True, False or None, got {refit!r}; choose one"
        )
    if refit and "baseline" in trainer.freeze:
        raise ValueError(
            "`refit_baseline`: expected False or None where `freeze` names 'baseline', got both; "
            "leave one of them out"
        )


def _check_callbacks(trainer: Trainer) -> None:
    given = trainer.callbacks if isinstance(trainer.callbacks, tuple) else (trainer.callbacks,)
    wrong = [one for one in given if not isinstance(one, Callback)]
    if wrong or not isinstance(trainer.callbacks, tuple):
        what = wrong[0] if wrong else trainer.callbacks
        name = what.__name__ if isinstance(what, type) else type(what).__name__
        raise TypeError(
            f"`callbacks`: expected a list of Callback objects, got {name}; derive the class from "
            "nnmd_graph.Callback, and write callbacks=[MyCallback()]"
        )
    check_loggers(trainer.loggers, trainer.output)


def _check_number(name: str, value: object, *, integer: bool = False) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral if integer else Real):
        word = "an integer" if integer else "a number"
        raise TypeError(f"`{name}`: expected {word}, got {value!r}; change it or leave it out")


def _check_positive(trainer: Trainer, *names: str, integer: bool = False) -> None:
    for name in names:
        value = getattr(trainer, name)
        # None stands for a default or for no limit; the number of epochs has neither.
        if value is None and name != "max_epochs":
            continue
        _check_number(name, value, integer=integer)
        if not 0 < value < math.inf:
            kind = "a positive integer" if integer else "a positive number"
            raise ValueError(f"`{name}`: expected {kind}, got {value!r}; change it or leave it out")


def check_data(
    trainer: Trainer, potential: Potential, train: AtomsDataset, val: AtomsDataset | None
) -> None:
    """Check that data, potential and settings fit together.

    Raises:
        TypeError: If the potential is not a Potential or a data set not an AtomsDataset.
        ValueError: If a set is empty, holds unknown elements or lacks every wanted label, or a
            batch is larger than the training set; if the model has no compiled training step.
    """
    if not isinstance(potential, Potential):
        raise TypeError(
            f"`potential`: expected a Potential, got {type(potential).__name__}; write "
            "Potential(BPNN(...))"
        )
    for name, dataset in (("train", train), ("val", val)):
        if dataset is None and name == "val":
            continue
        if not isinstance(dataset, AtomsDataset):
            raise TypeError(
                f"`{name}`: expected an AtomsDataset, got {type(dataset).__name__}; write "
                "AtomsDataset(frames, cutoff=5.0)"
            )
        if len(dataset) == 0:
            raise ValueError(f"`{name}`: expected at least one structure, got none")
        unknown = [chemical_symbols[z] for z in dataset.species if z not in potential.species]
        if unknown:
            raise ValueError(
                f"`{name}`: expected elements that the potential knows, got {unknown} besides; "
                "make the potential with the species of all data"
            )
        if not any(trainer.loss.wants(term) and dataset.has(term) for term in TERMS):
            raise ValueError(
                f"`{name}`: expected labels that the loss asks for, got none of them for "
                f"{trainer.loss!r}; check the energy, forces and stress keys"
            )
        for i, labels in enumerate(dataset.labels):
            try:
                check_range(labels, potential.dtype)
            except ValueError as error:
                raise ValueError(f"`{name}`, {dataset.name(i)}: {error}") from None
        if dataset.cutoff < potential.cutoff - 1e-9:
            raise ValueError(
                f"`{name}`: expected graphs up to the cutoff of the potential, "
                f"{potential.cutoff} Å, got {dataset.cutoff} Å; build it with that cutoff"
            )
    if trainer.batch_size is not None and trainer.batch_size > len(train):
        raise ValueError(
            f"`batch_size`: expected at most the {len(train)} structures of the training set, got "
            f"{trainer.batch_size}; lower it or leave it out"
        )
    check_costs(trainer, potential, train)
    if trainer.compile:
        check_compilable(potential, trainer.loss, trainer.optimizer)
