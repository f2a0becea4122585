"""Whole jobs as functions: train from a config, run MD, describe a model or a data set."""

from typing import TYPE_CHECKING

from nnmd_graph.lazy import lazy_names

if TYPE_CHECKING:
    from nnmd_graph.workflow.dynamics import MDResult, UnstableError, run_md
    from nnmd_graph.workflow.quickstart import run_quickstart
    from nnmd_graph.workflow.summary import describe_data, describe_model
    from nnmd_graph.workflow.training import TrainingResult, train_from_config
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "MDResult",
    "TrainingResult",
    "UnstableError",
    "describe_data",
    "describe_model",
    "run_md",
    "run_quickstart",
    "train_from_config",
]
