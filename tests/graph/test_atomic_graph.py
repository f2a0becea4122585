"""AtomicGraph made by hand: shapes and dtypes are checked when it is made."""

import pickle

import pytest
import torch

from nnmd_graph.graph import AtomicGraph

GOOD = {
    "pos": torch.zeros(2, 3),
    "z": torch.tensor([1, 8]),
    "cell": torch.zeros(1, 3, 3),
    "pbc": torch.zeros(1, 3, dtype=torch.bool),
    "edge_index": torch.zeros(2, 0, dtype=torch.int64),
    "edge_cell_shift": torch.zeros(0, 3, dtype=torch.int64),
    "cutoff": 5.0,
}


def test_a_graph_by_hand():
    graph = AtomicGraph(**GOOD, charge=torch.ones(1))
    assert graph.cutoff.tolist() == [5.0] and graph.cutoff.dtype == torch.float64
    assert graph.charge.tolist() == [1.0]
    assert graph.num_nodes == 2


def test_an_empty_graph_as_pyg_makes_it():
    assert AtomicGraph().keys() == []


def test_graphs_travel_to_loader_workers():
    graph = pickle.loads(pickle.dumps(AtomicGraph(**GOOD)))
    assert isinstance(graph, AtomicGraph) and graph.z.tolist() == [1, 8]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("pos", torch.zeros(6), r"`pos`: expected shape \[N, 3\], got \[6\]"),
        ("z", torch.zeros(2, 1, dtype=torch.int64), r"`z`: expected shape \[N\], got \[2, 1\]"),
        (
            "cell",
            torch.zeros(3, 3),
            r"`cell`: expected shape \[1, 3, 3\].*cell\[None\].*got",
        ),
        ("pbc", torch.zeros(3, dtype=torch.bool), r"`pbc`: expected shape \[1, 3\].*pbc\[None\]"),
        (
            "edge_index",
            torch.zeros(4, 2, dtype=torch.int64),
            r"`edge_index`: expected shape \[2",
        ),
        ("edge_cell_shift", torch.zeros(4, dtype=torch.int64), r"`edge_cell_shift`: .* \[E, 3\]"),
        ("cutoff", torch.tensor(5.0), r"`cutoff`: expected shape \[1\], got \[\]"),
    ],
)
def test_wrong_shapes(name, value, message):
    with pytest.raises(ValueError, match=message):
        AtomicGraph(**(GOOD | {name: value}))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("pos", [[0.0, 0.0, 0.0]], "`pos`: expected a torch tensor, got list; use torch.as_tensor"),
        (
            "pos",
            torch.zeros(2, 3, dtype=torch.int64),
            "`pos`: expected a floating dtype, got",
        ),
        ("z", torch.zeros(2), "`z`: expected torch.int64, got torch.float32"),
        ("pbc", torch.zeros(1, 3), "`pbc`: expected torch.bool, got torch.float32"),
        ("edge_cell_shift", torch.zeros(0, 3), "`edge_cell_shift`: expected torch.int64"),
    ],
)
def test_wrong_types(name, value, message):
    with pytest.raises(TypeError, match=message):
        AtomicGraph(**(GOOD | {name: value}))
