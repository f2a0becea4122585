"""Values of G1 to G5: by hand for two and three atoms, by plain loops for everything else."""

import dataclasses
import math

import ase
import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

from nnmd_graph.representations import ACSF, G1, G2, G3, G4, G5
from nnmd_graph.representations.symmetry.kernels.narrow import GaussianSum, NarrowSum

pytestmark = pytest.mark.usefixtures("float64", "either_way")
R_C = 4.0
FUNCTIONS = {
    "G1": G1(),
    "G2": G2(eta=0.5, r_s=0.7),
    "G3": G3(kappa=1.9),
    "G4": G4(eta=0.1, zeta=3.0, lam=1.0),
    "G5": G5(eta=0.1, zeta=3.0, lam=1.0),
}
each = pytest.mark.parametrize("f", FUNCTIONS.values(), ids=FUNCTIONS)


def cosine(r: float) -> float:
    return 0.5 * (math.cos(math.pi * r / R_C) + 1.0) if r < R_C else 0.0


def value(graph_of, f, positions, symbols: str = "", atom: int = 0) -> float:
    atoms = ase.Atoms(symbols or f"H{len(positions)}", positions)
    return ACSF(set(atoms.symbols), R_C, [f])(graph_of(atoms))[atom].sum().item()


@pytest.mark.parametrize("d", [0.5, 1.3, 2.0, 3.9])
def test_two_atoms(graph_of, d: float) -> None:
    pair = [[0, 0, 0], [0, d, 0]]
    fc = cosine(d)
    assert value(graph_of, G1(), pair) == pytest.approx(fc, rel=1e-14)
    g2 = value(graph_of, G2(eta=0.5, r_s=0.7), pair)
    assert g2 == pytest.approx(math.exp(-0.5 * (d - 0.7) ** 2) * fc, rel=1e-14)
    assert value(graph_of, G3(kappa=1.9), pair) == pytest.approx(math.cos(1.9 * d) * fc, rel=1e-14)
    assert value(graph_of, FUNCTIONS["G4"], pair) == 0.0
    assert value(graph_of, FUNCTIONS["G5"], pair) == pytest.approx(0.0, abs=1e-14)


@pytest.mark.parametrize("zeta", [1.0, 2.0, 2.5, 16.0])
@pytest.mark.parametrize("r_s", [0.0, 0.6])
def test_equilateral_triangle(graph_of, zeta: float, r_s: float) -> None:
    d = 1.4  # cos theta = 1/2 everywhere
    triangle = [[0, 0, 0], [d, 0, 0], [d / 2, d * math.sqrt(3) / 2, 0]]
    for lam in (1.0, -1.0, 0.3):
        angle = 2 ** (1 - zeta) * (1 + lam / 2) ** zeta
        side = math.exp(-0.2 * (d - r_s) ** 2) * cosine(d)
        parameters = {"eta": 0.2, "zeta": zeta, "lam": lam, "r_s": r_s}
        for atom in range(3):
            g4 = value(graph_of, G4(**parameters), triangle, atom=atom)
            g5 = value(graph_of, G5(**parameters), triangle, atom=atom)
            assert g4 == pytest.approx(angle * side**3, rel=1e-12)
            assert g5 == pytest.approx(angle * side**2, rel=1e-12)


def test_right_angle_with_two_sides(graph_of) -> None:
    corner = [[0, 0, 0], [1.0, 0, 0], [0, 2.0, 0]]
    wide = 0.5 * math.exp(-0.1 * (1 + 4)) * cosine(1) * cosine(2)  # zeta 2, cos theta = 0
    assert value(graph_of, G5(eta=0.1, zeta=2.0, lam=-1.0), corner) == pytest.approx(wide)
    narrow = wide * math.exp(-0.1 * 5) * cosine(math.sqrt(5))
    assert value(graph_of, G4(eta=0.1, zeta=2.0, lam=-1.0), corner) == pytest.approx(narrow)


@pytest.mark.parametrize("zeta", [1.0, 1.5, 4.0])
def test_straight_line(graph_of, zeta: float) -> None:
    line = [[0, 0, 0], [0, 0, 1.1], [0, 0, -1.2]]
    both = 2 * cosine(1.1) * cosine(1.2)  # 2^(1-zeta) 2^zeta
    assert value(graph_of, G5(eta=0.0, zeta=zeta, lam=-1.0), line) == pytest.approx(both)
    assert value(graph_of, G5(eta=0.0, zeta=zeta, lam=1.0), line) == pytest.approx(0.0, abs=1e-15)
    # From an end, both neighbours lie in one direction
    end = 2 * cosine(1.1) * cosine(2.3)
    assert value(graph_of, G5(eta=0.0, zeta=zeta, lam=1.0), line, atom=1) == pytest.approx(end)


def test_narrow_needs_the_third_side_wide_does_not(graph_of) -> None:
    opposite = [[0, 0, 0], [2.1, 0, 0], [-2.1, 0, 0]]  # 4.2 Å apart
    assert value(graph_of, G4(eta=0.0, zeta=1.0, lam=-1.0), opposite) == 0.0
    wide = value(graph_of, G5(eta=0.0, zeta=1.0, lam=-1.0), opposite)
    assert wide == pytest.approx(2 * cosine(2.1) ** 2)


@pytest.mark.parametrize("cutoff_function", ["cosine", "tanh3"])
def test_everything_equals_plain_loops(
    atoms, functions, graph_of, brute_force, cutoff_function: str
) -> None:
    acsf = ACSF(("C", "H", "O"), R_C, functions, cutoff_function=cutoff_function)
    expected = brute_force(atoms, acsf, name=cutoff_function)
    x = acsf(graph_of(atoms)).numpy()
    np.testing.assert_allclose(x, expected, rtol=1e-11, atol=1e-13)
    assert (np.abs(expected) > 1e-12).any(0).mean() > 0.6  # the structure has most neighbours


@pytest.mark.slow
@pytest.mark.parametrize("cutoff_function", ["cosine", "tanh3"])
def test_wide_sums_equal_plain_loops_either_way(
    atoms, integer_powers, way, graph_of, brute_force, cutoff_function: str
) -> None:
    acsf = ACSF(("C", "H", "O"), R_C, integer_powers, cutoff_function=cutoff_function)
    expected = brute_force(atoms, acsf, name=cutoff_function)
    x = acsf(graph_of(atoms)).numpy()
    np.testing.assert_allclose(x, expected, rtol=1e-11, atol=1e-12)
    single = acsf(graph_of(atoms, dtype=torch.float32)).numpy()
    scale = np.abs(expected).max(0).clip(min=1e-2)
    assert (np.abs(single - expected) / scale).max() < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("r_s", [0.0, 1e-300], ids=["Gaussians without shift", "any"])
def test_narrow_sums_equal_plain_loops_either_way(atoms, graph_of, brute_force, r_s: float) -> None:
    functions = [
        G4(eta=eta, zeta=zeta, lam=lam, r_s=r_s)
        for eta in (0.0, 0.02, 0.3)
        for zeta, lam in ((1.0, 1.0), (4.0, -1.0), (2.5, 0.3))
    ]
    for cutoff_function in ("cosine", "hard", "exponential"):
        acsf = ACSF(("C", "H", "O"), R_C, functions, cutoff_function=cutoff_function)
        if cutoff_function == "cosine":
            x = acsf(graph_of(atoms)).numpy()
            np.testing.assert_allclose(x, brute_force(atoms, acsf), rtol=1e-11, atol=1e-13)
        kinds = {type(part) for part in acsf._sets[0].sums}
        assert kinds == {GaussianSum if r_s == 0.0 else NarrowSum}
    shifted = [dataclasses.replace(f, r_s=0.0 if r_s else 1e-300) for f in functions]
    other = ACSF(("C", "H", "O"), R_C, shifted, cutoff_function="exponential")
    torch.testing.assert_close(
        acsf(graph_of(atoms)), other(graph_of(atoms)), rtol=1e-12, atol=1e-13
    )


def test_printed_double_sum_is_twice_as_large(graph_of, brute_force) -> None:
    atoms = ase.Atoms("COHH", [[0, 0, 0], [1.2, 0, 0], [-0.6, 0.9, 0.1], [-0.5, -0.9, 0.3]])
    functions = [G4(eta=0.1, zeta=2.0, lam=1.0), G5(eta=0.1, zeta=2.0, lam=-1.0)]
    acsf = ACSF(("C", "H", "O"), R_C, functions)
    printed = brute_force(atoms, acsf, ordered=True)
    np.testing.assert_allclose(printed, 2.0 * acsf(graph_of(atoms)).numpy(), rtol=1e-12, atol=1e-14)


@each
def test_vanishes_at_the_cutoff_with_its_slope(graph_of, f) -> None:
    step = 1e-6
    for cutoff_function in ("cosine", "tanh3"):
        acsf = ACSF("H", R_C, [f], cutoff_function=cutoff_function)
        third = [0.0, 1.0, 0.0]  # gives the angular functions a pair
        far = [ase.Atoms("H3", [[0, 0, 0], [r, 0, 0], third]) for r in (R_C - step, R_C + step)]
        inside, outside = (acsf(graph_of(atoms))[0].sum().item() for atoms in far)
        assert inside == pytest.approx(outside, abs=10 * step**2)


@each
def test_close_to_the_centre(graph_of, f) -> None:
    """Nothing breaks at a thousandth of a bond, and f_c(0) = 1 is reached."""
    near = [[0, 0, 0], [0.002, 0, 0]]
    limits = {"G1": 1.0, "G2": math.exp(-0.5 * 0.7**2), "G3": 1.0}
    expected = limits.get(type(f).__name__, 0.0)
    assert value(graph_of, f, near) == pytest.approx(expected, abs=2e-3)


def test_without_neighbors_all_sums_are_empty(functions, graph_of) -> None:
    acsf = ACSF(("C", "H", "O"), R_C, functions)
    x = acsf(graph_of(ase.Atoms("O")))
    assert x.shape == (1, acsf.num_features)
    assert x.abs().max() == 0.0
    isolated = acsf.isolated_features(torch.tensor([0, 1, 2]), torch.float64)
    assert torch.equal(isolated, torch.zeros(3, acsf.num_features))


@pytest.mark.slow
def test_columns_follow_the_functions_as_given(functions, graph_of, atoms) -> None:
    graph = graph_of(atoms)
    functions = [f for f in functions if f.centre is None]
    acsf = ACSF(("C", "H", "O"), R_C, functions)
    one_by_one = [ACSF(("C", "H", "O"), R_C, [f])(graph) for f in functions]
    torch.testing.assert_close(acsf(graph), torch.cat(one_by_one, dim=1), rtol=1e-12, atol=1e-14)


@pytest.mark.slow
def test_a_longer_neighbor_list_changes_nothing(functions, graph_of, atoms) -> None:
    acsf = ACSF(("C", "H", "O"), R_C, functions)
    near, far = graph_of(atoms), graph_of(atoms, R_C + 1.5)
    assert far.edge_index.shape[1] > near.edge_index.shape[1] or not atoms.pbc.any()
    torch.testing.assert_close(acsf(near), acsf(far), rtol=1e-12, atol=1e-14)


def test_order_of_edges_changes_nothing(functions, graph_of, atoms) -> None:
    acsf, graph = ACSF(("C", "H", "O"), R_C, functions), graph_of(atoms)
    shuffled, order = graph.clone(), torch.randperm(graph.edge_index.shape[1])
    shuffled.edge_index = graph.edge_index[:, order]
    shuffled.edge_cell_shift = graph.edge_cell_shift[order]
    torch.testing.assert_close(acsf(graph), acsf(shuffled), rtol=1e-12, atol=1e-14)


def test_batch_equals_singles(functions, graph_of) -> None:
    acsf = ACSF(("C", "H", "O"), R_C, functions)
    crystal = ase.Atoms("CO", [[0, 0, 0], [1.3, 1.2, 1.1]], cell=[2.9, 3.0, 3.1], pbc=True)
    structures = [ase.Atoms("H"), crystal, ase.Atoms("CHO", np.eye(3)), ase.Atoms("C")]
    graphs = [graph_of(atoms) for atoms in structures]
    together = acsf(Batch.from_data_list(graphs))
    singles = torch.cat([acsf(graph) for graph in graphs])
    torch.testing.assert_close(together, singles, rtol=1e-13, atol=1e-14)


@pytest.mark.slow
def test_float32_is_near_float64(functions, graph_of, atoms) -> None:
    acsf = ACSF(("C", "H", "O"), R_C, functions)
    double, single = acsf(graph_of(atoms)), acsf(graph_of(atoms, dtype=torch.float32))
    assert (double.dtype, single.dtype) == (torch.float64, torch.float32)
    # Columns of another element are other functions.
    scale = double.abs().clamp(min=1e-2)
    assert ((single - double) / scale).abs().max() < 2e-5


@pytest.mark.slow
def test_forward_leaves_its_graph_alone(functions, graph_of, atoms) -> None:
    graph = graph_of(atoms)
    before = {key: tensor.clone() for key, tensor in graph.to_dict().items()}
    acsf = ACSF(("C", "H", "O"), R_C, functions)
    acsf(graph)
    acsf.jacobian(graph)
    assert graph.to_dict().keys() == before.keys()
    assert all(torch.equal(graph[key], before[key]) for key in before)
