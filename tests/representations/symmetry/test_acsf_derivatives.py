"""Derivatives of G1 to G5: forces need the first, training on forces the second."""

import copy

import ase
import pytest
import torch
from torch.autograd import grad, gradcheck, gradgradcheck

from nnmd_graph.graph import edge_vectors
from nnmd_graph.nn.cutoff import CUTOFF_FUNCTIONS, NO_INNER_RADIUS
from nnmd_graph.representations import ACSF, G1, G2, G3, G4, G5
from nnmd_graph.representations.symmetry import acsf as acsf_module
from nnmd_graph.representations.symmetry.kernels import tables
from nnmd_graph.representations.symmetry.polynomials import (
    POLYNOMIALS,
    PolynomialNarrow,
    PolynomialRadial,
    PolynomialWide,
)

pytestmark = pytest.mark.usefixtures("float64", "either_way")
R_C = 4.0
FUNCTIONS = {
    "G1": [G1(), G1(cutoff=2.0)],
    "G2": [G2(eta=0.5, r_s=0.7), G2(eta=1.5)],
    "G3": [G3(kappa=1.9)],
    "G4": [
        G4(eta=0.1, zeta=3.0, lam=1.0),
        G4(eta=0.2, zeta=1.0, lam=-1.0, r_s=0.5),
        G4(eta=0.1, zeta=2.5, lam=0.5),
    ],
    "G5": [
        G5(eta=0.1, zeta=4.0, lam=-1.0),
        G5(eta=0.2, zeta=1.0, lam=1.0, r_s=0.5),
        G5(eta=0.1, zeta=2.5, lam=1.0, cutoff=3.0),
    ],
    "G4 without shift": [
        G4(eta=eta, zeta=zeta, lam=lam)
        for eta in (0.02, 0.3)
        for zeta, lam in ((1.0, 1.0), (2.5, -1.0))
    ],
    "weighted": [
        G2(eta=0.5, r_s=0.7, weighted=True),
        G4(eta=0.1, zeta=2.0, lam=1.0, weighted=True),
        G5(eta=0.1, zeta=2.0, lam=-1.0, weighted=True),
    ],
    "PolynomialRadial": [
        PolynomialRadial(r_l=low, polynomial=core, weighted=low > 0.0)
        for core in POLYNOMIALS
        for low in (-R_C, 0.3)
        if core != "p1"  # the second derivative of p1 jumps at the ends of the window
    ],
    "PolynomialNarrow": [
        PolynomialNarrow(r_l=-R_C, theta_l=20.0, theta_h=150.0, polynomial="p3"),
        PolynomialNarrow(r_l=-R_C, theta_l=-100.0, theta_h=100.0, polynomial="p4a"),
        PolynomialNarrow(r_l=-R_C, theta_l=90.0, theta_h=270.0, polynomial="e", weighted=True),
    ],
    "PolynomialWide": [
        PolynomialWide(r_l=-R_C, theta_l=20.0, theta_h=150.0, polynomial="p3"),
        PolynomialWide(r_l=-R_C, theta_l=-100.0, theta_h=100.0, polynomial="p4a"),
        PolynomialWide(r_l=-R_C, theta_l=90.0, theta_h=270.0, polynomial="e", weighted=True),
    ],
}
each = pytest.mark.parametrize("kind", FUNCTIONS)
both = pytest.mark.parametrize("cutoff_function", ["cosine", "tanh3"])


def bent() -> ase.Atoms:
    return ase.Atoms("OHC", [[0, 0, 0], [0.9, 0.3, 0.1], [-0.4, 1.3, 0.2]])


def straight() -> ase.Atoms:
    """Exactly collinear, the angles are 0 and 180 degrees: acos and norm would give NaN here."""
    return ase.Atoms("OHC", [[0, 0, 0], [0, 0, 1.0], [0, 0, -1.25]])


def crystal() -> ase.Atoms:
    """Sees its own images, two of them always in opposite directions."""
    cell = [[2.4, 0.0, 0.3], [0.5, 2.6, 0.0], [0.0, -0.4, 2.5]]
    return ase.Atoms("C", cell=cell, pbc=True)


def of_pos_and_cell(acsf: ACSF, graph):
    def x(pos: torch.Tensor, cell: torch.Tensor) -> torch.Tensor:
        moved = copy.copy(graph)
        moved.pos, moved.cell = pos, cell
        return acsf(moved)

    return x, (graph.pos.clone().requires_grad_(), graph.cell.clone().requires_grad_())


@pytest.mark.slow
@pytest.mark.parametrize("cutoff_function", CUTOFF_FUNCTIONS)
@pytest.mark.parametrize("inner", [0.0, 0.3])
def test_derivatives_with_every_cutoff_function(graph_of, cutoff_function: str, inner) -> None:
    if inner and cutoff_function in NO_INNER_RADIUS:
        pytest.skip("has no inner radius")
    functions = [
        G2(eta=0.5, r_s=0.7),
        G3(kappa=1.9),
        G4(eta=0.1, zeta=3.0, lam=1.0),
        G4(eta=0.2, zeta=1.0, lam=-1.0, r_s=0.5, weighted=True),
        G5(eta=0.1, zeta=2.5, lam=0.5),
    ]
    acsf = ACSF("H", R_C, functions, cutoff_function=cutoff_function, inner_cutoff=inner)
    atoms = bent()
    atoms.numbers[:] = 1
    x, arguments = of_pos_and_cell(acsf, graph_of(atoms))
    assert gradcheck(x, arguments, fast_mode=True)
    assert gradgradcheck(x, arguments, fast_mode=True)


@pytest.mark.slow
@each
@pytest.mark.parametrize("make", [bent, straight, crystal])
def test_first_and_second_derivatives(graph_of, kind: str, make) -> None:
    if make is straight and kind in ("PolynomialNarrow", "PolynomialWide"):
        pytest.skip("as in n2p2, windows around 0 or 180 degrees leave straight lines out")
    acsf = ACSF(("C", "H", "O"), R_C, FUNCTIONS[kind])
    x, arguments = of_pos_and_cell(acsf, graph_of(make(), 2.7 if make is crystal else R_C))
    assert gradcheck(x, arguments, fast_mode=True)
    assert gradgradcheck(x, arguments, fast_mode=True)


@pytest.mark.slow
@pytest.mark.parametrize("make", [bent, straight, crystal])
def test_derivatives_of_wide_sums_either_way(graph_of, integer_powers, way, make) -> None:
    acsf = ACSF(("C", "H", "O"), R_C, integer_powers)
    x, arguments = of_pos_and_cell(acsf, graph_of(make(), 2.7 if make is crystal else R_C))
    assert gradcheck(x, arguments, fast_mode=True)
    assert gradgradcheck(x, arguments, fast_mode=True)


@pytest.mark.slow
def test_gradient_equals_central_differences(graph_of, functions, atoms) -> None:
    acsf, step = ACSF(("C", "H", "O"), R_C, functions), 1e-5
    graph = graph_of(atoms)
    weights = torch.randn(len(atoms), acsf.num_features)
    pos = graph.pos.clone().requires_grad_()
    moved = copy.copy(graph)
    moved.pos = pos
    (gradient,) = grad((weights * acsf(moved)).sum(), pos)
    for n, axis in [(0, 0), (1, 1), (2, 2)]:
        values = []
        for sign in (1, -1):  # new neighbour lists, too
            shifted = atoms.copy()
            shifted.positions[n, axis] += sign * step
            values.append((weights * acsf(graph_of(shifted))).sum().item())
        numerical = (values[0] - values[1]) / (2 * step)
        assert gradient[n, axis].item() == pytest.approx(numerical, rel=1e-6, abs=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("zeta", [1.0, 1.5, 2.0, 2.5, 16.0])
@pytest.mark.parametrize("kind", [G4, G5])
def test_collinear_atoms_give_numbers(graph_of, kind, zeta: float) -> None:
    functions = [kind(eta=0.1, zeta=zeta, lam=lam) for lam in (1.0, -1.0)]
    acsf = ACSF(("C", "H", "O"), R_C, functions)
    for direction in ([0, 0, 1.0], [1.0, 1.0, 1.0], [0.3, -0.7, 0.2]):
        atoms = straight()
        atoms.rotate([0, 0, 1.0], direction)
        x, (pos, cell) = of_pos_and_cell(acsf, graph_of(atoms))
        (first,) = grad(x(pos, cell).square().sum(), pos, create_graph=True)
        (second,) = grad(first.square().sum(), pos)
        assert bool(first.isfinite().all() and second.isfinite().all())
        jacobian = acsf.jacobian(graph_of(atoms))[1]
        assert bool(jacobian.isfinite().all())


@each
def test_slope_vanishes_at_the_cutoff(graph_of, kind: str) -> None:
    functions = [f for f in FUNCTIONS[kind] if f.cutoff is None]
    step = 1e-7
    atoms = ase.Atoms("HHH", [[0, 0, 0], [R_C - step, 0, 0], [0, 1.0, 0]])
    x, (pos, cell) = of_pos_and_cell(ACSF("H", R_C, functions), graph_of(atoms))
    (gradient,) = grad(x(pos, cell).sum(), pos)
    assert gradient[1].abs().max() < 10 * step


def same_as_autograd(jacobian, x, vec, graph, limit: float) -> None:
    """Random combinations of the features of each atom, differentiated either way."""
    centre = graph.edge_index[1]
    for _ in range(5):
        w = torch.randn_like(x)
        (expected,) = grad((w * x).sum(), vec, retain_graph=True)
        ours = (jacobian * w[centre].unsqueeze(1)).sum(-1)
        torch.testing.assert_close(ours, expected, rtol=1e-9, atol=10 * limit)


@pytest.mark.slow
@both
def test_jacobian_equals_autograd(graph_of, functions, atoms, cutoff_function: str) -> None:
    acsf = ACSF(("C", "H", "O"), R_C, functions, cutoff_function=cutoff_function)
    graph = graph_of(atoms, R_C + 0.3)  # some edges lie outside
    vec = edge_vectors(graph).requires_grad_()
    values, jacobian = acsf.jacobian(graph)
    graph.edge_vec = vec
    x = acsf(graph)
    torch.testing.assert_close(values, x, rtol=1e-12, atol=1e-14)
    same_as_autograd(jacobian, x, vec, graph, 1e-12)


@pytest.mark.slow
def test_jacobian_of_wide_sums_equals_autograd(graph_of, integer_powers, atoms, way) -> None:
    acsf = ACSF(("C", "H", "O"), R_C, integer_powers)
    graph = graph_of(atoms, R_C + 0.3)
    vec = edge_vectors(graph).requires_grad_()
    values, jacobian = acsf.jacobian(graph)
    graph.edge_vec = vec
    x = acsf(graph)
    torch.testing.assert_close(values, x, rtol=1e-12, atol=1e-13)
    same_as_autograd(jacobian, x, vec, graph, 1e-11)


@pytest.mark.slow
def test_jacobian_in_float32(graph_of, functions, atoms) -> None:
    acsf = ACSF(("C", "H", "O"), R_C, functions)
    _, double = acsf.jacobian(graph_of(atoms))
    _, single = acsf.jacobian(graph_of(atoms, dtype=torch.float32))
    assert single.dtype == torch.float32
    scale = double.abs().amax((0, 1)).clamp(min=1e-3)
    assert ((single - double) / scale).abs().max() < 1e-4


def test_jacobian_without_edges(graph_of, functions) -> None:
    acsf = ACSF(("C", "H", "O"), R_C, functions)
    x, jacobian = acsf.jacobian(graph_of(ase.Atoms("CO", [[0, 0, 0], [9, 0, 0]])))
    assert x.shape == (2, acsf.num_features) and x.abs().max() == 0.0
    assert jacobian.shape == (0, 3, acsf.num_features)


@pytest.fixture(params=["small tables", "small chunks", "nothing kept"])
def little_memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "small tables":
        monkeypatch.setitem(tables.MAX_PAIRS, "cpu", 150)
    elif request.param == "small chunks":
        monkeypatch.setitem(tables.MAX_EDGES, "cpu", 20)
    else:
        monkeypatch.setattr(acsf_module, "MAX_KEPT_EDGES", 1)


def everything(acsf: ACSF, graph) -> list[torch.Tensor]:
    """Values, gradients, double backward, jacobian."""
    generator = torch.Generator().manual_seed(0)
    w = torch.randn(graph.num_nodes, acsf.num_features, generator=generator).requires_grad_()
    target = torch.randn(graph.num_nodes, 3, generator=generator)
    x, (pos, cell) = of_pos_and_cell(acsf, graph)
    values = x(pos, cell)
    plain = grad((w * values).sum(), (pos, cell), retain_graph=True)
    by_pos, by_cell = grad((w * values).sum(), (pos, cell), create_graph=True)
    loss = (by_pos - target).square().sum() + by_cell.square().sum()
    second = grad(loss, (w, pos, cell))
    return [values, *plain, by_pos, by_cell, *second, *acsf.jacobian(graph)]


@pytest.mark.slow
def test_with_little_memory(graph_of, functions, little_memory, monkeypatch) -> None:
    acsf = ACSF(("C", "O"), R_C, [f for f in functions if not {1} & {*(f.neighbors or ())}])
    positions = [[0, 0, 0], [1.2, 0, 0.1], [-0.6, 0.9, 0.1], [-0.5, -0.9, 0.3], [0.2, 0.4, 1.3]]
    graph = graph_of(ase.Atoms("COCOC", positions))
    pieces = everything(acsf, graph)
    torch.testing.assert_close(pieces[1:3], pieces[3:5])  # with and without recording operations
    monkeypatch.undo()
    for one, other in zip(everything(acsf, graph), pieces, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-11)
