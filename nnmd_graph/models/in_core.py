"""Potentials that the native core computes as a whole: symmetry functions, nets, forces, virial."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.graph.geometry import structure_index
from nnmd_graph.models.baseline import Baseline
from nnmd_graph.models.evaluators import Evaluator, Prediction, Wanted, energies, per_volume
from nnmd_graph.models.readout import Layer, Readout
from nnmd_graph.native.nets import Atoms, Nets
from nnmd_graph.nn.species import species_ids
from nnmd_graph.representations.scaler import Scaler
from nnmd_graph.representations.symmetry.native import NativeFunctions

Show = Callable[[Tensor, Tensor], None]
"""(x [N, F], species_id [N]) -> None, for those who watch the features."""

_KEPT: WeakKeyDictionary[Readout, tuple[NativeFunctions, list[Tensor], Nets]] = WeakKeyDictionary()
"""Nets of readouts as the core has them, and the weights that they were made of."""


class InCore(Evaluator):
    """Everything in one call of the native core. No gradients.

    Args:
        nets: The nets.
        species: Elements of the model.
        show: Is shown the features.
    """

    def __init__(self, nets: Nets, species: tuple[int, ...], show: Show) -> None:
        self.nets, self.species, self.show = nets, species, show

    def __call__(self, graph: AtomicGraph, wanted: Wanted) -> Prediction:
        """See :class:`Evaluator`."""
        element, structure = species_ids(graph.z, self.species), structure_index(graph)
        atoms = Atoms(
            graph.pos,
            graph.cell,
            graph.edge_index,
            graph.edge_cell_shift,
            element,
            structure,
            graph.edge_vec if "edge_vec" in graph else None,
        )
        x, energy, forces, virial = self.nets(
            atoms, derivatives=wanted.derivatives, virial=wanted.stress
        )
        self.show(x, element)
        out = energies(energy, graph)
        if wanted.forces and forces is not None:
            out["forces"] = forces
        if virial is not None:
            whole = virial.to(graph.pos.dtype)
            out["stress"] = per_volume(0.5 * (whole + whole.mT), graph)
        return out


def nets_of(
    functions: NativeFunctions, scaler: Scaler | None, readout: Readout, baseline: Baseline
) -> Nets | None:
    """The nets on the functions of a set; None if the core does not know them.

    Nets are made once and again when a weight has changed.

    Args:
        functions: In the core.
        scaler: Scaling of the features.
        readout: Whose ``layers`` are taken.
        baseline: Scale and energies of isolated atoms.
    """
    modules = [readout, baseline, *([] if scaler is None else [scaler])]
    weights = [w for module in modules for w in _tensors(module)]
    kept = _KEPT.get(readout)
    if kept is not None and kept[0] is functions and _same(kept[1], weights):
        return kept[2]
    layers = [readout.layers(s) for s in range(len(functions.species))]
    known = [own for own in layers if own is not None]
    dtypes = {matrix.dtype for own in known for matrix, _, _ in own}
    if len(known) < len(layers) or len(dtypes) != 1:
        return None
    nets = Nets(
        functions.plan,
        [_scaled(own, scaler, s) for s, own in enumerate(known)],
        float(baseline.scale),
        baseline.isolated_energies.tolist(),
        *dtypes,
    )
    _KEPT[readout] = functions, [w.detach().clone() for w in weights], nets
    return nets


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    """Parameters and buffers; ``parameters()`` takes longer than the core for a molecule."""
    for own in (*module._parameters.values(), *module._buffers.values()):
        if own is not None:
            yield own
    for part in module._modules.values():
        if part is not None:
            yield from _tensors(part)


def _same(before: Sequence[Tensor], now: Sequence[Tensor]) -> bool:
    if len(before) != len(now):
        return False
    pairs = zip(before, now, strict=True)
    return all(a.dtype == b.dtype and torch.equal(a, b) for a, b in pairs)


@torch.no_grad()
def _scaled(layers: list[Layer], scaler: Scaler | None, s: int) -> list[Layer]:
    """Layers whose first one takes features before the scaling x' = x A + a."""
    if scaler is None:
        return layers
    matrix, shift = scaler.affine(s if len(scaler.fitted()) > 1 else 0)
    (first, bias, activation), *others = layers
    first, bias = first.double(), bias.double()
    return [(first @ matrix.mT, bias + first @ shift, activation), *others]
