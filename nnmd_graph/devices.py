"""Names of devices: where tensors live."""

from __future__ import annotations

import torch

from nnmd_graph.memory import available_bytes


def find_device(device: str | torch.device) -> torch.device:
    """Find a device by its name; "auto" is a GPU if there is one, else the CPU.

    Raises:
        TypeError: the device is neither a name nor a `torch.device`.
        ValueError: the device is unknown or not there.
    """
    if isinstance(device, torch.device):
        found = device
    elif not isinstance(device, str):
        raise TypeError(
            f"`device`: expected 'auto', 'cpu', 'cuda' or 'cuda:1', got {device!r}; choose one"
        )
    elif device == "auto":
        found = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    else:
        kind, _, number = device.partition(":")
        if kind not in ("cpu", "cuda") or (":" in device and not number.isdecimal()):
            raise ValueError(
                f"`device`: expected 'auto', 'cpu', 'cuda' or 'cuda:1', got {device!r}; choose one"
            )
        found = torch.device(device)
    if found.type not in ("cpu", "cuda", "mps", "xpu"):
        raise ValueError(
            f"`device`: expected 'auto', 'cpu', 'cuda' or 'cuda:1', got '{found}'; choose one"
        )
    if found.type == "cuda":
        count = torch.cuda.device_count()
        if count == 0:
            raise ValueError(
                f"`device`: expected one that is there, got '{found}' without CUDA; use 'cpu'"
            )
        if (found.index or 0) >= count:
            raise ValueError(
                f"`device`: expected one of {count} CUDA devices, got '{found}'; use 'cuda:0'"
            )
    return found


def free_bytes(device: torch.device) -> int:
    """Memory that is free where tensors of a device live, in bytes."""
    if device.type != "cuda":
        return available_bytes()
    # Memory that torch keeps reserved is free for the next tensor
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + kept
