"""The start of a fine-tuning on data far from the old ones: no worse than E0 alone, and said."""

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_numbers

from nnmd_graph.evaluation import evaluate
from nnmd_graph.models import BPNN, GCNN, Potential
from nnmd_graph.models.extension import extend_species
from nnmd_graph.representations import ACSF, G2, G5, EmbeddedACSF
from nnmd_graph.training import Trainer

from .conftest import CUTOFF, copper, dataset, potential
from .test_transfer import alloy

FUNCTIONS = [
    G2(eta=0.1),
    G2(eta=4.0, r_s=1.5),
    G2(eta=4.0, r_s=2.5),
    G5(eta=0.05, zeta=1.0, lam=-1.0),
    G5(eta=0.05, zeta=4.0, lam=1.0),
]
SPECIES = ("H", "O", "Cu")


def labelled(atoms: Atoms, rng: Any, energies: dict[str, float]) -> Atoms:
    """Moved a little, with the energy of a pair potential and of its atoms."""
    atoms.positions += rng.normal(scale=0.04, size=atoms.positions.shape)
    atoms.calc = LennardJones(sigma=1.0, epsilon=0.5, rc=3.5, smooth=True)
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    energy += sum(energies[symbol] for symbol in atoms.symbols)
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
    return atoms


def molecules(name: str, count: int) -> list[Atoms]:
    rng = np.random.default_rng(0)
    return [labelled(molecule(name), rng, {"H": -5.0, "O": -40.0}) for _ in range(count)]


def oxide(count: int) -> list[Atoms]:
    """Copper in oxygen and hydrogen, with another number of each in every other frame."""
    rng = np.random.default_rng(1)
    energies, frames = {"H": -5.0, "O": -40.0, "Cu": -90.0}, []
    for n in range(count):
        atoms = bulk("CuO", "rocksalt", a=4.2, cubic=True)
        if n % 2:
            atoms.symbols[1] = "H"
        if n % 3:
            atoms.symbols[2] = "O"
        frames.append(labelled(atoms, rng, energies))
    return frames


def made(kind: str, species: tuple[str, ...] = ("H", "O")) -> Potential:
    acsf = ACSF(species, CUTOFF, FUNCTIONS)
    embedded = EmbeddedACSF(species, CUTOFF, FUNCTIONS, embedding_dim=4)
    models = {
        "acsf": lambda: BPNN(acsf, (8,)),
        "embedded": lambda: BPNN(embedded, (8,)),
        "shared": lambda: BPNN(embedded, (8,), readout="shared"),
        "stacked": lambda: GCNN(species, CUTOFF, "schnet", 1, 8, 4, stack_on=acsf),
        "on embedded": lambda: GCNN(species, CUTOFF, "schnet", 1, 8, 4, stack_on=embedded),
    }
    return Potential(models[kind]())


KINDS = ["acsf", "embedded", "shared", "stacked", "on embedded"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_start_far_away_is_of_the_order_of_e0_alone(
    kind: str, float64: None, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """From water molecules to a crystal of their elements and a new one."""
    old = made(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one composition does not tell E0 apart
        Trainer(max_epochs=4, device="cpu").fit(old, dataset(molecules("H2O", 12)))
    data = dataset(oxide(6))
    new = extend_species(old, "Cu")
    before = old.model.baseline.isolated_energies.tolist()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some are worse than E0 alone
        Trainer(init=old, max_epochs=1, learning_rate=1e-12, ema_decay=0.0, device="cpu",
                output=tmp_path).fit(new, data)  # fmt: skip
    forces = np.concatenate([labels.forces for labels in data.labels])
    limit = 100.0 if kind in ("stacked", "on embedded") else 2.0  # convolutions say their part
    assert evaluate(new, data)["forces_rmse"] < limit * 1000 * np.sqrt(np.square(forces).mean())
    said = capsys.readouterr().err
    assert "start on the new data, MAE: energy" in said and "E0 alone" in said
    e0 = new.model.baseline.isolated_energies.tolist()
    moved = [abs(a - b) for a, b in zip(e0, before, strict=False)]
    assert max(moved) < 100.0 and abs(e0[2]) < 300.0  # eV, of the order of the energies


def crystals(symbols: tuple[str, ...], count: int, energies: dict[str, float]) -> list[Atoms]:
    """Oxides of one metal after the other, with a vacancy in half of them."""
    rng, frames = np.random.default_rng(2), []
    for n in range(count):
        atoms = bulk("TiO", "rocksalt", a=4.4) * (2, 1, 1)
        atoms.symbols[[s == "Ti" for s in atoms.symbols]] = symbols[n % len(symbols)]
        del atoms[: n // len(symbols) % 2]
        frames.append(labelled(atoms, rng, energies))
    return frames


@pytest.mark.slow
@pytest.mark.parametrize(("old", "new"), [("Ti", "Cu"), ("Mg", "Zn")])
def test_a_hybrid_meets_a_new_metal_like_one_that_it_knows(
    old: str, new: str, float64: None, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    energies = {"O": -430.0, old: -1600.0, new: -5500.0}
    acsf = ACSF(("O", old), CUTOFF, FUNCTIONS[:3])
    before = Potential(GCNN(("O", old), CUTOFF, "schnet", 1, 8, 4, stack_on=acsf))
    Trainer(max_epochs=15, learning_rate=0.02, device="cpu").fit(
        before, dataset(crystals((old,), 6, energies))
    )
    data = dataset(crystals((old, new, new), 6, energies))
    after = extend_species(before, new)
    Trainer(init=before, max_epochs=1, learning_rate=1e-12, ema_decay=0.0, device="cpu",
            output=tmp_path).fit(after, data)  # fmt: skip
    said = capsys.readouterr().err
    start, alone = (float(x) for x in re.findall(r"forces (\S+) \(E0 alone (\S+)\)", said)[0])
    assert start < alone
    e0 = dict(zip(after.species, after.model.baseline.isolated_energies.tolist(), strict=True))
    for symbol, energy in energies.items():
        assert e0[atomic_numbers[symbol]] == pytest.approx(energy, abs=10.0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["acsf", "embedded", "stacked"])
def test_e0_do_not_make_up_for_a_net_that_is_wrong(kind: str, float64: None) -> None:
    """A net whose outputs are a thousand times too large: E0 are those of the data without it."""
    old = made(kind, ("Cu",))
    Trainer(max_epochs=2, device="cpu").fit(old, dataset(copper(8)))
    readout: Any = old.model.readout
    net = readout.net.nets[0] if hasattr(readout.net, "nets") else readout.net
    with torch.no_grad():
        net.last.weight.mul_(1e4)
    before = old.model.baseline.isolated_energies.clone()
    model = made(kind, ("Cu",))
    data = dataset(copper(8, seed=3, energy_offset=-7.0))
    with pytest.warns(UserWarning, match="`init`: expected.*leave it out.*train from nothing"):
        Trainer(init=old, max_epochs=1, learning_rate=1e-12, device="cpu").fit(model, data)
    change = model.model.baseline.isolated_energies - before
    assert float(change[0]) == pytest.approx(-7.0, abs=0.5)


@pytest.mark.slow
def test_a_good_start_is_told_without_a_warning(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    old = potential()
    Trainer(max_epochs=40, learning_rate=0.02, batch_size=4, device="cpu").fit(
        old, dataset(copper(12))
    )
    data = dataset(copper(6, seed=5))
    Trainer(init=old, max_epochs=1, device="cpu").fit(potential(), data)
    assert capsys.readouterr().err == ""  # nothing is said where nothing is written
    Trainer(init=old, max_epochs=1, device="cpu", output=tmp_path).fit(potential(), data)
    assert "forces" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("species", [("Cu",), ("Cu", "Au")])
def test_more_components_than_elements_cost_nothing(species: tuple[str, ...]) -> None:
    """Eight components for one or two elements learn like plain functions."""
    frames = copper(10) if len(species) == 1 else alloy(10)
    settings: dict[str, Any] = {"max_epochs": 15, "batch_size": 2, "device": "cpu"}
    errors = []
    for functions in (
        ACSF(species, CUTOFF, FUNCTIONS),
        EmbeddedACSF(species, CUTOFF, FUNCTIONS, embedding_dim=8),
    ):
        model = Potential(BPNN(functions, (8,)))
        Trainer(**settings).fit(model, dataset(frames))
        errors.append(evaluate(model, dataset(frames))["forces_mae"])
    assert errors[1] < 1.3 * errors[0]


@pytest.mark.slow
@pytest.mark.parametrize("dim", [3, 8])
def test_trained_vectors_do_not_hide_where_features_were(dim: int, float64: None) -> None:
    """After training, the scaling is that of the trained features: the next start knows them."""
    functions = EmbeddedACSF(("Cu", "Au"), CUTOFF, FUNCTIONS, embedding_dim=dim)
    model, data = Potential(BPNN(functions, (8,))), dataset(alloy(10))
    Trainer(max_epochs=4, learning_rate=0.05, device="cpu").fit(model, data)
    for s in range(2):
        x = torch.cat([model.model.representation(g)[g.z == model.species[s]] for g in data])
        torch.testing.assert_close(model.model.scaler.mean[s], x.detach().mean(0))
