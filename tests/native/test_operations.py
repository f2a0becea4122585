"""The operations of torch on the native core: derivatives of every order, and what is refused."""

import copy
import gc
import pickle

import ase.build
import pytest
import torch
from torch.autograd import grad, gradcheck, gradgradcheck

from nnmd_graph.graph import AtomicGraph, edge_vectors
from nnmd_graph.native import operations
from nnmd_graph.native.library import core
from nnmd_graph.nn.species import species_ids
from nnmd_graph.representations import ACSF, G2, G4, G5

pytestmark = pytest.mark.usefixtures("float64", "natively")

FUNCTIONS = [
    G2(eta=0.5, r_s=1.0),
    G4(eta=0.05, zeta=2.0, lam=-1.0),
    G5(eta=0.1, zeta=1.5, lam=1.0),
]


@pytest.fixture
def acsf() -> ACSF:
    return ACSF(("H", "O"), 4.0, FUNCTIONS)


@pytest.fixture
def graph() -> AtomicGraph:
    return AtomicGraph.from_atoms(ase.build.molecule("H2O"), 4.0)


@pytest.fixture
def arguments(acsf, graph):
    """Edge vectors that want gradients, and what the operations take behind them."""
    functions = acsf.native(graph)
    element = species_ids(graph.z, acsf.species)
    vec = edge_vectors(graph).detach().requires_grad_()
    return vec, graph.edge_index, element, 0, graph.num_nodes, functions.plan.number


def test_derivatives_of_every_operation(arguments) -> None:
    vec, *rest = arguments
    w = torch.randn(3, operations.values(*arguments).shape[1], requires_grad=True)
    u = torch.randn_like(vec, requires_grad=True)
    options = {"fast_mode": True}
    assert gradcheck(lambda v: operations.values(v, *rest), vec, **options)
    assert gradgradcheck(lambda v: operations.values(v, *rest), vec, **options)
    assert gradcheck(lambda w, v: operations.vjp(w, v, *rest), (w, vec), **options)
    assert gradgradcheck(lambda w, v: operations.vjp(w, v, *rest), (w, vec), **options)
    assert gradcheck(lambda u, v: operations.jvp(u, v, *rest), (u, vec), **options)


def test_as_torch_wants_operations_to_be(arguments) -> None:
    vec, *rest = arguments
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(operations.values, arguments, test_utils=checks)
    w = torch.randn_like(operations.values(*arguments)).requires_grad_()
    torch.library.opcheck(operations.vjp, (w, *arguments), test_utils=checks)
    u = torch.randn_like(vec).requires_grad_()
    torch.library.opcheck(operations.jvp, (u, *arguments), test_utils=checks)


def test_a_set_may_go_before_its_gradient_is_asked_for(graph) -> None:
    moved = copy.copy(graph)
    moved.pos = graph.pos.clone().requires_grad_()
    x = ACSF(("H", "O"), 4.0, FUNCTIONS)(moved)
    gc.collect()
    assert grad(x.sum(), moved.pos)[0].abs().max() > 0.1


def test_plans_go_with_their_sets(graph) -> None:
    gc.collect()
    before = len(operations._PLANS)
    acsf = ACSF(("H", "O"), 4.0, FUNCTIONS)
    acsf(graph)
    assert len(operations._PLANS) == before + 1
    del acsf
    gc.collect()
    assert len(operations._PLANS) == before


@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_give_the_same(acsf, graph, again) -> None:
    x = acsf(graph)
    assert torch.equal(again(acsf)(graph), x)


def test_vectors_that_are_no_numbers_are_refused(acsf, graph) -> None:
    graph.pos[1, 2] = float("nan")
    with pytest.raises(ValueError, match="`pos`: expected finite positions, got edges whose"):
        acsf(graph)


@pytest.mark.parametrize("index", [(0, 0), (1, 2)])
def test_edges_of_atoms_that_are_not_there(acsf, graph, index) -> None:
    graph.edge_index = graph.edge_index.clone()
    graph.edge_index[index] = 3
    graph.edge_vec = edge_vectors(AtomicGraph.from_atoms(ase.build.molecule("H2O"), 4.0))
    with pytest.raises(IndexError, match="`edge_index`: expected atoms among 3"):
        acsf(graph)


def test_a_plan_that_is_none() -> None:
    for ints, numbers in ([], []), ([2, 1], [1.0, 8.0]), ([1, 1, 1, 0, 0, 0, 0, 0, 7], [1.0]):
        with pytest.raises(ValueError, match="`ints`: expected lists that the native core reads"):
            operations.Plan(core(), ints, numbers, 1, lambda *_: torch.zeros(1))


def test_other_numbers_run_on_tensor_operations(acsf, graph) -> None:
    graph.pos = graph.pos.to(torch.bfloat16)
    assert operations.usable(graph.pos) is None and operations.usable(graph.cell) is not None
    meta = torch.zeros(3, 3, device="meta")
    assert operations.usable(meta) is None
