"""Splits are disjoint, of the promised sizes, the same for the same seed, and keep groups whole."""

from collections import Counter
from typing import Any

import ase.build
import numpy as np
import pytest
import torch
from ase import Atoms
from hypothesis import given
from hypothesis import strategies as st

from nnmd_graph.data import AtomsDataset, split_indices


@st.composite
def counts(draw: st.DrawFn) -> tuple[int, int, int, int]:
    a, b, c, rest = (draw(st.integers(0, 40)) for _ in range(4))
    return a + b + c + rest, a, b, c


@given(counts(), st.integers(0, 2**32 - 1))
def test_counts_are_met_and_parts_are_disjoint(sizes: tuple[int, int, int, int], seed: int) -> None:
    num_frames, *wanted = sizes
    if not any(wanted):
        return
    parts = split_indices(num_frames, *wanted, seed=seed)
    assert [len(part) for part in parts] == wanted
    together = np.concatenate(parts)
    assert len(set(together.tolist())) == len(together)
    assert ((together >= 0) & (together < num_frames)).all()
    for part, again in zip(parts, split_indices(num_frames, *wanted, seed=seed), strict=True):
        assert part.tolist() == again.tolist() == sorted(part.tolist())


@given(st.integers(30, 2000), st.lists(st.integers(5, 90), min_size=3, max_size=3))
def test_fractions_that_sum_to_one_use_every_frame(n: int, weights: list[int]) -> None:
    fractions = [weight / sum(weights) for weight in weights]
    if min(fractions) * n < 1:
        return
    parts = split_indices(n, *fractions)
    assert sum(len(part) for part in parts) == n
    for part, fraction in zip(parts, fractions, strict=True):
        assert abs(len(part) - fraction * n) < 1


def test_familiar_sizes() -> None:
    for n, sizes in [(10, (8, 1, 1)), (100, (80, 10, 10)), (262, (210, 26, 26))]:
        assert tuple(len(part) for part in split_indices(n, 0.8, 0.1, 0.1)) == sizes
    assert [len(p) for p in split_indices(1000, 0.7, 0.2, 0.1)] == [700, 200, 100]
    assert [len(p) for p in split_indices(10, 0.5, 0.2, 0.1)] == [5, 2, 1]
    assert [len(p) for p in split_indices(7, 1.0, 0.0, 0.0)] == [7, 0, 0]
    assert [len(p) for p in split_indices(7, 0.8, 0.2, 0)] == [6, 1, 0]
    assert [len(p) for p in split_indices(7, np.int64(3), np.int64(2), 0)] == [3, 2, 0]


def test_a_seed_means_the_same_split_for_ever() -> None:
    parts = [part.tolist() for part in split_indices(10, 5, 3, 2, seed=1)]
    assert parts == [[0, 2, 4, 6, 9], [1, 3, 7], [5, 8]]
    assert parts != [part.tolist() for part in split_indices(10, 5, 3, 2, seed=2)]


@pytest.mark.parametrize(
    ("sizes", "error", "message"),
    [
        ((0.8, 0.2, 0.1), ValueError, r"sum to at most 1, got 0\.8 \+ 0\.2 \+ 0\.1 = 1\.1"),
        ((8, 2, 1), ValueError, r"at most the 10 frames .*8 \+ 2 \+ 1 = 11"),
        ((0.98, 0.01, 0.01), ValueError, r"`val`: .*0\.01 of 10 frames.*val=1"),
        ((0.02, 0.5, 0.4), ValueError, r"`train`: expected at least one frame"),
        ((0.0, 0, 0), ValueError, "at least one above 0"),
        ((-0.1, 0.5, 0.5), ValueError, r"`train`: expected a finite number >= 0, got -0\.1"),
        ((0.5, float("nan"), 0.5), ValueError, "`val`: expected a finite number"),
        ((8, 0.1, 0.1), TypeError, "got both: 8, 0.1, 0.1"),
        (("8", 1, 1), TypeError, "`train`: expected a fraction .*got str '8'"),
        ((8, True, 1), TypeError, "`val`: expected a fraction .*got bool"),
        ((8, 1, None), TypeError, "`test`: .*got NoneType"),
    ],
)
def test_impossible_sizes(sizes: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        split_indices(10, *sizes)


@pytest.mark.parametrize(
    ("seed", "error"), [(-1, ValueError), (2**32, ValueError), (0.5, TypeError)]
)
def test_impossible_seeds(seed: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="`seed`"):
        split_indices(10, 5, 3, 2, seed=seed)


# ------------------------------------------------------------------------- groups
@given(
    st.lists(st.integers(1, 12), min_size=3, max_size=60),
    st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.25, 0.25), (0.34, 0.33, 0.33), (0.9, 0.1, 0.0)]),
    st.integers(0, 5),
)
def test_groups_stay_together(
    sizes: list[int], fractions: tuple[float, float, float], seed: int
) -> None:
    groups = [g for g, size in enumerate(sizes) for _ in range(size)]
    if min(f for f in fractions if f) * len(groups) < 1:
        return
    parts = split_indices(len(groups), *fractions, seed=seed, groups=groups)
    owners = [{groups[i] for i in part} for part in parts]
    assert not (owners[0] & owners[1] or owners[0] & owners[2] or owners[1] & owners[2])
    assert sum(len(part) for part in parts) == len(groups)
    for part, fraction in zip(parts, fractions, strict=True):
        assert (len(part) > 0) == (fraction > 0)


@pytest.mark.slow
@given(st.lists(st.integers(1, 3), min_size=100, max_size=200), st.integers(0, 5))
def test_small_groups_barely_change_the_sizes(sizes: list[int], seed: int) -> None:
    groups = [g for g, size in enumerate(sizes) for _ in range(size)]
    parts = split_indices(len(groups), 0.8, 0.1, 0.1, seed=seed, groups=groups)
    for part, fraction in zip(parts, (0.8, 0.1, 0.1), strict=True):
        assert abs(len(part) - fraction * len(groups)) <= 4


def test_groups_of_one_give_the_exact_sizes() -> None:
    parts = split_indices(50, 20, 10, 5, groups=list(range(50)))
    assert [len(part) for part in parts] == [20, 10, 5]


def test_pairs_come_into_every_part() -> None:
    groups = [i // 2 if i < 200 else i for i in range(1000)]
    parts = split_indices(1000, 0.6, 0.2, 0.2, groups=groups)
    for part in parts:
        pairs = Counter(groups[i] for i in part if i < 200)
        assert len(pairs) > 5
        assert set(pairs.values()) == {2}


def test_one_large_group_goes_to_the_largest_part() -> None:
    groups = ["bulk"] * 80 + [f"other {i}" for i in range(20)]
    parts = split_indices(100, 0.8, 0.1, 0.1, groups=groups)
    assert [len(part) for part in parts] == [80, 10, 10]
    assert parts[0].tolist() == list(range(80))


def test_too_few_groups() -> None:
    with pytest.raises(ValueError, match="`groups`: expected at least 3 groups for 3 parts, got 2"):
        split_indices(10, 0.6, 0.2, 0.2, groups=[0] * 5 + [1] * 5)
    with pytest.raises(ValueError, match="`groups`: expected one label for each of the 10 frames"):
        split_indices(10, 0.6, 0.2, 0.2, groups=[0, 1, 2])


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor])
def test_labels_of_any_kind(kind: Any) -> None:
    parts = split_indices(8, 4, 2, 2, groups=kind([0, 0, 1, 1, 2, 2, 3, 3]))
    assert [len(part) for part in parts] == [4, 2, 2]
    assert all(np.ptp(part.reshape(-1, 2), 1).tolist() == [1] * (len(part) // 2) for part in parts)


def test_labels_that_cannot_be_compared() -> None:
    with pytest.raises(TypeError, match="`groups`: .*got list for frame 0"):
        split_indices(3, 1, 1, 1, groups=[[1], [2], [3]])


# ------------------------------------------------------------------------- of a data set
def structures(n: int) -> list[Atoms]:
    frames = []
    for i in range(n):
        atoms = ase.build.bulk("Cu", cubic=True)
        atoms.rattle(0.1, seed=i)
        atoms.info["number"] = i
        frames.append(atoms)
    return frames


def numbers(dataset: AtomsDataset) -> list[int]:
    return [atoms.info["number"] for atoms in dataset.frames]


def test_the_split_does_not_depend_on_what_was_built() -> None:
    frames = structures(20)
    fresh, built = AtomsDataset(frames, 4.0), AtomsDataset(frames, 4.0).build()
    for a, b in zip(fresh.split(0.6, 0.2, 0.2), built.split(0.6, 0.2, 0.2), strict=True):
        assert numbers(a) == numbers(b)
    train, val, test = fresh.split(train=0.6, val=0.2, test=0.2, seed=3)
    assert sorted(numbers(train) + numbers(val) + numbers(test)) == list(range(20))
    assert numbers(train) != numbers(fresh.split(0.6, 0.2, 0.2, seed=4)[0])


def test_a_part_can_be_split_again() -> None:
    train, rest, _ = AtomsDataset(structures(12), 4.0).split(6, 6)
    a, b, c = rest.split(2, 2, 2)
    assert sorted(numbers(a) + numbers(b) + numbers(c)) == numbers(rest)


def test_a_part_that_was_not_asked_for_is_empty() -> None:
    train, val, test = AtomsDataset(structures(4), 4.0).split(0.75, 0.25)
    assert (len(train), len(val), len(test)) == (3, 1, 0)


def test_groups_by_a_key_of_info() -> None:
    frames = structures(12)
    for i, atoms in enumerate(frames[:9]):
        atoms.info["run"] = f"run {i // 3}"
    dataset = AtomsDataset(frames, 4.0)
    parts = dataset.split(0.5, 0.25, 0.25, groups="run")
    runs = [{atoms.info.get("run") for atoms in part.frames} - {None} for part in parts]
    assert sum(len(run) for run in runs) == 3
    with pytest.raises(ValueError, match=r"`groups`: .*'runs'; did you mean 'run'\?"):
        dataset.split(0.5, 0.25, 0.25, groups="runs")
    with pytest.raises(ValueError, match=r"did you mean 'geometry'\?"):
        dataset.split(0.5, 0.25, 0.25, groups="geometri")


def test_equal_structures_stay_together() -> None:
    frames = structures(10) * 3
    parts = AtomsDataset(frames, 4.0).split(0.5, 0.3, 0.2, groups="geometry")
    for part in parts:
        assert set(Counter(numbers(part)).values()) == {3}
    with pytest.warns(UserWarning, match="are in the training set too"):
        mixed = AtomsDataset(frames, 4.0).split(0.5, 0.3, 0.2)
    assert set(numbers(mixed[0])) & set(numbers(mixed[2]))
