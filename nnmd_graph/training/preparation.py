"""Before the first epoch: baseline, feature scaling, features computed once."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from nnmd_graph.data.dataset import AtomsDataset
from nnmd_graph.data.statistics import fit_isolated_energies, force_rms
from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.graph.geometry import cast
from nnmd_graph.memory import available_bytes
from nnmd_graph.models.energy_model import EnergyModel
from nnmd_graph.models.evaluators import Wanted, added
from nnmd_graph.models.potential import Potential
from nnmd_graph.nn.species import species_ids
from nnmd_graph.progress import track
from nnmd_graph.representations.limits import rounding
from nnmd_graph.representations.precomputed import can_precompute, num_values, precompute_all
from nnmd_graph.training.settings import TrainingSettings
from nnmd_graph.training.transfer import refit_baseline

# Scaling needs the spread of features, not every atom of a large set.
MAX_ATOMS_FOR_SCALING = 50_000


def fit_baseline(
    potential: Potential,
    train: AtomsDataset,
    isolated_energies: Mapping[int | str, float] | None = None,
) -> None:
    """Set E0 by least squares (or as given) and the scale to the RMS force times 1 Å.

    Args:
        potential: Its baseline is changed.
        train: Training set.
        isolated_energies: E0 of some or all elements in eV, by symbol or atomic number.
    """
    net = potential.net
    if net is None:
        return
    left = without_other_terms(potential, train)
    energies = dict.fromkeys(net.species, 0.0)
    if train.has("energy") or isolated_energies:
        energies |= fit_isolated_energies(left, given=isolated_energies)
    scale = force_rms(left) if train.has("forces") else 0.0
    if not scale > 1e-6:
        scale = _energy_spread(left, energies)
    net.baseline.set(energies, scale if scale > 1e-6 else 1.0)


@torch.no_grad()
def without_other_terms(potential: Potential, train: AtomsDataset) -> AtomsDataset:
    """The set with the energies and forces that remain for the net; itself without other terms."""
    others = [term for term in potential.model.terms if term is not potential.net]
    if not others:
        return train
    labels = []
    for given, graph in zip(train.labels, train.build(), strict=True):
        wanted = Wanted(forces=True, stress=False, gradients=False)
        own = potential.cast(graph)
        rest = added(term.evaluator(own, training=False)(own, wanted) for term in others)
        energy, forces = given.energy, given.forces
        if energy is not None:
            energy = energy - float(rest["energy"])
        if forces is not None:
            forces = forces - rest["forces"].double().cpu().numpy()
        labels.append(replace(given, energy=energy, forces=forces))
    left = copy.copy(train)
    left.labels = labels
    return left


def _energy_spread(train: AtomsDataset, energies: Mapping[int, float]) -> float:
    """Standard deviation over structures of the energy per atom above the baseline, eV."""
    residuals = [
        (label.energy - sum(energies[int(z)] for z in frame.numbers)) / len(frame)
        for frame, label in zip(train.frames, train.labels, strict=True)
        if label.energy is not None
    ]
    return float(np.std(residuals)) if residuals else 0.0


def should_precompute(
    potential: Potential, graphs: Iterable[AtomicGraph], wanted: bool | None
) -> bool:
    """Tell whether to compute features once: they are fixed and fit in half of the memory."""
    representation = None if potential.net is None else potential.net.fixed
    if wanted is False or representation is None or not can_precompute(representation):
        if wanted:
            raise ValueError(
                "`precompute`: expected False or None for a representation that is trained, got "
                "True; leave it out"
            )
        return False
    size = sum(num_values(graph, representation.num_features or 0) for graph in graphs)
    return bool(wanted) or size * potential.dtype.itemsize < 0.5 * available_bytes()


def prepare_graphs(
    potential: Potential, graphs: Sequence[AtomicGraph], *, features: bool, progress: bool
) -> list[AtomicGraph]:
    """Graphs in the potential's dtype, with features where wanted."""
    # On the CPU: a data set need not fit on the accelerator.
    own = (cast(graph, potential.dtype, graph.pos.device) for graph in graphs)
    fixed: Any = potential.net.fixed if features and potential.net is not None else None
    ready = own if fixed is None else precompute_all(fixed, own)
    work = "computing features" if features else "preparing graphs"
    return list(track(ready, work, total=len(graphs), enabled=progress))


@torch.no_grad()
def fit_features(
    potential: Potential,
    graphs: Sequence[AtomicGraph],
    seed: int,
    *,
    keep: Collection[str] = (),
) -> None:
    """Fit feature scaling and centre the readout on (part of) a training set; limits on all.

    Parameters named in ``keep`` stay as they are.
    """
    net = potential.net
    if net is None:
        return
    kept = {name: p.clone() for name, p in potential.named_parameters() if name in keep}
    order = torch.randperm(len(graphs), generator=torch.Generator().manual_seed(seed)).tolist()
    net.features.fit(potential.cast(graphs[n]) for n in order)
    features, ids, num_atoms = [], [], 0
    chosen = [graphs[n] for n in order]
    for graph, (x, species_id) in zip(chosen, _features(potential, net, chosen), strict=False):
        if num_atoms <= MAX_ATOMS_FOR_SCALING:
            features.append(x)
            ids.append(species_id)
        elif net.ranges is None:
            break
        if net.ranges is not None:
            net.ranges.fit(x, species_id, rounding(graph).to(x.device))
        num_atoms += len(x)
    net.fit_features(torch.cat(features), torch.cat(ids))
    for name, parameter in potential.named_parameters():
        if name in kept:
            parameter.copy_(kept[name])


def move_baseline(
    settings: TrainingSettings,
    potential: Potential,
    graphs: Sequence[AtomicGraph],
    train: AtomsDataset,
    known: Sequence[int],
) -> None:
    """Fit E0 of a trained potential to new data where that is wanted; of new elements always.

    Args:
        settings: Say whether it is wanted.
        potential: Its isolated-atom energies are changed.
        graphs: The training set, prepared.
        train: The training set.
        known: Elements whose E0 are known.
    """
    refit = settings.refit_baseline
    if refit is None:
        refit = settings.init is not None and "baseline" not in settings.freeze
    new = [z for z in potential.species if z not in known]
    if refit or new:
        elements = None if refit else new
        given = settings.isolated_energies
        refit_baseline(potential, graphs, train, given=given, elements=elements, new=new)


@torch.no_grad()
def widen_ranges(potential: Potential, graphs: Sequence[AtomicGraph]) -> None:
    """Widen the known limits of a trained potential to the atoms that it is now trained on."""
    net = potential.net
    if net is not None and net.ranges is not None and net.ranges.fitted:
        for graph, (x, species_id) in zip(graphs, _features(potential, net, graphs), strict=True):
            net.ranges.fit(x, species_id, rounding(graph).to(x.device))


def _features(
    potential: Potential, net: EnergyModel, graphs: Iterable[AtomicGraph]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Features and elements of the atoms of each graph."""
    for graph in map(potential.cast, graphs):
        x = graph.features if "features" in graph else net.fixed(graph)
        yield x, species_ids(graph.z, net.species)


def choose_batch_size(train: AtomsDataset) -> int:
    """Structures per step: about 200 atoms, at most 32 structures, at least 150 steps per epoch.

    More steps do more for the accuracy than smooth gradients; a set of few structures gives at
    least ten steps per epoch.
    """
    atoms = sum(map(len, train.frames)) / len(train)
    enough_steps = max(len(train) // 150, min(4, len(train) // 10))
    return max(1, min(32, round(200 / atoms), enough_steps))
