"""Sums of energy terms: values, files, training, more elements."""

from pathlib import Path
from typing import Any

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk

import nnmd_graph as ng
from nnmd_graph.graph import AtomicGraph
from nnmd_graph.models.extension import extend_species

pytestmark = pytest.mark.usefixtures("float64")

SPECIES = ("Cu", "Au")


def bpnn(species: Any = SPECIES, seed: int = 0) -> ng.EnergyModel:
    acsf = ng.ACSF(species, 4.0, [ng.G2(eta=0.5), ng.G5(eta=0.1, zeta=1.0, lam=1.0)])
    return ng.BPNN(acsf, (5,), seed=seed).double()


def alloys(number: int, labels: bool = True) -> list[ase.Atoms]:
    """Compressed and stretched crystals with energies and forces of a repulsion and of springs."""
    from ase.calculators.lj import LennardJones
    from ase.calculators.singlepoint import SinglePointCalculator

    frames = []
    for n in range(number):
        atoms = bulk("Cu", cubic=True, a=3.3 + 0.06 * (n % 7))
        atoms.symbols[: n % 3] = "Au"
        atoms.rattle(0.08, seed=n)
        if labels:
            graph = AtomicGraph.from_atoms(atoms, 4.0, dtype=torch.float64)
            rest = ng.Potential(ng.ZBL(SPECIES).double()).eval()(graph)
            atoms.calc = LennardJones(epsilon=0.1, sigma=2.3, rc=4.0, smooth=True)
            own = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
            own["energy"] += rest["energy"].item() - 3.0 * (atoms.numbers == 79).sum()
            own["forces"] = own["forces"] + rest["forces"].numpy()
            atoms.calc = SinglePointCalculator(atoms, **own)
        frames.append(atoms)
    return frames


def predicted(model: Any, atoms: ase.Atoms, training: bool = False) -> dict[str, torch.Tensor]:
    graph = AtomicGraph.from_atoms(atoms, 5.0, dtype=torch.float64)
    return dict(ng.Potential(model).train(training)(graph))


@pytest.mark.parametrize("training", [False, True])
def test_is_the_sum_of_its_terms(training: bool) -> None:
    atoms = alloys(1, labels=False)[0]
    atoms.symbols[0] = "Au"
    terms = bpnn(), ng.ZBL(SPECIES).double(), ng.GCNN(SPECIES, 3.0, "schnet", 1, 4, 3).double()
    each = [predicted(term, atoms) for term in terms]
    out = predicted(ng.SumModel(*terms), atoms, training)
    for name, value in out.items():
        expected = sum(one[name] for one in each)
        torch.testing.assert_close(value.detach(), expected, rtol=1e-10, atol=1e-10)
    nested = predicted(ng.SumModel(terms[0], ng.SumModel(*terms[1:])), atoms, training)
    torch.testing.assert_close(nested["forces"], out["forces"])


def test_elements_and_cutoff() -> None:
    model = ng.SumModel(bpnn(), ng.ZBL(("H", "Cu", "Au"), cutoff=4.5).double())
    assert (model.species, model.cutoff) == ((29, 79), 4.5)
    assert ng.Potential(model).net is model.parts[0]
    assert [type(term) for term in model.terms] == [ng.EnergyModel, ng.ZBL]
    assert model.float().dtype == torch.float32


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ((), "`terms`: expected two or more, got 0"),
        ((ng.ZBL(["Cu"]),), "`terms`: expected two or more, got 1"),
        ((ng.ZBL(["Cu"]), ng.ZBL(["O", "H"])), "an element that all of them know, got Cu; H, O"),
        ((ng.ZBL(["Cu"]).double(), ng.ZBL(["Cu"]).float()), "`terms`: expected one dtype"),
    ],
)
def test_what_cannot_be_summed(terms: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ng.SumModel(*terms)
    with pytest.raises(TypeError, match="`model`: expected an energy model with species and"):
        ng.SumModel(torch.nn.Identity(), ng.ZBL(["Cu"]))


def test_saved_and_loaded(tmp_path: Path) -> None:
    atoms = alloys(1, labels=False)[0]
    model = ng.SumModel(bpnn(seed=3), ng.ZBL(SPECIES, cutoff=3.0).double())
    ng.Potential(model).save(tmp_path / "sum.pt")
    again = ng.Potential.load(tmp_path / "sum.pt").model
    one, other = predicted(model, atoms), predicted(again, atoms)
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
@pytest.mark.parametrize("precompute", [False, True])
def test_the_net_learns_what_the_other_terms_leave(precompute: bool, tmp_path: Path) -> None:
    """E0 and scale are fitted to the rest; after a resume the weights are the same."""
    data = ng.AtomsDataset(alloys(16), cutoff=4.0)
    train, val = data[:12], data[12:]

    def run(epochs: int, folder: str, resume: bool = False) -> ng.Potential:
        potential = ng.Potential(ng.SumModel(bpnn(), ng.ZBL(SPECIES).double()))
        ng.Trainer(
            max_epochs=epochs, schedule="constant", seed=1, precompute=precompute,
            output=tmp_path / folder, checkpoint_seconds=0.0, device="cpu",
        ).fit(potential, train, val, resume=resume)  # fmt: skip
        return potential

    potential = run(6, "whole")
    assert potential.net is not None
    e0 = potential.net.baseline.isolated_energies
    assert (e0[1] - e0[0]).item() == pytest.approx(-3.0, abs=0.6)
    alone = ng.Potential(bpnn())
    ng.Trainer(max_epochs=1, seed=1, device="cpu").fit(alone, train)
    assert potential.net.baseline.scale < alone.net.baseline.scale
    run(3, "parts")
    again = run(6, "parts", resume=True)
    for name, value in potential.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    error = ng.evaluate(potential, val)["forces_rmse"]
    assert error < ng.evaluate(alone, val)["forces_rmse"]
    assert len(potential.extrapolation(data[0])) == 0


@pytest.mark.slow
def test_a_term_alone_can_be_trained() -> None:
    """A potential without a net: only its own parameters move."""

    class Scaled(ng.ZBL):
        def __init__(self, species: Any, cutoff: float | None = None) -> None:
            super().__init__(species, cutoff)
            self.factor = torch.nn.Parameter(torch.tensor(0.5))

        def atomic_energy(self, graph: AtomicGraph) -> torch.Tensor:
            return self.factor * super().atomic_energy(graph)

    from ase.calculators.singlepoint import SinglePointCalculator

    frames = alloys(8, labels=False)
    for atoms in frames:
        out = predicted(ng.ZBL(SPECIES).double(), atoms)
        atoms.calc = SinglePointCalculator(
            atoms, energy=out["energy"].item(), forces=out["forces"].numpy()
        )
    potential = ng.Potential(Scaled(SPECIES).double())
    rate = {"learning_rate": 0.05, "ema_decay": 0.0}
    ng.Trainer(max_epochs=40, **rate, device="cpu").fit(potential, ng.AtomsDataset(frames, 4.0))
    assert potential.model.factor.item() == pytest.approx(1.0, abs=0.02)


def test_parts_are_frozen_by_their_usual_names() -> None:
    potential = ng.Potential(ng.SumModel(bpnn(), ng.ZBL(SPECIES).double()))
    data = ng.AtomsDataset(alloys(6), cutoff=4.0)
    with pytest.raises(ValueError, match="`freeze`: expected something left to train"):
        ng.Trainer(max_epochs=1, freeze=["readout"]).fit(potential, data)


def test_more_elements_and_going_on(tmp_path: Path) -> None:
    atoms = alloys(3, labels=False)[2]
    old = ng.Potential(ng.SumModel(bpnn(), ng.ZBL(SPECIES).double())).eval()
    new = extend_species(old, ["O", "Ag"])
    assert new.species == (8, 29, 47, 79)
    one, other = predicted(old.model, atoms), predicted(new.model, atoms)
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=1e-12, atol=1e-12)
    data = ng.AtomsDataset(alloys(8), cutoff=4.0)
    tuned = ng.Potential(ng.SumModel(bpnn(seed=9), ng.ZBL(SPECIES).double()))
    trainer = ng.Trainer(max_epochs=1, device="cpu")
    first = ng.Potential(ng.SumModel(bpnn(seed=1), ng.ZBL(SPECIES).double()))
    trainer.fit(first, data)
    ng.Trainer(init=first, max_epochs=1, device="cpu").fit(tuned, data)
    assert np.isfinite(ng.evaluate(tuned, data)["forces_mae"])
    with pytest.raises(ValueError, match="`init`: expected the architecture of the potential"):
        ng.Trainer(init=first, max_epochs=1).fit(ng.Potential(bpnn()), data)
