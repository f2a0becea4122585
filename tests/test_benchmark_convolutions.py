"""The benchmark of graph convolutions runs by itself; SchNetPack is left out where it is absent."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.convolutions import in_single_turns, water_box

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_runs_and_writes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.convolutions", "--channels", "8", "--rounds", "1"]
    done = subprocess.run(
        [*command, "--schnetpack", "--output", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "convolutions.json").read_text())
    mine = [row for row in result["rows"] if row["code"] == "nnmd_graph"]
    assert [(row["conv"], row["layers"]) for row in mine] == [("schnet", 6), ("painn", 3)]
    assert all(row["us_per_atom"] > 0 for row in result["rows"])
    absent = find_spec("schnetpack") is None
    assert ("schnetpack: not installed, left out" in done.stdout) == absent
    assert "192 atoms of water" in (tmp_path / "convolutions.md").read_text(encoding="utf-8")


def test_made_box_is_water() -> None:
    box = water_box(None)
    assert box.get_chemical_formula() == "H128O64"
    density = box.get_masses().sum() / box.get_volume() / 0.602214  # g/cm^3
    assert abs(density - 1.0) < 0.01
    distances = box.get_all_distances(mic=True)
    assert distances[distances > 0].min() > 0.9


def test_turns_alternate() -> None:
    order: list[int] = []
    times = in_single_turns([lambda: order.append(0), lambda: order.append(1)], rounds=3)
    assert order[6:] == [0, 1] * 3  # behind the warm-up
    assert [len(mine) for mine in times] == [3, 3]
