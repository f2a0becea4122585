"""Common base of the physics tests: cases (a potential and a structure) and how they are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import ase
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch_geometric.data import Batch

from nnmd_graph.graph import AtomicGraph
from nnmd_graph.models import EnergyModel, Potential
from nnmd_graph.models.term import EnergyTerm
from nnmd_graph.nn.species import species_ids
from nnmd_graph.testing.structures import FEW, STRUCTURES, Structure

Predicted = dict[str, NDArray[Any]]

COPIES = 60
"""Number of perturbed copies of a structure's features to which the scaling is fitted."""


@dataclass(frozen=True)
class Case:
    """A potential and a structure for it; tests change copies only."""

    potential: Potential
    atoms: ase.Atoms

    @property
    def has_volume(self) -> bool:
        """Tell whether there is a stress."""
        return bool(self.atoms.cell.volume > 0)

    def graph(self, atoms: ase.Atoms | None = None, cutoff: float | None = None) -> AtomicGraph:
        """Graph of the structure, or of another one, in float64."""
        atoms = self.atoms if atoms is None else atoms
        return AtomicGraph.from_atoms(atoms, cutoff or self.potential.cutoff, dtype=torch.float64)

    def predict(self, *structures: ase.Atoms) -> Predicted:
        """Energy, atomic energies, forces and stress of structures, in one batch."""
        batch = Batch.from_data_list([self.graph(atoms) for atoms in structures])
        return {name: value.numpy() for name, value in self.potential(batch).items()}

    @cached_property
    def out(self) -> Predicted:
        """Prediction for the structure itself, computed once."""
        out = self.predict(self.atoms)
        for value in out.values():
            value.setflags(write=False)
        return out

    def energies(self, *structures: ase.Atoms) -> NDArray[np.float64]:
        """Energies alone, of structures in one batch, eV."""
        batch = Batch.from_data_list([self.graph(atoms) for atoms in structures])
        out = self.potential(batch, forces=False, stress=False)
        return np.asarray(out["energy"].detach().numpy())

    def isolated_energies(self, numbers: NDArray[Any]) -> float:
        """Sum of the E0 of some elements, eV."""
        net = self.potential.net
        if net is None:  # a term whose energy is relative to isolated atoms
            return 0.0
        known = dict(zip(net.species, net.baseline.isolated_energies.tolist(), strict=True))
        return float(sum(known[int(z)] for z in numbers))


class BatteryTests:
    """Runs every test with a `case` over the structures; a subclass makes the model."""

    structures: ClassVar[Sequence[Structure]] = STRUCTURES
    _cases: ClassVar[dict[str, Case]] = {}

    def __init_subclass__(cls) -> None:
        """Give each class potentials of its own."""
        cls._cases = {}

    def make_model(self, species: Sequence[int], cutoff: float) -> nn.Module:
        """Make an untrained model: an energy term, such as an `EnergyModel`, or a `Potential`.

        Args:
            species: Elements that it has to know, a sorted tuple of atomic numbers.
            cutoff: Radius in Å.
        """
        raise NotImplementedError(f"{type(self).__name__} must offer make_model(species, cutoff)")

    def prepare(self, model: nn.Module, atoms: ase.Atoms) -> Potential:
        """Turn what `make_model` gave into a potential whose energy varies around a structure."""
        return prepared(model, atoms)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run over all structures, or over a few where a test says that they suffice."""
        if "structure" in metafunc.fixturenames:
            known = self.structures
            if getattr(metafunc.function, "few_structures", False):
                known = [s for s in known if s in FEW] or known[:1]
            metafunc.parametrize("structure", known, ids=[s.__name__ for s in known])

    @pytest.fixture
    def case(self, structure: Structure) -> Case:
        """The model with a structure; made once for all tests of the class."""
        if structure.__name__ not in self._cases:
            atoms, cutoff = structure()
            self._cases[structure.__name__] = self.make_case(atoms, cutoff)
        return self._cases[structure.__name__]

    def make_case(self, atoms: ase.Atoms, cutoff: float) -> Case:
        """The model with a structure of a test's own."""
        species = tuple(sorted({int(z) for z in atoms.numbers}))
        return Case(self.prepare(self.make_model(species, cutoff), atoms), atoms)


def few_structures(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test for which three structures show as much as all of them."""
    test.few_structures = True  # type: ignore[attr-defined]  # a mark for pytest_generate_tests
    return test


def prepared(model: nn.Module, atoms: ase.Atoms) -> Potential:
    """A potential in float64 with scaling around a structure, noisy weights and a baseline.

    Physics does not care whether a potential was trained, but its energy must vary.
    """
    if isinstance(model, Potential):
        return model.double().eval()
    if not isinstance(model, EnergyTerm):
        raise TypeError(
            f"`make_model`: expected an energy term or a Potential, got {type(model).__name__}; "
            "return for example BPNN(representation)"
        )
    potential = Potential(model.double()).eval()
    if potential.net is not None:
        prepare_net(potential.net, atoms)
    return potential


def prepare_net(model: EnergyModel, atoms: ase.Atoms) -> None:
    """Scale features around a structure, make the weights noisy, and set the baseline."""
    graph = AtomicGraph.from_atoms(atoms, model.cutoff, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        x = model.fixed(graph).repeat(COPIES, 1)
        x *= 1.0 + 0.3 * torch.randn(x.shape, generator=generator, dtype=x.dtype)
        model.fit_features(x, species_ids(graph.z, model.species).repeat(COPIES))
        for weight in model.parameters():
            noise = torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
            weight.add_(0.2 * noise)
    model.baseline.set({z: -0.5 * z for z in model.species}, scale=1.7)


def assert_same(one: Predicted, other: Predicted) -> None:
    """Compare energy, forces and stress of two predictions."""
    for name in ("energy", "forces", "stress"):
        np.testing.assert_allclose(one[name], other[name], rtol=1e-9, atol=1e-9, err_msg=name)
