"""One readout net for all elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from nnmd_graph.nn.conditioned import ConditionedMLP
from nnmd_graph.nn.mlp import MLP


class SharedReadout(nn.Module):
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
        """Turn the output layer so that training starts at the isolated-atom energies.

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
