"""One readout net for all elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from nnmd_graph.models.readout import Carry, Readout
from nnmd_graph.nn.conditioned import ConditionedMLP
from nnmd_graph.nn.first_layer import FirstLayer, is_trained
from nnmd_graph.nn.mlp import MLP


class SharedReadout(Readout):
    """One net for all elements: e_i = MLP(x_i); the features say which element it is.

    Where they do not, the trainable vector v_s of the atom's element conditions the net, see
    :class:`nnmd_graph.nn.conditioned.ConditionedMLP`; an energy model puts it beside the features.

    Args:
        in_channels: Number of features F, without the vector.
        hidden_channels: Width of each hidden layer.
        activation: See :mod:`nnmd_graph.nn.mlp`.
        seed: Seed of the initial weights.
        embedding_dim: Number of components D of the vector; 0: none.

    Shapes:
        x [N, F + D], species_id [N] -> e [N].
    """

    compilable = True

    def __init__(
        self,
        in_channels: int,
        hidden_channels: Sequence[int] = (32,),
        activation: str = "silu",
        seed: int = 0,
        embedding_dim: int = 0,
    ) -> None:
        super().__init__()
        self.embedding_dim = int(embedding_dim)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.net: MLP | ConditionedMLP = (
                ConditionedMLP(in_channels, hidden_channels, embedding_dim, activation)
                if embedding_dim
                else MLP(in_channels, hidden_channels, 1, activation)
            )
        self._arguments = {
            "in_channels": int(in_channels),
            "hidden_channels": [int(width) for width in hidden_channels],
            "activation": activation,
            "seed": int(seed),
            "embedding_dim": int(embedding_dim),
        }

    def forward(
        self, x: Float[Tensor, "N F"], species_id: Int[Tensor, " N"]
    ) -> Float[Tensor, " N"]:
        """Output of the net for each atom, [N], dimensionless."""
        return self.net(x).squeeze(-1)

    def hyper_parameters(self) -> dict[str, Any]:
        """Plain values that rebuild this module."""
        return dict(self._arguments)

    @torch.no_grad()
    def centre(self, x: Tensor, species_id: Tensor, isolated: Tensor) -> None:
        """Shift the output layer so that training starts at the isolated-atom energies.

        The mean difference of the hidden layer between the atoms of an element and the isolated
        atom is taken out of the output weights, for every element, as in
        :meth:`nnmd_graph.models.readout.ElementReadout.centre`. An output that still spreads by
        more than one (many neighbours make large sums) is scaled down to one.

        Args:
            x: Features of a training set, [N, F].
            species_id: Local element numbers, [N].
            isolated: Features of isolated atoms, [S, F].
        """
        hidden, lone = self.net.hidden(x), self.net.hidden(isolated)
        steps = [
            hidden[species_id == s].mean(0) - lone[s]
            for s in range(len(isolated))
            if bool((species_id == s).any())
        ]
        # Rows of v with a singular value that counts span the steps.
        _, size, v = torch.linalg.svd(torch.stack(steps), full_matrices=False)
        v = v[size > 1e-6 * size.max()]
        weight = self.net.last.weight
        if len(v) < weight.shape[1]:  # or nothing would be left
            weight.sub_(weight @ v.mT @ v)
        spread = ((hidden - lone[species_id]) @ weight.mT).square().mean().sqrt()
        weight.div_(spread.clamp(min=1.0))

    def first_layers(self, row: int, num_rows: int) -> list[FirstLayer] | None:
        """First layer of the net, behind a scaling in common; None behind another."""
        if num_rows != 1 or not is_trained(self):
            return None
        net = self.net
        if isinstance(net, MLP):
            return [FirstLayer(net.linears[0].weight, net.linears[0].bias)]
        first, condition = net.net.linears[0], net.conditions[0]
        assert isinstance(condition, nn.Linear)
        return [FirstLayer(first.weight, first.bias, condition.weight)]

    @torch.no_grad()
    def carry_weights(self, old: Readout, index: Sequence[int], carry: Carry) -> None:
        """Take over the net; its first layer follows functions that all elements share.

        Raises:
            ValueError: If elements have functions of their own, which cannot be followed.
        """
        assert isinstance(old, SharedReadout)
        moved = [carry(s) for s in range(len(index))]
        size: Any = self._arguments["in_channels"]
        if all(m is None or m.stays(size) for m in moved):
            self.carry_over(old, index)
            return
        first = moved[0]
        if (
            not (isinstance(old.net, MLP) and isinstance(self.net, MLP))
            or any(m is None or first is None or m.columns != first.columns for m in moved)
            or first is None
            or len(first.columns) != old.net.linears[0].in_features
        ):
            raise ValueError(
                "`readout`: expected one net per element where elements have functions of their "
                "own, got one net for all; give all elements the same functions"
            )
        self.net.take_over(old.net, first)
