"""Energy, forces and virial of nets on symmetry functions, in one call of the native core."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nnmd_graph.native.calls import TYPES, address_of, check, made
from nnmd_graph.native.operations import Plan

ACTIVATIONS = {
    "identity": 0,
    "tanh": 1,
    "sigmoid": 2,
    "softplus": 3,
    "relu": 4,
    "gaussian": 5,
    "cos": 6,
    "revlogistic": 7,
    "exponential": 8,
    "harmonic": 9,
    "silu": 10,
    "gelu": 11,
}

Layer = tuple[Tensor, Tensor, str]
"""Matrix [out, in], bias [out], activation."""


@dataclass(frozen=True)
class Atoms:
    """Structures as the core takes them: float arrays of one type, the others int64.

    Attributes:
        pos: Positions, [N, 3], Å.
        cell: [B, 3, 3], Å.
        edge_index: Neighbour and centre of each edge, [2, E].
        shift: Cell shifts of the edges, [E, 3].
        element: Local element numbers, [N].
        structure: Structure of each atom, [N].
        vec: Edge vectors in place of what follows from positions, [E, 3], Å.
    """

    pos: Tensor
    cell: Tensor
    edge_index: Tensor
    shift: Tensor
    element: Tensor
    structure: Tensor
    vec: Tensor | None = None


class Nets:
    """A net for each element on the functions of a plan.

    Args:
        plan: The symmetry functions.
        nets: Layers of the net of each element, which begins at the features as they are.
        scale: Energy of one unit of the nets' output, eV.
        isolated: Energies of isolated atoms, where all features are zero, eV.
        dtype: float64 or float32.

    Raises:
        ValueError: If the layers do not fit together.
    """

    def __init__(
        self,
        plan: Plan,
        nets: Sequence[Sequence[Layer]],
        scale: float,
        isolated: Sequence[float],
        dtype: torch.dtype,
    ) -> None:
        self.plan, self.dtype = plan, dtype
        ints: list[int] = []
        numbers: list[float] = []
        for layers, e0 in zip(nets, isolated, strict=True):
            ints.append(len(layers))
            numbers += [scale, e0]
            for matrix, bias, activation in layers:
                ints += [len(bias), ACTIVATIONS[activation]]
                numbers += [*matrix.double().flatten().tolist(), *bias.double().tolist()]
        functions = plan.library.functions
        make, free = (
            getattr(functions, f"nnmd_nets{part}_{TYPES[dtype]}") for part in ("", "_free")
        )
        self.address = made(make, ints, numbers, plan.address)
        weakref.finalize(self, free, self.address)

    def __call__(
        self, atoms: Atoms, *, derivatives: bool, virial: bool
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """Evaluate structures.

        Args:
            atoms: The structures.
            derivatives: Whether forces are wanted.
            virial: Whether the virial is, too.

        Returns:
            x [N, F], atomic energies [N] eV in float64, forces [N, 3] eV/Å and the virial
            sum_e edge_vec dE/d edge_vec [B, 3, 3] eV in float64.
        """
        count = len(atoms.pos)
        x = atoms.pos.new_empty(count, self.plan.num_features)
        energy = atoms.pos.new_empty(count, dtype=torch.float64)
        forces = x.new_zeros(count, 3) if derivatives else None
        total = atoms.cell.new_zeros(atoms.cell.shape, dtype=torch.float64) if virial else None
        neighbor, centre = atoms.edge_index.unbind(0)
        floats = [atoms.vec, atoms.pos, atoms.cell]
        given = [None if part is None else part.detach().contiguous() for part in floats]
        numbers = (atoms.shift, atoms.structure, neighbor, centre, atoms.element)
        given += [part.to(torch.int64).contiguous() for part in numbers]
        status = getattr(self.plan.library.functions, f"nnmd_evaluate_{TYPES[self.dtype]}")(
            self.plan.address,
            self.address,
            *map(address_of, given),
            ctypes.c_int64(len(neighbor)),
            ctypes.c_int64(count),
            torch.get_num_threads(),
            *map(address_of, (x, energy, forces, total)),
        )
        check(status, count, 0, count)
        return x, energy, forces, total
