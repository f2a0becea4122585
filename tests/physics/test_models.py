"""The physics battery over every model: a new one joins by a class.

Two models run over all structures. The neighbours of an atom come from code that all share, so for
the others two or three structures do: one that is periodic in all directions, one in some or none,
and each structure with several models.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import ase
import numpy as np
import pytest
import torch
from ase.build import molecule

from nnmd_graph.models import BPNN, GCNN, ZBL, EnergyModel, EnergyTerm, Potential, SumModel
from nnmd_graph.models.extension import extend_species
from nnmd_graph.nn.species import species_ids
from nnmd_graph.representations import ACSF, G1, G2, G3, G4, G5, EmbeddedACSF
from nnmd_graph.representations.symmetry.polynomials import (
    PolynomialNarrow,
    PolynomialRadial,
    PolynomialWide,
)
from nnmd_graph.testing import STRUCTURES, AseDerivativeTests, Case, PhysicsTests, prepared
from nnmd_graph.testing.structures import (
    crystal,
    ethanol,
    left_handed,
    one_atom,
    sheet,
    slab,
    triclinic,
    unwrapped,
    wire,
)

ADDED = ("B", 92)
"""Between and behind the elements of the structure."""


class ModelTests(PhysicsTests):
    """Built-in models also take more elements: what they know about the others stays exactly so."""

    @pytest.mark.usefixtures("float64")
    def test_old_elements_stay_exact_and_new_ones_are_there(self, tmp_path: Path) -> None:
        """The mixture has finite forces, and the file gives the same."""
        atoms = molecule("CH3OH", cell=[4.1, 4.4, 4.7], pbc=(True, True, False))
        old = self.make_case(atoms, 2.5)
        extended = extend_species(old.potential, ADDED)
        assert extended.species == tuple(sorted({*old.potential.species, 5, 92}))
        expected, found = old.predict(atoms), Case(extended, atoms).predict(atoms)
        for name, value in expected.items():
            tolerance = 1e-12 * max(1.0, np.abs(value).max())
            np.testing.assert_allclose(found[name], value, rtol=0, atol=tolerance, err_msg=name)
        atoms.numbers[[0, 2]] = 92, 5
        found = Case(extended, atoms).predict(atoms)
        assert all(np.isfinite(value).all() for value in found.values())
        extended.save(tmp_path / "extended.pt")
        loaded = Case(Potential.load(tmp_path / "extended.pt"), atoms).predict(atoms)
        assert all((found[name] == loaded[name]).all() for name in found)


@pytest.mark.slow
class TestBPNNCosine(ModelTests, AseDerivativeTests):
    structures = STRUCTURES

    def make_model(self, species: Sequence[int], cutoff: float) -> EnergyModel:
        functions = [
            G2(eta=0.1),
            G2(eta=0.8, r_s=2.0),
            G4(eta=0.02, zeta=1.0, lam=1.0),
            G4(eta=0.02, zeta=4.0, lam=-1.0),
        ]
        return BPNN(ACSF(species, cutoff, functions), (8, 6))


@pytest.mark.usefixtures("by_tensors")
class TestBPNNByTensors(TestBPNNCosine):
    """The same on tensor operations, as on a GPU or where there is no compiler."""

    structures = (triclinic, slab, ethanol)


@pytest.mark.slow
class TestBPNNTanh3(ModelTests):
    """Every function with every parameter, and an element that the structure lacks."""

    structures = (triclinic, wire)

    def make_model(self, species: Sequence[int], cutoff: float) -> EnergyModel:
        functions = [
            G1(),
            G2(eta=0.5, r_s=1.5),
            G2(eta=0.3, cutoff=0.8 * cutoff),
            G3(kappa=1.2),
            G4(eta=0.03, zeta=2.5, lam=-1.0, r_s=0.5),
            G4(eta=0.01, zeta=2.0, lam=1.0, cutoff=0.9 * cutoff),
            G5(eta=0.02, zeta=4.0, lam=1.0),
            G5(eta=0.05, zeta=1.5, lam=0.6, r_s=1.0),
        ]
        acsf = ACSF([*species, "Ag"], cutoff, functions, cutoff_function="tanh3")
        return BPNN(acsf, (8, 6), "softplus")


@pytest.mark.slow
class TestBPNNAuto(ModelTests):
    """The default set, smaller; where there are many neighbours it does without triplets."""

    structures = (unwrapped, slab, ethanol)

    def make_model(self, species: Sequence[int], cutoff: float) -> EnergyModel:
        acsf = ACSF.auto(species, cutoff, num_radial=5, num_angular=2, zeta=(1.0, 2.0, 4.0))
        return BPNN(acsf, (10,), "silu")


@pytest.mark.slow
class TestBPNNEmbedded(ModelTests):
    structures = (triclinic, sheet, one_atom)

    def make_model(self, species: Sequence[int], cutoff: float) -> EnergyModel:
        functions = [
            G2(eta=0.5, r_s=1.0),
            G4(eta=0.05, zeta=2.0, lam=1.0),
            G5(eta=0.1, zeta=3.0, lam=-1.0),
        ]
        return BPNN(EmbeddedACSF(species, cutoff, functions, embedding_dim=2), (10,), "silu")


class TestBPNNShared(ModelTests):
    """One net for all elements, functions combined, and an element that the structure lacks."""

    structures = (left_handed, slab, ethanol)

    def make_model(self, species: Sequence[int], cutoff: float) -> EnergyModel:
        functions = [
            G2(eta=0.5, r_s=1.0),
            G5(eta=0.1, zeta=3.0, lam=-1.0),
            G5(eta=0.2, zeta=1.0, lam=1.0),
        ]
        embedded = EmbeddedACSF([*species, "Ag"], cutoff, functions, channels=5)
        return BPNN(embedded, (10, 8), readout="shared")


@pytest.mark.slow
class TestBPNNEveryKind(ModelTests):
    structures = (triclinic, slab, crystal)

    def make_model(self, species: Sequence[int], cutoff: float) -> EnergyModel:
        functions = [
            G2(eta=0.4, r_s=0.5, weighted=True),
            G4(eta=0.03, zeta=1.0, lam=-1.0, weighted=True),
            PolynomialRadial(r_l=0.3, polynomial="p3a"),
            PolynomialNarrow(r_l=-cutoff, theta_l=20.0, theta_h=150.0, polynomial="p3"),
            PolynomialWide(r_l=-cutoff, theta_l=10.0, theta_h=170.0, polynomial="e", cutoff=cutoff),
            G5(eta=0.05, zeta=2.5, lam=1.0, centre=species[-1]),
        ]
        acsf = ACSF(species, cutoff, functions, cutoff_function="poly3", inner_cutoff=0.2)
        return BPNN(acsf, (10,))


class ConvolutionTests(ModelTests):
    """A small one; one net for all elements unless told otherwise."""

    conv: ClassVar[str]
    options: ClassVar[dict[str, Any]] = {}
    scale: ClassVar[float] = 1.0
    """Of energies: features that are averages vary little."""

    def make_model(self, species: Sequence[int], cutoff: float) -> EnergyModel:
        return GCNN(species, cutoff, self.conv, 2, 8, 5, **self.options)

    def prepare(self, model: torch.nn.Module, atoms: ase.Atoms) -> Potential:
        potential = prepared(model, atoms)
        potential.model.baseline.scale.mul_(self.scale)
        return potential


class TestSchNet(ConvolutionTests):
    structures = (triclinic, wire, crystal)
    conv, scale, options = "schnet", 4.0, {"radial": "gaussian"}


@pytest.mark.slow
class TestCGCNN(ConvolutionTests):
    structures = (unwrapped, slab, one_atom)
    conv = "cgcnn"


@pytest.mark.slow
class TestPaiNN(ConvolutionTests, AseDerivativeTests):
    structures = STRUCTURES
    conv = "painn"


@pytest.mark.slow
class TestTensorNet(ConvolutionTests):
    structures = (triclinic, wire, ethanol)
    conv = "tensornet"


class TestGAT(ConvolutionTests):
    structures = (triclinic, sheet, one_atom)
    conv, scale, options = "gat", 10.0, {"conv_options": {"heads": 2}, "readout": "element"}


@pytest.mark.slow
class TestConvolutionOfPyG(ConvolutionTests):
    """As it is, one that divides by sums over neighbours."""

    structures = (left_handed, slab, ethanol)
    conv, scale = "torch_geometric.nn.TransformerConv", 10.0
    options: ClassVar[dict[str, Any]] = {"conv_options": {"heads": 2, "concat": False}}


@pytest.mark.slow
class TestStacked(ConvolutionTests):
    """Vectors on top of symmetry functions that reach less far, one net per element."""

    structures = (triclinic, sheet, ethanol)
    conv = "painn"

    def make_model(self, species: Sequence[int], cutoff: float) -> EnergyModel:
        acsf = ACSF(species, 0.9 * cutoff, [G2(eta=0.4), G5(eta=0.02, zeta=2.0, lam=-1.0)])
        return GCNN(species, cutoff, self.conv, 2, 8, 5, stack_on=acsf, readout="element")

    def prepare(self, model: torch.nn.Module, atoms: ase.Atoms) -> Potential:
        potential = super().prepare(model, atoms)
        stacked: Any = potential.model.representation
        graph = Case(potential, atoms).graph()
        f = stacked.base(graph).repeat(60, 1)
        f *= 1.0 + 0.3 * torch.randn(f.shape, generator=torch.Generator().manual_seed(1)).to(f)
        stacked.scaler.fit(f, species_ids(graph.z, potential.species).repeat(60))
        return potential


@pytest.mark.slow
class TestRepulsion(ModelTests):
    """A term without a net."""

    def make_model(self, species: Sequence[int], cutoff: float) -> EnergyTerm:
        return ZBL(species, cutoff)

    @pytest.mark.skip(reason="there are no weights")
    def test_gradient_of_a_force_loss_by_the_weights(self) -> None: ...

    @pytest.mark.skip(reason="there are no weights")
    def test_every_weight_has_a_gradient(self) -> None: ...


@pytest.mark.slow
class TestSum(ModelTests):
    """A net, and what it need not learn, which reaches less far."""

    def make_model(self, species: Sequence[int], cutoff: float) -> EnergyTerm:
        acsf = ACSF(species, cutoff, [G2(eta=0.4), G5(eta=0.02, zeta=2.0, lam=-1.0)])
        return SumModel(BPNN(acsf, (6,)), ZBL(species, 0.8 * cutoff))
