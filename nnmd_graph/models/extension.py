"""More elements for a potential that was trained without them."""

from __future__ import annotations

import copy
from collections.abc import Iterable

from nnmd_graph.models.carry_over import carry_over
from nnmd_graph.models.potential import Potential
from nnmd_graph.nn.origins import Origins
from nnmd_graph.nn.species import species_tuple


def extend_species(potential: Potential, species: Iterable[int | str] | int | str) -> Potential:
    """The same potential with more elements; its results for the others stay exactly the same.

    Energies, forces and stresses of structures of the old elements are the same up to rounding
    (1e-12 in float64). Symmetry functions are added for the new neighbours, those that the nearest
    known element has, so that a complete set stays complete; first-layer weights of these features
    are zero. A new element starts with the net, the scaling and the embedding of the known element
    nearest in the periodic table, and with E0 = 0: nothing is known about it until it is trained,
    with ``Trainer(init=potential)``, which fits its E0 and the scaling of its features.

    Args:
        potential: Not changed.
        species: Elements to add, symbols or atomic numbers; known ones may be among them.

    Returns:
        Another potential, in the mode, dtype and on the device of the first.

    Raises:
        TypeError: If ``potential`` is no Potential.
        ValueError: If ``species`` is no element, or a module of one's own is not registered or
            depends on the elements in an unknown way.
    """
    if not isinstance(potential, Potential):
        raise TypeError(
            f"`potential`: expected a Potential, got {type(potential).__name__}; write "
            "Potential.load(path)"
        )
    old = potential.model
    origins = Origins.of(old.species, species_tuple([*old.species, *_listed(species)]))
    if not origins.added:
        return copy.deepcopy(potential)
    model = old.extended(origins.new)
    carry_over(old, model)
    return Potential(model).train(potential.training)


def _listed(species: Iterable[int | str] | int | str) -> list[int | str]:
    return [species] if isinstance(species, int | str) else list(species)
