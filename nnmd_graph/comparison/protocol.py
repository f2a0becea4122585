"""Compare models: trained ones on a data set, or several trainings under one protocol."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ase import Atoms

from nnmd_graph.comparison.config import (
    SETTINGS,
    ComparisonConfig,
    parse_comparison,
    read_comparison,
    write_comparison,
)
from nnmd_graph.comparison.measurements import best_run, measure, start_of
from nnmd_graph.comparison.potentials import Comparison, Source, compare_potentials
from nnmd_graph.comparison.report import REPORTS, collect, write_reports
from nnmd_graph.comparison.runs import (
    Planned,
    check_one_split,
    check_settings,
    clear,
    do,
    is_done,
    plan,
    subset_files,
    write_subsets,
)
from nnmd_graph.config.files import is_written_here
from nnmd_graph.data import AtomsDataset
from nnmd_graph.devices import find_device
from nnmd_graph.errors import did_you_mean
from nnmd_graph.files import read_json, write_json
from nnmd_graph.folders import COMPARISON, MARKS, check_apart, check_output, shared
from nnmd_graph.models import Potential
from nnmd_graph.training.resume import fingerprint
from nnmd_graph.workflow.building import Parts, loss_of, read_parts

DATA = "data.json"

Models = Mapping[str, Source]
Settings = ComparisonConfig | Mapping[str, Any] | str | os.PathLike[str]


def compare(
    models: Models | Settings,
    dataset: AtomsDataset | None = None,
    *,
    output: str | os.PathLike[str] | None = None,
    only: Sequence[str] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    device: str | None = None,
    progress: bool = False,
    say: Callable[[str], None] = lambda message: None,
) -> Comparison:
    """Compare models: errors beside cost.

    With a data set, trained potentials are evaluated and timed on it::

        print(ng.compare({"bpnn": potential, "painn": "painn.pt"}, test))

    Without one, `models` are the settings of a comparison: every model is trained with every seed
    on the same data, with the same loss and budget; see `docs/comparing.md`::

        print(ng.compare("compare.yaml", output="comparison"))

    Args:
        models: potentials, or files of them, by name; or settings: a mapping, a YAML file.
        dataset: labelled structures to evaluate potentials on; None for settings.
        output: folder of a comparison with trainings: report.html, report.json, report.csv, runs/.
        only: names of models to train and measure now; the report holds whatever is finished.
        resume: go on with what is in `output`; what is finished is not done again.
        overwrite: start anew; with `only` those models.
        device: "cpu", "cuda", ...; None as the settings say, or where each potential is.
        progress: show bars.
        say: is told what is being done, one line at a time.

    Returns:
        A table, see `Comparison`. A model that fails is a row that says why.

    Raises:
        TypeError: an argument is of the wrong kind.
        ValueError: settings or data are wrong; `output` holds a comparison and neither `resume` nor
            `overwrite` is set; `resume` with other settings or data.
        FileNotFoundError: a file is not there.
    """
    if dataset is not None:
        if output is not None or only is not None or resume or overwrite:
            raise ValueError(
                "`output`, `only`, `resume`, `overwrite`: expected with settings to train by, got "
                "a data set to evaluate on; leave them out, and write the table with `to_csv`"
            )
        # mypy: the function itself checks the type
        return compare_potentials(
            models,  # type: ignore[arg-type]
            dataset,
            device=device,
            progress=progress,
        )
    config = _as_config(models)
    if output is None:
        raise ValueError(
            "`output`: expected the folder of the comparison, got None; write for example "
            'compare("compare.yaml", output="comparison")'
        )
    if device is not None:
        config = config.model_copy(update={"device": device})
    return run_comparison(
        config, Path(output), only, resume=resume, overwrite=overwrite, progress=progress, say=say
    )


def run_comparison(
    config: ComparisonConfig,
    folder: Path,
    only: Sequence[str] | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = False,
    say: Callable[[str], None] = lambda message: None,
) -> Comparison:
    """Train, measure and report; arguments and errors as for `compare`."""
    if resume and overwrite:
        raise ValueError("`resume`, `overwrite`: expected one of them, got both; choose")
    chosen = _chosen(config, only)
    find_device(config.device)
    _check_folder(config, folder, resume, overwrite)
    # All checks come before the first training and before anything is deleted
    parts = read_parts(config.of_run(chosen[0], config.seeds[0]), progress=progress)
    test = parts[_shown(parts)]
    check_one_split(config, parts)
    start = start_of(config.nve, test) if config.nve.steps else None
    planned = plan(config, folder, parts)
    _check_labels(config, parts)
    with shared(folder, (SETTINGS, DATA, *REPORTS)) as is_alone:
        if overwrite:
            if not is_alone:
                raise ValueError(
                    f"`overwrite`: expected a comparison that nobody is at, got '{folder}', which "
                    "another process is writing to; wait until it is done"
                )
            _delete(folder, None if only is None else chosen)
        return _run(config, folder, chosen, planned, parts, test, start, progress, say)


def _run(
    config: ComparisonConfig,
    folder: Path,
    chosen: list[str],
    planned: list[Planned],
    parts: Parts,
    test: AtomsDataset,
    start: Atoms | None,
    progress: bool,
    say: Callable[[str], None],
) -> Comparison:
    _check_data(folder, parts)
    check_settings(planned)
    write_comparison(config, folder / SETTINGS)
    write_subsets(config, folder, parts)
    _train([run for run in planned if run.model in chosen], progress, say)
    best = {model: run for model in chosen if (run := best_run(planned, model)) is not None}
    measure(config, folder, best, test, start, say)
    comparison = collect(config, folder, planned, parts, _shown(parts))
    write_reports(comparison, config, planned)
    return comparison


def _as_config(settings: Models | Settings) -> ComparisonConfig:
    if isinstance(settings, ComparisonConfig):
        return settings
    if isinstance(settings, (str, os.PathLike)):
        return read_comparison(settings)
    if isinstance(settings, Mapping) and any(isinstance(v, Potential) for v in settings.values()):
        raise ValueError(
            "`dataset`: expected a data set to evaluate the potentials on, got None; write "
            "compare(models, test)"
        )
    return parse_comparison(settings, "models")


def _chosen(config: ComparisonConfig, only: Sequence[str] | None) -> list[str]:
    names = list(config.models)
    if only is None:
        return names
    if isinstance(only, str):
        raise TypeError(f"`only`: expected names of models, got the str {only!r}; write [{only!r}]")
    for name in only:
        if name not in names:
            hint = did_you_mean(name, names)
            raise ValueError(f"`only`: expected models of {names}, got {name!r}{hint}")
    if not only:
        raise ValueError("`only`: expected one model or more, got none; leave it out for all")
    return [name for name in names if name in only]


def _check_folder(config: ComparisonConfig, folder: Path, resume: bool, overwrite: bool) -> None:
    check_output(folder, COMPARISON)
    data, nve = config.data, config.nve.atoms
    read = {f"data.{part}": getattr(data, part) or () for part in ("train", "val", "test")}
    written = [folder / name for name in (SETTINGS, DATA, *REPORTS)]
    check_apart([*written, *subset_files(folder)], read | {"nve.atoms": [nve] if nve else []})
    marks = [mark for mark in (DATA, *MARKS[COMPARISON]) if (folder / mark).exists()]
    if marks == [SETTINGS] and not is_written_here(folder / SETTINGS):
        raise ValueError(
            f"`output`: expected the folder of a comparison, got '{folder}' with {SETTINGS}, which "
            "no comparison wrote; name another folder (`output`)"
        )
    if (folder / SETTINGS).exists() and not (resume or overwrite):
        raise ValueError(
            f"`output`: expected a new folder, got '{folder}', which holds a comparison; go on with"
            " it (`resume=True`), replace it (`overwrite=True`), or name another folder (`output`)"
        )


def _shown(parts: Parts) -> str:
    """The part that models are compared on."""
    return next(name for name in ("test", "val", "train") if name in parts)


def _delete(folder: Path, models: list[str] | None) -> None:
    """Remove what a comparison wrote, or some models of it; other files stay."""
    runs = folder / "runs"
    for model in sorted(path.name for path in runs.glob("*")) if models is None else models:
        for run in (runs / model).glob("seed-*"):
            clear(run)
        (folder / "measurements" / f"{model}.json").unlink(missing_ok=True)
        _remove_if_empty(runs / model)
    if models is None:
        for path in (*subset_files(folder), *(folder / n for n in (SETTINGS, DATA, *REPORTS))):
            path.unlink(missing_ok=True)
        _remove_if_empty(runs, folder / "measurements", folder / "data")


def _remove_if_empty(*folders: Path) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):  # it is missing, or holds other files
            folder.rmdir()


def _check_labels(config: ComparisonConfig, parts: Parts) -> None:
    """Refuse data that no model could be trained on, before anything is deleted."""
    loss = loss_of(config.loss)
    for name, part in parts.items():
        if not any(loss.wants(term) and part.has(term) for term in part.label_names):
            raise ValueError(
                f"`data.{name}`: expected labels that the loss asks for, got none of them for "
                f"{loss!r}; check the energy, forces and stress keys"
            )


def _check_data(folder: Path, parts: Parts) -> None:
    """Refuse to go on with other structures: results would not belong together."""
    found = {name: fingerprint(part) for name, part in parts.items()}
    known = read_json(folder / DATA, ("train",), what="checksums of the data")
    if known is None:
        write_json(found, folder / DATA, seal=True)
    elif known != found:
        raise ValueError(
            f"`resume`: expected the structures of the comparison in '{folder}', got others; use "
            "the old data files, or compare in another folder"
        )


def _train(planned: list[Planned], progress: bool, say: Callable[[str], None]) -> None:
    todo = [run for run in planned if not is_done(run)]
    if len(todo) < len(planned):
        say(f"{len(planned) - len(todo)} of {len(planned)} trainings are done already")
    for number, run in enumerate(todo, start=1):
        say(f"Training {number} of {len(todo)}: {run.name}")
        if not do(run, progress=progress):
            say("  another process is at it")
        elif (error := (run.result or {}).get("error")) is not None:
            say(f"  failed: {error}")
