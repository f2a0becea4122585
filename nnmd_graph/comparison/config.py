"""Settings of a comparison: several models under one protocol.

The sections `data`, `loss`, `training` and the key `device` are those of a training run. What may
differ between models is the model itself and how its optimiser is set, never the data, the loss or
the budget.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from nnmd_graph.config.config import Config, LossConfig
from nnmd_graph.config.data import DataConfig, Part
from nnmd_graph.config.files import located, map_parts, write_settings
from nnmd_graph.config.loading import load_settings
from nnmd_graph.config.model import ModelConfig
from nnmd_graph.sections import Section, validation_message
from nnmd_graph.training.settings import DEVICE, TrainingConfig

PER_MODEL = (
    "optimizer",
    "learning_rate",
    "weight_decay",
    "schedule",
    "batch_size",
    "ema_decay",
    "gradient_clip",
    "compile",
)
"""Keys of `training` that may differ between models."""

SETTINGS = "comparison.yaml"
"""Where the folder of a comparison holds its settings."""

SPLIT_SEED = 0
"""Seed of the draw of training, validation and test set where the config names none: the draw must
not follow the seeds of the weights."""


class OwnTraining(TrainingConfig):
    """Keys of `training` that differ for one model."""

    @model_validator(mode="before")
    @classmethod
    def _no_budget(cls, values: Any) -> Any:
        for key in values if isinstance(values, Mapping) else ():
            if key in TrainingConfig.model_fields and key not in PER_MODEL:
                raise ValueError(
                    f"expected keys that may differ between models ({', '.join(PER_MODEL)}), got "
                    f"{key!r}; it is the same for all: write it in the section `training` above"
                )
        return values


class ComparedModel(ModelConfig):
    """The section `model` of a training run, with what its optimiser needs."""

    training: OwnTraining = Field(
        default=OwnTraining(), description="keys of `training` that differ for this model"
    )


class NVEConfig(Section):
    """A short simulation with each model, which shows whether it conserves energy."""

    steps: int = Field(default=500, ge=0, description="number of steps; 0: no simulation")
    timestep: float = Field(default=0.5, gt=0, description="fs")
    temperature: float = Field(
        default=300.0, ge=0, lt=1e5, description="of the initial velocities, K"
    )
    atoms: Path | None = Field(
        default=None, description="file with the structure to start from; null: first of the test"
    )
    repeat: tuple[
        Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]
    ] = Field(default=(1, 1, 1), description="repeat its cell along the vectors")


class ComparisonConfig(Section):
    """All settings of a comparison."""

    data: DataConfig = Field(default=DataConfig(), description="structures and their labels")
    models: dict[str, ComparedModel] = Field(
        min_length=1, description="by name; the section `model` of a training run for each"
    )
    loss: LossConfig = Field(default=LossConfig(), description="weights of the mean squared errors")
    training: TrainingConfig = Field(
        default=TrainingConfig(), description="budget and optimiser of all models"
    )
    seeds: list[Annotated[int, Field(ge=0, lt=2**32)]] = Field(
        default=[0], min_length=1, description="of weights and batches; every model with each"
    )
    learning_curve: list[Part] = Field(
        default=[],
        description="sizes of smaller training sets, e.g. [0.1, 0.3] or [50, 150]; each holds the "
        "one before",
    )
    nve: NVEConfig = Field(default=NVEConfig(), description="energy conservation; null: leave out")
    device: str = DEVICE

    @field_validator("data")
    @classmethod
    def _no_more_labels(cls, value: DataConfig) -> DataConfig:
        if value.quantities:
            raise ValueError("comparisons are of energies, forces and stresses; leave it out")
        return value

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, value: list[int]) -> list[int]:
        if len(set(value)) < len(value):
            raise ValueError("expected seeds that differ")
        return value

    @field_validator("learning_curve")
    @classmethod
    def _sizes(cls, value: list[int | float]) -> list[int | float]:
        for size in value:
            if size <= 0 or isinstance(size, float) and size >= 1:
                raise ValueError(
                    f"expected fractions between 0 and 1 or numbers of frames, got {size}; the "
                    "whole training set is always there"
                )
        return value

    @model_validator(mode="after")
    def _one_draw(self) -> ComparisonConfig:
        if self.data.split.seed is None:
            split = self.data.split.model_copy(update={"seed": SPLIT_SEED})
            data = self.data.model_copy(update={"split": split})
            object.__setattr__(self, "data", data)  # the sections are frozen for everybody else
        return self

    def of_run(self, model: str, seed: int) -> Config:
        """Settings of the training of one model with one seed, on the whole training set."""
        compared = self.models[model]
        own = compared.training.model_dump(exclude_unset=True)
        # What was not given stays unset: a default must not contradict other settings.
        chosen = compared.model_dump(exclude={"training"}, exclude_unset=True)
        return Config(
            data=self.data,
            model=ModelConfig.model_validate(chosen),
            loss=self.loss,
            training=self.training.model_copy(update=own),
            seed=seed,
            device=self.device,
        )


def parse_comparison(values: Mapping[str, Any], source: str = "config") -> ComparisonConfig:
    """Check the settings of a comparison given as nested mappings.

    Args:
        values: ``{"data": {"train": "li.extxyz"}, "models": {"small": {...}, "large": {...}}}``.
        source: what to call them in messages.

    Raises:
        TypeError: `values` is no mapping.
        ValueError: an unknown key (the message says which one was probably meant), a value that
            does not fit, no models.
    """
    if not isinstance(values, Mapping):
        raise TypeError(
            f"`{source}`: expected sections {list(ComparisonConfig.model_fields)}, got "
            f"{type(values).__name__}; write for example data: {{train: li.extxyz}}"
        )
    # A section of which every line is commented out is None
    given = {k: v for k, v in values.items() if v is not None}
    if values.get("nve", {}) is None:
        given["nve"] = {"steps": 0}
    messages = []
    # One by one: the messages then name the keys of a model as in a training run
    given["models"], problems = _models(given.get("models", {}), source)
    messages += problems
    try:
        config = ComparisonConfig.model_validate(given)
    except ValidationError as error:
        text = validation_message(error, ComparisonConfig, source)
        messages += [line for line in text.splitlines() if not (problems and "`models`" in line)]
    if messages:
        raise ValueError("\n".join(messages))
    return config


def _models(values: Any, source: str) -> tuple[dict[str, ComparedModel], list[str]]:
    """The valid models, and messages about the others."""
    if not isinstance(values, Mapping) or not values:
        return {}, [
            f"`models` in {source}: expected one model or more, by name, got {values!r}; write for "
            "example models: {small: {name: bpnn}, painn: {name: gcnn, convolutions: "
            "{conv: painn}}}"
        ]
    models, messages = {}, []
    for name, model in values.items():
        if not re.fullmatch(r"\w[\w.+-]*", str(name)):
            messages.append(
                f"`models` in {source}: expected names of letters, digits and . _ + - (they become "
                f"folders), got {name!r}; rename it"
            )
            continue
        try:
            models[str(name)] = ComparedModel.model_validate({} if model is None else model)
        except ValidationError as error:
            messages.append(
                validation_message(error, ComparedModel, f"`models.{name}` of {source}")
            )
    return models, messages


def read_comparison(
    path: str | os.PathLike[str], overrides: Mapping[str, Any] | None = None
) -> ComparisonConfig:
    """Read the settings of a comparison from a YAML file.

    Names of files count from the folder of the config file, or, if there is no such file, from the
    working directory.

    Args:
        path: the file.
        overrides: values that replace those of the file, by dotted key.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no YAML or empty; see `parse_comparison`.
    """
    path = Path(path)
    values = load_settings(path, list(ComparisonConfig.model_fields), overrides or {})
    return _map_files(parse_comparison(values, str(path)), lambda file: located(file, path.parent))


def write_comparison(config: ComparisonConfig, path: str | os.PathLike[str]) -> Path:
    """Write the settings as YAML: full file names, and of each model only what was given."""
    values = _map_files(config, Path.absolute).model_dump(mode="json")
    values["models"] = {
        name: model.model_dump(mode="json", exclude_unset=True)
        for name, model in config.models.items()
    }
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, default_flow_style=None)
    return write_settings(text, path)


def _map_files(config: ComparisonConfig, change: Callable[[Path], Path]) -> ComparisonConfig:
    """The same settings with other names of files."""
    nve = config.nve
    if nve.atoms is not None:
        nve = nve.model_copy(update={"atoms": change(nve.atoms)})
    return config.model_copy(update={"data": map_parts(config.data, change), "nve": nve})
