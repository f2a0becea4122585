r"""Sums of messages over their receivers: out[n] = sum over rows m with index[m] = n of src[m].

Two implementations of one sum: torch-scatter where it is installed and torch's own otherwise.
Both survive double backward, which training on forces needs (``segment_reduce`` and
``segment_csr`` do not).
"""

from __future__ import annotations

import torch
from torch import Tensor

try:
    import torch_scatter
except (ImportError, OSError):  # OSError: a compiled extension built against another torch
    torch_scatter = None

BACKENDS = ("torch", "torch_scatter")


def scatter_sum(src: Tensor, index: Tensor, dim_size: int, *, backend: str | None = None) -> Tensor:
    """Sum the rows of ``src`` that share an index.

    Args:
        src: Messages, shape [M, ...].
        index: Receiver of each message, shape [M], integers in 0 .. ``dim_size`` - 1.
        dim_size: Number of receivers R.
        backend: ``"torch"``, ``"torch_scatter"`` or None for torch-scatter where installed on a
            CUDA tensor, torch otherwise (on the CPU torch's ``index_add`` is the faster one).

    Returns:
        Sums, shape [R, ...]; zero for a receiver without messages.

    Raises:
        ValueError: If the backend is unknown or not installed.
    """
    if backend is None:
        backend = "torch_scatter" if torch_scatter is not None and src.is_cuda else "torch"
    if backend == "torch":
        return src.new_zeros((dim_size, *src.shape[1:])).index_add(0, index, src)
    if backend == "torch_scatter" and torch_scatter is not None:
        return torch_scatter.scatter_add(src, index, dim=0, dim_size=dim_size)
    raise ValueError(
        f"`backend`: expected one of {BACKENDS} and installed, got {backend!r}; "
        "torch-scatter comes with `pip install --no-build-isolation nnmd-graph[pyg-ext]`"
    )


def take(src: Tensor, index: Tensor) -> Tensor:
    """Rows of ``src`` by index; unlike ``src[index]`` its gradient is summed in a fixed order."""
    return torch.index_select(src, 0, index)


def table_places(index: Tensor, num_rows: int) -> tuple[Tensor, int]:
    """Places of messages in a table with one row per receiver.

    Args:
        index: Receiver of each message, [M], in any order.
        num_rows: Number of receivers R.

    Returns:
        Place of each message among the R n of the flattened table [R, n], [M], and n, the largest
        number of messages of one receiver.
    """
    count = torch.bincount(index, minlength=num_rows)
    width = int(count.max()) if len(index) else 0
    order = torch.argsort(index, stable=True)
    first = torch.cumsum(count, 0) - count
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device) - take(first, take(index, order))
    return index * width + rank, width
