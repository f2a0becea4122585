"""Initial velocities of a simulation: those of the structure, or new ones."""

from __future__ import annotations

import math

import numpy as np
from ase import Atoms, units
from ase.md.velocitydistribution import Stationary, ZeroRotation

CHOICES = ("keep", "draw")


def start_velocities(
    atoms: Atoms, velocities: str, temperature: float, random: np.random.RandomState
) -> str:
    """Set the initial velocities of a structure.

    Args:
        atoms: keeps its momenta, or gets new ones.
        velocities: "keep" those of the structure, drift included, and draw only where it has none
            (or all are zero); "draw" new ones in any case.
        temperature: of new velocities, K.
        random: where the numbers come from.

    Returns:
        What was done, in words.

    Raises:
        ValueError: constraints leave nothing that could move, or velocities are not finite.
    """
    check_movable(atoms)
    momenta = atoms.get_momenta()
    if velocities == "draw" or not momenta.any():
        draw_velocities(atoms, temperature, random)
        return f"drawn at {temperature:g} K"
    bad = np.flatnonzero(~np.isfinite(momenta).all(axis=1))
    if len(bad):
        raise ValueError(
            f"`atoms`: expected finite velocities, got {momenta[bad[0]].tolist()} as momentum of "
            f"atom {bad[0]}; repair the start, or take velocities='draw'"
        )
    atoms.set_momenta(momenta)  # constraints remove degrees of freedom
    drift = np.linalg.norm(atoms.get_momenta().sum(axis=0)) / atoms.get_masses().sum()
    return (
        f"those of the start ({atoms.get_temperature():.1f} K, drift "
        f"{drift * 1000.0 * units.fs:.3g} Å/ps)"
    )


def check_movable(atoms: Atoms) -> None:
    """Refuse a structure in which nothing can move.

    Raises:
        ValueError: its constraints leave no degree of freedom.
    """
    probe = atoms.copy()
    probe.set_momenta(np.random.RandomState(0).standard_normal((len(atoms), 3)))
    if not probe.get_momenta().any():
        raise ValueError(
            f"`atoms`: expected atoms that can move, got {len(atoms)} that are all fixed by "
            "constraints; remove them with atoms.set_constraint()"
        )
    degrees = atoms.get_number_of_degrees_of_freedom()
    if degrees < 1:
        raise ValueError(
            f"`atoms`: expected degrees of freedom, got {degrees} by the constraints; remove those "
            "that count the same atoms twice"
        )


def draw_velocities(atoms: Atoms, temperature: float, random: np.random.RandomState) -> None:
    """Maxwell-Boltzmann velocities of exactly this temperature, without drift or rotation.

    Constrained atoms do not move along what is fixed, and their degrees of freedom do not count:
    the others have the temperature. With constraints, drift and rotation stay.

    Args:
        atoms: gets the momenta.
        temperature: K.
        random: where the numbers come from.
    """
    width = np.sqrt(atoms.get_masses() * units.kB * temperature)[:, None]
    atoms.set_momenta(random.standard_normal((len(atoms), 3)) * width)
    if len(atoms) == 1 and not atoms.constraints or temperature == 0:
        return
    if not atoms.constraints:
        Stationary(atoms, preserve_temperature=False)
        if len(atoms) > 2 and not atoms.pbc.any():
            ZeroRotation(atoms, preserve_temperature=False)
    atoms.set_momenta(atoms.get_momenta() * math.sqrt(temperature / atoms.get_temperature()))
