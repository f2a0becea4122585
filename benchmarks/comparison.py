"""BPNN beside graph convolutions under one protocol, on published sets with published errors.

    python -m benchmarks.comparison ethanol --data path/to/data

trains every model of benchmarks/comparison_<set>.yaml (finished runs are kept, interrupted ones go
on) and writes the report to benchmarks/runs/comparison/<set>; `--table` writes the errors of all
sets that are there into benchmarks/README.md. Data: rMD17 (A. Christensen, O. von Lilienfeld, Mach.
Learn.: Sci. Technol. 1, 045018 (2020), doi 10.1088/2632-2153/abba6f) as
rmd17/<molecule>_train.extxyz.gz and _test; mlearn (Y. Zuo et al., J. Phys. Chem. A 124, 731 (2020),
doi 10.1021/acs.jpca.9b08723) as mlearn/<element>_train.extxyz.gz and _test.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import yaml

import nnmd_graph as ng
from nnmd_graph.files import replacing

HERE = Path(__file__).parent
SETS = {"aspirin": "rmd17", "ethanol": "rmd17", "Si": "mlearn", "Li": "mlearn"}

# Force MAE, meV/Å. rMD17: as printed in the MACE paper (doi 10.48550/arXiv.2206.07697), table 1;
# mlearn: NNP the authors' own potential run with n2p2, MTP as published.
PUBLISHED = {
    "aspirin": {"ANI": 40.6, "PaiNN": 16.1, "NequIP": 8.2, "MACE": 6.6},
    "ethanol": {"ANI": 13.4, "PaiNN": 10.0, "NequIP": 2.8, "MACE": 2.1},
    "Si": {"NNP": 108.6, "MTP": 60.0},
    "Li": {"NNP": 16.8, "MTP": 10.0},
}


def main() -> None:
    """Train, compare, write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sets", nargs="*", metavar="SET", help=", ".join(SETS))
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared/data")
    parser.add_argument("--output", type=Path, default=HERE / "runs" / "comparison")
    parser.add_argument("--only", nargs="+", help="train these models only")
    parser.add_argument("--seeds", type=int, nargs="+", help="in place of those of the config")
    parser.add_argument("--table", action="store_true", help="write benchmarks/README.md")
    arguments = parser.parse_args()
    for name in arguments.sets:
        print(ng.compare(
            settings(name, arguments.data, arguments.seeds), output=arguments.output / name,
            only=arguments.only, resume=True, say=print,
        ))  # fmt: skip
    if arguments.table:
        write_table(arguments.output)


def settings(name: str, data: Path, seeds: list[int] | None = None) -> dict[str, Any]:
    """The protocol of a set, with the names of its files and, if given, other seeds."""
    kind = SETS[name]
    values: dict[str, Any] = yaml.safe_load((HERE / f"comparison_{kind}.yaml").read_text())
    files = {part: str(data / kind / f"{name}_{part}.extxyz.gz") for part in ("train", "test")}
    chosen = {} if seeds is None else {"seeds": seeds}
    return values | {"data": values["data"] | files} | chosen


def write_table(output: Path) -> None:
    """Replace the part of README.md between its two marks."""
    columns = ("energy meV/atom", "force meV/Å", "µs/atom", "parameters", "training s")
    lines = ["| set | model | " + " | ".join(columns) + " |", "|---" * (2 + len(columns)) + "|"]
    notes = []
    for name, published in PUBLISHED.items():
        file = output / name / "report.json"
        if not file.is_file():
            continue
        report = json.loads(file.read_text(encoding="utf-8"))
        lines += [_line(name, row) for row in report["rows"]]
        errors = ", ".join(f"{model} {error:g}" for model, error in published.items())
        notes.append(f"Published force MAE, {name}: {errors}.")
        notes += [f"{name}, {key}: {fact}." for key, fact in report["facts"].items()]
    readme = HERE / "README.md"
    text = "\n".join(["<!-- comparison -->", *lines, "", *notes, "<!-- /comparison -->"])
    whole = re.sub(
        r"<!-- comparison -->.*<!-- /comparison -->",
        lambda _: text,
        readme.read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )
    with replacing(readme) as temporary:
        temporary.write_text(whole, encoding="utf-8")
    print("\n".join([*lines, "", *notes]))


def _line(name: str, row: dict[str, Any]) -> str:
    keys = ("energy_mae", "forces_mae", "us_per_atom", "num_parameters", "training_seconds")
    cells = [name, row["name"]]
    if row["error"]:
        return "| " + " | ".join([*cells, row["error"], *[""] * (len(keys) - 1)]) + " |"
    for key in keys:
        spread = row.get(f"{key}_std")
        cells.append(_number(row.get(key)) + (f" ± {spread:.2g}" if spread else ""))
    return "| " + " | ".join(cells) + " |"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if value < 1000 else f"{value:.0f}"


if __name__ == "__main__":
    main()
