"""A new element is taken for the known one that is nearest."""

import math
from typing import Any

import ase
import pytest
import torch
from ase.build import bulk

from nnmd_graph.graph import AtomicGraph
from nnmd_graph.models import BPNN, GCNN, Potential
from nnmd_graph.models.extension import extend_species
from nnmd_graph.representations import ACSF, G2, G5
from nnmd_graph.representations.range_scaling import RangeScaler
from nnmd_graph.training.adapting import adapt_features, scalings
from nnmd_graph.training.preparation import fit_features

pytestmark = pytest.mark.usefixtures("float64")

CUTOFF = 4.0
FUNCTIONS = [
    G2(eta=1.0, r_s=1.5),
    G2(eta=1.0, r_s=2.8),
    G5(eta=0.05, zeta=1.0, lam=-1.0),
    G5(eta=0.05, zeta=4.0, lam=1.0),
]


def oxides(metal: str = "Ti", every: int = 1) -> list[ase.Atoms]:
    """Rattled crystals; ``metal`` stands in every so many places of titanium."""
    frames = []
    for seed in range(4):
        atoms = bulk("TiO", "rocksalt", a=4.2, cubic=True)
        atoms.rattle(0.15, seed=seed)
        titanium = [n for n, symbol in enumerate(atoms.symbols) if symbol == "Ti"]
        atoms.symbols[titanium[::every]] = metal
        frames.append(atoms)
    return frames


def graphs(frames: list[ase.Atoms]) -> list[AtomicGraph]:
    return [AtomicGraph.from_atoms(atoms, CUTOFF) for atoms in frames]


@pytest.fixture(params=["element", "range", "stack"])
def old(request: pytest.FixtureRequest) -> Potential:
    acsf = ACSF(["O", "Ti"], CUTOFF, FUNCTIONS)
    model: Any = BPNN(acsf, (6,))
    if request.param == "range":
        model.scaler = RangeScaler(2, acsf.num_features, "scale")
    if request.param == "stack":
        model = GCNN(["O", "Ti"], CUTOFF, "schnet", 1, 6, 4, stack_on=acsf)
    potential = Potential(model)
    fit_features(potential, graphs(oxides()), seed=0)
    return potential.eval()


@pytest.mark.slow
@pytest.mark.parametrize(("metal", "every"), [("Zr", 1), ("Zr", 2), ("Hf", 3)])
def test_energies_are_those_with_the_known_element_in_its_place(
    old: Potential, metal: str, every: int
) -> None:
    new = extend_species(old, metal).eval()
    data = graphs(oxides(metal, every))
    changed = adapt_features(scalings(new, data, 0, known=old.species), math.inf, alike=True)
    assert changed
    for graph, twin in zip(data, graphs(oxides()), strict=True):
        torch.testing.assert_close(new(graph)["energy"], old(twin)["energy"], rtol=0, atol=1e-7)
    for graph in graphs(oxides()):  # and those of the old elements remain
        torch.testing.assert_close(new(graph)["energy"], old(graph)["energy"], rtol=0, atol=1e-7)


def test_features_add_up() -> None:
    acsf = ACSF(["O", "Ti", "Zr"], CUTOFF, FUNCTIONS)
    merged = acsf.merged_features((8, 22), 3)
    assert merged is not None
    mixed, pure = graphs(oxides("Zr", 2))[0], graphs(oxides())[0]
    x, wanted = acsf(mixed), acsf(pure)
    for s, z in enumerate((8, 22, 40)):
        rows = mixed.z == z
        torch.testing.assert_close(x[rows] @ merged[s], wanted[rows], atol=1e-10, rtol=0)


def test_nothing_is_merged_where_no_element_is_new() -> None:
    acsf = ACSF(["O", "Ti"], CUTOFF, FUNCTIONS)
    assert acsf.merged_features((8, 22), 2) is None
