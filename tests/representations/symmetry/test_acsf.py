"""ACSF: how a set is made, what it says of itself, what it refuses."""

import json
import math
from collections import Counter

import ase
import numpy as np
import pytest
import torch

from nnmd_graph.representations import ACSF, G1, G2, G4, G5
from nnmd_graph.representations.symmetry.functions import SymmetryFunction
from nnmd_graph.representations.symmetry.recipes import RECIPES, gastegger2018, imbalzano2018, pool

H2O = ("H", "O")


def test_one_function_per_element_or_pair_of_elements() -> None:
    acsf = ACSF(("O", "H", "C"), 4.0, [G2(eta=1.0), G4(eta=1.0, zeta=1.0, lam=1.0)])
    assert acsf.species == (1, 6, 8)
    assert [f.neighbors for f in acsf.functions] == [
        *[(1,), (6,), (8,)],
        *[(1, 1), (1, 6), (1, 8), (6, 6), (6, 8), (8, 8)],
    ]
    assert {f.cutoff for f in acsf.functions} == {4.0}
    assert acsf.num_features == 9


def test_functions_keep_what_they_name() -> None:
    f = G5(eta=1.0, zeta=1.0, lam=1.0, cutoff=3.0, neighbors=("O", "H"))
    assert ACSF(H2O, 4.0, [f]).functions == (f,)


@pytest.mark.slow
def test_round_trip_through_json(functions, atoms, graph_of) -> None:
    acsf = ACSF(("C", "H", "O"), 4.0, functions, cutoff_function="tanh3")
    values = json.loads(json.dumps(acsf.hyper_parameters()))
    again = ACSF.from_hyper_parameters(values)
    assert again.hyper_parameters() == acsf.hyper_parameters()
    assert again.functions == acsf.functions
    assert torch.equal(again(graph_of(atoms)), acsf(graph_of(atoms)))


def test_hyper_parameters_are_plain_also_from_numpy() -> None:
    functions = [G2(eta=eta) for eta in np.linspace(0.1, 1.0, 3)]
    json.dumps(ACSF(np.array([1, 8]), np.float64(4.0), functions).hyper_parameters())


def test_says_what_it_is() -> None:
    assert "H, O; cutoff=4.0 Å; 2 functions" in repr(ACSF(H2O, 4.0, [G1()]))


def test_nothing_to_train() -> None:
    assert not list(ACSF(H2O, 4.0, [G1()]).parameters())


@pytest.mark.parametrize("cutoff", [0.0, -2.0, math.nan, math.inf])
def test_bad_cutoff(cutoff: float) -> None:
    with pytest.raises(ValueError, match=r"`cutoff`: expected a positive number, got .*Å"):
        ACSF(H2O, cutoff, [G1()])


def test_bad_cutoff_function() -> None:
    with pytest.raises(ValueError, match="`cutoff_function`: expected one of"):
        ACSF(H2O, 4.0, [G1()], cutoff_function="cos")


def test_no_functions() -> None:
    with pytest.raises(ValueError, match="`functions`: expected at least one .*got none"):
        ACSF(H2O, 4.0, [])


def test_not_a_function() -> None:
    with pytest.raises(
        TypeError, match=r"`functions`: expected symmetry functions.*got dict.*G2\("
    ):
        ACSF(H2O, 4.0, [{"type": "G2", "eta": 1.0}])


@pytest.mark.parametrize(
    "functions",
    [
        [G2(eta=1.0), G2(eta=1.0)],
        [G2(eta=1.0), G2(eta=1.0, neighbors="O")],
        [G1(), G1(cutoff=4.0)],
    ],
)
def test_one_function_twice(functions: list[SymmetryFunction]) -> None:
    with pytest.raises(ValueError, match=r"`functions`: expected different ones, got G\d.* twice"):
        ACSF(H2O, 4.0, functions)


def test_function_that_reaches_too_far() -> None:
    with pytest.raises(ValueError, match=r"`cutoff` of a function: .* 4.0 Å, got G1.*enlarge"):
        ACSF(H2O, 4.0, [G1(cutoff=4.1)])


def test_function_of_an_element_outside_the_set() -> None:
    with pytest.raises(ValueError, match=r"`neighbors`.*\['H', 'O'\], got G2.*add the element"):
        ACSF(H2O, 4.0, [G2(eta=1.0, neighbors="N")])


def test_structure_with_an_element_outside_the_set(graph_of) -> None:
    graph = graph_of(ase.Atoms("HN", [[0, 0, 0], [1, 0, 0]]))
    acsf = ACSF(H2O, 4.0, [G1()])
    for call in (acsf, acsf.jacobian):
        with pytest.raises(ValueError, match=r"`z`.*\['H', 'O'\], got N \(atom 1\)"):
            call(graph)


# -- automatic sets ---------------------------------------------------------------------------


def test_imbalzano2018_by_hand() -> None:
    """Two radial intervals and a cutoff of 2 Å; the shells are those that n2p2's sfparamgen has."""
    functions = imbalzano2018(2.0, num_radial=2, num_angular=1, zeta=[4.0])
    radial = [(f.eta, f.r_s) for f in functions if isinstance(f, G2)]
    expected = [
        *[(0.25, 0.0), (0.5, 0.0), (1.0, 0.0)],  # centred: (2^(m/2) / 2)^2
        *[(1.5 + math.sqrt(2), math.sqrt(2)), (3 + 2 * math.sqrt(2), 1.0)],  # shifted
    ]
    np.testing.assert_allclose(radial, expected, rtol=1e-14)
    angular = [f for f in functions if not isinstance(f, G2)]
    assert angular == [G4(eta=0.25, zeta=4.0, lam=lam) for lam in (1.0, -1.0)]


@pytest.mark.parametrize("n", [3, 6])
@pytest.mark.parametrize("cutoff", [4.0, 6.5])
def test_imbalzano2018_formulas(n: int, cutoff: float) -> None:
    functions = imbalzano2018(cutoff, num_radial=n, num_angular=n)
    radial = [f for f in functions if isinstance(f, G2)]
    centred, shifted = radial[: n + 1], radial[n + 1 :]
    assert [f.r_s for f in centred] == [0.0] * (n + 1)
    for m, f in enumerate(centred):
        assert f.eta == pytest.approx((n ** (m / n) / cutoff) ** 2)
    assert len(shifted) == n
    outer = cutoff
    for m, f in enumerate(shifted, start=1):
        assert f.r_s == pytest.approx(cutoff / n ** (m / n))
        assert f.eta == pytest.approx(1 / (outer - f.r_s) ** 2)
        outer = f.r_s
    angular = functions[len(radial) :]
    widths = [(n ** (m / n) / cutoff) ** 2 for m in range(n)]
    wanted = {(eta, zeta, lam) for eta in widths for zeta in (1.0, 4.0, 16.0) for lam in (1, -1)}
    assert {(f.eta, f.zeta, f.lam) for f in angular} == wanted
    assert len(angular) == len(wanted)


@pytest.mark.parametrize("kind", [G4, G5])
def test_gastegger2018_formulas(kind) -> None:
    """Shells on n2p2's grid, linspace(r_min, r_c, n + 1), without the one at the cutoff."""
    functions = gastegger2018(5.0, num_radial=8, num_angular=2, r_min=1.0, angular=kind.__name__)
    radial = [(f.eta, f.r_s) for f in functions if isinstance(f, G2)]
    np.testing.assert_allclose(radial, [(0.5 / 0.5**2, 1.0 + 0.5 * m) for m in range(8)])
    wanted = [
        kind(eta=0.5 / 2.0**2, r_s=r_s, zeta=zeta, lam=lam)
        for r_s in (1.0, 3.0)
        for zeta in (1.0, 2.0, 4.0, 8.0)
        for lam in (1.0, -1.0)
    ]
    assert functions[8:] == wanted


def test_gastegger2018_shells_of_several_widths() -> None:
    narrow, wide = (gastegger2018(5.0, num_radial=3, num_angular=n) for n in (4, 2))
    assert gastegger2018(5.0, num_radial=3, num_angular=[4, 2]) == narrow + wide[3:]
    assert gastegger2018(5.0, num_angular=[]) == gastegger2018(5.0, num_angular=0)
    with pytest.raises(ValueError, match=r"`num_angular` at least 0.*got 12, \[4, -1\]"):
        gastegger2018(5.0, num_angular=[4, -1])


def test_pool_takes_resolutions() -> None:
    assert pool(5.0, num_angular=[4, 2]) == pool(5.0)
    shells = pool(5.0, num_radial=2, num_angular=[6, 4, 3, 1], zeta=[1.0])
    count = Counter(type(f) for f in shells)
    assert count == {G2: 3, G5: 2 * (6 + 4 + 3 + 1), G4: 2 * (3 + 1)}
    wide = pool(5.0, num_radial=2, num_angular=[3, 1], zeta=[1.0], angular="G5")
    assert Counter(type(f) for f in wide) == {G2: 3, G5: 2 * 4}
    with pytest.raises(ValueError, match=r"`num_angular` at least 0.*got 16, \[4, -1\]"):
        pool(5.0, num_angular=[4, -1])
    with pytest.raises(ValueError, match=r"`num_angular` at least 0.*got 16, \[\]"):
        pool(5.0, num_angular=[])


@pytest.mark.parametrize("r_min", [-0.1, 5.0, math.nan])
def test_gastegger2018_first_shell_lies_inside(r_min: float) -> None:
    with pytest.raises(ValueError, match=r"`r_min`: expected a number in \[0, 5.0\) Å, got"):
        gastegger2018(5.0, r_min=r_min)


@pytest.mark.parametrize(("species", "count"), [(("Cu",), 37), (H2O, 2 * 13 + 3 * 24)])
def test_auto_for_any_elements(species, count: int) -> None:
    acsf = ACSF.auto(species, 5.0, recipe="imbalzano2018")
    assert acsf.num_features == count
    assert (acsf.cutoff, acsf.cutoff_function) == (5.0, "cosine")


def test_auto_takes_options() -> None:
    options = {"recipe": "imbalzano2018", "num_radial": 4, "zeta": (1.0,), "angular": "G5"}
    acsf = ACSF.auto("Cu", 5.0, num_angular=2, **options)
    assert acsf.num_features == 9 + 4
    assert {type(f) for f in acsf.functions} == {G2, G5}
    assert ACSF.auto("Cu", 5.0, num_angular=0, **options).num_features == 9
    assert ACSF.auto("Cu", 5.0, cutoff_function="tanh3").cutoff_function == "tanh3"


@pytest.mark.parametrize("recipe", RECIPES)
def test_no_recipe_names_a_function_twice(recipe: str) -> None:
    for cutoff in (3.0, 5.0, 8.0):
        ACSF.auto(H2O, cutoff, recipe=recipe)


def test_unknown_recipe() -> None:
    with pytest.raises(
        ValueError, match=r"`recipe`: expected one of \[.*'imbalzano2018'.*\], got 'me'"
    ):
        ACSF.auto("Cu", 5.0, recipe="me")


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("options", [{"num_radial": 0}, {"num_angular": -1}, {"angular": "G6"}])
def test_bad_options(recipe: str, options) -> None:
    with pytest.raises(ValueError, match=r"`num_radial`: expected at least \d.*defaults are"):
        ACSF.auto("Cu", 5.0, recipe=recipe, **options)
