"""Quantities that potentials predict and data sets label: one row for each.

Labels, fields of graphs, terms of the loss, errors and their units, columns of logs, plots and
properties of the calculator are derived from this table. Energy, forces and stress are there for
every potential; the others come from heads, see :mod:`nnmd_graph.models.heads`.
"""

from __future__ import annotations

from dataclasses import dataclass

from nnmd_graph.errors import check_choice

MILLI = 1e-3
DEBYE = 0.20819433
"""One debye in e Å."""


@dataclass(frozen=True)
class Quantity:
    """One quantity.

    Attributes:
        name: What it is called in graphs, labels, losses and predictions.
        of: "structure" or "atom": what it belongs to.
        shape: Of one of them: () for a number, (3,) for a vector.
        unit: Of the numbers.
        shown_unit: Of its errors in tables and plots.
        shown_size: One of these in `unit`: 1e-3 where `unit` is eV and errors are shown in meV.
        per_atom: Whether errors refer to the value divided by the number of atoms.
        ase: Name among the results of ASE's calculators; "": it has none.
        for_molecules: Whether it has no meaning in a periodic structure.
    """

    name: str
    of: str
    shape: tuple[int, ...]
    unit: str
    shown_unit: str
    shown_size: float
    per_atom: bool = False
    ase: str = ""
    for_molecules: bool = False

    @property
    def title(self) -> str:
        """Its name with a capital, for plots."""
        return self.name.capitalize()

    @property
    def axis_unit(self) -> str:
        """Unit of the numbers that errors refer to."""
        return f"{self.unit}/atom" if self.per_atom else self.unit

    def size(self, num_structures: int, num_atoms: int) -> tuple[int, ...]:
        """Shape for some structures with some atoms in all."""
        return (num_structures if self.of == "structure" else num_atoms, *self.shape)


ENERGY = Quantity("energy", "structure", (), "eV", "meV/atom", MILLI, per_atom=True, ase="energy")
FORCES = Quantity("forces", "atom", (3,), "eV/Å", "meV/Å", MILLI, ase="forces")
STRESS = Quantity("stress", "structure", (3, 3), "eV/Å³", "meV/Å³", MILLI, ase="stress")
DIPOLE = Quantity(
    "dipole", "structure", (3,), "e Å", "mD", MILLI * DEBYE, ase="dipole", for_molecules=True
)
CHARGES = Quantity("charges", "atom", (), "e", "me", MILLI, ase="charges")

OF_EVERY_POTENTIAL = (ENERGY, FORCES, STRESS)

QUANTITIES: dict[str, Quantity] = {
    quantity.name: quantity for quantity in (*OF_EVERY_POTENTIAL, DIPOLE, CHARGES)
}


def register_quantity(quantity: Quantity) -> Quantity:
    """Add a quantity of one's own to the table.

    Raises:
        ValueError: If another one has the name, or the name is none.
    """
    if QUANTITIES.get(quantity.name, quantity) != quantity or not quantity.name.isidentifier():
        raise ValueError(
            f"`quantity`: expected a name of its own, a word, got {quantity.name!r}; rename it"
        )
    QUANTITIES[quantity.name] = quantity
    return quantity


def quantity_of(name: str, argument: str = "quantity") -> Quantity:
    """The quantity of a name.

    Raises:
        ValueError: If there is none.
    """
    check_choice(argument, name, QUANTITIES, "register it with register_quantity")
    return QUANTITIES[name]
