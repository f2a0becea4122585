"""The transfer benchmark runs on small crystals, keeps what is finished, and writes its table."""

import json
import sys
from pathlib import Path

import ase.io
import pytest
import yaml

from benchmarks import transfer
from nnmd_graph.config.config import parse_config
from nnmd_graph.training import Trainer
from nnmd_graph.workflow.building import build_potential

from .training.conftest import copper, dataset


@pytest.mark.slow
def test_it_compares_fine_tuning_with_scratch(
    tmp_path: Path,
    no_plots_of_runs: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
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
    monkeypatch.chdir(tmp_path)
    command = ["transfer", "config.yaml", "old", "new.extxyz"]
    command += ["--test", "test.extxyz", "--fraction", "0.25", "--seeds", "0"]
    monkeypatch.setattr(sys, "argv", [*command, "--output", "out"])
    for _ in range(2):
        capsys.readouterr()
        transfer.main()
    printed = capsys.readouterr().out
    assert "seed 0" not in printed  # nothing is trained twice
    for word in ("| before |", "| scratch |", "| fine-tuned |", "% lower", "forces mae, meV/Å"):
        assert word in printed
    rows = json.loads((tmp_path / "out/transfer.json").read_text())
    assert [row["epochs"] for row in rows["fine-tuned"]] == [2]
