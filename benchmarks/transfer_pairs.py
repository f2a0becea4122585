"""Fine-tuning against training from nothing, on pairs of sets that have less and less in common.

    python -m benchmarks.transfer_pairs --data path/to/sets

For each pair a model is trained on the first set, with the defaults and few epochs; 100 frames of
the second set then train it further, and a model from nothing, both with the defaults. The errors
are those of other frames of the second set. Finished trainings are kept in the folder of the
output; the table is printed and written there.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms

from nnmd_graph.config import parse_config
from nnmd_graph.data import AtomsDataset
from nnmd_graph.evaluation import evaluate
from nnmd_graph.files import replacing
from nnmd_graph.workflow import train_from_config

HERE = Path(__file__).parent
NUM_NEW, NUM_TEST = 100, 200


@dataclass(frozen=True)
class Pair:
    """Two sets.

    Attributes:
        old: File that the model is trained on first.
        new: File that it is then trained on.
        frames: Number of frames of the first training.
        epochs: Of the first training.
        held_back: Element that frames of the first training have not, and those of the second have.
    """

    old: str
    new: str
    frames: int = 300
    epochs: int = 60
    held_back: str | None = None


PAIRS = {
    "ethanol to malonaldehyde": Pair("rmd17/ethanol_train", "rmd17/malonaldehyde_train"),
    "toluene to benzene": Pair("rmd17/toluene_train", "rmd17/benzene_train", 200, 40),
    "ethanol to uracil (N is new)": Pair("rmd17/ethanol_train", "rmd17/uracil_train"),
    "water to zundel": Pair("deepmd_water/train", "zundel/train", 40, 30),
    "MoNbTa to MoNbTaW (W is new)": Pair("MoNbTaW/train", "MoNbTaW/train", 200, 40, "W"),
    "Cu to Ni (instead of Cu)": Pair("mlearn/Cu_train", "mlearn/Ni_train", 100, 30),
}


def main() -> None:
    """Train, evaluate, print and write the table."""
    arguments = _arguments()
    rows = {name: _row(arguments, name, PAIRS[name]) for name in arguments.pairs}
    table = _table(rows)
    with replacing(arguments.output / "transfer_pairs.md") as temporary:
        temporary.write_text(table, encoding="utf-8")
    print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared/data")
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=list(PAIRS))
    parser.add_argument("--seed", type=int, default=0, help="of frames, weights and split")
    parser.add_argument("--max-epochs", type=int, help="of the second training; default: 200")
    parser.add_argument("--model", default="{}", help="section `model` of the config, as JSON")
    parser.add_argument("--output", type=Path, default=HERE / "runs" / "transfer_pairs")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    return arguments


def _row(arguments: argparse.Namespace, name: str, pair: Pair) -> dict[str, Any]:
    folder = arguments.output / "".join(c if c.isalnum() else "_" for c in name)
    folder.mkdir(exist_ok=True)
    files = _draw(arguments, pair, folder)
    model = json.loads(arguments.model)
    old = {"model": model, "training": {"max_epochs": pair.epochs}}
    _train(arguments, folder / "old", files["old"], old)
    training = {} if arguments.max_epochs is None else {"max_epochs": arguments.max_epochs}
    scratch = {"model": model, "training": training}
    tuned = {"transfer": {"from": str((folder / "old").absolute())}, "training": training}
    return {
        "scratch": _train(arguments, folder / "scratch", files["new"], scratch, files["test"]),
        "tuned": _train(arguments, folder / "tuned", files["new"], tuned, files["test"]),
    }


def _draw(arguments: argparse.Namespace, pair: Pair, folder: Path) -> dict[str, Path]:
    """Files of the frames of both trainings and of the test."""
    files = {name: folder / f"{name}.extxyz" for name in ("old", "new", "test")}
    if all(path.is_file() for path in files.values()):
        return files
    rng = np.random.RandomState(arguments.seed)
    chosen = _shuffled(arguments.data / f"{pair.old}.extxyz.gz", rng)
    others = _shuffled(arguments.data / f"{pair.new}.extxyz.gz", rng)
    if pair.held_back is not None:
        chosen = [frame for frame in chosen if pair.held_back not in frame.get_chemical_symbols()]
        others = [frame for frame in others if pair.held_back in frame.get_chemical_symbols()]
    parts = {
        "old": chosen[: pair.frames],
        "new": others[:NUM_NEW],
        "test": others[NUM_NEW : NUM_NEW + NUM_TEST],
    }
    for name, frames in parts.items():
        with replacing(files[name]) as temporary:
            ase.io.write(temporary, frames, format="extxyz")
    return files


def _shuffled(path: Path, rng: np.random.RandomState) -> list[Atoms]:
    frames: Sequence[Atoms] = ase.io.read(path, ":")
    return [frames[n] for n in rng.permutation(len(frames))]


def _train(
    arguments: argparse.Namespace,
    folder: Path,
    data: Path,
    values: dict[str, Any],
    test: Path | None = None,
) -> dict[str, Any]:
    """One training, or what it once gave."""
    result = folder / "result.json"
    if result.is_file():
        return dict(json.loads(result.read_text(encoding="utf-8")))
    values |= {"data": {"train": str(data.absolute())}, "seed": arguments.seed}
    trained = train_from_config(parse_config(values), folder, resume=True)
    row: dict[str, Any] = {"seconds": trained.history[-1]["seconds"]}
    row["val_forces_mae"] = trained.metrics["val"]["forces_mae"]
    if test is not None:
        found = evaluate(trained.potential, AtomsDataset.read(test, trained.potential.cutoff))
        row |= {name: found[name] for name in ("energy_mae", "forces_mae", "forces_rmse")}
    with replacing(result) as temporary:
        temporary.write_text(json.dumps(row, indent=2) + "\n", encoding="utf-8")
    print(f"{folder}: {row}", flush=True)
    return row


def _table(rows: dict[str, dict[str, Any]]) -> str:
    """Markdown: errors of both, and their quotient."""
    lines = ["| | from nothing | fine-tuned | quotient |", "|---|---|---|---|"]
    quotients = []
    for name, row in rows.items():
        values = [row[kind] for kind in ("scratch", "tuned")]
        cells = [f"{v['energy_mae']:.2f} / {v['forces_mae']:.1f}" for v in values]
        quotients.append(values[1]["forces_mae"] / values[0]["forces_mae"])
        lines.append(f"| {name} | {cells[0]} | {cells[1]} | {quotients[-1]:.2f} |")
    lines.append(f"| median | | | {statistics.median(quotients):.2f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
