"""Arguments and data of a training run, checked before any work."""

from __future__ import annotations

from pathlib import Path

from ase.data import chemical_symbols

from nnmd_graph.addresses import model_file
from nnmd_graph.data.dataset import AtomsDataset
from nnmd_graph.devices import find_device
from nnmd_graph.graph.labels import check_range
from nnmd_graph.models.potential import Potential
from nnmd_graph.naming import naming
from nnmd_graph.quantities import OF_EVERY_POTENTIAL
from nnmd_graph.training.callbacks import Callback
from nnmd_graph.training.costs import check_costs
from nnmd_graph.training.loggers import check_loggers
from nnmd_graph.training.loss import Loss
from nnmd_graph.training.settings import TrainingSettings
from nnmd_graph.training.steps.compiled import check_compilable
from nnmd_graph.training.steps.named import find_step


def check_settings(settings: TrainingSettings) -> None:
    """Check objects, files, devices and combinations, which the settings themselves cannot.

    Raises:
        TypeError: If an object is of the wrong kind.
        ValueError: If the optimiser has no use for a setting, or the device is not there.
        FileNotFoundError: If the potential to start from is not there.
    """
    if not isinstance(settings.loss, Loss):
        raise TypeError(
            f"`loss`: expected a Loss, got {type(settings.loss).__name__}; "
            "write EnergyForcesLoss(energy=100.0, forces=1.0)"
        )
    find_step(settings.optimizer).check(settings)
    _check_start(settings.init)
    _check_callbacks(settings.callbacks)
    check_loggers(settings.loggers, settings.folder)
    find_device(settings.device)


def _check_start(init: object) -> None:
    """Check the file or potential that training starts from."""
    if not (init is None or isinstance(init, Potential | Path)):
        raise TypeError(
            f"`init`: expected a Potential or the name of its file, got {type(init).__name__}; "
            "write init='model.pt'"
        )
    if isinstance(init, Path):
        with naming({"path": "init"}):
            model_file(init)


def _check_callbacks(callbacks: object) -> None:
    given = callbacks if isinstance(callbacks, list | tuple) else (callbacks,)
    wrong = [one for one in given if not isinstance(one, Callback)]
    if wrong or given is not callbacks:
        what = wrong[0] if wrong else callbacks
        name = what.__name__ if isinstance(what, type) else type(what).__name__
        raise TypeError(
            f"`callbacks`: expected a list of Callback objects, got {name}; derive the class from "
            "nnmd_graph.Callback, and write callbacks=[MyCallback()]"
        )


def check_data(
    settings: TrainingSettings, potential: Potential, train: AtomsDataset, val: AtomsDataset | None
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
            raise ValueError(
                f"`{name}`: expected at least one structure, got none; check the split"
            )
        unknown = [chemical_symbols[z] for z in dataset.species if z not in potential.species]
        if unknown:
            raise ValueError(
                f"`{name}`: expected elements that the potential knows, got {unknown} besides; "
                "make the potential with the species of all data"
            )
        if not any(settings.loss.wants(term) and dataset.has(term) for term in dataset.label_names):
            raise ValueError(
                f"`{name}`: expected labels that the loss asks for, got none of them for "
                f"{settings.loss!r}; check the energy, forces and stress keys"
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
    _check_predicted(settings.loss, potential)
    if settings.batch_size is not None and settings.batch_size > len(train):
        raise ValueError(
            f"`batch_size`: expected at most the {len(train)} structures of the training set, got "
            f"{settings.batch_size}; lower it or leave it out"
        )
    check_costs(settings, potential, train)
    if settings.compile:
        check_compilable(potential, settings.loss, find_step(settings.optimizer))


def _check_predicted(loss: Loss, potential: Potential) -> None:
    """Refuse a loss with quantities that a potential does not predict."""
    known = (*(quantity.name for quantity in OF_EVERY_POTENTIAL), *potential.quantities)
    for name in loss.terms:
        if loss.wants(name) and name not in known:
            raise ValueError(
                f"`loss`: expected quantities that the potential predicts, {list(known)}, got "
                f"{name!r}; give the model a head for it (`heads`), or leave the term out"
            )
