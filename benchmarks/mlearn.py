"""Accuracy on the mlearn data (Zuo et al. 2020): one config for all elements.

    python -m benchmarks.mlearn --data path/to/mlearn

trains a BPNN for every element and seed (finished runs are kept, interrupted ones go on), and
writes the table of test errors into benchmarks/README.md. Data: Y. Zuo et al., J. Phys. Chem. A
124, 731 (2020), doi 10.1021/acs.jpca.9b08723, as <element>_train.extxyz.gz and
<element>_test.extxyz.gz.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
CONFIG = HERE / "mlearn.yaml"

# MAE of energy (meV/atom) and force components (meV/Å) on the test set. NNP: the authors' own
# potentials, run with n2p2; GAP and MTP: as published.
NNP = {"Ni": (1.52, 30.3), "Cu": (1.15, 26.2), "Li": (0.75, 16.8), "Si": (5.63, 108.6),
       "Ge": (4.89, 85.0)}  # fmt: skip
GAP = {"Ni": (0.42, 20), "Cu": (0.46, 10), "Li": (0.49, 10), "Si": (2.91, 70), "Ge": (2.06, 50)}
MTP = {"Ni": (0.48, 10), "Cu": (0.41, 10), "Li": (0.49, 10), "Si": (2.21, 60), "Ge": (1.79, 50)}


def main() -> None:
    """Train, evaluate, write the table."""
    arguments = _arguments()
    jobs = [(element, seed) for seed in arguments.seeds for element in arguments.elements]
    if not arguments.table_only:
        with ThreadPoolExecutor(arguments.jobs) as pool:
            list(pool.map(lambda job: _start(arguments, *job), jobs))
    rows = [_collect(arguments.output, element) for element in arguments.elements]
    _write_table([row for row in rows if row])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared/data/mlearn")
    parser.add_argument("--elements", nargs="+", default=["Ni", "Cu", "Li", "Si", "Ge"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--output", type=Path, default=HERE / "runs" / "mlearn")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--threads", type=int, default=1, help="threads of each training")
    parser.add_argument("--table-only", action="store_true", help="from the runs that are there")
    parser.add_argument("--run", nargs=2, metavar=("ELEMENT", "SEED"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        _run(arguments, arguments.run[0], int(arguments.run[1]))
        sys.exit()
    return arguments


def _start(arguments: argparse.Namespace, element: str, seed: int) -> None:
    """One training in a process of its own."""
    if (_folder(arguments.output, element, seed) / "result.json").is_file():
        return
    command = [sys.executable, "-m", "benchmarks.mlearn", "--run", element, str(seed)]
    command += ["--data", str(arguments.data), "--output", str(arguments.output)]
    environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads)}
    print(f"{element}, seed {seed}: training", flush=True)
    subprocess.run(command, check=True, env=environment, cwd=HERE.parent)


def _run(arguments: argparse.Namespace, element: str, seed: int) -> None:
    import time

    from nnmd_graph.config import read_config
    from nnmd_graph.evaluation import evaluate
    from nnmd_graph.workflow import train_from_config
    from nnmd_graph.workflow.building import read_parts

    folder = _folder(arguments.output, element, seed)
    overrides = {
        "data.train": str((arguments.data / f"{element}_train.extxyz.gz").absolute()),
        "data.test": str((arguments.data / f"{element}_test.extxyz.gz").absolute()),
        "seed": seed,
    }
    config = read_config(CONFIG, overrides)
    start = time.monotonic()
    result = train_from_config(config, folder, resume=True)
    wall = time.monotonic() - start
    test = read_parts(config)["test"]
    others = test[[n for n, f in enumerate(test.frames) if f.info["group"] != "Elastic"]]
    values = {
        "all": evaluate(result.potential, test, groups="group"),
        "without_elastic": evaluate(result.potential, others),
        "wall_seconds": max(wall, result.history[-1]["seconds"]),
        "training_seconds": result.history[-1]["seconds"],
        "epochs": len(result.history),
        "num_features": result.potential.model.representation.num_features,
        "num_parameters": sum(p.numel() for p in result.potential.parameters()),
        "threads": int(os.environ.get("OMP_NUM_THREADS", "0")),
    }
    (folder / "result.json").write_text(json.dumps(values, indent=2) + "\n")
    print(f"{element}, seed {seed}: {wall:.0f} s\n{values['all']}", flush=True)


def _folder(output: Path, element: str, seed: int) -> Path:
    return output / f"{element}_seed{seed}"


def _collect(output: Path, element: str) -> str:
    """One line of the table: mean over seeds, and the spread where there are several."""
    found = sorted(output.glob(f"{element}_seed*/result.json"))
    if not found:
        return ""
    results = [json.loads(path.read_text()) for path in found]

    def cell(part: str, key: str) -> str:
        numbers = [r[part][key] for r in results]
        digits = 2 if key.startswith("energy") else 1
        spread = f" ± {statistics.stdev(numbers):.{digits}f}" if len(numbers) > 1 else ""
        return f"{statistics.mean(numbers):.{digits}f}{spread}"

    def pair(part: str, kind: str) -> str:
        return f"{cell(part, f'energy_{kind}')} / {cell(part, f'forces_{kind}')}"

    others = [" / ".join(f"{x:g}" for x in table[element]) if element in table else "-"
              for table in (NNP, GAP, MTP)]  # fmt: skip
    minutes = statistics.mean(r["wall_seconds"] for r in results) / 60
    seeds = ", ".join(re.findall(r"seed(\d+)$", str(path.parent))[0] for path in found)
    cells = [element, pair("all", "mae"), pair("all", "rmse"), pair("without_elastic", "mae"),
             pair("without_elastic", "rmse"), *others, seeds, f"{minutes:.1f}",
             str(results[0]["threads"])]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def _write_table(rows: list[str]) -> None:
    """Replace the part of README.md between its two marks."""
    head = [
        "| | MAE | RMSE | MAE without Elastic | RMSE without Elastic | NNP MAE | GAP MAE | MTP MAE "
        "| seeds | minutes | threads |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    note = f"Energy in meV/atom / force components in meV/Å; measured on {platform.machine()}, "
    note += f"{os.cpu_count()} cores, torch CPU."
    readme = HERE / "README.md"
    text = readme.read_text()
    table = "\n".join(["<!-- mlearn -->", *head, *rows, "", note, "<!-- /mlearn -->"])
    text = re.sub(r"<!-- mlearn -->.*<!-- /mlearn -->", lambda _: table, text, flags=re.DOTALL)
    temporary = readme.with_suffix(".md.new")
    temporary.write_text(text)
    os.replace(temporary, readme)
    print("\n".join([*head, *rows]))


if __name__ == "__main__":
    main()
