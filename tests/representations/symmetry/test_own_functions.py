"""Symmetry functions of the user's own: a formula in a dataclass is all that is needed."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import ase
import pytest
import torch
from ase.build import molecule

from nnmd_graph.graph import AtomicGraph
from nnmd_graph.models import BPNN, Potential
from nnmd_graph.representations import ACSF, G2, G4, G5, EmbeddedACSF, SymmetryFunction
from nnmd_graph.representations.symmetry.functions import TYPES, from_dict
from nnmd_graph.testing import PhysicsTests
from nnmd_graph.testing.structures import triclinic

pytestmark = pytest.mark.usefixtures("float64")


@dataclass(frozen=True, kw_only=True)
class OwnShell(SymmetryFunction):
    """What G2 is."""

    eta: float
    r_s: float = 0.0

    def radial(self, dist: torch.Tensor) -> torch.Tensor:
        return torch.exp(-self.eta * (dist - self.r_s) ** 2)


@dataclass(frozen=True, kw_only=True)
class OwnAngle(SymmetryFunction):
    """What G5 is."""

    eta: float
    zeta: float
    lam: float

    order: ClassVar[int] = 2

    def radial(self, dist: torch.Tensor) -> torch.Tensor:
        return torch.exp(-self.eta * dist**2)

    def angular(self, cos: torch.Tensor) -> torch.Tensor:
        return 2.0 ** (1.0 - self.zeta) * (1.0 + self.lam * cos) ** self.zeta


@dataclass(frozen=True, kw_only=True)
class OwnNarrowAngle(OwnAngle):
    """What G4 is."""

    narrow: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class SlaterTail(SymmetryFunction):
    """Something new: sum_j exp(-alpha r_ij) f_c(r_ij)."""

    alpha: float

    def radial(self, dist: torch.Tensor) -> torch.Tensor:
        return torch.exp(-self.alpha * dist)


@dataclass(frozen=True, kw_only=True)
class Legendre(SymmetryFunction):
    """sum_{j<k} P_2(cos theta) f_c(r_ij) f_c(r_ik) exp(-alpha (r_ij + r_ik))."""

    alpha: float

    order: ClassVar[int] = 2

    def radial(self, dist: torch.Tensor) -> torch.Tensor:
        return torch.exp(-self.alpha * dist)

    def angular(self, cos: torch.Tensor) -> torch.Tensor:
        return 1.5 * cos**2 - 0.5


TWINS = [
    (OwnShell(eta=0.7, r_s=0.8), G2(eta=0.7, r_s=0.8)),
    (OwnShell(eta=0.3, weighted=True), G2(eta=0.3, weighted=True)),
    (OwnShell(eta=0.3, cutoff=2.5, centre="O"), G2(eta=0.3, cutoff=2.5, centre="O")),
    (OwnAngle(eta=0.1, zeta=2.0, lam=-1.0), G5(eta=0.1, zeta=2.0, lam=-1.0)),
    (OwnNarrowAngle(eta=0.1, zeta=4.0, lam=1.0), G4(eta=0.1, zeta=4.0, lam=1.0)),
    (OwnNarrowAngle(eta=0.2, zeta=2.0, lam=1.0, weighted=True),
     G4(eta=0.2, zeta=2.0, lam=1.0, weighted=True)),
]  # fmt: skip


def graph_of(atoms: ase.Atoms) -> AtomicGraph:
    graph = AtomicGraph.from_atoms(atoms, 3.5, dtype=torch.float64)
    graph.pos.requires_grad_()
    return graph


@pytest.mark.slow
@pytest.mark.parametrize(("own", "built_in"), TWINS, ids=lambda f: type(f).__name__)
def test_a_formula_gives_what_the_built_in_function_gives(own, built_in) -> None:
    """Values, gradients, their derivatives and the Jacobian."""
    results = []
    for f in (own, built_in):
        acsf, graph = ACSF(("C", "O", "H"), 3.5, [f]), graph_of(molecule("CH3CH2OH"))
        x = acsf(graph)
        (force,) = torch.autograd.grad(x.pow(2).sum(), graph.pos, create_graph=True)
        (second,) = torch.autograd.grad(force.pow(2).sum(), graph.pos)
        jacobian = acsf.jacobian(graph_of(molecule("CH3CH2OH")))
        results.append([x.detach(), force.detach(), second, *(j.detach() for j in jacobian)])
    assert results[0][0].abs().max() > 0.01
    for one, other in zip(*results, strict=True):
        atol = 1e-12 * max(1.0, other.abs().max().item())
        torch.testing.assert_close(one, other, rtol=1e-11, atol=atol)


def test_own_and_built_in_functions_stand_in_one_set() -> None:
    mixed = [
        SlaterTail(alpha=0.5),
        G2(eta=0.4),
        Legendre(alpha=0.3),
        G5(eta=0.1, zeta=1.0, lam=1.0),
    ]
    atoms = molecule("CH3CH2OH")
    x = ACSF(("C", "O", "H"), 3.5, mixed)(graph_of(atoms))
    parts = [ACSF(("C", "O", "H"), 3.5, [f])(graph_of(atoms)) for f in mixed]
    torch.testing.assert_close(x, torch.cat(parts, 1), rtol=1e-12, atol=1e-12)


@pytest.mark.slow
class TestOwnFunctions(PhysicsTests):
    structures = (triclinic,)

    def make_model(self, species: tuple[int, ...], cutoff: float) -> torch.nn.Module:
        functions = [SlaterTail(alpha=0.5), Legendre(alpha=0.2), OwnNarrowAngle(eta=0.05, zeta=2.0,
                     lam=-1.0)]  # fmt: skip
        return BPNN(ACSF(species, cutoff, functions), (8,))


def test_they_are_embedded_too() -> None:
    own = EmbeddedACSF(
        ("C", "O", "H"), 3.5, [OwnShell(eta=0.7), OwnAngle(eta=0.1, zeta=2.0, lam=1.0)]
    )
    same = EmbeddedACSF(("C", "O", "H"), 3.5, [G2(eta=0.7), G5(eta=0.1, zeta=2.0, lam=1.0)])
    graph = graph_of(molecule("CH3CH2OH"))
    torch.testing.assert_close(own(graph), same(graph), rtol=1e-11, atol=1e-12)


def test_a_file_gives_them_back(tmp_path: Path) -> None:
    potential = Potential(
        BPNN(ACSF(("C", "O", "H"), 3.5, [SlaterTail(alpha=0.5), Legendre(alpha=0.2)]), (4,))
    )
    potential.save(tmp_path / "model.pt")
    loaded = Potential.load(tmp_path / "model.pt")
    graph = AtomicGraph.from_atoms(molecule("CH3CH2OH"), 3.5)
    torch.testing.assert_close(loaded(graph)["forces"], potential(graph)["forces"])
    assert loaded.model.representation.functions == potential.model.representation.functions


def test_an_unknown_class_in_a_file_is_named() -> None:
    with pytest.raises(ValueError, match="got 'Gone'; .* or import the file that defines it"):
        from_dict({"type": "Gone", "alpha": 1.0})


def test_the_name_of_a_built_in_function_is_taken() -> None:
    with pytest.raises(ValueError, match="`G2`: expected a name of its own"):
        type("G2", (SymmetryFunction,), {})
    assert TYPES["G2"] is G2


def test_a_class_that_is_defined_anew_takes_the_place_of_the_old_one() -> None:
    """As in a notebook whose cell runs twice."""
    first = type("Again", (SymmetryFunction,), {})
    second = type("Again", (SymmetryFunction,), {})
    assert first is not second and TYPES["Again"] is second
    del TYPES["Again"]


class _Faulty(SymmetryFunction):
    order: ClassVar[int] = 2

    def radial(self, dist: torch.Tensor) -> torch.Tensor:
        return torch.ones_like(dist)

    def angular(self, cos: torch.Tensor) -> torch.Tensor:
        return cos


@pytest.mark.parametrize(
    ("name", "formula", "message"),
    [
        ("radial", lambda self, dist: dist.sum(), "`radial` of .* one value for each value"),
        ("radial", lambda self, dist: dist / dist.max(), "`radial` of .* one value for each"),
        ("radial", lambda self, dist: 1.0, "got float for"),
        ("radial", lambda self, dist: torch.log(dist - 1.0), "`radial` of .*: expected finite"),
        ("angular", lambda self, cos: torch.sqrt(cos), "`angular` of .*: expected finite"),
        ("angular", lambda self, cos: cos[0], "`angular` of .* one value for each value"),
    ],
)
def test_formulas_that_cannot_be_used_are_found_at_once(name, formula, message) -> None:
    faulty = type("_Wrong", (_Faulty,), {name: formula})
    with pytest.raises(ValueError, match=message):
        ACSF("H", 3.5, [faulty()])


@pytest.mark.parametrize("missing", ["radial", "angular"])
def test_formulas_that_lack_are_named(missing: str) -> None:
    without = type("_Without", (_Faulty,), {missing: getattr(SymmetryFunction, missing)})
    with pytest.raises(NotImplementedError, match=rf"must offer {missing}\("):
        ACSF("H", 3.5, [without()])
