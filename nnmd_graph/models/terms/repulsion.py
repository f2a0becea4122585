r"""Repulsion of nuclei that are close to each other.

| symbol | variable |
|---|---|
| :math:`e^2 / 4 \pi \epsilon_0` | ``COULOMB``, eV Å |
| :math:`a_{ij}` | ``length``, Å |
| :math:`\phi(x)` | ``screening(x)`` |
| :math:`f_c(r)` | ``fc(r, cutoff)`` |
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from ase.data import covalent_radii
from ase.units import Bohr, Hartree
from jaxtyping import Float
from torch import Tensor

from nnmd_graph.elements import symbol
from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.graph.geometry import edge_vectors
from nnmd_graph.models.term import EnergyTerm
from nnmd_graph.nn.cutoff import CutoffFunction
from nnmd_graph.nn.scatter import scatter_sum, take
from nnmd_graph.nn.species import species_of, species_tuple

COULOMB = Hartree * Bohr
"""e^2 / (4 pi epsilon_0) = 14.3996 eV Å."""

FACTORS = (0.18175, 0.50986, 0.28022, 0.02817)
EXPONENTS = (3.1998, 0.94229, 0.4029, 0.20162)
"""phi(x) = sum_k FACTORS[k] exp(-EXPONENTS[k] x)."""

LENGTH, POWER = 0.88534 * Bohr, 0.23
"""a_ij = LENGTH / (Z_i^POWER + Z_j^POWER)."""


class ZBL(EnergyTerm):
    r"""Screened Coulomb repulsion of the nuclei, with the universal screening function.

    .. math:: E_i = \frac{1}{2} \sum_j \frac{e^2}{4 \pi \epsilon_0} \frac{Z_i Z_j}{r_{ij}}
        \phi(r_{ij} / a_{ij}) f_c(r_{ij}), \quad
        a_{ij} = \frac{0.88534 \, a_0}{Z_i^{0.23} + Z_j^{0.23}}

    with :math:`\phi(x) = 0.18175 e^{-3.1998 x} + 0.50986 e^{-0.94229 x} + 0.28022 e^{-0.4029 x} +
    0.02817 e^{-0.20162 x}`, and :math:`f_c` the smooth step with two continuous derivatives
    (``poly2``), which falls from one at r = 0 to zero at the cutoff of the pair. Keeps atoms apart
    where a training set has no structures: radiation damage, hot or compressed matter. Source: J.
    F. Ziegler, J. P. Biersack, U. Littmark, The Stopping and Range of Ions in Solids, Pergamon
    1985; numbers as in LAMMPS, ``pair_style zbl``.

    Args:
        species: Elements, symbols or atomic numbers.
        cutoff: Radius in Å for all pairs; None: for each pair the sum of the covalent radii (B.
            Cordero et al., Dalton Trans. 2832 (2008), doi 10.1039/b801115j), so that bonds at
            their usual length hardly feel it.

    Shapes:
        graph -> atomic_energy [N], eV.

    Raises:
        ValueError: If there is no element, or the cutoff is no positive number.
    """

    z: Tensor
    cutoffs: Tensor

    def __init__(
        self, species: Iterable[int | str] | int | str, cutoff: float | None = None
    ) -> None:
        elements = species_tuple(species)
        radii = torch.tensor([float(covalent_radii[z]) for z in elements])
        pairs = radii.unsqueeze(0) + radii.unsqueeze(1)
        super().__init__(elements, float(pairs.max()) if cutoff is None else cutoff)
        self.given_cutoff = None if cutoff is None else self.cutoff
        if cutoff is not None:
            pairs = torch.full_like(pairs, self.cutoff)
        self.register_buffer("z", torch.tensor(elements).to(radii), persistent=False)
        self.register_buffer("cutoffs", pairs, persistent=False)

    def atomic_energy(self, graph: AtomicGraph) -> Float[Tensor, " N"]:
        """Half of the repulsion of each atom from its neighbours, [N], eV."""
        j, i = graph.edge_index
        species_id = species_of(graph, self.species)
        first, second = take(species_id, i), take(species_id, j)
        r = edge_vectors(graph).square().sum(1).sqrt()
        pair = self.pair_energy(r, first, second)
        return 0.5 * scatter_sum(pair, i, len(species_id))

    def pair_energy(self, r: Tensor, first: Tensor, second: Tensor) -> Float[Tensor, " E"]:
        """Repulsion of pairs of atoms, eV.

        Args:
            r: Distances, [E], Å.
            first: Local element numbers of one atom of each pair, [E].
            second: Those of the other, [E].
        """
        z_i, z_j = take(self.z, first), take(self.z, second)
        length = LENGTH / (z_i**POWER + z_j**POWER)
        fc = smooth(r, self.cutoffs[first, second])
        return COULOMB * z_i * z_j / r * screening(r / length) * fc

    def hyper_parameters(self) -> dict[str, Any]:
        """Plain values that rebuild this term."""
        return {"species": list(self.species), "cutoff": self.given_cutoff}

    def extra_repr(self) -> str:
        """Elements and cutoff for ``print``."""
        return f"{', '.join(map(symbol, self.species))}; cutoff={self.cutoff:g} Å"


def screening(x: Tensor) -> Tensor:
    """phi(x), the universal screening function."""
    return torch.stack(
        [f * torch.exp(-e * x) for f, e in zip(FACTORS, EXPONENTS, strict=True)]
    ).sum(0)


def smooth(r: Tensor, cutoff: Tensor) -> Tensor:
    """f_c of distances with a cutoff of their own, [E]."""
    return CutoffFunction("poly2")(r / cutoff, 1.0)
