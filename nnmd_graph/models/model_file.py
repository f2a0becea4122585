"""Where the model of a run is."""

from __future__ import annotations

import os
from pathlib import Path

NAME = "model.pt"
"""Of the model file in the folder of a run."""


def model_file(path: str | os.PathLike[str]) -> Path:
    """Give the model file that a path means: the folder of a run means its `model.pt`."""
    path = Path(path)
    return path / NAME if path.is_dir() else path
