"""Forces and stress are derivatives of the energy, and so are their own derivatives."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import ase
import numpy as np
import pytest
import torch
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Batch

from nnmd_graph.calculators import NNMDCalculator
from nnmd_graph.representations.precomputed import can_precompute, precompute
from nnmd_graph.testing.battery import BatteryTests, Case, few_structures

STEP = 1e-4  # Å, or strain
WEIGHTS = (("energy", 1e-3), ("forces", 1.0), ("stress", 10.0))


class DerivativeTests(BatteryTests):
    """Forces, stress and gradients of a force loss against finite differences."""

    def test_forces_equal_central_differences(self, case: Case) -> None:
        def difference(step: float) -> NDArray[np.float64]:
            moved = []
            for n, axis, sign in itertools.product(range(len(case.atoms)), range(3), (1, -1)):
                atoms = case.atoms.copy()
                atoms.positions[n, axis] += sign * step
                moved.append(atoms)
            energy = case.energies(*moved).reshape(len(case.atoms), 3, 2)
            return -(energy[..., 0] - energy[..., 1]) / (2 * step)

        forces = case.out["forces"]
        scale = max(np.abs(forces).max(), 1e-2)
        assert np.abs(forces - extrapolated(difference)).max() < 1e-6 * scale

    def test_stress_equals_central_differences_by_strain(self, case: Case) -> None:
        if not case.has_volume:
            assert not case.out["stress"].any()
            return

        def difference(step: float) -> NDArray[np.float64]:
            strained = []
            for a, b, sign in itertools.product(range(3), range(3), (1, -1)):
                deformation = np.eye(3)
                deformation[a, b] += 0.5 * sign * step
                deformation[b, a] += 0.5 * sign * step
                atoms = case.atoms.copy()
                atoms.set_cell(case.atoms.cell.array @ deformation)
                atoms.positions = case.atoms.positions @ deformation
                strained.append(atoms)
            energy = case.energies(*strained).reshape(3, 3, 2)
            return (energy[..., 0] - energy[..., 1]) / (2 * step * case.atoms.cell.volume)

        stress = case.out["stress"][0]
        scale = max(np.abs(stress).max(), 1e-3)
        assert np.abs(stress - extrapolated(difference)).max() < 1e-6 * scale

    @pytest.fixture
    def trained(self, case: Case) -> Case:
        """The case with a copy of the potential in training mode."""
        return Case(copy.deepcopy(case.potential).train(), case.atoms)

    @few_structures
    def test_gradient_of_a_force_loss_by_the_weights(self, trained: Case) -> None:
        """Double backward: the analytic gradient along random directions against differences."""
        potential, batch = trained.potential, training_batch(trained)
        weights = list(potential.parameters())
        start = [w.detach().clone() for w in weights]
        gradient = torch.autograd.grad(force_loss(potential(batch), batch), weights)
        generator = torch.Generator().manual_seed(11)
        for _ in range(2):
            direction = [torch.randn(w.shape, generator=generator, dtype=w.dtype) for w in weights]
            expected = sum((g * d).sum().item() for g, d in zip(gradient, direction, strict=True))
            values, step = [], 1e-5
            for sign in (1, -1):
                with torch.no_grad():
                    for w, s, d in zip(weights, start, direction, strict=True):
                        w.copy_(s + sign * step * d)
                values.append(force_loss(potential(batch), batch).item())
            numerical = (values[0] - values[1]) / (2 * step)
            size = sum(
                g.norm().item() * d.norm().item() for g, d in zip(gradient, direction, strict=True)
            )
            assert abs(numerical - expected) < 1e-6 * size

    def test_precomputed_features_give_the_same(self, trained: Case) -> None:
        """Energy, forces, stress and the gradient of a force loss by the weights."""
        net = trained.potential.net
        if net is None or not can_precompute(net.fixed):
            return
        potential = trained.potential
        weights = list(potential.parameters())
        results = []
        for features in (False, True):
            batch = training_batch(trained, features)
            out = potential(batch)
            gradient = torch.autograd.grad(force_loss(out, batch), weights)
            results.append([*(value.detach() for value in out.values()), *gradient])
        for one, other in zip(*results, strict=True):
            scale = max(1.0, one.abs().max().item())
            torch.testing.assert_close(one, other, rtol=0, atol=1e-9 * scale)

    @few_structures
    def test_every_weight_has_a_gradient(self, trained: Case) -> None:
        """Parameters of the elements present, except the output bias, which cancels."""
        potential, batch = trained.potential, training_batch(trained)
        loss = force_loss(potential(batch), batch)
        gradients = torch.autograd.grad(loss, list(potential.parameters()))
        moved = [bool(g.abs().max() > 0) for g in gradients]
        present = len(set(trained.atoms.numbers)) / len(potential.species)
        assert np.mean(moved) > 0.7 * present

    @pytest.mark.parametrize("symbols", ["HHHH", "OHHO"])
    def test_smooth_where_an_atom_crosses_the_cutoff(self, symbols: str) -> None:
        """Energy and forces are continuous; the energy changes by the work of the forces."""
        cutoff = 3.5
        near = [[0, 0, 0], [0.2, 1.1, 0.3], [0.9, -0.7, 0.4]]
        probe = np.array([0.8, 0.5, -0.3])
        probe /= np.linalg.norm(probe)

        def at(distance: float) -> ase.Atoms:
            return ase.Atoms(symbols, [*near, distance * probe])

        case = self.make_case(at(0.6 * cutoff), cutoff)
        for center in range(3):  # the probe moves away from one atom after the other
            offset = np.array(near[center])
            along = offset @ probe
            crossing = along + np.sqrt(cutoff**2 - offset @ offset + along**2)
            assert at(crossing).get_distance(center, 3) == pytest.approx(cutoff)
            for step in (1e-3, 1e-5):
                out = case.predict(at(crossing - step), at(crossing + step))
                forces = out["forces"].reshape(2, 4, 3)
                assert np.abs(forces[0] - forces[1]).max() < 100 * step
                work = -step * (forces[:, 3] @ probe).sum()
                change = out["energy"][1] - out["energy"][0]
                assert change == pytest.approx(work, abs=100 * step**2 + 1e-12)


class AseDerivativeTests(BatteryTests):
    """The calculator's forces and stress against numerical derivatives of ASE, which are slow."""

    def test_calculator_against_numerical_derivatives_of_ase(self, case: Case) -> None:
        atoms = case.atoms.copy()
        atoms.calc = NNMDCalculator(case.potential, skin=0.3)
        last, forces = [len(atoms) - 1], atoms.get_forces()
        numerical = extrapolated(lambda step: calculate_numerical_forces(atoms, step, iatoms=last))
        assert np.abs(forces[last] - numerical).max() < 1e-6 * max(np.abs(forces).max(), 1e-2)
        if case.has_volume:
            stress = atoms.get_stress()
            numerical = extrapolated(lambda step: calculate_numerical_stress(atoms, step))
            assert np.abs(stress - numerical).max() < 1e-6 * max(np.abs(stress).max(), 1e-3)


def extrapolated(difference: Callable[[float], NDArray[np.float64]]) -> NDArray[np.float64]:
    """Central differences with two step sizes, extrapolated to remove the quadratic error."""
    return (4.0 * difference(STEP) - difference(2 * STEP)) / 3.0


def targets(batch: Batch) -> dict[str, Tensor]:
    """Random labels, for which the loss has a gradient everywhere."""
    generator = torch.Generator().manual_seed(9)
    shapes = {"energy": (len(batch.cell),), "forces": batch.pos.shape, "stress": batch.cell.shape}
    return {n: torch.randn(s, generator=generator, dtype=torch.float64) for n, s in shapes.items()}


def force_loss(out: dict[str, Tensor], batch: Batch) -> Tensor:
    """Loss of energies, forces and stress together, as in training."""
    wanted = targets(batch)
    terms = [weight * (out[name] - wanted[name]).square().sum() for name, weight in WEIGHTS]
    return torch.stack(terms).sum()


def training_batch(case: Case, features: bool = False) -> Batch:
    """Three structures of different sizes, with precomputed features if wanted."""
    rattled = case.atoms.copy()
    rattled.rattle(0.05, seed=10)
    graphs = [case.graph(rattled), case.graph(case.atoms[:1]), case.graph()]
    if features:
        assert case.potential.net is not None
        fixed: Any = case.potential.net.fixed
        graphs = [precompute(fixed, graph) for graph in graphs]
    return Batch.from_data_list(graphs)
