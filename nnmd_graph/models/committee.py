"""Committee: several potentials as one, with their mean and spread."""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
from ase.data import chemical_symbols
from torch import Tensor, nn

from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.models.evaluators import Prediction
from nnmd_graph.models.potential import Potential


class CommitteePrediction(Prediction, total=False):
    """Output of a committee: means, and the spread of its members."""

    energy_uncertainty: Tensor
    forces_uncertainty: Tensor


class Committee(nn.Module):
    r"""Mean of M potentials, and their standard deviation as a measure of uncertainty.

    .. math:: E = \frac{1}{M} \sum_m E_m, \quad F = \frac{1}{M} \sum_m F_m, \quad
        \sigma_E^2 = \frac{1}{M} \sum_m (E_m - E)^2

    and the same for each force component and the stress. F is the gradient of E, so that energy is
    conserved. What the members have in common, the data and the model, :math:`\sigma` does not see:
    it is small where all are wrong alike. Source: C. Schran, K. Brezina, O. Marsalek, J. Chem.
    Phys. 153, 104105 (2020), doi 10.1063/5.0016004.

    Args:
        potentials: Members, two or more, of the same elements; trained with other seeds or on
            other parts of the data.

    Raises:
        ValueError: If there are fewer than two, or their elements differ.
        TypeError: If one is not a Potential.
    """

    def __init__(self, potentials: Iterable[Potential]) -> None:
        super().__init__()
        members = list(potentials)
        for potential in members:
            if not isinstance(potential, Potential):
                raise TypeError(
                    f"`potentials`: expected Potentials, got {type(potential).__name__}; read "
                    "files with Committee.load"
                )
        if len(members) < 2:
            raise ValueError(
                f"`potentials`: expected two or more, got {len(members)}; one alone has no spread"
            )
        elements = [", ".join(chemical_symbols[z] for z in p.species) for p in members]
        if len(set(elements)) > 1:
            raise ValueError(
                f"`potentials`: expected the same elements, got {elements}; train them on the same "
                "set"
            )
        self.potentials = nn.ModuleList(members)

    @classmethod
    def load(
        cls, paths: Iterable[str | os.PathLike[str]], device: str | torch.device = "cpu"
    ) -> Committee:
        """Read members written by ``Potential.save``, in evaluation mode.

        Raises:
            FileNotFoundError: If a file is not there.
            ValueError: If a file is damaged or foreign, or the members do not fit together.
        """
        if isinstance(paths, (str, os.PathLike)):
            raise TypeError(f"`paths`: expected a list of files, got {str(paths)!r}; write [...]")
        return cls(Potential.load(path, device) for path in paths)

    @property
    def members(self) -> list[Potential]:
        """The potentials."""
        return list(self.potentials)  # type: ignore[arg-type]  # of modules, to mypy

    @property
    def species(self) -> tuple[int, ...]:
        """Elements, sorted atomic numbers."""
        return self.members[0].species

    @property
    def cutoff(self) -> float:
        """Radius in Å that graphs must reach: the largest one of the members."""
        return max(potential.cutoff for potential in self.members)

    @property
    def quantities(self) -> tuple[str, ...]:
        """Names of what all members predict beside energy, forces and stress."""
        every = [set(potential.quantities) for potential in self.members]
        return tuple(n for n in self.members[0].quantities if n in set.intersection(*every))

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the first member."""
        return self.members[0].dtype

    @property
    def device(self) -> torch.device:
        """Device of the first member."""
        return self.members[0].device

    def forward(
        self,
        graph: AtomicGraph,
        *,
        forces: bool = True,
        stress: bool = True,
        heads: bool = True,
    ) -> CommitteePrediction:
        """Predict one structure or a batch.

        Args:
            graph: AtomicGraph or Batch of them.
            forces: Whether forces are wanted.
            stress: Whether stress is wanted.
            heads: Whether what heads predict is wanted.

        Returns:
            Those of ``Potential``, means over the members; energy_uncertainty [B] eV and, with
            forces, forces_uncertainty [N, 3] eV/Å.

        Raises:
            ValueError: See ``Potential``.
        """
        asked = {"forces": forces, "stress": stress, "heads": heads}
        each = [potential(graph, **asked) for potential in self.members]
        stacked = {
            name: torch.stack([out[name] for out in each])
            for name in each[0]
            if all(name in out for out in each)
        }
        # mypy: names of a TypedDict must be literals; these are the ones of Prediction.
        out: CommitteePrediction = {name: t.mean(0) for name, t in stacked.items()}  # type: ignore[assignment]
        out["energy_uncertainty"] = stacked["energy"].std(0, correction=0)
        if forces:
            out["forces_uncertainty"] = stacked["forces"].std(0, correction=0)
        return out

    def extra_repr(self) -> str:
        """Number of members for ``print``."""
        return f"{len(self.members)} members; cutoff={self.cutoff} Å"
