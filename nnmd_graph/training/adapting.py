"""The features of new data, and the layers of a trained potential carried over to them."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.loader import DataLoader

from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.models.adaptation import adapt, rescale
from nnmd_graph.models.energy_model import EnergyModel
from nnmd_graph.models.potential import Potential
from nnmd_graph.nn.species import species_ids
from nnmd_graph.representations.representation import Representation
from nnmd_graph.representations.scaler import Scaler
from nnmd_graph.training.preparation import MAX_ATOMS_FOR_SCALING

RATTLE = 0.02
"""Displacement of atoms, Å, less than that of stiff bonds at room temperature."""

MAX_COPIES, MAX_RATTLED_ATOMS = 8, 5000
"""Rattled copies of a graph, and atoms of all of them."""


@dataclass(frozen=True)
class Scaling:
    """A feature scaling of a potential, and the features of data that it takes.

    Attributes:
        scaler: The scaling.
        behind: The readout or stack of convolutions that takes what it gives.
        features: Features [N, F] and elements [N] of the atoms.
        near: The same of atoms near them.
        kept: Which features are to enter; None: all.
        merged: New elements taken for the known ones that are nearest, see
            :mod:`nnmd_graph.representations.symmetry.more_elements`; None: there are none, or no
            symmetry functions of them.
    """

    scaler: Scaler
    behind: Representation | EnergyModel
    features: tuple[Tensor, Tensor]
    near: tuple[Tensor, Tensor]
    kept: Tensor | None
    merged: list[Tensor] | None


@torch.no_grad()
def scalings(
    potential: Potential,
    graphs: Sequence[AtomicGraph],
    seed: int,
    *,
    known: Sequence[int] = (),
    rattled: bool = True,
) -> list[Scaling]:
    """The feature scalings of a trained potential with the features of new data.

    Args:
        potential: Not changed.
        graphs: Graphs of a training set.
        seed: Chooses some of a large set.
        known: Elements that the potential had before it was extended.
        rattled: Whether to look at atoms near the given ones, too: few atoms do not show all ways
            that features may go, and forces are derivatives along all of them.
    """
    order = torch.randperm(len(graphs), generator=torch.Generator().manual_seed(seed)).tolist()
    chosen = [graphs[n] for n in order]
    near = _rattled(potential, chosen, seed) if rattled else []
    net = potential.net
    if net is None:
        return []
    representation = net.features
    found = []

    def both(
        features: Callable[[AtomicGraph], Tensor],
        of_scaler: Scaler,
        behind: Representation | EnergyModel,
        owner: Representation,
    ) -> None:
        parts = [_collected(potential, part, features) for part in (chosen, near or chosen[:1])]
        merged = owner.merged_features(known, len(of_scaler.mean)) if known else None
        found.append(Scaling(of_scaler, behind, parts[0], parts[1], owner.independent, merged))

    if representation.base_scaling is not None:
        base, of_base = representation.base_scaling
        both(base, of_base, representation, base)
    if net.scaler is not None:

        def features(graph: AtomicGraph) -> Tensor:
            x: Tensor = graph.features if "features" in graph else net.fixed(graph)
            return representation.mix(x)

        both(features, net.scaler, net, representation)
    return found


def _collected(
    potential: Potential,
    graphs: Sequence[AtomicGraph],
    features: Callable[[AtomicGraph], Tensor],
) -> tuple[Tensor, Tensor]:
    """Features and elements of as many atoms as the scaling needs."""
    xs, ids, num_atoms = [], [], 0
    for graph in _batches(potential, graphs):
        xs.append(features(graph))
        ids.append(species_ids(graph.z, potential.species))
        num_atoms += len(graph.z)
        if num_atoms > MAX_ATOMS_FOR_SCALING:
            break
    return torch.cat(xs), torch.cat(ids)


def _batches(potential: Potential, graphs: Sequence[AtomicGraph]) -> Iterator[AtomicGraph]:
    if "features" in graphs[0]:
        yield from map(potential.cast, graphs)
        return
    for batch in DataLoader(list(graphs), batch_size=8):
        yield potential.cast(batch.to(potential.device))


def _rattled(potential: Potential, graphs: Sequence[AtomicGraph], seed: int) -> list[AtomicGraph]:
    """Copies with atoms moved a little, for three times as many atoms as features."""
    generator = torch.Generator().manual_seed(seed)
    size = 1
    if potential.net is not None:
        size = _scaled(potential.net).num_features or 1
    species = potential.species
    numbers = torch.bincount(torch.cat([species_ids(g.z.cpu(), species) for g in graphs]))
    copies = min(MAX_COPIES, math.ceil(3 * size / int(numbers[numbers > 0].min())))
    found, num_atoms = [], 0
    for graph in [g for _ in range(copies) for g in graphs]:
        moved = copy.copy(graph)
        for name in ("features", "feature_jacobian"):
            if name in moved:
                del moved[name]
        noise = torch.randn(graph.pos.shape, generator=generator, dtype=torch.float64)
        moved.pos = graph.pos + RATTLE * noise.to(graph.pos)
        found.append(moved)
        num_atoms += len(graph.z)
        if num_atoms > MAX_RATTLED_ATOMS:
            break
    return found


@torch.no_grad()
def adapt_features(found: Sequence[Scaling], limit: float, *, alike: bool = False) -> bool:
    """Carry feature scalings and the layers behind them over to new data.

    Args:
        found: From :func:`scalings`; the potential is changed in place.
        limit: See :mod:`nnmd_graph.models.adaptation`.
        alike: Whether the potential treats new elements as the nearest known ones.

    Returns:
        Whether the new data hold anything that the potential's data did not.
    """
    changed = [
        adapt(s.scaler, s.behind, *s.features, s.near, limit, s.kept, s.merged if alike else None)
        for s in found
    ]
    return any(changed)


def rescale_features(potential: Potential, graphs: Sequence[AtomicGraph], seed: int) -> bool:
    """Fit the scaling to features that training has moved; energies stay the same, up to rounding.

    The next training, on other data, then knows where the features of these were.

    Returns:
        Whether there are such features.
    """
    if potential.net is None:
        return False
    trained = _scaled(potential.net)
    mixes = trained.fixed is not trained
    if not (mixes and any(p.requires_grad for p in trained.parameters())):
        return False
    for s in scalings(potential, graphs, seed, rattled=False):
        rescale(s.scaler, s.behind, *s.features)
    return True


def _scaled(net: EnergyModel) -> Representation:
    """The representation whose features are scaled: the one below convolutions, if there is one."""
    representation = net.features
    return representation if representation.base_scaling is None else representation.base_scaling[0]
