"""Weights of one model, written into another one of the same kind with more elements.

Elements that both have keep their energies exactly; a new one starts as the known element that is
nearest in the periodic table. Each class takes over its own weights (``carry_over``).
"""

from __future__ import annotations

import copy

import torch
from ase.data import chemical_symbols

from nnmd_graph.models.term import EnergyTerm
from nnmd_graph.nn.origins import Origins


@torch.no_grad()
def carry_over(old: EnergyTerm, new: EnergyTerm) -> None:
    """Copy the weights of ``old`` into ``new``, of the same kind and possibly more elements.

    Energies, forces and stresses of structures of the old elements become those of ``old``, up to
    rounding: symmetry functions of new neighbours vanish there, and those of the old ones find
    their weights, in whatever order they come. First-layer weights of functions of new neighbours
    are zero. A new element gets net, scaling and embedding of the nearest known one, and E0 = 0.

    Args:
        old: Not changed.
        new: Its weights, scaling, limits and baseline are replaced.

    Raises:
        ValueError: If ``new`` lacks an element or a function of ``old``, or a module of one's own
            depends on the elements in an unknown way.
    """
    lost = [chemical_symbols[z] for z in old.species if z not in new.species]
    if lost:
        raise ValueError(
            f"`species`: expected the elements that are known, got none of {lost}; add them"
        )
    new.carry_over(copy.deepcopy(old).cpu(), Origins.of(old.species, new.species).index)
