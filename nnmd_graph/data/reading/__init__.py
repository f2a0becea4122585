"""Structures from files."""

from nnmd_graph.data.reading.frames import COMMON_FORMATS, SourcedFrame, read_frames

__all__ = ["COMMON_FORMATS", "SourcedFrame", "read_frames"]
