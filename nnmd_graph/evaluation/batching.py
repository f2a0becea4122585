"""Batches that fit in memory for structures of any size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nnmd_graph.data import AtomsDataset
from nnmd_graph.graph import AtomicGraph

# Limits of one batch: small enough for any memory; larger batches are no faster on a CPU.
MAX_ATOMS, MAX_EDGES = 4096, 100_000


class BatchSampler:
    """Lists of indices, in order, for a `DataLoader(..., batch_sampler=...)`.

    A batch takes structures until the next one would exceed a limit (on atoms or edges); a
    structure above the limits is a batch of its own. Graphs are looked
    at when their batch is made, so a data set that builds them lazily still does.

    Args:
        dataset: the graphs.
        batch_size: a fixed number of structures instead, or None.

    Raises:
        ValueError: `batch_size` is not a positive integer.
    """

    def __init__(
        self, dataset: AtomsDataset | Sequence[AtomicGraph], batch_size: int | None = None
    ) -> None:
        if batch_size is not None and (not isinstance(batch_size, int) or batch_size < 1):
            raise ValueError(
                f"`batch_size`: expected a positive integer, got {batch_size!r}; "
                "None picks one by the sizes of the structures"
            )
        self.dataset = dataset
        self.batch_size = batch_size

    def __iter__(self) -> Iterator[list[int]]:
        count = len(self.dataset)
        if self.batch_size is not None:
            for start in range(0, count, self.batch_size):
                yield list(range(start, min(start + self.batch_size, count)))
            return
        batch: list[int] = []
        used: tuple[float, ...] = (0.0, 0.0)
        for index in range(count):
            share = _share_of_limits(self.dataset[index])
            used = tuple(a + b for a, b in zip(used, share, strict=True))
            if batch and max(used) > 1:
                yield batch
                batch, used = [], share
            batch.append(index)
        yield batch


def _share_of_limits(graph: AtomicGraph) -> tuple[float, ...]:
    """Size of a graph as fractions of the limits: atoms, edges."""
    return graph.num_nodes / MAX_ATOMS, graph.num_edges / MAX_EDGES
