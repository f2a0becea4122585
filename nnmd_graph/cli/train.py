"""`nnmd-graph train`."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnmd_graph.cli.console import (
    print_commands,
    print_elements,
    print_facts,
    print_heading,
    print_interrupted,
    print_line,
    print_metrics,
    shown,
)
from nnmd_graph.cli.options import (
    Overwrite,
    Settings,
    WeightKey,
    with_reading,
)

if TYPE_CHECKING:
    from nnmd_graph.config.config import Config
    from nnmd_graph.workflow.training import TrainingResult

CONFIG_SUFFIXES = (".yaml", ".yml")


@with_reading
def train(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            help="A config file (.yaml), data files (extxyz, traj, db, GPAW, VASP, ...), or a "
            "config and the data files that it is to be used on.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run.")] = Path(
        "run"
    ),
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on from the last checkpoint; without SOURCES with its settings."
        ),
    ] = False,
    overwrite: Overwrite = False,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, batches and split.")] = None,
    max_epochs: Annotated[int | None, typer.Option(help="Passes over the training set.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, or auto.")] = None,
    model: Annotated[str | None, typer.Option(help="Kind of the model: bpnn or gcnn.")] = None,
    init: Annotated[
        Path | None,
        typer.Option(
            "--from", help="Model file or folder of a run to go on from, on the new data."
        ),
    ] = None,
    cutoff: Annotated[float | None, typer.Option(help="Radius of the neighbourhood, Å.")] = None,
    val: Annotated[Path | None, typer.Option(help="Validation set, instead of a part.")] = None,
    test: Annotated[Path | None, typer.Option(help="Test set, instead of a part.")] = None,
    weight_key: WeightKey = None,
    settings: Settings = None,
    *,
    reading: dict[str, Any],
) -> None:
    """Train a potential on a data file, or with the settings of a config file.

    With --from it starts from a trained model, which gets the elements of the data that it lacks.

    The folder of the run then holds model.pt, config.yaml (all settings, with comments), log.csv,
    metrics.json, report.html, plots and checkpoints.
    """
    from nnmd_graph.config.config import Config
    from nnmd_graph.config.files import check_parts
    from nnmd_graph.config.overrides import parse_overrides

    given: dict[str, Any] = {
        "seed": seed,
        "device": device,
        "training.max_epochs": max_epochs,
        "model.name": model,
        "model.cutoff": cutoff,
        "transfer.from": None if init is None else str(init.absolute()),
        "data.val": None if val is None else str(val.absolute()),
        "data.test": None if test is None else str(test.absolute()),
        "data.weight_key": weight_key,
        **{f"data.{name}": value for name, value in reading.items()},
    }
    overrides = {key: value for key, value in given.items() if value is not None}
    overrides |= parse_overrides(settings or (), Config)
    config = _config(sources or [], overrides, output, resume)
    check_parts(config.data)
    from nnmd_graph.training.run_folder import LAST
    from nnmd_graph.workflow.training import is_run, train_from_config

    start = time.time()
    if resume and not is_run(output):
        print_line(f"There is no run in {shown(output)} to go on with: starting.")
    try:
        result = train_from_config(config, output, resume, overwrite=overwrite, progress=True)
    except KeyboardInterrupt:
        command = f"nnmd-graph train --output {shlex.quote(shown(output))} --resume"
        print_interrupted(command, output / LAST, start=start, resume=resume)
        raise typer.Exit(130) from None
    print_training(result)
    model_path = shlex.quote(shown(result.folder / "model.pt"))
    print_heading("Next")
    print_commands(
        {
            "errors on other data": f"nnmd-graph evaluate {model_path} data.extxyz",
            "molecular dynamics": f"nnmd-graph md {model_path} start.xyz --temperature 300",
        }
    )


def _config(
    sources: Sequence[Path], overrides: dict[str, Any], output: Path, resume: bool
) -> Config:
    from nnmd_graph.config.config import parse_config, read_config
    from nnmd_graph.config.loading import override

    configs = [path for path in sources if path.suffix.lower() in CONFIG_SUFFIXES]
    data = [path for path in sources if path not in configs]
    if len(configs) > 1:
        raise ValueError(f"`sources`: expected one config file, got {len(configs)}; name one")
    if data:
        overrides = {"data.train": [str(path.absolute()) for path in data]} | overrides
    if not sources:
        saved = output / "config.yaml"
        if not (resume and saved.is_file()):
            raise ValueError(
                "`sources`: expected a data file or a config file, got none; write for example "
                "nnmd-graph train data.extxyz"
                + (f" ('{output}' holds no run to go on with)" if resume else "")
            )
        configs = [saved]
    if configs:
        return read_config(configs[0], overrides)
    values: dict[str, Any] = {}
    for key, value in overrides.items():
        override(values, key, value)
    return parse_config(values, "the options")


def print_training(result: TrainingResult) -> None:
    """Print the summary of a run."""
    from nnmd_graph.workflow.training import NAMES

    print_facts(result.facts)
    print_metrics({NAMES[name]: part for name, part in result.metrics.items()})
    print_elements(result.metrics[list(result.metrics)[-1]])
    folder = result.folder
    print_facts(
        {
            "model": shown(folder / "model.pt"),
            "report": shown(folder / "report.html"),
            "settings": shown(folder / "config.yaml"),
            "errors": shown(folder / "metrics.json"),
        }
    )
