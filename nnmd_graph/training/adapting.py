"""The features of new data, and what of a trained potential is carried over to them."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.loader import DataLoader

from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.models.adaptation import adapt, rescale
from nnmd_graph.models.alike import merged_features
from nnmd_graph.models.potential import Potential
from nnmd_graph.nn.species import species_ids
from nnmd_graph.representations.acsf import ACSF
from nnmd_graph.representations.range_scaling import RangeScaler
from nnmd_graph.representations.scaling import FeatureScaler
from nnmd_graph.representations.stacked import StackedConvolutions
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
            :mod:`nnmd_graph.models.alike`; None: there are none, or no symmetry functions of them.
    """

    scaler: nn.Module
    behind: nn.Module
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
    model: Any = potential.model  # methods and modules that only some have
    representation, found = model.representation, []

    def both(features: Any, of_scaler: nn.Module, behind: nn.Module, owner: Any) -> None:
        parts = [_collected(potential, part, features) for part in (chosen, near or chosen[:1])]
        kept = getattr(owner, "independent", None)
        merged = None
        if isinstance(owner, ACSF) and known and isinstance(of_scaler, FeatureScaler | RangeScaler):
            merged = merged_features(owner, known, *of_scaler.mean.T.shape)
        found.append(Scaling(of_scaler, behind, parts[0], parts[1], kept, merged))

    if isinstance(representation, StackedConvolutions):
        both(representation.base, representation.scaler, representation, representation.base)
    if model.scaler is not None:
        mix = getattr(representation, "mix", nn.Identity())

        def features(graph: Any) -> Tensor:
            return mix(graph.features if "features" in graph else model.fixed(graph))

        both(features, model.scaler, model.readout, representation)
    return found


def _collected(
    potential: Potential, graphs: Sequence[AtomicGraph], features: Any
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
    model: Any = potential.model  # an attribute that only some have
    owner = getattr(model.representation, "base", model.representation)
    size = int(getattr(owner, "num_features", 1))
    numbers = torch.bincount(torch.cat([species_ids(g.z.cpu(), model.species) for g in graphs]))
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
    """Carry feature scalings, and what takes them, over to new data.

    Args:
        found: From :func:`scalings`; the potential is changed in place.
        limit: See :mod:`nnmd_graph.models.adaptation`.
        alike: Whether the potential takes new elements for the known ones that are nearest.

    Returns:
        Whether there was something that the potential's data did not hold.
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
    model: Any = potential.model  # modules that only some have
    trained = getattr(model.representation, "base", model.representation)
    if not (hasattr(trained, "mix") and any(p.requires_grad for p in trained.parameters())):
        return False
    for s in scalings(potential, graphs, seed, rattled=False):
        rescale(s.scaler, s.behind, *s.features)
    return True
