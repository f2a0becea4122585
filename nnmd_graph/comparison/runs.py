"""The trainings of a comparison: their plan, and each of them carried out once."""

from __future__ import annotations

import contextlib
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
import numpy as np

from nnmd_graph.comparison.config import ComparisonConfig
from nnmd_graph.comparison.cost import hardware, peak_memory
from nnmd_graph.comparison.potentials import count_parameters, reason
from nnmd_graph.config.config import Config, changes, read_config
from nnmd_graph.config.data import LABEL_KEYS, LABEL_UNITS, SplitConfig
from nnmd_graph.data import AtomsDataset
from nnmd_graph.data.frames import labelled
from nnmd_graph.data.isolated import is_isolated_atom
from nnmd_graph.devices import find_device
from nnmd_graph.evaluation.metrics import Metrics
from nnmd_graph.files import checksum_of_file, finite, read_json, replacing, write_json
from nnmd_graph.folders import holding
from nnmd_graph.training.run_folder import FILES
from nnmd_graph.workflow.building import Parts
from nnmd_graph.workflow.training import train_from_config

LABELS = tuple(key for key in LABEL_KEYS if key != "weight_key")
RESULT = "result.json"
KEYS = ("error", "model", "seed", "num_train", "settings", "peak_memory_mb", "hardware")
"""Entries of every result."""
MEASURED = (
    *("metrics", "num_parameters", "epochs"),
    *("best_epoch", "best_loss", "training_seconds"),
)
"""Further entries of the result of a training that did not fail."""
Result = dict[str, Any]

MAY_DIFFER = (
    *("device", "data.train", "data.val", "data.test"),  # files may have moved
    *("training.precompute", "training.checkpoint_seconds", "training.loggers"),
)
"""Settings that may change when a comparison is resumed."""


@dataclass(frozen=True)
class Planned:
    """One training of a comparison.

    Attributes:
        model: its name.
        seed: of weights and batches.
        num_train: structures that it is trained on.
        is_whole: whether these are all of the training set.
        folder: of the run.
        config: settings of the run.
    """

    model: str
    seed: int
    num_train: int
    is_whole: bool
    folder: Path
    config: Config

    @property
    def name(self) -> str:
        """Name of the run: "painn, seed 0, 950 structures"."""
        return f"{self.model}, seed {self.seed}, {self.num_train} structures"

    @property
    def log(self) -> Path | None:
        """The log of a run that is finished, as it was then; None if there is none.

        Raises:
            ValueError: it was damaged or edited since.
        """
        path, result = self.folder / "log.csv", self.result
        if result is None or not path.is_file():
            return None
        if result.get("log") not in (None, checksum_of_file(path)):  # None: of an older version
            raise ValueError(
                f"'{path}': expected the log that the training wrote, got one that does not match "
                "its checksum: it was damaged or edited; put it back as it was, or delete it"
            )
        return path

    @property
    def result(self) -> Result | None:
        """Result of the run when it was finished, or failed; None before."""
        values = read_json(self.folder / RESULT, KEYS, what="the result of a training")
        if values is not None and values["error"] is None:
            values = read_json(self.folder / RESULT, (*KEYS, *MEASURED), what="errors and costs")
        return values


# ------------------------------------------------------------------------------------------ plan
def subset_sizes(config: ComparisonConfig, num_train: int, num_isolated: int = 0) -> list[int]:
    """Numbers of structures of the smaller training sets, ascending.

    Isolated atoms are in every one of them: E0 is the same on the whole curve.

    Raises:
        ValueError: one is as large as the whole set, or larger; or has room for isolated atoms
            only.
    """
    sizes = set()
    for size in config.learning_curve:
        if isinstance(size, int) and size >= num_train:
            raise ValueError(
                f"`learning_curve`: expected fewer than the {num_train} training structures, got "
                f"{size}; the whole set is always there"
            )
        if isinstance(size, int) and size <= num_isolated:
            raise ValueError(
                f"`learning_curve`: expected more than the {num_isolated} isolated atoms, which "
                f"are in every training set, got {size}; raise it"
            )
        least = num_isolated + 1
        sizes.add(size if isinstance(size, int) else max(least, round(size * num_train)))
    return sorted(sizes - {num_train})


def plan(config: ComparisonConfig, folder: Path, parts: Parts) -> list[Planned]:
    """All trainings: the whole set before its parts, seed by seed, all models in turn."""
    num_train, num_isolated = len(parts["train"]), int(parts["train"].isolated.sum())
    planned = []
    for size in [num_train, *reversed(subset_sizes(config, num_train, num_isolated))]:
        for seed in config.seeds:
            for model in config.models:
                whole = size == num_train
                settings = config.of_run(model, seed)
                if not whole:
                    settings = _on_subset(settings, folder, parts, size)
                name = f"seed-{seed}" if whole else f"seed-{seed}-train-{size}"
                run = folder / "runs" / model / name
                planned.append(Planned(model, seed, size, whole, run, settings))
    return planned


def _on_subset(settings: Config, folder: Path, parts: Parts, size: int) -> Config:
    """Settings that name the files of `write_subsets`."""
    split = SplitConfig(train=1.0, val=0.0, test=0.0, seed=settings.data.split.seed)
    files: dict[str, Any] = {
        name: [_file(folder, name)] if name in parts else None for name in ("val", "test")
    }
    files["train"] = [_file(folder, "train", size)]
    # The package writes in eV and Å, under ASE's own names
    keys = dict.fromkeys((*LABELS, *LABEL_UNITS, "format", "index", "groups"))
    data = settings.data.model_copy(update=files | keys | {"split": split})
    training = settings.training
    if training.batch_size is not None:
        batch_size = min(training.batch_size, size)
        training = training.model_copy(update={"batch_size": batch_size})
    return settings.model_copy(update={"data": data, "training": training})


def _file(folder: Path, part: str, size: int | None = None) -> Path:
    name = part if size is None else f"{part}-{size}"
    return (folder / "data" / f"{name}.traj").absolute()


def subset_files(folder: Path) -> list[Path]:
    """The files of `write_subsets` that are there."""
    named = re.compile(r"(train-\d+|val|test)\.traj")
    return [path for path in (folder / "data").glob("*.traj") if named.fullmatch(path.name)]


def write_subsets(config: ComparisonConfig, folder: Path, parts: Parts) -> None:
    """Write the smaller training sets, each a part of the next larger one, and val and test.

    ASE's own format keeps every bit of the numbers.
    """
    train = parts["train"]
    sizes = subset_sizes(config, len(train), int(train.isolated.sum()))
    order = np.random.RandomState(config.data.split.seed).permutation(len(train))
    lone = train.isolated[order]
    order = np.concatenate([order[lone], order[~lone]])  # E0 is read off isolated atoms
    for size in sizes:
        _write(config, train[np.sort(order[:size])], _file(folder, "train", size))
    for name in ("val", "test"):
        if sizes and name in parts:
            _write(config, parts[name], _file(folder, name))


def _write(config: ComparisonConfig, part: AtomsDataset, path: Path) -> None:
    # Entries that other keys name, for example weights, are kept
    keys = [key for name, key in config.data.keys().items() if key and name not in LABELS]
    frames = [labelled(*pair, keys) for pair in zip(part.frames, part.labels, strict=True)]
    with replacing(path) as temporary:
        ase.io.write(temporary, frames, format="traj", parallel=False)


def check_one_split(config: ComparisonConfig, parts: Parts) -> None:
    """Refuse cutoffs for which other atoms are isolated: each model would have a split of its own.

    Raises:
        ValueError: an atom in a periodic cell sees its images within the cutoff of one model, and
            not within that of another.
    """
    cutoffs = {model.cutoff: name for name, model in config.models.items()}
    for part in parts.values():
        for i, frame in enumerate(part.frames if len(cutoffs) > 1 else ()):
            found = {is_isolated_atom(frame, cutoff): cutoff for cutoff in cutoffs}
            if len(found) > 1:
                raise ValueError(
                    f"`models`: expected the same isolated atoms for all, got {part.name(i)}, "
                    f"which is one within {found[True]:g} Å ({cutoffs[found[True]]}) and sees its "
                    f"images within {found[False]:g} Å ({cutoffs[found[False]]}); make its cell "
                    "larger, or set pbc to False"
                )


# ------------------------------------------------------------------------------------------ runs
def check_settings(planned: list[Planned]) -> None:
    """Refuse to go on with runs of other settings; failed ones may be mended.

    Raises:
        ValueError: a run that was begun or finished has other settings.
    """
    for run in planned:
        file = run.folder / "config.yaml"
        if not file.is_file() or (run.result or {}).get("error"):
            continue
        found = changes(read_config(file), run.config)
        different = {key: pair for key, pair in found.items() if key not in MAY_DIFFER}
        if different:
            listing = "; ".join(f"`{key}` was {a}, now {b}" for key, (a, b) in different.items())
            raise ValueError(
                f"`resume`: expected the settings of the run '{run.folder}', got others: {listing};"
                f" use the old ones, repeat this model (`only='{run.model}'` with "
                "`overwrite=True`), or compare in another folder (`output`)"
            )


def is_done(run: Planned) -> bool:
    """Tell whether nothing is left to do: finished, or failed with the present settings."""
    result = run.result
    if result is None:
        return False
    return result["error"] is None or result["settings"] == _settings(run)


def do(run: Planned, *, progress: bool = False) -> bool:
    """Train, or continue a training, and write a result.

    An error of the model is a result as well: the same settings would fail again. What concerns
    the machine (a full disk) is raised.

    Returns:
        False if another process is at it.

    Raises:
        OSError: a file cannot be read or written.
    """
    with holding(run.folder, (*FILES, RESULT)) as is_mine:
        if not is_mine or is_done(run):
            return is_mine
        device = find_device(run.config.device)
        values: Result = {"model": run.model, "seed": run.seed, "num_train": run.num_train}
        try:
            with peak_memory(device) as peak:
                values |= _train(run, progress)
        except OSError:
            raise
        except Exception as error:  # of this model; the others go on
            values["error"] = reason(error)
        values |= {"peak_memory_mb": peak.megabytes, "hardware": hardware(device)}
        values["settings"] = _settings(run)
        write_json(values, run.folder / RESULT, seal=True)
    return True


def _train(run: Planned, progress: bool) -> Result:
    if run.result is not None:  # it failed with other settings, which its checkpoint may not fit
        clear(run.folder)
        run.folder.mkdir(parents=True, exist_ok=True)
    trained = train_from_config(run.config, run.folder, resume=True, progress=progress)
    history = trained.history
    key = "val_loss" if "val_loss" in history[0] else "train_loss"
    best = min(history, key=lambda row: row[key] if math.isfinite(row[key]) else math.inf)
    return {
        "error": None,
        "metrics": {name: _errors(part) for name, part in trained.metrics.items()},
        "num_parameters": count_parameters(trained.potential),
        "epochs": int(history[-1]["epoch"]),
        "best_epoch": int(best["epoch"]),
        "best_loss": best[key],
        "training_seconds": history[-1]["seconds"],
        "log": checksum_of_file(run.folder / "log.csv"),
    }


def clear(folder: Path) -> None:
    """Remove the files of a run, its result last, so that an interrupted removal is seen."""
    for name in (*FILES, RESULT):
        (folder / name).unlink(missing_ok=True)
    for path in (folder / "checkpoints", folder):
        with contextlib.suppress(OSError):  # it is missing, or holds other files
            path.rmdir()


def _errors(metrics: Metrics) -> dict[str, Any]:
    return {k: v for k, v in metrics.items() if "mae" in k or "rmse" in k or k == "num_structures"}


def _settings(run: Planned) -> dict[str, Any]:
    """Settings that a failure belongs to; on a device with more memory the run is retried."""
    values = run.config.model_dump(mode="json", exclude={"data"})
    for name in ("precompute", "checkpoint_seconds", "loggers"):
        values["training"].pop(name)
    plain: dict[str, Any] = finite(values)
    return plain
