"""radius_graph: every backend gives the edges of ASE, in every cell."""

import itertools
import sys
from importlib.util import find_spec
from types import SimpleNamespace

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk, fcc111, graphene, molecule
from ase.neighborlist import primitive_neighbor_list
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from nnmd_graph.graph import neighbors
from nnmd_graph.graph.neighbors import estimated_edges, radius_graph

Edge = tuple[int, int, int, int, int]


HAS_TORCH_CLUSTER = find_spec("torch_cluster") is not None


@pytest.fixture(params=["vesin", "ase", "torch_cluster"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name a backend; without torch-cluster (an optional extra, to be compiled) a stand-in for its
    one function still tests our periodic images.
    """
    if request.param == "torch_cluster" and not HAS_TORCH_CLUSTER:
        monkeypatch.setitem(sys.modules, "torch_cluster", SimpleNamespace(radius=brute_radius))
    return request.param


def brute_radius(x, y, r, batch_x=None, batch_y=None, max_num_neighbors=32):
    """Like torch_cluster.radius: rows (y, x) of all x within r of y, at most so many of each y."""
    near = torch.cdist(y, x, compute_mode="donot_use_mm_for_euclid_dist") <= r
    near &= near.cumsum(1) <= max_num_neighbors
    return near.nonzero().T


def edges(pos, cell, pbc, cutoff, backend="vesin") -> list[Edge]:
    """The graph as a list of (i, j, S)."""
    (j, i), shift = radius_graph(pos, cell, pbc, cutoff, backend=backend)
    return [tuple(row) for row in torch.cat([i[:, None], j[:, None], shift], 1).tolist()]


def edges_of(atoms: ase.Atoms, cutoff: float, backend: str = "vesin") -> list[Edge]:
    return edges(atoms.positions, atoms.cell.array, atoms.pbc, cutoff, backend)


def brute_force(atoms: ase.Atoms, cutoff: float, images: int) -> set[Edge]:
    steps = [range(-images, images + 1) if periodic else (0,) for periodic in atoms.pbc]
    found = set()
    for i, j in itertools.product(range(len(atoms)), repeat=2):
        for shift in itertools.product(*steps):
            vec = atoms.positions[j] - atoms.positions[i] + np.array(shift) @ atoms.cell.array
            if (i != j or any(shift)) and np.linalg.norm(vec) < cutoff:
                found.add((i, j, *shift))
    return found


def test_edges_equal_those_of_ase(system, backend):
    atoms, cutoff = system
    got = edges_of(atoms, cutoff, backend)
    cell = atoms.cell.array.copy()
    if np.linalg.matrix_rank(cell) < atoms.cell.rank:  # ASE cannot do dependent vectors
        cell[~atoms.pbc] = 0
    i, j, shift = primitive_neighbor_list("ijS", atoms.pbc, cell, atoms.positions, cutoff)
    want = {(*pair, *s) for *pair, s in zip(i.tolist(), j.tolist(), shift.tolist(), strict=True)}
    assert set(got) == want
    assert len(set(got)) == len(got)


def test_edges_equal_those_of_two_nested_loops(system):
    atoms, cutoff = system
    if len(atoms) > 12:
        atoms = atoms[:4]  # plain loops are slow; the cell stays
    if np.linalg.matrix_rank(atoms.cell.array) == 3:
        atoms.wrap()  # or the loops would have to reach far
    assert set(edges_of(atoms, cutoff)) == brute_force(atoms, cutoff, images=6)


def test_torch_cluster_itself(system):
    pytest.importorskip("torch_cluster", reason="torch-cluster is not installed (extra pyg-ext)")
    atoms, cutoff = system
    assert edges_of(atoms, cutoff, "torch_cluster") == edges_of(atoms, cutoff, "ase")


def test_the_stand_in_does_what_torch_cluster_does():
    real = pytest.importorskip("torch_cluster", reason="torch-cluster is not installed (pyg-ext)")
    x, y = torch.rand(40, 3, dtype=torch.float64), torch.rand(9, 3, dtype=torch.float64)
    got = real.radius(x, y, 0.4, max_num_neighbors=len(x))
    want = brute_radius(x, y, 0.4, max_num_neighbors=len(x))
    assert sorted(got.T.tolist()) == sorted(want.T.tolist())


def test_edges_are_sorted_by_centre_neighbour_and_shift(system, backend):
    atoms, cutoff = system
    got = edges_of(atoms, cutoff, backend)
    assert got == sorted(got)


def test_every_edge_has_its_mirror(system, backend):
    atoms, cutoff = system
    got = set(edges_of(atoms, cutoff, backend))
    assert got == {(j, i, -a, -b, -c) for i, j, a, b, c in got}


def test_the_order_survives_shifts_too_large_for_one_number():
    i = np.array([1, 0, 0, 0])
    j = np.array([0, 1, 1, 0])
    shift = np.array([[0, 0, 0], [2**31, 0, -(2**31)], [-(2**31), 2**31, 0], [1, 0, 0]])
    assert neighbors._order(i, j, shift, 2).tolist() == [3, 2, 1, 0]


@pytest.mark.parametrize("pbc", list(itertools.product([False, True], repeat=3)))
@pytest.mark.parametrize("name", ["triclinic", "left-handed"])
def test_all_eight_kinds_of_periodicity(name, pbc, backend):
    cell = np.array([[4.0, 0.5, 0.0], [1.9, 4.2, 0.0], [-1.0, 1.1, 5.0]])
    if name == "left-handed":
        cell = cell[[1, 0, 2]]
    positions = np.random.default_rng(0).normal(size=(6, 3)) * 6
    atoms = ase.Atoms("N6", positions, cell=cell, pbc=pbc)
    i, j, shift = primitive_neighbor_list("ijS", pbc, cell, positions, 5.0)
    want = {(*pair, *s) for *pair, s in zip(i.tolist(), j.tolist(), shift.tolist(), strict=True)}
    got = edges_of(atoms, 5.0, backend)
    assert set(got) == want
    assert not any(row[2 + axis] for row in got for axis in range(3) if not pbc[axis])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_rotations_and_reflections_change_nothing(system, backend, seed):
    atoms, cutoff = system
    turn = Rotation.random(rng=np.random.default_rng(seed)).as_matrix() * (-1) ** seed
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ turn)
    turned.positions = atoms.positions @ turn
    assert edges_of(turned, cutoff, backend) == edges_of(atoms, cutoff)


def test_moving_atoms_by_cell_vectors_moves_only_the_shifts(backend):
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    atoms.rattle(0.05, seed=0)
    moves = np.array([[2, -1, 0], [0, 5, -3]])
    moved = atoms.copy()
    moved.positions += moves @ atoms.cell.array
    want = {
        (i, j, *(np.array(s) - moves[j] + moves[i]).tolist()) for i, j, *s in edges_of(atoms, 6.0)
    }
    assert set(edges_of(moved, 6.0, backend)) == want


def test_neighbours_are_not_capped(backend):
    atoms = bulk("Cu")
    got = edges_of(atoms, 9.0, backend)
    assert len(got) == len(brute_force(atoms, 9.0, images=5)) > 200


def test_the_cutoff_is_strict_and_ties_are_equal_in_every_backend(backend):
    cubic = ase.Atoms("Po", cell=[2.0, 2.0, 2.0], pbc=True)
    assert edges_of(cubic, 2.0, backend) == []
    assert len(edges_of(cubic, np.nextafter(2.0, 3.0), backend)) == 6
    copper = bulk("Cu", cubic=True)  # whole shells exactly at the cutoff, up to rounding
    assert edges_of(copper, copper.cell[0, 0], backend) == edges_of(copper, copper.cell[0, 0])


def coordinates(count: int, size: float):
    number = st.floats(-size, size, allow_nan=False, width=32)
    return st.lists(st.tuples(number, number, number), min_size=count, max_size=count)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    cell=coordinates(3, 5.0),
    pos=st.integers(1, 5).flatmap(lambda count: coordinates(count, 20.0)),
    pbc=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    cutoff=st.floats(0.5, 6.0),
)
def test_any_cell_any_periodicity(cell, pos, pbc, cutoff):
    cell, pos, pbc = np.array(cell), np.array(pos), np.array(pbc)
    lengths = np.linalg.norm(cell[pbc], axis=1)
    spans = np.sqrt(max(np.linalg.det(cell[pbc] @ cell[pbc].T), 0.0)) if pbc.any() else 1.0
    assume(spans > 0.1 * lengths.prod() and lengths.min(initial=9.0) > 1.0)
    try:
        want = edges(pos, cell, pbc, cutoff, "ase")
    except ValueError as error:
        assume("apart" not in str(error))
        raise
    got = edges(pos, cell, pbc, cutoff)
    assert got == want
    assert set(got) == {(j, i, -a, -b, -c) for i, j, a, b, c in got}


def test_tensors_come_in_with_gradients_and_in_float32():
    atoms = bulk("Si")
    pos = torch.tensor(atoms.positions, dtype=torch.float32, requires_grad=True)
    cell = torch.tensor(atoms.cell.array, dtype=torch.float32)
    edge_index, shift = radius_graph(pos, cell, torch.tensor([True] * 3), 4.0)
    assert edge_index.dtype == shift.dtype == torch.int64
    assert edge_index.shape == (2, 32) and shift.shape == (32, 3)
    assert edge_index.is_contiguous() and shift.is_contiguous()


def test_no_atoms_no_edges(backend):
    edge_index, shift = radius_graph(np.zeros((0, 3)), np.eye(3), [True] * 3, 3.0, backend=backend)
    assert edge_index.shape == (2, 0) and shift.shape == (0, 3)


def test_inputs_are_not_changed(backend):
    atoms = bulk("Cu")
    pos, cell = np.array([[9.0, 9.0, 9.0]]), atoms.cell.array.copy()
    before = pos.copy(), cell.copy()
    radius_graph(pos, cell, np.array([True, True, False]), 4.0, backend=backend)
    assert (pos == before[0]).all() and (cell == before[1]).all()


BAD = {
    "positions NaN": (dict(pos=[[0, 0, 0], [np.nan, 0, 0]]), "`pos`: expected finite.*nan.*atom 1"),
    "positions inf": (dict(pos=[[0, np.inf, 0]]), "`pos`: expected finite numbers in Å"),
    "positions shape": (dict(pos=[0.0, 0.0, 0.0]), r"`pos`: expected shape \[N, 3\], got \[3\]"),
    "cell NaN": (dict(cell=np.diag([3, np.nan, 3])), "`cell`: expected finite.*cell vector 1"),
    "cell shape": (dict(cell=[3.0, 3.0, 3.0]), r"`cell`: expected shape \[3, 3\], got \[3\]"),
    "cell [1,3,3]": (dict(cell=np.eye(3)[None]), r"`cell`: .* got \[1, 3, 3\]"),
    "pbc shape": (dict(pbc=True), r"`pbc`: expected shape \[3\], got \[\]"),
    "zero cell": (dict(cell=np.zeros((3, 3))), "`cell`: expected cell vectors that span a volume"),
    "one zero vector": (dict(cell=np.diag([3, 3, 0])), r"span a volume in the periodic"),
    "flat cell": (dict(cell=[[3, 0, 0], [0, 3, 0], [3, 3, 0]]), "`pbc` to False where"),
    "flat slab": (
        dict(cell=[[3, 0, 0], [6, 0, 0], [0, 0, 3]], pbc=[True, True, False]),
        r"periodic directions \[True, True, False\]",
    ),
    "zero wire": (dict(cell=np.zeros((3, 3)), pbc=[False, True, False]), "span a volume"),
    "negative cutoff": (dict(cutoff=-1.0), "`cutoff`: expected a positive number in Å, got -1.0"),
    "no cutoff": (dict(cutoff=0), "`cutoff`: expected a positive number"),
    "endless cutoff": (dict(cutoff=np.inf), "`cutoff`: expected a positive number.*inf"),
    "NaN cutoff": (dict(cutoff=float("nan")), "`cutoff`: expected a positive number.*nan"),
    "backend": (dict(backend="magic"), r"`backend`: expected one of \['ase', .*got 'magic'"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input_says_what_to_do(change, message):
    good = dict(pos=[[0.0, 0.0, 0.0]], cell=np.eye(3) * 3, pbc=[True] * 3, cutoff=3.0)
    with pytest.raises(ValueError, match=message):
        radius_graph(**(good | change))


@pytest.mark.parametrize("cutoff", ["5", None, True, 5j])
def test_a_cutoff_that_is_no_number(cutoff):
    with pytest.raises(TypeError, match="`cutoff`: expected a number in Å, got"):
        radius_graph(np.zeros((1, 3)), np.eye(3), [True] * 3, cutoff)


@pytest.mark.parametrize(
    ("positions", "pair"),
    [
        (
            [[0, 0, 0], [1, 1, 1], [1, 1, 1]],
            r"atoms 1 and 2 at 0.00e\+00 Å \(cell shift \[0, 0",
        ),
        ([[0, 0, 0], [4, 0, 5e-4]], r"atoms 0 and 1 at 5.00e-04 Å \(cell shift \[-1, 0, 0\]"),
    ],
    ids=["same place", "on the far face of the cell"],
)
def test_atoms_on_top_of_each_other(positions, pair, backend):
    with pytest.raises(ValueError, match=f"`pos`: expected atoms at least 0.001 Å apart.*{pair}"):
        radius_graph(np.array(positions, float), np.eye(3) * 4, [True] * 3, 3.0, backend=backend)


def test_torch_cluster_missing_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_cluster", None)
    with pytest.raises(
        ImportError, match=r"`backend`.*pip install --no-build-isolation nnmd-graph\[pyg-ext\]"
    ):
        radius_graph(np.zeros((1, 3)), np.eye(3), [True] * 3, 2.0, backend="torch_cluster")


@pytest.mark.slow
@pytest.mark.parametrize(
    "atoms",
    [
        bulk("Cu", cubic=True) * (2, 2, 2),
        bulk("Mg"),
        fcc111("Al", (3, 3, 3), vacuum=8.0),
        graphene(size=(3, 3, 1)),
        molecule("CH3CH2OH"),
        ase.Atoms("Cu3", [[0, 0, 0], [1.9, 0.4, 0.9], [-0.3, 1.8, 1.7]], cell=[0, 0, 3.4],
                  pbc=(False, False, True)),
        ase.Atoms("Ar900", np.random.default_rng(0).uniform(0, 30, (900, 3))),
    ],
    ids=["cubic", "hexagonal", "slab", "sheet", "molecule", "wire", "gas"],
)  # fmt: skip
@pytest.mark.parametrize("cutoff", [6.0, 9.5, 17.0])
def test_the_number_of_edges_is_known_before_the_search(atoms, cutoff):
    estimate = estimated_edges(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)
    assert estimate == pytest.approx(len(edges_of(atoms, cutoff)), rel=0.25)


@pytest.mark.parametrize(
    ("cell", "pbc", "cutoff", "expected"),
    [
        (np.zeros((3, 3)), [False] * 3, 1e200, 2.0),
        (np.eye(3) * 1e12, [True] * 3, 5.0, 0.0),
        (np.eye(3) * 3.0, [True] * 3, 1e200, np.inf),
        (np.eye(3) * 3.0, [False, True, False], 1e200, np.inf),
    ],
)
def test_an_estimate_of_edges_stands_huge_numbers(cell, pbc, cutoff, expected):
    assert estimated_edges([[0, 0, 0], [1, 1, 1]], cell, pbc, cutoff) == expected
    assert estimated_edges(np.zeros((0, 3)), cell, pbc, cutoff) == 0.0
