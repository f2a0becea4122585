"""Going on from a trained potential: its weights, what stays, what is fitted to new data."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from nnmd_graph.evaluation import evaluate
from nnmd_graph.models import BPNN, GCNN, Potential
from nnmd_graph.models.extension import extend_species
from nnmd_graph.representations import ACSF, G2, G5, EmbeddedACSF
from nnmd_graph.training import EnergyForcesLoss, Trainer
from nnmd_graph.training.transfer import parameters_of, rate_factors, start_from

from .conftest import (
    CUTOFF,
    BreakingLoss,
    Fit,
    copper,
    dataset,
    potential,
    same_weights,
    without_seconds,
)

pytestmark = pytest.mark.slow

NO_START = pytest.mark.filterwarnings("ignore:`init`. expected a potential that says something")
"""For old models that are hardly trained: E0 alone fit the new data better, which is said."""


def alloy(
    num_frames: int, *, seed: int = 0, offsets: dict[str, float] | None = None
) -> list[Atoms]:
    """Copper cells with one or two atoms of gold; energies of another level of theory."""
    rng = np.random.default_rng(seed)
    frames = []
    for n in range(num_frames):
        atoms = bulk("Cu", cubic=True, a=3.8 * rng.uniform(0.97, 1.03))
        atoms.symbols[: 1 + n % 2] = "Au"
        atoms.positions += rng.normal(scale=0.06, size=(4, 3))
        atoms.calc = EMT()
        forces, energy = atoms.get_forces(), atoms.get_potential_energy()
        energy += sum((offsets or {}).get(symbol, 0.0) for symbol in atoms.symbols)
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
        frames.append(atoms)
    return frames


def gcnn(species: Any = ("Cu",), **options: Any) -> Potential:
    return Potential(GCNN(species, CUTOFF, "schnet", 2, 6, 5, **options))


@pytest.fixture(scope="module")
def trained() -> Iterator[Potential]:
    model = potential()
    trainer = Trainer(max_epochs=30, batch_size=4, device="cpu", seed=1)
    trainer.fit(model, dataset(copper(8, seed=5)))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    yield model
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


# -------------------------------------------------------------------------------------------- start
def test_weights_and_scaling_come_from_init(fit: Fit, trained: Potential, tmp_path: Path) -> None:
    trained.save(tmp_path / "model.pt")
    settings: dict[str, Any] = {"learning_rate": 1e-12, "refit_baseline": False, "max_epochs": 1}
    for init in (trained, tmp_path / "model.pt", str(tmp_path)):
        found = fit(model=potential(seed=9), init=init, **settings)[0].state_dict()
        for name, value in trained.state_dict().items():
            if "ranges" not in name:
                torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6)


def test_ranges_widen_to_hold_the_new_data(fit: Fit, trained: Potential, train: Any) -> None:
    model, _ = fit(model=potential(seed=9), init=trained, max_epochs=1)
    assert (model.model.ranges.minimum <= trained.model.ranges.minimum).all()
    assert sum(len(model.extrapolation(graph)) for graph in train) == 0


def test_the_potential_may_be_of_another_precision(fit: Fit, trained: Potential) -> None:
    model = potential(dtype=torch.float64)
    fit(model=model, init=trained, max_epochs=1, learning_rate=1e-12, refit_baseline=False)
    graph = dataset(copper(1, seed=3))[0]
    torch.testing.assert_close(model(graph)["energy"], trained(graph)["energy"], rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ("model", "difference"),
    [
        (Potential(BPNN(ACSF(["Cu"], 3.0, [G2(eta=0.1)]), (8,))), r"`model\.cutoff` is 3\.6 there"),
        (
            Potential(BPNN(potential().model.representation, (9,))),
            r"hidden_channels` is \[8\] there",
        ),
        (Potential(BPNN(ACSF(["Cu"], CUTOFF, [G2(eta=0.1)]), (8,))), "none like G2"),
        (gcnn(), r"`model\.representation\.name` is 'ACSF' there and 'GraphConvolutions'"),
        (potential(species=("Au",)), r"got \['Cu'\] besides"),
    ],
    ids=["cutoff", "width", "functions", "kind", "species"],
)
def test_another_architecture_is_refused_and_nothing_changed(
    fit: Fit, trained: Potential, model: Potential, difference: str
) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    frames = copper(8)
    for frame in frames:
        frame.numbers[:] = frame.calc.atoms.numbers[:] = model.species[0]
    with pytest.raises(ValueError, match=difference):
        fit(model=model, init=trained, train=dataset(frames), val=None)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_functions_of_old_neighbours_that_init_lacks_are_a_difference(
    fit: Fit, trained: Potential
) -> None:
    functions = [*trained.model.representation.functions, G2(eta=1.0)]
    model = Potential(BPNN(ACSF(["Cu"], CUTOFF, functions), (8,)))
    with pytest.raises(ValueError, match="is in the potential only"):
        fit(model=model, init=trained)


def test_what_init_must_be(fit: Fit, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="`init`: expected a Potential or the name of its file"):
        Trainer(init=3)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match="`init`: expected a file.*which is not there"):
        Trainer(init=tmp_path / "no.pt")
    (tmp_path / "foreign.pt").write_text("foreign")
    with pytest.raises(ValueError, match="damaged or foreign"):
        fit(init=tmp_path / "foreign.pt")


# ------------------------------------------------------------------------------------- new elements
@pytest.mark.parametrize("order", ["extended", "automatic"])
def test_new_elements_in_any_order_of_functions(
    trained: Potential, order: str, float64: None
) -> None:
    """A set made for both elements has the functions in another order than an extended one."""
    model = potential(species=("Cu", "Au"), dtype=torch.float64)
    extended = extend_species(trained, "Au").to(torch.float64)
    sets = [m.model.representation.functions for m in (model, extended)]
    assert sets[0] != sets[1] and set(sets[0]) == set(sets[1])
    if order == "extended":
        model = extended
    data = dataset(copper(2, seed=8))
    start_from(model, trained)
    model.eval()
    exact = potential(dtype=torch.float64)
    exact.load_state_dict(trained.state_dict())
    for graph in data:
        for name in ("energy", "forces"):
            torch.testing.assert_close(
                model(graph)[name], exact.eval()(graph)[name], rtol=0, atol=1e-10
            )


@NO_START
def test_scaling_of_new_features_is_fitted(trained: Potential) -> None:
    """Of both elements: gold starts as copper, and copper has got neighbours of gold."""
    model, data = extend_species(trained, "Au"), dataset(alloy(6))
    Trainer(init=trained, max_epochs=1, device="cpu").fit(model, data)
    for s in (0, 1):
        x = torch.cat([model.model.fixed(g)[g.z == model.species[s]] for g in data])
        torch.testing.assert_close(model.model.scaler.mean[s], x.mean(0), rtol=1e-4, atol=1e-6)
        z = model.model.scaler(x, torch.full((len(x),), s))
        assert z.abs().max() < 10.0 and z.mean(0).abs().max() < 1e-3


@NO_START
@pytest.mark.parametrize("kind", ["acsf", "embedded", "gcnn", "stacked"])
def test_a_new_element_is_learnt(kind: str, float64: None) -> None:
    functions = [G2(eta=2.0, r_s=2.2), G2(eta=4.0, r_s=2.7), G5(eta=0.05, zeta=4.0, lam=1.0)]
    acsf = ACSF(["Cu"], CUTOFF, functions)
    old = {
        "acsf": lambda: Potential(BPNN(acsf, (8,))),
        "embedded": lambda: Potential(BPNN(EmbeddedACSF(["Cu"], CUTOFF, functions,
                                                        embedding_dim=2), (8,))),
        "gcnn": gcnn,
        "stacked": lambda: gcnn(stack_on=acsf, readout="element"),
    }[kind]()  # fmt: skip
    Trainer(max_epochs=3, device="cpu").fit(old, dataset(copper(6)))
    model = extend_species(old, "Au")
    train = dataset(alloy(8, offsets={"Cu": -100.0, "Au": -300.0}))
    rows = Trainer(init=old, max_epochs=8, device="cpu").fit(model, train)
    assert min(row["train_loss"] for row in rows) < rows[0]["train_loss"]
    e0 = model.model.baseline.isolated_energies.tolist()
    assert e0 == pytest.approx([-100.0, -300.0], abs=5.0)
    assert torch.equal(model.model.baseline.scale, old.model.baseline.scale)


# ------------------------------------------------------------------------------------ frozen parts
def weights(model: Potential) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def changed(before: dict[str, torch.Tensor], model: Potential) -> set[str]:
    return {n for n, p in model.named_parameters() if not torch.equal(before[n], p)}


@pytest.mark.parametrize(
    ("freeze", "kept"),
    [
        (["representation"], "model.representation."),
        (["readout"], "model.readout."),
        (["embedding"], "model.representation.embedding."),
        (["model.representation.layers.0"], "model.representation.layers.0."),
        (["model.representation.layers.0.", "readout"], "model.re"),
    ],
)
def test_frozen_parts_stay_bitwise(fit: Fit, freeze: list[str], kept: str) -> None:
    model = gcnn()
    before = weights(model)
    fit(model=model, freeze=freeze, weight_decay=0.1, max_epochs=2)
    frozen = {n for part in freeze for n in parameters_of(model, part)}
    assert frozen and all(name.startswith(kept) for name in frozen)
    # The last bias drops out of every energy.
    left = set(before) - frozen - changed(before, model)
    assert left <= {"model.readout.net.layers.2.bias"} and not frozen & changed(before, model)
    assert all(p.requires_grad for p in model.parameters())  # for this training only


def test_a_frozen_baseline_stays(fit: Fit, trained: Potential) -> None:
    model, _ = fit(init=trained, freeze=["baseline"], train=dataset(copper(8, energy_offset=-9.0)))
    for name in ("isolated_energies", "scale"):
        assert torch.equal(
            model.model.baseline.get_buffer(name), trained.model.baseline.get_buffer(name)
        )
    fresh, _ = fit(freeze=["baseline"], max_epochs=1)
    assert fresh.model.baseline.isolated_energies.tolist() == [0.0]
    assert float(fresh.model.baseline.scale) == 1.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"freeze": ["readuot"]}, r"`freeze`: expected parts.*did you mean 'readout'\?"),
        ({"freeze": ["model.readout.net.net"]}, r"did you mean 'model\.readout\.net\.nets'\?"),
        ({"learning_rates": {"embeding": 0.1}}, r"`learning_rates`: expected.*'embedding'\?"),
        ({"freeze": ["representation"]}, r"'representation', which has no trainable parameters"),
        ({"freeze": ["embedding"]}, r"'embedding', which has no trainable parameters"),
        ({"freeze": ["readout"]}, "`freeze`: expected something left to train"),
        ({"freeze": ["model"]}, "`freeze`: expected something left to train"),
        ({"learning_rates": {"baseline": 0.1}}, "got 'baseline', whose E0 are fitted"),
        (
            {"learning_rates": {"readout": 0.0}},
            r"`learning_rates\['readout'\]`: expected a number greater",
        ),
        ({"learning_rates": {"readout": 0.5}, "optimizer": "lbfgs"}, "not for L-BFGS"),
        ({"freeze": ["baseline"], "refit_baseline": True}, "expected False or None where `freeze`"),
    ],
)
def test_wrong_parts_are_refused(fit: Fit, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(**settings)


def test_wrong_kinds_are_refused(fit: Fit) -> None:
    with pytest.raises(TypeError, match="`freeze`: expected a list of names, got 'readout'"):
        fit(freeze="readout")
    with pytest.raises(TypeError, match=r"`learning_rates\['readout'\]`: expected a number"):
        fit(learning_rates={"readout": "0.1"})
    with pytest.raises(ValueError, match="which `freeze` holds"):
        fit(model=gcnn(), freeze=["representation"], learning_rates={"embedding": 0.1})


# ----------------------------------------------------------------------------------- learning rates
def test_the_smaller_of_two_overlapping_parts_decides() -> None:
    factors = rate_factors(gcnn(), {"embedding": 0.5, "representation": 0.1})
    assert factors["model.representation.embedding.weight"] == 0.5
    layers = {factor for name, factor in factors.items() if "layers" in name}
    assert layers == {0.1} and not any("readout" in name for name in factors)


def test_parts_that_learn_faster() -> None:
    functions = [G2(eta=1.0), G2(eta=2.0)]
    potential = Potential(BPNN(EmbeddedACSF(("C", "H"), 4.0, functions, channels=2)))
    own = "model.representation"
    faster = {f"{own}.embedding": 3.0, f"{own}.contractions.1.mixing": 3.0}
    assert rate_factors(potential, {}) == faster
    factors = rate_factors(potential, {"embedding": 0.5, "readout": 0.1})
    assert factors[f"{own}.embedding"] == 1.5
    assert factors[f"{own}.contractions.1.mixing"] == 3.0
    readout = {factor for name, factor in factors.items() if "readout" in name}
    assert readout == {0.1}


def test_slowed_parts_move_by_their_factor(fit: Fit) -> None:
    """The first step of Adam is the rate times the sign of the gradient, whatever its size."""
    settings: dict[str, Any] = {"max_epochs": 1, "batch_size": 8, "ema_decay": 0.0}
    steps = []
    for learning_rates in ({}, {"representation": 0.25}):
        model = gcnn()
        before = weights(model)
        fit(model=model, optimizer="adam", learning_rates=learning_rates, **settings)
        steps.append({n: p.detach() - before[n] for n, p in model.named_parameters()})
    for name, step in steps[0].items():
        factor = 0.25 if "representation" in name else 1.0
        torch.testing.assert_close(steps[1][name], factor * step, rtol=1e-3, atol=1e-6)


# ------------------------------------------------------------------------------------- the baseline
def doubled(atoms: Atoms) -> Atoms:
    """Two cells beside each other."""
    both, labels = atoms.repeat((2, 1, 1)), atoms.calc.results
    both.calc = SinglePointCalculator(
        both,
        energy=2 * labels["energy"],
        forces=np.tile(labels["forces"], (2, 1)),
        stress=labels["stress"],
    )
    return both


def test_e0_follow_the_new_level_of_theory(fit: Fit, trained: Potential) -> None:
    """Least squares of what the model leaves an atom, by hand; the scale stays."""
    frames = copper(8, energy_offset=-55.0)
    train = dataset([*frames[:4], *map(doubled, frames[4:])])
    model, _ = fit(init=trained, train=train, max_epochs=1, learning_rate=1e-12)
    rest = [
        (label.energy - float(trained(graph)["energy"])) / len(graph.z)
        for graph, label in zip(train, train.labels, strict=True)
    ]
    expected = float(trained.model.baseline.isolated_energies[0]) + np.mean(rest)
    assert float(model.model.baseline.isolated_energies[0]) == pytest.approx(expected, abs=1e-5)
    assert torch.equal(model.model.baseline.scale, trained.model.baseline.scale)


@NO_START
def test_undetermined_e0_change_as_little_as_possible(float64: None) -> None:
    """One composition, CuAu: both elements move by the same, the smallest change that fits."""
    frames = [
        f for f in alloy(9, offsets={"Cu": -10.0, "Au": -20.0}) if (f.numbers == 79).sum() == 2
    ]
    old = potential(species=("Cu", "Au"), dtype=torch.float64)
    Trainer(max_epochs=1, device="cpu").fit(old, dataset(alloy(8)))
    model = potential(species=("Cu", "Au"), dtype=torch.float64)
    before = old.model.baseline.isolated_energies.clone()
    Trainer(init=old, max_epochs=1, device="cpu", learning_rate=1e-14).fit(model, dataset(frames))
    change = model.model.baseline.isolated_energies - before
    assert float(change[0]) == pytest.approx(float(change[1]), rel=1e-9)
    assert float(change[0]) == pytest.approx(-15.0, abs=1.0)


@NO_START
def test_given_e0_are_taken_and_the_others_fitted(fit: Fit) -> None:
    old = potential(species=("Cu", "Au"))
    Trainer(max_epochs=1, device="cpu").fit(old, dataset(alloy(8)))
    data = dataset(alloy(8, offsets={"Cu": -10.0, "Au": -20.0}))
    model, _ = fit(model=potential(species=("Cu", "Au")), init=old, train=data, val=None,
                   isolated_energies={"Cu": -7.0}, max_epochs=1)  # fmt: skip
    found = model.model.baseline.isolated_energies.tolist()
    assert found[0] == -7.0 and found[1] == pytest.approx(-24.0, abs=3.0)


def test_isolated_atoms_say_their_e0(fit: Fit, trained: Potential) -> None:
    atom = Atoms("Cu", positions=[[0.0, 0.0, 0.0]])
    stress = np.zeros(6)
    atom.calc = SinglePointCalculator(atom, energy=-3.25, forces=np.zeros((1, 3)), stress=stress)
    model, _ = fit(init=trained, train=dataset([*copper(7), atom]), max_epochs=1)
    assert model.model.baseline.isolated_energies.tolist() == [-3.25]


def test_without_init_a_trained_potential_keeps_its_baseline(fit: Fit, trained: Potential) -> None:
    model = potential()
    model.load_state_dict(trained.state_dict())
    train = dataset(copper(8, energy_offset=-5.0))
    fit(model=model, train=train, max_epochs=1)
    before = trained.model.baseline.isolated_energies
    assert torch.equal(model.model.baseline.isolated_energies, before)
    fit(model=model, train=train, max_epochs=1, refit_baseline=True)
    assert float(model.model.baseline.isolated_energies[0] - before[0]) == pytest.approx(
        -5.0, abs=1
    )


# ------------------------------------------------------------------------------------------- resume
def test_a_resumed_fine_tune_ends_like_an_unbroken_one(tmp_path: Path) -> None:
    old = gcnn()
    Trainer(max_epochs=2, device="cpu").fit(old, dataset(copper(6)))
    frames = alloy(8, offsets={"Cu": -3.0, "Au": -8.0})
    for n, atoms in enumerate(frames):
        atoms.info["weight"] = 1.0 + n % 3
    train = dataset(frames, weight_key="weight")
    val = dataset(alloy(3, seed=4))

    def run(folder: Path, loss: EnergyForcesLoss, resume: bool = False) -> Any:
        model = extend_species(old, "Au")
        trainer = Trainer(
            loss=loss, init=old, freeze=["model.representation.layers.0"], max_epochs=5,
            learning_rates={"representation": 0.2, "embedding": 2.0}, schedule="cosine",
            batch_size=3, device="cpu", output=folder, checkpoint_seconds=0.0,
        )  # fmt: skip
        return model, trainer.fit(model, train, val, resume=resume)

    def balanced(loss: EnergyForcesLoss) -> EnergyForcesLoss:
        loss.element_weights = "balanced"
        return loss

    expected, rows = run(tmp_path / "a", balanced(EnergyForcesLoss()))
    for call in (2, 9):
        folder = tmp_path / str(call)
        with pytest.raises(KeyboardInterrupt):
            # a copy of the loss counts for the run
            run(folder, balanced(BreakingLoss(call)))
        found, found_rows = run(folder, balanced(EnergyForcesLoss()), resume=True)
        assert same_weights(found, expected)
        assert without_seconds(found_rows) == without_seconds(rows)
    state = torch.load(tmp_path / "a/checkpoints/last.pt", weights_only=True)["training"]
    assert set(state["element_weights"]) == {29, 79}


@pytest.mark.parametrize(
    ("setting", "value"),
    [("freeze", ["embedding"]), ("learning_rates", {"readout": 0.5}), ("refit_baseline", False),
     ("init", None), ("loss", EnergyForcesLoss(element_weights={"Cu": 2.0}))],
    ids=["freeze", "learning_rates", "refit_baseline", "init", "element_weights"],
)  # fmt: skip
def test_other_settings_are_refused(fit: Fit, tmp_path: Path, setting: str, value: Any) -> None:
    old = gcnn()
    fit(model=old, max_epochs=1)
    fit(model=gcnn(), init=old, output=tmp_path, max_epochs=1)
    with pytest.raises(ValueError, match="`resume`: expected the model, data and settings"):
        fit(model=gcnn(), **({"init": old, "output": tmp_path, "resume": True} | {setting: value}))


# ------------------------------------------------------------------------------------------ it pays
def test_a_fine_tuned_potential_beats_one_from_scratch() -> None:
    """Many cells of copper, then six of another level of theory and another lattice constant."""
    old = potential()
    settings: dict[str, Any] = {"max_epochs": 30, "device": "cpu", "seed": 0}
    Trainer(learning_rate=0.02, **settings).fit(old, dataset(copper(24, seed=11)))
    few = dataset(copper(6, seed=12, energy_offset=-7.0))
    test = dataset(copper(15, seed=13, energy_offset=-7.0))
    scratch, tuned = potential(seed=1), potential(seed=1)
    Trainer(learning_rate=0.02, **settings).fit(scratch, few)
    Trainer(init=old, **settings).fit(tuned, few)
    errors = [evaluate(model, test)["forces_mae"] for model in (scratch, tuned)]
    assert errors[1] < 0.7 * errors[0]


@NO_START
def test_scaling_of_a_stack_is_fitted_to_new_elements(float64: None) -> None:
    acsf = ACSF(["Cu"], CUTOFF, [G2(eta=0.4), G5(eta=0.02, zeta=2.0, lam=-1.0)])
    old = gcnn(stack_on=acsf)
    Trainer(max_epochs=1, device="cpu").fit(old, dataset(copper(4)))
    model = extend_species(old, "Au")
    Trainer(init=old, max_epochs=1, device="cpu").fit(model, dataset(alloy(4)))
    stacked: Any = model.model.representation
    for graph in dataset(alloy(4)):
        assert stacked.scaler(stacked.base(graph), graph.z // 79).abs().max() < 10.0
