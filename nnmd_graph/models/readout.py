"""Readouts: features of atoms -> one number per atom."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from nnmd_graph.nn.first_layer import FirstLayer, Moved, is_trained
from nnmd_graph.nn.mlp import MLP, ElementMLP
from nnmd_graph.nn.part import Part
from nnmd_graph.representations.representation import carry_plain, described

Carry = Callable[[int], Moved | None]
"""Carries the feature scaling of an element over, once; None: its features have no place."""

Layer = tuple[Tensor, Tensor, str]
"""Matrix [out, in], bias [out], name of the activation."""

Own = TypeVar("Own", bound="Readout")


class Readout(Part):
    """One number for each atom from its features, (x [N, F], species_id [N]) -> e [N].

    Attributes:
        embedding_dim: Components of the vectors of the elements that it finds beside the features;
            0: it takes none.
        compilable: Whether energy and forces of the whole model can be compiled as one function.
    """

    embedding_dim: int = 0
    compilable: ClassVar[bool] = False

    @abstractmethod
    def forward(
        self, x: Float[Tensor, "N F"], species_id: Int[Tensor, " N"]
    ) -> Float[Tensor, " N"]:
        """Output for each atom, [N], dimensionless."""

    def centre(self, x: Tensor, species_id: Tensor, isolated: Tensor) -> None:
        """Shift the output so that training starts near the isolated-atom energies; default: none.

        Args:
            x: Features of a training set, scaled, [N, F].
            species_id: Local element numbers, [N].
            isolated: Features of isolated atoms, scaled, [S, F].
        """

    def first_layers(self, row: int, num_rows: int) -> list[FirstLayer] | None:
        """Linear maps behind row ``row`` of a scaling; None: unknown, or frozen.

        Args:
            row: Number of the element, or 0 of a scaling in common.
            num_rows: Rows that the scaling has.
        """
        return None

    def layers(self, s: int) -> list[Layer] | None:
        """Layers of the net of an element, if it is one of linear maps and known activations."""
        return None

    def extended(self: Own, index: Sequence[int], in_channels: tuple[Any, Any]) -> Own:
        """A new readout of this kind for more elements.

        Args:
            index: For each new element the number of itself here, or of the nearest one.
            in_channels: Features that there were, and that there are.
        """
        values = self.hyper_parameters()
        return type(self).from_hyper_parameters(resized(values, index, in_channels))

    def carry_weights(self, old: Readout, index: Sequence[int], carry: Carry) -> None:
        """Take over the weights of a readout of this kind, behind a scaling that is carried over.

        Args:
            old: Not changed.
            index: For each element here its number there.
            carry: Carries the scaling of one element.

        Raises:
            ValueError: If the features stand in other places, which this class does not follow.
        """
        moved = [carry(s) for s in range(len(index))]
        if any(m is not None and m.columns != list(range(len(m.columns))) for m in moved):
            raise ValueError(
                f"`functions`: expected functions in the order that the readout knows, got others "
                f"for {type(self).__name__}; only one net per element follows them"
            )
        self.carry_over(old, index)


class PlainReadout(Readout):
    """A module of any class, (x, species_id) -> e, wrapped as a readout without further abilities.

    Args:
        module: Not changed.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        given: Any = module
        self.embedding_dim = int(getattr(given, "embedding_dim", 0))
        self.module = module

    def forward(self, x: Tensor, species_id: Tensor) -> Tensor:
        """Output for each atom, [N]."""
        return self.module(x, species_id)

    def extended(self, index: Sequence[int], in_channels: tuple[Any, Any]) -> Any:
        """A new module of the class."""
        return type(self.module)(**resized(described(self.module), index, in_channels))

    def carry_over(self, old: nn.Module, index: Sequence[int]) -> None:
        """Take over the weights, by the module's own ``carry_over`` if it has one."""
        assert isinstance(old, PlainReadout)
        carry_plain(old.module, self.module, index)


def as_readout(module: nn.Module) -> Readout:
    """The module itself if it is a readout, else the module wrapped as one."""
    return module if isinstance(module, Readout) else PlainReadout(module)


def resized(
    values: dict[str, Any], index: Sequence[int], in_channels: tuple[Any, Any]
) -> dict[str, Any]:
    """Arguments of a readout for other numbers of elements and features."""
    before, after = in_channels
    sizes = {"num_species": len(index)}
    if values.get("in_channels") == before:
        sizes["in_channels"] = after
    return values | {name: size for name, size in sizes.items() if name in values}


class ElementReadout(Readout):
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
        """Shift the output layers so that training starts at the isolated-atom energies.

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

    def first_layers(self, row: int, num_rows: int) -> list[FirstLayer] | None:
        """First layer of an element's net, or of all nets behind a scaling in common."""
        nets: Any = list(self.net.nets) if num_rows == 1 else [self.net.nets[row]]
        if not is_trained(*(net.linears[0] for net in nets)):
            return None
        return [FirstLayer(net.linears[0].weight, net.linears[0].bias) for net in nets]

    def layers(self, s: int) -> list[Layer] | None:
        """Layers of the net of an element; None: a class of one's own does something else."""
        if type(self).forward is not ElementReadout.forward:
            return None
        net = self.net.nets[s]
        assert isinstance(net, MLP)
        linears = zip(net.linears, net.activation, strict=True)
        return [(linear.weight, linear.bias, name) for linear, name in linears]

    def extended(self, index: Sequence[int], in_channels: tuple[Any, Any]) -> ElementReadout:
        """Readout with nets of new elements like that of the nearest one."""
        values = resized(self.hyper_parameters(), index, in_channels)
        for key in ("hidden_channels", "activation"):
            value = values[key]
            if not isinstance(value, str) and any(isinstance(part, list) for part in value):
                values[key] = [value[o] for o in index]  # one list for each element
        return type(self)(**values)

    @torch.no_grad()
    def carry_weights(self, old: Readout, index: Sequence[int], carry: Carry) -> None:
        """Take over each net; that of a new element which is too different stays fresh."""
        assert isinstance(old, ElementReadout)
        for s, o in enumerate(index):
            before, after = old.net.nets[o], self.net.nets[s]
            assert isinstance(before, MLP) and isinstance(after, MLP)
            moved = carry(s) if before.widths == after.widths else None
            if moved is not None:
                after.take_over(before, moved)


def _plain(value: Any) -> Any:
    """Settings as lists, text and Python integers, as checkpoints hold them."""
    if isinstance(value, str):
        return value
    return [_plain(part) for part in value] if isinstance(value, Sequence) else int(value)
