"""Parameter sets of symmetry functions: plain values in, clear errors out."""

import dataclasses
import json
import math

import numpy as np
import pytest

from nnmd_graph.representations import G1, G2, G3, G4, G5
from nnmd_graph.representations.symmetry.functions import from_dict

ALL = [
    G1(),
    G1(cutoff=3.0, neighbors="H"),
    G2(eta=0.5),
    G2(eta=0.5, r_s=1.0, neighbors=8),
    G3(kappa=2.0),
    G4(eta=0.1, zeta=4.0, lam=-1.0, neighbors=("O", "H")),
    G5(eta=0.1, zeta=2.5, lam=1.0, r_s=0.5, cutoff=4.0),
]


@pytest.mark.parametrize("f", ALL, ids=str)
def test_round_trip_through_json(f) -> None:
    assert from_dict(json.loads(json.dumps(f.to_dict()))) == f


def test_frozen_hashable_and_keyword_only() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        G2(eta=1.0).eta = 2.0
    with pytest.raises(TypeError):
        G2(1.0, 0.0)
    assert len({G2(eta=1), G2(eta=1.0), G2(eta=np.float32(1.0)), G2(eta=1.0, r_s=0.5)}) == 2


def test_neighbors_by_symbol_or_number_in_any_order() -> None:
    assert G2(eta=1.0, neighbors="O").neighbors == (8,)
    assert G2(eta=1.0, neighbors=(8,)) == G2(eta=1.0, neighbors="O")
    a, b = (G4(eta=1.0, zeta=1.0, lam=1.0, neighbors=pair) for pair in (("O", "H"), (1, 8)))
    assert a == b and a.neighbors == (1, 8)


def test_numbers_of_numpy_become_plain() -> None:
    f = G2(eta=np.float64(0.5), r_s=np.float32(1.0), cutoff=np.int64(4), neighbors=np.int64(8))
    kinds = {type(value) for value in (f.eta, f.r_s, f.cutoff, f.neighbors[0])}
    assert kinds == {float, int}
    json.dumps(f.to_dict())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "wide", None])
@pytest.mark.parametrize("name", ["eta", "r_s"])
def test_parameters_are_finite(name: str, value) -> None:
    with pytest.raises(
        ValueError, match=rf"`{name}` of G2: expected a finite number, got .*give a number"
    ):
        G2(**({"eta": 1.0} | {name: value}))


@pytest.mark.parametrize("cutoff", [0.0, -1.0, math.nan, math.inf])
def test_cutoff_is_a_length(cutoff: float) -> None:
    with pytest.raises(ValueError, match=r"`cutoff` of G1: expected .*got"):
        G1(cutoff=cutoff)


@pytest.mark.parametrize("zeta", [0.0, -1.0])
def test_zeta_is_positive(zeta: float) -> None:
    with pytest.raises(ValueError, match=r"`zeta` of G4: expected a positive number, got .*usual"):
        G4(eta=1.0, zeta=zeta, lam=1.0)


def test_lam_bounds_the_base_of_the_power() -> None:
    with pytest.raises(ValueError, match=r"`lam` of G5: expected a number in \[-1, 1\], got 1.5"):
        G5(eta=1.0, zeta=1.0, lam=1.5)


@pytest.mark.parametrize(
    ("kind", "parameters", "neighbors"),
    [
        (G2, {"eta": 1.0}, ("H", "O")),
        (G4, {"eta": 1.0, "zeta": 1.0, "lam": 1.0}, "H"),
        (G5, {"eta": 1.0, "zeta": 1.0, "lam": 1.0}, ("H", "O", "C")),
    ],
)
def test_number_of_neighbors_fits_the_sum(kind, parameters, neighbors) -> None:
    with pytest.raises(ValueError, match=r"`neighbors` of G\d: expected \d element\(s\), got"):
        kind(**parameters, neighbors=neighbors)


@pytest.mark.parametrize("neighbors", ["Xx", 0, 500, "HO"])
def test_neighbors_are_elements(neighbors) -> None:
    with pytest.raises(ValueError, match=r"`neighbors`: expected .*got"):
        G2(eta=1.0, neighbors=neighbors)


def test_from_dict_of_an_unknown_type() -> None:
    with pytest.raises(ValueError, match=r"`type`.*'G1', 'G2'.*got 'G7'"):
        from_dict({"type": "G7", "eta": 1.0})
    with pytest.raises(ValueError, match=r"`type`.*got None"):
        from_dict({"eta": 1.0})


@pytest.mark.parametrize("values", [{"eta": 1.0, "lam": 1.0}, {"r_s": 1.0}])
def test_from_dict_of_parameters_that_do_not_fit(values) -> None:
    with pytest.raises(ValueError, match=r"`G2`: expected parameters among .*'eta', 'r_s'.*got"):
        from_dict({"type": "G2"} | values)


def test_from_dict_leaves_its_argument_alone() -> None:
    values = {"type": "G2", "eta": 1.0, "neighbors": ["H"]}
    from_dict(values)
    assert values == {"type": "G2", "eta": 1.0, "neighbors": ["H"]}
