"""Published data sets, as data sets of this package and of PyG at once.

| class | structures | published in |
|---|---|---|
| `MLearn` | bulk Ni, Cu, Li, Mo, Si, Ge | Y. Zuo et al., 10.1021/acs.jpca.9b08723 |
| `RMD17` | ten small molecules | A. S. Christensen, O. A. von Lilienfeld, 10.1088/2632-2153/abba6f |
| `Acetylacetone` | one molecule, 300 and 600 K | I. Batatia et al., arXiv 2205.06643 |
| `ThreeBPA` | a flexible drug-like molecule, 300 to 1200 K | D. P. Kovács et al., 10.1021/acs.jctc.1c00647 |
| `H2O` | liquid water and ice | B. Cheng et al., 10.1073/pnas.1815117116; T. Morawietz et al., 10.1073/pnas.1602375113 |
"""  # noqa: E501 - a table

from nnmd_graph.data.published.sets import H2O, RMD17, Acetylacetone, MLearn, ThreeBPA

__all__ = ["H2O", "RMD17", "Acetylacetone", "MLearn", "ThreeBPA"]
