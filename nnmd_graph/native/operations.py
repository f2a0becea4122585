"""Symmetry functions by the native core as operations of torch: values, pullback, change.

With x [N, F] the functions of the edge vectors and J their Jacobian

    values:  vec -> x        vjp:  w = dE/dx -> J^T w        jvp:  u = d vec -> J u

values are differentiated by vjp, vjp by w through jvp: training on forces needs no more. Where
second derivatives by the vectors are wanted, the tensor operations that a plan brings along give
them.
"""

from __future__ import annotations

import ctypes
import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from nnmd_graph.native.calls import TYPES, address_of, check, made
from nnmd_graph.native.library import Library, core

Reference = Callable[[Tensor, Tensor, Tensor, int, int], Tensor]
"""(vec, edge_index, element, first, count) -> x by tensor operations, differentiable at will."""

_NUMBERS = itertools.count()
_PLANS: weakref.WeakValueDictionary[int, Plan] = weakref.WeakValueDictionary()


class Plan:
    """The functions of a set, as the native core reads them.

    Args:
        library: The native core.
        ints: See ``core/plan.h``.
        numbers: Likewise.
        num_features: F.
        reference: The same functions by tensor operations.

    Attributes:
        number: By which operations know it.

    Raises:
        ValueError: If the native core cannot read it.
    """

    def __init__(
        self,
        library: Library,
        ints: Sequence[int],
        numbers: Sequence[float],
        num_features: int,
        reference: Reference,
    ) -> None:
        self.library, self.num_features, self.reference = library, num_features, reference
        self.number = next(_NUMBERS)
        functions = library.functions
        self.address = made(functions.nnmd_plan, ints, numbers)
        weakref.finalize(self, functions.nnmd_plan_free, self.address)
        _PLANS[self.number] = self

    def call(
        self,
        name: str,
        vec: Tensor,
        edge_index: Tensor,
        element: Tensor,
        first: int,
        count: int,
        *arrays: Tensor,
    ) -> None:
        """Call a function of the core; contiguous arrays of the type of ``vec``."""
        neighbor, centre = edge_index.unbind(0)
        atoms = (len(vec), len(element), first, count)
        status = getattr(self.library.functions, f"nnmd_{name}_{TYPES[vec.dtype]}")(
            self.address,
            *map(address_of, (vec.contiguous(), neighbor.contiguous(), centre.contiguous())),
            address_of(element),
            *map(ctypes.c_int64, atoms),
            torch.get_num_threads(),
            *map(address_of, arrays),
        )
        check(status, len(element), first, count)


def usable(vec: Tensor) -> Library | None:
    """The native core, if there is one and it can work on these edge vectors."""
    if vec.device.type != "cpu" or vec.dtype not in TYPES:
        return None
    return core()


# -- the operations --------------------------------------------------------------------------------
@torch.library.custom_op("nnmd_graph::symmetry_values", mutates_args=())
def values(
    vec: Tensor, edge_index: Tensor, element: Tensor, first: int, count: int, plan: int
) -> Tensor:
    """Symmetry functions x [count, F].

    Args:
        vec: Edge vectors, [E, 3], Å, those of the centres.
        edge_index: Neighbour and centre of each, [2, E].
        element: Local element numbers of all atoms, [N].
        first: The first centre.
        count: Number of centres.
        plan: Number of a :class:`Plan`.
    """
    x = vec.new_empty(count, _PLANS[plan].num_features)
    _PLANS[plan].call("values", vec, edge_index, element, first, count, x)
    return x


@torch.library.custom_op("nnmd_graph::symmetry_vjp", mutates_args=())
def vjp(
    w: Tensor,
    vec: Tensor,
    edge_index: Tensor,
    element: Tensor,
    first: int,
    count: int,
    plan: int,
) -> Tensor:
    """dE/d edge_vec [E, 3] of w = dE/dx [count, F]; other arguments: :func:`values`."""
    by_edge = torch.zeros_like(vec, memory_format=torch.contiguous_format)
    _PLANS[plan].call("vjp", vec, edge_index, element, first, count, w.contiguous(), by_edge)
    return by_edge


@torch.library.custom_op("nnmd_graph::symmetry_jvp", mutates_args=())
def jvp(
    u: Tensor,
    vec: Tensor,
    edge_index: Tensor,
    element: Tensor,
    first: int,
    count: int,
    plan: int,
) -> Tensor:
    """Dx [count, F] along a change u [E, 3] of the vectors; other arguments: :func:`values`."""
    dx = vec.new_empty(count, _PLANS[plan].num_features)
    _PLANS[plan].call("jvp", vec, edge_index, element, first, count, u.contiguous(), dx)
    return dx


@values.register_fake
def _(vec: Tensor, edge_index: Tensor, element: Tensor, first: int, count: int, plan: int) -> Any:
    return vec.new_empty(count, _PLANS[plan].num_features)


@vjp.register_fake
def _(w: Tensor, vec: Tensor, *_: Any) -> Tensor:
    return vec.new_empty(vec.shape)


@jvp.register_fake
def _(u: Tensor, vec: Tensor, edge_index: Tensor, element: Tensor, *at: int) -> Tensor:
    return vec.new_empty(at[1], _PLANS[at[2]].num_features)


# -- derivatives -----------------------------------------------------------------------------------
def _remember_values(ctx: Any, inputs: Any, output: Tensor) -> None:
    vec, edge_index, element, *ctx.at = inputs
    ctx.plan = _PLANS[ctx.at[2]]  # it lives as long as what will be asked of it
    ctx.save_for_backward(vec, edge_index, element)


def _remember(ctx: Any, inputs: Any, output: Tensor) -> None:
    given, vec, edge_index, element, *ctx.at = inputs
    ctx.plan = _PLANS[ctx.at[2]]
    ctx.save_for_backward(given, vec, edge_index, element)


def _back_of_values(ctx: Any, w: Tensor) -> tuple[Any, ...]:
    vec, edge_index, element = ctx.saved_tensors
    return vjp(w, vec, edge_index, element, *ctx.at), *[None] * 5


def _back_of_vjp(ctx: Any, u: Tensor) -> tuple[Any, ...]:
    w, vec, edge_index, element = ctx.saved_tensors
    by_w = jvp(u, vec, edge_index, element, *ctx.at) if ctx.needs_input_grad[0] else None
    by_vec = _second(ctx, vec, edge_index, element, w, u) if ctx.needs_input_grad[1] else None
    return by_w, by_vec, *[None] * 5


def _back_of_jvp(ctx: Any, w: Tensor) -> tuple[Any, ...]:
    u, vec, edge_index, element = ctx.saved_tensors
    by_u = vjp(w, vec, edge_index, element, *ctx.at) if ctx.needs_input_grad[0] else None
    by_vec = _second(ctx, vec, edge_index, element, w, u) if ctx.needs_input_grad[1] else None
    return by_u, by_vec, *[None] * 5


def _second(
    ctx: Any, vec: Tensor, edge_index: Tensor, element: Tensor, w: Tensor, u: Tensor
) -> Tensor:
    """Derivative of w^T J u by the vectors, by tensor operations."""
    more = torch.is_grad_enabled()
    with torch.enable_grad():
        at = vec if more and vec.requires_grad else vec.detach().requires_grad_()
        x = ctx.plan.reference(at, edge_index, element, *ctx.at[:2])
        (pulled,) = torch.autograd.grad(x, at, w, create_graph=True)
        if not pulled.requires_grad:  # no edges
            return torch.zeros_like(vec)
        (second,) = torch.autograd.grad(
            pulled, at, u, create_graph=more, allow_unused=True, materialize_grads=True
        )
    return second


values.register_autograd(_back_of_values, setup_context=_remember_values)
vjp.register_autograd(_back_of_vjp, setup_context=_remember)
jvp.register_autograd(_back_of_jvp, setup_context=_remember)
