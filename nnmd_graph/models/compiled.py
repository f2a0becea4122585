"""Energy and forces of graph convolutions as one compiled function, for long simulations.

An evaluation runs some hundred small kernels; their overhead and their passes over memory are most
of its time. Here one is traced, derivatives included, for structures of one size, and compiled
into few loops. ``torch.compile`` by itself does not compile the derivative that forces are.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.models.energy_model import EnergyModel
from nnmd_graph.models.evaluators import Prediction
from nnmd_graph.models.padding import Padding, with_pairs
from nnmd_graph.models.potential import Potential

TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-9}
"""Largest permitted relative difference between compiled and plain results."""

FLOOR = 0.1
"""eV or eV/Å; smallest reference value for differences, as forces in a crystal vanish."""

MARGIN = 1.1
"""Capacity relative to the number of pairs of the first structure, as atoms move."""

Fields = dict[str, Tensor]


def why_not_compilable(potential: Potential) -> str | None:
    """Reason why a model cannot be compiled as a whole; None if it can."""
    model = potential.model
    if not isinstance(model, EnergyModel):
        return f"the energy term {type(model).__name__}"
    if model.quantities:
        return f"heads for {', '.join(model.quantities)}"
    if not model.features.compilable:
        return f"the representation {type(model.representation).__name__}"
    if not model.head.compilable:
        return f"the readout {type(model.readout).__name__}"
    return None


def compile_traced(
    plain: Callable[..., list[Tensor]],
    arguments: tuple[Any, ...],
    what: str,
    dtype: torch.dtype,
    *,
    floor: float | None = None,
) -> Callable[..., list[Tensor]]:
    """Trace a function with its derivatives, compile it, compare the results.

    Args:
        plain: Function of (containers of) tensors of fixed shapes.
        arguments: To trace and compare with.
        what: What it computes, for the warning.
        dtype: Decides which differences are rounding, see ``TOLERANCE``.
        floor: Compare each result by its own largest value, or this one if that is larger; None
            compares all by the largest of all.

    Returns:
        The compiled function, or the plain one.

    Warns:
        RuntimeWarning: If there is no compiler, or its results differ; the plain one stays.
    """
    expected = plain(*arguments)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the compiler about itself
            traced = make_fx(lambda *given: plain(*given))(*arguments)
            traced.graph.eliminate_dead_code()
            traced.recompile()
            compiled: Callable[..., list[Tensor]]
            compiled = torch.compile(traced, fullgraph=True, dynamic=False)
            results = compiled(*arguments)
    except Exception as error:  # whatever a missing or broken compiler raises
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return _stay_plain(plain, what, f"no compiler works here ({reason[:200]})")
    largest = [float(value.abs().max()) for value in expected]
    for one, other, own in zip(expected, results, largest, strict=True):
        size = max(largest) if floor is None else max(own, floor)
        if not float((one - other).abs().max()) <= TOLERANCE[dtype] * size:
            return _stay_plain(plain, what, "compiled results differ from plain ones")
    return compiled


def _stay_plain(
    plain: Callable[..., list[Tensor]], what: str, reason: str
) -> Callable[..., list[Tensor]]:
    warnings.warn(f"{what} stays uncompiled, {reason}", RuntimeWarning, stacklevel=3)
    return plain


class CompiledPotential:
    """Evaluates a potential of graph convolutions by a function compiled for the structure's size.

    Structures are filled up with atoms that see nobody, so that their pairs may become a tenth
    more; with more pairs, or another number of atoms, the function is compiled again, some tens of
    seconds.

    Args:
        potential: In evaluation mode; see :func:`why_not_compilable`.

    Raises:
        ValueError: If the potential cannot be compiled.

    Warns:
        RuntimeWarning: If there is no compiler, or its results differ; evaluation is then plain.
    """

    def __init__(self, potential: Potential) -> None:
        reason = why_not_compilable(potential)
        if reason is not None:
            raise ValueError(
                "`potential`: expected graph convolutions (GCNN) with a shared readout to be "
                f"compiled, got {reason}; leave `compile` out"
            )
        self.potential = potential
        self.num_compilations = 0
        self._size = (0, False)
        self._padding: Padding | None = None
        self._function: Callable[..., list[Tensor]] | None = None

    def prepare(self, graph: AtomicGraph) -> AtomicGraph:
        """A copy of a graph with the fields that do not change until the next neighbour list."""
        return with_pairs(self.potential.cast(graph), self.potential.species)

    def __call__(self, graph: AtomicGraph, *, stress: bool = True) -> Prediction:
        """Energy, atomic energies, forces and stress of one structure, as the potential's.

        Args:
            graph: Made by :meth:`prepare`.
            stress: Whether stress is wanted.
        """
        num_atoms, num_pairs = graph.num_nodes, graph.pair_index.shape[1]
        padding = self._padding
        is_new = padding is None or num_pairs > padding.num_pairs
        if padding is None or is_new or self._size != (num_atoms, stress):
            potential = self.potential
            padding = Padding(potential.species, potential.cutoff, [graph], batch_size=1)
            padding.num_pairs = int(MARGIN * num_pairs) + 1
            self._padding, self._size = padding, (num_atoms, stress)
            self._function = None
        fields = padding(graph)
        if self._function is None:
            self.num_compilations += 1
            self._function = compile_traced(
                self._plain, (fields,), "the evaluation", self.potential.dtype, floor=FLOOR
            )
        return self._named(self._function(fields), num_atoms, stress)

    def __getstate__(self) -> dict[str, Any]:
        """State without the compiled function, which no file can hold."""
        return self.__dict__ | {"_function": None}

    def _plain(self, fields: Fields) -> list[Tensor]:
        graph = AtomicGraph()
        for name, value in fields.items():
            graph[name] = value
        # mypy: the values of a TypedDict are objects to it; all of these are tensors.
        return list(self.potential(graph, stress=self._size[1]).values())

    def _named(self, values: list[Tensor], num_atoms: int, stress: bool) -> Prediction:
        energy, atomic_energy, forces = values[:3]
        out: Prediction = {
            "energy": energy[:1],
            "atomic_energy": atomic_energy[:num_atoms],
            "forces": forces[:num_atoms],
        }
        if stress:
            out["stress"] = values[3][:1]
        return out
