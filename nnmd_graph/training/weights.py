"""Weights of structures and elements in training, for sets that are not balanced."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

from nnmd_graph.choices import BALANCED
from nnmd_graph.elements import LARGEST, atomic_number, symbol

if TYPE_CHECKING:
    from torch import Tensor

    from nnmd_graph.data.dataset import AtomsDataset

ElementWeights = str | Mapping[Any, float] | None


def check_element_weights(given: Any) -> str | dict[int, float] | None:
    """Weights by atomic number, or "balanced", or None.

    Raises:
        ValueError: If a key is no element or stands twice, or a weight is not positive and finite.
        TypeError: If it is neither a mapping nor "balanced" nor None.
    """
    if given is None or given == BALANCED:
        return None if given is None else BALANCED
    if not isinstance(given, Mapping):
        raise TypeError(
            f"`element_weights`: expected 'balanced' or weights by element, got {given!r}; write "
            "for example {'Cu': 5.0}"
        )
    weights: dict[int, float] = {}
    for element, weight in given.items():
        z = atomic_number(element, "element_weights")
        if z in weights:
            raise ValueError(
                f"`element_weights`: expected an element once, got {symbol(z)} twice; leave one out"
            )
        number: Any = weight  # the value as it was given
        plain = isinstance(number, Real) and not isinstance(number, bool)
        if not (plain and 0.0 < number < math.inf):
            raise ValueError(
                f"`element_weights`: expected positive numbers, got {weight!r} for {element!r}; "
                "the weight of the others is 1"
            )
        weights[z] = float(number)
    return weights


def balanced_weights(train: AtomsDataset) -> dict[int, float]:
    """Weights by which the forces of all elements count equally, w_s = sum_t n_t / (S n_s).

    n_s is the number of atoms of element s with forces, each times the weight of its structure;
    the mean over these atoms is one.
    """
    counts: dict[int, float] = {}
    for atoms, labels in zip(train.frames, train.labels, strict=True):
        if labels.has_force is not None:
            weight = 1.0 if labels.weight is None else labels.weight
            for z, count in Counter(atoms.numbers[labels.has_force].tolist()).items():
                counts[int(z)] = counts.get(int(z), 0.0) + weight * int(count)
    total = sum(counts.values())
    return {z: total / (len(counts) * count) for z, count in sorted(counts.items())}


def mean_weights(train: AtomsDataset, element_weights: Any) -> dict[str, float]:
    """Mean weight of the labels of each term in a training set; 1 for a term without labels."""
    sums = {term: [0.0, 0] for term in train.label_names}
    table = weight_table(element_weights or {}).numpy()
    for atoms, labels in zip(train.frames, train.labels, strict=True):
        weight = 1.0 if labels.weight is None else labels.weight
        for term, (total, count) in sums.items():
            if labels.get(term) is None:
                continue
            if term == "forces":
                numbers = atoms.numbers[labels.has_force]
                here = [weight * float(table[numbers].sum()), len(numbers)]
            else:
                here = [weight, 1]
            sums[term] = [total + here[0], count + here[1]]
    return {term: total / count if count else 1.0 for term, (total, count) in sums.items()}


def weight_table(element_weights: Mapping[int, float]) -> Tensor:
    """Weight by atomic number, 1 where none is given, [Z]."""
    import torch  # here: configs are checked without it

    table = torch.ones(LARGEST + 1, dtype=torch.float64)
    for z, weight in element_weights.items():
        table[z] = weight
    return table
