"""How functions of the core are called: addresses of tensors, what it makes, what it refuses."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

TYPES = {torch.float64: "f64", torch.float32: "f32"}
"""Endings of the functions' names."""

NOT_A_NUMBER, NO_MEMORY, OUTSIDE = 1, 2, 3


def address_of(tensor: Tensor | None) -> ctypes.c_void_p:
    """Where a contiguous tensor lies; null for none."""
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


def made(
    make: Any, ints: Sequence[int], numbers: Sequence[float], *before: ctypes.c_void_p
) -> ctypes.c_void_p:
    """What a function of the core makes of two lists.

    Raises:
        ValueError: If it cannot read them.
    """
    address = make(
        *before,
        (ctypes.c_int64 * len(ints))(*ints),
        ctypes.c_int64(len(ints)),
        (ctypes.c_double * len(numbers))(*numbers),
        ctypes.c_int64(len(numbers)),
    )
    if not address:
        raise ValueError("`ints`: expected lists that the native core reads, got others")
    return ctypes.c_void_p(address)


def check(status: int, num_atoms: int, first: int, count: int) -> None:
    """Raise what a status tells.

    Args:
        status: Of a call.
        num_atoms: Of the graph.
        first: The first centre.
        count: Number of centres.

    Raises:
        ValueError: If positions are not numbers.
        IndexError: If an edge is of an atom that is not there.
        MemoryError: If the core found none.
    """
    if status == NOT_A_NUMBER:
        raise ValueError(
            "`pos`: expected finite positions, got edges whose vectors are not numbers; "
            "check the structure, and the step before it"
        )
    if status == OUTSIDE:
        raise IndexError(
            f"`edge_index`: expected atoms among {num_atoms}, and centres from {first} to "
            f"{first + count - 1}, got others; make the graph with AtomicGraph.from_atoms"
        )
    if status == NO_MEMORY:
        raise MemoryError("the native core found no memory for the neighbours of an atom")
