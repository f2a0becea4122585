"""Energy terms: whatever gives each atom of a graph an energy."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.graph.neighbors import check_cutoff
from nnmd_graph.models.evaluators import Autograd, Evaluator
from nnmd_graph.nn.part import Part, arguments_of
from nnmd_graph.nn.species import species_tuple

Own = TypeVar("Own", bound="EnergyTerm")


class EnergyTerm(Part):
    r"""One term of the energy of a structure, :math:`E = \sum_i E_i`.

    A subclass says the energy of each atom; forces, stress, MD and model files follow from it::

        class Spring(ng.EnergyTerm):
            def __init__(self):
                super().__init__(species=["Cu"], cutoff=3.5)

            def atomic_energy(self, graph):
                stretch = edge_vectors(graph).norm(dim=1) - 2.5
                return scatter_sum(0.25 * stretch**2, graph.edge_index[1], len(graph.z))

        potential = ng.Potential(Spring())

    Compute from :func:`nnmd_graph.graph.geometry.edge_vectors`, give edges beyond the cutoff
    nothing (graphs may reach further), vanish smoothly there, and never write to the graph.

    Args:
        species: Elements, symbols or atomic numbers.
        cutoff: Radius in Å that graphs must reach.

    Raises:
        ValueError: If there is no element, or the cutoff is no positive number.
    """

    species: tuple[int, ...]
    cutoff: float

    def __init__(self, species: Iterable[int | str] | int | str, cutoff: float) -> None:
        super().__init__()
        self.species = species_tuple(species)
        self.cutoff = check_cutoff(cutoff)
        # Gives terms without parameters a floating-point type and a device
        self.register_buffer("one", torch.ones(()), persistent=False)

    one: Tensor

    @abstractmethod
    def atomic_energy(self, graph: AtomicGraph) -> Float[Tensor, " N"]:
        """Energies of the atoms of one structure or a batch, [N], eV."""

    def forward(self, graph: AtomicGraph) -> Float[Tensor, " N"]:
        """The same as :meth:`atomic_energy`."""
        return self.atomic_energy(graph)

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the computation."""
        return self.one.dtype

    @property
    def device(self) -> torch.device:
        """Device of the computation."""
        return self.one.device

    @property
    def terms(self) -> tuple[EnergyTerm, ...]:
        """Terms of which it is the sum; itself, if it is no sum."""
        return (self,)

    @property
    def quantities(self) -> tuple[str, ...]:
        """Names of further predictions beside energy, forces and stress."""
        return ()

    def outputs(self, graph: AtomicGraph) -> dict[str, Tensor]:
        """The ``quantities`` of a graph, by name."""
        return {}

    def evaluator(self, graph: AtomicGraph, *, training: bool) -> Evaluator:
        """The road to forces and stress for a graph.

        Args:
            graph: One structure or a batch, in the dtype and on the device of this term.
            training: Whether outputs are to carry gradients.
        """
        return Autograd(self.atomic_energy)

    def hyper_parameters(self) -> dict[str, Any]:
        """Plain values, or parts, that rebuild this term without its weights.

        Here: elements and cutoff, as far as the class takes them.

        Raises:
            ValueError: If the class takes other arguments, too, and does not say them.
        """
        return arguments_of(self, {"species": list(self.species), "cutoff": self.cutoff})

    def extended(self: Own, species: tuple[int, ...]) -> Own:
        """A new term of this kind that knows these elements, to carry the weights over to."""
        values = self.hyper_parameters()
        if "species" not in values:
            raise ValueError(
                f"`species`: expected a term that can be made for other elements, got "
                f"{type(self).__name__}; give its __init__ an argument `species`"
            )
        values = values | {"species": list(species)}
        return type(self).from_hyper_parameters(values).to(self.device, self.dtype)


class PlainTerm(EnergyTerm):
    """A module of any class, graph -> atomic energies [N], as an energy term.

    Args:
        module: Offers ``species`` and ``cutoff``.

    Raises:
        TypeError: If it does not.
    """

    def __init__(self, module: nn.Module) -> None:
        missing = [name for name in ("species", "cutoff") if getattr(module, name, None) is None]
        if missing or not isinstance(module, nn.Module):
            raise TypeError(
                f"`model`: expected an energy model with species and cutoff, got "
                f"{type(module).__name__} without {' and '.join(missing) or 'a module'}; pass for "
                "example BPNN(ACSF.auto(...)), or derive it from nnmd_graph.EnergyTerm"
            )
        given: Any = module  # torch declares unknown attributes of a module as tensors
        super().__init__(given.species, float(given.cutoff))
        self.module = module

    def atomic_energy(self, graph: AtomicGraph) -> Float[Tensor, " N"]:
        """Atomic energies of the module, [N], eV."""
        return self.module(graph)

    def hyper_parameters(self) -> dict[str, Any]:
        """The module, which is registered if it is to be saved."""
        return {"module": self.module}

    def carry_over(self, old: nn.Module, index: Sequence[int]) -> None:
        """Refuse: the module does not state its elements.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            f"`potential`: expected terms that can be carried over to more elements, got "
            f"{type(self.module).__name__}; derive it from nnmd_graph.EnergyTerm"
        )
