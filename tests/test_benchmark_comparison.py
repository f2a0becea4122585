"""Settings of the accuracy benchmarks fit the program; their trainings take hours."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from ase import Atoms

from benchmarks import comparison, embedding
from nnmd_graph.comparison.config import parse_comparison
from nnmd_graph.config.config import parse_config

HERE = Path(comparison.__file__).parent


@pytest.mark.parametrize("name", sorted(comparison.SETS))
def test_comparisons(tmp_path: Path, name: str) -> None:
    config = parse_comparison(comparison.settings(name, tmp_path))
    assert len(config.models) >= 6
    assert name in str(config.data.train[0])
    for model in config.models:
        config.of_run(model, seed=0)


def test_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"name": "bpnn", "error": None, "energy_mae": 1.234, "forces_mae": 20.0,
           "forces_mae_std": 0.5, "us_per_atom": 300.0, "num_parameters": 3169}  # fmt: skip
    bad = {"name": "painn", "error": "the loss became NaN"}
    (tmp_path / "Si").mkdir()
    report = comparison.json.dumps({"rows": [row, bad], "facts": {"budget": "180 s"}})
    (tmp_path / "Si" / "report.json").write_text(report)
    readme = tmp_path / "README.md"
    readme.write_text("above\n<!-- comparison -->\nold\n<!-- /comparison -->\nbelow\n")
    monkeypatch.setattr(comparison, "HERE", tmp_path)
    comparison.write_table(tmp_path)
    text = readme.read_text()
    assert text.startswith("above\n") and text.endswith("below\n") and "old" not in text
    assert "| Si | bpnn | 1.23 | 20 ± 0.5 | 300 | 3169 |  |" in text
    assert "| Si | painn | the loss became NaN |" in text
    assert "Published force MAE, Si: NNP 108.6, MTP 60." in text


@pytest.mark.parametrize(
    "file",
    [
        "embedding.yaml",
        "transfer.yaml",
        "mlearn.yaml",
        "rmd17_tensornet.yaml",
        "rmd17_tensornet_constant.yaml",
        "rmd17_bpnn.yaml",
        "mlearn_pool.yaml",
    ],
)
def test_settings(file: str) -> None:
    values = yaml.safe_load((HERE / file).read_text(encoding="utf-8"))
    models = values.pop("models", None)
    data = values.pop("data", {})
    for model in [m for case in (models or {}).values() for m in case.values()] or [
        values["model"]
    ]:
        parse_config(values | {"data": {"train": "x.extxyz"} | data, "model": model})


def test_unbalanced() -> None:
    random = np.random.default_rng(0)
    frames = [Atoms(random.choice(["Mo", "W", "Ta"], 12), np.zeros((12, 3))) for _ in range(60)]
    frames += [Atoms("Mo6W6", np.zeros((12, 3))) for _ in range(300)]
    chosen = embedding.unbalanced(frames)
    symbols = [symbol for atoms in chosen for symbol in atoms.get_chemical_symbols()]
    assert symbols.count("Ta") == pytest.approx(symbols.count("Mo") / 20, rel=0.3)
    assert sum("Ta" not in atoms.get_chemical_symbols() for atoms in chosen) >= 300
