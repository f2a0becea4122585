"""Settings of a run as YAML: sections, files, overrides, JSON schema."""

from typing import TYPE_CHECKING

from nnmd_graph.lazy import lazy_names

if TYPE_CHECKING:
    from nnmd_graph.config.config import Config, parse_config, read_config, to_yaml, write_config
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = ["Config", "parse_config", "read_config", "to_yaml", "write_config"]
