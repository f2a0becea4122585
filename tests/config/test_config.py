"""Config files: defaults, messages, files that are read as they were written."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from nnmd_graph.config.config import (
    Config,
    LossConfig,
    ModelConfig,
    TrainingConfig,
    changes,
    parse_config,
    read_config,
    to_yaml,
    write_config,
)
from nnmd_graph.config.data import DataConfig, SplitConfig
from nnmd_graph.training import EnergyForcesLoss, Trainer
from nnmd_graph.workflow.building import loss_of


# ---------------------------------------------------------------------------------- one source
def test_training_section_has_the_arguments_and_defaults_of_the_trainer() -> None:
    elsewhere = {"self", "loss", "seed", "device", "output", "progress", "init", "freeze"}
    elsewhere |= {"learning_rates", "refit_baseline"}  # the section transfer
    elsewhere |= {"callbacks"}  # of Python only
    parameters = inspect.signature(Trainer.__init__).parameters
    expected = {n: p.default for n, p in parameters.items() if n not in elsewhere}
    expected["loggers"] = list(expected["loggers"])
    assert TrainingConfig().model_dump() == expected
    assert Config().seed == parameters["seed"].default
    assert Config().device == parameters["device"].default


def test_loss_section_has_the_defaults_of_the_loss() -> None:
    loss = EnergyForcesLoss()
    defaults: dict[str, Any] = {"energy_start": None, "more": {}, "errors": {}}
    defaults["element_weights"] = loss.element_weights
    assert LossConfig().model_dump() == loss.weights | defaults


def test_every_key_is_documented() -> None:
    sections = [Config, DataConfig, SplitConfig, ModelConfig, LossConfig, TrainingConfig]
    for section in sections:
        for name, field in section.model_fields.items():
            assert field.description, f"{section.__name__}.{name}"


def test_the_schema_knows_the_documentation() -> None:
    schema = Config.model_json_schema()
    training = schema["$defs"]["TrainingConfig"]["properties"]
    assert training["max_epochs"]["default"] == 200
    assert "passes over" in training["max_epochs"]["description"]


# ------------------------------------------------------------------------------------- messages
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"trainin": {}}, "`trainin` in config: unknown key; did you mean 'training'?"),
        ({"training": {"max_epoch": 3}}, "`training.max_epoch` in config: unknown key; did you"),
        ({"training": {"max_epoch": 3}}, "did you mean 'max_epochs'? `training` has the keys opt"),
        ({"cutoff": 5.0}, "`cutoff` in config: unknown key; did you mean 'model.cutoff'?"),
        ({"data": {"split": {"vall": 0.1}}}, "`data.split.vall` in config: unknown key; did you"),
        ({"model": {"xyz": 1}}, "`model.xyz` in config: unknown key; `model` has the keys name, c"),
        ({"training": {"max_epochs": -1}}, "expected a number greater than 0, got -1 (passes"),
        ({"training": {"max_epochs": "many"}}, "`training.max_epochs` in config: expected a val"),
        ({"training": {"learning_rate": float("nan")}}, "expected a finite number, got nan"),
        ({"training": {"optimizer": "adamv"}}, "got 'adamv'; did you mean 'adam"),
        ({"training": {"schedule": "step"}}, "expected one of ['cosine', 'exponential', 'plat"),
        (
            {"model": {"name": "gcn"}},
            "`model.name` in config: expected one of ['bpnn', 'embedded', 'gcnn']",
        ),
        ({"model": {"convolutions": {"conv": "painn2"}}}, "did you mean 'painn'?"),
        ({"model": {"convolutions": {"readout": "elemnt"}}}, "did you mean 'element'?"),
        ({"model": {"activation": "tahn"}}, "got 'tahn'; did you mean 'tanh'?"),
        ({"model": {"activation": "relu"}}, "expected one of"),
        (
            {"model": {"dtype": "float16"}},
            "in config: expected 'float32' or 'float64'",
        ),
        ({"model": {"cutoff": 0}}, "`model.cutoff` in config: expected a number greater than 0"),
        ({"model": {"hidden_channels": [8, 0]}}, "expected a number greater than 0, got 0"),
        (
            {"model": {"representation": {"options": {"num_radal": 4}}}},
            "mean 'num_radial'?",
        ),
        ({"model": {"representation": {"functions": [{"type": "G9"}]}}}, "expected one of ['G1'"),
        ({"data": {"train": 3}}, "expected the name of a file or a list of names, got 3"),
        ({"data": {"split": {"train": True}}}, "expected a fraction (float) or a number of frames"),
        ({"data": ["a.xyz"]}, "`data` in config: expected a section with keys and values"),
        ({"seed": -1}, "`seed` in config: expected a number greater than or equal to 0, got -1"),
        ({"seed": 1.5}, "`seed` in config: expected a valid integer"),
    ],
)
def test_wrong_settings_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_config(values)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ValueError) as info:
        parse_config({"training": {"max_epochs": 0, "batchsize": 4}, "sed": 1})
    assert len(str(info.value).splitlines()) == 3


def test_settings_must_be_a_mapping() -> None:
    with pytest.raises(TypeError, match=r"`config`: expected sections .* got list"):
        parse_config([1])  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------- files
def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    config = parse_config(
        {
            "data": {
                "train": ["a b.xyz", "ü.xyz"],
                "val": "c.xyz",
                "split": {"train": 80, "val": 9},
            },
            "model": {"representation": {"functions": [{"type": "G2", "eta": 1e-5, "r_s": 1.0}]}},
            "training": {"isolated_energies": {"Cu": -3.5, 8: 1.25}, "learning_rate": 1e-4},
        }
    )
    path = write_config(config, tmp_path / "config.yaml")
    again = read_config(path)
    assert [p.name for p in again.data.train] == ["a b.xyz", "ü.xyz"]
    assert all(p.is_absolute() for p in again.data.train)
    assert read_config(write_config(again, tmp_path / "again.yaml")) == again
    assert not {k for k in changes(config, again) if not k.startswith("data.")}
    assert isinstance(again.data.split.train, int)


def test_the_file_holds_every_key_with_its_meaning() -> None:
    text = to_yaml(Config())
    values = yaml.safe_load(text)
    assert values == Config().model_dump(mode="json")
    assert re.search(r"max_epochs: 200 +# passes over the training set", text)


def test_data_are_looked_for_beside_the_config_and_then_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "here").mkdir()
    write(tmp_path / "sub" / "a.xyz", "x")
    write(tmp_path / "here" / "a.xyz", "x")
    write(tmp_path / "here" / "b.xyz", "x")
    path = write(tmp_path / "sub" / "c.yaml", "data: {train: [a.xyz, b.xyz, missing.xyz]}")
    monkeypatch.chdir(tmp_path / "here")
    assert read_config(path).data.train == [
        tmp_path / "sub" / "a.xyz",
        tmp_path / "here" / "b.xyz",
        tmp_path / "sub" / "missing.xyz",
    ]


def test_overrides_replace_what_the_file_says(tmp_path: Path) -> None:
    path = write(tmp_path / "c.yaml", "training: {max_epochs: 7, batch_size: 2}\nmodel:\n")
    config = read_config(path, {"training.max_epochs": 9, "model.cutoff": 4.0, "seed": 3})
    assert (config.training.max_epochs, config.training.batch_size) == (9, 2)
    assert (config.model.cutoff, config.seed) == (4.0, 3)


def test_numbers_that_yaml_takes_for_words_are_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "c.yaml", "training: {learning_rate: 1e-3}")
    assert read_config(path).training.learning_rate == 1e-3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected settings, got the empty file"),
        ("# nothing but a comment\n", "expected settings, got the empty file"),
        ("- a\n- b\n", "expected sections ['data', 'model', 'loss', 'training', 'transfer'"),
        ("data: [a\n", "expected YAML, got"),
        ("seed: 1\nseed: 2\n", "the key 'seed' stands twice in the mapping of line 1"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read_config(write(tmp_path / "c.yaml", text))


def test_a_missing_file_is_named_with_the_one_that_was_meant(tmp_path: Path) -> None:
    write(tmp_path / "copper.yaml", "seed: 1")
    with pytest.raises(FileNotFoundError, match=r"did you mean 'copper.yaml'\?"):
        read_config(tmp_path / "coper.yaml")


# ---------------------------------------------------------------------------------------- split
@pytest.mark.parametrize(
    ("split", "num_frames", "has", "expected"),
    [
        ({}, 100, (False, False), (0.8, 0.1, 0.1)),
        ({}, 100, (True, False), (0.9, 0, 0.1)),
        ({}, 100, (False, True), (0.9, 0.1, 0)),
        ({}, 100, (True, True), (1.0, 0, 0)),
        ({}, 5, (False, False), (3, 1, 1)),
        ({}, 5, (True, True), (5, 0, 0)),
        ({"train": 0.5}, 100, (True, True), (0.5, 0, 0)),
        ({"train": 50, "val": 10, "test": 5}, 100, (False, True), (50, 10, 0)),
    ],
)
def test_parts_with_files_of_their_own_leave_their_share(
    split: dict[str, float], num_frames: int, has: tuple[bool, bool], expected: tuple[float, ...]
) -> None:
    assert SplitConfig(**split).sizes(num_frames, *has) == pytest.approx(expected)
    sizes = SplitConfig(**split).sizes(num_frames, *has)
    assert isinstance(sizes[0], type(expected[0]))


def test_changes_are_told_by_dotted_key() -> None:
    new = parse_config({"model": {"cutoff": 6.0}, "training": {"isolated_energies": {"Cu": 1.0}}})
    assert changes(Config(), new) == {
        "model.cutoff": (5.0, 6.0),
        "training.isolated_energies": (None, {"Cu": 1.0}),
    }
    assert not changes(new, new)


# ---------------------------------------------------------------------------- further quantities
def test_labels_heads_and_terms_of_further_quantities() -> None:
    config = parse_config(
        {
            "data": {"quantities": {"dipole": None, "charges": "q"}},
            "model": {"heads": ["charges"]},
            "loss": {"more": {"dipole": 2.0}, "errors": {"forces": "huber"}},
        }
    )
    assert config.data.reading()["quantities"] == {"dipole": None, "charges": "q"}
    loss = loss_of(config.loss)
    assert loss.weights == {"energy": 100.0, "forces": 1.0, "stress": 0.0, "dipole": 2.0}
    assert (loss.terms["forces"].error, loss.terms["energy"].error) == ("huber", "square")
    assert loss_of(parse_config({}).loss).settings() == EnergyForcesLoss().settings()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"data": {"quantities": {"dipol": None}}}, "did you mean 'dipole'"),
        ({"loss": {"more": {"charge": 1.0}}}, "did you mean 'charges'"),
        ({"loss": {"more": {"dipole": -1.0}}}, "greater than or equal to 0"),
        ({"loss": {"errors": {"forces": "hubber"}}}, "did you mean 'huber'"),
        ({"model": {"heads": ["charge"]}}, "did you mean 'charges'"),
    ],
)
def test_further_quantities_with_mistakes(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_config(values)
