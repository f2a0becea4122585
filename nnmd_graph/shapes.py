"""Tensor aliases with their shapes and units, for signatures all over the package.

The letters: `N` atoms, `E` edges, `T` triplets, `B` structures, `S` species, `F` features, `K`
radial functions. A public function may also spell a shape out (`Float[Tensor, "E K"]`); an alias is
worth it where the unit matters too.
"""

from jaxtyping import Bool, Float, Int
from torch import Tensor

Positions = Float[Tensor, "N 3"]
"""Cartesian coordinates, Å."""

AtomicNumbers = Int[Tensor, " N"]
"""Atomic number Z of each atom."""

Cells = Float[Tensor, "B 3 3"]
"""Cell vectors as rows, Å; zero for a molecule."""

Periodicity = Bool[Tensor, "B 3"]
"""Which cell vectors repeat."""

EdgeIndex = Int[Tensor, "2 E"]
"""Row 0: neighbour j (source), row 1: centre i (target)."""

EdgeShifts = Int[Tensor, "E 3"]
"""Which periodic image of j, in cell vectors."""

EdgeVectors = Float[Tensor, "E 3"]
"""r_j - r_i + S·cell, Å."""

TripletIndex = Int[Tensor, " T"]
"""Edge numbers; two of them with one centre make a triplet."""

Energies = Float[Tensor, " B"]
"""Energy of each structure, eV."""

Forces = Float[Tensor, "N 3"]
"""-dE/dpos, eV/Å."""

Stresses = Float[Tensor, "B 3 3"]
"""(1/|V|) dE/dstrain, symmetric, tension positive, eV/Å^3."""

Strains = Float[Tensor, "B 3 3"]
"""Symmetric strain of each structure: r' = r + r·strain."""
