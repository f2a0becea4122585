"""The native core: symmetry functions in C++, used where it is there, missed where it is not.

It is compiled by a bare C++ compiler when it is first used and kept in a folder of the user's
(:mod:`nnmd_graph.native.building`); without one everything runs on tensor operations. How it works:
docs/native.md; the sources: the folder ``core``.
"""

from nnmd_graph.native.library import Status, status

__all__ = ["Status", "status"]
