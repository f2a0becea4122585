"""The cost is told before it is paid: one message that names what to change."""

import inspect
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

import nnmd_graph as ng
from nnmd_graph.config.config import read_config
from nnmd_graph.memory import TooLargeError
from nnmd_graph.representations.symmetry.recipes import RECIPES, _numbers
from nnmd_graph.workflow.training import train_from_config

MANY = tuple(range(1, 90))


def crystals(count: int = 12) -> list[ase.Atoms]:
    frames = []
    for seed in range(count):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.1, seed=seed)
        forces = np.random.default_rng(seed).normal(size=(4, 3))
        atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=forces)
        frames.append(atoms)
    return frames


@pytest.mark.parametrize(
    ("make", "argument", "words"),
    [
        (lambda: ng.ACSF.auto(["Cu"], 5.0, num_radial=10**8), "num_radial", "default is 12"),
        (lambda: ng.ACSF.auto(["O"], 5.0, num_radial=10**400), "num_radial", "default is 12"),
        (lambda: ng.ACSF.auto(["O"], 5.0, num_angular=[3 * 10**7, 2]), "num_angular", "default"),
        (
            lambda: ng.ACSF.auto(["O"], 5.0, recipe="imbalzano2018", num_angular=10**7),
            "num_angular",
            "default is 4",
        ),
        (lambda: ng.ACSF.auto(MANY[:40], 5.0), "species", "GCNN"),
        (lambda: ng.ACSF.auto(MANY, 5.0, recipe="pool"), "species", "GCNN"),
        (lambda: ng.EmbeddedACSF(["Cu"], 5.0, embedding_dim=10**9), "embedding_dim", "is 8"),
        (lambda: ng.EmbeddedACSF(["Cu"], 5.0, channels=10**9), "channels", "64"),
        (lambda: ng.EmbeddedACSF(["Cu"], 5.0, num_radial=10**9), "num_radial", "is 12"),
        (lambda: ng.GCNN(["Cu"], 5.0, num_layers=10**9), "num_layers", "3 are usual"),
        (lambda: ng.GCNN(["Cu"], 5.0, "painn", num_layers=10**400), "num_layers", "3"),
        (lambda: ng.GCNN(["Cu"], 5.0, hidden_channels=10**12), "hidden_channels", "64"),
        (lambda: ng.GCNN(["Cu"], 5.0, num_rbf=10**13), "num_rbf", "8 are usual"),
        (lambda: ng.GCNN(["Cu"], 5.0, readout_channels=[10**13]), "hidden_channels", "32"),
    ],
)
def test_a_model_that_would_not_fit_is_refused_before_it_is_made(
    make: Callable[[], Any], argument: str, words: str
) -> None:
    start = time.monotonic()
    with pytest.raises(TooLargeError, match=rf"^`{argument}`: expected .* got .*would take") as e:
        make()
    assert time.monotonic() - start < 2.0
    assert words in str(e.value)
    assert "GB" in str(e.value)


@pytest.mark.parametrize(
    "hidden_channels", [(10**12,), (10**12, 10**13), (32, 10**7, 10**7), (10**400,)], ids=range(4)
)
def test_a_net_that_would_not_fit_is_refused(hidden_channels: tuple[int, ...]) -> None:
    acsf = ng.ACSF(["Cu"], 5.0, [ng.G2(eta=1.0)])
    with pytest.raises(TooLargeError, match=r"`hidden_channels`: expected at most about \d+"):
        ng.BPNN(acsf, hidden_channels=hidden_channels)


def test_the_scaling_of_very_many_features_is_refused() -> None:
    wide = ng.ACSF(["Cu", "O"], 5.0, [ng.G2(eta=1.0)])
    wide.num_features = 10**6
    with pytest.raises(TooLargeError, match=r"`representation`: .* 1000000 features of 2 elements"):
        ng.BPNN(wide)


@pytest.mark.parametrize("recipe", sorted(RECIPES))
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_radial": 3, "num_angular": 2, "zeta": (1.0,)},
        {"num_radial": 7, "num_angular": 0},
        {"num_radial": 4, "num_angular": 5, "angular": "G4"},
    ],
)
def test_the_number_of_functions_is_known_without_making_them(
    recipe: str, options: dict[str, Any]
) -> None:
    arguments = inspect.signature(RECIPES[recipe]).parameters.values()
    defaults = {p.name: p.default for p in arguments if p.name != "cutoff"}
    functions = RECIPES[recipe](5.0, **options)
    radial = sum(f.order == 1 for f in functions)
    expected = radial, len(functions) - radial
    assert _numbers(recipe, defaults | options) == expected


def test_a_number_of_functions_may_come_as_a_float() -> None:
    acsf = ng.ACSF.auto(["Cu"], 5.0, num_radial=3.0, num_angular=0)
    assert acsf.num_features == 3
    for value in ("1e8", 2.5, True, None):
        with pytest.raises(TypeError, match="`num_radial`: expected an integer"):
            ng.ACSF.auto(["Cu"], 5.0, num_radial=value)


def test_elements_with_the_same_functions_share_their_sums() -> None:
    start = time.monotonic()
    ng.ACSF.auto(MANY, 5.0, num_angular=0)
    assert time.monotonic() - start < 10.0


@pytest.mark.parametrize("cutoff", [300.0, 1e5, 1e90])
def test_a_cutoff_that_makes_too_many_edges_is_refused(cutoff: float) -> None:
    atoms = bulk("Cu") * (3, 3, 3)
    with pytest.raises(TooLargeError, match=r"`cutoff`: expected at most about \S+ Å.* edges\)"):
        ng.radius_graph(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)
    dataset = ng.AtomsDataset([atoms] * 3, cutoff=cutoff)
    with pytest.raises(TooLargeError, match=r"the graphs \(\S+ edges\) would take"):
        dataset.build()


@pytest.mark.parametrize("cutoff", [300.0, 1e5, 1e90])
def test_a_molecule_has_no_more_edges_than_pairs(cutoff: float) -> None:
    molecule = ase.Atoms("H2", [[0, 0, 0], [0, 0, 0.7]])
    assert ng.AtomicGraph.from_atoms(molecule, cutoff).num_edges == 2


def test_a_step_that_would_not_fit_is_refused_before_graphs_are_built() -> None:
    dataset = ng.AtomsDataset(crystals(), cutoff=150.0)
    potential = ng.Potential(ng.BPNN(ng.ACSF(["Cu"], 5.0, [ng.G2(eta=1.0)])))
    with pytest.raises(TooLargeError, match=r"`cutoff`: .* a step of 1 of them"):
        ng.Trainer(max_epochs=1).fit(potential, dataset)


def test_a_history_that_would_not_fit_is_refused() -> None:
    dataset = ng.AtomsDataset(crystals(), cutoff=3.0)
    potential = ng.Potential(ng.BPNN(ng.ACSF(["Cu"], 3.0, [ng.G2(eta=1.0)])))
    with pytest.raises(TooLargeError, match=r"`max_epochs`: expected at most .*`max_seconds`"):
        ng.Trainer(max_epochs=10**15).fit(potential, dataset)
    history = ng.Trainer(max_epochs=10**15, max_seconds=0.01).fit(potential, dataset)
    assert len(history) >= 1


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"model": {"hidden_channels": [10**12]}}, "model.hidden_channels"),
        (
            {"model": {"representation": {"options": {"num_radial": 1e8}}}},
            "model.representation.options.num_radial",
        ),
        (
            {"model": {"name": "embedded", "representation": {"channels": 10**10}}},
            "model.representation.channels",
        ),
        (
            {"model": {"name": "gcnn", "convolutions": {"num_layers": 10**9}}},
            "model.convolutions.num_layers",
        ),
        ({"model": {"cutoff": 150}}, "model.cutoff"),
        ({"training": {"max_epochs": 10**15}}, "training.max_epochs"),
    ],
)
def test_a_run_says_which_key_costs_too_much(
    tmp_path: Path, settings: dict[str, Any], key: str
) -> None:
    ase.io.write(tmp_path / "cu.extxyz", crystals())
    values = {"data": {"train": str(tmp_path / "cu.extxyz")}} | settings
    with pytest.raises(TooLargeError, match=rf"^`{key}`: expected .* would take"):
        train_from_config(values, tmp_path / "run")
    assert not (tmp_path / "run").exists()


BOMB = "a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]\n" for n in range(1, 15)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, "more than 200000 values up to line 6"),
        (BOMB.replace("[", "{x: [").replace("]", "]}"), "more than 200000 values"),
        ("data: " + "[" * 3000, "more than 50 levels"),
        ("".join("  " * n + f"k{n}:\n" for n in range(80)), "more than 50 levels"),
        ("a: &a [1, *a]", "holds itself"),
        ("a: &a\n  b: {c: *a}", "holds itself"),
        ("seed: 1" + "0" * 5000, "digits"),
        ("#" * 3_000_000, "at most 2 MB"),
    ],
)
def test_a_config_that_is_no_config_ends_in_one_message(
    tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    start = time.monotonic()
    with pytest.raises(ValueError, match=words) as caught:
        read_config(path)
    assert time.monotonic() - start < 2.0
    assert len(str(caught.value)) < 600


def test_a_config_file_of_a_gigabyte_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    with path.open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(ValueError, match=r"at most 2 MB, got .* of 1\.07 GB; if it holds struct"):
        read_config(path)


def test_numbers_with_an_exponent_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "training: {max_epochs: 1e3, learning_rate: 1e-3}\n"
        "model: {representation: {functions: [{type: G2, eta: 5e-1}]}}\n"
    )
    config = read_config(path)
    assert config.training.max_epochs == 1000
    assert config.training.learning_rate == 1e-3
    assert config.model.representation.functions == [{"type": "G2", "eta": 0.5}]
