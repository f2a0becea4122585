"""EmbeddedACSF against plain symmetry functions of three times as many features.

    python -m benchmarks.embedding MoNbTaW unbalanced aspirin --data path/to/data

trains the models of benchmarks/embedding.yaml (finished runs are kept, interrupted ones go on) and
prints a table of test errors. `unbalanced` is MoNbTaW with tantalum 20 times rarer in the training
set than the mean of the other elements; its test set stays. Data: X.-G. Li et al., npj Comput.
Mater. 6, 70 (2020), doi 10.1038/s41524-020-0339-0, as MoNbTaW/train.extxyz.gz and
MoNbTaW/test_unary_binary.extxyz.gz; rMD17 as for benchmarks.comparison.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import yaml
from ase import Atoms

from nnmd_graph.config import parse_config
from nnmd_graph.files import replacing
from nnmd_graph.workflow import train_from_config

HERE = Path(__file__).parent
STEP = 10
"""Of the training frames of MoNbTaW every so many is taken."""

RARE, TIMES = "Ta", 20


def main() -> None:
    """Train, evaluate, print and write the table."""
    protocol = yaml.safe_load((HERE / "embedding.yaml").read_text(encoding="utf-8"))
    models = protocol.pop("models")
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cases", nargs="*", default=list(models), metavar="CASE")
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared/data")
    parser.add_argument("--output", type=Path, default=HERE / "runs" / "embedding")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    arguments = parser.parse_args()
    rows = []
    for case in arguments.cases:
        data = find_data(case, arguments.data, arguments.output)
        for name, model in models[case].items():
            for seed in arguments.seeds:
                values = protocol | {"data": data, "model": model, "seed": seed}
                rows.append(run(values, case, name, arguments.output))
    table = write_table(rows)
    with replacing(arguments.output / "embedding.md") as temporary:
        temporary.write_text(table, encoding="utf-8")
    print(table)


def find_data(case: str, data: Path, output: Path) -> dict[str, Any]:
    """Section `data` of the settings; parts of MoNbTaW are written to files."""
    output.mkdir(parents=True, exist_ok=True)
    if case == "aspirin":
        files = {part: str(data / f"rmd17/aspirin_{part}.extxyz.gz") for part in ("train", "test")}
        return files | {"split": {"train": 950, "val": 50, "test": 0, "seed": 0}}
    file = output / f"{case}_train.extxyz"
    if not file.is_file():
        frames = ase.io.read(data / "MoNbTaW/train.extxyz.gz", f"::{STEP}")
        with replacing(file) as temporary:
            chosen = unbalanced(frames) if case == "unbalanced" else frames
            ase.io.write(temporary, chosen, format="extxyz")
    return {
        "train": str(file.absolute()),
        "test": str(data / "MoNbTaW/test_unary_binary.extxyz.gz"),
        "split": {"train": 0.9, "val": 0.1, "test": 0.0, "seed": 0},
    }


def unbalanced(frames: list[Atoms]) -> list[Atoms]:
    """All frames without the rare element, and as many with it as make it rare."""

    def rare(atoms: Atoms) -> int:
        return atoms.get_chemical_symbols().count(RARE)

    without = [atoms for atoms in frames if not rare(atoms)]
    others = len({symbol for atoms in without for symbol in atoms.get_chemical_symbols()})
    wanted = sum(map(len, without)) / others / TIMES
    having = [atoms for atoms in frames if rare(atoms)]
    chosen: list[Atoms] = []
    for n in np.random.RandomState(0).permutation(len(having)):
        if sum(map(rare, chosen)) < wanted:
            chosen.append(having[n])
    return without + chosen


def run(values: dict[str, Any], case: str, name: str, output: Path) -> dict[str, Any]:
    """One training, or what it once gave."""
    seed = values["seed"]
    folder = output / f"{case}_{name.replace(', ', '_').replace(' ', '_')}_seed{seed}"
    result = folder / "result.json"
    if result.is_file():
        return dict(json.loads(result.read_text(encoding="utf-8")))
    trained = train_from_config(parse_config(values), folder, resume=True)
    metrics = trained.metrics["test"]
    representation: Any = trained.potential.model.representation
    row: dict[str, Any] = {"case": case, "model": name, "seed": seed}
    row |= {"features": representation.num_features}
    row |= {key: metrics[key] for key in ("energy_mae", "forces_mae", "forces_mae_per_element")}
    row |= {"epochs": len(trained.history), "seconds": trained.history[-1]["seconds"]}
    with replacing(result) as temporary:
        temporary.write_text(json.dumps(row, indent=2) + "\n", encoding="utf-8")
    print(f"{case}, {name}, seed {seed}: {row['seconds']:.0f} s", flush=True)
    return row


def write_table(rows: list[dict[str, Any]]) -> str:
    """Markdown: one line a training."""
    heads = ["set", "model", "seed", "features", "energy MAE, meV/atom", "force MAE, meV/Å",
             "by element, meV/Å", "training s"]  # fmt: skip
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in rows:
        elements = ", ".join(f"{s} {e:.1f}" for s, e in row["forces_mae_per_element"].items())
        cells = [row["case"], row["model"], row["seed"], row["features"],
                 f"{row['energy_mae']:.2f}", f"{row['forces_mae']:.1f}", elements,
                 f"{row['seconds']:.0f}"]  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
