"""Limits of features: what counts as outside, and by how much."""

import copy
import pickle

import hypothesis
import hypothesis.strategies as st
import pytest
import torch

from nnmd_graph.representations.limits import EPS, ROUNDING, FeatureLimits

pytestmark = pytest.mark.usefixtures("float64")


def fitted() -> FeatureLimits:
    """Two elements, three features; the last feature of the second is always zero."""
    limits = FeatureLimits(2, 3)
    limits.set([[0.0, -1.0, 2.0], [1.0, 0.5, 0.0]], [[1.0, 1.0, 4.0], [3.0, 0.5, 0.0]])
    return limits


def test_nothing_is_outside_of_what_is_unknown() -> None:
    limits = FeatureLimits(2, 3)
    x = torch.tensor([[1e300, -1e300, 0.0], [0.0, 1.0, 2.0]])
    assert not limits.fitted and not limits.known.any()
    assert not limits.excess(x, torch.tensor([0, 1])).any()
    assert "unknown" in repr(limits)


def test_signed_amounts_outside_by_element() -> None:
    x = torch.tensor([[1.5, -1.25, 3.0], [0.0, 1.0, 2.0], [1.5, 0.75, 0.0], [0.0, 0.5, 1e-9]])
    expected = [[0.5, -0.25, 0.0], [0.0, 0.0, 0.0], [0.0, 0.25, 0.0], [-1.0, 0.0, 1e-9]]
    limits, species_id = fitted(), torch.tensor([0, 0, 1, 1])
    assert torch.equal(limits.excess(x, species_id), torch.tensor(expected))
    assert limits.count(x, species_id).tolist() == [2, 0, 1, 2]
    assert limits.count(x[:, :2], species_id).tolist() == [2, 0, 1, 1]


def test_the_tolerance_is_that_of_n2p2() -> None:
    """value + eps < minimum or value - eps > maximum, eps = 1000 * DBL_EPSILON, absolute."""
    assert EPS == pytest.approx(2.220446049250313e-13, rel=1e-12)
    limits = FeatureLimits(1, 1)
    limits.set([[0.0]], [[1e-3]])
    for inside, outside in ((-0.99 * EPS, -1.01 * EPS), (1e-3 + 0.99 * EPS, 1e-3 + 1.01 * EPS)):
        x = torch.tensor([[inside], [outside]])
        assert limits.count(x, torch.zeros(2, dtype=torch.long)).tolist() == [0, 1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_of_large_values_does_not_count(dtype: torch.dtype) -> None:
    limits = FeatureLimits(1, 1).to(dtype)
    limits.set([[-1000.0]], [[500.0]])
    eps = 1000.0 * ROUNDING[dtype]
    x = torch.tensor([[500.0 + 0.5 * eps], [500.0 + 2 * eps]], dtype=dtype)
    assert limits.count(x, torch.zeros(2, dtype=torch.long)).tolist() == [0, 1]


@hypothesis.given(st.integers(1, 40), st.integers(1, 5), st.integers(0, 2**20))
def test_no_atom_that_was_fitted_is_outside(num_atoms: int, pieces: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(num_atoms, 4, generator=generator)
    species_id = torch.randint(3, (num_atoms,), generator=generator)
    limits = FeatureLimits(3, 4)
    for rows, ids in zip(x.chunk(pieces), species_id.chunk(pieces), strict=True):
        limits.fit(rows, ids)
    assert not limits.excess(x, species_id).any()
    assert limits.known.tolist() == [bool((species_id == s).any()) for s in range(3)]
    for s in species_id.unique().tolist():
        assert torch.equal(limits.minimum[s], x[species_id == s].amin(0))
        assert torch.equal(limits.maximum[s], x[species_id == s].amax(0))
    moved = x + (limits.maximum - limits.minimum)[species_id] + 1.0
    assert limits.count(moved, species_id).tolist() == [4] * num_atoms


def test_many_atoms_are_compared_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    x, species_id = 2 * torch.randn(50, 3), torch.arange(50) % 2
    expected = fitted().count(x, species_id)
    monkeypatch.setattr("nnmd_graph.representations.limits.MAX_VALUES", 20)
    assert torch.equal(fitted().count(x, species_id), expected)
    assert fitted().count(x[:0], species_id[:0]).tolist() == []


def test_limits_stay_in_float64_and_move_with_the_model() -> None:
    third = torch.full((1, 1), 1 / 3)
    limits = FeatureLimits(1, 1).float()
    limits.set(third, third)
    for moved in (limits.float(), limits.half(), limits.double(), copy.deepcopy(limits)):
        assert moved.minimum.dtype == torch.float64
        assert torch.equal(moved.minimum, third) and torch.equal(moved.maximum, third)
    assert limits.to("meta").maximum.device.type == "meta"


def test_saved_and_loaded() -> None:
    state = fitted().state_dict()
    assert set(state) == {"minimum", "maximum"}
    other = FeatureLimits(2, 3).float()
    other.load_state_dict(state)
    for name, limit in fitted().named_buffers():
        assert torch.equal(other.get_buffer(name), limit)
    assert torch.equal(pickle.loads(pickle.dumps(other)).maximum, other.maximum)


def test_a_file_without_ranges_leaves_them_unknown() -> None:
    model = torch.nn.ModuleDict({"net": torch.nn.Linear(2, 1), "ranges": fitted()})
    old = {name: value for name, value in model.state_dict().items() if "ranges" not in name}
    model.load_state_dict(old)
    assert not model["ranges"].fitted
    assert len(old) == 2
    with pytest.raises(RuntimeError, match="net.bias"):
        model.load_state_dict({"net.weight": old["net.weight"]})


def test_watchers_see_what_is_shown_meanwhile() -> None:
    limits, seen = fitted(), []
    x, species_id = torch.randn(2, 3, requires_grad=True), torch.tensor([0, 1])
    limits.show(x, species_id)
    with limits.watched(lambda *given: seen.append(given)):
        limits.show(x, species_id, species_id)
    with pytest.raises(KeyError), limits.watched(lambda *given: seen.append(given)):
        raise KeyError
    limits.show(x, species_id)
    assert len(seen) == 1
    assert torch.equal(seen[0][0], x) and not seen[0][0].requires_grad
    assert torch.equal(seen[0][1], species_id) and seen[0][2] is species_id


@pytest.mark.parametrize(
    ("minimum", "maximum", "message"),
    [
        ([[0.0]], [[1.0], [2.0]], r"`maximum`: expected the shape \[1, 1\].*got \[2, 1\]"),
        ([0.0], [[1.0]], r"`minimum`: expected the shape \[1, 1\].*got \[1\]"),
        ([[2.0]], [[1.0]], r"`minimum`: expected at most `maximum`, got 2.0 and 1.0 for element 0"),
        ([[float("nan")]], [[1.0]], r"`minimum`: expected at most `maximum`, got nan"),
        ([[float("inf")]], [[1.0]], r"`minimum`: expected at most `maximum`, got inf"),
    ],
)
def test_wrong_limits(minimum: object, maximum: object, message: str) -> None:
    limits = FeatureLimits(1, 1)
    with pytest.raises(ValueError, match=message):
        limits.set(minimum, maximum)
    assert not limits.fitted
