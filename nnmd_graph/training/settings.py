"""The settings of a training, each declared once: name, default, check and meaning.

From here come the keywords of `Trainer` with their signature, documentation and messages; the
sections `training` and `transfer` of a config file; and what a resumed run may have another value
of. Nothing here needs PyTorch, so that a config is checked without it.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    create_model,
    model_validator,
)

from nnmd_graph.choices import (
    DEFAULT_LEARNING_RATE,
    LOGGERS,
    OPTIMIZERS,
    OPTIMIZERS_IN_WORDS,
    SCHEDULES,
)
from nnmd_graph.sections import OneOf, Section, argument_error

if TYPE_CHECKING:
    from nnmd_graph.models.potential import Potential
    from nnmd_graph.training.loss import Loss

    Callbacks = Sequence[Any]
else:  # checked by `Trainer`, which has PyTorch
    Potential = Loss = Callbacks = Any

FREE = "free"
"""Mark of a setting of which a resumed run may have another value."""


def _several(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str):
        raise TypeError(
            f"`{info.field_name}`: expected a list of names, got {value!r}; write [{value!r}]"
        )
    is_other = isinstance(value, Iterable) and not isinstance(value, list | tuple | Mapping)
    return tuple(value) if is_other else value


Several = BeforeValidator(_several)
"""A collection of values of any type."""


def _path(value: Any) -> Any:
    return Path(value) if isinstance(value, str) else value


def _optimizer(value: Any) -> Any:
    return OneOf(OPTIMIZERS).check(value) if isinstance(value, str) else value


def _loss(value: Any) -> Any:
    if value is not None:
        return value
    from nnmd_graph.training.loss import EnergyForcesLoss

    return EnergyForcesLoss()


SEED: Any = Field(default=0, ge=0, lt=2**32, description="of weights, batches and split")
DEVICE: Any = Field(default="auto", description="cpu, cuda, cuda:1, or auto: a GPU if there is one")


class TrainingConfig(Section):
    """Arguments of `Trainer`."""

    optimizer: Annotated[str, OneOf(OPTIMIZERS)] = Field(
        default="adamw", description=OPTIMIZERS_IN_WORDS
    )
    learning_rate: float | None = Field(
        default=None,
        gt=0,
        description="null: " + ", ".join(f"{v:g} ({k})" for k, v in DEFAULT_LEARNING_RATE.items()),
    )
    weight_decay: float = Field(default=0.0, ge=0, description="of adam and adamw")
    schedule: Annotated[str, OneOf(SCHEDULES)] = Field(
        default="cosine",
        description="of the learning rate: cosine, exponential, plateau or constant",
    )
    max_epochs: Annotated[int, FREE] = Field(
        default=200, gt=0, description="passes over the training set"
    )
    max_seconds: Annotated[float | None, FREE] = Field(
        default=None,
        gt=0,
        description="stop after this time, all parts of a resumed run together; null: never",
    )
    batch_size: int | None = Field(
        default=None, gt=0, description="structures per step; null: up to ~200 atoms"
    )
    # Without clipping Adam suffers setbacks every few epochs (rMD17 ethanol, epoch 40 of 60: force
    # MAE 57 meV/Å, with it 37).
    gradient_clip: float | None = Field(
        default=None,
        ge=0,
        description="largest gradient norm; 0: any; null: 1, in full batches any",
    )
    ema_decay: float = Field(
        default=0.99,
        ge=0,
        lt=1,
        description="decay of the average of the weights, which is validated and kept; 0: none",
    )
    patience: Annotated[int | None, FREE] = Field(
        default=None,
        gt=0,
        description="stop after so many epochs without a better one; null: never",
    )
    isolated_energies: dict[str | int, float] | None = Field(
        default=None,
        description="E0 in eV, e.g. {Cu: -3.5}; elements that are not named are fitted",
    )
    precompute: Annotated[bool | None, FREE] = Field(
        default=None,
        description="compute fixed features once; null: if they fit in half of the free memory",
    )
    compile: bool = Field(
        default=False, description="compile the training step of gcnn; two to five times as fast"
    )
    loggers: Annotated[Sequence[Annotated[str, OneOf(LOGGERS)]], Several, FREE] = Field(
        default=["csv"],
        description="where the errors of each epoch go: csv (always), tensorboard, wandb",
    )
    checkpoint_seconds: Annotated[float, FREE] = Field(
        default=10.0, ge=0, description="least time between checkpoints"
    )


class TransferSettings(Section):
    """Going on from a trained model, on new data."""

    freeze: Annotated[Sequence[str], Several] = Field(
        default=[],
        description="parts that stay: representation, embedding, readout, baseline, or the "
        "beginning of a name of a parameter",
    )
    learning_rates: Annotated[
        dict[str, Annotated[float, Field(gt=0)]], BeforeValidator(lambda given: given or {})
    ] = Field(
        default={},
        description="factors by part, e.g. {representation: 0.1}; where parts overlap the smaller "
        "one decides",
    )
    refit_baseline: bool | None = Field(
        default=None, description="fit E0 to the new data; null: with `from`, if it is not frozen"
    )


# `from` is a Python keyword, so the field is created with `create_model`.
_FIELDS: dict[str, Any] = {
    "from": (
        Path | None,
        Field(default=None, description="model file or folder of a run to start from"),
    )
}
_From: Any = create_model("_From", __base__=Section, **_FIELDS)


class TransferConfig(TransferSettings, _From):
    """Going on from a trained model, on new data."""

    @property
    def init(self) -> Path | None:
        """The file to start from."""
        path: Path | None = getattr(self, "from")
        return path


class TrainingSettings(TransferSettings, TrainingConfig):
    """All settings of a training, as `Trainer` takes them."""

    model_config = ConfigDict(strict=True)

    optimizer: Annotated[Any, BeforeValidator(_optimizer)] = Field(
        default=TrainingConfig.model_fields["optimizer"].default,
        description=f"{OPTIMIZERS_IN_WORDS}; or a class of optimisers such as torch.optim.RAdam, a "
        "function that makes one of parameters, or a :class:`nnmd_graph.training.steps.step.Step`; "
        "its own learning rate, where `learning_rate` is null",
    )
    loss: Annotated[Loss, BeforeValidator(_loss)] = Field(
        default=None, validate_default=True, description="loss function; null: EnergyForcesLoss()"
    )
    init: Annotated[Potential | str | Path | None, AfterValidator(_path)] = Field(
        default=None,
        description="Potential, its file or the folder of a run to start from: the potential that "
        "is trained gets its weights; it may know more elements, see "
        ":func:`nnmd_graph.models.extension.extend_species`",
    )
    seed: int = SEED
    device: Annotated[str, BeforeValidator(str), FREE] = DEVICE
    output: Annotated[str | Path | None, AfterValidator(_path), FREE] = Field(
        default=None,
        description="folder for model.pt, log.csv and checkpoints/, in place of those of an "
        "earlier run there; null: nothing is written",
    )
    callbacks: Annotated[Callbacks, Several, FREE] = Field(
        default=(),
        description="Callback objects, called before the first epoch, after each, and at the end, "
        "see :class:`nnmd_graph.training.callbacks.Callback`",
    )
    progress: Annotated[bool, FREE] = Field(
        default=False, description="show what is done: bars on a terminal, lines in a log"
    )

    if not TYPE_CHECKING:  # type checkers and editors take the fields for the arguments

        def __init__(self, **settings: Any) -> None:
            try:
                super().__init__(**{name: _plain(value) for name, value in settings.items()})
            except ValidationError as error:
                raise argument_error(error, type(self)) from None

    @classmethod
    def __pydantic_init_subclass__(cls, **keywords: Any) -> None:
        """Show the arguments in the signature and in the docstring."""
        super().__pydantic_init_subclass__(**keywords)
        kinds = get_type_hints(cls)
        arguments = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=kinds[name]
            )
            for name, field in cls.model_fields.items()
        ]
        cls.__signature__ = inspect.Signature(arguments)
        itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        # mypy: inspect reads this attribute, which the type of a function does not list.
        cls.__init__.__signature__ = inspect.Signature([itself, *arguments])  # type: ignore[attr-defined]
        lines = [_argument(name, f.description or "") for name, f in cls.model_fields.items()]
        head, raises, tail = inspect.cleandoc(cls.__doc__ or "").partition("Raises:")
        cls.__doc__ = "\n".join([f"{head}Args:", *lines, "", f"{raises}{tail}"])

    @model_validator(mode="after")
    def _check_baseline(self) -> TrainingSettings:
        if self.refit_baseline and "baseline" in self.freeze:
            raise ValueError(
                "`refit_baseline`: expected False or None where `freeze` names 'baseline', got "
                "both; leave one of them out"
            )
        return self

    @property
    def folder(self) -> Path | None:
        """Where the run writes."""
        return None if self.output is None else Path(self.output)

    def kept(self) -> dict[str, Any]:
        """The settings that a resumed run must have the same values of."""
        fields = type(self).model_fields
        return {n: getattr(self, n) for n, f in fields.items() if FREE not in f.metadata}


def _plain(value: Any) -> Any:
    """Numbers of NumPy as those of Python, any mapping as a dict."""
    if isinstance(value, Mapping):
        return {_plain(k): _plain(v) for k, v in value.items()}
    return value.item() if getattr(value, "shape", None) == () else value


def _argument(name: str, description: str) -> str:
    text = description.replace("null", "None").replace("`from`", "`init`")
    line = f"{name}: {text}."
    return textwrap.fill(line, 100, initial_indent=" " * 4, subsequent_indent=" " * 8)
