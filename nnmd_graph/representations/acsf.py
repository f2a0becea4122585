"""Atom-centred symmetry functions of a graph: messages on edges and triplets, summed by scatter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations_with_replacement
from typing import Any

import torch
from ase.data import chemical_symbols
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.graph.geometry import edge_vectors
from nnmd_graph.graph.triplets import triplets
from nnmd_graph.nn.cutoff import cutoff_function as find_cutoff_function
from nnmd_graph.nn.scatter import scatter_sum, take
from nnmd_graph.nn.species import species_ids, species_tuple
from nnmd_graph.representations.auto import RECIPES
from nnmd_graph.representations.groups import (
    Edges,
    Group,
    Messages,
    angular_factors,
    angular_terms,
    make_groups,
    radial_terms,
)
from nnmd_graph.representations.jacobian import angular_block, moment_block, radial_block
from nnmd_graph.representations.moments import Moments, has_moments, pays
from nnmd_graph.representations.symmetry_functions import SymmetryFunction, from_dict

# Terms that are alive at once: beyond this many, sums over triplets run in pieces, and the pieces
# are computed again in the backward pass instead of being kept.
MAX_TERMS = 2**24


class ACSF(nn.Module):
    """Atom-centred symmetry functions, x_i = (G_1, ..., G_F) of the neighbours of atom i.

    Invariant under translation, rotation, reflection and permutation; smooth at the cutoff.
    A function without ``neighbors`` stands for one function per neighbour element (G1 to G3) or
    per pair of neighbour elements (G4, G5). Source: J. Behler, J. Chem. Phys. 134, 074106 (2011),
    doi 10.1063/1.3553717.

    Args:
        species: Elements, symbols or atomic numbers.
        cutoff: Cutoff radius r_c in Å of all functions without one of their own.
        functions: Symmetry functions (``G1`` to ``G5``).
        cutoff_function: ``"cosine"`` or ``"tanh3"``.

    Shapes:
        graph -> x [N, num_features], dimensionless, in the dtype and on the device of ``pos``.

    Raises:
        ValueError: If a function reaches beyond ``cutoff`` or names an element outside
            ``species``, or the set is empty or holds one function twice.
    """

    def __init__(
        self,
        species: Iterable[int | str],
        cutoff: float,
        functions: Sequence[SymmetryFunction],
        *,
        cutoff_function: str = "cosine",
    ) -> None:
        super().__init__()
        self.species = species_tuple(species)
        if not 0.0 < float(cutoff) < float("inf"):
            raise ValueError(f"`cutoff` must be positive, got {cutoff}; give a radius in Å")
        self.cutoff = float(cutoff)
        self.cutoff_function = cutoff_function
        self._fc = find_cutoff_function(cutoff_function)
        self.functions = self._expand(functions)
        self._groups = make_groups(self.functions)
        columns = [column for group in self._groups for column in group.columns]
        self._order = sorted(range(len(columns)), key=columns.__getitem__)

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
            recipe: Name of the set, see :mod:`nnmd_graph.representations.auto`.
            cutoff_function: ``"cosine"`` or ``"tanh3"``.
            options: Passed to the recipe, for example ``num_radial=8``.

        Raises:
            ValueError: If the recipe is unknown.
        """
        if recipe not in RECIPES:
            raise ValueError(
                f"`recipe` must be one of {sorted(RECIPES)}, got {recipe!r}; pass one of these"
            )
        functions = RECIPES[recipe](cutoff, **options)
        return cls(species, cutoff, functions, cutoff_function=cutoff_function)

    @property
    def num_features(self) -> int:
        """Number of features F."""
        return len(self.functions)

    def hyper_parameters(self) -> dict[str, Any]:
        """Plain values that rebuild this module."""
        return {
            "species": list(self.species),
            "cutoff": self.cutoff,
            "functions": [f.to_dict() for f in self.functions],
            "cutoff_function": self.cutoff_function,
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
        edges = self._edges(graph)
        with_triplets = self._with_triplets(edges, graph.num_nodes)
        pairs = self._pairs(with_triplets, edges, graph.num_nodes)
        blocks = []
        for group in self._groups:
            if group.kind.order == 1:
                blocks.append(self._radial_sums(group, edges, pairs, graph.num_nodes))
            elif group in with_triplets:
                blocks.append(self._angular_sums(group, edges, pairs, graph.num_nodes))
            else:
                blocks.append(self._moments(group, edges, graph.num_nodes).values())
        order = torch.tensor(self._order, device=graph.pos.device)
        return torch.cat(blocks, dim=1).index_select(1, order)

    def jacobian(self, graph: AtomicGraph) -> tuple[Float[Tensor, "N F"], Float[Tensor, "E 3 F"]]:
        """Values and their derivatives with respect to the edge vectors of each centre.

        jacobian[e, :, f] = d x[i, f] / d edge_vec[e] with i the centre of edge e; features depend
        on no other edges. Forward mode over the three scalars of a triplet gives all functions at
        once. With it, a net on fixed symmetry functions trains on forces without any triplet.

        Returns:
            x [N, F] and jacobian [E, 3, F] in Å^-1.
        """
        edges = self._edges(graph)
        with_triplets = self._with_triplets(edges, graph.num_nodes, derivatives=True)
        pairs = self._pairs(with_triplets, edges, graph.num_nodes)
        x = graph.pos.new_zeros(graph.num_nodes, self.num_features)
        jacobian = graph.pos.new_zeros(graph.edge_index.shape[1], 3, self.num_features)
        for group in self._groups:
            if group.kind.order == 2 and group not in with_triplets:
                moments = self._moments(group, edges, graph.num_nodes)
                moment_block(group, edges.ids, moments, x, jacobian)
                continue
            block = radial_block if group.kind.order == 1 else angular_block
            messages = self._messages(group, edges, pairs)
            block(group, self._fc, edges, pairs, messages, x, jacobian)
        return x, jacobian

    # -- who is next to whom -------------------------------------------------------------------

    def _edges(self, graph: AtomicGraph) -> Edges:
        species_id = species_ids(graph.z, self.species)
        vec = edge_vectors(graph)
        r2 = (vec.detach() * vec.detach()).sum(-1)
        ids = torch.nonzero(r2 < self.cutoff**2).squeeze(-1)
        neighbor, centre = graph.edge_index.index_select(1, ids)
        return Edges(ids, take(vec, ids), centre, take(species_id, neighbor))

    def _with_triplets(
        self, edges: Edges, num_nodes: int, *, derivatives: bool = False
    ) -> list[Group]:
        """Angular groups that are summed over triplets: those without or with costlier moments."""
        num_edges = len(edges.ids)
        return [
            group
            for group in self._groups
            if group.kind.order == 2
            and not (
                has_moments(group) and pays(group, num_edges, num_nodes, derivatives=derivatives)
            )
        ]

    def _pairs(
        self, groups: Sequence[Group], edges: Edges, num_nodes: int
    ) -> tuple[Tensor, Tensor]:
        """Triplets as two edges of one centre, for the widest cutoff of the groups."""
        cutoffs = [group.cutoff for group in groups]
        if not cutoffs:
            none = edges.centre.new_zeros(0)
            return none, none
        ends = torch.stack([torch.zeros_like(edges.centre), edges.centre])
        if max(cutoffs) >= self.cutoff:
            return triplets(ends, num_nodes)
        r2 = (edges.vec.detach() ** 2).sum(-1)
        near = torch.nonzero(r2 < max(cutoffs) ** 2).squeeze(-1)
        ij, ik = triplets(ends.index_select(1, near), num_nodes)
        return take(near, ij), take(near, ik)

    def _messages(self, group: Group, edges: Edges, pairs: tuple[Tensor, Tensor]) -> Messages:
        """Edges or triplets of the wanted neighbours, and the sum that each belongs to."""
        lookup, size = self._neighbor_lookup(group, edges.centre.device)
        if group.kind.order == 1:
            local, centre = take(lookup, edges.neighbor), edges.centre
        else:
            ij, ik = pairs
            num_species = len(self.species)
            local = take(
                lookup.flatten(), take(edges.neighbor, ij) * num_species + take(edges.neighbor, ik)
            )
            centre = take(edges.centre, ij)
        members = torch.nonzero(local >= 0).squeeze(-1)
        return Messages(members, take(centre, members) * size + take(local, members))

    def _neighbor_lookup(self, group: Group, device: torch.device) -> tuple[Tensor, int]:
        """Number of the sum for each neighbour element (or pair), -1 where none is wanted."""
        shape = (len(self.species),) * group.kind.order
        lookup = torch.full(shape, -1, dtype=torch.long)
        for n, neighbors in enumerate(group.neighbors):
            ids = tuple(self.species.index(z) for z in neighbors)
            lookup[ids] = n
            lookup[ids[::-1]] = n
        return lookup.to(device), len(group.neighbors)

    # -- sums ----------------------------------------------------------------------------------

    def _radial_sums(
        self, group: Group, edges: Edges, pairs: tuple[Tensor, Tensor], num_nodes: int
    ) -> Tensor:
        members, target = self._messages(group, edges, pairs)
        vec = take(edges.vec, members)
        terms = radial_terms(group, self._fc, (vec * vec).sum(-1))
        size = len(group.neighbors)
        return scatter_sum(terms, target, num_nodes * size).view(num_nodes, -1)

    def _angular_sums(
        self, group: Group, edges: Edges, pairs: tuple[Tensor, Tensor], num_nodes: int
    ) -> Tensor:
        members, target = self._messages(group, edges, pairs)
        ij, ik = take(pairs[0], members), take(pairs[1], members)
        size = num_nodes * len(group.neighbors)
        piece = max(1, MAX_TERMS // len(group.shapes))
        if len(members) <= piece:
            return self._piece(group, edges.vec, ij, ik, target, size).view(num_nodes, -1)
        total = edges.vec.new_zeros(size, len(group.shapes))
        for start in range(0, len(members), piece):
            part = slice(start, start + piece)
            arguments = (group, edges.vec, ij[part], ik[part], target[part], size)
            total = total + checkpoint(self._piece, *arguments, use_reentrant=False)
        return total.view(num_nodes, -1)

    def _moments(self, group: Group, edges: Edges, num_nodes: int) -> Moments:
        pairs = [(self.species.index(a), self.species.index(b)) for a, b in group.neighbors]
        return Moments(group, self._fc, edges.vec, edges.centre, edges.neighbor, num_nodes, pairs)

    def _piece(
        self, group: Group, vec: Tensor, ij: Tensor, ik: Tensor, target: Tensor, size: int
    ) -> Tensor:
        r2 = (vec * vec).sum(-1)
        v_ij, v_ik = take(vec, ij), take(vec, ik)
        dot = (v_ij * v_ik).sum(-1)
        factors = angular_factors(group, self._fc, take(r2, ij), take(r2, ik), dot)
        return scatter_sum(angular_terms(group, *factors), target, size)

    # -- construction --------------------------------------------------------------------------

    def _expand(self, functions: Sequence[SymmetryFunction]) -> tuple[SymmetryFunction, ...]:
        """Give every function its cutoff and its neighbours."""
        expanded: list[SymmetryFunction] = []
        for f in functions:
            if not isinstance(f, SymmetryFunction):
                raise TypeError(
                    f"`functions` must be symmetry functions (G1 to G5), got {type(f).__name__}; "
                    "write for example G2(eta=1.0, r_s=0.0)"
                )
            self._check(f)
            wanted = (
                [f.neighbors]
                if f.neighbors is not None
                else combinations_with_replacement(self.species, f.order)
            )
            cutoff = f.cutoff if f.cutoff is not None else self.cutoff
            values = {k: v for k, v in f.to_dict().items() if k != "type"}
            expanded += [type(f)(**(values | {"cutoff": cutoff, "neighbors": n})) for n in wanted]
        if not expanded:
            raise ValueError("`functions` must hold at least one symmetry function, got none")
        for n, f in enumerate(expanded):
            if f in expanded[:n]:
                raise ValueError(f"`functions` must differ, got {f} twice; leave one out")
        return tuple(expanded)

    def _check(self, f: SymmetryFunction) -> None:
        if f.cutoff is not None and f.cutoff > self.cutoff:
            raise ValueError(
                f"`cutoff` of a function must not exceed that of the set, {self.cutoff} Å, "
                f"got {f}; enlarge the cutoff of the set"
            )
        # mypy: after construction neighbors is a tuple of numbers or None.
        if f.neighbors is not None and not set(f.neighbors) <= set(self.species):  # type: ignore[arg-type]
            names = [chemical_symbols[z] for z in self.species]
            raise ValueError(
                f"`neighbors` must be elements of the set, {names}, got {f}; add the element"
            )
