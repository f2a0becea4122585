"""Train from settings: data, split, model, training, evaluation, plots, report."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase.data import chemical_symbols

from nnmd_graph.config.config import (
    MAY_CHANGE,
    Config,
    changes,
    parse_config,
    read_config,
    write_config,
)
from nnmd_graph.config.files import check_settings_file, is_written_here
from nnmd_graph.data import AtomsDataset
from nnmd_graph.evaluation import (
    Metrics,
    Predictions,
    error_histogram,
    learning_curves,
    parity,
    predict,
    write_report,
)
from nnmd_graph.evaluation.plots import numbers_first
from nnmd_graph.files import write_json
from nnmd_graph.folders import MARKS, RUN, check_apart, check_output, claimed
from nnmd_graph.models import Potential
from nnmd_graph.models.extension import extend_species
from nnmd_graph.naming import naming
from nnmd_graph.progress import say
from nnmd_graph.training.callbacks import Row
from nnmd_graph.training.checks import check_data
from nnmd_graph.training.run_folder import FILES, check_whole
from nnmd_graph.workflow.building import (
    Parts,
    build_potential,
    build_trainer,
    check_sizes,
    read_parts,
    training_keys,
    warn_of_equal_structures,
)
from nnmd_graph.workflow.choosing import as_chosen, for_species
from nnmd_graph.workflow.starting import read_start, with_model_of

CONFIG = "config.yaml"

MARKS_OF_A_RUN = (CONFIG, "model.pt", "log.csv", "checkpoints/last.pt")

ADVICE = (
    "put it back as it was, and give what is to change (`training.max_epochs`) beside it, or start "
    "anew in another folder (`output`)"
)
"""Advice for a config.yaml that differs from the one the run wrote."""

MAX_TRAIN_STRUCTURES = 1000
"""Number of evenly spaced structures for the errors on the training set, which only show
whether the model overfits."""

NAMES = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class TrainingResult:
    """Results of a training run.

    Attributes:
        folder: model.pt, config.yaml, log.csv, metrics.json, report.html, plots, checkpoints/.
        potential: with the weights of the best epoch.
        metrics: errors of the parts of the data, under "train", "val" and "test".
        history: one row per epoch, the columns of log.csv.
        facts: sizes, time and the like, for people.
    """

    folder: Path
    potential: Potential
    metrics: dict[str, Metrics]
    history: list[Row]
    facts: dict[str, str]


def train_from_config(
    config: Config | Mapping[str, Any] | str | os.PathLike[str],
    output: str | os.PathLike[str],
    resume: bool = False,
    *,
    overwrite: bool = False,
    progress: bool = False,
) -> TrainingResult:
    """Train a potential, evaluate it and write everything into one folder.

    Args:
        config: settings; a mapping of them, or a YAML file.
        output: folder of the run.
        resume: go on from the last checkpoint in `output`; where there is none, start.
        overwrite: start anew in a folder that holds a run, whose files stay until the first epoch
            of the new one is done.
        progress: show progress bars.

    Returns:
        The potential, its errors and the history.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: a setting or the data are wrong; `output` holds a run and neither `resume` nor
            `overwrite` is set, or something else, or another process writes there; `resume` with
            settings other than those of the run, or of a run that has lost a file.
        DivergedError: the loss became NaN or infinite.
    """
    config = _as_config(config)
    folder = Path(output)
    _check_folder(folder, config, resume, overwrite)
    if not folder.is_dir():  # it is created after all checks
        return _train(config, folder, resume, overwrite, progress)
    with claimed(folder, FILES):
        return _train(config, folder, resume, overwrite, progress)


def _train(
    config: Config, folder: Path, resume: bool, overwrite: bool, progress: bool
) -> TrainingResult:
    init = read_start(config, folder)
    whole = with_model_of(config, init)
    trainer = build_trainer(whole, folder, init=init, progress=progress)
    if init is None:
        check_sizes(config)
    known = () if init is None else init.species
    parts = read_parts(whole, known=known, progress=progress)
    species = parts["train"].species
    if init is None:
        whole = config = for_species(config, species)
    potential = build_potential(config, species) if init is None else extend_species(init, species)
    with naming(training_keys(config) | {"cutoff": "model.cutoff"}):
        check_data(trainer, potential, parts["train"], parts.get("val"))
        for part in parts.values():
            part.build(progress=progress)
        warn_of_equal_structures(whole, parts, progress=progress)

    def begin() -> None:
        write_config(config, folder / CONFIG)

    if progress:
        say("data: " + ", ".join(f"{len(part)} {NAMES[name]}" for name, part in parts.items()))
    with claimed(folder, FILES):
        _check_folder(folder, config, resume, overwrite)  # there may be another run by now
        with naming(training_keys(config)):
            history = trainer.fit(
                potential, parts["train"], parts.get("val"), resume=resume, begin=begin
            )
        return _finished(folder, config, whole, potential, parts, history, progress)


def _finished(
    folder: Path,
    config: Config,
    whole: Config,
    potential: Potential,
    parts: Parts,
    history: list[Row],
    progress: bool,
) -> TrainingResult:
    predictions = _predictions(potential, parts, progress)
    metrics = {name: Metrics.of(part) for name, part in predictions.items()}
    facts = _facts(whole, potential, parts, history)
    _write_results(folder, config, predictions, metrics, history, facts)
    return TrainingResult(folder, potential, metrics, history, facts)


def is_run(folder: Path) -> bool:
    """Tell whether a folder holds (part of) a training run."""
    return any((folder / name).exists() for name in MARKS_OF_A_RUN)


def _as_config(config: Config | Mapping[str, Any] | str | os.PathLike[str]) -> Config:
    if isinstance(config, Config):
        return config
    if isinstance(config, (str, os.PathLike)):
        return read_config(config)
    return parse_config(config)


def _check_folder(folder: Path, config: Config, resume: bool, overwrite: bool) -> None:
    check_output(folder, RUN)
    read = {f"data.{part}": getattr(config.data, part) or () for part in ("train", "val", "test")}
    check_apart([folder / name for name in FILES], read)
    there = [name for name in MARKS_OF_A_RUN if (folder / name).exists()]
    if not there:
        return
    if not (resume or overwrite):
        what = f" ({', '.join(there)})" if _is_foreign(folder) else ""
        raise ValueError(
            f"`output`: expected a new folder, got '{folder}', which holds a run{what}; go on with "
            "it (`resume=True`), replace it (`overwrite=True`), or name another folder (`output`)"
        )
    if _is_foreign(folder):
        raise ValueError(
            f"`output`: expected the folder of a run, got '{folder}' with {', '.join(there)}, "
            "which no run wrote; name another folder (`output`)"
        )
    if not resume:
        return
    check_whole(folder)
    if not (folder / CONFIG).is_file():
        raise ValueError(
            f"`resume`: expected a whole run, got '{folder}' without {CONFIG}; put that file back, "
            "start anew (`overwrite=True`), or name another folder (`output`)"
        )
    check_settings_file(folder / CONFIG, MAY_CHANGE, advice=ADVICE)
    old = read_config(folder / CONFIG)
    _check_same(old, as_chosen(config, old), folder)


def _is_foreign(folder: Path) -> bool:
    """Tell whether config.yaml or model.pt exist, but nothing else that marks a run."""
    if any((folder / name).exists() for name in MARKS[RUN]):
        return False
    config = folder / CONFIG
    return (folder / "model.pt").exists() or not is_written_here(config)


def _check_same(old: Config, new: Config, folder: Path) -> None:
    different = {k: v for k, v in changes(old, new).items() if k not in MAY_CHANGE}
    if different:
        listing = "; ".join(f"`{key}` was {a}, now {b}" for key, (a, b) in different.items())
        raise ValueError(
            f"`resume`: expected the settings of the run in '{folder}', got others: {listing}; use "
            "the old ones (with no config and no data file they are taken from the run), or start "
            "anew in another folder"
        )


def _predictions(potential: Potential, parts: Parts, progress: bool) -> dict[str, Predictions]:
    return {
        name: predict(potential, _thinned(part) if name == "train" else part, progress=progress)
        for name, part in parts.items()
        if any(part.has(label) for label in ("energy", "forces", "stress"))
    }


def _thinned(part: AtomsDataset) -> AtomsDataset:
    step = -(-len(part) // MAX_TRAIN_STRUCTURES)
    return part[::step]


def _facts(
    config: Config, potential: Potential, parts: Parts, history: list[Row]
) -> dict[str, str]:
    key = "val_loss" if history and "val_loss" in history[0] else "train_loss"
    best = min(history, key=lambda row: row[key])
    sizes = ", ".join(f"{len(part)} {NAMES[name]}" for name, part in parts.items())
    parameters = sum(p.numel() for p in potential.parameters() if p.requires_grad)
    return {
        "elements": " ".join(chemical_symbols[z] for z in potential.species),
        "structures": sizes,
        "model": f"{config.model.name}, cutoff {potential.cutoff:g} Å, {parameters} parameters",
        "epochs": f"{int(history[-1]['epoch'])}, best {int(best['epoch'])}",
        "training time": f"{history[-1]['seconds']:.1f} s on {potential.device}",
    }


def _write_results(
    folder: Path,
    config: Config,
    predictions: dict[str, Predictions],
    metrics: dict[str, Metrics],
    history: list[Row],
    facts: dict[str, str],
) -> None:
    shown = "test" if "test" in predictions else list(predictions)[-1]
    values: dict[str, Any] = dict(metrics)
    values["epochs"] = int(history[-1]["epoch"])
    values["training_seconds"] = history[-1]["seconds"]
    values["seed"] = config.seed
    write_json(values, folder / "metrics.json", seal=False)
    title = f"{NAMES[shown]} set"
    images = {name: folder / name for name in ("parity.png", "errors.png", "learning_curves.png")}
    for image in images.values():
        image.unlink(missing_ok=True)  # an older file belongs to another state of the run
    with numbers_first("parity.png"):
        parity(predictions[shown], images["parity.png"], title=title)
    with numbers_first("errors.png"):
        error_histogram(predictions[shown], images["errors.png"], title=title)
    with numbers_first("learning_curves.png"):
        learning_curves(history, images["learning_curves.png"])
    captions = (f"Predictions against labels, {title}", f"Errors, {title}", "Training")
    figures = dict(zip(captions, images.values(), strict=True))
    write_report(
        folder,
        metrics={f"{NAMES[name]} set": part for name, part in reversed(metrics.items())},
        figures={caption: image for caption, image in figures.items() if image.is_file()},
        facts=facts | {"finished": time.strftime("%Y-%m-%d %H:%M:%S")},
    )
