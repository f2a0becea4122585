"""Versions of this package and of those that its numbers depend on."""

from __future__ import annotations

import importlib.metadata
import platform

PACKAGES = ("nnmd-graph", "torch", "torch-geometric", "ase", "numpy", "vesin", "lightning-fabric")


def versions() -> dict[str, str]:
    """Versions of Python, of this package and of those that its numbers depend on."""
    found = {name: _version(name) for name in PACKAGES}
    return {"python": platform.python_version()} | {
        name: version or "not installed as a package" for name, version in found.items()
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # a source tree that is not installed
        return None


__version__ = _version("nnmd-graph") or "0.0.0"
