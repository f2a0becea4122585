"""Loss functions."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nnmd_graph.choices import BALANCED, LOSS_ERRORS, LOSS_WEIGHTS
from nnmd_graph.data.dataset import AtomsDataset
from nnmd_graph.errors import check_choice
from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.graph.geometry import num_structures, structure_index
from nnmd_graph.models.evaluators import Prediction
from nnmd_graph.nn.scatter import scatter_sum, take
from nnmd_graph.quantities import QUANTITIES, quantity_of
from nnmd_graph.training.weights import (
    ElementWeights,
    balanced_weights,
    check_element_weights,
    mean_weights,
    weight_table,
)


@dataclass(frozen=True)
class LossTerm:
    """One term of a loss, w mean rho(e) with e the error of a quantity.

    rho(e) = e^2 (``"square"``), |e| (``"absolute"``), or (``"huber"``) e^2 up to ``delta`` and
    delta (2 |e| - delta) beyond: outliers pull no harder than those at delta. The mean runs over
    the labels that there are. Energies are per atom, eV; for units see
    :mod:`nnmd_graph.quantities`.

    Args:
        quantity: ``"energy"``, ``"forces"``, ``"stress"``, ``"dipole"``, ``"charges"``, or one that
            was registered.
        weight: w.
        error: Kind of rho.
        delta: Of ``"huber"``, in the unit of the error.

    Raises:
        ValueError: If a name is unknown, or a number is out of range.
    """

    quantity: str
    weight: float
    error: str = "square"
    delta: float = 0.1

    def __post_init__(self) -> None:
        """Check every argument."""
        quantity_of(self.quantity)
        if not 0.0 <= self.weight < math.inf:
            raise ValueError(
                f"`{self.quantity}`: expected a weight of at least zero, got {self.weight}; 0 "
                "leaves it out"
            )
        check_choice("error", self.error, LOSS_ERRORS)
        if not 0.0 < self.delta < math.inf:
            raise ValueError(
                f"`delta`: expected a positive number, got {self.delta}; errors below it count by "
                "their squares"
            )

    def rho(self, error: Tensor) -> Tensor:
        """Contribution of each error."""
        if self.error == "square":
            return error.square()
        size = error.abs()
        if self.error == "absolute":
            return size
        return torch.where(size < self.delta, error.square(), self.delta * (2 * size - self.delta))


class Loss:
    """Weighted sum of error terms, loss = sum_q w_q mean rho_q(e_q).

    ``Loss([LossTerm("energy", 100.0), LossTerm("forces", 1.0, error="huber")])``. See
    :class:`EnergyForcesLoss`, the short form for squared errors, for weights of structures and
    elements, and for how the weight of the energy grows in training.

    Args:
        terms: Terms, one for each quantity; those of weight zero are left out.
        energy_start: See :class:`EnergyForcesLoss`.
        element_weights: See :class:`EnergyForcesLoss`.

    Raises:
        ValueError: If a quantity stands twice or nothing has a weight; if a number is out of range.
        TypeError: If a term is no LossTerm, or ``element_weights`` of another kind.
    """

    def __init__(
        self,
        terms: Iterable[LossTerm],
        *,
        energy_start: float | None = None,
        element_weights: ElementWeights = None,
    ) -> None:
        self.terms: dict[str, LossTerm] = {}
        for term in terms:
            if not isinstance(term, LossTerm):
                raise TypeError(
                    f"`terms`: expected LossTerms, got {type(term).__name__}; write for example "
                    "LossTerm('forces', 1.0)"
                )
            if term.quantity in self.terms:
                raise ValueError(
                    f"`terms`: expected a quantity once, got {term.quantity!r} twice; leave one out"
                )
            self.terms[term.quantity] = term
        if not any(self.weights.values()):
            *names, last = (f"`{name}`" for name in self.terms or ("terms",))
            listed = f"{', '.join(names)} and {last}" if names else last
            raise ValueError(
                f"{listed}: expected one of them above zero, got no weight to train on"
            )
        if energy_start is not None and not 0.0 < energy_start < math.inf:
            raise ValueError(
                f"`energy_start`: expected a weight above zero, got {energy_start}; None takes "
                "that of the forces"
            )
        self.energy_start = self._first if energy_start is None else float(energy_start)
        self.element_weights = check_element_weights(element_weights)
        self._means: dict[str, float] | None = None

    @property
    def weights(self) -> dict[str, float]:
        """W of each quantity."""
        return {name: float(term.weight) for name, term in self.terms.items()}

    @property
    def _first(self) -> float:
        """Weight of the energy in the first epoch where none is given."""
        energy = self.weights.get("energy", 0.0)
        return (self.weights.get("forces", 0.0) or energy) if energy else 1.0

    def __repr__(self) -> str:
        words = [
            f"{name}={term.weight:g}" + ("" if term.error == "square" else f" ({term.error})")
            for name, term in self.terms.items()
        ]
        if self.energy_start != self._first:
            words.append(f"energy_start={self.energy_start:g}")
        if self.element_weights is not None:
            words.append(f"element_weights={self.element_weights!r}")
        return f"{type(self).__name__}({', '.join(words)})"

    def settings(self) -> dict[str, Any]:
        """Plain values that identify the loss: weights, and settings that are no defaults."""
        kinds = {
            name: [term.error, float(term.delta)]
            for name, term in self.terms.items()
            if term.error != "square"
        }
        return {"loss": self.weights} | ({"loss_errors": kinds} if kinds else {})

    def wants(self, term: str) -> bool:
        """Tell whether a term has a weight."""
        return self.weights.get(term, 0.0) > 0.0

    @property
    def grows(self) -> bool:
        """Tell whether the weight of the energy grows in training."""
        return self.energy_start < self.weights.get("energy", 0.0)

    def energy_weight(self, decay: float) -> float:
        """w_E when the learning rate is ``decay`` times the initial one."""
        return min(self.weights["energy"], self.energy_start / decay)

    def for_training(
        self, train: AtomsDataset, element_weights: Mapping[int, float] | None = None
    ) -> Loss:
        """The loss for a training set: with numbers for ``"balanced"``, and mean weights.

        Args:
            train: Training set.
            element_weights: Numbers that were found before, by atomic number; None: from ``train``.

        Returns:
            This loss where nothing has a weight of its own; else a copy.
        """
        if self.element_weights is None and all(x.weight is None for x in train.labels):
            return self
        loss = copy.copy(self)
        if element_weights is not None:
            loss.element_weights = dict(element_weights)
        elif self.element_weights == BALANCED:
            loss.element_weights = balanced_weights(train)
        loss._means = mean_weights(train, loss.element_weights)
        return loss

    def sums(self, out: Prediction, graph: AtomicGraph) -> dict[str, tuple[Tensor, Tensor]]:
        """Sum of rho(e) and number of labels of each term that has a weight.

        With weights of structures or elements: sum w rho(e) and sum w.
        """
        sums = {}
        for name, term in self.terms.items():
            if self.wants(name) and name in graph:
                error, present = label_error(name, out, graph)
                weight, rho = self.weight_of(name, graph), term.rho(error)
                if weight is None:
                    sums[name] = (rho.sum(), present.sum())
                else:
                    sums[name] = ((weight * rho).sum(), (weight * present).sum())
        return sums

    def weight_of(self, term: str, graph: AtomicGraph) -> Tensor | None:
        """Weight of each label's error; None if all are one."""
        weight = graph.weight if "weight" in graph else None
        if QUANTITIES[term].of == "atom":
            if weight is not None:
                weight = take(weight, structure_index(graph))
            if term == "forces" and self.element_weights is not None:
                if isinstance(self.element_weights, str):
                    raise ValueError(
                        "`element_weights`: expected numbers to compute a loss, got "
                        f"{self.element_weights!r}; call for_training(train) first, as Trainer does"
                    )
                of_atoms = take(weight_table(self.element_weights).to(graph[term]), graph.z)
                weight = of_atoms if weight is None else weight * of_atoms
        return None if weight is None else weight.view(-1, *[1] * (graph[term].dim() - 1))

    def total(
        self, sums: dict[str, tuple[Tensor, Tensor]], energy: Tensor | float | None = None
    ) -> Tensor:
        """Loss from :meth:`sums`; ``energy``: the present w_E."""
        weights: dict[str, Any] = {**self.weights}
        if energy is not None:
            weights["energy"] = energy
        if not sums:
            raise ValueError(
                f"`loss`: expected terms that the data have labels for, got {self!r} and none of "
                "them; check the energy, forces and stress keys of the data"
            )
        terms = [weights[term] * square / _divisor(count) for term, (square, count) in sums.items()]
        return torch.stack(terms).sum()

    def __call__(self, out: Prediction, graph: AtomicGraph) -> Tensor:
        """Loss of one batch, a scalar."""
        return self.total(self.sums(out, graph))

    def of_step(
        self, out: Prediction, graph: AtomicGraph, energy: Tensor | float | None = None
    ) -> tuple[Tensor, Tensor]:
        """The function that a step minimises, with w_E = ``energy``, and the loss of the batch.

        The batch is one of the training set that :meth:`for_training` has seen. One with little
        weight counts little: sums are divided by the number of its labels times the mean weight in
        the whole set. Divided by the weights of the batch they would say nothing in a batch of one
        structure.
        """
        sums = self.sums(out, graph)
        if self._means is not None:
            sums = {
                term: (square, torch.isfinite(graph[term]).sum() * self._means[term])
                for term, (square, _) in sums.items()
            }
        loss = self.total(sums)
        return (loss if energy is None else self.total(sums, energy)), loss


class EnergyForcesLoss(Loss):
    """Weighted mean squared errors, loss = w_E MSE(E/N) + w_F MSE(F) + w_S MSE(S).

    E/N is the energy per atom in eV, F the force components in eV/Å, S the nine stress components
    in eV/Å^3; each mean runs over the labels that are there. With weights of structures (see
    :class:`nnmd_graph.data.dataset.AtomsDataset`) or of elements a mean is sum w e^2 / sum w, w the
    weight of the structure, for a force times that of the atom's element.

    Errors of 1 meV/atom and of 10 meV/Å, which a good potential has together, weigh the same with
    the default weights.

    Training starts with the energy weighted like the forces, and w_E times the learning rate stays
    the same until w_E is reached:

        w_E(t) = min(w_E, energy_start lr(0) / lr(t))

    An error of the energy is one number for many atoms, which all push the weights of a net in one
    direction; while steps are large that keeps the forces from being learned (mlearn Li, PaiNN
    convolutions, 40 epochs: 3.4 meV/atom and 48 meV/Å with w_E from the start, 1.0 and 16 with
    this). Weights that follow the learning rate: H. Wang et al., Comput. Phys. Commun. 228, 178
    (2018), doi 10.1016/j.cpc.2018.03.016. What is validated and logged has w_E itself.

    Args:
        energy: Weight w_E.
        forces: Weight w_F.
        stress: Weight w_S.
        energy_start: Weight of the energy in the first epoch; None: w_F, or w_E without forces.
            With w_E, with a constant learning rate, and with L-BFGS it is w_E all the time.
        element_weights: Weights of the force errors by element, ``{"Cu": 5.0}``, the others 1; or
            ``"balanced"``: the forces of every element count the same in the training set, however
            few atoms it has; None: every atom counts the same.

    Raises:
        ValueError: If a weight is negative or not finite, or all are zero; if the weight of an
            element is not positive, or it is no element.
        TypeError: If ``element_weights`` is none of these.
    """

    def __init__(
        self,
        energy: float = LOSS_WEIGHTS["energy"],
        forces: float = LOSS_WEIGHTS["forces"],
        stress: float = LOSS_WEIGHTS["stress"],
        *,
        energy_start: float | None = None,
        element_weights: ElementWeights = None,
    ) -> None:
        weights = {"energy": float(energy), "forces": float(forces), "stress": float(stress)}
        super().__init__(
            [LossTerm(name, weight) for name, weight in weights.items()],
            energy_start=energy_start,
            element_weights=element_weights,
        )


def _divisor(count: Tensor) -> Tensor:
    """Number of labels, or sum of weights, at least one."""
    if not count.is_floating_point():
        return count.clamp(min=1)
    return torch.where(count > 0.0, count, torch.ones_like(count))


def label_error(term: str, out: Prediction, graph: AtomicGraph) -> tuple[Tensor, Tensor]:
    """Prediction minus label of each component, and a mask of the labels that are there.

    Energies are per atom. The error is zero where a label is missing (NaN), and so is its gradient.
    """
    if term not in out:
        raise ValueError(
            f"`loss`: expected quantities that the potential predicts, got {term!r}, which it does "
            "not; give the model a head for it (`heads`), or leave the term out"
        )
    # mypy: the terms are keys of Prediction, but no literals.
    error = out[term] - graph[term]  # type: ignore[literal-required]
    if QUANTITIES[term].per_atom:
        error = error / num_atoms(graph).to(error)
    present = torch.isfinite(graph[term])
    return torch.where(present, error, torch.zeros_like(error)), present


def num_atoms(graph: AtomicGraph) -> Tensor:
    """Number of atoms of each structure, [B]."""
    structure = structure_index(graph)
    return scatter_sum(torch.ones_like(structure), structure, num_structures(graph))
