"""Symmetry functions in which each neighbour enters with a trainable vector of its element."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from ase.data import chemical_symbols, covalent_radii
from jaxtyping import Bool, Float
from torch import Tensor, nn

from nnmd_graph.choices import INITIALIZATIONS
from nnmd_graph.errors import check_choice
from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.graph.neighbors import check_cutoff
from nnmd_graph.memory import check_memory
from nnmd_graph.nn.species import species_tuple
from nnmd_graph.periodic_table import period, to_noble_gas
from nnmd_graph.representations.representation import Representation
from nnmd_graph.representations.symmetry.acsf import ACSF
from nnmd_graph.representations.symmetry.contraction import Contraction, start_of_channels
from nnmd_graph.representations.symmetry.functions import SymmetryFunction, from_dict
from nnmd_graph.representations.symmetry.recipes import (
    BYTES_OF_A_FUNCTION,
    automatic_functions,
    bytes_of_scaling,
    num_features,
)

CHANNEL_SPEED = 3.0
"""Learning rate of channels by that of the net; rMD17 aspirin after 40 epochs, 75 channels: 56
meV/Å with 1, 51 with 3, 53 with 10."""
RADIAL_SHARE = 0.2
"""Fraction of the channels for radial functions, which are fewer, with one sum per element."""
EMBEDDING_DIM = 8


class EmbeddedACSF(Representation):
    """Symmetry functions with element embeddings in the place of one set per element (pair).

    With e_s the vector of element s (D components) and G_f,s the function f summed over neighbours
    of element s, or over pairs of s and t,

        x_i,(f,d) = sum_s e_s,d G_f,s(i)                       radial
        x_i,(f,d) = sum_{s<=t} e_s,d e_t,d G_f,st(i)           angular

    so each neighbour j enters its sums with the factor e_d of its element: D features for each
    function, whatever the number of elements S, where plain sets have S or S (S + 1) / 2. The
    vectors are trained with the net; the sums G stay fixed and are computed once in training. With
    e_s = Z_s these are weighted symmetry functions (M. Gastegger et al., J. Chem. Phys. 148, 241709
    (2018), doi 10.1063/1.5019667).

    With ``channels`` the functions are combined too. The vectors then have C components, and each
    component belongs to one combination of functions of its own, which is trained as well (see
    :class:`nnmd_graph.representations.symmetry.contraction.Contraction`):

        x_i,c = sum_n U_nc sum_s e_s,c G_n,s(i)                radial
        x_i,c = sum_n U_nc sum_{s<=t} e_s,c e_t,c G_n,st(i)    angular

    Args:
        species: Elements, symbols or atomic numbers.
        cutoff: Cutoff radius in Å.
        functions: Symmetry functions without ``neighbors``; None takes those of ``recipe``.
        embedding_dim: D, 8 if neither it nor ``channels`` is given.
        channels: C, in place of D; a fifth of them are radial if there are angular functions too.
            None combines nothing.
        recipe: Name of an automatic set, see :mod:`nnmd_graph.representations.symmetry.recipes`.
        init: ``"periodic_table"`` (constant, covalent radius, group, period, then random
            components) or ``"random"``.
        cutoff_function: Name of f_c, see :mod:`nnmd_graph.nn.cutoff`.
        seed: Seed of the random components.
        options: Passed to the recipe.

    Shapes:
        graph -> x [N, num_features], num_features = D len(functions), or C.

    Raises:
        ValueError: If a function names its elements, an argument is out of range, or both D and C
            are given.
    """

    built_in = True
    bytes_of_edge = ACSF.bytes_of_edge
    num_features: int

    def __init__(
        self,
        species: Iterable[int | str],
        cutoff: float,
        functions: Sequence[SymmetryFunction] | None = None,
        *,
        embedding_dim: int | None = None,
        channels: int | None = None,
        recipe: str = "gastegger2018",
        init: str = "periodic_table",
        cutoff_function: str = "cosine",
        seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__()
        elements = species_tuple(species)
        if functions is None:
            functions = automatic_functions(
                recipe,
                check_cutoff(cutoff),
                options,
                len(elements),
                lambda n, count: BYTES_OF_A_FUNCTION * num_features(n, count),
                f"the sums of {len(elements)} elements and of their pairs",
            )
        for f in functions:
            if f.neighbors is not None or f.centre is not None or f.weighted:
                raise ValueError(
                    f"`functions`: expected functions without elements or weights, got {f}; the "
                    "embedding does"
                )
        if embedding_dim is not None and channels is not None:
            raise ValueError(
                f"expected `embedding_dim` or `channels`, got {embedding_dim} and {channels}; with "
                "`channels` the vectors have that many components"
            )
        dim = EMBEDDING_DIM if embedding_dim is None else embedding_dim
        if int(dim) != dim or dim < 1:
            raise ValueError(f"`embedding_dim`: expected a positive integer, got {dim}")
        self._check_memory(len(elements), len(functions), int(dim), channels)
        check_choice("init", init, INITIALIZATIONS)
        self.functions = tuple(functions)
        self.sums = ACSF(species, cutoff, self.functions, cutoff_function=cutoff_function)
        self.species, self.cutoff = self.sums.species, self.sums.cutoff
        self.init, self.seed = init, int(seed)
        self.channels = channels
        self.learning_speed = 1.0 if channels is None else CHANNEL_SPEED
        start = torch.from_numpy(_start(self.species, int(dim), init, self.seed))
        start = start.to(torch.get_default_dtype())
        self._blocks = list(self._columns())
        self.contractions = nn.ModuleDict()
        if channels is not None:
            start = self._contract(channels, start)
        self.embedding = nn.Parameter(start)
        self.num_features = channels or self.embedding_dim * len(self.functions)

    @staticmethod
    def _check_memory(num_species: int, num_functions: int, dim: int, channels: int | None) -> None:
        """Refuse vectors, and combinations of functions, that would not fit in the memory."""
        pairs = num_species * (num_species + 1) // 2
        scaling = "the vectors of elements and a scaling of all features by all"
        check_memory(
            "embedding_dim",
            dim,
            lambda d: 24 * num_species * d + bytes_of_scaling(1, d * num_functions),
            size=dim,
            what=scaling,
            instead=f"the default is {EMBEDDING_DIM}",
        )
        check_memory(
            "channels",
            channels,
            lambda c: 12 * num_functions * pairs * c + bytes_of_scaling(1, c),
            size=int(channels or 0),
            what=scaling,
            instead="some 64 are usual",
        )

    @property
    def embedding_dim(self) -> int:
        """Components of an element's vector: D, or C."""
        return self.embedding.shape[1]

    @property
    def fixed(self) -> ACSF:
        """The sums over each element and pair, which are not trained."""
        return self.sums

    @property
    def element_vectors(self) -> Float[Tensor, "S D"]:
        """The trained vectors of the elements."""
        return self.embedding

    def _columns(self) -> Iterator[tuple[int, slice]]:
        """Order of each function and the columns of its sums, one for each element or pair."""
        start = 0
        num_species = len(self.species)
        for f in self.functions:
            width = num_species if f.order == 1 else num_species * (num_species + 1) // 2
            yield f.order, slice(start, start + width)
            start += width

    def _contract(self, channels: int, start: Tensor) -> Tensor:
        """Make a contraction for each order of functions present; return the initial vectors."""
        numbers = Counter(f.order for f in self.functions)
        if int(channels) != channels or channels < len(numbers):
            raise ValueError(
                f"`channels`: expected an integer, at least {len(numbers)} here, got {channels}; "
                "None combines no functions"
            )
        self._radial = max(1, round(RADIAL_SHARE * channels)) if numbers[2] else channels
        self._radial = self._radial if numbers[1] else 0
        vectors = []
        for order, width in ((1, self._radial), (2, channels - self._radial)):
            if width:
                weights, components = start_of_channels(order, width, numbers[order], start)
                self.contractions[str(order)] = Contraction(components, numbers[order])
                vectors.append(weights)
        return torch.cat(vectors, 1)

    @property
    def independent(self) -> Bool[Tensor, " F"]:
        """Features that are independent of the others, as a mask.

        Vectors of S elements have S independent components, their products as many as there are
        pairs; of the channels those are left out that start as copies of others. What is left out
        is a combination of the others, which moves when the vectors are trained: a net that hangs
        on its small remainder is thrown off by every step.
        """
        if self.channels is not None:
            parts = []
            radial, angular = self.embedding.detach().tensor_split([self._radial], dim=1)
            vectors = {"1": radial, "2": self._pairs(angular)}
            for order, contraction in self.contractions.items():
                module: Any = contraction  # torch takes attributes of modules for tensors
                both = torch.einsum("nc,pc->npc", module.mixing.detach(), vectors[order])
                parts.append(_independent(both.flatten(0, 1), copies=False))
            return torch.cat(parts)
        own = self.embedding.detach()
        chosen = {1: _independent(own), 2: _independent(self._pairs(own))}
        return torch.cat([chosen[order] for order, _ in self._blocks])

    def fit_basis(self, sums: Float[Tensor, "N G"]) -> None:
        """Fit the contractions to the sums of ``fixed`` over a training set."""
        for order, contraction in self.contractions.items():
            module: Any = contraction  # torch takes attributes of modules for tensors
            module.fit(self._sums_of(order, sums))

    def _sums_of(self, order: str, sums: Tensor) -> Tensor:
        """Sums of functions of one order, [N, n, P]."""
        return torch.stack([sums[:, columns] for o, columns in self._blocks if str(o) == order], 1)

    def forward(self, graph: AtomicGraph) -> Float[Tensor, "N F"]:
        """Values of all functions at all atoms, [N, num_features]."""
        return self.mix(self.sums(graph))

    def mix(self, sums: Float[Tensor, "N G"]) -> Float[Tensor, "N F"]:
        """Features from the sums over each element and pair, which ``fixed`` gives."""
        if self.channels is not None:
            radial, angular = self.embedding.tensor_split([self._radial], dim=1)
            vectors = {1: radial, 2: self._pairs(angular)}
            return torch.cat([self._mixed(o, sums, vectors[int(o)]) for o in self.contractions], 1)
        weights = {1: self.embedding, 2: self._pairs(self.embedding)}
        return torch.cat([sums[:, columns] @ weights[order] for order, columns in self._blocks], 1)

    def _pairs(self, vectors: Tensor) -> Tensor:
        """Products of the vectors of two elements, [P, D]."""
        num_species = len(self.species)
        first, second = torch.triu_indices(num_species, num_species, device=vectors.device)
        return vectors[first] * vectors[second]

    def _mixed(self, order: str, sums: Tensor, vectors: Tensor) -> Tensor:
        combined: Tensor = self.contractions[order]()
        weights = combined.unsqueeze(1) * vectors  # [n, P, C]
        return self._sums_of(order, sums).flatten(1) @ weights.flatten(0, 1)

    @torch.no_grad()
    def carry_over(self, old: nn.Module, index: Sequence[int]) -> None:
        """Take over the vectors and the contractions."""
        assert isinstance(old, EmbeddedACSF)
        self.embedding.copy_(old.embedding[list(index)])
        self.contractions.load_state_dict(old.contractions.state_dict())

    def hyper_parameters(self) -> dict[str, Any]:
        """Plain values that rebuild this module."""
        return {
            "species": list(self.species),
            "cutoff": self.cutoff,
            "functions": [f.to_dict() for f in self.functions],
            "embedding_dim": self.embedding_dim if self.channels is None else None,
            "channels": self.channels,
            "init": self.init,
            "cutoff_function": self.sums.cutoff_function,
            "seed": self.seed,
        }

    @classmethod
    def from_hyper_parameters(cls, values: dict[str, Any]) -> EmbeddedACSF:
        """Inverse of :meth:`hyper_parameters`."""
        functions = [from_dict(f) for f in values["functions"]]
        return cls(**(values | {"functions": functions}))

    def extra_repr(self) -> str:
        """Elements, cutoff and size for ``print``."""
        names = ", ".join(chemical_symbols[z] for z in self.species)
        size = f"of {self.embedding_dim} components"
        if self.channels is not None:
            size = f"in {self.channels} channels"
        return f"{names}; cutoff={self.cutoff} Å; {len(self.functions)} functions {size}"


def _independent(vectors: Float[Tensor, "S D"], *, copies: bool = True) -> Bool[Tensor, " D"]:
    """A largest independent set of columns, each the least dependent on those before.

    Args:
        vectors: The columns, side by side.
        copies: Whether to include columns that are copies now but need not remain so.
    """
    rest, length = vectors.double(), vectors.double().norm(dim=0)
    chosen = torch.zeros(len(length), dtype=torch.bool, device=rest.device)
    for _ in range(min(rest.shape)):
        size = rest.norm(dim=0).masked_fill(chosen, -1.0)
        best = int(size.argmax())
        if size[best] > 1e-6 * length[best]:
            unit = rest[:, best] / size[best]
            rest = rest - torch.outer(unit, unit @ rest)
        elif not copies:
            break
        chosen[best] = True
    return chosen


def _start(species: tuple[int, ...], dim: int, init: str, seed: int) -> np.ndarray:
    """Vectors of the elements before training, [S, D]: length about one, the first component 1."""
    random = np.random.default_rng(seed).normal(0.0, 0.7, (len(species), dim))
    if init == "random":
        return random
    rows = [[covalent_radii[z], period(z), to_noble_gas(z)] for z in species]
    known = np.array(rows) - np.mean(rows, 0)
    known /= np.where(known.std(0) > 0.0, known.std(0), 1.0)
    table = np.concatenate([np.ones((len(species), 1)), 0.7 * known], 1)
    # Properties that all elements share carry no information; random numbers replace them.
    table = table[:, [True, *(known.std(0) > 0.0)]]
    return np.concatenate([table, random[:, table.shape[1] :]], 1)[:, :dim]
