"""What one model knows, written into another one of the same kind with more elements.

Elements that both have keep their energies exactly; a new one starts as the known element that is
nearest in the periodic table.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from ase.data import atomic_numbers, chemical_symbols
from torch import Tensor, nn

from nnmd_graph.models.energy_model import EnergyModel
from nnmd_graph.models.readout import ElementReadout
from nnmd_graph.models.shared_readout import SharedReadout
from nnmd_graph.nn.mlp import MLP
from nnmd_graph.representations.acsf import ACSF
from nnmd_graph.representations.embedded_acsf import EmbeddedACSF
from nnmd_graph.representations.graph_convolutions import GraphConvolutions
from nnmd_graph.representations.range_scaling import RangeScaler
from nnmd_graph.representations.scaling import FeatureScaler
from nnmd_graph.representations.stacked import StackedConvolutions
from nnmd_graph.representations.symmetry_functions import SymmetryFunction

NOBLE_GASES = [0, *(atomic_numbers[s] for s in ("He", "Ne", "Ar", "Kr", "Xe", "Rn", "Og"))]
GROUP_WEIGHT = 1.5
"""A step to the next group changes more than one to the next period: sodium is nearer to lithium
than to magnesium."""

Columns = list[int]
"""New column of each feature of an element."""


@dataclass(frozen=True)
class Origins:
    """Where each element of the new model comes from.

    Attributes:
        old: Elements of the old model, sorted.
        new: Elements of the new one, sorted, all of ``old`` among them.
        index: For each new element the place in ``old`` of itself, or of the nearest element.
    """

    old: tuple[int, ...]
    new: tuple[int, ...]
    index: tuple[int, ...]

    @classmethod
    def of(cls, old: tuple[int, ...], new: tuple[int, ...]) -> Origins:
        """Origins of the elements ``new``."""
        return cls(old, new, tuple(old.index(nearest_element(z, old)) for z in new))

    @property
    def added(self) -> tuple[int, ...]:
        """Elements that the old model lacks."""
        return tuple(z for z in self.new if z not in self.old)

    def is_known(self, s: int) -> bool:
        """Whether the old model has element number ``s`` of the new one."""
        return self.new[s] in self.old


def nearest_element(z: int, known: Sequence[int]) -> int:
    """The element of ``known`` that is nearest in the periodic table; itself if it is there.

    Groups count 1.5 times as much as periods; the f block stands in group 3, where the atomic
    number decides.
    """
    group, period = _place(z)

    def distance(other: int) -> tuple[float, int, int]:
        its_group, its_period = _place(other)
        steps = GROUP_WEIGHT * abs(group - its_group) + abs(period - its_period)
        return steps, abs(z - other), other

    return z if z in known else min(known, key=distance)


def _place(z: int) -> tuple[int, int]:
    """Group, 1 to 18, and period."""
    period = sum(z > gas for gas in NOBLE_GASES)
    n, length = z - NOBLE_GASES[period - 1], NOBLE_GASES[period] - NOBLE_GASES[period - 1]
    if length == 32:
        return (n if n <= 2 else 3 if n <= 17 else n - 14), period
    from_left = n == 1 or length == 18 or (n == 2 and length > 2)  # helium ends its period
    return (n if from_left else n + 18 - length), period


@torch.no_grad()
def carry_over(old: EnergyModel, new: EnergyModel) -> None:
    """Write what ``old`` knows into ``new``, a model of the same kind that may know more elements.

    Energies, forces and stresses of structures of the old elements become those of ``old``, up to
    rounding: symmetry functions of new neighbours vanish there, and those of the old ones find
    their weights, in whatever order they come. First-layer weights of functions of new neighbours
    are zero. A new element gets net, scaling and embedding of the nearest known one, and E0 = 0.

    Args:
        old: Not changed.
        new: Its weights, scaling, ranges and baseline are replaced.

    Raises:
        ValueError: If ``new`` lacks an element or a function of ``old``, or a module of one's own
            depends on the elements in an unknown way.
    """
    old = copy.deepcopy(old).cpu()
    lost = [chemical_symbols[z] for z in old.species if z not in new.species]
    if lost:
        raise ValueError(
            f"`species`: expected the elements that are known, got none of {lost}; add them"
        )
    origins = Origins.of(old.species, new.species)
    _carry_representation(old.representation, new.representation, origins)
    columns = feature_columns(old.representation, new.representation, origins)
    _carry_net(old, new, origins, columns)
    _carry_ranges(old, new, origins)
    for name in ("scale", "fitted"):
        new.baseline.get_buffer(name).copy_(old.baseline.get_buffer(name))
    for s, z in enumerate(origins.new):
        known = origins.is_known(s)
        e0 = old.baseline.isolated_energies[old.species.index(z)] if known else torch.zeros(())
        new.baseline.isolated_energies[s] = e0


# -- features -------------------------------------------------------------------------------------
def feature_columns(old: Any, new: Any, origins: Origins) -> list[Columns | None]:
    """New column of each feature of each new element's origin; None where they have no place.

    Raises:
        ValueError: If a function of a known element has no place, or the number of features of
            something else than an ACSF is not the same.
    """
    if isinstance(old, ACSF) and isinstance(new, ACSF):
        return [_function_columns(old, new, origins, s) for s in range(len(origins.new))]
    before, after = (getattr(r, "num_features", None) for r in (old, new))
    if before != after:
        raise ValueError(
            f"`representation`: expected the features that it had, got {after} in place of "
            f"{before} in {type(new).__name__}; only symmetry functions (ACSF) may become more"
        )
    return [None if before is None else list(range(before))] * len(origins.new)


def _function_columns(old: ACSF, new: ACSF, origins: Origins, s: int) -> Columns | None:
    z, origin = origins.new[s], origins.old[origins.index[s]]
    place = {f: k for k, f in enumerate(new.functions_of(z))}
    wanted = [_moved(f, origin, z) for f in old.functions_of(origin)]
    missing = [f for f in wanted if f not in place]
    if not missing:
        return [place[f] for f in wanted]
    if not origins.is_known(s):
        return None
    raise ValueError(
        f"`functions`: expected those that are known, got none like {missing[0]} of "
        f"{chemical_symbols[z]}; add it"
    )


def _moved(f: SymmetryFunction, origin: int, z: int) -> SymmetryFunction:
    """The function at another central element."""
    return replace(f, centre=z) if f.centre == origin else f


# -- representations ------------------------------------------------------------------------------
def _carry_representation(old: Any, new: Any, origins: Origins) -> None:
    index = list(origins.index)
    if isinstance(old, ACSF):
        return
    if isinstance(old, EmbeddedACSF):
        new.embedding.copy_(old.embedding[index])
        new.contractions.load_state_dict(old.contractions.state_dict())
    elif isinstance(old, GraphConvolutions):
        new.embedding.weight.copy_(old.embedding.weight[index])
        new.layers.load_state_dict(old.layers.state_dict())
        new.radial.load_state_dict(old.radial.state_dict())
        if isinstance(old, StackedConvolutions):
            _carry_representation(old.base, new.base, origins)
            columns = feature_columns(old.base, new.base, origins)
            for s, o in enumerate(index):
                _carry_input((old.scaler, old.inputs[o], o), (new.scaler, new.inputs[s], s),
                             columns[s])  # fmt: skip
    else:
        _carry_module(old, new, origins)


# -- nets -----------------------------------------------------------------------------------------
def _carry_net(
    old: EnergyModel, new: EnergyModel, origins: Origins, columns: Sequence[Columns | None]
) -> None:
    """Scaler and readout, whose first layer follows the features to their new columns."""
    ours, theirs = new.readout, old.readout
    if isinstance(theirs, ElementReadout) and isinstance(ours, ElementReadout):
        for s, o in enumerate(origins.index):
            before, after = theirs.net.nets[o], ours.net.nets[s]
            assert isinstance(before, MLP) and isinstance(after, MLP)
            if columns[s] is None or _widths(before) != _widths(after):
                continue  # a new element that is too different: its net stays fresh
            _carry_input((old.scaler, before.linears[0], o), (new.scaler, after.linears[0], s),
                         columns[s])  # fmt: skip
            for one, other in zip(before.linears[1:], after.linears[1:], strict=True):
                other.load_state_dict(one.state_dict())
        return
    if isinstance(theirs, SharedReadout) and _grown(old, new):
        _carry_shared(old, new, origins, columns)
        return
    if any(c is not None and c != list(range(len(c))) for c in columns):
        raise ValueError(
            f"`functions`: expected functions in the order that the readout knows, got others for "
            f"{type(ours).__name__}; only one net per element follows them"
        )
    _carry_module(theirs, ours, origins)
    if old.scaler is not None:
        size = int(old.scaler.mean.shape[1])
        for s, o in enumerate(origins.index):
            if columns[s] is not None:
                _carry_scaler(old.scaler, o, new.scaler, s, list(range(size)), size)


def _widths(net: MLP) -> list[int]:
    return [linear.out_features for linear in net.linears]


def _grown(old: EnergyModel, new: EnergyModel) -> bool:
    return isinstance(old.representation, ACSF) and isinstance(new.representation, ACSF)


def _carry_shared(
    old: EnergyModel, new: EnergyModel, origins: Origins, columns: Sequence[Columns | None]
) -> None:
    """One net for all elements on symmetry functions, which must be the same for all of them."""
    theirs, ours = old.readout, new.readout
    assert isinstance(theirs, SharedReadout) and isinstance(ours, SharedReadout)
    before, after = theirs.net, ours.net
    if not (isinstance(before, MLP) and isinstance(after, MLP)) or any(
        c is None or c != columns[0] or len(c) != before.linears[0].in_features for c in columns
    ):
        raise ValueError(
            "`readout`: expected one net per element where elements have functions of their own, "
            "got one net for all; give all elements the same functions"
        )
    for s, o in enumerate(origins.index):
        _carry_input((old.scaler, before.linears[0], o), (new.scaler, after.linears[0], s),
                     columns[s])  # fmt: skip
    for one, other in zip(before.linears[1:], after.linears[1:], strict=True):
        other.load_state_dict(one.state_dict())


def _carry_input(
    old: tuple[nn.Module | None, Any, int],
    new: tuple[nn.Module | None, Any, int],
    columns: Columns | None,
) -> None:
    """Scaling and linear map of one element, (scaler, linear, number of the element).

    W x' + b stays the same for the features that were there, and does not depend on the others.
    """
    (old_scaler, before, o), (new_scaler, after, s) = old, new
    if columns is None:
        return
    turn, constant = _carry_scaler(old_scaler, o, new_scaler, s, columns, before.in_features)
    after.weight.zero_()
    after.weight[:, columns] = (before.weight.double() @ turn).to(after.weight)
    if before.bias is not None:
        after.bias.copy_(before.bias.double() + before.weight.double() @ constant)


def _carry_scaler(
    old: nn.Module | None,
    o: int,
    new: nn.Module | None,
    s: int,
    columns: Columns,
    size: int,
) -> tuple[Tensor, Tensor]:
    """Scaling of one element.

    Columns beyond the n functions of an element, which are there for other elements, may come to
    hold something else: what they add to a linear map W is constant.

    Returns:
        T [F, n] and c [F], float64, with W x'_old = (W T) x'_new[columns] + W c, F = size.

    Raises:
        ValueError: If the scaler is of an unknown kind.
    """
    n = len(columns)
    turn = torch.eye(size, dtype=torch.float64)
    constant = torch.zeros(size, dtype=torch.float64)
    if isinstance(old, FeatureScaler) and isinstance(new, FeatureScaler):
        row, o = (0, 0) if len(new.mean) == 1 else (s, o)
        mean, matrix = old.mean[o].double(), old.matrix[o].double()
        constant = -mean[n:] @ matrix[n:]
        if n < size:  # n numbers say the same as these combinations of them, which are more
            turn, triangle = torch.linalg.qr(matrix[:n].mT)
            matrix = triangle.mT
        places = torch.tensor(columns)
        new.mean[row, places] = mean[:n].to(new.mean)
        new.matrix[row, places.unsqueeze(1), places] = matrix.to(new.matrix)
    elif isinstance(old, RangeScaler) and isinstance(new, RangeScaler):
        for name in ("minimum", "maximum", "mean", "sigma"):
            new.get_buffer(name)[s, columns] = old.get_buffer(name)[o, :n].to(new.mean)
        zero = old(old.mean.new_zeros(1, old.mean.shape[1]), torch.tensor([o]))[0].double()
        constant[n:], turn = zero[n:], turn[:, :n]
    elif old is None and new is None:
        turn = turn[:, :n]
    else:
        raise ValueError(
            f"`scaler`: expected a FeatureScaler, a RangeScaler or None, got {type(old).__name__} "
            f"and {type(new).__name__}; only these can be carried over"
        )
    return turn, constant


# -- the rest -------------------------------------------------------------------------------------
def _carry_ranges(old: EnergyModel, new: EnergyModel, origins: Origins) -> None:
    """Ranges of known elements; functions of new neighbours were zero at all training atoms."""
    if old.ranges is None or new.ranges is None:
        return
    known = old.ranges.known
    columns = feature_columns(old.fixed, new.fixed, origins)
    low, high = (torch.full_like(new.ranges.minimum, x) for x in (torch.inf, -torch.inf))
    for s, o in enumerate(origins.index):
        places = columns[s]
        if origins.is_known(s) and places is not None and bool(known[o]):
            low[s], high[s] = 0.0, 0.0
            low[s, places] = old.ranges.minimum[o, : len(places)].to(low)
            high[s, places] = old.ranges.maximum[o, : len(places)].to(high)
    new.ranges.set(low, high)


def _carry_module(old: nn.Module, new: nn.Module, origins: Origins) -> None:
    """A module of any other kind: tensors of the same shape, or with a row for each element."""
    if hasattr(new, "carry_over"):
        ours: Any = new  # a method that only some have
        ours.carry_over(old, origins.index)
        return
    before, after = old.state_dict(), new.state_dict()
    same_names = before.keys() == after.keys()
    for name, value in before.items() if same_names else ():
        target = after[name]
        if value.shape == target.shape:
            target.copy_(value)
        elif value.shape[1:] == target.shape[1:] and len(value) == len(origins.old):
            target.copy_(value[list(origins.index)])
        else:
            same_names = False
    if not same_names:
        raise ValueError(
            "`potential`: expected modules that can be carried over to more "
            f"elements, got {type(old).__name__}, whose parameters depend on the elements; give "
            "the class a method carry_over(old, index), index[s] the number in the old one of "
            "element s"
        )
