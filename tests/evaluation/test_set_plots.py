"""Pictures of a set of functions: curves that are the formulas, values that are the data's."""

from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnmd_graph.data import AtomsDataset
from nnmd_graph.evaluation.set_plots import function_table, plot_feature_values, plot_functions
from nnmd_graph.representations import ACSF, G1, G2, G3, G4, G5
from nnmd_graph.representations.symmetry.polynomials import (
    PolynomialNarrow,
    PolynomialRadial,
    PolynomialWide,
)

pytestmark = pytest.mark.usefixtures("float64")

PNG = b"\x89PNG"
R_C = 4.0


def curves(axes: Axes) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.asarray(line.get_xdata()), np.asarray(line.get_ydata())) for line in axes.lines]


def titles(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def legend(axes: Axes) -> list[str]:
    found = axes.get_legend()
    return [text.get_text() for text in found.get_texts()] if found else []


def f_c(r: np.ndarray) -> np.ndarray:
    return 0.5 * (np.cos(np.pi * r / R_C) + 1.0)


def test_radial_curves_are_the_formula(tmp_path: Path) -> None:
    acsf = ACSF("Cu", R_C, [G2(eta=1.5, r_s=2.0), G1(), G2(eta=0.3, weighted=True)])
    figure = plot_functions(acsf, tmp_path / "set.png", title="three")
    assert (tmp_path / "set.png").read_bytes().startswith(PNG)
    assert titles(figure) == ["Cu, 3 radial"]
    (axes,) = figure.axes
    shapes = [
        lambda r: np.exp(-1.5 * (r - 2.0) ** 2) * f_c(r),
        f_c,
        lambda r: np.exp(-0.3 * r**2) * f_c(r),
    ]
    for (r, y), shape in zip(curves(axes), shapes, strict=True):
        assert r[-1] == R_C
        np.testing.assert_allclose(y, shape(r), rtol=1e-9, atol=1e-12)
    assert legend(axes) == ["Cu", "weighted"]


@pytest.mark.parametrize("zeta", [1.0, 4.0, 2.5])
@pytest.mark.parametrize("lam", [1.0, -1.0])
def test_wide_angular_curves_are_the_formula(zeta: float, lam: float) -> None:
    acsf = ACSF("Cu", R_C, [G5(eta=2.0, r_s=2.0, zeta=zeta, lam=lam)])
    over_distance, over_angle = plot_functions(acsf).axes
    ((r, radial),) = curves(over_distance)
    shape = (np.exp(-2.0 * (r - 2.0) ** 2) * f_c(r)) ** 2
    np.testing.assert_allclose(radial, shape / shape.max(), rtol=1e-9, atol=1e-12)
    ((theta, angular),) = curves(over_angle)
    assert (theta[0], theta[-1]) == (0.0, 180.0)
    shape = (0.5 + 0.5 * lam * np.cos(np.radians(theta))) ** zeta
    np.testing.assert_allclose(angular, shape, rtol=1e-9, atol=1e-12)


def test_narrow_functions_feel_the_third_distance() -> None:
    """At one distance r of both the third is 2 r sin(theta / 2)."""
    acsf = ACSF("Cu", R_C, [G4(eta=0.2, zeta=1.0, lam=1.0)])
    ((theta, y),) = curves(plot_functions(acsf).axes[1])
    r = R_C * 30 / 120  # 1 Å, the nearest that is looked at, where the function is largest
    third = 2.0 * r * np.sin(np.radians(theta) / 2.0)
    shape = (1.0 + np.cos(np.radians(theta))) * np.exp(-0.2 * third**2) * f_c(third)
    np.testing.assert_allclose(y, shape / shape.max(), rtol=1e-7, atol=1e-9)


@pytest.mark.slow
def test_every_type_of_function_can_be_drawn(tmp_path: Path) -> None:
    functions = [
        G1(), G2(eta=1.0), G3(kappa=2.0),
        G4(eta=0.1, zeta=2.0, lam=-1.0), G5(eta=0.1, zeta=2.5, lam=1.0),
        G4(eta=0.1, zeta=2.0, lam=1.0, weighted=True),
        PolynomialRadial(r_l=1.0, cutoff=3.0),
        PolynomialNarrow(r_l=0.5, cutoff=4.0, theta_l=20.0, theta_h=120.0),
        PolynomialWide(r_l=0.5, cutoff=4.0, theta_l=20.0, theta_h=120.0, weighted=True),
    ]  # fmt: skip
    acsf = ACSF(("H", "O"), R_C, functions, cutoff_function="poly2", inner_cutoff=0.3)
    figure = plot_functions(acsf, tmp_path / "all.pdf")
    assert (tmp_path / "all.pdf").stat().st_size > 5000
    drawn = 0
    for axes in figure.axes:
        for _, y in curves(axes):
            drawn += 1
            assert np.isfinite(y).all() and np.abs(y).max() > 0.05
    radial, angular = (
        sum(f.order == order for z in acsf.species for f in acsf.functions_of(z))
        for order in (1, 2)
    )
    assert drawn == radial + 2 * angular


def test_a_window_around_a_straight_line_is_drawn_to_its_end() -> None:
    functions = [PolynomialWide(r_l=0.5, cutoff=4.0, theta_l=-60.0, theta_h=60.0)]
    ((theta, y),) = curves(plot_functions(ACSF("Cu", R_C, functions)).axes[1])
    assert y[0] == pytest.approx(1.0) and y[theta >= 60.0].max() < 1e-12


def test_a_row_for_each_element_and_a_colour_for_each_neighbour() -> None:
    functions = [G2(eta=1.0), G2(eta=2.0, centre="O"), G5(eta=0.1, zeta=1.0, lam=1.0, centre="O")]
    figure = plot_functions(ACSF(("H", "O"), R_C, functions))
    assert titles(figure) == ["H, 2 radial", "H, 0 angular", "O, 4 radial", "O, 3 angular"]
    hydrogen, oxygen = figure.axes[0], figure.axes[3]
    assert legend(hydrogen) == legend(oxygen) == ["H", "O"]
    assert legend(figure.axes[4]) == ["H-H", "H-O", "O-O"]
    assert len({line.get_color() for line in oxygen.lines}) == 2


def test_values_are_those_of_the_data(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    distances = rng.uniform(1.0, 3.5, 50)
    frames = [Atoms("CuAu", [[0, 0, 0], [d, 0, 0]]) for d in distances]
    acsf = ACSF(("Cu", "Au"), R_C, [G1(), G2(eta=1.0, r_s=2.0, centre="Cu")])
    path = tmp_path / "values.png"
    figure = plot_feature_values(acsf, AtomsDataset(frames, R_C), path, title="pairs")
    assert path.read_bytes().startswith(PNG)
    assert titles(figure) == ["Cu, 50 atoms", "Au, 50 atoms"]
    (axes, gold) = figure.axes
    lines, bars, median = axes.collections
    values = [f_c(distances), np.exp(-((distances - 2.0) ** 2)) * f_c(distances)]
    # neighbours of Cu are Cu (none) and Au, for each function
    expected = [np.zeros(50), values[0], np.zeros(50), values[1]]
    for k, x in enumerate(expected):
        np.testing.assert_allclose(lines.get_segments()[k][:, 1], [x.min(), x.max()], atol=1e-12)
        np.testing.assert_allclose(
            bars.get_segments()[k][:, 1], np.percentile(x, [5, 95]), atol=1e-12
        )
        np.testing.assert_allclose(median.get_offsets()[k, 1], np.median(x), atol=1e-12)
    assert len(gold.collections[0].get_segments()) == 2


def test_table_of_a_set() -> None:
    acsf = ACSF(
        ("H", "O"), 4.0,
        [G2(eta=1.25, r_s=0.5, neighbors="O", cutoff=3.5), G5(eta=0.1, zeta=4.0, lam=-1.0,
         neighbors=("O", "H"), centre="O"), G2(eta=0.1, weighted=True, centre="O")],
    )  # fmt: skip
    assert function_table(acsf).splitlines() == [
        "H, 1 function",
        "   type  neighbours  cutoff   eta  r_s",
        "0    G2           O     3.5  1.25  0.5",
        "",
        "O, 3 functions",
        "   type  neighbours  cutoff   eta  r_s  zeta  lam",
        "0    G2           O     3.5  1.25  0.5",
        "1    G5         H-O       4   0.1    0     4   -1",
        "2    G2    weighted       4   0.1    0",
    ]


@pytest.mark.parametrize("call", [plot_functions, function_table])
def test_what_is_no_set_is_refused(call: object) -> None:
    with pytest.raises(TypeError, match="`acsf`: expected an ACSF, got Linear"):
        call(torch.nn.Linear(1, 1))  # type: ignore[operator]
