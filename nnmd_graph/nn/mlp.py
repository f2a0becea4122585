"""Multilayer perceptrons: one for all atoms, or one per element."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nnmd_graph.nn.scatter import take

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "gelu": nn.GELU,
    "sigmoid": nn.Sigmoid,
}


class MLP(nn.Module):
    """Feed-forward net, y = W_L act(... act(W_1 x + b_1) ...) + b_L.

    Args:
        in_channels: Number of inputs F.
        hidden_channels: Width of each hidden layer.
        out_channels: Number of outputs.
        activation: ``"tanh"``, ``"silu"``, ``"softplus"``, ``"gelu"`` or ``"sigmoid"``: smooth
            ones only, forces are derivatives of the net.

    Raises:
        ValueError: If the activation is unknown or a width is not positive.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: Sequence[int] = (32, 32),
        out_channels: int = 1,
        activation: str = "tanh",
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"`activation` must be one of {sorted(ACTIVATIONS)}, got {activation!r}; "
                "forces need a smooth one"
            )
        many = hidden_channels if isinstance(hidden_channels, Sequence) else [0]
        widths = [in_channels, *many, out_channels]
        if any(int(width) != width or width < 1 for width in widths):
            raise ValueError(
                f"`hidden_channels` must be a sequence of positive integers, got {hidden_channels} "
                f"for {in_channels} inputs; give one width per hidden layer, for example (32, 32)"
            )
        layers: list[nn.Module] = []
        for n_in, n_out in zip(widths[:-1], widths[1:], strict=True):
            linear = nn.Linear(n_in, n_out)
            nn.init.xavier_normal_(linear.weight)
            nn.init.zeros_(linear.bias)
            layers += [linear, ACTIVATIONS[activation]()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """Map features [N, F] to outputs [N, out_channels]."""
        return self.layers(x)

    @property
    def last(self) -> nn.Linear:
        """The output layer."""
        layer = self.layers[-1]
        assert isinstance(layer, nn.Linear)
        return layer

    def hidden(self, x: Tensor) -> Tensor:
        """Values that enter the output layer, shape [N, hidden_channels[-1]]."""
        return self.layers[:-1](x)


class ElementMLP(nn.Module):
    """One net per element: y_i = MLP_{species_id[i]}(x_i).

    Args:
        num_species: Number of elements S.
        in_channels: Number of inputs F.
        hidden_channels: Width of each hidden layer.
        activation: See :class:`MLP`.
    """

    def __init__(
        self,
        num_species: int,
        in_channels: int,
        hidden_channels: Sequence[int] = (32, 32),
        activation: str = "tanh",
    ) -> None:
        super().__init__()
        self.nets = nn.ModuleList(
            MLP(in_channels, hidden_channels, 1, activation) for _ in range(num_species)
        )

    def forward(self, x: Tensor, species_id: Tensor) -> Tensor:
        """Map features [N, F] of atoms with local element numbers [N] to one value each, [N]."""
        if len(self.nets) == 1:
            return self.nets[0](x).squeeze(-1)
        y = x.new_zeros(x.shape[0])
        for s, net in enumerate(self.nets):
            atoms = torch.nonzero(species_id == s).squeeze(-1)
            if len(atoms):
                y = y.index_add(0, atoms, net(take(x, atoms)).squeeze(-1))
        return y
