"""Half of the functions, chosen: does it do what the whole pool does? On the mlearn data.

    python -m benchmarks.selection --data path/to/mlearn

trains the same net with the same budget on the pool (`ACSF.auto(..., recipe="pool")`), on a part of
it as chosen by each method of `select_functions`, on as many drawn at random, and on an automatic
set of that size, for every element and seed (finished runs are kept, interrupted ones go
on). The functions are chosen at atoms of the training set alone. The table of test errors goes into
benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CONFIG = HERE / "mlearn.yaml"
R_MIN = 1.5
"""Å, as in mlearn.yaml."""
SETS = ("pool", "cur", "fps", "pca-range", "herding", "random", "gastegger2018")


def main() -> None:
    """Train, evaluate, write the table."""
    arguments = _arguments()
    jobs = [
        (element, name, fraction, seed)
        for seed in arguments.seeds
        for fraction in arguments.fractions
        for element in arguments.elements
        for name in arguments.sets
    ]
    for job in jobs if not arguments.table_only else ():
        _start(arguments, *job)
    rows = [row for element in arguments.elements for row in _rows(arguments.output, element)]
    _write_table(rows, arguments.max_epochs)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared/data/mlearn")
    parser.add_argument("--elements", nargs="+", default=["Li", "Cu", "Si"])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--fractions", nargs="+", type=float, default=[0.5], help="of the pool")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--max-epochs", type=int, default=150)
    parser.add_argument("--output", type=Path, default=HERE / "runs" / "selection")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--table-only", action="store_true", help="from the runs that are there")
    parser.add_argument("--run", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        element, name, fraction, seed = arguments.run
        _run(arguments, element, name, float(fraction), int(seed))
        sys.exit()
    return arguments


def _start(
    arguments: argparse.Namespace, element: str, name: str, fraction: float, seed: int
) -> None:
    """One training in a process of its own."""
    if (_folder(arguments.output, element, name, fraction, seed) / "result.json").is_file():
        return
    command = [sys.executable, "-m", "benchmarks.selection", "--run", element, name]
    command += [str(fraction), str(seed)]
    command += ["--data", str(arguments.data.absolute())]
    command += ["--output", str(arguments.output.absolute())]
    command += ["--max-epochs", str(arguments.max_epochs)]
    environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads)}
    subprocess.run(command, check=True, env=environment, cwd=HERE.parent)


def _run(
    arguments: argparse.Namespace, element: str, name: str, fraction: float, seed: int
) -> None:
    from nnmd_graph.config import read_config
    from nnmd_graph.evaluation import evaluate
    from nnmd_graph.workflow import train_from_config
    from nnmd_graph.workflow.building import read_parts

    overrides: dict[str, Any] = {
        "data.train": str((arguments.data / f"{element}_train.extxyz.gz").absolute()),
        "data.test": str((arguments.data / f"{element}_test.extxyz.gz").absolute()),
        "training.max_epochs": arguments.max_epochs,
        "training.gradient_clip": None,
        "seed": seed,
    }
    parts = read_parts(read_config(CONFIG, overrides))
    start = time.monotonic()
    acsf = _functions(name, parts["train"], fraction, seed)
    choosing = time.monotonic() - start
    overrides["model.representation.functions"] = [f.to_dict() for f in acsf.functions]

    folder = _folder(arguments.output, element, name, fraction, seed)
    result = train_from_config(read_config(CONFIG, overrides), folder, resume=True)
    test = parts["test"].build()
    others = test[[n for n, f in enumerate(test.frames) if f.info["group"] != "Elastic"]]
    start = time.monotonic()
    errors = evaluate(result.potential, test, groups="group")
    wall = time.monotonic() - start
    values = {
        "all": errors,
        "without_elastic": evaluate(result.potential, others),
        "best_val_loss": min(row["val_loss"] for row in result.history),
        "num_functions": acsf.num_features,
        "choosing_seconds": choosing,
        "microseconds_per_atom": 1e6 * wall / sum(map(len, test.frames)),
        "training_seconds": result.history[-1]["seconds"],
        "epochs": len(result.history),
    }
    (folder / "result.json").write_text(json.dumps(values, indent=2) + "\n")
    print(
        f"{element} {name}, seed {seed}: {acsf.num_features} functions, "
        f"{errors['energy_mae']:.3f} meV/atom, {errors['forces_mae']:.2f} meV/Å, "
        f"{result.history[-1]['seconds']:.0f} s",
        flush=True,
    )


def _functions(name: str, train: Any, fraction: float, seed: int) -> Any:
    """The pool, or as many of its functions as the fraction says."""
    import numpy as np

    from nnmd_graph.representations import ACSF, select_functions

    pool = ACSF.auto(train.species, train.cutoff, recipe="pool", r_min=R_MIN)
    n = round(fraction * pool.num_features)
    if name == "pool":
        return pool
    if name == "gastegger2018":
        # 12 shells and 8 functions for each of 4 angular ones, in this proportion
        shells = max(1, round(n / 11))
        options = {"num_radial": n - 8 * shells, "num_angular": shells, "r_min": R_MIN}
        return ACSF.auto(train.species, train.cutoff, recipe=name, **options)
    if name == "random":
        drawn = np.random.default_rng(seed).permutation(pool.num_features)[:n]
        return ACSF(train.species, train.cutoff, [pool.functions[k] for k in sorted(drawn)])
    return select_functions(pool, train, n, method=name, seed=seed)


def _folder(output: Path, element: str, name: str, fraction: float, seed: int) -> Path:
    percent = 100 if name == "pool" else round(100 * fraction)
    return output / f"{element}_{name}_{percent}_seed{seed}"


def _rows(output: Path, element: str) -> list[str]:
    """Lines of an element: mean and spread over the seeds, and the mean against the pool's."""
    found: dict[tuple[int, str], list[Any]] = {}
    for path in sorted(output.glob(f"{element}_*_seed*/result.json")):
        _, name, percent, _ = path.parent.name.split("_")
        found.setdefault((-int(percent), name), []).append(json.loads(path.read_text()))
    rows = []
    for (_, name), results in sorted(found.items(), key=lambda x: (x[0][0], SETS.index(x[0][1]))):
        pool = found.get((-100, "pool"), [])
        cells = [element, name, str(results[0]["num_functions"])]
        for part in ("all", "without_elastic"):
            for key, digits in (("energy_mae", 2), ("forces_mae", 1)):
                numbers = [r[part][key] for r in results]
                against = [r[part][key] for r in pool[: len(results)]]
                spread = f" ± {statistics.stdev(numbers):.{digits}f}" if len(numbers) > 1 else ""
                change = statistics.mean(numbers) / statistics.mean(against or numbers) - 1
                own = "" if name == "pool" else f" ({change:+.0%})"
                cells.append(f"{statistics.mean(numbers):.{digits}f}{spread}{own}")
        cells.append(f"{statistics.mean(r['microseconds_per_atom'] for r in results):.0f}")
        cells += [
            str(len(results)),
            f"{statistics.mean(r['training_seconds'] for r in results):.0f}",
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def _write_table(rows: list[str], max_epochs: int) -> None:
    """Replace the part of README.md between its two marks."""
    head = [
        "| | set | functions | energy | forces | energy without Elastic | forces without Elastic "
        "| µs/atom | seeds | training, s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    note = (
        f"Test MAE, meV/atom and meV/Å, after {max_epochs} epochs; in brackets the difference to "
    )
    note += "the whole pool; µs/atom of `evaluate` on one thread."
    readme = HERE / "README.md"
    text = readme.read_text()
    table = "\n".join(["<!-- selection -->", *head, *rows, "", note, "<!-- /selection -->"])
    text = re.sub(
        r"<!-- selection -->.*<!-- /selection -->", lambda _: table, text, flags=re.DOTALL
    )
    temporary = readme.with_suffix(".md.new")
    temporary.write_text(text)
    os.replace(temporary, readme)
    print("\n".join([*head, *rows]))


if __name__ == "__main__":
    main()
