"""Atom-centred symmetry functions of a graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations_with_replacement
from typing import Any

import torch
from ase.data import chemical_symbols
from jaxtyping import Float
from torch import Tensor, nn

from nnmd_graph.elements import atomic_number
from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.graph.geometry import check_graph, edge_vectors
from nnmd_graph.graph.neighbors import check_cutoff
from nnmd_graph.native.operations import usable
from nnmd_graph.nn.cutoff import CutoffFunction
from nnmd_graph.nn.first_layer import Columns
from nnmd_graph.nn.origins import Origins
from nnmd_graph.nn.part import Part
from nnmd_graph.nn.scatter import take
from nnmd_graph.nn.species import species_ids, species_tuple
from nnmd_graph.representations.chunks import AtomChunk, TableChunk
from nnmd_graph.representations.representation import FixedRepresentation, Representation
from nnmd_graph.representations.symmetry.functions import SymmetryFunction, from_dict
from nnmd_graph.representations.symmetry.kernels.blocks import FunctionSet
from nnmd_graph.representations.symmetry.kernels.tables import (
    EdgeChunk,
    edge_chunks,
    keep_freed_memory,
)
from nnmd_graph.representations.symmetry.more_elements import (
    columns_of_functions,
    extended_functions,
    function_difference,
    merged_functions,
)
from nnmd_graph.representations.symmetry.native import NativeFunctions
from nnmd_graph.representations.symmetry.recipes import (
    automatic_functions,
    bytes_of_model,
    num_features,
)

# Beyond this many edges intermediate results are recomputed, as they would fill the memory.
MAX_KEPT_EDGES = 50_000


class ACSF(FixedRepresentation):
    """Atom-centred symmetry functions, x_i = (G_1, ..., G_F) of the neighbours of atom i.

    Invariant under translation, rotation, reflection and permutation; smooth at the cutoff.
    A function without ``neighbors`` stands for one function per neighbour element (radial) or
    per pair of neighbour elements (angular), one without ``centre`` belongs to every element.
    Source: J. Behler, J. Chem. Phys. 134, 074106 (2011), doi 10.1063/1.3553717.

    Args:
        species: Elements, symbols or atomic numbers.
        cutoff: Cutoff radius r_c in Å of all functions without one of their own.
        functions: Symmetry functions, see :mod:`nnmd_graph.representations.symmetry.functions`.
        cutoff_function: Name of f_c, see :mod:`nnmd_graph.nn.cutoff`.
        inner_cutoff: Where f_c begins to fall, as a fraction of each function's cutoff.

    Shapes:
        graph -> x [N, num_features], dimensionless, in the dtype and on the device of ``pos``.
        Column k of atom i is function k of ``functions_of`` its element, zero beyond the last.

    Raises:
        ValueError: If a function reaches beyond ``cutoff`` or names an element outside
            ``species``, or the set is empty or holds one function twice.
    """

    built_in = True
    not_architecture = (*Part.not_architecture, "functions")  # which `difference` compares
    in_chunks = True
    bytes_of_edge = 6000  # factors, harmonics, their derivatives
    num_features: int

    def __init__(
        self,
        species: Iterable[int | str],
        cutoff: float,
        functions: Sequence[SymmetryFunction],
        *,
        cutoff_function: str = "cosine",
        inner_cutoff: float = 0.0,
    ) -> None:
        super().__init__()
        self.species = species_tuple(species)
        if not 0.0 < float(cutoff) < float("inf"):
            raise ValueError(
                f"`cutoff`: expected a positive number, got {cutoff}; give a radius in Å"
            )
        self.cutoff = float(cutoff)
        fc = CutoffFunction(cutoff_function, float(inner_cutoff))
        self.cutoff_function, self.inner_cutoff = fc.name, fc.inner
        self.functions = self._expand(functions)
        self._functions_of = {
            z: tuple(f for f in self.functions if f.centre in (None, z)) for z in self.species
        }
        # Elements with the same functions share one set: many elements have very many functions
        sets: dict[tuple[int, ...], FunctionSet] = {}
        self._sets = []
        for z in self.species:
            own = self.functions_of(z)
            same = tuple(map(id, own))
            if same not in sets:
                sets[same] = FunctionSet(own, self.species, fc)
            self._sets.append(sets[same])
        self.num_features = max(map(len, self._functions_of.values()))
        self._is_native = all(f.is_native for f in self.functions)
        self._in_core: NativeFunctions | None = None

    @classmethod
    def auto(
        cls,
        species: Iterable[int | str],
        cutoff: float,
        *,
        recipe: str = "gastegger2018",
        cutoff_function: str = "cosine",
        **options: Any,
    ) -> ACSF:
        """A published automatic set for any elements.

        Args:
            species: Elements, symbols or atomic numbers.
            cutoff: Cutoff radius in Å.
            recipe: Name of the set, see :mod:`nnmd_graph.representations.symmetry.recipes`.
            cutoff_function: Name of f_c, see :mod:`nnmd_graph.nn.cutoff`.
            options: Passed to the recipe, for example ``num_radial=8``.

        Raises:
            ValueError: If the recipe is unknown, or a model of so many functions and elements
                would not fit in the memory.
        """
        numbers = species_tuple(species)
        functions = automatic_functions(
            recipe,
            check_cutoff(cutoff),
            options,
            len(numbers),
            lambda n, count: bytes_of_model(count, num_features(n, count)),
            "the scaling of all features by all, one for each element,",
        )
        return cls(numbers, cutoff, functions, cutoff_function=cutoff_function)

    def functions_of(self, element: int | str) -> tuple[SymmetryFunction, ...]:
        """Functions of atoms of one element, in the order of their features.

        Raises:
            ValueError: If the element is not one of the set.
        """
        z = atomic_number(element, "element")
        if z not in self.species:
            names = [chemical_symbols[known] for known in self.species]
            raise ValueError(f"`element`: expected one of {names}, got {element!r}; add it")
        return self._functions_of[z]

    def hyper_parameters(self) -> dict[str, Any]:
        """Plain values that rebuild this module."""
        return {
            "species": list(self.species),
            "cutoff": self.cutoff,
            "functions": [f.to_dict() for f in self.functions],
            "cutoff_function": self.cutoff_function,
            "inner_cutoff": self.inner_cutoff,
        }

    @classmethod
    def from_hyper_parameters(cls, values: dict[str, Any]) -> ACSF:
        """Inverse of :meth:`hyper_parameters`."""
        functions = [from_dict(f) for f in values["functions"]]
        return cls(**(values | {"functions": functions}))

    def extra_repr(self) -> str:
        """Elements, cutoff and size for ``print``."""
        names = ", ".join(chemical_symbols[z] for z in self.species)
        return f"{names}; cutoff={self.cutoff} Å; {self.num_features} functions"

    def isolated_features(self, species_id: Tensor, dtype: torch.dtype) -> Tensor:
        """Features of atoms without neighbours: every sum is empty, shape [N, F]."""
        return torch.zeros(
            len(species_id), self.num_features, dtype=dtype, device=species_id.device
        )

    def forward(self, graph: AtomicGraph) -> Float[Tensor, "N F"]:
        """Values of all functions at all atoms, shape [N, F]."""
        native = self.native(graph)
        return self._by_tensors(edge_vectors(graph), graph) if native is None else native(graph)

    def chunks(self, graph: AtomicGraph) -> Iterator[AtomChunk]:
        """Values at a few atoms at a time, with the way back to their edges.

        Everything that belongs to a chunk may be forgotten before the next one, so memory stays
        bounded and arrays stay in the cache. Nothing is recorded for autograd.
        """
        native = self.native(graph)
        if native is not None:
            yield from native.chunks(graph)
            return
        keep_freed_memory()
        with torch.no_grad():
            for chunk in self._edge_chunks(graph):
                vec = edge_vectors(graph, chunk.edges)
                for rows in chunk.rows:
                    functions = self._sets[rows.element]
                    x, pullback = functions(vec, rows.edges)
                    x = nn.functional.pad(x, (0, self.num_features - len(functions)))
                    yield TableChunk(rows.centres, x, rows, chunk.edges.start, vec, pullback)

    def native(self, graph: AtomicGraph) -> NativeFunctions | None:
        """The functions in the native core; None: it is not there, or does not know all of them."""
        check_graph(graph)
        core = usable(graph.pos) if self._is_native else None
        if core is not None and self._in_core is None:
            each = [self._functions_of[z] for z in self.species]
            fc = CutoffFunction(self.cutoff_function, self.inner_cutoff)
            self._in_core = NativeFunctions(core, each, self.species, fc, self._by_tensors)
        return None if core is None else self._in_core

    def jacobian(self, graph: AtomicGraph) -> tuple[Float[Tensor, "N F"], Float[Tensor, "E 3 F"]]:
        """Values and their derivatives with respect to the edge vectors of each centre.

        jacobian[e, :, f] = d x[i, f] / d edge_vec[e] with i the centre of edge e; features depend
        on no other edges. With it, a net on fixed symmetry functions trains on forces without
        computing any of them again.

        Returns:
            x [N, F] and jacobian [E, 3, F] in Å^-1.
        """
        native = self.native(graph)
        if native is not None:
            return native.jacobian(graph)
        x = graph.pos.new_zeros(graph.num_nodes, self.num_features)
        jacobian = graph.pos.new_zeros(graph.edge_index.shape[1], 3, self.num_features)
        for chunk in self._edge_chunks(graph):
            vec = edge_vectors(graph, chunk.edges)
            for rows in chunk.rows:
                functions = self._sets[rows.element]
                values, columns = functions.jacobian(vec, rows.edges)
                x[rows.centres, : len(functions)] = values
                for edges, table in zip(rows.edges, columns, strict=True):
                    there = edges >= 0
                    place = edges[there] + chunk.edges.start
                    jacobian[place, :, : len(functions)] = table[there]
        return x, jacobian

    def extended(self, species: tuple[int, ...]) -> ACSF:
        """The set with functions of new elements, where those of the nearest known one stand."""
        functions = extended_functions(self.functions, Origins.of(self.species, species))
        values = self.hyper_parameters()
        return type(self)(**(values | {"species": species, "functions": functions}))

    def columns_of(self, old: Representation, origins: Origins) -> list[Columns | None]:
        """Column here of each function of another set, see :class:`Representation`."""
        if not isinstance(old, ACSF):
            return super().columns_of(old, origins)
        return columns_of_functions(old.functions_of, self.functions_of, origins)

    def difference(self, old: Representation, origins: Origins) -> str | None:
        """Functions that this set or the other one lacks."""
        return function_difference(old.functions_of, self.functions_of, origins)

    def merged_features(self, known: Sequence[int], num_rows: int) -> list[Tensor] | None:
        """M [F, F] for each row of a scaling, see :class:`Representation`."""
        if set(self.species) <= set(known) or num_rows not in (1, len(self.species)):
            return None
        return merged_functions(self.species, self.functions_of, known, num_rows)

    def __getstate__(self) -> dict[str, Any]:
        """Without what the native core holds: a copy has its own."""
        return self.__dict__ | {"_in_core": None}

    def _by_tensors(self, vec: Tensor, graph: AtomicGraph) -> Tensor:
        return _Features.apply(vec, self, graph)

    def _edge_chunks(self, graph: AtomicGraph) -> Iterator[EdgeChunk]:
        species_id = species_ids(graph.z, self.species)
        return edge_chunks(graph, species_id, len(self.species), self.cutoff)

    # -- construction --------------------------------------------------------------------------

    def _expand(self, functions: Sequence[SymmetryFunction]) -> tuple[SymmetryFunction, ...]:
        """Give every function its cutoff and its neighbours."""
        expanded: list[SymmetryFunction] = []
        for f in functions:
            if not isinstance(f, SymmetryFunction):
                raise TypeError(
                    f"`functions`: expected symmetry functions (G1 to G5), got {type(f).__name__}; "
                    "write for example G2(eta=1.0, r_s=0.0), or a SymmetryFunction of your own"
                )
            self._check(f)
            wanted = (
                [f.neighbors]
                if f.neighbors is not None or f.weighted
                else combinations_with_replacement(self.species, f.order)
            )
            cutoff = f.cutoff if f.cutoff is not None else self.cutoff
            values = {k: v for k, v in f.to_dict().items() if k != "type"}
            f.check_formulas(cutoff)
            expanded += [type(f)(**(values | {"cutoff": cutoff, "neighbors": n})) for n in wanted]
        if not expanded:
            raise ValueError(
                "`functions`: expected at least one symmetry function, got none; see ACSF.auto"
            )
        if len(set(expanded)) < len(expanded):
            twice = next(f for n, f in enumerate(expanded) if f in expanded[:n])
            raise ValueError(
                f"`functions`: expected different ones, got {twice} twice; leave one out"
            )
        return tuple(expanded)

    def _check(self, f: SymmetryFunction) -> None:
        if f.cutoff is not None and f.cutoff > self.cutoff:
            raise ValueError(
                f"`cutoff` of a function: expected at most that of the set, {self.cutoff} Å, "
                f"got {f}; enlarge the cutoff of the set"
            )
        # mypy: after construction neighbors is a tuple of numbers or None.
        named = set(f.neighbors or ()) | ({f.centre} if f.centre is not None else set())  # type: ignore[arg-type]
        if not named <= set(self.species):
            names = [chemical_symbols[z] for z in self.species]
            name = "neighbors" if f.centre in (None, *self.species) else "centre"
            raise ValueError(
                f"`{name}`: expected elements of the set, {names}, got {f}; add the element"
            )


class _Features(torch.autograd.Function):
    """x of edge vectors: analytic values and pullbacks; the pullback itself is differentiable."""

    @staticmethod
    def forward(ctx: Any, vec: Tensor, acsf: ACSF, graph: AtomicGraph) -> Tensor:
        ctx.save_for_backward(vec)
        ctx.acsf, ctx.chunks, ctx.pullbacks = acsf, list(acsf._edge_chunks(graph)), []
        x = vec.new_zeros(graph.num_nodes, acsf.num_features)
        keep = vec.requires_grad and len(vec) < MAX_KEPT_EDGES
        for chunk in ctx.chunks:
            for rows in chunk.rows:
                values, pullback = acsf._sets[rows.element](vec[chunk.edges], rows.edges)
                x[rows.centres, : values.shape[1]] = values
                ctx.pullbacks.append(pullback if keep else None)
        return x

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, None, None]:
        (vec,), (w,) = ctx.saved_tensors, grad
        pullbacks = iter(ctx.pullbacks)
        parts = []
        for chunk in ctx.chunks:
            own = vec[chunk.edges]
            total = torch.zeros_like(own)
            for rows in chunk.rows:
                functions, pullback = ctx.acsf._sets[rows.element], next(pullbacks)
                if pullback is None or torch.is_grad_enabled():
                    # Recomputed as operations on vec, which autograd records.
                    _, pullback = functions(own, rows.edges)
                by_edge = pullback(take(w, rows.centres)[:, : len(functions)])
                for edges, table in zip(rows.edges, by_edge, strict=True):
                    there = edges >= 0
                    total = total.index_add(0, edges[there], table[there])
            parts.append(total)
        return torch.cat(parts), None, None
