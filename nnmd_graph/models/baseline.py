"""Baseline of an energy model: isolated-atom energies and the scale of the net's output."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from nnmd_graph.nn.origins import Origins
from nnmd_graph.nn.scatter import take


class Baseline(nn.Module):
    """E_i = E0_s + scale * e_i with s the element of atom i and e_i the net's output.

    E0 stays in float64 whatever the model's dtype: all-electron energies of thousands of eV would
    lose meV in float32. The sum is float64 for the same reason.

    Args:
        species: Elements of the model, sorted atomic numbers.

    Attributes:
        isolated_energies: E0 of each element, [S], eV.
        scale: Energy of one unit of the net's output, eV.
        fitted: Whether values were set; training then leaves them alone.
    """

    isolated_energies: Tensor
    scale: Tensor
    fitted: Tensor

    def __init__(self, species: tuple[int, ...]) -> None:
        super().__init__()
        self.species = species
        self.register_buffer("isolated_energies", torch.zeros(len(species), dtype=torch.float64))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("fitted", torch.zeros((), dtype=torch.bool))

    def forward(self, e: Tensor, species_id: Tensor) -> Tensor:
        """Atomic energies in eV, [N], float64."""
        return take(self.isolated_energies, species_id) + (self.scale * e).double()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Baseline:
        energies = self.isolated_energies
        super()._apply(fn, recurse)
        self.isolated_energies = energies.to(self.scale.device)
        return self

    @torch.no_grad()
    def carry_over(self, old: Baseline, origins: Origins) -> None:
        """Take over scale and E0; those of new elements are zero."""
        for name in ("scale", "fitted"):
            self.get_buffer(name).copy_(old.get_buffer(name))
        for s, z in enumerate(origins.new):
            known = origins.is_known(s)
            e0 = old.isolated_energies[old.species.index(z)] if known else torch.zeros(())
            self.isolated_energies[s] = e0

    @torch.no_grad()
    def set(self, isolated_energies: Mapping[int, float], scale: float) -> None:
        """Set E0 in eV by atomic number, and the scale in eV.

        Raises:
            ValueError: If an element of the model has no energy or the scale is not positive.
        """
        missing = [z for z in self.species if z not in isolated_energies]
        if missing:
            raise ValueError(
                f"`isolated_energies`: expected every element of the model, got none for {missing} "
                "(atomic numbers); give their energies in eV"
            )
        if not scale > 0.0:
            raise ValueError(
                f"`scale`: expected a positive number, got {scale}; give an energy in eV"
            )
        energies = [float(isolated_energies[z]) for z in self.species]
        self.isolated_energies.copy_(torch.tensor(energies, dtype=torch.float64))
        self.scale.fill_(scale)
        self.fitted.fill_(True)
