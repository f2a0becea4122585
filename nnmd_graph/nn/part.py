"""Parts of models: modules that files hold, and that can learn about more elements."""

from __future__ import annotations

import inspect
from abc import ABC
from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

import torch
from torch import nn

Own = TypeVar("Own", bound="Part")


class Part(nn.Module, ABC):
    """A module that plain values describe: a representation, a readout, a scaler, an energy term.

    A class of one's own is written to model files, and read from them, once it is registered, see
    :func:`nnmd_graph.models.checkpoint.register`.

    Attributes:
        not_architecture: Arguments in which two modules may differ and still hold the same weights:
            elements, how they once started, how their scaling was fitted.
    """

    not_architecture: ClassVar[tuple[str, ...]] = (
        *("species", "num_species", "num_features", "in_channels"),
        *("seed", "init", "ridge", "dtype"),
    )

    def hyper_parameters(self) -> dict[str, Any]:
        """Plain values, or parts, that rebuild this module without its weights.

        Raises:
            ValueError: If the class does not say them.
        """
        raise ValueError(
            f"`model`: expected parts that files can hold, got {type(self).__name__}; give the "
            "class a method hyper_parameters() with the arguments that make it again"
        )

    @classmethod
    def from_hyper_parameters(cls: type[Own], values: dict[str, Any]) -> Own:
        """Inverse of :meth:`hyper_parameters`."""
        return cls(**values)

    def carry_over(self, old: nn.Module, index: Sequence[int]) -> None:
        """Take over the weights of a module of the same kind that may know fewer elements.

        Here: tensors of the same shape, and those with a row for each element.

        Args:
            old: Not changed.
            index: For each element here the number there of itself, or of the one that is nearest.

        Raises:
            ValueError: If weights depend on the elements in another way.
        """
        copy_rows(old, self, index)


def arguments_of(module: Part, known: dict[str, Any]) -> dict[str, Any]:
    """Those of some arguments that the class of a module takes.

    Args:
        module: Of a class that does not say its own arguments.
        known: Names and values.

    Raises:
        ValueError: If the class takes others, whose values nobody knows.
    """
    taken = inspect.signature(type(module)).parameters
    kinds = {name: parameter.kind for name, parameter in taken.items()}
    rest = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    others = [name for name, kind in kinds.items() if name not in known and kind not in rest]
    if others:
        raise ValueError(
            f"`model`: expected parts that files can hold, got {type(module).__name__}, whose "
            f"argument {others[0]!r} is not told; give the class a method hyper_parameters() with "
            "all arguments that make it again"
        )
    takes_all = inspect.Parameter.VAR_KEYWORD in kinds.values()
    return {name: value for name, value in known.items() if takes_all or name in taken}


@torch.no_grad()
def copy_rows(old: nn.Module, new: nn.Module, index: Sequence[int]) -> None:
    """Copy tensors of the same shape, and rows of those that have one for each element.

    Args:
        old: Not changed.
        new: Its parameters and buffers are replaced.
        index: For each element of the new module the row in the old one.

    Raises:
        ValueError: If a tensor is neither.
    """
    before, after = old.state_dict(), new.state_dict()
    fits = before.keys() == after.keys()
    for name, value in before.items() if fits else ():
        target = after[name]
        if value.shape == target.shape:
            target.copy_(value)
        elif value.shape[1:] == target.shape[1:] and len(target) == len(index):
            target.copy_(value[list(index)])
        else:
            fits = False
    if not fits:
        raise ValueError(
            "`potential`: expected modules that can be carried over to more "
            f"elements, got {type(old).__name__}, whose parameters depend on the elements; give "
            "the class a method carry_over(old, index), index[s] the number in the old one of "
            "element s"
        )
