"""Readouts: features of atoms -> one number per atom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from nnmd_graph.nn.mlp import MLP, ElementMLP


class ElementReadout(nn.Module):
    """One net per element: e_i = MLP_s(x_i) with s the element of atom i.

    Source: J. Behler, M. Parrinello, Phys. Rev. Lett. 98, 146401 (2007),
    doi 10.1103/PhysRevLett.98.146401.

    Args:
        num_species: Number of elements S.
        in_channels: Number of features F.
        hidden_channels: Width of each hidden layer, for all elements; or such a sequence for each
            element.
        activation: A name for all hidden layers, or one name per layer, the output layer last, see
            :mod:`nnmd_graph.nn.mlp`; or a sequence of names for each element.
        seed: Seed of the initial weights.

    Shapes:
        x [N, F], species_id [N] -> e [N].
    """

    def __init__(
        self,
        num_species: int,
        in_channels: int,
        hidden_channels: Sequence[int] | Sequence[Sequence[int]] = (32, 32),
        activation: str | Sequence[str] | Sequence[Sequence[str]] = "tanh",
        seed: int = 0,
    ) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.net = ElementMLP(num_species, in_channels, hidden_channels, activation)
        self._arguments = {
            "num_species": int(num_species),
            "in_channels": int(in_channels),
            "hidden_channels": _plain(hidden_channels),
            "activation": _plain(activation),
            "seed": int(seed),
        }

    def forward(
        self, x: Float[Tensor, "N F"], species_id: Int[Tensor, " N"]
    ) -> Float[Tensor, " N"]:
        """Output of each atom's net, [N], dimensionless."""
        return self.net(x, species_id)

    def hyper_parameters(self) -> dict[str, Any]:
        """Plain values that rebuild this module."""
        return dict(self._arguments)

    @torch.no_grad()
    def centre(self, x: Tensor, species_id: Tensor, isolated: Tensor) -> None:
        """Turn the output layers so that training starts at the isolated-atom energies.

        The energy of an atom is the difference of the net at its features and at those of the
        isolated atom. Taking the mean difference of the hidden layer out of the output weights
        makes this difference zero on average over a training set.

        Args:
            x: Features of a training set, scaled, [N, F].
            species_id: Local element numbers, [N].
            isolated: Features of isolated atoms, scaled, [S, F].
        """
        for s, net in enumerate(self.net.nets):
            assert isinstance(net, MLP)
            atoms = species_id == s
            if not bool(atoms.any()):
                continue
            step = net.hidden(x[atoms]).mean(0) - net.hidden(isolated[s : s + 1])[0]
            weight = net.last.weight
            along = weight @ step / step.square().sum().clamp(min=1e-12)
            weight.sub_(along.unsqueeze(-1) * step)


def _plain(value: Any) -> Any:
    """Lists, text and Python's integers only, as checkpoints hold them."""
    if isinstance(value, str):
        return value
    return [_plain(part) for part in value] if isinstance(value, Sequence) else int(value)
