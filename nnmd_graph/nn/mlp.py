r"""Multilayer perceptrons: one for all atoms, or one per element.

| activation | act(x) | n2p2 letter |
|---|---|---|
| identity | x | l |
| tanh | tanh x | t |
| sigmoid | 1 / (1 + exp(-x)) | s |
| softplus | ln(1 + exp(x)) | p |
| relu | max(x, 0): forces jump where x changes its sign | r |
| gaussian | exp(-x^2 / 2) | g |
| cos | cos x | c |
| revlogistic | 1 - 1 / (1 + exp(-x)) | S |
| exponential | exp(-x) | e |
| harmonic | x^2 | h |
| silu | x / (1 + exp(-x)) | |
| gelu | x Phi(x), Phi the normal distribution | |

Source of those with a letter: A. Singraber et al., J. Chem. Theory Comput. 15, 1827 (2019),
doi 10.1021/acs.jctc.8b00770.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nnmd_graph.memory import COPIES, check_memory
from nnmd_graph.nn.first_layer import Moved
from nnmd_graph.nn.scatter import take


class Softplus(nn.Softplus):
    """ln(1 + exp(x)), as x from 35 on, where the difference is below the rounding of float64.

    Torch's own goes over at 20, where it jumps by 2e-9.
    """

    def __init__(self) -> None:
        super().__init__(threshold=35.0)


class Gaussian(nn.Module):
    """exp(-x^2 / 2)."""

    def forward(self, x: Tensor) -> Tensor:
        """Activation of each input, the shape of ``x``."""
        return torch.exp(-0.5 * x * x)


class Cos(nn.Module):
    """The cosine of x."""

    def forward(self, x: Tensor) -> Tensor:
        """Activation of each input, the shape of ``x``."""
        return torch.cos(x)


class RevLogistic(nn.Module):
    """1 - 1 / (1 + exp(-x)) = 1 / (1 + exp(x)): the second form loses no digits."""

    def forward(self, x: Tensor) -> Tensor:
        """Activation of each input, the shape of ``x``."""
        return torch.sigmoid(-x)


class Exponential(nn.Module):
    """exp(-x)."""

    def forward(self, x: Tensor) -> Tensor:
        """Activation of each input, the shape of ``x``."""
        return torch.exp(-x)


class Harmonic(nn.Module):
    """The square of x."""

    def forward(self, x: Tensor) -> Tensor:
        """Activation of each input, the shape of ``x``."""
        return x * x


ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
    "softplus": Softplus,
    "gelu": nn.GELU,
    "sigmoid": nn.Sigmoid,
    "identity": nn.Identity,
    "relu": nn.ReLU,
    "gaussian": Gaussian,
    "cos": Cos,
    "revlogistic": RevLogistic,
    "exponential": Exponential,
    "harmonic": Harmonic,
}


class MLP(nn.Module):
    """Feed-forward net, y = act_L(W_L act(... act_1(W_1 x + b_1) ...) + b_L).

    Args:
        in_channels: Number of inputs F.
        hidden_channels: Width of each hidden layer.
        out_channels: Number of outputs.
        activation: A name of the table of the module, for all hidden layers (the output stays as
            it is), or one name per layer, the output layer last. With ``"relu"`` forces, which are
            derivatives of the net, jump: it is there for potentials of other codes.

    Raises:
        ValueError: If an activation is unknown, their number is wrong, or a width is not positive.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: Sequence[int] = (32, 32),
        out_channels: int = 1,
        activation: str | Sequence[str] = "tanh",
    ) -> None:
        super().__init__()
        many = hidden_channels if isinstance(hidden_channels, Sequence) else [0]
        widths = [in_channels, *many, out_channels]
        if any(not _is_width(width) for width in widths):
            raise ValueError(
                "`hidden_channels`: expected a sequence of positive integers, got "
                f"{hidden_channels} for {in_channels} inputs; give one width per hidden layer, for "
                "example (32, 32)"
            )
        check_net(1, in_channels, many)
        names = _per_layer(activation, len(many))
        layers: list[nn.Module] = []
        for n_in, n_out, name in zip(widths[:-1], widths[1:], names, strict=True):
            linear = nn.Linear(n_in, n_out)
            nn.init.xavier_normal_(linear.weight)
            nn.init.zeros_(linear.bias)
            layers += [linear, ACTIVATIONS[name]()]
        self.activation = tuple(names)
        self.layers = nn.Sequential(*(layers[:-1] if names[-1] == "identity" else layers))

    def forward(self, x: Tensor) -> Tensor:
        """Map features [N, F] to outputs [N, out_channels]."""
        return self.layers(x)

    @property
    def linears(self) -> list[nn.Linear]:
        """The linear maps of all layers, the output layer last."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    @property
    def last(self) -> nn.Linear:
        """The linear map of the output layer."""
        return self.linears[-1]

    @property
    def widths(self) -> list[int]:
        """Outputs of each layer."""
        return [linear.out_features for linear in self.linears]

    def take_over(self, old: MLP, moved: Moved) -> None:
        """Give what another net of the same widths gives, behind a scaling that was carried over.

        Args:
            old: Not changed.
            moved: What the scaling does to the first layer.
        """
        first, *others = self.linears
        moved.write(old.linears[0], first)
        for one, other in zip(old.linears[1:], others, strict=True):
            other.load_state_dict(one.state_dict())

    def hidden(self, x: Tensor) -> Tensor:
        """Values that enter the output layer, shape [N, hidden_channels[-1]]."""
        return self.layers[: 2 * len(self.activation) - 2](x)


class ElementMLP(nn.Module):
    """One net per element: y_i = MLP_{species_id[i]}(x_i).

    Args:
        num_species: Number of elements S.
        in_channels: Number of inputs F.
        hidden_channels: Width of each hidden layer, for all elements; or such a sequence for each
            element.
        activation: See :class:`MLP`, for all elements; or a sequence with one name per layer for
            each element.

    Raises:
        ValueError: See :class:`MLP`; or if there are not as many sequences as elements.
    """

    def __init__(
        self,
        num_species: int,
        in_channels: int,
        hidden_channels: Sequence[int] | Sequence[Sequence[int]] = (32, 32),
        activation: str | Sequence[str] | Sequence[Sequence[str]] = "tanh",
    ) -> None:
        super().__init__()
        widths = _per_element("hidden_channels", hidden_channels, num_species)
        names = _per_element("activation", activation, num_species)
        if all(map(_is_width, widths[0] if _is_sequence(widths[0]) else ())):
            check_net(num_species, in_channels, widths[0])
        self.nets = nn.ModuleList(
            MLP(in_channels, w, 1, a) for w, a in zip(widths, names, strict=True)
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


def check_net(num_nets: int, in_channels: int, hidden_channels: Sequence[int]) -> None:
    """Refuse nets whose weights would not fit in the memory.

    Raises:
        ValueError: They would not.
    """
    hidden = [int(width) for width in hidden_channels]

    def needed(widest: int) -> float:
        widths = [int(in_channels), *(min(width, widest) for width in hidden), 1]
        each = sum((a + 1) * b for a, b in zip(widths[:-1], widths[1:], strict=True))
        return 4 * COPIES * num_nets * each

    check_memory(
        "hidden_channels",
        hidden_channels,
        needed,
        size=max(hidden, default=0),
        what="the weights",
        instead="some 32 to 128 are usual",
    )


def _is_width(value: Any) -> bool:
    """Tell whether it is a positive integer, Python's or numpy's."""
    return not isinstance(value, Sequence) and int(value) == value and value > 0


def _per_layer(activation: str | Sequence[str], num_hidden: int) -> list[str]:
    """Names of the activations of all layers, the output layer last."""
    given = [activation] if isinstance(activation, str) else [str(name) for name in activation]
    for name in given:
        if name not in ACTIVATIONS:
            raise ValueError(
                f"`activation`: expected one of {sorted(ACTIVATIONS)}, got {name!r}; "
                "forces need a smooth one"
            )
    if isinstance(activation, str):
        return [activation] * num_hidden + ["identity"]
    if len(given) != num_hidden + 1:
        raise ValueError(
            f"`activation`: expected one name or one for each of {num_hidden + 1} layers, the "
            f"output layer last, got {given}; for example ('tanh', 'tanh', 'identity')"
        )
    return given


def _per_element(name: str, value: Any, num_species: int) -> list[Any]:
    """The value for each element: nested sequences are one per element, others for all."""
    if not any(_is_sequence(part) for part in (value if _is_sequence(value) else ())):
        return [value] * num_species
    if len(value) != num_species or not all(_is_sequence(part) for part in value):
        raise ValueError(
            f"`{name}`: expected one for all elements, or one sequence for each of {num_species}, "
            f"got {value}; give one sequence per element"
        )
    return list(value)


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
