"""Fine-tuning on a part of a second set against training from scratch on the same part.

    python -m benchmarks.transfer config.yaml model.pt new_train.extxyz --test new_test.extxyz

The config is that of the model, without `data` (what it says of them is not used) and without
`transfer`: the one from scratch has its section `model`, both have its `loss` and `training`;
`--learning-rate` is for fine-tuning only. Each seed draws its own part of the set, the same for
both. Finished trainings are kept in the folder of the output, broken ones go on.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import yaml

from nnmd_graph.config import parse_config
from nnmd_graph.data import AtomsDataset
from nnmd_graph.evaluation import evaluate
from nnmd_graph.files import replacing
from nnmd_graph.models import Potential
from nnmd_graph.workflow import train_from_config

KINDS = ("scratch", "fine-tuned")
ERRORS = ("energy_mae", "energy_rmse", "forces_mae", "forces_rmse")


def main() -> None:
    """Train, evaluate, print and write the table."""
    arguments = _arguments()
    rows: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    for seed in arguments.seeds:
        part = _draw(arguments, seed)
        for kind in KINDS:
            rows[kind].append(_run(arguments, kind, seed, part))
    table = _table(rows, _before(arguments))
    with replacing(arguments.output / "transfer.md") as temporary:
        temporary.write_text(table, encoding="utf-8")
    with replacing(arguments.output / "transfer.json") as temporary:
        temporary.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("config", type=Path, help="settings of the model")
    parser.add_argument("model", type=Path, help="model file, or folder of a run")
    parser.add_argument("data", type=Path, help="training structures of the second set")
    parser.add_argument("--test", type=Path, required=True, help="test structures of it")
    parser.add_argument("--fraction", type=float, default=0.1, help="part that is trained on")
    parser.add_argument("--val-fraction", type=float, default=0.1, help="of that part")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="of fine-tuning")
    parser.add_argument("--max-epochs", type=int, help="None: that of the config")
    parser.add_argument("--freeze", nargs="*", default=[], help="parts that stay")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "runs" / "transfer")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    return arguments


def _draw(arguments: argparse.Namespace, seed: int) -> dict[str, str]:
    """Files of the structures that one seed trains and validates on."""
    files = {name: arguments.output / f"seed{seed}_{name}.extxyz" for name in ("train", "val")}
    frames = ase.io.read(arguments.data, ":")
    count = max(2, round(arguments.fraction * len(frames)))
    held = max(1, round(arguments.val_fraction * count))
    order = np.random.RandomState(seed).permutation(len(frames))[:count]
    for name, chosen in (("val", order[:held]), ("train", order[held:])):
        with replacing(files[name]) as temporary:
            ase.io.write(temporary, [frames[i] for i in np.sort(chosen)], format="extxyz")
    return {name: str(path.absolute()) for name, path in files.items()}


def _run(
    arguments: argparse.Namespace, kind: str, seed: int, part: dict[str, str]
) -> dict[str, Any]:
    """One training, or what it once gave."""
    folder = arguments.output / f"{kind}_seed{seed}"
    result = folder / "result.json"
    if result.is_file():
        return dict(json.loads(result.read_text(encoding="utf-8")))
    values = yaml.safe_load(arguments.config.read_text(encoding="utf-8")) or {}
    keys = {k: v for k, v in (values.get("data") or {}).items() if k.endswith("_key")}
    values |= {"data": keys | {"train": part["train"], "val": part["val"]}, "seed": seed}
    values["data"]["test"] = str(arguments.test.absolute())
    training = dict(values.get("training") or {})
    if arguments.max_epochs is not None:
        training["max_epochs"] = arguments.max_epochs
    values["transfer"] = {}
    if kind == "fine-tuned":
        values.pop("model", None)
        training["learning_rate"] = arguments.learning_rate
        values["transfer"] = {"from": str(arguments.model.absolute()), "freeze": arguments.freeze}
    trained = train_from_config(parse_config(values | {"training": training}), folder, resume=True)
    row = {name: trained.metrics["test"].get(name) for name in ERRORS}
    row |= {"seed": seed, "epochs": len(trained.history)}
    row["seconds"] = trained.history[-1]["seconds"]
    with replacing(result) as temporary:
        temporary.write_text(json.dumps(row, indent=2) + "\n", encoding="utf-8")
    print(f"{kind}, seed {seed}: {row['seconds']:.0f} s, {row}", flush=True)
    return row


def _before(arguments: argparse.Namespace) -> dict[str, Any] | None:
    """Errors of the model as it is; None where it lacks an element of the second set."""
    path = arguments.model
    model = Potential.load(path / "model.pt" if path.is_dir() else path)
    test = AtomsDataset.read(arguments.test, model.cutoff, dtype=model.dtype)
    return dict(evaluate(model, test)) if set(test.species) <= set(model.species) else None


def _table(rows: dict[str, list[dict[str, Any]]], before: dict[str, Any] | None) -> str:
    """Markdown: mean over seeds, and their standard deviation."""
    units = ["meV/atom" if name.startswith("energy") else "meV/Å" for name in ERRORS]
    heads = [f"{name.replace('_', ' ')}, {unit}" for name, unit in zip(ERRORS, units, strict=True)]
    lines = ["| | " + " | ".join([*heads, "seconds"]) + " |", "| --- " * 6 + "|"]
    if before is not None:
        lines.append(f"| before | {' | '.join(_cell([before.get(n)]) for n in ERRORS)} | |")
    for kind, found in rows.items():
        cells = [_cell([row[name] for row in found]) for name in (*ERRORS, "seconds")]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    text = "\n".join(lines) + "\n"
    forces = [[row["forces_mae"] for row in rows[kind]] for kind in KINDS]
    if all(value is not None for values in forces for value in values):
        scratch, tuned = (statistics.mean(values) for values in forces)
        text += f"\nForce MAE of fine-tuning: {100 * (1 - tuned / scratch):.0f}% lower.\n"
    return text


def _cell(numbers: list[Any]) -> str:
    if any(number is None for number in numbers):
        return "-"
    spread = f" ± {statistics.stdev(numbers):.2f}" if len(numbers) > 1 else ""
    return f"{statistics.mean(numbers):.2f}{spread}"


if __name__ == "__main__":
    main()
