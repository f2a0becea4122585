"""Accuracy of a potential: errors against labels, plots, a report."""

from nnmd_graph.evaluation.evaluate import evaluate, predict
from nnmd_graph.evaluation.metrics import Metrics
from nnmd_graph.evaluation.plots import energy_drift, error_histogram, learning_curves, parity
from nnmd_graph.evaluation.predictions import Predictions
from nnmd_graph.evaluation.report import write_report

__all__ = [
    "Metrics",
    "Predictions",
    "energy_drift",
    "error_histogram",
    "evaluate",
    "learning_curves",
    "parity",
    "predict",
    "write_report",
]
