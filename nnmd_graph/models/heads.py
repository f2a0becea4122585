"""Heads: predictions beside the energy, from the same features.

A head is made by ``head(num_species, in_channels)``, as in ``BPNN(acsf, heads=[Charges])``, and
gives quantities of the table :mod:`nnmd_graph.quantities`, which it names.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from nnmd_graph.errors import did_you_mean
from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.graph.geometry import num_structures, structure_index
from nnmd_graph.models.readout import Carry, ElementReadout
from nnmd_graph.nn.first_layer import FirstLayer
from nnmd_graph.nn.part import Part, arguments_of
from nnmd_graph.nn.scatter import scatter_sum, take

Own = TypeVar("Own", bound="Head")

MakeHead = Callable[[int, int], "Head"]
"""(num_species, in_channels) -> head."""


class Head(Part):
    """Quantities of atoms or structures from the scaled features of the atoms.

    A subclass names the ``quantities``, holds one net per element, ``readout``, or makes nets of
    its own, and defines ``forward``.

    Args:
        num_species: Number of elements S.
        in_channels: Number of features F.
        hidden_channels: Width of each hidden layer.
        activation: See :mod:`nnmd_graph.nn.mlp`.
        seed: Seed of the initial weights.
    """

    quantities: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        num_species: int,
        in_channels: int,
        hidden_channels: Sequence[int] = (32,),
        activation: str = "silu",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.readout = ElementReadout(num_species, in_channels, hidden_channels, activation, seed)

    @abstractmethod
    def forward(
        self, x: Float[Tensor, "N F"], species_id: Int[Tensor, " N"], graph: AtomicGraph
    ) -> dict[str, Tensor]:
        """Each of the quantities, by name: [N, ...] of atoms, [B, ...] of structures."""

    def hyper_parameters(self) -> dict[str, Any]:
        """Plain values that rebuild this head, see :func:`nnmd_graph.nn.part.arguments_of`."""
        return arguments_of(self, self.readout.hyper_parameters())

    def first_layers(self, row: int, num_rows: int) -> list[FirstLayer] | None:
        """See :meth:`nnmd_graph.models.readout.Readout.first_layers`."""
        return self.readout.first_layers(row, num_rows)

    def extended(self: Own, index: Sequence[int], in_channels: tuple[Any, Any]) -> Own:
        """See :meth:`nnmd_graph.models.readout.Readout.extended`."""
        values = self.readout.extended(index, in_channels).hyper_parameters()
        return type(self).from_hyper_parameters(values)

    def carry_weights(self, old: Head, index: Sequence[int], carry: Carry) -> None:
        """See :meth:`nnmd_graph.models.readout.Readout.carry_weights`."""
        self.readout.carry_weights(old.readout, index, carry)


class Charges(Head):
    r"""Atomic charges of a neutral structure, and their dipole moment.

    .. math:: q_i = e_i - \frac{1}{N} \sum_j e_j, \quad \mu = \sum_i q_i r_i

    with e_i the output of the net of the atom's element, in e. Trained on charges, on dipole
    moments, or on both. The dipole moment of a periodic structure is NaN: it has none. Source: the
    charge-weighted positions of M. Gastegger, J. Behler, P. Marquetand, Chem. Sci. 8, 6924 (2017),
    doi 10.1039/c7sc02267k, eq. 2.

    Shapes:
        x [N, F] -> charges [N], e; dipole [B, 3], e Å.
    """

    quantities = ("charges", "dipole")

    def forward(
        self, x: Float[Tensor, "N F"], species_id: Int[Tensor, " N"], graph: AtomicGraph
    ) -> dict[str, Tensor]:
        """Charges [N] and dipole moments [B, 3]."""
        e = self.readout(x, species_id)
        structure, count = structure_index(graph), num_structures(graph)
        atoms = scatter_sum(torch.ones_like(e), structure, count)
        q = e - take(scatter_sum(e, structure, count) / atoms, structure)
        # Relative to the centre of the structure, so that no digits are lost far from the origin
        middle = scatter_sum(graph.pos, structure, count) / atoms.unsqueeze(1)
        r = graph.pos - take(middle, structure)
        dipole = scatter_sum(q.unsqueeze(1) * r, structure, count)
        periodic = graph.pbc.any(dim=1, keepdim=True)
        return {"charges": q, "dipole": dipole.masked_fill(periodic, float("nan"))}


KNOWN: dict[str, MakeHead] = {"charges": Charges}


def make_heads(heads: Iterable[str | MakeHead], num_species: int, in_channels: int) -> list[Head]:
    """Heads for a model.

    Args:
        heads: Names (``"charges"``), or what makes a head, ``(num_species, in_channels) -> Head``.
        num_species: Number of elements.
        in_channels: Number of features.

    Raises:
        ValueError: If a name is unknown.
        TypeError: If something else comes out than a Head.
    """
    made = []
    for given in [heads] if isinstance(heads, str) else heads:
        if isinstance(given, str) and given not in KNOWN:
            raise ValueError(
                f"`heads`: expected one of {list(KNOWN)}, got {given!r}"
                f"{did_you_mean(given, KNOWN) or '; or hand in a class of your own'}"
            )
        head = (KNOWN[given] if isinstance(given, str) else given)(num_species, in_channels)
        if not isinstance(head, Head):
            raise TypeError(
                f"`heads`: expected what makes a nnmd_graph.Head, got {type(head).__name__}; "
                "derive the class from it"
            )
        made.append(head)
    return made
