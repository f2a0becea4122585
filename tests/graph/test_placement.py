"""Numbers that the geometry cannot carry: far atoms, large and tiny cells, float32."""

import subprocess
import sys
import time

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk, fcc111, graphene, hcp0001, molecule
from torch_geometric.data import Batch

from nnmd_graph.graph import AtomicGraph, edge_vectors, radius_graph, volume
from nnmd_graph.graph.geometry import cast
from nnmd_graph.graph.searches import SEARCHES, _tree

CUTOFF = 5.0
SINGLE = torch.float32
AXIS = np.array([0.3, -0.7, 1.0])


def edges(pos, cell, pbc, cutoff=CUTOFF, backend="vesin") -> set[tuple[int, ...]]:
    (j, i), shift = radius_graph(pos, cell, pbc, cutoff, backend=backend)
    return set(zip(i.tolist(), j.tolist(), *shift.T.tolist(), strict=True))


def triclinic() -> ase.Atoms:
    cell = [[5.0, 0.0, 0.0], [2.9, 5.0, 0.0], [-1.7, 2.1, 5.5]]
    scaled = np.random.default_rng(5).random((6, 3))
    return ase.Atoms("Cu6", scaled_positions=scaled, cell=cell, pbc=True)


def left_handed() -> ase.Atoms:
    atoms = triclinic()
    atoms.cell[:] = atoms.cell[[1, 0, 2]]
    return atoms


def slab() -> ase.Atoms:
    atoms = bulk("Cu", cubic=True) * (3, 3, 3)
    atoms.rattle(0.1, seed=1)
    atoms.center(vacuum=300.0, axis=2)
    return atoms


def sheet() -> ase.Atoms:
    atoms = graphene(vacuum=5.0)
    atoms.pbc = (True, True, False)
    return atoms


def boxed() -> ase.Atoms:
    """A molecule across the corner of a wide periodic box."""
    atoms = molecule("CH3CH2OH")
    atoms.cell, atoms.pbc = [400.0, 500.0, 600.0], True
    return atoms


STRUCTURES = [triclinic, left_handed, slab, sheet, boxed, lambda: molecule("C6H6")]
MOVES = {
    "a rigid shift by 60 Å": (60.0, 0),
    "a rigid shift by 1e8 Å": (1e8, 0),
    "atoms moved by 1e6 lattice vectors": (0.0, 10**6),
    "both": (-3e7, 3 * 10**5),
}


def moved(atoms: ase.Atoms, shift: float, vectors: int) -> ase.Atoms:
    atoms = atoms.copy()
    whole = np.random.default_rng(0).integers(-vectors, vectors + 1, (len(atoms), 3))
    atoms.positions += np.where(atoms.pbc, whole, 0) @ atoms.cell.array + shift * AXIS
    return atoms


# --- the search ----------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["vesin", "ase"])
@pytest.mark.parametrize("far", [1e6, 3.7e8, 1e11])
def test_fragments_far_apart_keep_their_neighbours(far, backend):
    pos = [[0, 0, 0], [0, 0, 1], [0, 0, far], [0, 1, far]]
    expected = {(a, b, 0, 0, 0) for a, b in ((0, 1), (1, 0), (2, 3), (3, 2))}
    assert edges(pos, np.zeros((3, 3)), [False] * 3, backend=backend) == expected


@pytest.mark.slow
def test_two_atoms_far_apart_in_a_process_of_their_own():
    code = (
        "from ase import Atoms; from nnmd_graph.graph import AtomicGraph; "
        "print(AtomicGraph.from_atoms(Atoms('Cu2', [[0, 0, 0], [0, 0, 1e7]]), 5.0).num_edges)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


@pytest.mark.parametrize("size", [1e5, 1e7, 1e12])
@pytest.mark.parametrize("thin", [(0,), (1, 2), (0, 1, 2), ()])
@pytest.mark.parametrize("pbc", [True, False])
def test_cells_as_large_as_they_may_be(size, thin, pbc):
    lengths = np.where(np.isin(range(3), thin), 7.0, size)
    pos = [[0.5, 0.5, 0.5], [1.5, 0.5, 0.5]]
    expected = {(0, 1, 0, 0, 0), (1, 0, 0, 0, 0)}
    found = edges(pos, np.diag(lengths), [pbc] * 3, 1.9)
    assert found == expected


def test_a_wide_sheet_of_one_layer_goes_by_the_tree_and_by_another_search_alike():
    rng = np.random.default_rng(0)
    pos = np.c_[rng.random((2500, 2)) * 3000.0, np.zeros(2500)]
    cell, pbc = np.diag([3000.0, 3000.0, 0.0]), [True, True, False]
    box = np.diag([3000.0, 3000.0, 6.0])
    i, j, shift = _tree(pos, box, np.array(pbc), 5.0)
    assert edges(pos, cell, pbc) == set(zip(i, j, *shift.T, strict=True))
    assert len(i) > 4


def test_the_tree_finds_what_the_others_find(system):
    atoms, cutoff = system
    before = edges(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SEARCHES, "vesin", _tree)
        assert edges(atoms.positions, atoms.cell.array, atoms.pbc, cutoff) == before


@pytest.mark.parametrize("vectors", [10, 10**6, 10**10])
def test_an_atom_in_another_cell_has_the_same_neighbours(vectors):
    atoms = bulk("Cu", cubic=True) * (2, 2, 2)
    atoms.rattle(0.05, seed=3)
    cell, pbc = atoms.cell.array, atoms.pbc
    move = np.zeros((len(atoms), 3), dtype=int)
    move[3] = (vectors, -vectors, 3)
    (j, i), shift = radius_graph(atoms.positions, cell, pbc, CUTOFF)
    (n, m), other = radius_graph(atoms.positions + move @ cell, cell, pbc, CUTOFF)
    assert torch.equal(i, m) and torch.equal(j, n)
    assert torch.equal(other, shift + torch.from_numpy(move)[i] - torch.from_numpy(move)[j])


@pytest.mark.parametrize(
    ("pos", "cell", "pbc", "message"),
    [
        ([[0, 0, 1e13]], np.eye(3) * 4, False, "`pos`: expected numbers up to 1e.12 Å.*atom 0"),
        ([[0, 0, 0], [-1e200, 0, 0]], np.eye(3) * 4, True, "`pos`: expected numbers up.*atom 1"),
        ([[0, 0, 0]], np.eye(3) * 1e160, True, "`cell`: expected numbers up to.*cell vector 0"),
        ([[0, 0, 0]], np.eye(3) * -1e300, False, "`cell`: expected numbers up to"),
        ([[0, 0, 0]], np.diag([4, np.nan, 4]), True, "`cell`: expected finite.*cell vector 1"),
        ([[0, 0, 0]], np.eye(3) * 1e-160, True, "`cell`: expected cell vectors that span"),
        ([[0, 0, 0]], np.diag([4, 4, 1e-160]), True, "`cell`: expected cell vectors that span"),
    ],
)
def test_what_float64_does_not_carry_is_refused(pos, cell, pbc, message):
    with pytest.raises(ValueError, match=message):
        radius_graph(np.array(pos, float), cell, [pbc] * 3, CUTOFF)


@pytest.mark.slow
@pytest.mark.parametrize("cutoff", [2e3, 1e6, 1e100, 1e300])
@pytest.mark.parametrize("pbc", [[True] * 3, [True, True, False], [False] * 3])
def test_neighbours_that_no_memory_holds_are_refused_at_once(cutoff, pbc):
    size = 12 if not any(pbc) else 3  # a cluster has at most N^2 pairs
    atoms = bulk("Cu", cubic=True) * (size, size, size)
    if not any(pbc):
        atoms = atoms * (2, 2, 1)
    start = time.process_time()
    with pytest.raises(ValueError, match=r"`cutoff`: expected at most .*free memory.*edges"):
        radius_graph(atoms.positions, atoms.cell.array, pbc, cutoff)
    assert time.process_time() - start < 2.0


@pytest.mark.parametrize("cutoff", [1e3, 1e11, 1e300])
def test_a_molecule_takes_any_cutoff(cutoff):
    pos = [[0, 0, 0], [1, 0, 0], [0, 900.0, 0]]
    assert len(edges(pos, np.zeros((3, 3)), [False] * 3, cutoff)) == 6


@pytest.mark.parametrize("cell", [np.diag([4, 4, 1e-160]), np.eye(3) * 1e-160, np.zeros((3, 3))])
def test_a_cell_without_thickness_has_no_volume(cell):
    assert volume(torch.tensor(cell)[None]).item() == 0.0


# --- float32 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", STRUCTURES)
@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES.keys())
def test_edge_vectors_in_float32_do_not_depend_on_the_place_of_the_atoms(make, move):
    exact = AtomicGraph.from_atoms(make(), CUTOFF, dtype=torch.float64)
    other = moved(make(), *move)
    graphs = [
        AtomicGraph.from_atoms(other, CUTOFF, dtype=SINGLE),
        cast(AtomicGraph.from_atoms(other, CUTOFF, dtype=torch.float64), SINGLE, exact.pos.device),
    ]
    for graph in graphs:
        assert graph.pos.dtype == graph.cell.dtype == SINGLE
        assert torch.equal(graph.edge_index, exact.edge_index)
        found = edge_vectors(graph).double()
        # A step of 2^-20 Å, the rounding of the shift itself, and where it was rounded before
        torch.testing.assert_close(found, edge_vectors(exact), rtol=0, atol=5e-6)


@pytest.mark.parametrize("make", STRUCTURES)
def test_moderate_moves_change_no_bit(make):
    expected = edge_vectors(AtomicGraph.from_atoms(make(), CUTOFF, dtype=SINGLE))
    for vectors in (1, 3, 1000):
        other = moved(make(), 8.0 * vectors, vectors)
        found = edge_vectors(AtomicGraph.from_atoms(other, CUTOFF, dtype=SINGLE))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
        assert (found != expected).float().mean() < 0.02  # where float64 rounds across a step


CRYSTALS = {
    "fcc (111) slab": lambda: fcc111("Cu", (8, 8, 4), vacuum=10.0),
    "hcp slab": lambda: hcp0001("Mg", (6, 6, 4), vacuum=10.0),
    "copper": lambda: bulk("Cu", cubic=True) * (4, 4, 4),
    "rock salt": lambda: bulk("NaCl", "rocksalt", a=5.64, cubic=True) * (3, 3, 3),
    "silicon": lambda: bulk("Si", cubic=True) * (2, 3, 1),
}


@pytest.mark.parametrize("make", CRYSTALS.values(), ids=CRYSTALS.keys())
@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES.keys())
def test_no_move_of_a_crystal_changes_a_bit(make, move):
    """Half of its atoms stand in the middle between two steps."""
    expected = AtomicGraph.from_atoms(make(), CUTOFF, dtype=SINGLE)
    found = AtomicGraph.from_atoms(moved(make(), *move), CUTOFF, dtype=SINGLE)
    assert torch.equal(found.edge_index, expected.edge_index)
    assert torch.equal(edge_vectors(found), edge_vectors(expected))


def test_positions_near_the_origin_stay_where_they_are():
    atoms = bulk("Cu", cubic=True) * (4, 4, 4)  # 14.5 Å
    atoms.rattle(0.1, seed=0)
    graph = AtomicGraph.from_atoms(atoms, CUTOFF, dtype=SINGLE)
    np.testing.assert_allclose(graph.pos.numpy(), atoms.positions, rtol=0, atol=1.5e-6)
    np.testing.assert_allclose(graph.cell[0].numpy(), atoms.cell.array, rtol=0, atol=1e-6)


def test_fragments_far_apart_keep_their_shapes_and_their_distance_from_each_other():
    water, far = molecule("H2O"), molecule("H2O")
    far.translate(1e7 * AXIS)
    graph = AtomicGraph.from_atoms(water + far, CUTOFF, dtype=SINGLE)
    exact = AtomicGraph.from_atoms(water, CUTOFF, dtype=torch.float64)
    found = edge_vectors(graph).double()
    assert len(found) == 12
    torch.testing.assert_close(found, edge_vectors(exact).repeat(2, 1), rtol=0, atol=2e-5)
    assert (graph.pos[:3, None] - graph.pos[None, 3:]).norm(dim=2).min() > 2 * CUTOFF
    again = AtomicGraph.from_atoms(graph.to_atoms(), CUTOFF)
    assert torch.equal(again.edge_index, graph.edge_index)


def test_structures_of_a_batch_are_placed_one_by_one():
    others = [moved(make(), 1e6, 10**5) for make in STRUCTURES]
    singles = [AtomicGraph.from_atoms(atoms, CUTOFF, dtype=torch.float64) for atoms in others]
    batch = Batch.from_data_list(singles)
    before = batch.pos.clone(), batch.edge_cell_shift.clone()
    placed = cast(batch, SINGLE, batch.pos.device)
    expected = torch.cat([edge_vectors(cast(g, SINGLE, g.pos.device)) for g in singles])
    torch.testing.assert_close(edge_vectors(placed), expected, rtol=0, atol=2e-6)
    assert torch.equal(batch.pos, before[0]) and torch.equal(batch.edge_cell_shift, before[1])


def test_gradients_go_through_the_placement():
    graph = AtomicGraph.from_atoms(moved(triclinic(), 1e6, 0), CUTOFF, dtype=torch.float64)
    graph.pos.requires_grad_()
    edge_vectors(cast(graph, SINGLE, graph.pos.device))[0, 0].backward()
    j, i = graph.edge_index[:, 0]
    assert graph.pos.grad[j, 0] == 1.0 and graph.pos.grad[i, 0] == -1.0


def test_an_empty_structure_and_a_lone_atom_have_their_places():
    assert AtomicGraph.from_atoms(ase.Atoms(), CUTOFF, dtype=SINGLE).pos.shape == (0, 3)
    lone = AtomicGraph.from_atoms(ase.Atoms("H", [[1e9, 0, 0]]), CUTOFF, dtype=SINGLE)
    assert lone.pos.abs().max() < 16.0
