"""More elements: what a model knows about the others stays exactly so, for every model."""

from pathlib import Path

import ase
import numpy as np
import pytest
import torch
from ase.build import molecule

from nnmd_graph.graph import AtomicGraph
from nnmd_graph.models import Potential
from nnmd_graph.models.extension import extend_species

pytestmark = pytest.mark.usefixtures("float64")

ADDED = ("B", 92)
"""Between and behind the elements of the structure."""


def predict(potential: Potential, atoms: ase.Atoms) -> dict[str, np.ndarray]:
    graph = AtomicGraph.from_atoms(atoms, potential.cutoff, dtype=torch.float64)
    return {name: value.numpy() for name, value in potential(graph).items()}


def check_same(old: Potential, new: Potential, atoms: ase.Atoms) -> None:
    expected, found = predict(old, atoms), predict(new, atoms)
    for name, value in expected.items():
        tolerance = 1e-12 * max(1.0, np.abs(value).max())
        np.testing.assert_allclose(found[name], value, rtol=0, atol=tolerance, err_msg=name)


def test_old_elements_stay_exact_and_new_ones_are_there(model, tmp_path: Path) -> None:
    """The mixture has finite forces, and the file gives the same."""
    atoms = molecule("CH3OH", cell=[4.1, 4.4, 4.7], pbc=(True, True, False))
    potential = model(atoms, 2.5)
    extended = extend_species(potential, ADDED)
    assert extended.species == tuple(sorted({*potential.species, 5, 92}))
    check_same(potential, extended, atoms)
    atoms.numbers[[0, 2]] = 92, 5
    found = predict(extended, atoms)
    assert all(np.isfinite(value).all() for value in found.values())
    extended.save(tmp_path / "extended.pt")
    loaded = predict(Potential.load(tmp_path / "extended.pt"), atoms)
    assert all((found[name] == loaded[name]).all() for name in found)
