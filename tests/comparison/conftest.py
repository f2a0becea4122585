"""Small data, and plots that cost nothing, as for other whole jobs."""

from ..workflow.conftest import SMALL, copper, quick_plots  # noqa: F401  # fixtures
