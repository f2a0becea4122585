"""Cost of a training, checked before any of it is paid."""

from __future__ import annotations

from nnmd_graph.data.dataset import AtomsDataset
from nnmd_graph.devices import find_device, free_bytes
from nnmd_graph.graph.neighbors import BYTES_OF_EDGE, check_edges
from nnmd_graph.memory import check_memory
from nnmd_graph.models.potential import Potential
from nnmd_graph.training.preparation import choose_batch_size
from nnmd_graph.training.settings import TrainingSettings

BYTES_OF_EPOCH = 2000
"""Memory of the row of one epoch in the history, bytes."""


def check_costs(settings: TrainingSettings, potential: Potential, train: AtomsDataset) -> None:
    """Refuse a training whose steps or whose history would not fit in the memory.

    Args:
        settings: Those of the training.
        potential: Its representation determines the memory of a step per edge.
        train: Training set; its graphs need not be built.

    Raises:
        TooLargeError: If it would not fit.
    """
    batch_size = settings.batch_size or choose_batch_size(train)
    share = batch_size / len(train)
    each = 0 if potential.net is None else potential.net.features.bytes_of_edge
    check_edges(
        train.estimated_edges,
        train.cutoff,
        BYTES_OF_EDGE + share * each,
        f"the graphs of {len(train)} structures, with a step of {batch_size} of them",
        available=free_bytes(find_device(settings.device)),
    )
    if settings.max_seconds is None and settings.patience is None:
        check_memory(
            "max_epochs",
            settings.max_epochs,
            lambda n: BYTES_OF_EPOCH * n,
            size=settings.max_epochs,
            what="the history of the epochs",
            instead="200 are usual; end by `max_seconds` or `patience` if you do not know how many",
        )
