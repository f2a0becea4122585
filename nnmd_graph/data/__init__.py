"""Many structures: reading, labels, graphs, splits and statistics."""

from nnmd_graph.data import published
from nnmd_graph.data.dataset import AtomsDataset
from nnmd_graph.data.duplicates import geometry_groups
from nnmd_graph.data.reading import read_frames
from nnmd_graph.data.reading.runner import read_runner, write_runner
from nnmd_graph.data.split import split_indices
from nnmd_graph.data.statistics import (
    EnergyStatistics,
    energy_statistics,
    fit_isolated_energies,
    force_rms,
    neighbor_counts,
)

__all__ = [
    "AtomsDataset",
    "EnergyStatistics",
    "energy_statistics",
    "fit_isolated_energies",
    "force_rms",
    "geometry_groups",
    "neighbor_counts",
    "published",
    "read_frames",
    "read_runner",
    "split_indices",
    "write_runner",
]
