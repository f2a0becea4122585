"""Sums of energy terms: a net and physical terms that it need not learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nnmd_graph.elements import symbol
from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.models.evaluators import Evaluator, Sum
from nnmd_graph.models.term import EnergyTerm, PlainTerm
from nnmd_graph.nn.origins import Origins


class SumModel(EnergyTerm):
    r"""Sum of energy terms, :math:`E_i = \sum_k E_i^{(k)}`.

    ``SumModel(BPNN(acsf), ZBL(acsf.species))``: the net learns what is left of the energies and
    forces of the training set after the other terms. Each term takes its own road to the forces.

    Args:
        terms: Energy terms, two or more; the sum knows the elements that all of them know.

    Raises:
        ValueError: If there are fewer than two, they have no element in common or different dtypes.
        TypeError: If one is no energy term.
    """

    def __init__(self, *terms: nn.Module) -> None:
        if len(terms) < 2:
            raise ValueError(
                f"`terms`: expected two or more, got {len(terms)}; a single term needs no sum"
            )
        parts = [term if isinstance(term, EnergyTerm) else PlainTerm(term) for term in terms]
        common = set.intersection(*(set(part.species) for part in parts))
        if not common:
            known = "; ".join(", ".join(map(symbol, part.species)) for part in parts)
            raise ValueError(
                f"`terms`: expected an element that all of them know, got {known}; make them for "
                "the same species"
            )
        if len({part.dtype for part in parts}) > 1:
            raise ValueError(
                f"`terms`: expected one dtype, got {[str(part.dtype) for part in parts]}; convert "
                "them, for example by .double()"
            )
        super().__init__(sorted(common), max(part.cutoff for part in parts))
        self.parts = nn.ModuleList(parts)
        self.to(parts[0].device, parts[0].dtype)

    @property
    def terms(self) -> tuple[EnergyTerm, ...]:
        """The terms, with those of nested sums one by one."""
        return tuple(term for part in self._parts for term in part.terms)

    @property
    def _parts(self) -> list[EnergyTerm]:
        return list(self.parts)  # type: ignore[arg-type]  # of modules, to mypy

    def atomic_energy(self, graph: AtomicGraph) -> Float[Tensor, " N"]:
        """Sum of the atomic energies, [N], eV, float64."""
        energies = [part.atomic_energy(graph).double() for part in self._parts]
        return torch.stack(energies).sum(0)

    def evaluator(self, graph: AtomicGraph, *, training: bool) -> Evaluator:
        """The evaluator of the sum, each term by its own road."""
        return Sum([part.evaluator(graph, training=training) for part in self._parts])

    @property
    def quantities(self) -> tuple[str, ...]:
        """Names of the quantities of all terms."""
        return tuple(dict.fromkeys(name for part in self._parts for name in part.quantities))

    def outputs(self, graph: AtomicGraph) -> dict[str, Tensor]:
        """Quantities of all terms; where several have one, that of the first."""
        found: dict[str, Tensor] = {}
        for part in self._parts:
            found = part.outputs(graph) | found
        return found

    def hyper_parameters(self) -> dict[str, Any]:
        """The terms."""
        return {"terms": self._parts}

    @classmethod
    def from_hyper_parameters(cls, values: dict[str, Any]) -> SumModel:
        """Inverse of :meth:`hyper_parameters`."""
        return cls(*values["terms"])

    def extended(self, species: tuple[int, ...]) -> SumModel:
        """The sum of the extended terms."""
        more = set(species) - set(self.species)
        parts = [p.extended(tuple(sorted({*p.species, *more}))) for p in self._parts]
        return type(self)(*parts)

    def carry_over(self, old: nn.Module, index: Sequence[int]) -> None:
        """Take over the weights of each term.

        Raises:
            ValueError: If the terms are others.
        """
        before = old._parts if isinstance(old, SumModel) else []
        if [type(part) for part in before] != [type(part) for part in self._parts]:
            wanted, got = ([type(p).__name__ for p in parts] for parts in (self._parts, before))
            raise ValueError(
                f"`init`: expected the terms of the potential, {wanted}, got {got}; make the "
                "potential as that one was made"
            )
        for one, other in zip(before, self._parts, strict=True):
            other.carry_over(one, Origins.of(one.species, other.species).index)

    def extra_repr(self) -> str:
        """Cutoff for ``print``."""
        return f"{', '.join(map(symbol, self.species))}; cutoff={self.cutoff} Å"
