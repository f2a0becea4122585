"""Choice of the model where the settings name none."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from nnmd_graph.config.config import Config, changes
from nnmd_graph.config.model import ConvolutionConfig

MOST_ELEMENTS = 6
"""Symmetry functions count each pair of elements: up to here they are the default.

Random alloys of 80 structures with 32 atoms, 40 s on one core: with 4 elements and 368 functions
143 meV/Å, after 150 s for the functions and their derivatives; with 6 and 744 functions these take
more than 170 s. Convolutions cost the same for any number: PaiNN 133 meV/Å with 4 elements, 98 with
10 (other labels), 167 with 19, in 0.6 GB.
"""

CONVOLUTION = "painn"
FREE = ("cutoff", "dtype")
"""Settings of the model that do not determine its kind."""


def for_species(config: Config, species: Sequence[int]) -> Config:
    """The settings; if they name no kind of model, many elements get graph convolutions.

    A warning says so.
    """
    if len(species) <= MOST_ELEMENTS or _decided(config):
        return config
    warnings.warn(
        f"`model.name`: 'gcnn' with {CONVOLUTION!r} is trained, as the data have {len(species)} "
        f"elements: symmetry functions, the default up to {MOST_ELEMENTS}, count every pair of "
        "them; name a model to have another one",
        stacklevel=3,
    )
    return _with_convolutions(config)


def as_chosen(config: Config, old: Config) -> Config:
    """The settings with the model that was chosen for the run whose settings are ``old``."""
    if _decided(config):
        return config
    chosen = _with_convolutions(config)
    same = not any(key.startswith("model.") for key in changes(old, chosen))
    return chosen if same else config


def _decided(config: Config) -> bool:
    return not config.model.model_fields_set <= set(FREE)


def _with_convolutions(config: Config) -> Config:
    kind = {"name": "gcnn", "convolutions": ConvolutionConfig(conv=CONVOLUTION)}
    return config.model_copy(update={"model": config.model.model_copy(update=kind)})
