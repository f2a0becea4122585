"""The physics battery: every model over every kind of structure.

A new model joins by a factory in MODELS, a new kind of structure by a builder in SYSTEMS; every
test of this folder then runs over it. A factory gets a structure and a cutoff, and returns a
potential in float64 with random weights whose energy varies well around that structure: physics
does not care whether a potential was trained.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk, fcc111, graphene, molecule
from torch_geometric.data import Batch

from nnmd_graph.graph import AtomicGraph
from nnmd_graph.models import BPNN, GCNN, Potential
from nnmd_graph.nn.species import species_ids
from nnmd_graph.representations import ACSF, G1, G2, G3, G4, G5, EmbeddedACSF
from nnmd_graph.representations.polynomial_functions import (
    PolynomialNarrow,
    PolynomialRadial,
    PolynomialWide,
)

# -- structures: (atoms, cutoff) --------------------------------------------------------------


def crystal() -> tuple[ase.Atoms, float]:
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=1)
    return atoms, 4.0


def triclinic() -> tuple[ase.Atoms, float]:
    cell = [[3.4, 0.0, 0.0], [1.4, 3.2, 0.0], [-1.0, 1.1, 3.3]]
    scaled = [[0.1, 0.2, 0.1], [0.5, 0.6, 0.4], [0.2, 0.6, 0.8]]
    return ase.Atoms("SiO2", scaled_positions=scaled, cell=cell, pbc=True), 4.2


def left_handed() -> tuple[ase.Atoms, float]:
    cell = [[0.0, 4.0, 0.3], [4.5, 0.0, 0.0], [0.5, 0.0, 5.0]]
    scaled = [[0.1, 0.1, 0.2], [0.6, 0.5, 0.3], [0.2, 0.6, 0.7], [0.7, 0.1, 0.8]]
    return ase.Atoms("Li4", scaled_positions=scaled, cell=cell, pbc=True), 4.7


def slab() -> tuple[ase.Atoms, float]:
    """Two periodic directions of three; a cell with vacuum, so there is a volume."""
    atoms = fcc111("Al", (1, 1, 3), vacuum=4.0)
    atoms.rattle(0.1, seed=2)
    return atoms, 4.5


def sheet() -> tuple[ase.Atoms, float]:
    """The third cell vector is zero: no volume, no stress."""
    atoms = graphene(size=(2, 1, 1))
    atoms.symbols[1] = "O"
    atoms.rattle(0.1, seed=3)
    return atoms, 3.5


def wire() -> tuple[ase.Atoms, float]:
    positions = [[0, 0, 0], [1.9, 0.4, 0.9], [-0.3, 1.8, 1.7], [1.6, 2.2, 2.6]]
    return ase.Atoms("AuCuAuCu", positions, cell=[0, 0, 3.4], pbc=(False, False, True)), 4.5


def ethanol() -> tuple[ase.Atoms, float]:
    return molecule("CH3CH2OH"), 4.0


def one_atom() -> tuple[ase.Atoms, float]:
    """The cutoff spans more than two cells; by symmetry there is no force."""
    cell = [[2.0, 0.1, 0.0], [0.4, 2.1, -0.2], [0.0, 0.3, 1.9]]
    return ase.Atoms("H", cell=cell, pbc=True), 4.4


def unwrapped() -> tuple[ase.Atoms, float]:
    atoms = ase.Atoms("NaClNaCl", cell=[4.1, 4.3, 4.6], pbc=True)
    atoms.set_scaled_positions([[0, 0, 0], [0.5, 0.1, 0.0], [0.4, 0.6, 0.5], [0.1, 0.4, 0.6]])
    atoms.positions += np.array([[0, 0, 0], [3, -1, 0], [0, 12, -7], [-1, 0, 40]]) @ atoms.cell
    return atoms, 4.5


SYSTEMS = [crystal, triclinic, left_handed, slab, sheet, wire, ethanol, one_atom, unwrapped]

# -- models -----------------------------------------------------------------------------------


def bpnn_cosine(atoms: ase.Atoms, cutoff: float) -> Potential:
    """One net per element of the structure: a single net for the structures of one element."""
    functions = [
        G2(eta=0.1),
        G2(eta=0.8, r_s=2.0),
        G4(eta=0.02, zeta=1.0, lam=1.0),
        G4(eta=0.02, zeta=4.0, lam=-1.0),
    ]
    return made(BPNN(ACSF(atoms.numbers, cutoff, functions), (8, 6)), atoms)


def bpnn_tanh3(atoms: ase.Atoms, cutoff: float) -> Potential:
    """Every function with every parameter, and an element that the structure lacks."""
    functions = [
        G1(),
        G2(eta=0.5, r_s=1.5),
        G2(eta=0.3, cutoff=0.8 * cutoff),
        G3(kappa=1.2),
        G4(eta=0.03, zeta=2.5, lam=-1.0, r_s=0.5),
        G4(eta=0.01, zeta=2.0, lam=1.0, cutoff=0.9 * cutoff),
        G5(eta=0.02, zeta=4.0, lam=1.0),
        G5(eta=0.05, zeta=1.5, lam=0.6, r_s=1.0),
    ]
    acsf = ACSF([*atoms.numbers, "Ag"], cutoff, functions, cutoff_function="tanh3")
    return made(BPNN(acsf, (8, 6), "softplus"), atoms)


def bpnn_auto(atoms: ase.Atoms, cutoff: float) -> Potential:
    """The default set, smaller; where there are many neighbours it does without triplets."""
    options = {"num_radial": 5, "num_angular": 2, "zeta": (1.0, 2.0, 4.0)}
    return made(BPNN(ACSF.auto(atoms.numbers, cutoff, **options), (10,), "silu"), atoms)


def bpnn_embedded(atoms: ase.Atoms, cutoff: float) -> Potential:
    functions = [
        G2(eta=0.5, r_s=1.0),
        G4(eta=0.05, zeta=2.0, lam=1.0),
        G5(eta=0.1, zeta=3.0, lam=-1.0),
    ]
    embedded = EmbeddedACSF(atoms.numbers, cutoff, functions, embedding_dim=2)
    return made(BPNN(embedded, (10,), "silu"), atoms)


def bpnn_shared(atoms: ase.Atoms, cutoff: float) -> Potential:
    """One net for all elements, functions combined, and an element that the structure lacks."""
    functions = [
        G2(eta=0.5, r_s=1.0),
        G5(eta=0.1, zeta=3.0, lam=-1.0),
        G5(eta=0.2, zeta=1.0, lam=1.0),
    ]
    embedded = EmbeddedACSF([*atoms.numbers, "Ag"], cutoff, functions, channels=5)
    return made(BPNN(embedded, (10, 8), readout="shared"), atoms)


def bpnn_every_kind(atoms: ase.Atoms, cutoff: float) -> Potential:
    functions = [
        G2(eta=0.4, r_s=0.5, weighted=True),
        G4(eta=0.03, zeta=1.0, lam=-1.0, weighted=True),
        PolynomialRadial(r_l=0.3, polynomial="p3a"),
        PolynomialNarrow(r_l=-cutoff, theta_l=20.0, theta_h=150.0, polynomial="p3"),
        PolynomialWide(r_l=-cutoff, theta_l=10.0, theta_h=170.0, polynomial="e", cutoff=cutoff),
        G5(eta=0.05, zeta=2.5, lam=1.0, centre=int(atoms.numbers[0])),
    ]
    acsf = ACSF(atoms.numbers, cutoff, functions, cutoff_function="poly3", inner_cutoff=0.2)
    return made(BPNN(acsf, (10,)), atoms)


def gcnn(atoms: ase.Atoms, cutoff: float, conv: str, scale: float = 1.0, **options: Any):
    """Small; one net for all elements unless told otherwise."""
    potential = made(GCNN(atoms.numbers, cutoff, conv, 2, 8, 5, **options), atoms)
    potential.model.baseline.scale.mul_(scale)  # features that are averages vary little
    return potential


def gcnn_schnet(atoms: ase.Atoms, cutoff: float) -> Potential:
    return gcnn(atoms, cutoff, "schnet", 4.0, radial="gaussian")


def gcnn_cgcnn(atoms: ase.Atoms, cutoff: float) -> Potential:
    return gcnn(atoms, cutoff, "cgcnn")


def gcnn_painn(atoms: ase.Atoms, cutoff: float) -> Potential:
    return gcnn(atoms, cutoff, "painn")


def gcnn_tensornet(atoms: ase.Atoms, cutoff: float) -> Potential:
    return gcnn(atoms, cutoff, "tensornet")


def gcnn_gat(atoms: ase.Atoms, cutoff: float) -> Potential:
    return gcnn(atoms, cutoff, "gat", 10.0, conv_options={"heads": 2}, readout="element")


def gcnn_pyg(atoms: ase.Atoms, cutoff: float) -> Potential:
    """A convolution of PyG as it is, one that divides by sums over neighbours."""
    options = {"heads": 2, "concat": False}
    return gcnn(atoms, cutoff, "torch_geometric.nn.TransformerConv", 10.0, conv_options=options)


def gcnn_stacked(atoms: ase.Atoms, cutoff: float) -> Potential:
    """Vectors on top of symmetry functions that reach less far, one net per element."""
    acsf = ACSF(atoms.numbers, 0.9 * cutoff, [G2(eta=0.4), G5(eta=0.02, zeta=2.0, lam=-1.0)])
    potential = gcnn(atoms, cutoff, "painn", stack_on=acsf, readout="element")
    graph = AtomicGraph.from_atoms(atoms, cutoff, dtype=torch.float64)
    f = acsf(graph).repeat(60, 1)
    f *= 1.0 + 0.3 * torch.randn(f.shape, generator=torch.Generator().manual_seed(1)).to(f)
    ids = species_ids(graph.z, acsf.species).repeat(60)
    potential.model.representation.scaler.fit(f, ids)
    return potential


MODELS = [
    bpnn_cosine,
    bpnn_tanh3,
    bpnn_auto,
    bpnn_embedded,
    bpnn_shared,
    bpnn_every_kind,
    gcnn_schnet,
    gcnn_cgcnn,
    gcnn_painn,
    gcnn_tensornet,
    gcnn_gat,
    gcnn_pyg,
    gcnn_stacked,
]


def made(model: torch.nn.Module, atoms: ase.Atoms) -> Potential:
    """Fit the scaling around a structure, and set a baseline."""
    model = model.double()
    graph = AtomicGraph.from_atoms(atoms, model.cutoff, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        x = model.fixed(graph).repeat(60, 1)
        x *= 1.0 + 0.3 * torch.randn(x.shape, generator=generator, dtype=x.dtype)
        model.fit_features(x, species_ids(graph.z, model.species).repeat(60))
        for weight in model.parameters():
            noise = torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
            weight.add_(0.2 * noise)
    model.baseline.set({z: -0.5 * z for z in model.species}, scale=1.7)
    return Potential(model).eval()


# -- fixtures ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A potential and a structure for it; tests change copies only."""

    potential: Potential
    atoms: ase.Atoms

    @property
    def has_volume(self) -> bool:
        return bool(self.atoms.cell.volume > 0)

    def graph(self, atoms: ase.Atoms | None = None, cutoff: float | None = None) -> AtomicGraph:
        atoms = self.atoms if atoms is None else atoms
        return AtomicGraph.from_atoms(atoms, cutoff or self.potential.cutoff, dtype=torch.float64)

    def predict(self, *structures: ase.Atoms) -> dict[str, np.ndarray]:
        """Energy, atomic energies, forces and stress of structures, in one batch."""
        batch = Batch.from_data_list([self.graph(atoms) for atoms in structures])
        return {name: value.numpy() for name, value in self.potential(batch).items()}


POTENTIALS: dict[tuple[str, str], Case] = {}


@pytest.fixture(params=SYSTEMS, ids=lambda f: f.__name__)
def system(request: pytest.FixtureRequest) -> Callable[[], tuple[ase.Atoms, float]]:
    return request.param


@pytest.fixture(params=MODELS, ids=lambda f: f.__name__)
def model(request: pytest.FixtureRequest) -> Callable[[ase.Atoms, float], Potential]:
    return request.param


@pytest.fixture
def case(model, system) -> Case:
    """Every model with every structure; made once for all tests."""
    key = (model.__name__, system.__name__)
    if key not in POTENTIALS:
        atoms, cutoff = system()
        POTENTIALS[key] = Case(model(atoms, cutoff), atoms)
    return POTENTIALS[key]


@pytest.fixture
def make_case() -> type[Case]:
    """For structures of a test's own: `make_case(model(atoms, cutoff), atoms)`."""
    return Case


@pytest.fixture
def same() -> Callable[..., None]:
    """Compare energy, forces and stress of two predictions."""

    def check(one: dict, other: dict, names: Sequence[str] = ("energy", "forces", "stress")):
        for name in names:
            np.testing.assert_allclose(one[name], other[name], rtol=1e-9, atol=1e-9, err_msg=name)

    return check
