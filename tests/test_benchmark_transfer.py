"""The transfer benchmark runs on small crystals, keeps what is finished, and writes its table."""

import json
import os
import subprocess
import sys
from pathlib import Path

import ase.io
import pytest
import yaml

from nnmd_graph.training import Trainer
from nnmd_graph.training.config import parse_config
from nnmd_graph.workflow.building import build_potential

from .training.conftest import copper, dataset

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_it_compares_fine_tuning_with_scratch(tmp_path: Path) -> None:
    for name, count, shift in (("new", 20, -5.0), ("test", 4, -5.0)):
        frames = copper(count, seed=count, energy_offset=shift)
        ase.io.write(tmp_path / f"{name}.extxyz", frames)
    functions = [{"type": "G2", "eta": 4.0, "r_s": 2.5}]
    values = {
        "model": {
            "cutoff": 3.6,
            "hidden_channels": [4],
            "representation": {"functions": functions},
        },
        "training": {"max_epochs": 2},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
    old = build_potential(parse_config(values), (29,))
    Trainer(max_epochs=1, device="cpu").fit(old, dataset(copper(4)))
    old.save(tmp_path / "old" / "model.pt")
    command = [sys.executable, "-m", "benchmarks.transfer", "config.yaml", "old", "new.extxyz"]
    command += ["--test", "test.extxyz", "--fraction", "0.25", "--seeds", "0"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    for _ in range(2):
        done = subprocess.run(
            [*command, "--output", "out"], cwd=tmp_path, env=environment, capture_output=True,
            text=True, encoding="utf-8", timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert "seed 0" not in done.stdout  # nothing is trained twice
    for word in ("| before |", "| scratch |", "| fine-tuned |", "% lower", "forces mae, meV/Å"):
        assert word in done.stdout
    rows = json.loads((tmp_path / "out/transfer.json").read_text())
    assert [row["epochs"] for row in rows["fine-tuned"]] == [2]
