"""Structures, symmetry functions with every parameter, and the same sums as plain Python loops."""

import itertools
import math
from collections.abc import Callable

import ase
import numpy as np
import pytest
import torch
from ase.build import molecule

from nnmd_graph.graph import AtomicGraph
from nnmd_graph.representations import G1, G2, G3, G4, G5, SymmetryFunction
from nnmd_graph.representations.symmetry.kernels import moments
from nnmd_graph.representations.symmetry.polynomials import (
    PolynomialNarrow,
    PolynomialRadial,
    PolynomialWide,
)

R_C = 4.0


def ethanol() -> ase.Atoms:
    return molecule("CH3CH2OH")


def small_crystal() -> ase.Atoms:
    """Skewed and smaller than the cutoff: atoms see images of themselves, and lie outside."""
    cell = [[3.1, 0.0, 0.2], [1.4, 2.9, 0.0], [-0.5, 0.3, 3.4]]
    atoms = ase.Atoms("COH", [[0.1, 0.2, 0.3], [9.0, 1.1, 0.2], [1.4, -8.0, 1.6]], cell=cell)
    atoms.pbc = True
    return atoms


def left_handed_wire() -> ase.Atoms:
    cell = [[0.0, 8.0, 0.0], [2.3, 0.0, 0.1], [0.0, 0.4, 9.0]]
    atoms = ase.Atoms("CHHO", [[0, 0, 0], [0.9, 0.6, 0.1], [-0.2, 1.1, 0.3], [0.3, 0.2, 1.3]])
    atoms.set_cell(cell)
    atoms.pbc = (False, True, False)
    return atoms


SYSTEMS = [ethanol, small_crystal, left_handed_wire]


@pytest.fixture(params=SYSTEMS, ids=lambda make: make.__name__)
def atoms(request: pytest.FixtureRequest) -> ase.Atoms:
    """One structure of carbon, hydrogen and oxygen."""
    return request.param()


@pytest.fixture
def functions() -> list[SymmetryFunction]:
    """Every type and every parameter, in an order that no implementation would choose."""
    return [
        G5(eta=0.03, zeta=2.5, lam=-1.0),
        G2(eta=0.7),
        G4(eta=0.02, zeta=1.0, lam=1.0),
        G4(eta=0.02, zeta=4.0, lam=-1.0, r_s=0.8),
        G1(),
        G4(eta=0.05, zeta=4.0, lam=-1.0, neighbors=("O", "C")),
        G3(kappa=1.7),
        G2(eta=1.3, r_s=1.1, neighbors="O"),
        G4(eta=0.05, zeta=1.0, lam=1.0),
        G4(eta=0.02, zeta=4.0, lam=-1.0, cutoff=3.0),
        G2(eta=1.3, r_s=1.1, cutoff=2.5),
        G5(eta=0.03, zeta=16.0, lam=1.0),
        G5(eta=0.03, zeta=3.0, lam=0.4, neighbors=(1, 1)),
        G5(eta=0.1, zeta=0.7, lam=0.9, r_s=1.5, cutoff=3.5),
        G1(cutoff=1.7, neighbors=1),
        G3(kappa=0.4, neighbors=6, cutoff=3.0),
        G2(eta=0.4, r_s=2.2),
        G4(eta=0.02, zeta=2.5, lam=1.0),
        G2(eta=0.3, r_s=1.0, weighted=True),
        G4(eta=0.05, zeta=2.0, lam=-1.0, weighted=True, cutoff=3.5),
        G5(eta=0.05, zeta=2.0, lam=1.0, weighted=True),
        G2(eta=2.0, centre="O"),
        G4(eta=0.03, zeta=1.0, lam=-1.0, centre="C", neighbors=("H", "H")),
        PolynomialRadial(r_l=-4.0, polynomial="p2a"),
        PolynomialRadial(r_l=0.5, polynomial="e", weighted=True, cutoff=3.0),
        PolynomialNarrow(r_l=-4.0, theta_l=20.0, theta_h=150.0, polynomial="p3"),
        PolynomialNarrow(r_l=0.4, theta_l=-90.0, theta_h=90.0, polynomial="p1", weighted=True),
        PolynomialWide(r_l=-3.0, theta_l=60.0, theta_h=180.0, polynomial="p4a", cutoff=3.0),
        PolynomialWide(r_l=0.2, theta_l=70.0, theta_h=290.0, polynomial="ea", weighted=True),
    ]


@pytest.fixture
def integer_powers() -> list[SymmetryFunction]:
    """G5 that can do without triplets, with pairs, shifts and cutoffs of their own."""
    return [
        G5(eta=0.03, zeta=3.0, lam=-1.0),
        G5(eta=0.2, zeta=1.0, lam=1.0, r_s=1.2),
        G5(eta=0.03, zeta=16.0, lam=1.0),
        G5(eta=0.03, zeta=4.0, lam=0.4, neighbors=("O", "C")),
        G5(eta=0.1, zeta=2.0, lam=-1.0, neighbors=("H", "H"), cutoff=3.0),
        G5(eta=0.1, zeta=8.0, lam=-1.0, cutoff=3.0),
    ]


@pytest.fixture(params=["moments", "pairs"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Take wide sums by moments wherever they exist, or over pairs everywhere."""
    limit = {"moments": moments.MAX_DEGREE, "pairs": 0.0}[request.param]
    monkeypatch.setattr(
        moments.WideFamily, "divided", lambda self, *_: moments._divided(self, float(limit))
    )
    return request.param


@pytest.fixture
def graph_of() -> Callable[..., AtomicGraph]:
    def make(atoms: ase.Atoms, cutoff: float = R_C, dtype=torch.float64) -> AtomicGraph:
        return AtomicGraph.from_atoms(atoms, cutoff, dtype=dtype)

    return make


def f_c(name: str, r: float, r_c: float) -> float:
    if r >= r_c:
        return 0.0
    if name == "cosine":
        return 0.5 * (math.cos(math.pi * r / r_c) + 1.0)
    return math.tanh(1.0 - r / r_c) ** 3


def window(x: float, low: float, high: float, core: str) -> float:
    """C(x; l, h) with the cores as n2p2 writes them."""
    u = abs(x - 0.5 * (low + high)) / (0.5 * (high - low))
    if u >= 1.0:
        return 0.0
    if core.endswith("a"):
        u = u * (2.0 - u)
    return {
        "p1": lambda: (2 * u - 3) * u**2 + 1,
        "p2": lambda: ((15 - 6 * u) * u - 10) * u**3 + 1,
        "p3": lambda: (u * (u * (20 * u - 70) + 84) - 35) * u**4 + 1,
        "p4": lambda: (u * (u * ((315 - 70 * u) * u - 540) + 420) - 126) * u**5 + 1,
        "e": lambda: math.exp(1.0 - 1.0 / (1.0 - u**2)),
    }[core.removesuffix("a")]()


def neighbors_of(atoms: ase.Atoms, i: int, cutoff: float) -> list[tuple[int, np.ndarray]]:
    """Element and vector of every neighbour of atom i, by trying all images."""
    steps = [range(-7, 8) if periodic else (0,) for periodic in atoms.pbc]
    found = []
    for j, shift in itertools.product(range(len(atoms)), itertools.product(*steps)):
        vec = atoms.positions[j] - atoms.positions[i] + np.array(shift) @ atoms.cell.array
        if (j != i or any(shift)) and np.linalg.norm(vec) < cutoff:
            found.append((int(atoms.numbers[j]), vec))
    return found


def one_term(f: SymmetryFunction, name: str, *vecs: np.ndarray) -> float:
    """The term of one neighbour, or of one pair of neighbours, as printed in the paper."""
    r = [float(np.linalg.norm(vec)) for vec in vecs]
    if isinstance(f, G1):
        return f_c(name, r[0], f.cutoff)
    if isinstance(f, G2):
        return math.exp(-f.eta * (r[0] - f.r_s) ** 2) * f_c(name, r[0], f.cutoff)
    if isinstance(f, G3):
        return math.cos(f.kappa * r[0]) * f_c(name, r[0], f.cutoff)
    if isinstance(f, PolynomialRadial):
        return window(r[0], f.r_l, f.cutoff, f.polynomial)
    cos = float(vecs[0] @ vecs[1]) / (r[0] * r[1])
    if f.narrow:
        r.append(float(np.linalg.norm(vecs[1] - vecs[0])))
    if isinstance(f, PolynomialNarrow | PolynomialWide):
        theta = math.degrees(math.acos(min(max(cos, -1.0), 1.0)))
        product = window(theta, f.theta_l, f.theta_h, f.polynomial.removesuffix("a"))
        for distance in r:
            product *= window(distance, f.r_l, f.cutoff, f.polynomial)
        return product if abs(cos) < 1.0 - 1e-15 else 0.0
    value = 2.0 ** (1.0 - f.zeta) * max(1.0 + f.lam * cos, 0.0) ** f.zeta
    for distance in r:
        value *= math.exp(-f.eta * (distance - f.r_s) ** 2) * f_c(name, distance, f.cutoff)
    return value


@pytest.fixture
def brute_force() -> Callable[..., np.ndarray]:
    """Values [N, F] of an ACSF by loops over images.

    With ``ordered`` angular sums run over both orders of a pair, as in the printed formula.
    """

    def loops(atoms, acsf, cutoff=R_C, name="cosine", ordered=False) -> np.ndarray:
        x = np.zeros((len(atoms), acsf.num_features))
        for i, z in enumerate(atoms.numbers):
            around = neighbors_of(atoms, i, cutoff)
            for column, f in enumerate(acsf.functions_of(int(z))):
                tuples = itertools.permutations if ordered else itertools.combinations
                for members in tuples(around, f.order):
                    numbers = tuple(sorted(z for z, _ in members))
                    if f.weighted or numbers == f.neighbors:
                        weight = math.prod(numbers) if f.weighted else 1
                        x[i, column] += weight * one_term(f, name, *(vec for _, vec in members))
        return x

    return loops
