"""Limits of features over a training set: where a net interpolates, and where it does not."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.graph.geometry import num_structures, structure_index
from nnmd_graph.nn.first_layer import Columns
from nnmd_graph.nn.origins import Origins
from nnmd_graph.nn.scatter import take

EPS = 1000 * sys.float_info.epsilon
"""Absolute tolerance before a value counts as extrapolating, that of n2p2 (``Element.cpp``)."""

ROUNDING = {torch.float64: 1e-12, torch.float32: 3e-5}
"""The same as a part of a feature's largest value, by the precision of atoms within 20 Å: sums over
neighbours come out a little different when atoms are batched or numbered in another way, or units
converted (up to 3e-14 in float64), and positions are rounded (1.1e-5 in float32 within 16 Å)."""

STEEPNESS = 10.0
"""Relative change of a feature when atoms move, 1/Å; twice as much if all of them move."""

SUMMATION = 40.0
"""Roundings in a sum over neighbours, in units of the last digit."""

MAX_VALUES = 2**22
"""Number of values that are compared at once."""

Watcher = Callable[[Tensor, Tensor, Tensor | None], None]
"""Takes features, elements and, where they are some of a structure's atoms, their numbers."""


def default_rounding(dtype: torch.dtype) -> float:
    """Relative rounding error of a feature where the atoms are not known."""
    return ROUNDING.get(dtype, 10 * torch.finfo(dtype).eps)


@torch.no_grad()
def rounding(graph: AtomicGraph) -> Float[Tensor, " N"]:
    """Relative rounding error of the features of each atom, [N].

    Positions and cells that have no digits beyond float32 were rounded to it at some time, in
    whatever type they are now. Then a distance is wrong by the last digit of the coordinates, which
    is larger far from the origin.
    """
    pos = graph.pos.detach()
    if pos.dtype not in (torch.float64, torch.float32):
        return torch.full(
            (len(pos),), default_rounding(pos.dtype), dtype=torch.float64, device=pos.device
        )
    structure, count = structure_index(graph), num_structures(graph)
    extent = pos.new_zeros(count, dtype=torch.float64)
    size = pos.double().abs().amax(1)
    extent = extent.scatter_reduce(0, structure, size, "amax")
    eps = torch.finfo(torch.float32).eps
    coarse = eps * (SUMMATION + STEEPNESS * extent)
    exact = torch.zeros_like(extent, dtype=torch.int64)
    exact = exact.index_add(0, structure, (pos != pos.float()).any(1).long())
    exact = exact + (graph.cell.detach() != graph.cell.detach().float()).flatten(1).any(1)
    return torch.where(exact > 0, ROUNDING[torch.float64], coarse)[structure]


class FeatureLimits(nn.Module):
    r"""Smallest and largest value of each feature and element over a training set.

    Atom i of element s extrapolates in feature k if

        x_ik + eps < minimum_sk   or   x_ik - eps > maximum_sk,

    eps = 1000 * 2.2e-16 or, where that is more, 1e-12 of the larger limit (3e-5 for x in float32),
    which covers rounding. This is how n2p2 counts, on values before any scaling (A. Singraber, J.
    Behler, C. Dellago, J. Chem. Theory Comput. 15, 1827 (2019), doi 10.1021/acs.jctc.8b00770).
    Positions in float32, also those that were cast to float64 later, are allowed more,
    :func:`rounding`, and limits that are fitted to them are wider by as much.

    Limits stay in float64 whatever the model's dtype. An element that no training atom had is
    unknown, with minimum = inf and maximum = -inf: nothing is outside of that.

    Args:
        num_species: Number of elements S.
        num_features: Number of features F.

    Attributes:
        minimum: [S, F].
        maximum: [S, F].

    Shapes:
        x [N, F], species_id [N] -> excess [N, F].
    """

    minimum: Tensor
    maximum: Tensor

    def __init__(self, num_species: int, num_features: int) -> None:
        super().__init__()
        unknown = torch.full((num_species, num_features), torch.inf, dtype=torch.float64)
        self.register_buffer("minimum", unknown)
        self.register_buffer("maximum", -unknown)
        self._watchers: list[Watcher] = []

    @property
    def known(self) -> Tensor:
        """Elements that have limits, [S], bool."""
        return (self.minimum <= self.maximum).any(dim=1)

    @property
    def fitted(self) -> bool:
        """Tell whether any element has limits."""
        return bool(self.known.any())

    @torch.no_grad()
    def set(self, minimum: Any, maximum: Any) -> None:
        """Set the limits, [S, F]; inf and -inf for what is unknown.

        Raises:
            ValueError: If the shapes differ from [S, F], or a minimum exceeds its maximum.
        """
        low, high = (
            torch.as_tensor(values, dtype=torch.float64, device=self.minimum.device)
            for values in (minimum, maximum)
        )
        for name, values in (("minimum", low), ("maximum", high)):
            if values.shape != self.minimum.shape:
                raise ValueError(
                    f"`{name}`: expected the shape {list(self.minimum.shape)}, elements and "
                    f"features, got {list(values.shape)}; give a row for each element"
                )
        unknown = (low == torch.inf) & (high == -torch.inf)
        wrong = torch.nonzero(~((low <= high) | unknown))
        if len(wrong):
            s, k = wrong[0].tolist()
            raise ValueError(
                f"`minimum`: expected at most `maximum`, got {float(low[s, k])} and "
                f"{float(high[s, k])} for element {s}, feature {k}; give inf and -inf where the "
                "limits are unknown"
            )
        self.minimum.copy_(low)
        self.maximum.copy_(high)

    @torch.no_grad()
    def carry_over(
        self, old: FeatureLimits, origins: Origins, columns: Sequence[Columns | None]
    ) -> None:
        """Take over the limits of known elements.

        Functions of new neighbours were zero at all training atoms.

        Args:
            old: Of fewer elements.
            origins: Where the elements come from.
            columns: Column here of each feature there, for each element.
        """
        low, high = (torch.full_like(self.minimum, x) for x in (torch.inf, -torch.inf))
        for s, o in enumerate(origins.index):
            places = columns[s]
            if origins.is_known(s) and places is not None and bool(old.known[o]):
                low[s], high[s] = 0.0, 0.0
                low[s, places] = old.minimum[o, : len(places)].to(low)
                high[s, places] = old.maximum[o, : len(places)].to(high)
        self.set(low, high)

    @torch.no_grad()
    def fit(
        self,
        x: Float[Tensor, "N F"],
        species_id: Int[Tensor, " N"],
        part: Float[Tensor, " N"] | None = None,
    ) -> None:
        """Widen the limits to hold these atoms; every training atom must come by here once.

        Args:
            x: Features.
            species_id: Elements.
            part: :func:`rounding` of the graph, for limits that hold the same atoms with more
                digits, too; None for the values as they are.
        """
        for s in range(len(self.minimum)):
            here = species_id == s
            rows = x[here].double()
            if len(rows):
                margin = torch.zeros_like(rows)
                if part is not None:
                    coarse = torch.where(part > ROUNDING[torch.float64], part, 0.0)
                    margin = coarse[here].to(rows).unsqueeze(1) * rows.abs()
                self.minimum[s] = torch.minimum(self.minimum[s], (rows - margin).amin(0))
                self.maximum[s] = torch.maximum(self.maximum[s], (rows + margin).amax(0))

    @torch.no_grad()
    def excess(
        self,
        x: Float[Tensor, "N F"],
        species_id: Int[Tensor, " N"],
        part: Float[Tensor, " N"] | None = None,
    ) -> Float[Tensor, "N F"]:
        """Distance of each value from its limits: above positive, below negative, inside 0, [N, F].

        Features may be the first F' only, [N, F'], where the others are known to be zero; ``part``
        is the :func:`rounding` of the graph, None for that of x.
        """
        width = x.shape[1]
        low, high, largest = (take(row[:, :width], species_id) for row in self._limits())
        if part is None:
            part = x.new_full((len(x),), default_rounding(x.dtype), dtype=torch.float64)
        eps = (part.to(largest).unsqueeze(1) * largest).clamp(min=EPS)
        value = x.double()
        above = torch.where(value - eps > high, value - high, 0.0)
        return torch.where(value + eps < low, value - low, above)

    @torch.no_grad()
    def count(
        self,
        x: Float[Tensor, "N F"],
        species_id: Int[Tensor, " N"],
        part: Float[Tensor, " N"] | None = None,
    ) -> Int[Tensor, " N"]:
        """Number of features of each atom that lie outside, [N]; arguments as :meth:`excess`."""
        rows = max(1, MAX_VALUES // max(1, x.shape[1]))
        if part is None:
            part = x.new_full((len(x),), default_rounding(x.dtype), dtype=torch.float64)
        parts = zip(x.split(rows), species_id.split(rows), part.split(rows), strict=True)
        return torch.cat([(self.excess(*one) != 0.0).sum(dim=1) for one in parts])

    def _limits(self) -> tuple[Tensor, Tensor, Tensor]:
        """Limits, infinite where unknown, and the magnitude of the larger one, each [S, F]."""
        known = self.minimum <= self.maximum
        low = torch.where(known, self.minimum, -torch.inf)
        high = torch.where(known, self.maximum, torch.inf)
        largest = torch.where(known, torch.maximum(low.abs(), high.abs()), 0.0)
        return low, high, largest

    def show(self, x: Tensor, species_id: Tensor, atoms: Tensor | None = None) -> None:
        """Pass features on to the watchers; a model calls this with the features it computed.

        Args:
            x: Features, [N, F].
            species_id: Elements, [N].
            atoms: Numbers of these atoms, [N]; None if they are all atoms of the graph, in order.
        """
        for watcher in self._watchers:
            watcher(x.detach(), species_id, atoms)

    @contextmanager
    def watched(self, watcher: Watcher) -> Iterator[None]:
        """Let ``watcher(x, species_id, atoms)`` see the features that are computed meanwhile.

        Looking for extrapolation then costs a comparison, not the features once more.
        """
        self._watchers.append(watcher)
        try:
            yield
        finally:
            self._watchers.remove(watcher)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> FeatureLimits:
        before = self.minimum, self.maximum
        super()._apply(fn, recurse)
        # Always float64: rounding to a model's float32 would put training atoms outside.
        self.minimum, self.maximum = (limit.to(self.minimum.device) for limit in before)
        return self

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        # Files of version 0.1 have no limits; theirs are unknown, which is no error.
        for name, value in (("minimum", torch.inf), ("maximum", -torch.inf)):
            unknown = torch.full_like(self.get_buffer(name), value)
            state_dict.setdefault(prefix + name, unknown)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def extra_repr(self) -> str:
        """Sizes for ``print``."""
        size = f"{self.minimum.shape[0]} elements, {self.minimum.shape[1]} features"
        return size if self.fitted else f"{size}, unknown"
