"""Settings of the model: kind, representation, convolutions, net."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from nnmd_graph.choices import (
    CONVOLUTIONS,
    CUTOFF_FUNCTIONS,
    HEADS,
    INITIALIZATIONS,
    MODELS,
    PYG,
    RADIAL_BASES,
    READOUTS,
    RECIPES,
    REPRESENTATIONS,
    REPULSIONS,
    SMOOTH_ACTIVATIONS,
    unknown_convolution,
)
from nnmd_graph.errors import did_you_mean
from nnmd_graph.sections import OneOf, Section

REGISTRY = "nnmd_graph.nn.conv.registry"
"""Where convolutions of one's own are registered, if any are."""


class RepresentationConfig(Section):
    """Features of the neighbours of an atom, the input of the net."""

    name: Annotated[str, OneOf(REPRESENTATIONS)] = Field(
        default="acsf",
        description="acsf (symmetry functions) or embedded_acsf (with trainable element vectors)",
    )
    recipe: Annotated[str, OneOf(RECIPES)] = Field(
        default="gastegger2018", description="published automatic set"
    )
    options: dict[str, Any] = Field(
        default={}, description="arguments of the recipe, e.g. {num_radial: 8}"
    )
    functions: list[dict[str, Any]] | None = Field(
        default=None, description="own functions instead, e.g. [{type: G2, eta: 1.0, r_s: 2.0}]"
    )
    cutoff_function: Annotated[str, OneOf(sorted(CUTOFF_FUNCTIONS))] = Field(
        default="cosine", description="cosine or tanh3"
    )
    embedding_dim: int | None = Field(
        default=None,
        gt=0,
        description="components of an element's vector, of embedded_acsf; null: 8, or `channels`",
    )
    channels: int | None = Field(
        default=None,
        gt=1,
        description="number of trainable combinations of functions, of embedded_acsf; null: the "
        "functions as they are",
    )
    init: Annotated[str, OneOf(INITIALIZATIONS)] = Field(
        default="periodic_table",
        description="start of the vectors: periodic_table or random, of embedded_acsf",
    )

    def _check_options(self) -> None:
        from nnmd_graph.representations.symmetry.recipes import RECIPES as FUNCTIONS  # needs NumPy

        known = list(inspect.signature(FUNCTIONS[self.recipe]).parameters)[1:]
        for name in self.options:
            if name not in known:
                hint = did_you_mean(name, known)
                raise ValueError(f"`options` of {self.recipe!r} are {known}, got {name!r}{hint}")

    @model_validator(mode="after")
    def _check(self) -> RepresentationConfig:
        if self.options:
            self._check_options()
        if self.functions:
            from nnmd_graph.representations.symmetry.functions import from_dict

            for function in self.functions:
                from_dict(function)
        if self.embedding_dim is not None and self.channels is not None:
            raise ValueError(
                f"expected `embedding_dim` or `channels`, got {self.embedding_dim} and "
                f"{self.channels}; with `channels` the vectors have that many components"
            )
        if self.name != "embedded_acsf":
            for name in ("embedding_dim", "channels", "init"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(
                        f"`{name}`: expected embedded_acsf beside it, got {self.name!r}; set "
                        "`model.representation.name: embedded_acsf`"
                    )
        return self


class ConvolutionConfig(Section):
    """Graph convolutions and the net behind them, of `gcnn`."""

    conv: str = Field(
        default="schnet",
        description="schnet, cgcnn, painn, gat, tensornet, or e.g. torch_geometric.nn.CGConv",
    )
    num_layers: int = Field(default=3, gt=0, description="number of convolutions")
    hidden_channels: int = Field(default=64, gt=0, description="width of the features")
    num_rbf: int = Field(
        default=8, gt=1, description="number of radial functions; many overfit small sets"
    )
    radial: Annotated[str, OneOf(RADIAL_BASES)] = Field(
        default="bessel", description="bessel or gaussian"
    )
    stack: bool = Field(
        default=False, description="start from the symmetry functions of `representation`"
    )
    options: dict[str, Any] = Field(
        default={}, description="arguments of the convolution, e.g. {heads: 4}"
    )
    readout: Annotated[str, OneOf(READOUTS)] = Field(
        default="shared", description="one net, shared by all elements, or one per element"
    )

    @field_validator("conv")
    @classmethod
    def _known(cls, value: str) -> str:
        # PyTorch Geometric is imported only for a name that may be one of its, or registered
        if value.startswith(PYG) or REGISTRY in sys.modules:
            from nnmd_graph.nn.conv.registry import find_convolution

            find_convolution(value)
        elif value not in CONVOLUTIONS:
            raise ValueError(unknown_convolution(value, CONVOLUTIONS))
        return value


class ModelConfig(Section):
    """The energy model."""

    name: Annotated[str, OneOf(MODELS)] = Field(
        default="bpnn",
        description="bpnn (symmetry functions), embedded (short for bpnn with embedded_acsf) or "
        "gcnn (graph convolutions; the default for more than 6 elements)",
    )
    cutoff: float = Field(default=5.0, gt=0, description="radius of the neighbourhood, Å")
    representation: RepresentationConfig = Field(
        default=RepresentationConfig(), description="what the net sees of the neighbours, of bpnn"
    )
    convolutions: ConvolutionConfig = Field(default=ConvolutionConfig(), description="of gcnn")
    hidden_channels: list[Annotated[int, Field(gt=0)]] = Field(
        default=[32, 32], description="width of each hidden layer, of bpnn"
    )
    readout: Annotated[str, OneOf(READOUTS)] = Field(
        default="element",
        description="one net per element, or shared by all (with embedded_acsf), of bpnn",
    )
    repulsion: Annotated[str, OneOf(REPULSIONS)] = Field(
        default="none", description="zbl adds the screened repulsion of close nuclei; none"
    )
    heads: list[Annotated[str, OneOf(HEADS)]] = Field(
        default=[], description="what is predicted beside the energy: charges (with dipole moments)"
    )
    ridge: float = Field(
        default=0.1,
        gt=0,
        description="regularisation of the feature scaling, of bpnn; more for few data",
    )
    activation: Annotated[str, OneOf(sorted(SMOOTH_ACTIVATIONS))] = Field(
        default="tanh", description="tanh, silu, softplus, gelu or sigmoid, of bpnn"
    )
    dtype: Literal["float32", "float64"] = Field(
        default="float32", description="float32 or float64"
    )

    @model_validator(mode="before")
    @classmethod
    def _spell_out(cls, values: Any) -> Any:
        """Turn `name: embedded` into the settings that it is short for."""
        if not isinstance(values, Mapping) or values.get("name") != "embedded":
            return values
        representation = values.get("representation", {})
        if isinstance(representation, Section):
            representation = representation.model_dump()
        if isinstance(representation, Mapping):  # else its own check says what is wrong
            representation = {**representation, "name": "embedded_acsf"}
        return {**values, "name": "bpnn", "representation": representation}

    @model_validator(mode="after")
    def _check_readout(self) -> ModelConfig:
        embedded = self.representation.name == "embedded_acsf"
        if self.name == "bpnn" and self.readout == "shared" and not embedded:
            raise ValueError(
                "`readout: shared`: expected a representation with vectors of the elements, got "
                f"{self.representation.name!r}; set `model.name: embedded`"
            )
        return self
