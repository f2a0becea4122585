"""A multilayer perceptron whose layers depend on the element of the atom."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from nnmd_graph.nn.mlp import MLP


class ConditionedMLP(nn.Module):
    """Feed-forward net that a vector e of the atom scales and shifts in every hidden layer.

        h_l = act((1 + A_l e) * (W_l h_{l-1}) + b_l + B_l e),   h_0 = x,   y = W_L h_{L-1} + b_L

    The factors let one set of weights act differently around different elements, which a shift
    alone does not. They start small. Source: E. Perez et al., AAAI 32, 3942 (2018),
    doi 10.1609/aaai.v32i1.11671, eq. 1 and 2 (feature-wise linear modulation).

    Args:
        in_channels: Number of features F.
        hidden_channels: Width of each hidden layer.
        embedding_dim: Number of components D of e.
        activation: See :class:`nnmd_graph.nn.mlp.MLP`.

    Shapes:
        [x, e] side by side, [N, F + D] -> y [N, 1].

    Raises:
        ValueError: As :class:`nnmd_graph.nn.mlp.MLP`.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: Sequence[int],
        embedding_dim: int,
        activation: str = "tanh",
    ) -> None:
        super().__init__()
        self.net = MLP(in_channels, hidden_channels, 1, activation)
        self.embedding_dim = embedding_dim
        self.conditions = nn.ModuleList(
            nn.Linear(embedding_dim, 2 * width, bias=False) for width in hidden_channels
        )
        for condition in self.conditions:
            assert isinstance(condition, nn.Linear)
            nn.init.normal_(condition.weight, std=0.3 / embedding_dim**0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Map features and vectors, [N, F + D], to one value each, [N, 1]."""
        return self.last(self.hidden(x))

    @property
    def last(self) -> nn.Linear:
        """The linear map of the output layer."""
        return self.net.last

    def hidden(self, x: Tensor) -> Tensor:
        """Values that enter the output layer, [N, hidden_channels[-1]]."""
        h, e = x[:, : -self.embedding_dim], x[:, -self.embedding_dim :]
        for n, condition in enumerate(self.conditions):
            linear, activation = self.net.layers[2 * n], self.net.layers[2 * n + 1]
            assert isinstance(linear, nn.Linear)
            factor, shift = condition(e).chunk(2, dim=1)
            h = activation((1.0 + factor) * (h @ linear.weight.mT) + linear.bias + shift)
        return h
