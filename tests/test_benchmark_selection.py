"""One short run of the benchmark on choosing functions, and the lines of its table."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def rows(folder: Path, element: str) -> list[str]:
    """The lines that the benchmark would write."""
    spec = importlib.util.spec_from_file_location("selection", ROOT / "benchmarks/selection.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module._rows(folder, element)


@pytest.mark.slow
def test_a_run_leaves_its_result(tmp_path: Path, shared: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.selection", "--run", "Li", "herding", "0.1", "0",
         "--data", str(shared / "data/mlearn"), "--output", str(tmp_path), "--max-epochs", "1"],
        cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        encoding="utf-8", timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads((tmp_path / "Li_herding_10_seed0" / "result.json").read_text())
    assert (result["num_functions"], result["epochs"]) == (9, 1)
    assert result["all"]["num_structures"] == 29
    assert 0.0 < result["without_elastic"]["forces_mae"] < 300.0


def test_the_table_compares_with_the_pool(tmp_path: Path) -> None:
    def write(name: str, functions: int, energy: float, forces: float) -> None:
        part = {"energy_mae": energy, "forces_mae": forces}
        values = {
            "all": part, "without_elastic": part, "num_functions": functions,
            "microseconds_per_atom": 20.0, "training_seconds": 60.0,
        }  # fmt: skip
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(json.dumps(values))

    write("Li_pool_100_seed0", 88, 0.5, 10.0)
    write("Li_pool_100_seed1", 88, 0.7, 12.0)
    write("Li_cur_50_seed0", 44, 0.5, 11.0)
    write("Li_pca-range_50_seed0", 44, 0.6, 11.0)
    write("Li_pca-range_50_seed1", 44, 0.6, 11.0)
    lines = [line.strip("| ").split(" | ") for line in rows(tmp_path, "Li")]
    assert [line[1] for line in lines] == ["pool", "cur", "pca-range"]
    assert lines[0][2:5] == ["88", "0.60 ± 0.14", "11.0 ± 1.4"]
    assert lines[1][3:5] == ["0.50 (+0%)", "11.0 (+10%)"]  # against the pool with that seed
    assert lines[2][3:5] == ["0.60 ± 0.00 (+0%)", "11.0 ± 0.0 (+0%)"]
    assert [line[8] for line in lines] == ["2", "1", "2"]
    assert rows(tmp_path, "Cu") == []


@pytest.mark.parametrize("arguments", [["--sets", "best"], ["--elements"]])
def test_wrong_arguments(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.selection", *arguments], cwd=ROOT, capture_output=True
    )
    assert done.returncode == 2
