"""Reading potentials of n2p2 and RuNNer: what is understood, and what is refused with its line."""

import re
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.units import Bohr, Hartree
from hypothesis import given, settings

from nnmd_graph.formats.n2p2 import load_n2p2
from nnmd_graph.formats.n2p2.functions import LAYOUTS, FunctionLine, shortest
from nnmd_graph.graph import AtomicGraph
from nnmd_graph.representations import G2, G4

SETTINGS = """\
number_of_elements 2     ! a comment
elements O H             # sorted by atomic number: H, O
atom_energy O -75.0
atom_energy H -0.5
cutoff_type 2 0.3
scale_symmetry_functions
center_symmetry_functions
global_hidden_layers_short 2
global_nodes_short 3 2
global_activation_short t p l
random_seed 42
symfunction_short O 2 H 0.5 1.0 6.0
symfunction_short O 3 H H 0.1 1.0 4.0 6.0
symfunction_short H 2 O 0.5 1.0 6.0
symfunction_short O 2 O 0.1 0.0 6.0
"""
SCALING = """\
# element function minimum maximum mean sigma
1 1 0.0 2.0 0.5 0.25
2 1 0.0 1.0 0.5 0.25
2 2 0.5 1.5 1.0 0.25
2 3 0.0 0.1 0.01 0.02
"""
SIZES = {1: (1, 3, 2, 1), 8: (3, 3, 2, 1)}
UNITS = {"length_unit": "bohr", "energy_unit": "hartree"}


def num_weights(sizes: tuple[int, ...]) -> int:
    return sum((a + 1) * b for a, b in zip(sizes[:-1], sizes[1:], strict=True))


def weights(z: int, count: int) -> np.ndarray:
    return np.random.default_rng(z).normal(size=count)


def write(folder: Path, text: str = SETTINGS, scaling: str = SCALING, sizes: dict = SIZES) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "input.nn").write_text(text)
    (folder / "scaling.data").write_text(scaling)
    for z, widths in sizes.items():
        lines = [f"{value!r} a 1" for value in weights(z, num_weights(widths)).tolist()]
        (folder / f"weights.{z:03d}.data").write_text("\n".join(["# a comment", *lines]) + "\n")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "potential")


def water() -> Atoms:
    return Atoms("OHH", [[0, 0, 0], [0.76, 0.59, 0], [-0.74, 0.61, 0.1]])


def energy_of(potential, atoms: Atoms) -> float:
    graph = AtomicGraph.from_atoms(atoms, potential.cutoff, dtype=torch.float64)
    return potential(graph, forces=False, stress=False)["energy"].item()


# --------------------------------------------------------------------------- what the files mean
def test_order_and_units_of_functions(folder: Path) -> None:
    """Type, cutoff, eta, ...; elements by atomic number."""
    acsf = load_n2p2(folder, **UNITS).model.representation
    assert acsf.species == (1, 8)
    one = {"cutoff": 6 * Bohr, "centre": "O"}
    assert acsf.functions_of(8) == (
        G2(eta=0.1 / Bohr**2, neighbors="O", **one),
        G2(eta=0.5 / Bohr**2, r_s=Bohr, neighbors="H", **one),
        G4(eta=0.1 / Bohr**2, zeta=4.0, lam=1.0, neighbors=("H", "H"), **one),
    )
    assert acsf.functions_of("H") == (
        G2(eta=0.5 / Bohr**2, r_s=Bohr, neighbors="O", cutoff=6 * Bohr, centre="H"),
    )
    assert (acsf.cutoff_function, acsf.inner_cutoff) == ("tanh3", 0.0)


def test_energy_by_hand(folder: Path) -> None:
    potential = load_n2p2(folder, **UNITS)
    assert potential.dtype == torch.float64 and not potential.training
    atoms = water()
    graph = AtomicGraph.from_atoms(atoms, potential.cutoff, dtype=torch.float64)
    x = potential.model.representation(graph).numpy()
    rows = np.loadtxt(folder / "scaling.data")
    total = 0.0
    for z, features in zip(atoms.numbers, x, strict=True):
        low, high, mean = rows[rows[:, 0] == (1 if z == 1 else 2)][:, 2:5].T
        y = (features[: len(low)] - mean) / (high - low)
        numbers = iter(weights(z, num_weights(SIZES[z])))
        acts = (np.tanh, lambda v: np.log1p(np.exp(v)), lambda v: v)
        for n_out, act in zip(SIZES[z][1:], acts, strict=True):
            w = np.array([[next(numbers) for _ in range(n_out)] for _ in y])
            y = act(y @ w + np.array([next(numbers) for _ in range(n_out)]))
        total += y[0] + {1: -0.5, 8: -75.0}[z]
    assert energy_of(potential, atoms) == pytest.approx(total * Hartree, rel=1e-14)


def test_ranges_are_known(folder: Path) -> None:
    potential = load_n2p2(folder, **UNITS)
    limits = potential.model.ranges
    assert limits.minimum[1].tolist() == [0.0, 0.5, 0.0]
    assert limits.maximum[1].tolist() == [1.0, 1.5, 0.1]
    assert limits.maximum[0].tolist() == [2.0, -np.inf, -np.inf]
    graph = AtomicGraph.from_atoms(water(), potential.cutoff, dtype=torch.float64)
    assert {one.element for one in potential.extrapolation(graph)} <= {"O", "H"}


def test_normalization(tmp_path: Path) -> None:
    """Energies of the nets are in units of 1/conv_energy; lengths change the order at most."""
    keys = "mean_energy -25.0\nconv_energy 4.0\nconv_length 0.5\n"
    plain = load_n2p2(write(tmp_path / "plain"), **UNITS)
    normalized = load_n2p2(write(tmp_path / "normalized", keys + SETTINGS), **UNITS)
    offsets = 1 * -75.0 + 2 * -0.5
    net = energy_of(plain, water()) / Hartree - offsets
    expected = (net / 4.0 + 3 * -25.0 + offsets) * Hartree
    assert energy_of(normalized, water()) == pytest.approx(expected, rel=1e-14)


def test_normalized_nodes(tmp_path: Path) -> None:
    divided = load_n2p2(write(tmp_path / "a", SETTINGS + "normalize_nodes\n"), **UNITS)
    plain = load_n2p2(write(tmp_path / "b"), **UNITS)
    for one, other in zip(
        divided.model.readout.net.nets, plain.model.readout.net.nets, strict=True
    ):
        for n, (by, of) in enumerate(zip(one.linears, other.linears, strict=True)):
            inputs = int((of.weight != 0).any(0).sum()) if n == 0 else of.in_features
            torch.testing.assert_close(by.weight, of.weight / inputs)
            torch.testing.assert_close(by.bias, of.bias / inputs)


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        ((), "none"),
        (("scale",), "scale"),
        (("center",), "center"),
        (("scale", "center"), "scale_center"),
        (("sigma",), "sigma"),
        (("center", "sigma"), "center"),
    ],
)
def test_kinds_of_scaling(tmp_path: Path, keys: tuple[str, ...], kind: str) -> None:
    words = {"sigma": "scale_symmetry_functions_sigma"}
    text = re.sub(r"^.*_symmetry_functions\n", "", SETTINGS, flags=re.M)
    text += "".join(f"{words.get(key, key + '_symmetry_functions')}\n" for key in keys)
    text += "scale_min_short -1.0\nscale_max_short 2.0\n"
    scaler = load_n2p2(write(tmp_path / "p", text), **UNITS).model.scaler
    assert (scaler.kind, scaler.s_min, scaler.s_max) == (kind, -1.0, 2.0)
    assert scaler.sigma[1].tolist() == [0.25, 0.25, 0.02]


def test_layers_of_elements(tmp_path: Path) -> None:
    """n2p2 overrides all hidden layers but the last; which reading was meant, the size tells."""
    text = SETTINGS + "element_nodes_short O 5 4\nelement_activation_short O g c l\n"
    as_n2p2, intended = (SIZES | {8: (3, 5, last, 1)} for last in (2, 4))
    for sizes in (as_n2p2, intended):
        nets = load_n2p2(write(tmp_path / "p", text, sizes=sizes), **UNITS).model.readout.net.nets
        assert [net.last.in_features for net in nets] == [2, sizes[8][2]]
        assert nets[0].activation == ("tanh", "softplus", "identity")
        assert nets[1].activation == ("gaussian", "cos", "identity")


def test_old_spellings(tmp_path: Path) -> None:
    text = SETTINGS.replace("symfunction_short", "symfunction") + "nnp_generation 2\n"
    load_n2p2(write(tmp_path / "p", text), **UNITS)


def test_last_line_of_runner_and_no_sigma(tmp_path: Path) -> None:
    rows = [line.rsplit(maxsplit=1)[0] for line in SCALING.splitlines()[1:]]
    text = "\n".join([*rows, "", "-1.5 -0.25", ""])
    scaler = load_n2p2(write(tmp_path / "p", scaling=text), **UNITS).model.scaler
    assert scaler.sigma.unique().tolist() == [1.0]


def test_units_that_are_stated(tmp_path: Path) -> None:
    folder = write(tmp_path / "p", "# length_unit=bohr energy_unit=hartree\n" + SETTINGS)
    assert load_n2p2(folder).cutoff == 6 * Bohr
    with pytest.raises(
        ValueError, match="`energy_unit`: expected 'hartree', as .*input.nn' states"
    ):
        load_n2p2(folder, energy_unit="eV")


def test_units_must_be_known(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"`length_unit`: .*input.nn', which does not state it"):
        load_n2p2(folder)


# ------------------------------------------------------------------------------- what is refused
@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        (
            "random_seed 42",
            "nnp_type 4G-HDNNP",
            11,
            "expected nnp_type 2G-HDNNP or 2 .*got nnp_typ",
        ),
        ("random_seed 42", "nnp_gen 4", 11, "potentials of other kinds are not read"),
        ("random_seed 42", "nn_type_short 2", 11, "expected nn_type_short 1"),
        ("random_seed 42", "use_electrostatics", 11, "electrostatic energies are not read"),
        ("random_seed 42", "global_symfunction_short 2 1 0 6", 11, "not written out are not read"),
        (
            "random_seed 42",
            "element_hidden_layers_short O 1",
            11,
            "expected 2 hidden layers for all",
        ),
        ("random_seed 42", "cutoff_type 1", 11, "expected 'cutoff_type' once, got it again"),
        (
            "random_seed 42",
            "symfunction O 2 O 1 0 6",
            12,
            "either 'symfunction' or 'symfunction_sh",
        ),
        ("random_seed 42", "mean_energy 1.0", 0, r"expected all of .* or none, got only \['mean"),
        ("elements O H", "elements O Hx", 2, "expected the symbol of an element, got 'Hx'"),
        ("elements O H", "elements O", 2, "expected 2 different elements, got O"),
        ("elements O H", "elements O O", 2, "expected 2 different elements, got O O"),
        ("elements O H", "element O H", 0, "the keyword 'elements', got 'element' in line 2"),
        ("atom_energy O -75.0", "atom_energy O x", 3, "expected a finite number, got 'x'"),
        ("atom_energy O -75.0", "atom_energy C 1", 3, "expected an element of 'elements', got 'C'"),
        ("atom_energy O -75.0", "atom_energy", 3, "expected an element and an energy"),
        ("cutoff_type 2 0.3", "cutoff_type 9", 5, "expected a cutoff_type of 0, 1, .*got '9'"),
        ("cutoff_type 2 0.3", "cutoff_type 1 1.0", 5, r"an inner cutoff in \[0, 1\), got 1.0"),
        (
            "cutoff_type 2 0.3",
            "cutoff_type",
            5,
            r"expected 1 word\(s\) behind 'cutoff_type', got 0",
        ),
        ("layers_short 2", "layers_short 0", 8, "expected a positive integer, got '0'"),
        (
            "nodes_short 3 2",
            "nodes_short 3",
            9,
            "expected 2 widths behind 'global_nodes_short', go",
        ),
        ("short t p l", "short t p", 10, "expected 3 letters behind 'global_activation_short'"),
        ("short t p l", "short t q l", 10, "expected activations of l, t, s, .*got 'q'"),
        (
            "O 2 H 0.5",
            "O 1 H 0.5",
            12,
            r"expected a symmetry function of type \[2, 3.*got type '1'",
        ),
        ("O 2 H 0.5 1.0 6.0", "O 2 H 0.5 6.0", 12, r"type 2 1 element\(s\), eta, r_s, cutoff, got"),
        ("O 2 H 0.5 1.0 6.0", "O", 12, "expected an element, a type and parameters"),
        ("O 2 H 0.5", "O 2 C 0.5", 12, "expected elements of 'elements', got O 2 C"),
        ("O 2 H 0.5", "O 2 H 1.0D-1", 12, "expected a finite number, got '1.0D-1'"),
        ("O 3 H H 0.1 1.0", "O 3 H H 0.1 1.5", 13, "`lam` of G4: expected a number in"),
        ("H 2 O 0.5", "H 20 O -1 6.0 p5 #", 14, r"expected one of \('p1', .*got 'p5'"),
        (
            "H 2 O 0.5 1.0 6.0",
            "H 20 O 7.0 6.0 p2",
            14,
            "`r_l` of PolynomialRadial: expected a number below",
        ),
        ("symfunction_short H 2 O 0.5 1.0 6.0\n", "", 0, r"for each element \(Z = 1\), got none"),
        (
            "O 0.1 0.0 6.0",
            "H 0.5 1.0 6.0",
            0,
            "`functions`: expected different ones, got G2.* twice",
        ),
    ],
)
def test_settings_that_are_refused(
    tmp_path: Path, old: str, new: str, line: int, message: str
) -> None:
    assert old in SETTINGS
    folder = write(tmp_path / "p", SETTINGS.replace(old, new, 1))
    where = rf"input\.nn:{line}: " if line else r"input\.nn': "
    with pytest.raises(ValueError, match=rf"`folder`: .*{where}.*{message}"):
        load_n2p2(folder, **UNITS)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2 3 0.0", "2 4 0.0", "data:5: expected element 2 and function 3, got 2 4; its rows must"),
        ("1 1 0.0 2.0 0.5 0.25\n", "", "data:2: expected element 1 and function 1, got 2 1"),
        ("2 3 0.0 0.1 0.01 0.02\n", "", "data': expected 4 rows, got 3; do the files fit"),
        ("0.02\n", "0.02\n2 4 0 1 0 1\n", "data:6: expected 4 rows, got more"),
        ("0.1 0.01 0.02", "0.1", "data:5: expected 6 columns, got 2 3 0.0 0.1; correct it"),
        ("0.1 0.01", "nan 0.01", "data:5: expected a finite number, got 'nan'"),
        ("2 3 0.0 0.1", "2 3 0.0 0.0", "data:5: expected a range to scale function 4 of 4 by, got"),
        ("2 3 0.0 0.1", "2 3 0.5 0.1", "data:5: expected a range to scale function 4 of 4 by, got"),
    ],
)
def test_scaling_that_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in SCALING
    folder = write(tmp_path / "p", scaling=SCALING.replace(old, new, 1))
    with pytest.raises(ValueError, match=rf"`folder`: .*scaling\.{message}"):
        load_n2p2(folder, **UNITS)


def test_sigma_must_be_there(tmp_path: Path) -> None:
    text = SETTINGS.replace("scale_symmetry_functions\n", "scale_symmetry_functions_sigma\n")
    text = text.replace("center_symmetry_functions\n", "")
    folder = write(tmp_path / "p", text, SCALING.replace(" 0.25", ""))
    with pytest.raises(ValueError, match=r"scaling.data:2: expected 6 columns, got no sigma"):
        load_n2p2(folder, **UNITS)


def test_weights_that_are_refused(folder: Path) -> None:
    file = folder / "weights.008.data"
    text = file.read_text()
    file.write_text(text + "0.1\n")
    expected = r"weights.008.data': expected 23 weights for 3 functions of O and layers \(3, 2\), g"
    with pytest.raises(ValueError, match=expected):
        load_n2p2(folder, **UNITS)
    file.write_text(text.replace(" a 1\n", "x a 1\n", 1))
    with pytest.raises(ValueError, match=r"weights.008.data:2: expected a finite number, got"):
        load_n2p2(folder, **UNITS)


def test_a_net_that_has_no_value_for_a_lone_atom(tmp_path: Path) -> None:
    """A lone atom is far outside of narrow limits."""
    narrow = SCALING.replace("0.5 1.5 1.0", "1.0 1.00001 -1.0")
    text = SETTINGS.replace("short t p l", "short e l l")
    with pytest.raises(ValueError, match="finite for an atom without neighbours, got nan"):
        load_n2p2(write(tmp_path / "p", text, narrow), **UNITS)
    text = SETTINGS.replace("short t p l", "short h h l")
    with pytest.warns(UserWarning, match="the net of O gives .* eV for an atom without .* digits"):
        load_n2p2(write(tmp_path / "p", text, narrow), **UNITS)


@pytest.mark.parametrize("name", ["input.nn", "scaling.data", "weights.001.data"])
def test_missing_files(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"`folder`: expected .* got no '.*{name}'"):
        load_n2p2(folder, **UNITS)


@pytest.mark.filterwarnings("ignore:`folder`")  # of unknown keywords
@settings(max_examples=30)
@given(data=st.data())
def test_any_words_give_a_potential_or_one_message(tmp_path_factory, data: st.DataObject) -> None:
    lines = SETTINGS.splitlines()
    n = data.draw(st.integers(0, len(lines) - 1))
    words = st.one_of(st.sampled_from(SETTINGS.split()), st.sampled_from(["1e400", "-3", "\x00"]))
    lines[n] = " ".join(data.draw(st.lists(words, max_size=9)))
    folder = write(tmp_path_factory.mktemp("n2p2") / "p", "\n".join(lines))
    try:
        potential = load_n2p2(folder, **UNITS)
    except ValueError as error:
        assert str(error).startswith(("`folder`: ", "`length_unit`: "))
    else:
        assert np.isfinite(energy_of(potential, water()))


# -------------------------------------------------------------------------------------- numbers
@given(st.floats(1e-3, 1e3), st.floats(0.1, 10.0), st.integers(1, 10**9))
def test_a_number_that_was_converted_comes_back(value: float, factor: float, n: int) -> None:
    def forward(x: float) -> float:
        return x * factor

    again = shortest(forward, forward(value), forward(value) / factor)
    assert forward(again) == forward(value)
    typed = n / 10**6  # as somebody would write it
    assert shortest(forward, forward(typed), forward(typed) / factor) == typed


def test_no_number_gives_it_back() -> None:
    assert shortest(lambda _: 0.0, 1.0, 0.3) == 0.3


LINES = {
    2: "H 2 O 0.5 1.25 6.0",
    3: "H 3 O O 0.05 -1.0 2.5 6.0 0.75",
    9: "H 9 H O 0.05 1.0 16.0 6.0",
    12: "H 12 0.5 1.25 6.0",
    13: "H 13 0.5 1.25 -1.0 2.0 6.0",
    20: "H 20 O -6.0 6.0 p3a",
    21: "H 21 H O 0.5 6.0 20.0 160.0 e",
    22: "H 22 H O 0.5 6.0 -90.0 90.0 p1",
    23: "H 23 0.5 6.0 p2",
    24: "H 24 0.5 6.0 90.0 270.0 p4a",
    25: "H 25 -1.5 6.0 20.0 160.0 p2a",
}


@pytest.mark.parametrize("kind", LAYOUTS)
@pytest.mark.parametrize("length", [1.0, Bohr, 10.0])
def test_lines_come_back_as_they_were(kind: int, length: float) -> None:
    line = FunctionLine.parse(LINES[kind].split())
    function = line.function(length)
    assert FunctionLine.of(function, 1, length) == line
    assert line.text() == f"symfunction_short {LINES[kind]}"
    assert function.weighted == (kind in (12, 13, 23, 24, 25))
