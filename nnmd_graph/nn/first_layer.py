"""Linear maps of scaled features: what of a net depends on how features are scaled and ordered."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

Columns = list[int]
"""New column of each feature of an element."""


@dataclass(frozen=True)
class FirstLayer:
    """A linear map of scaled features, u = W x' + b.

    Attributes:
        weight: W [H, F], perhaps beside weights of something else.
        bias: b [H].
        condition: What scales and shifts u for each element, see
            :class:`nnmd_graph.nn.conditioned.ConditionedMLP`.
    """

    weight: Tensor
    bias: Tensor
    condition: Tensor | None = None

    def write(self, weight: Tensor, constant: Tensor) -> None:
        """Let u be W' x' + b + c, [H, F] and [H]."""
        self.weight.copy_(weight)
        self.bias.add_(constant.to(self.bias))
        if self.condition is not None:  # (1 + A e) (W x' + c) + b + B e
            factor, shift = self.condition.chunk(2)
            shift.add_(constant.to(shift).unsqueeze(1) * factor)


@dataclass(frozen=True)
class Moved:
    """Change of a linear map W of the scaled features of one element with their scaling.

    W x'_old = (W T) x'_new[columns] + W c

    Attributes:
        columns: New column of each of the n features that the element had.
        turn: T [F, n], float64.
        constant: c [F], float64.
    """

    columns: Columns
    turn: Tensor
    constant: Tensor

    def stays(self, num_features: int) -> bool:
        """Tell whether a map of so many features is the same as before."""
        size = len(self.constant)
        return size == num_features and self.columns == list(range(size))

    def write(self, before: nn.Linear, after: nn.Linear) -> None:
        """Let a linear map of the new features give what one of the old ones gave."""
        weight = before.weight.double()
        after.weight.zero_()
        after.weight[:, self.columns] = (weight @ self.turn).to(after.weight)
        if before.bias is not None:
            after.bias.copy_(before.bias.double() + weight @ self.constant)


def is_trained(*modules: nn.Module) -> bool:
    """Tell whether weights may be changed: none of them is frozen."""
    return all(p.requires_grad for module in modules for p in module.parameters())
