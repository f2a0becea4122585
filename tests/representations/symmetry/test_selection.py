"""Choosing functions: the three methods against plain algebra, sets that work, clear refusals."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

from nnmd_graph.data import AtomsDataset
from nnmd_graph.models import BPNN, Potential
from nnmd_graph.representations import (
    ACSF,
    G1,
    G2,
    G4,
    G5,
    SymmetryFunction,
    select_functions,
)
from nnmd_graph.representations.symmetry import selection
from nnmd_graph.representations.symmetry.recipes import pool as pool_recipe
from nnmd_graph.representations.symmetry.selection import METHODS, sample_features

pytestmark = pytest.mark.usefixtures("float64")

CUTOFF = 4.0
POOL: list[SymmetryFunction] = [
    *(G2(eta=2.0, r_s=r) for r in (1.5, 2.0, 2.5, 3.0, 3.5)),
    *(G2(eta=eta) for eta in (0.1, 0.3)),
    *(G5(eta=0.2, r_s=2.0, zeta=zeta, lam=lam) for zeta in (1.0, 2.0, 4.0) for lam in (1.0, -1.0)),
    G4(eta=0.05, zeta=1.0, lam=1.0),
    G2(eta=1.0, r_s=2.5, cutoff=3.5),
]


@pytest.fixture(scope="module")
def frames() -> list[Atoms]:
    """Rattled and strained rock salt, with one vacancy each."""
    found = []
    for seed in range(5):
        atoms = bulk("CuO", "rocksalt", a=4.1 + 0.1 * seed, cubic=True)
        atoms.rattle(0.15, seed=seed)
        del atoms[seed]
        found.append(atoms)
    return found


@pytest.fixture
def dataset(frames: list[Atoms]) -> AtomsDataset:
    return AtomsDataset(frames, CUTOFF)


@pytest.fixture
def pool() -> ACSF:
    return ACSF(("Cu", "O"), CUTOFF, POOL)


def columns(size: int = 60, count: int = 12) -> np.ndarray:
    """Correlated data [size, count] of zero mean and unit width."""
    rng = np.random.default_rng(3)
    z = rng.normal(size=(size, 5)) @ rng.normal(size=(5, count)) + 0.3 * rng.normal(
        size=(size, count)
    )
    z -= z.mean(axis=0)
    return z / z.std(axis=0)


# -- the methods, on numbers -----------------------------------------------------------------------


def test_cur_is_the_algorithm_of_the_paper() -> None:
    """Largest entry of the first right singular vector; its column projected out of the rest."""
    z = columns()
    chosen = METHODS["cur"](z.T @ z / len(z), 8)
    left, expected = z.copy(), []
    for _ in range(8):
        score = np.linalg.svd(left)[2][0] ** 2
        score[expected] = -1.0
        best = int(score.argmax())
        direction = left[:, best] / np.linalg.norm(left[:, best])
        left = left - np.outer(direction, direction @ left)
        expected.append(best)
    assert chosen == expected


def test_fps_takes_the_farthest_column_up_to_its_sign() -> None:
    z = columns()
    chosen = METHODS["fps"](z.T @ z / len(z), 8)
    assert chosen[0] == METHODS["cur"](z.T @ z / len(z), 1)[0]
    for n in range(1, 8):
        nearest = [
            min(
                np.linalg.norm(z[:, k] - sign * z[:, taken])
                for taken in chosen[:n]
                for sign in (1, -1)
            )
            if k not in chosen[:n]
            else -1.0
            for k in range(z.shape[1])
        ]
        assert chosen[n] == int(np.argmax(nearest))


def test_herding_keeps_the_similarity_of_atoms() -> None:
    """Each step makes |K_pool - K_chosen| as small as one more function can."""
    z = columns()
    whole = z @ z.T / z.shape[1]
    chosen = METHODS["herding"](z.T @ z / len(z), 6)
    for n in range(6):
        error = {
            k: np.linalg.norm(whole - z[:, [*chosen[:n], k]] @ z[:, [*chosen[:n], k]].T / (n + 1))
            for k in range(z.shape[1])
            if k not in chosen[:n]
        }
        assert chosen[n] == min(error, key=lambda k: error[k])


def test_herding_takes_from_each_group_by_its_size() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(4000, 3))[:, [0] * 6 + [1] * 4 + [2] * 2]
    z = (z - z.mean(axis=0)) / z.std(axis=0)
    chosen = METHODS["herding"](z.T @ z / len(z), 6)
    groups = [0 if k < 6 else 1 if k < 10 else 2 for k in chosen]
    assert sorted(groups) == [0, 0, 0, 1, 1, 2]


def test_a_function_and_its_negative_are_one() -> None:
    z = columns(count=4)
    twins = np.concatenate([z, -z], axis=1)
    for name in ("cur", "fps", "pca-range"):  # those that look for unlike functions
        chosen = METHODS[name](twins.T @ twins / len(twins), 4)
        assert {k % 4 for k in chosen} == {0, 1, 2, 3}


def test_pca_takes_one_column_of_each_block() -> None:
    """Three groups of equal columns are three components, the largest group first."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(500, 3))[:, [0, 0, 0, 1, 1, 2]]
    z = (z - z.mean(axis=0)) / z.std(axis=0)
    chosen = METHODS["pca-range"](z.T @ z / len(z), 3)
    assert [(0, 0, 0, 1, 1, 2)[k] for k in chosen] == [0, 1, 2]


@pytest.mark.parametrize("method", METHODS)
def test_no_column_twice(method: str) -> None:
    z = columns()
    chosen = METHODS[method](z.T @ z / len(z), 12)
    assert sorted(chosen) == list(range(12))


def test_a_few_columns_of_cur_rebuild_the_others() -> None:
    """What CUR is for: X ~ C C^+ X has a smaller error than with columns drawn at random."""
    z = columns(size=300, count=40)
    rng = np.random.default_rng(0)

    def error(chosen: list[int]) -> float:
        return float(np.linalg.norm(z - z[:, chosen] @ np.linalg.pinv(z[:, chosen]) @ z))

    drawn = [error(rng.permutation(40)[:5].tolist()) for _ in range(40)]
    assert error(METHODS["cur"](z.T @ z / len(z), 5)) < np.percentile(drawn, 10)


# -- features --------------------------------------------------------------------------------------


def test_features_are_those_of_whole_graphs(pool: ACSF, dataset: AtomsDataset) -> None:
    x = sample_features(pool, dataset)
    for z in (8, 29):
        rows = [pool(graph)[graph.z == z] for graph in dataset]
        np.testing.assert_allclose(x[z], torch.cat(rows)[:, : x[z].shape[1]], rtol=1e-12, atol=0)


def test_a_draw_takes_so_many_atoms_of_each_element(pool: ACSF, dataset: AtomsDataset) -> None:
    whole = sample_features(pool, dataset)
    drawn = sample_features(pool, dataset, max_atoms=6)
    for z, x in drawn.items():
        assert len(x) == 6
        distance = np.abs(x[:, None] - whole[z]).max(axis=2)
        assert distance.min(axis=1).max() < 1e-12
        assert len(set(distance.argmin(axis=1))) == 6
    again = sample_features(pool, dataset, max_atoms=6)
    other = sample_features(pool, dataset, max_atoms=6, seed=1)
    assert all(np.array_equal(drawn[z], again[z]) for z in drawn)
    assert not all(np.array_equal(drawn[z], other[z]) for z in drawn)


def test_features_are_float64_whatever_the_data(pool: ACSF, frames: list[Atoms]) -> None:
    coarse = AtomsDataset(frames, CUTOFF, dtype=torch.float32)
    assert {x.dtype for x in sample_features(pool, coarse).values()} == {np.dtype("float64")}
    assert coarse[0].pos.dtype == torch.float32


# -- sets ------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_each_element_gets_its_own_functions(
    pool: ACSF, dataset: AtomsDataset, method: str
) -> None:
    chosen = select_functions(pool, dataset, 9, method=method)
    assert isinstance(chosen, ACSF)
    assert (chosen.species, chosen.cutoff, chosen.num_features) == ((8, 29), CUTOFF, 9)
    for z in chosen.species:
        functions = chosen.functions_of(z)
        assert len(functions) == len(set(functions)) == 9
        assert {f.centre for f in functions} == {z}
        assert all(f.cutoff is not None and f.neighbors is not None for f in functions)
    # the values are those of the pool, in its order
    for graph in dataset:
        for z in chosen.species:
            names = [dict(f.to_dict(), centre=z) for f in pool.functions_of(z)]
            places = [names.index(f.to_dict()) for f in chosen.functions_of(z)]
            assert places == sorted(places)
            own = graph.z == z
            torch.testing.assert_close(chosen(graph)[own], pool(graph)[own][:, places])


@pytest.mark.parametrize("method", METHODS)
def test_the_same_again(pool: ACSF, dataset: AtomsDataset, method: str) -> None:
    first, second = (
        select_functions(pool, dataset, 7, method=method, seed=5, max_atoms=10) for _ in range(2)
    )
    assert first.hyper_parameters() == second.hyper_parameters()


def test_the_rest_of_the_set_is_kept(dataset: AtomsDataset) -> None:
    pool = ACSF(("Cu", "O"), CUTOFF, POOL, cutoff_function="poly2", inner_cutoff=0.2)
    chosen = select_functions(pool, dataset, 3)
    assert (chosen.cutoff_function, chosen.inner_cutoff) == ("poly2", 0.2)


def test_weighted_functions_and_own_centres(dataset: AtomsDataset) -> None:
    functions = [
        *(G2(eta=eta, weighted=True) for eta in (0.1, 0.5, 1.0)),
        *(G2(eta=2.0, r_s=r, centre="Cu", neighbors="O") for r in (2.0, 2.5)),
    ]
    chosen = select_functions(ACSF(("Cu", "O"), CUTOFF, functions), dataset, 3)
    assert {f.weighted for f in chosen.functions_of("O")} == {True}
    assert len(chosen.functions_of("Cu")) == 3


def test_a_chosen_set_goes_into_a_file(pool: ACSF, dataset: AtomsDataset, tmp_path: Path) -> None:
    potential = Potential(BPNN(select_functions(pool, dataset, 6), hidden_channels=(4,)))
    potential.save(tmp_path / "chosen.pt")
    again = Potential.load(tmp_path / "chosen.pt")
    graph = dataset[0]
    assert torch.equal(potential.eval()(graph)["forces"], again(graph)["forces"])
    assert again.model.representation.functions == potential.model.representation.functions


def test_constant_functions_are_never_chosen(dataset: AtomsDataset) -> None:
    dead = [G1(cutoff=0.5), G2(eta=300.0, r_s=0.1)]
    pool = ACSF(("Cu", "O"), CUTOFF, [*dead, G2(eta=2.0, r_s=2.0), G2(eta=2.0, r_s=3.0)])
    for method in METHODS:
        chosen = select_functions(pool, dataset, 4, method=method)
        assert {f.r_s for f in chosen.functions if isinstance(f, G2)} == {2.0, 3.0}
        assert not any(isinstance(f, G1) for f in chosen.functions)
        with pytest.raises(
            ValueError, match=r"`n`: expected .*functions of O that vary.*, 4 of 8, got"
        ):
            select_functions(pool, dataset, 5, method=method)


@pytest.mark.parametrize("method", METHODS)
def test_functions_of_a_small_range_come_last(dataset: AtomsDataset, method: str) -> None:
    """A shell that ends before the first neighbour holds little of it, but is no constant."""
    short = {"eta": 4.5, "r_s": 0.0}
    small = [G2(**short, centre="Cu", neighbors="O"), G2(**short, centre="O", neighbors="Cu")]
    wide = [G2(eta=2.0, r_s=r, neighbors="O") for r in (2.0, 2.5, 3.0)]
    pool = ACSF(("Cu", "O"), CUTOFF, [*small, *wide])
    spans = {z: np.ptp(x[:, 0]) for z, x in sample_features(pool, dataset).items()}
    assert all(1e-8 < span < 1e-4 for span in spans.values()), spans
    chosen = select_functions(pool, dataset, 3, method=method)
    assert {f.r_s for f in chosen.functions if isinstance(f, G2)} == {2.0, 2.5, 3.0}
    assert len(select_functions(pool, dataset, 4, method=method).functions_of("O")) == 4


def chains(spacing: list[float], guest: str = "Cu") -> AtomsDataset:
    """Pairs of atoms far from all others, at these distances, and a lone atom."""
    frames = [Atoms(["Cu", guest], [[0, 0, 0], [d, 0, 0]]) for d in spacing]
    return AtomsDataset([*frames, Atoms("Cu")], CUTOFF)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_functions_that_vary_at_few_atoms_come_last(method: str) -> None:
    """One pair of a hundred is short: the inner shell is an outlier detector, nothing else."""
    rng = np.random.default_rng(0)
    dataset = chains([1.2, *rng.uniform(2.0, 3.8, 99)])
    inner, outer = G2(eta=20.0, r_s=1.2), [G2(eta=4.0, r_s=r) for r in (2.2, 2.6, 3.0, 3.4)]
    pool = ACSF("Cu", CUTOFF, [inner, *outer])
    for n in range(1, 5):
        chosen = select_functions(pool, dataset, n, method=method)
        assert inner.eta not in [vars(f)["eta"] for f in chosen.functions]
    assert len(select_functions(pool, dataset, 5, method=method).functions) == 5


def test_rare_neighbours_are_no_reason_to_leave_a_function_out() -> None:
    """Two of a hundred copper atoms have a gold neighbour: its shells are judged at these."""
    rng = np.random.default_rng(0)
    copper = chains(list(rng.uniform(2.0, 3.8, 60))).frames
    gold = chains([2.1, 2.4, 2.7, 3.0, 3.3], guest="Au").frames
    dataset = AtomsDataset([*copper, *gold], CUTOFF)
    shells = [G2(eta=4.0, r_s=r) for r in (2.2, 2.6, 3.0)]
    pool = ACSF(("Cu", "Au"), CUTOFF, [*shells, G2(eta=4.0, r_s=3.4, neighbors="Cu")])
    functions = pool.functions_of("Cu")
    features = sample_features(pool, dataset)
    assert selection._range_rule(features[29], functions).all()
    chosen = select_functions(pool, dataset, 3, method="herding")
    assert {f.neighbors for f in chosen.functions_of("Cu")} == {(29,), (79,)}


def test_what_is_already_said_comes_last_with_a_warning(dataset: AtomsDataset) -> None:
    """(1 +- x), (1 +- x)^2: four functions of one shell, of which three are independent."""
    angular = [G5(eta=0.2, zeta=z, lam=lam) for z in (1.0, 2.0) for lam in (1.0, -1.0)]
    pool = ACSF(("Cu", "O"), CUTOFF, [G5(**vars(f) | {"neighbors": (8, 8)}) for f in angular])
    assert select_functions(pool, dataset, 3).num_features == 3
    with pytest.warns(UserWarning, match="the first 3 functions already determine all others"):
        assert select_functions(pool, dataset, 4).num_features == 4


# -- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda p, d: select_functions(p, d, 3, method="pca"),
            ValueError,
            "`method`: expected one",
        ),
        (
            lambda p, d: select_functions(p, d, 0),
            ValueError,
            "`n`: expected a number between 1 and",
        ),
        (lambda p, d: select_functions(p, d, 99), ValueError, "`n`: expected .*functions of O"),
        (lambda p, d: select_functions(p, d, 2.5), TypeError, "`n`: expected an integer, got 2.5"),
        (lambda p, d: select_functions(p, d, True), TypeError, "`n`: expected an integer"),
        (
            lambda p, d: select_functions(POOL, d, 3),
            TypeError,
            "`acsf`: expected an ACSF, got list",
        ),
        (lambda p, d: select_functions(p, d.frames, 3), TypeError, "`dataset`: expected an Atoms"),
        (lambda p, d: select_functions(p, d[:0], 3), ValueError, "`dataset`: expected at least"),
        (lambda p, d: select_functions(p, d, 3, max_atoms=1), ValueError, "`max_atoms`: expected"),
    ],
)
def test_refusals(
    pool: ACSF,
    dataset: AtomsDataset,
    call: Callable[[ACSF, AtomsDataset], ACSF],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        call(pool, dataset)


def test_graphs_must_reach_as_far_as_the_functions(pool: ACSF, frames: list[Atoms]) -> None:
    with pytest.raises(ValueError, match=r"`dataset`: expected graphs .* 4 Å, got 3 Å"):
        select_functions(pool, AtomsDataset(frames, 3.0), 3)


def test_pool_and_data_have_the_same_elements(pool: ACSF, frames: list[Atoms]) -> None:
    copper = [atoms[atoms.numbers == 29] for atoms in frames]
    with pytest.raises(ValueError, match="`dataset`: expected the elements of the set.*none of O"):
        select_functions(pool, AtomsDataset(copper, CUTOFF), 3)
    with pytest.raises(ValueError, match="`acsf`: expected the elements of the data.*none of O"):
        select_functions(ACSF("Cu", CUTOFF, POOL), AtomsDataset(frames, CUTOFF), 3)


# -- the recipe ------------------------------------------------------------------------------------


def test_the_pool_has_shells_at_two_resolutions() -> None:
    functions = pool_recipe(5.0, num_radial=4, num_angular=2, zeta=(1.0,), r_min=1.0)
    radial = [(f.eta, f.r_s) for f in functions if isinstance(f, G2)]
    assert radial == [
        *[(0.5, 1.0), (0.5, 2.0), (0.5, 3.0), (0.5, 4.0)],  # 1 / (2 d^2), d = 1 Å
        *[(0.125, 1.0), (0.125, 3.0)],  # d = 2 Å
    ]
    wide = [(f.eta, f.r_s) for f in functions if isinstance(f, G5) and f.lam == 1.0]
    narrow = [(f.eta, f.r_s) for f in functions if isinstance(f, G4) and f.lam == 1.0]
    assert wide == [(0.125, 1.0), (0.125, 3.0), (0.03125, 1.0)]
    assert narrow == [(0.03125, 1.0)]
    assert len(functions) == 6 + 2 * 4


def test_the_pool_of_one_element_and_of_two() -> None:
    assert ACSF.auto("Cu", 5.0, recipe="pool").num_features == 88
    assert ACSF.auto(("Cu", "O"), 5.0, recipe="pool").num_features == 2 * 24 + 3 * 64


@pytest.mark.parametrize(("angular", "kinds"), [("both", {G4, G5}), ("G4", {G4}), ("G5", {G5})])
def test_kinds_of_angular_functions(angular: str, kinds: set[type]) -> None:
    functions = pool_recipe(5.0, angular=angular)
    assert {type(f) for f in functions} - {G2} == kinds
    assert len(pool_recipe(5.0, angular=angular, num_angular=0)) == 24
