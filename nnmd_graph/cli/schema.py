"""`nnmd-graph schema`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from nnmd_graph.cli.console import print_text


def schema(
    comparison: Annotated[
        bool, typer.Option("--comparison", help="Of `nnmd-graph compare`, not of `train`.")
    ] = False,
) -> None:
    """Print the JSON schema of config files, with which editors complete and check them.

    Write it to a file, `nnmd-graph schema > schema.json`, and name that in the first line of the
    config: `# yaml-language-server: $schema=schema.json`.
    """
    from nnmd_graph.comparison.config import ComparisonConfig
    from nnmd_graph.config.config import Config
    from nnmd_graph.config.schema import json_schema

    values = json_schema(ComparisonConfig if comparison else Config)
    print_text(json.dumps(values, indent=2, ensure_ascii=False))
