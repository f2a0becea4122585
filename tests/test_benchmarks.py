"""The speed benchmarks run on small crystals, and write what they measured."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PNG = b"\x89PNG"


def run(module: str, *arguments: str, output: Path) -> subprocess.CompletedProcess[str]:
    """Run a benchmark as a user would; its output, also to be seen when the test fails."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *arguments, "--output", str(output)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=600,
    )
    print(done.stdout, done.stderr)
    return done


def written(name: str, output: Path) -> dict[str, Any]:
    """The JSON of a benchmark that also wrote its table and its plot."""
    assert "| --- |" in (output / f"{name}.md").read_text(encoding="utf-8")
    assert (output / f"{name}.png").read_bytes().startswith(PNG)
    return json.loads((output / f"{name}.json").read_text())


@pytest.mark.slow
def test_speed_times_every_quantity_in_both_dtypes(tmp_path: Path) -> None:
    done = run(
        "speed", "--cases", "copper_32", "--threads", "1", "--rounds", "1", "--repeats", "1",
        "--no-torchani", output=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0
    rows = written("speed", tmp_path)["rows"]
    assert [row["dtype"] for row in rows] == ["float64", "float32"]
    for row in rows:
        assert row["atoms"] == 32 and 70 < row["neighbors"] < 86
        for quantity in (
            "neighbor_list", "values", "derivatives", "energy_forces", "training_step",
        ):  # fmt: skip
            assert row[quantity] > 0.0
    assert rows[0]["energy"] == pytest.approx(rows[1]["energy"], abs=1e-4)


@pytest.mark.slow
def test_scaling_reports_time_and_memory_and_what_does_not_fit(tmp_path: Path) -> None:
    done = run(
        "scaling", "--sizes", "100", "100000", "--memory", "1", "--threads", "1",
        "--repeats", "1", output=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0
    small, large = written("scaling", tmp_path)["rows"]
    assert small["atoms"] == 108
    assert small["energy_forces"] > 0.0 and small["neighbor_list"] > 0.0
    assert 0.0 < small["peak"] < 1.5
    assert small["memory"] >= small["neighbor_list_memory"] >= 0.0
    if sys.platform == "linux":
        assert large["error"] == "does not fit into 1.0 GB"


@pytest.mark.slow
def test_a_case_that_needs_files_says_so(tmp_path: Path) -> None:
    done = run("speed", "--cases", "Cu_wide_G5", "--threads", "1", output=tmp_path)
    assert done.returncode != 0
    assert "--reference" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
def test_start_up_times_help_and_mistakes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.start_up", "--rounds", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=600,
    )
    rows = [line.split("|")[1:3] for line in done.stdout.splitlines()[2:]]
    assert [name.strip() for name, _ in rows][0::5] == ["`--help`", "missing data file"]
    assert all(0.01 < float(seconds) < 10.0 for _, seconds in rows), done.stdout
