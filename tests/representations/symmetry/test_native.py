"""The native core gives what tensor operations give: values, both products with the Jacobian."""

import copy
from typing import Any

import ase
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import grad

from nnmd_graph.graph import AtomicGraph, edge_vectors
from nnmd_graph.models import BPNN, Potential
from nnmd_graph.models.evaluators import Chunked, Wanted
from nnmd_graph.nn.cutoff import CUTOFF_FUNCTIONS, NO_INNER_RADIUS
from nnmd_graph.representations import ACSF, G1, G2, G3, G4, G5, SymmetryFunction
from nnmd_graph.representations.symmetry import native
from nnmd_graph.representations.symmetry.kernels import native_plan
from nnmd_graph.representations.symmetry.polynomials import (
    POLYNOMIALS,
    PolynomialNarrow,
    PolynomialRadial,
    PolynomialWide,
)

pytestmark = pytest.mark.usefixtures("float64", "natively")

SPECIES = ("H", "C", "O")
R_C = 4.0


def structure(seed: int, *, size: int = 14, pbc: bool = True) -> ase.Atoms:
    """Atoms at random, not on top of each other; one far away, and none of the last element."""
    rng = np.random.default_rng(seed)
    cell = np.diag([5.0, 6.0, 40.0]) + rng.uniform(-0.5, 0.5, (3, 3))
    place: list[np.ndarray] = []
    while len(place) < size:
        new = rng.random(3) * [1.0, 1.0, 0.15] @ cell
        if all(np.linalg.norm(new - old) > 0.8 for old in place):
            place.append(new)
    place.append(np.array([0.5, 0.5, 0.6]) @ cell)
    symbols = rng.choice(["H", "C"], len(place))
    return ase.Atoms(symbols, place, cell=cell, pbc=pbc)


def both(acsf: ACSF, graph: AtomicGraph) -> tuple[dict[str, Any], dict[str, Any]]:
    """Values, J^T w and J u, by the native core and by tensor operations."""
    generator = torch.Generator().manual_seed(1)
    results = []
    w = torch.randn(graph.num_nodes, acsf.num_features, generator=generator).to(graph.pos.dtype)
    u = torch.randn(graph.num_edges, 3, generator=generator).to(graph.pos.dtype)
    for way in (lambda vec, moved: acsf(moved), acsf._by_tensors):
        moved, weight = copy.copy(graph), w.clone().requires_grad_()
        moved.edge_vec = edge_vectors(graph).detach().requires_grad_()
        x = way(moved.edge_vec, moved)
        (back,) = grad(x, moved.edge_vec, weight, create_graph=True)
        if not back.requires_grad:  # tensor operations have no edges to differentiate
            back = back + 0.0 * weight.sum()
        (change,) = grad(back, weight, u)
        results.append({"values": x.detach(), "vjp": back.detach(), "jvp": change})
    assert acsf._in_core is not None
    return results[0], results[1]


def check(acsf: ACSF, graph: AtomicGraph, values: float = 1e-12, products: float = 1e-11) -> None:
    found, wanted = both(acsf, graph)
    for name, limit in {"values": values, "vjp": products, "jvp": products}.items():
        most = float(wanted[name].abs().max()) if wanted[name].numel() else 0.0
        torch.testing.assert_close(found[name], wanted[name], rtol=limit, atol=limit * most)


@pytest.mark.parametrize("cutoff_function", CUTOFF_FUNCTIONS)
@pytest.mark.parametrize("inner", [0.0, 0.3])
def test_every_function_with_every_cutoff_function(functions, cutoff_function, inner) -> None:
    if inner and cutoff_function in NO_INNER_RADIUS:
        pytest.skip(f"{cutoff_function} has no inner radius")
    options = {"cutoff_function": cutoff_function, "inner_cutoff": inner}
    acsf = ACSF(SPECIES, R_C, functions, **options)
    check(acsf, AtomicGraph.from_atoms(structure(3), 4.3))


@pytest.mark.parametrize("core", POLYNOMIALS)
@pytest.mark.parametrize("weighted", [False, True])
def test_every_window(core: str, weighted: bool) -> None:
    angles = ((0.0, 90.0), (30.0, 150.0), (-60.0, 60.0), (90.0, 270.0))
    functions = [PolynomialRadial(r_l=r, polynomial=core, weighted=weighted) for r in (-R_C, 1.0)]
    functions += [
        kind(r_l=r, theta_l=low, theta_h=high, polynomial=core, weighted=weighted)
        for kind in (PolynomialNarrow, PolynomialWide)
        for r in (-R_C, 0.5)
        for low, high in angles
    ]
    check(ACSF(SPECIES, R_C, functions), AtomicGraph.from_atoms(structure(4), R_C))


def test_widths_that_are_multiples_of_others() -> None:
    """One exponential serves them, also where rounding makes 2.9999999999999996 of 0.3 / 0.1."""
    widths = (0.3, 0.1, 0.7, 0.0, 3.2, 0.15)
    functions = [
        *(G2(eta=eta, r_s=r_s) for eta in (*widths, -0.1) for r_s in (0.0, 1.2)),
        *(G4(eta=eta, zeta=2.0, lam=1.0) for eta in widths),
        *(G5(eta=eta, zeta=2.0, lam=1.0, r_s=0.3) for eta in widths),
    ]
    check(ACSF(SPECIES, R_C, functions), AtomicGraph.from_atoms(structure(2), R_C))


NUMBERS = st.floats(0.0, 2.0).map(lambda x: round(x, 3))
ZETA = st.one_of(st.integers(1, 64).map(float), st.floats(0.3, 20.0))
COMMON = {
    "cutoff": st.one_of(st.none(), st.floats(1.0, R_C)),
    "centre": st.sampled_from([None, "H", "O"]),
    "weighted": st.booleans(),
}
ANGULAR = {"eta": NUMBERS, "zeta": ZETA, "lam": st.sampled_from([1.0, -1.0, 0.5]), "r_s": NUMBERS}
RADIAL = [
    st.builds(G1, **COMMON),
    st.builds(G2, eta=NUMBERS, r_s=NUMBERS, **COMMON),
    st.builds(G3, kappa=NUMBERS, **COMMON),
]
FUNCTIONS = st.one_of(*RADIAL, *(st.builds(kind, **ANGULAR, **COMMON) for kind in (G4, G5)))


@pytest.mark.slow
@settings(max_examples=40)
@given(
    functions=st.lists(FUNCTIONS, min_size=1, max_size=12, unique=True),
    seed=st.integers(0, 9),
    pbc=st.booleans(),
    name=st.sampled_from(["cosine", "tanh3", "poly2"]),
)
def test_sets_at_random(functions: list[SymmetryFunction], seed: int, pbc: bool, name: str) -> None:
    acsf = ACSF(SPECIES, R_C, functions, cutoff_function=name)
    check(acsf, AtomicGraph.from_atoms(structure(seed, pbc=pbc), R_C))


def test_float32(functions) -> None:
    acsf = ACSF(SPECIES, R_C, functions)
    check(acsf, AtomicGraph.from_atoms(structure(5), R_C, dtype=torch.float32), 1e-4, 1e-4)


def test_sums_of_float32_lose_no_digits() -> None:
    acsf = ACSF(("Cu",), 6.0, [G2(eta=0.01), G5(eta=0.001, zeta=1.0, lam=1.0)])
    atoms = ase.build.bulk("Cu", cubic=True) * (2, 2, 2)
    single, double = (
        acsf(AtomicGraph.from_atoms(atoms, 6.0, dtype=dtype)).double()
        for dtype in (torch.float32, torch.float64)
    )
    torch.testing.assert_close(single, double, rtol=1e-6, atol=0.0)


@pytest.mark.parametrize(("symbols", "distance"), [("", 0.0), ("H", 0.0), ("HC", 9.0), ("OO", 1.0)])
def test_few_atoms_or_none(functions, symbols: str, distance: float) -> None:
    atoms = ase.Atoms(symbols, [[n * distance, 0.0, 0.0] for n in range(len(symbols))])
    check(ACSF(SPECIES, R_C, functions), AtomicGraph.from_atoms(atoms, R_C))


@pytest.mark.slow
def test_many_neighbors(functions) -> None:
    """More pairs than a strip has, and neighbours that fill no whole vector."""
    atoms = structure(6, size=60)
    acsf = ACSF(SPECIES, R_C, functions)
    graph = AtomicGraph.from_atoms(atoms, R_C)
    assert torch.bincount(graph.edge_index[1]).max() > 40
    check(acsf, graph)


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_jacobian_is_what_the_pullback_multiplies_with(functions, dtype, limit: float) -> None:
    acsf = ACSF(SPECIES, R_C, functions)
    graph = AtomicGraph.from_atoms(structure(6, size=40), R_C + 0.3, dtype=dtype)
    x, jacobian = acsf.jacobian(graph)
    same, pullback = acsf.native(graph).with_pullback(graph)
    assert torch.equal(x, same)
    w = torch.randn_like(x)
    by_edge = (jacobian * w[graph.edge_index[1]].unsqueeze(1)).sum(-1)
    torch.testing.assert_close(by_edge, pullback(w), rtol=limit, atol=limit)


def test_order_of_edges_and_longer_lists_change_nothing(functions) -> None:
    acsf = ACSF(SPECIES, R_C, functions)
    x = acsf(AtomicGraph.from_atoms(structure(3), R_C))
    graph = AtomicGraph.from_atoms(structure(3), 5.0)
    order = torch.randperm(graph.num_edges)
    graph.edge_index = graph.edge_index[:, order]
    graph.edge_cell_shift = graph.edge_cell_shift[order]
    torch.testing.assert_close(acsf(graph), x, rtol=1e-12, atol=1e-14)


def test_chunks_change_nothing(functions, monkeypatch) -> None:
    model = BPNN(ACSF(SPECIES, R_C, functions)).eval()
    graph = AtomicGraph.from_atoms(structure(7), R_C)
    evaluate = Chunked(model.energy_of_features, model.species, model.fixed.chunks)
    wanted = Wanted(forces=True, stress=True, gradients=False)
    whole = evaluate(graph, wanted)
    monkeypatch.setattr(native, "MAX_EDGES", 50)
    chunks = list(model.fixed.chunks(graph))
    assert len(chunks) > 3
    assert torch.equal(torch.cat([chunk.x for chunk in chunks]), model.fixed(graph))
    apart = evaluate(graph, wanted)
    for name in whole:
        torch.testing.assert_close(apart[name], whole[name], rtol=1e-12, atol=1e-12)


def test_training_on_forces_has_the_gradients_of_autograd(functions) -> None:
    torch.manual_seed(2)
    potential = Potential(BPNN(ACSF(SPECIES, R_C, functions))).train()
    graph = AtomicGraph.from_atoms(structure(8), R_C)
    found = []
    for moving in (False, True):  # positions that want gradients take the way of autograd
        own = copy.copy(graph)
        own.pos = graph.pos.clone().requires_grad_(moving)
        out = potential(own)
        loss = out["forces"].square().sum() + out["stress"].square().sum() + out["energy"].sum()
        weights = [p for p in potential.parameters() if p.requires_grad]
        found.append([*grad(loss, weights, allow_unused=True, materialize_grads=True)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_second_derivatives_by_positions(functions) -> None:
    graph = AtomicGraph.from_atoms(structure(9, size=6), R_C)
    acsf = ACSF(SPECIES, R_C, functions)
    second = []
    for way in (lambda vec, moved: acsf(moved), acsf._by_tensors):
        moved = copy.copy(graph)
        moved.pos = graph.pos.clone().requires_grad_()
        x = way(edge_vectors(moved), moved)
        (first,) = grad(x.square().sum(), moved.pos, create_graph=True)
        second.append(grad(first.square().sum(), moved.pos)[0])
    torch.testing.assert_close(*second, rtol=1e-9, atol=1e-9)


def test_a_function_of_ones_own_takes_the_other_way() -> None:
    class Own(G2):
        def radial_key(self) -> Any:
            return SymmetryFunction.radial_key(self)

        def radial(self, dist: torch.Tensor) -> torch.Tensor:
            return torch.exp(-self.eta * dist)

    acsf = ACSF(("H", "C"), R_C, [Own(eta=1.0), G2(eta=1.0)])
    graph = AtomicGraph.from_atoms(structure(1), R_C)
    acsf(graph)
    assert acsf._in_core is None and acsf.native(graph) is None


def test_every_name_has_a_number() -> None:
    assert set(native_plan.CUTOFFS) == set(CUTOFF_FUNCTIONS)
    assert set(native_plan.CORES) == {name.removesuffix("a") for name in POLYNOMIALS}
