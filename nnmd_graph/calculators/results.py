"""Results for ASE: plain arrays, checked, with nothing that ASE does not know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray

from nnmd_graph.elements import symbol
from nnmd_graph.quantities import OF_EVERY_POTENTIAL, QUANTITIES

UNCERTAINTIES = ("energy_uncertainty", "forces_uncertainty")


class NotFiniteError(ValueError):
    """Energy, forces or stress of a structure are not finite."""


class Results(dict[str, Any]):
    """ASE's results of one evaluation.

    As a mapping it holds what ASE has names for, so that it goes into a SinglePointCalculator and
    into files. The uncertainties of a committee are beside it, and `results["forces_uncertainty"]`
    still gives them.

    Attributes:
        uncertainty: `energy_uncertainty` eV and `forces_uncertainty` [N, 3] eV/Å of a committee;
            empty for one potential.
    """

    def __init__(self, values: Mapping[str, Any], uncertainty: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.uncertainty = dict(uncertainty)

    def __missing__(self, name: str) -> Any:
        """Return an uncertainty."""
        return self.uncertainty[name]

    def __reduce__(self) -> tuple[Any, ...]:
        """State for copies and files."""
        return type(self), (dict(self), self.uncertainty)


def results_of(output: Mapping[str, Any], atoms: Atoms, has_volume: bool) -> Results:
    """Convert a prediction to ASE's results: NumPy, float64, no memory shared with a tensor.

    Args:
        output: what a potential or a committee returned for one structure.
        atoms: the structure.
        has_volume: whether there is a stress.

    Raises:
        NotFiniteError: energy, forces or stress are not finite.
    """
    arrays: dict[str, NDArray[np.float64]] = {
        name: np.array(value.detach().cpu().numpy(), dtype=np.float64)
        for name, value in output.items()
    }
    if not has_volume:
        arrays.pop("stress", None)
    _check_finite(arrays, atoms)
    energy = float(arrays["energy"][0])
    values: dict[str, Any] = {
        "energy": energy,
        "free_energy": energy,
        "energies": arrays["atomic_energy"],
        "forces": arrays["forces"],
    }
    if has_volume:
        values["stress"] = full_3x3_to_voigt_6_stress(arrays["stress"][0])
    for name, quantity in QUANTITIES.items():
        if name in arrays and quantity.ase and quantity not in OF_EVERY_POTENTIAL:
            value = arrays[name][0] if quantity.of == "structure" else arrays[name]
            if np.isfinite(value).all():  # a crystal has no dipole moment
                values[quantity.ase] = value
    uncertainty: dict[str, Any] = {name: arrays[name] for name in UNCERTAINTIES if name in arrays}
    if "energy_uncertainty" in uncertainty:
        uncertainty["energy_uncertainty"] = float(uncertainty["energy_uncertainty"][0])
    return Results(values, uncertainty)


def _check_finite(arrays: Mapping[str, NDArray[np.float64]], atoms: Atoms) -> None:
    for name in ("forces", "atomic_energy", "energy", "stress"):
        if name not in arrays or np.isfinite(arrays[name]).all():
            continue
        where = ""
        if name in ("forces", "atomic_energy"):
            finite = np.isfinite(arrays[name].reshape(len(atoms), -1)).all(axis=1)
            atom = int(np.flatnonzero(~finite)[0])
            where = f" for atom {atom} ({symbol(int(atoms.numbers[atom]))})"
        raise NotFiniteError(
            f"`atoms`: expected a structure with finite {name.replace('_', ' ')}, got "
            f"{arrays[name][~np.isfinite(arrays[name])][0]}{where}, potential energy "
            f"{arrays['energy'][0]:.6g} eV; see whether atoms are too close, and whether the "
            "potential was trained on anything like it"
        )
