"""Settings of comparisons: what may differ between models, messages, files."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nnmd_graph.comparison.config import (
    PER_MODEL,
    ComparedModel,
    ComparisonConfig,
    NVEConfig,
    parse_comparison,
    read_comparison,
    write_comparison,
)
from nnmd_graph.config.config import TrainingConfig

TWO: dict[str, Any] = {
    "data": {"train": "li.extxyz"},
    "models": {
        "small": {"cutoff": 4.0},
        "painn": {"name": "gcnn", "convolutions": {"conv": "gat"}},
    },
}


def test_what_is_common_is_common_and_what_is_not_is_not() -> None:
    values = TWO | {"seeds": [3, 4], "training": {"max_epochs": 7, "weight_decay": 0.1}}
    values["models"] = {"small": {"training": {"learning_rate": 0.1}}, "large": None}
    config = parse_comparison(values)
    small, large = config.of_run("small", 3), config.of_run("large", 4)
    assert (small.seed, large.seed) == (3, 4)
    assert (small.training.learning_rate, large.training.learning_rate) == (0.1, None)
    for key in set(TrainingConfig.model_fields) - {"learning_rate"}:
        assert getattr(small.training, key) == getattr(large.training, key)
    assert small.data == large.data and small.loss == large.loss


def test_all_runs_draw_the_same_parts() -> None:
    assert parse_comparison(TWO | {"seeds": [5, 6]}).of_run("small", 6).data.split.seed == 0
    given = TWO | {"data": {"train": "li.extxyz", "split": {"seed": 9}}}
    assert parse_comparison(given).of_run("painn", 0).data.split.seed == 9


def test_the_model_is_that_of_a_training() -> None:
    model = parse_comparison(TWO).of_run("painn", 0).model
    assert (model.name, model.convolutions.conv, model.cutoff) == ("gcnn", "gat", 5.0)
    assert "training" not in model.model_dump()
    # What was not given stays so, for settings that contradict each other only when given
    assert "cutoff" not in model.model_fields_set


def test_every_key_is_documented() -> None:
    for section in (ComparisonConfig, ComparedModel, NVEConfig):
        for name, field in section.model_fields.items():
            assert field.description, f"{section.__name__}.{name}"


def test_no_simulation() -> None:
    assert parse_comparison(TWO | {"nve": None}).nve.steps == 0
    assert parse_comparison(TWO).nve.steps == 500


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modells": {}}, "`modells` in config: unknown key; did you mean 'models'?"),
        ({"seed": 3}, "`seed` in config: unknown key; did you mean 'seeds'?"),
        ({"models": {}}, "`models` in config: expected one model or more, by name, got {}"),
        ({"models": ["a"]}, "`models` in config: expected one model or more, by name"),
        ({"models": {"a/b": {}}}, "expected names of letters, digits"),
        ({"models": {"..": {}}}, "expected names of letters, digits"),
        (
            {"models": {"a": {"convolutions": {"cov": "gat"}}}},
            "`convolutions.cov` in `models.a` of config: unknown key; did you mean 'conv'?",
        ),
        ({"models": {"a": {"name": "gcn"}}}, "got 'gcn'; did you mean 'gcnn'?"),
        ({"models": {"a": 3}}, "`models.a` of config"),
        (
            {"models": {"a": {"training": {"learning_rat": 1}}}},
            "`training.learning_rat` in `models.a` of config: unknown key; did you mean 'lea",
        ),
        (
            {"models": {"a": {"training": {"max_epochs": 5}}}},
            "got 'max_epochs'; it is the same for all",
        ),
        ({"models": {"a": {"training": {"batch_size": 0}}}}, "`training.batch_size` in `models.a`"),
        ({"training": {"max_epoch": 5}}, "`training.max_epoch` in config: unknown key; did you"),
        ({"seeds": []}, "`seeds` in config"),
        ({"seeds": [1, 1]}, "expected seeds that differ"),
        ({"seeds": [-1]}, "`seeds` in config: expected a number greater"),
        ({"learning_curve": [1.0]}, "expected fractions between 0 and 1 or numbers of frames"),
        ({"learning_curve": [0]}, "expected fractions between 0 and 1 or numbers of frames"),
        ({"nve": {"step": 5}}, "`nve.step` in config: unknown key; did you mean 'steps'?"),
        ({"nve": {"repeat": [1, 0, 1]}}, "`nve.repeat` in config"),
    ],
)
def test_messages(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_comparison(TWO | changes)
    assert message in str(error.value)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    models = {"a": {"cutof": 1}, "b": {"cutoff": -1}}
    with pytest.raises(ValueError) as error:
        parse_comparison(TWO | {"models": models, "sed": [0]}, "c.yaml")
    assert len(str(error.value).splitlines()) == 3
    assert str(error.value).count("c.yaml") == 3


@pytest.mark.parametrize("key", sorted(set(TrainingConfig.model_fields) - set(PER_MODEL)))
def test_the_budget_is_for_all(key: str) -> None:
    models = {"a": {"training": {key: TrainingConfig.model_fields[key].default}}}
    with pytest.raises(ValueError, match=f"got '{key}'; it is the same for all"):
        parse_comparison(TWO | {"models": models})


def test_no_mapping() -> None:
    with pytest.raises(TypeError, match=r"`config`: expected sections .*, got list"):
        parse_comparison([])  # type: ignore[arg-type]


# --------------------------------------------------------------------------------------- files
def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "li.extxyz").touch()
    values = TWO | {
        "seeds": [0, 7],
        "learning_curve": [0.1, 20],
        "nve": {"repeat": [2, 1, 1], "atoms": "start.xyz"},
    }
    (tmp_path / "compare.yaml").write_text(yaml.safe_dump(values))
    config = read_comparison(tmp_path / "compare.yaml")
    assert config.data.train == [tmp_path / "li.extxyz"]
    assert config.nve.atoms == tmp_path / "start.xyz"
    write_comparison(config, tmp_path / "new" / "again.yaml")
    again = read_comparison(tmp_path / "new" / "again.yaml")
    assert again == config
    assert again.of_run("small", 7) == config.of_run("small", 7)


def test_own_training_survives_the_file(tmp_path: Path) -> None:
    values = TWO | {"models": {"a": {"training": {"learning_rate": 0.5}}}}
    config = parse_comparison(values)
    write_comparison(config, tmp_path / "c.yaml")
    assert read_comparison(tmp_path / "c.yaml").of_run("a", 0).training.learning_rate == 0.5


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="`config`"):
        read_comparison(tmp_path / "missing.yaml")
    (tmp_path / "list.yaml").write_text("[1, 2]")
    with pytest.raises(ValueError, match=r"expected sections .*, got list"):
        read_comparison(tmp_path / "list.yaml")


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
KEYS = st.sampled_from([*ComparisonConfig.model_fields, "sedes", ""])


@pytest.mark.slow
@settings(max_examples=40)
@given(st.dictionaries(KEYS, PLAIN))
def test_nonsense_is_a_value_error(values: dict[str, Any]) -> None:
    try:
        config = parse_comparison(values)
    except ValueError:
        return
    assert config.models
