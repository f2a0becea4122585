"""Names that settings choose from, and defaults, where neither needs PyTorch.

The tables that say what each name does stand where it is done, and a test compares their keys with
these. So a config is checked, and `--help` printed, without seconds of imports.
"""

from __future__ import annotations

from collections.abc import Iterable

from nnmd_graph.errors import did_you_mean

MODELS = ("bpnn", "embedded", "gcnn")
REPRESENTATIONS = ("acsf", "embedded_acsf")
RECIPES = ("gastegger2018", "imbalzano2018", "pool")
"""Automatic sets of symmetry functions."""
INITIALIZATIONS = ("periodic_table", "random")
"""Starts of the vectors of the elements."""
REPULSIONS = ("none", "zbl")
HEADS = ("charges",)
"""Names of the heads of models."""
READOUTS = ("shared", "element")
RADIAL_BASES = ("bessel", "gaussian")
CONVOLUTIONS = ("schnet", "cgcnn", "painn", "gat", "tensornet")
CUTOFF_FUNCTIONS = (
    *("hard", "cosine", "tanh3", "tanh3_normalized", "exponential"),
    *("poly1", "poly2", "poly3", "poly4"),
)
SMOOTH_ACTIVATIONS = (
    *("tanh", "silu", "softplus", "gelu", "sigmoid", "identity"),
    *("gaussian", "cos", "revlogistic", "exponential", "harmonic"),
)
"""Activations with a continuous derivative, as forces need it."""

LOSS_WEIGHTS = {"energy": 100.0, "forces": 1.0, "stress": 0.0}
SCHEDULES = ("cosine", "exponential", "plateau", "constant")
DEFAULT_LEARNING_RATE = {"adam": 5e-3, "adamw": 5e-3, "lbfgs": 1.0}
LOSS_ERRORS = ("square", "huber", "absolute")
"""Kinds of error of a term of the loss."""
OPTIMIZERS = tuple(DEFAULT_LEARNING_RATE)
OPTIMIZERS_IN_WORDS = "adamw, adam or lbfgs (full batch)"
BALANCED = "balanced"
"""Element weights by which all elements count equally."""
LOGGERS = ("csv", "tensorboard", "wandb")
QUICKSTART_EPOCHS = 60

PYG = "torch_geometric.nn."
"""Convolutions of PyTorch Geometric are called by their full names."""


def unknown_convolution(name: str, known: Iterable[str]) -> str:
    """The error for an unknown convolution."""
    hint = did_you_mean(name, known) or "; import the file that registers it first"
    return (
        f"`conv`: expected one of {sorted(known)} or for example '{PYG}CGConv', got {name!r}{hint}"
    )
