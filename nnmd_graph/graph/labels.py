"""Labels: the reference energy, forces and stress of a structure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ase
import numpy as np
import torch
from ase.stress import full_3x3_to_voigt_6_stress, voigt_6_to_full_3x3_stress
from numpy.typing import ArrayLike, NDArray

from nnmd_graph.quantities import QUANTITIES, Quantity, quantity_of
from nnmd_graph.units import EV_AND_ANGSTROM, LabelUnits

Key = str | Sequence[str] | None
"""Name of a label, or several of which each frame has one ("energy,dft_energy" or a list)."""

MAX_ASYMMETRY = 1e-4
"""eV/Å^3; mirror elements of a stress may differ by this, or by 5 % of the largest element."""


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of a structure; None where there is none. Checked when made.

    Attributes:
        energy: total energy, eV.
        forces: [N, 3], eV/Å; NaN in all three components of some atoms: no label for these.
        stress: [3, 3], symmetric, tension positive (ASE's sign), eV/Å^3; may be given as 6 (Voigt:
            xx, yy, zz, yz, xz, xy) or 9 numbers.
        weight: what the structure counts for in training, positive; None: the graph has none.
        more: labels of further quantities (:mod:`nnmd_graph.quantities`) by name, in the shape of
            the quantity, [N, ...] for one of atoms; None for one that this structure lacks.

    Raises:
        ValueError: a label is NaN or infinite (the forces of all atoms, if they are NaN), or has
            the wrong shape; the weight is not positive.
    """

    energy: float | None = None
    forces: NDArray[np.float64] | None = None
    stress: NDArray[np.float64] | None = None
    weight: float | None = None
    more: Mapping[str, NDArray[np.float64] | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check and convert every label."""
        for name, check in _CHECKS.items():
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, check(value))
        checked = {
            name: None if value is None else _of_quantity(quantity_of(name, "quantities"), value)
            for name, value in self.more.items()
        }
        object.__setattr__(self, "more", checked)

    def get(self, name: str) -> Any:
        """The label of a quantity; None where there is none."""
        return self.more.get(name) if name not in _CHECKS else getattr(self, name)

    def results(self) -> dict[str, Any]:
        """Energy, forces and stress that are there, as a calculator of ASE holds them."""
        stress = None if self.stress is None else full_3x3_to_voigt_6_stress(self.stress)
        values = {"energy": self.energy, "forces": self.forces, "stress": stress}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def has_force(self) -> NDArray[np.bool_] | None:
        """Which atoms have a force as label, [N]; None without forces."""
        if self.forces is None:
            return None
        mask: NDArray[np.bool_] = np.isfinite(self.forces.sum(axis=1))
        return mask

    @property
    def num_atoms_without_force(self) -> int:
        """Number of atoms without a force, where others of the structure have one."""
        return 0 if self.has_force is None else int(np.count_nonzero(~self.has_force))

    def check_num_atoms(self, num_atoms: int) -> None:
        """Refuse forces of a structure with another number of atoms.

        Raises:
            ValueError: `forces`, or another label of atoms, has not `num_atoms` rows.
        """
        of_atoms = {n: v for n, v in self.more.items() if QUANTITIES[n].of == "atom"}
        for name, value in {"forces": self.forces, **of_atoms}.items():
            if value is not None and len(value) != num_atoms:
                raise ValueError(
                    f"`{name}`: expected shape {[num_atoms, *QUANTITIES[name].shape]} for "
                    f"{num_atoms} atoms, got {list(value.shape)}; give one row per atom"
                )


def key_names(key: Key) -> tuple[str, ...]:
    """Names that a key stands for; the first one that a frame has counts."""
    if key is None:
        return ()
    names = key.split(",") if isinstance(key, str) else key
    return tuple(name.strip() for name in names)


def is_virial_name(name: str) -> bool:
    """Tell whether a name denotes a virial in eV, not a stress."""
    return "virial" in name.lower() and "stress" not in name.lower()


def read_labels(
    atoms: ase.Atoms,
    *,
    energy_key: Key = None,
    forces_key: Key = None,
    stress_key: Key = None,
    virial_key: Key = None,
    weight_key: str | None = None,
    quantities: Mapping[str, Key] | None = None,
    units: LabelUnits = EV_AND_ANGSTROM,
) -> Labels:
    """Read the labels that a structure carries; nothing is ever computed.

    Without a key a label is taken from the stored results of `atoms.calc` (`energy`, else
    `free_energy`; `forces`; `stress`). With a key it is taken from `atoms.info[key]` or
    `atoms.arrays[key]`, else from the results under that name; other spellings are not guessed.
    Of several names (`"energy,dft_energy"`, or a list) the first that the structure has counts.

    Args:
        atoms: a structure, as `ase.io.read` gives it.
        energy_key: name of the energy, eV.
        forces_key: name of the forces, eV/Å.
        stress_key: name of the stress, eV/Å^3, tension positive; 6 (Voigt), 9 or 3x3 numbers.
        virial_key: name of the virial, -V times the stress, in the unit of energies, as GAP, NEP
            and dpdata have it; the stress comes from it where it is there. A `stress_key` that is
            called a virial is one.
        weight_key: name of the weight in `atoms.info`; without it no weight is read.
        quantities: further labels that are wanted, with their keys or None, {"dipole": "mu"}; in e
            and Å, whatever the units are.
        units: of the numbers in the structure; default: eV and Å.

    Returns:
        The labels; None for each one that is not there.

    Raises:
        ValueError: a label is not finite or has the wrong shape, or the stored results belong to
            another structure.
    """
    results = dict(getattr(atoms.calc, "results", None) or {})

    def find(key: Sequence[str], *names: str) -> Any:
        for name in key or names:
            for table in (atoms.info, atoms.arrays) if key else ():
                if table.get(name) is not None:
                    return table[name]
            if results.get(name) is not None:
                _check_results_are_current(atoms)
                return results[name]
        return None

    stresses, virials = key_names(stress_key), key_names(virial_key)
    virials += tuple(name for name in stresses if is_virial_name(name))
    stresses = tuple(name for name in stresses if name not in virials)
    stress = _times("stress", find(stresses, "stress"), units.stress)
    virial = find(virials) if virials else None
    if virial is not None:
        volume = atoms.cell.volume * units.length**3
        virial = _times("virial", virial, units.energy)
        stress = -virial / volume if volume > 0 and virial is not None else None
    labels = Labels(
        energy=_times("energy", find(key_names(energy_key), "energy", "free_energy"), units.energy),
        forces=_times("forces", find(key_names(forces_key), "forces"), units.forces),
        stress=stress,
        weight=None if weight_key is None else atoms.info.get(weight_key),
        more={
            name: None
            if QUANTITIES[name].for_molecules and atoms.pbc.any()
            else find(_names(name, key), QUANTITIES[name].ase or name)
            for name, key in (quantities or {}).items()
        },
    )
    labels.check_num_atoms(len(atoms))
    return labels


def _names(quantity: str, key: Key) -> tuple[str, ...]:
    """Names of a further quantity in a structure; () for that of ASE's results."""
    return key_names(key) or (() if QUANTITIES[quantity].ase else (quantity,))


def _times(name: str, value: Any, factor: float) -> Any:
    """A label in eV and Å, not yet checked."""
    if value is None or factor == 1.0 and name != "virial":
        return value
    return _finite(name, value) * factor


def check_range(labels: Labels, dtype: torch.dtype) -> None:
    """Refuse numbers that are infinite in another floating type; energies are always float64.

    Raises:
        ValueError: a label is finite, and would not be in `dtype`.
    """
    largest = torch.finfo(dtype).max
    for name in ("forces", "stress", "weight", *labels.more):
        value = labels.get(name)
        if value is None:
            continue
        array = np.nan_to_num(np.asarray(value), nan=0.0)
        where = np.unravel_index(np.abs(array).argmax(), array.shape)
        if abs(array[where]) <= largest:
            continue
        of_atoms = name in QUANTITIES and QUANTITIES[name].of == "atom"
        place = f" for atom {where[0]}" if of_atoms else ""
        kind = str(dtype).removeprefix("torch.")
        raise ValueError(
            f"`{name}`: expected numbers that {kind} can hold, got {array[where]:g}{place}; remove "
            "the frame, or take `dtype` float64"
        )


def _check_results_are_current(atoms: ase.Atoms) -> None:
    """Refuse results of other coordinates: several frames with one calculator, edited frames."""
    old = getattr(atoms.calc, "atoms", None)
    if old is None or _same_structure(atoms, old):
        return
    raise ValueError(
        "`atoms`: expected labels of these coordinates, got results in `atoms.calc` that belong to "
        "other positions, cell or elements (the structure was changed afterwards, or several "
        "frames share one calculator); store the labels of each frame in an "
        "ase.calculators.singlepoint.SinglePointCalculator, or in `atoms.info` and `atoms.arrays` "
        "under keys that you name"
    )


def _same_structure(new: ase.Atoms, old: ase.Atoms) -> bool:
    """Compare up to periodic lattice vectors, since `atoms.wrap()` changes no energy."""
    if len(new) != len(old) or (new.numbers != old.numbers).any():
        return False
    if not np.allclose(new.cell.array, old.cell.array, rtol=0, atol=1e-8):
        return False
    if not np.isfinite(new.positions).all():
        return True  # the graph refuses it, with the reason
    move = new.positions - old.positions
    box = new.cell.complete().array
    if np.abs(move).max(initial=0.0) > 1e-6 and abs(np.linalg.det(box)) > 1e-6:
        move -= np.where(new.pbc, np.round(move @ np.linalg.inv(box)), 0.0) @ box
    return bool(np.abs(move).max(initial=0.0) < 1e-6)


def _numbers(name: str, value: ArrayLike) -> NDArray[np.float64]:
    try:
        return np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`{name}`: expected numbers, got {value!r}; check the key it was read from"
        ) from error


def _finite(name: str, value: ArrayLike) -> NDArray[np.float64]:
    array = _numbers(name, value)
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        where = f" at {bad[0].tolist()}" if array.ndim else ""
        raise ValueError(
            f"`{name}`: expected finite numbers, got {array[tuple(bad[0])]}{where}; "
            "remove the frame, or leave the label out"
        )
    return array


def _energy(value: ArrayLike) -> float:
    array = _finite("energy", value)
    if array.size != 1:
        raise ValueError(
            f"`energy`: expected one number in eV, got shape {list(array.shape)}; "
            "give the total energy"
        )
    return float(array.item())


def _forces(value: ArrayLike) -> NDArray[np.float64]:
    array = _numbers("forces", value)
    if array.ndim != 2 or array.shape[1] != 3:
        raise ValueError(
            f"`forces`: expected shape [N, 3], got {list(array.shape)}; "
            "give one row of x, y, z per atom"
        )
    missing = np.isnan(array).all(axis=1)
    if missing.all() or not np.isfinite(array[~missing]).all():
        _finite("forces", array)  # says where: some atoms may lack a label, not all of them
    return array


def _stress(value: ArrayLike) -> NDArray[np.float64]:
    array = _finite("stress", value)
    if array.shape == (6,):
        return np.asarray(voigt_6_to_full_3x3_stress(array), dtype=np.float64)
    if array.shape not in ((9,), (3, 3)):
        raise ValueError(
            "`stress`: expected 6 (Voigt: xx, yy, zz, yz, xz, xy), 9 or 3x3 numbers, got shape "
            f"{list(array.shape)}"
        )
    array = array.reshape(3, 3)
    asymmetry = np.abs(array - array.T).max()
    if asymmetry > max(MAX_ASYMMETRY, 0.05 * np.abs(array).max()):
        raise ValueError(
            "`stress`: expected a symmetric 3x3 matrix, got mirror elements that differ by "
            f"{asymmetry:.3g} eV/Å^3; check the order and the unit of its numbers"
        )
    return (array + array.T) / 2


def _of_quantity(quantity: Quantity, value: ArrayLike) -> NDArray[np.float64]:
    array = _finite(quantity.name, value)
    if quantity.of == "structure":
        if array.size != math.prod(quantity.shape):
            raise ValueError(
                f"`{quantity.name}`: expected {math.prod(quantity.shape)} numbers in "
                f"{quantity.unit}, got shape {list(array.shape)}; check the key it was read from"
            )
        return array.reshape(quantity.shape)
    if array.ndim == 0 or array.size != len(array) * math.prod(quantity.shape):
        raise ValueError(
            f"`{quantity.name}`: expected shape {['N', *quantity.shape]}, got "
            f"{list(array.shape)}; give one row per atom"
        )
    return array.reshape(len(array), *quantity.shape)


def _weight(value: ArrayLike) -> float:
    array = _finite("weight", value)
    if array.size != 1 or not array.item() > 0.0:
        raise ValueError(
            f"`weight`: expected one positive number, got {array.tolist()!r}; leave the frame out "
            "if it is not to count"
        )
    return float(array.item())


_CHECKS = {"energy": _energy, "forces": _forces, "stress": _stress, "weight": _weight}
