"""`nnmd-graph evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nnmd_graph.addresses import check_there
from nnmd_graph.cli.console import (
    print_elements,
    print_facts,
    print_line,
    print_metrics,
    shown,
)
from nnmd_graph.cli.options import (
    Device,
    Members,
    ModelFile,
    Overwrite,
    model_files,
    with_reading,
)

PLOTS = ("parity.png", "errors.png")
FILES = ("metrics.json", "predictions.extxyz", *PLOTS, "report.html")


@with_reading
def evaluate(
    model: ModelFile,
    data: Annotated[list[Path], typer.Argument(help="Data files.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for predictions, plots and a report."),
    ] = None,
    groups: Annotated[
        str | None, typer.Option(help="Errors for each value of a key of atoms.info too.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Structures at once.")] = None,
    committee: Members = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    *,
    reading: dict[str, Any],
) -> None:
    """Compare a model with labelled structures: MAE and RMSE of energy, forces and stress."""
    there = [name for name in FILES if output is not None and (output / name).exists()]
    if there and not overwrite:
        raise ValueError(
            f"`output`: expected a new folder, got '{output}' with {', '.join(there)}; replace "
            "them (`--overwrite`) or name another folder (`--output`)"
        )
    check_there(data)
    models = model_files(model, committee)
    from nnmd_graph.cli.loading import load_committee, read_dataset
    from nnmd_graph.evaluation import Metrics, predict, write_report
    from nnmd_graph.folders import EVALUATION, check_apart, check_output

    if output is not None:
        check_output(output, EVALUATION)
        check_apart([output / name for name in FILES], {"data": data, "model": models})
    potential = load_committee(model, committee, device)
    dataset = read_dataset(data, potential, reading)
    predictions = predict(potential, dataset, batch_size=batch_size, progress=True, groups=groups)
    metrics = Metrics.of(predictions)
    print_metrics({"all": metrics} | metrics.get("groups", {}))
    print_elements(metrics)
    print_line(metrics.uncertainty() or metrics.extrapolation())
    if output is None:
        return
    metrics.write(output / "metrics.json")
    predictions.write(output / "predictions.extxyz", dataset.frames)
    from nnmd_graph.evaluation.plots import error_histogram, numbers_first, parity

    images = {"Predictions against labels": parity, "Errors": error_histogram}
    figures = {caption: output / name for caption, name in zip(images, PLOTS, strict=True)}
    for caption, draw in images.items():
        figures[caption].unlink(missing_ok=True)
        with numbers_first(figures[caption].name):
            draw(predictions, figures[caption])
    files = ", ".join(shown(path) for path in data)
    write_report(
        output,
        title="Evaluation report",
        metrics={files: metrics},
        figures={caption: image for caption, image in figures.items() if image.is_file()},
        facts={
            "model": ", ".join(shown(path) for path in (model, *(committee or ()))),
            "data": files,
        },
    )
    print_facts(
        {
            "predictions": shown(output / "predictions.extxyz"),
            "report": shown(output / "report.html"),
        }
    )
