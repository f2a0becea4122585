"""Report of a comparison from the results of its runs: HTML, JSON, CSV."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nnmd_graph.comparison.config import ComparisonConfig
from nnmd_graph.comparison.measurements import best_run, measured
from nnmd_graph.comparison.page import write_page
from nnmd_graph.comparison.plots import (
    learning_sizes,
    nve_energies,
    pareto,
    training_progress,
)
from nnmd_graph.comparison.potentials import ERRORS, Comparison, Row
from nnmd_graph.comparison.runs import Planned, Result
from nnmd_graph.evaluation import plots
from nnmd_graph.evaluation.predictions import Array
from nnmd_graph.versions import versions
from nnmd_graph.workflow.building import Parts, loss_of
from nnmd_graph.workflow.training import NAMES

REPORTS = ("report.html", "report.json", "report.csv")
NOT_FINISHED = "not finished"


def collect(
    config: ComparisonConfig, folder: Path, planned: Sequence[Planned], parts: Parts, shown: str
) -> Comparison:
    """Collect all finished results.

    Args:
        config: the settings.
        folder: of the comparison.
        planned: all its runs.
        parts: the data.
        shown: the part whose errors count: "test", or "val" where there is no test set.
    """
    rows, points, known = [], [], {}
    for model in config.models:
        mine = [run for run in planned if run.model == model]
        known[model] = measured(folder, model)
        row = _mean([run for run in mine if run.is_whole], shown) | _costs(mine, known[model])
        best = best_run(mine, model)
        row["best_seed"] = None if best is None else best.seed
        rows.append({"name": model} | row)
        for size in sorted({run.num_train for run in mine}):
            of_size = [run for run in mine if run.num_train == size]
            points.append({"name": model, "num_train": size} | _mean(of_size, shown))
    details: dict[str, Any] = {
        "part": shown,
        "runs": [_run(run) for run in planned],
        "learning_curve": points if config.learning_curve else [],
        "nve": {m: values.get("nve") for m, values in known.items() if values.get("nve")},
        "versions": versions(),
    }
    facts = _facts(config, parts, rows, known, [run["hardware"] for run in details["runs"]])
    return Comparison(rows, facts, folder, details)


def _mean(runs: Sequence[Planned], shown: str) -> Row:
    """Errors of one model over its seeds: mean, and standard deviation of two or more."""
    results = [(run.seed, run.result) for run in runs]
    done = [result for _, result in results if result is not None and result["error"] is None]
    row: Row = {"error": _what_is_missing(results), "num_seeds": len(done)}
    for key in ERRORS:
        values = [result["metrics"][shown].get(key) for result in done]
        known = [float("nan") if value is None else value for value in values]
        if any(key in result["metrics"][shown] for result in done):
            row[key] = statistics.fmean(known)
            row[f"{key}_std"] = statistics.stdev(known) if len(known) > 1 else None
    return row


def _what_is_missing(results: Sequence[tuple[int, Result | None]]) -> str | None:
    """Reasons why seeds have no results; seeds with the same reason are named together."""
    reasons: dict[str, list[int]] = {}
    for seed, result in results:
        text = NOT_FINISHED if result is None else result["error"]
        if text is not None:
            reasons.setdefault(text, []).append(seed)
    if not reasons:
        return None
    if len(reasons) == 1 and len(next(iter(reasons.values()))) == len(results):
        return next(iter(reasons))
    return "; ".join(
        f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}: {text}"
        for text, seeds in reasons.items()
    )


def _costs(runs: Sequence[Planned], measured: dict[str, Any]) -> Row:
    whole = [run.result for run in runs if run.is_whole]
    done = [result for result in whole if result is not None and result["error"] is None]
    memory = [r["peak_memory_mb"] for r in done if r["peak_memory_mb"] is not None]
    timing, nve = measured.get("timing", {}), measured.get("nve", {})
    row: Row = {"us_per_atom": timing.get("us_per_atom")}
    if done:
        row |= {
            "num_parameters": done[0]["num_parameters"],
            "training_seconds": statistics.fmean(r["training_seconds"] for r in done),
            "epochs": max(r["epochs"] for r in done),
            "peak_memory_mb": max(memory, default=None),
        }
    if nve:
        row |= {
            "nve_drift": nve.get("drift"),
            "nve_largest": nve.get("largest"),
            "nve_error": nve["error"],
        }
    return row


def _run(run: Planned) -> dict[str, Any]:
    """The entry of a run in report.json."""
    result = run.result or {"error": NOT_FINISHED}
    values: dict[str, Any] = {"model": run.model, "seed": run.seed, "num_train": run.num_train}
    keys = ("error", "metrics", "num_parameters", "epochs", "best_epoch", "best_loss")
    measured = ("training_seconds", "peak_memory_mb", "hardware")
    return values | {key: result.get(key) for key in (*keys, *measured)}


def _facts(
    config: ComparisonConfig,
    parts: Parts,
    rows: Sequence[Row],
    measured: dict[str, Any],
    trained_on: Sequence[str | None],
) -> dict[str, str]:
    sizes = ", ".join(f"{len(part)} {NAMES[name]}" for name, part in parts.items())
    training = config.training
    budget = f"{training.max_epochs} epochs"
    if training.max_seconds is not None:
        budget += f" or {training.max_seconds:g} s"
    loss = loss_of(config.loss)
    weights = ", ".join(f"{name} {value:g}" for name, value in loss.weights.items() if value)
    if loss.grows:
        weights += f"; that of the energy {loss.energy_start:g} at first"
    facts = {
        "structures": f"{sizes}; drawn with seed {config.data.split.seed}",
        "budget": f"{budget} for each model and seed",
        "loss": f"weights: {weights}",
        "seeds": ", ".join(map(str, config.seeds)),
    }
    machines = sorted({machine for machine in trained_on if machine})
    if machines:
        facts["trained on"] = "; ".join(machines)
    timed = [values["timing"] for values in measured.values() if "timing" in values]
    if timed:
        facts["timed on"] = "; ".join(sorted({timing["hardware"] for timing in timed}))
        if len({timing["stage"] for timing in timed}) > 1:
            facts["timed on"] += " (not all in one run: ratios are uncertain)"
    waiting = [row["name"] for row in rows if NOT_FINISHED in (row["error"] or "")]
    if waiting:
        facts["not finished"] = ", ".join(waiting)
    return facts


def write_reports(
    comparison: Comparison, config: ComparisonConfig, planned: Sequence[Planned]
) -> None:
    """Write report.json, report.csv and report.html into the folder of the comparison."""
    folder = comparison.folder
    assert folder is not None
    comparison.to_json(folder / "report.json")
    comparison.to_csv(folder / "report.csv")
    names, details = list(config.models), comparison.details
    best = {name: run for name in names if (run := best_run(list(planned), name)) is not None}
    curves = {
        name: (np.array(nve["time"]), np.array(nve["change"]))
        for name, nve in details["nve"].items()
        if nve["error"] is None
    }
    part = f"{NAMES[details['part']]} set"
    drawn = {
        "Accuracy against speed": {
            f"Errors on the {part}; the dashed line joins the models that no other one beats in "
            "both": pareto(comparison.rows)
        },
        "Size of the training set": {
            f"Errors on the {part}": learning_sizes(details["learning_curve"], names)
        },
        "Training": {
            "Best seed bold, the others thin": training_progress(_logs(planned, best), names)
        },
        "Energy in NVE runs": {"Total energy minus its start": nve_energies(curves, names)},
    }
    figures: dict[str, dict[str, Any]] = {
        heading: {caption: image for caption, image in images.items() if image is not None}
        for heading, images in drawn.items()
    }
    figures["Predictions against labels, best seed"] = {
        f"{name}, seed {run.seed}": file
        for name, run in best.items()
        if (file := run.folder / "parity.png").is_file()
    }
    write_page(
        folder / "report.html",
        comparison.rows,
        part=part,
        facts=comparison.facts,
        figures={heading: images for heading, images in figures.items() if images},
        settings=(folder / "comparison.yaml").read_text(encoding="utf-8"),
    )


def _logs(
    planned: Sequence[Planned], best: dict[str, Planned]
) -> dict[str, list[dict[str, Array]]]:
    """Columns of the logs of each model's runs on the whole set, the best one first."""
    logs: dict[str, list[dict[str, Array]]] = {}
    for name, first in best.items():
        runs = [run for run in planned if run.model == name and run.is_whole and run.result]
        runs.sort(key=lambda run: run.seed != first.seed)
        logs[name] = [plots.read_log(file) for run in runs if (file := run.log) is not None]
    return logs
