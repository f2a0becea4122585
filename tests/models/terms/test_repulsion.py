"""Screened repulsion of nuclei against published numbers, a loop, and its limits."""

import math

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk

import nnmd_graph as ng
from nnmd_graph.graph import AtomicGraph

pytestmark = pytest.mark.usefixtures("float64")


def energy(atoms: ase.Atoms, term: ng.ZBL) -> float:
    graph = AtomicGraph.from_atoms(atoms, term.cutoff, dtype=torch.float64)
    return ng.Potential(term.double()).eval()(graph)["energy"].item()


def zbl(z_i: int, z_j: int, r: float) -> float:
    """By hand, without a cutoff, eV."""
    a = 0.88534 * 0.529177211 / (z_i**0.23 + z_j**0.23)
    x = r / a
    phi = 0.18175 * math.exp(-3.1998 * x) + 0.50986 * math.exp(-0.94229 * x)
    phi += 0.28022 * math.exp(-0.4029 * x) + 0.02817 * math.exp(-0.20162 * x)
    return 14.399645 * z_i * z_j / r * phi


@pytest.mark.parametrize(
    ("pair", "r"), [("Cu2", 0.3), ("CuAu", 0.5), ("H2", 0.1), ("OTi", 0.2), ("UC", 0.05)]
)
def test_a_pair_that_is_much_closer_than_the_cutoff(pair: str, r: float) -> None:
    """The smooth step is one up to a few parts in ten thousand there."""
    atoms = ase.Atoms(pair, [[0, 0, 0], [0, 0, r]])
    term = ng.ZBL(atoms.symbols, cutoff=100 * r)
    found = energy(atoms, term)
    x = 0.01
    step = 1 - 10 * x**3 + 15 * x**4 - 6 * x**5
    assert found == pytest.approx(zbl(*atoms.numbers, r) * step, rel=1e-6)


def test_default_cutoffs_are_sums_of_covalent_radii() -> None:
    term = ng.ZBL(["Cu", "O"])
    assert term.cutoff == pytest.approx(2 * 1.32)
    for pair, reach in (("Cu2", 2.64), ("CuO", 1.98), ("O2", 1.32)):
        for r, feels in ((reach - 0.05, True), (reach + 1e-3, False)):
            assert (energy(ase.Atoms(pair, [[0, 0, 0], [0, 0, r]]), term) > 0) == feels


def test_a_crystal_equals_a_loop_over_pairs() -> None:
    atoms = bulk("NaCl", "rocksalt", a=3.0)
    atoms.rattle(0.1, seed=1)
    term, total = ng.ZBL(["Na", "Cl"], cutoff=3.2), 0.0
    graph = AtomicGraph.from_atoms(atoms, 5.0, dtype=torch.float64)  # reaches further
    for (j, i), shift in zip(graph.edge_index.T.tolist(), graph.edge_cell_shift, strict=True):
        vec = graph.pos[j] - graph.pos[i] + shift.double() @ graph.cell[0]
        x = vec.norm().item() / 3.2
        if x < 1:
            step = 1 - 10 * x**3 + 15 * x**4 - 6 * x**5
            total += 0.5 * step * zbl(int(graph.z[i]), int(graph.z[j]), vec.norm().item())
    found = ng.Potential(term.double()).eval()(graph)["energy"].item()
    assert found == pytest.approx(total, rel=1e-7)


def test_vanishes_smoothly_at_the_cutoff() -> None:
    r = torch.tensor([2.999, 3.0, 3.001], requires_grad=True)
    term, same = ng.ZBL(["Cu"], cutoff=3.0).double(), torch.zeros(3, dtype=torch.long)
    value = term.pair_energy(r, same, same)
    (slope,) = torch.autograd.grad(value.sum(), r)
    assert value[0] < 1e-6 and slope[0].abs() < 1e-3
    assert not value[1:].any() and not slope[1:].any()


def test_elements_and_files(tmp_path) -> None:
    potential = ng.Potential(ng.ZBL(["Cu", 8]))
    assert potential.species == (8, 29) and potential.net is None
    potential.save(tmp_path / "zbl.pt")
    again = ng.Potential.load(tmp_path / "zbl.pt")
    assert isinstance(again.model, ng.ZBL) and again.model.given_cutoff is None
    assert again.cutoff == potential.cutoff
    atoms = ase.Atoms("CuO", [[0, 0, 0], [0, 0, 1.2]])
    atoms.calc = ng.NNMDCalculator(tmp_path / "zbl.pt")
    forces = atoms.get_forces()
    np.testing.assert_allclose(forces[0], -forces[1])
    assert forces[1, 2] > 1.0
    with pytest.raises(ValueError, match="`cutoff`"):
        ng.ZBL(["Cu"], cutoff=-1.0)
    with pytest.raises(ValueError, match="`species`"):
        ng.ZBL([])
