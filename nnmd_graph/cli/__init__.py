"""The command line: `nnmd-graph quickstart | train | evaluate | md | export | info`."""

from nnmd_graph.cli.app import app, main

__all__ = ["app", "main"]
