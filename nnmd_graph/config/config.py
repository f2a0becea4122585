"""Settings of a training run: defaults, documentation and checks of config files in one place.

Every field says its default and what it means once; the checks, the error messages and the
comments in the files that `write_config` writes all come from there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, field_validator

from nnmd_graph.choices import BALANCED, LOSS_ERRORS, LOSS_WEIGHTS
from nnmd_graph.config.data import DataConfig
from nnmd_graph.config.files import located, map_parts, write_settings
from nnmd_graph.config.loading import load_settings
from nnmd_graph.config.model import ModelConfig
from nnmd_graph.quantities import quantity_of
from nnmd_graph.sections import OneOf, Section, validation_message
from nnmd_graph.training.settings import DEVICE, FREE, SEED, TrainingConfig, TransferConfig

MAY_CHANGE = (
    "device",
    "data.train",  # the trainer compares the structures themselves: files may have moved
    "data.val",
    "data.test",
    "transfer.from",  # its weights are compared
    *(f"training.{n}" for n, f in TrainingConfig.model_fields.items() if FREE in f.metadata),
)
"""Settings that may change when a run is resumed."""

FREE_FORM = (
    "options",
    "more",
    "errors",
    "quantities",
    "isolated_energies",
    "learning_rates",
    "element_weights",
)


class LossConfig(Section):
    """Weights of the mean squared errors."""

    energy: float = Field(
        default=LOSS_WEIGHTS["energy"], ge=0, description="weight of the energy per atom, eV"
    )
    forces: float = Field(
        default=LOSS_WEIGHTS["forces"], ge=0, description="weight of the force components, eV/Å"
    )
    stress: float = Field(
        default=LOSS_WEIGHTS["stress"], ge=0, description="weight of the stress components, eV/Å^3"
    )
    more: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default={}, description="weights of further quantities, e.g. {dipole: 1.0}"
    )
    errors: dict[str, Annotated[str, OneOf(LOSS_ERRORS)]] = Field(
        default={}, description="how errors count: square, huber or absolute, e.g. {forces: huber}"
    )
    energy_start: float | None = Field(
        default=None,
        gt=0,
        description="weight of the energy at first, growing as 1 / learning rate up to `energy`; "
        "null: that of the forces",
    )
    element_weights: Literal["balanced"] | dict[str | int, float] | None = Field(
        default=None,
        description="of force errors, e.g. {Cu: 5.0}; balanced: every element counts the same",
    )

    @field_validator("more", "errors")
    @classmethod
    def _known(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            quantity_of(name, "quantity")
        return value

    @field_validator("element_weights")
    @classmethod
    def _elements(cls, value: Any) -> Any:
        if value not in (None, BALANCED):
            from nnmd_graph.training.weights import check_element_weights

            check_element_weights(value)
        return value


class Config(Section):
    """All settings of a training run."""

    data: DataConfig = Field(default=DataConfig(), description="structures and their labels")
    model: ModelConfig = Field(default=ModelConfig(), description="the energy model")
    loss: LossConfig = Field(default=LossConfig(), description="weights of the mean squared errors")
    training: TrainingConfig = Field(
        default=TrainingConfig(), description="how to minimise the loss"
    )
    transfer: TransferConfig = Field(
        default=TransferConfig(), description="going on from a trained model"
    )
    seed: int = SEED
    device: str = DEVICE


def parse_config(values: Mapping[str, Any], source: str = "config") -> Config:
    """Check settings given as nested mappings.

    Args:
        values: ``{"data": {"train": "li.extxyz"}, "training": {"max_epochs": 50}}``; what is not
            given takes its default.
        source: what to call them in messages.

    Raises:
        TypeError: `values` is no mapping.
        ValueError: an unknown key (the message says which one was probably meant), or a value that
            does not fit.
    """
    if not isinstance(values, Mapping):
        raise TypeError(
            f"`{source}`: expected sections {list(Config.model_fields)}, got "
            f"{type(values).__name__}; write for example data: {{train: li.extxyz}}"
        )
    # A section of which every line is commented out is None
    given = {k: v for k, v in values.items() if v is not None or k not in Config.model_fields}
    try:
        return Config.model_validate(given)
    except ValidationError as error:
        raise ValueError(validation_message(error, Config, source)) from None


def read_config(path: str | os.PathLike[str], overrides: Mapping[str, Any] | None = None) -> Config:
    """Read settings from a YAML file.

    Names of data files count from the folder of the config file, or, if there is no such file,
    from the working directory.

    Args:
        path: the file.
        overrides: values that replace those of the file, by dotted key: ``{"model.cutoff": 6.0}``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no YAML or empty; see `parse_config`.
    """
    path = Path(path)
    values = load_settings(path, list(Config.model_fields), overrides or {})
    config = parse_config(values, str(path))
    return _map_files(config, lambda file: located(file, path.parent))


def write_config(config: Config, path: str | os.PathLike[str]) -> Path:
    """Write all settings, the defaults too, as YAML with what they mean in comments.

    Names of files are written in full, so that the file means the same in every folder. The first
    line is a checksum, by which a run that is resumed knows its settings.
    """
    return write_settings(to_yaml(_map_files(config, Path.absolute)), path, MAY_CHANGE)


def to_yaml(section: Section, indent: str = "", *, given: bool = False) -> str:
    """Settings as YAML with comments; with ``given`` only those that are no defaults."""
    lines = []
    for name, field in type(section).model_fields.items():
        if given and name not in section.model_fields_set:
            continue
        value = getattr(section, name)
        if isinstance(value, Section):
            # A model that comes from a file is not described twice.
            only = given or (name == "model" and _starts_from_file(section))
            text = to_yaml(value, indent + "  ", given=only)
            about = "that of `transfer.from`" if only and not given else field.description
            lines += [f"{indent}{name}:  # {about}", *([text] if text else [])]
            continue
        plain = section.model_dump(mode="json", include={name})[name]
        text = yaml.safe_dump([plain], default_flow_style=True, width=10**6, allow_unicode=True)
        lines.append(f"{indent}{name}: {text.strip()[1:-1]}".ljust(34) + f"  # {field.description}")
    return "\n".join(lines) + ("\n" if not indent else "")


def _starts_from_file(section: Section) -> bool:
    return isinstance(section, Config) and section.transfer.init is not None


def changes(old: Config, new: Config) -> dict[str, tuple[Any, Any]]:
    """Find the differences, by dotted key: {"model.cutoff": (5.0, 6.0)}."""
    before, after = (dict(flat(config.model_dump(mode="json"))) for config in (old, new))
    keys = [*before, *(key for key in after if key not in before)]
    pairs = {key: (before.get(key), after.get(key)) for key in keys}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Give all values by their dotted keys."""
    for key, value in values.items():
        # Free-form mappings are compared whole
        if isinstance(value, dict) and key not in FREE_FORM:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _map_files(config: Config, change: Callable[[Path], Path]) -> Config:
    """The same settings with other names of files."""
    start = config.transfer.init
    sections: dict[str, Any] = {"data": map_parts(config.data, change)}
    if start is not None:
        sections["transfer"] = config.transfer.model_copy(update={"from": change(start)})
    return config.model_copy(update=sections)
