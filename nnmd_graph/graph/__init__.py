"""From ASE's Atoms to a PyG graph: edges under any periodicity, edge vectors, strain, triplets."""

from nnmd_graph.graph.atomic_graph import AtomicGraph, from_ase, to_ase
from nnmd_graph.graph.geometry import (
    edge_vectors,
    num_structures,
    strained,
    structure_index,
    volume,
)
from nnmd_graph.graph.labels import Labels, read_labels
from nnmd_graph.graph.neighbors import radius_graph
from nnmd_graph.graph.triplets import triplets

__all__ = [
    "AtomicGraph",
    "Labels",
    "edge_vectors",
    "from_ase",
    "num_structures",
    "radius_graph",
    "read_labels",
    "strained",
    "structure_index",
    "to_ase",
    "triplets",
    "volume",
]
