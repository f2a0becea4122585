"""Settings of the data: files, names and units of labels, parts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_validator

from nnmd_graph.quantities import quantity_of
from nnmd_graph.sections import Section

DEFAULT_SPLIT = (0.8, 0.1, 0.1)
LABEL_KEYS = ("energy_key", "forces_key", "stress_key", "virial_key", "weight_key")
LABEL_UNITS = ("energy_unit", "length_unit", "forces_unit", "stress_unit")


def _as_list(value: Any) -> Any:
    if not isinstance(value, (str, os.PathLike, list, tuple, type(None))):
        raise ValueError("expected the name of a file or a list of names")
    return [value] if isinstance(value, (str, os.PathLike)) else value


def _not_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("expected a fraction (float) or a number of frames (int)")
    return value


_NAMES = {"type": "array", "items": {"type": "string"}}
Files = Annotated[
    list[Path],
    BeforeValidator(_as_list),
    WithJsonSchema({"anyOf": [{"type": "string"}, _NAMES]}),
]
Part = Annotated[int | float, BeforeValidator(_not_bool), Field(ge=0)]


class SplitConfig(Section):
    """Division of the training files into parts."""

    train: Part = Field(
        default=DEFAULT_SPLIT[0],
        description="fraction (float) or number (int) of frames to train on",
    )
    val: Part = Field(
        default=DEFAULT_SPLIT[1],
        description="the same for validation; not used if `val` names files",
    )
    test: Part = Field(
        default=DEFAULT_SPLIT[2],
        description="the same for the test; not used if `test` names files",
    )
    seed: int | None = Field(
        default=None, ge=0, lt=2**32, description="of the draw; null: `seed` below"
    )

    def sizes(
        self, num_frames: int, has_val: bool, has_test: bool, num_isolated: int = 0
    ) -> tuple[float, float, float]:
        """Sizes of the parts of the training files, for `AtomsDataset.split`.

        A part that comes from files of its own leaves its share to the training set, if the
        fractions are those of a whole. Isolated atoms are always trained on.
        """
        train, val, test = self.train, self.val, self.test
        if (train, val, test) == DEFAULT_SPLIT and 2 < num_frames - num_isolated < 10:
            val, test = (0 if has_val else 1), (0 if has_test else 1)  # a tenth would be no frame
            return num_frames - val - test, val, test
        whole = isinstance(train, float) and abs(train + val + test - 1.0) < 1e-9
        val, test = (0 if has_val else val), (0 if has_test else test)
        return (1.0 - val - test if whole else train), val, test


class DataConfig(Section):
    """Structures and their labels."""

    train: Files = Field(
        default=[],
        description="file or files to train on; data.extxyz@::10 takes every tenth frame",
    )
    val: Files | None = Field(default=None, description="validation files; null: a part of `train`")
    test: Files | None = Field(default=None, description="test files; null: a part of `train`")
    format: str | None = Field(
        default=None, description="ASE's name of the files' format; null: guessed"
    )
    index: str | int | None = Field(
        default=None, description="frames of files that name none, e.g. '::10' or -1; null: all"
    )
    energy_key: str | list[str] | None = Field(
        default=None, description="name of the energy, or several (a, b); null: ASE's own"
    )
    forces_key: str | list[str] | None = Field(
        default=None, description="name of the forces, or several; null: ASE's own"
    )
    stress_key: str | list[str] | None = Field(
        default=None, description="name of the stress, or several; null: ASE's own"
    )
    virial_key: str | list[str] | None = Field(
        default=None, description="name of the virial, eV; the stress is -virial / volume"
    )
    weight_key: str | None = Field(
        default=None, description="name of the structures' weights; null: all count the same"
    )
    quantities: dict[str, str | None] = Field(
        default={},
        description="further labels with their names, e.g. {dipole: null, charges: q}; null: ASE's",
    )
    energy_unit: str | None = Field(
        default=None, description="e.g. hartree, kcal/mol; null: as the files state, else eV"
    )
    length_unit: str | None = Field(
        default=None, description="e.g. bohr, nm; null: as the files state, else Å"
    )
    forces_unit: str | None = Field(
        default=None, description="e.g. hartree/bohr; null: energy_unit/length_unit"
    )
    stress_unit: str | None = Field(
        default=None, description="e.g. GPa, kbar; null: energy_unit/length_unit^3"
    )
    split: SplitConfig = Field(default=SplitConfig(), description="parts of `train`")
    groups: str | None = Field(
        default=None,
        description="frames that stay in one part: null, 'geometry' (equal structures), or a key",
    )

    @field_validator("train", "val", "test")
    @classmethod
    def _some(cls, value: list[Path] | None) -> list[Path] | None:
        if any(str(path) in ("", ".") for path in value or ()):
            raise ValueError("expected names of files")
        return value

    @field_validator("quantities")
    @classmethod
    def _quantities(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            quantity_of(name, "quantity")
        return value

    @field_validator(*LABEL_UNITS)
    @classmethod
    def _units(cls, value: str | None, info: ValidationInfo) -> str | None:
        from nnmd_graph.units import label_units

        label_units(**{str(info.field_name): value})
        return value

    def keys(self) -> dict[str, Any]:
        """Names of labels and weights, as arguments of `AtomsDataset`."""
        return {key: getattr(self, key) for key in LABEL_KEYS}

    def reading(self) -> dict[str, Any]:
        """Settings of the reading, as arguments of `AtomsDataset.read`."""
        names = (*LABEL_KEYS, *LABEL_UNITS, "quantities", "format", "index")
        return {key: getattr(self, key) for key in names}
