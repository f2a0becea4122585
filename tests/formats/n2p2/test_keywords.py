"""Keywords and file names of n2p2 and RuNNer: honoured, refused by name, or warned of."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms

from nnmd_graph.formats.n2p2 import load_n2p2, save_n2p2
from nnmd_graph.formats.n2p2.keywords import KNOWN, READ, REFUSED
from nnmd_graph.graph import AtomicGraph

SETTINGS = """\
number_of_elements 1
elements Cu
cutoff_type 5
global_hidden_layers_short 2
global_nodes_short 3 2
global_activation_short t t l
symfunction_short Cu 2 Cu 0.3 0.0 4.0
symfunction_short Cu 2 Cu 0.3 1.5 4.0
"""
SCALING = "1 1 0.0 2.0 0.5 0.25\n1 2 0.0 3.0 1.0 0.5\n"
RUNNER = "runner_mode 3\nuse_short_nn\nnn_type_short 1\n"
N2P2 = "updater_type 1\nselection_mode 2\nmemorize_symfunc_results\n"
UNITS = {"length_unit": "angstrom", "energy_unit": "eV"}
TWO = """\
number_of_elements 2
elements Ag Cu
cutoff_type 5
global_hidden_layers_short 2
global_nodes_short 3 2
global_activation_short t t l
symfunction_short Cu 2 Cu 0.3 0.0 4.0
symfunction_short Ag 2 Cu 0.3 1.5 4.0
"""


def weights(z: int, widths: tuple[int, ...] = (2, 3, 2, 1)) -> str:
    count = sum((a + 1) * b for a, b in zip(widths[:-1], widths[1:], strict=True))
    values = np.random.default_rng(z).normal(size=count).tolist()
    return "".join(f"{value!r} a 1\n" for value in values)


def write(folder: Path, text: str, widths: tuple[int, ...] = (2, 3, 2, 1)) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "input.nn").write_bytes(text.encode())
    (folder / "scaling.data").write_text(SCALING)
    (folder / "weights.029.data").write_text(weights(29, widths))
    return folder


def energy(potential, dtype: torch.dtype = torch.float64) -> float:
    atoms = Atoms("Cu3", [[0, 0, 0], [1.9, 0.1, 0], [0.4, 2.2, 0.3]])
    graph = AtomicGraph.from_atoms(atoms, potential.cutoff, dtype=dtype)
    return potential(graph, forces=False, stress=False)["energy"].item()


@pytest.fixture
def energy_of(tmp_path: Path):
    def of(text: str, **kwargs) -> float:
        return energy(load_n2p2(write(tmp_path / "p", text, **kwargs), **UNITS))

    return of


# --------------------------------------------------------------------------------- inner cutoff
@pytest.mark.parametrize("cutoff_type", [1, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("alpha", ["0.5", "0.25", "5.0d-1"])
def test_cutoff_alpha_of_runner_is_the_second_word_of_n2p2(
    energy_of, cutoff_type: int, alpha: str
) -> None:
    n2p2 = f"cutoff_type {cutoff_type} {alpha.replace('d', 'e')}"
    expected = energy_of(SETTINGS.replace("cutoff_type 5", n2p2))
    text = SETTINGS.replace("cutoff_type 5", f"cutoff_type {cutoff_type}\ncutoff_alpha {alpha}")
    assert energy_of(RUNNER + text) == expected
    assert energy_of(SETTINGS.replace("cutoff_type 5", f"cutoff_type {cutoff_type}")) != expected


def test_cutoff_alpha_that_agrees_or_has_no_effect(energy_of) -> None:
    text = SETTINGS.replace("cutoff_type 5", "cutoff_type 5 0.5")
    assert energy_of(text + "cutoff_alpha 0.50\n") == energy_of(text)
    hard = SETTINGS.replace("cutoff_type 5", "cutoff_type 0")
    assert energy_of(hard + "cutoff_alpha 0.5\n") == energy_of(hard)
    assert energy_of(SETTINGS + "cutoff_alpha 0.0\n") == energy_of(SETTINGS)


def test_runner_takes_the_cosine_where_no_cutoff_type_is_given(energy_of) -> None:
    expected = energy_of(SETTINGS.replace("cutoff_type 5", "cutoff_type 1"))
    assert energy_of(RUNNER + SETTINGS.replace("cutoff_type 5\n", "")) == expected
    with pytest.raises(ValueError, match="expected the keyword 'cutoff_type', got none"):
        energy_of(SETTINGS.replace("cutoff_type 5\n", ""))


# ------------------------------------------------------------------------------- scaled range
@pytest.mark.parametrize("ends", [(-1.0, 1.0), (0.0, 2.0), (-0.5, 0.5)])
def test_ends_of_the_scaled_range_under_the_names_of_both(energy_of, ends) -> None:
    scaled = SETTINGS + "scale_symmetry_functions\n"
    short, long = (
        f"scale_min_short{name} {ends[0]}\nscale_max_short{name} {ends[1]}\n"
        for name in ("", "_atomic")
    )
    assert energy_of(scaled + long) == energy_of(scaled + short) != energy_of(scaled)
    assert energy_of(scaled + long + short) == energy_of(scaled + short)


# ------------------------------------------------------------------------------ atom_energy
def test_atom_energy_is_added_as_the_code_of_the_file_does_it(energy_of) -> None:
    none, offset = energy_of(SETTINGS), "atom_energy Cu -50.0\n"
    assert energy_of(SETTINGS + offset) == pytest.approx(none - 150.0, rel=1e-14)
    assert energy_of(SETTINGS + N2P2 + offset) == pytest.approx(none - 150.0, rel=1e-14)
    added = RUNNER + SETTINGS + offset + "remove_atom_energies\n"
    assert energy_of(added) == pytest.approx(none - 150.0, rel=1e-14)
    with pytest.warns(UserWarning, match="input.nn:12: 'atom_energy' without 'remove_atom_energie"):
        assert energy_of(RUNNER + SETTINGS + offset) == none
    with pytest.warns(UserWarning, match="n2p2 adds them, as is done here, and RuNNer does not"):
        both = energy_of(RUNNER + N2P2 + SETTINGS + offset)
    assert both == pytest.approx(none - 150.0, rel=1e-14)
    assert energy_of(RUNNER + SETTINGS + "atom_energy Cu 0.0\n") == none


# ------------------------------------------------------------------------------------ spellings
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("elements Cu", "elements\tCu\t# comment ! another"),
        ("\n", "\r\n"),
        ("number_of_elements 1", "\ufeffnumber_of_elements 1"),
        ("cutoff_type 5", "# a form\x0cfeed, a \u2028 separator\ncutoff_type 5"),
        ("0.3 0.0 4.0", "0.3d0 0.0D0 4.0d+00"),
        ("global_nodes_short", "global_nodes_short_atomic"),
        ("symfunction_short Cu 2 Cu 0.3 1.5 4.0\n", "symfunction_short Cu 2 Cu 0.3 1.5 4.0"),
        ("elements Cu", "nguyen_widrow_weights_short\nelements Cu\nbond_threshold 0.5d0"),
    ],
)
def test_files_as_they_are_found(energy_of, old: str, new: str) -> None:
    assert old in SETTINGS
    assert energy_of(SETTINGS.replace(old, new)) == energy_of(SETTINGS)


def test_numbers_of_fortran_are_those_of_runner(energy_of) -> None:
    fortran = SETTINGS.replace("0.3", "3.0d-1")
    assert energy_of(RUNNER + fortran) == energy_of(SETTINGS)
    with pytest.raises(ValueError, match="expected a finite number, got '3.0d-1'"):
        energy_of(fortran)  # 3.0 for n2p2


@pytest.mark.parametrize("widths", [(4, 2), (3, 5), (4, 5)])
def test_widths_of_an_element_by_layer(energy_of, tmp_path: Path, widths: tuple[int, int]) -> None:
    """RuNNer's `element_nodes_short Cu 1 4`: layer and width."""
    text = SETTINGS + "".join(
        f"element_nodes_short Cu {layer} {width}\n" for layer, width in enumerate(widths, start=1)
    )
    value = energy_of(RUNNER + text, widths=(2, *widths, 1))
    plain = SETTINGS.replace(
        "global_nodes_short 3 2", f"global_nodes_short {widths[0]} {widths[1]}"
    )
    assert value == energy_of(plain, widths=(2, *widths, 1))


# ----------------------------------------------------------------------- unknown and refused
@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("scale_symetry_functions", "scale_symmetry_functions"),
        ("center_symmetry_function", "center_symmetry_functions"),
        ("Normalize_Nodes", "normalize_nodes"),
        ("cutof_alpha 0.5", "cutoff_alpha"),
        ("remove_atoms_energies", "remove_atom_energies"),
        ("use_electrostatic", "use_electrostatics"),
        ("atomenergy Cu -50.0", "atom_energy"),
    ],
)
def test_unknown_keywords_are_named_with_their_nearest(energy_of, wrong: str, right: str) -> None:
    key = wrong.split()[0]
    with pytest.warns(UserWarning, match=rf"input.nn:9: .*'{key}', which .*mean '{right}'\?"):
        assert energy_of(SETTINGS + wrong + "\n") == energy_of(SETTINGS)


def test_words_behind_a_flag_do_not_switch_it_off(energy_of) -> None:
    expected = energy_of(SETTINGS + "normalize_nodes\n")
    for word in ("0", "false", ".false."):
        with pytest.warns(UserWarning, match="'normalize_nodes' takes no words and is on"):
            assert energy_of(SETTINGS + f"normalize_nodes {word}\n") == expected


def test_every_other_known_keyword_changes_nothing(energy_of) -> None:
    expected = energy_of(SETTINGS)
    # What is read has tests of its own, old spellings included
    read = READ | {"symfunction", "nn_type", "nnp_gen", "nnp_generation", "nnp_type_gen"}
    others = sorted(KNOWN - read - set(REFUSED) - {"global_nodes_short_atomic", "conv_charge"})
    assert len(others) > 200
    assert energy_of(SETTINGS + "".join(f"{key} 1\n" for key in others)) == expected


@pytest.mark.parametrize("key", sorted(REFUSED))
def test_keywords_of_what_is_not_understood(energy_of, key: str) -> None:
    with pytest.raises(
        ValueError, match=rf"input.nn:9: expected a short-range .*'{key}'; .* not r"
    ):
        energy_of(SETTINGS + f"{key} 1\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cutoff_alpha 1.0", r"an inner cutoff in \[0, 1\), got 1.0"),
        ("cutoff_alpha x", "input.nn:9: expected a finite number, got 'x'"),
        ("cutoff_alpha 0.1\ncutoff_alpha 0.1", "expected 'cutoff_alpha' once, got it again"),
        ("scale_min_short 0\nscale_min_short_atomic -1", "'scale_min_short_atomic' to agree, got"),
        ("center_symmetry_functions\nscale_max_short_atomic 2", "RuNNer refuses the two together"),
        ("atom_energy Cu 1\natom_energy Cu 2", "one atom_energy of Cu, got 1.0 and 2.0"),
        ("conv_charge 2.0", r"expected all of .*, got only \['conv_charge'\]"),
        ("nn_type 2", "expected nn_type_short 1"),
        ("nnp_gen 3", "potentials of other kinds are not read"),
        ("element_activation_short Cu 1 1 s", "activations of single nodes are not read"),
        ("element_nodes_short Cu 3 4 5", "expected an element and 2 widths, got Cu 3 4 5"),
    ],
)
def test_settings_that_contradict_or_are_not_read(energy_of, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        energy_of(SETTINGS + text + "\n")


@pytest.mark.parametrize("cutoff_type", [2, 3])
def test_an_inner_cutoff_at_which_the_function_jumps(energy_of, cutoff_type: int) -> None:
    text = SETTINGS.replace("cutoff_type 5", f"cutoff_type {cutoff_type}\ncutoff_alpha 0.4")
    with pytest.raises(ValueError, match="input.nn:4: .*RuNNer's function jumps at the inner cut"):
        energy_of(text)


def test_two_inner_cutoffs(energy_of) -> None:
    text = SETTINGS.replace("cutoff_type 5", "cutoff_type 5 0.2\ncutoff_alpha 0.4")
    with pytest.raises(ValueError, match="to agree, got 0.4 and 0.2"):
        energy_of(text)


# ---------------------------------------------------------------------------------- file names
@pytest.mark.parametrize(
    "name",
    [
        "optweights.{:03d}.out",
        "optweights.{:03d}.data",
        "weights.{:03d}.000030.out",
        "weights.{:03d}.000000.out",
        "000012.short.{:03d}.out",
    ],
)
def test_weights_under_the_names_of_a_training(tmp_path: Path, name: str) -> None:
    folder = write_two(tmp_path / "p")
    expected = energy(load_n2p2(folder, **UNITS))
    for z in (29, 47):
        (folder / f"weights.{z:03d}.data").rename(folder / name.format(z))
    assert energy(load_n2p2(folder, **UNITS)) == expected
    (folder / name.format(47)).unlink()
    with pytest.raises(FileNotFoundError, match=r"got no '.*weights.029.data', nor optweights"):
        load_n2p2(folder, **UNITS)


def write_two(folder: Path) -> Path:
    write(folder, TWO, (1, 3, 2, 1))
    (folder / "scaling.data").write_text("1 1 0 2 0.5 0.25\n2 1 0 3 1.0 0.5\n")
    (folder / "weights.047.data").write_text(weights(47, (1, 3, 2, 1)))
    return folder


def test_a_potential_comes_before_what_its_training_left(tmp_path: Path) -> None:
    folder = write_two(tmp_path / "p")
    expected = energy(load_n2p2(folder, **UNITS))
    for name in ("optweights.029.out", "optweights.047.out", "weights.029.000010.out"):
        (folder / name).write_text("1.0\n")
    assert energy(load_n2p2(folder, **UNITS)) == expected


def test_the_last_epoch_that_all_elements_have(tmp_path: Path) -> None:
    folder = write_two(tmp_path / "p")
    expected = energy(load_n2p2(folder, **UNITS))
    for z in (29, 47):
        (folder / f"weights.{z:03d}.data").rename(folder / f"weights.{z:03d}.000020.out")
        (folder / f"weights.{z:03d}.000003.out").write_text("1.0\n")
    (folder / "weights.029.000021.out").write_text("1.0\n")
    with pytest.warns(UserWarning, match=r"weights of 2 epochs; .*\(weights.029.000020.out, weig"):
        assert energy(load_n2p2(folder, **UNITS)) == expected


def test_numbers_of_fortran_in_the_other_files(tmp_path: Path) -> None:
    folder = write(tmp_path / "p", SETTINGS + "scale_symmetry_functions\n")
    expected = energy(load_n2p2(folder, **UNITS))
    (folder / "scaling.data").write_text("1 1 0.0D0 2.0d+0 5.0d-1\r\n1 2 0.0 0.3d1 1.0\r\n")
    file = folder / "weights.029.data"
    words = [f"{float(line.split()[0]):.17e}" for line in file.read_text().splitlines()]
    file.write_text("".join(f"{word.replace('e', 'd')} a 1\r\n" for word in words))
    assert energy(load_n2p2(folder, **UNITS)) == expected


@pytest.mark.parametrize("name", ["input.nn", "input.nn.bak", "mode3.nn"])
def test_the_path_of_the_settings(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / "p", SETTINGS)
    expected = energy(load_n2p2(folder, **UNITS))
    (folder / "input.nn").rename(folder / name)
    assert energy(load_n2p2(folder / name, **UNITS)) == expected
    with pytest.raises(FileNotFoundError, match="got no '.*other.nn.input.nn'"):
        load_n2p2(folder / "other.nn", **UNITS)


@pytest.mark.parametrize("inner", ["", " 0.35", " 0.1"])
def test_written_files_say_the_same_to_runner(tmp_path: Path, inner: str) -> None:
    """RuNNer wants `remove_atom_energies` and `cutoff_alpha`; n2p2 leaves both alone."""
    text = SETTINGS.replace("cutoff_type 5", f"cutoff_type 5{inner}") + "atom_energy Cu -50.0\n"
    potential = load_n2p2(write(tmp_path / "p", text), **UNITS)
    save_n2p2(potential, tmp_path / "q")
    file = tmp_path / "q" / "input.nn"
    lines = file.read_text().splitlines()
    assert "remove_atom_energies" in lines
    assert [line for line in lines if line.startswith("cutoff_alpha")] == [
        f"cutoff_alpha{inner}" for _ in inner[:1]
    ]
    runner = file.read_text().replace(f"cutoff_type 5{inner}", "cutoff_type 5")
    file.write_text(RUNNER + runner)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert energy(load_n2p2(tmp_path / "q")) == energy(potential)
