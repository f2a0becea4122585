"""Convolutions by name, built and tried out."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch_geometric.nn
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing

from nnmd_graph.choices import PYG, unknown_convolution
from nnmd_graph.nn.conv.cgcnn import CGCNNConv
from nnmd_graph.nn.conv.enveloped import EnvelopedConv
from nnmd_graph.nn.conv.gat import GATConv
from nnmd_graph.nn.conv.painn import PaiNNConv
from nnmd_graph.nn.conv.schnet import SchNetConv
from nnmd_graph.nn.conv.tensornet import TensorNetConv
from nnmd_graph.nn.trial import check_alone, check_jump, check_shape

Convolution = Callable[..., nn.Module]
"""A class of modules, or a function that makes one: ``conv(hidden_channels, num_rbf)``."""

CONVOLUTIONS: dict[str, Convolution] = {
    "schnet": SchNetConv,
    "cgcnn": CGCNNConv,
    "painn": PaiNNConv,
    "gat": GATConv,
    "tensornet": TensorNetConv,
}
"""Convolutions that files and configs know by name."""

BUILT_IN = tuple(CONVOLUTIONS.values())

EDGE_FIELDS = ("edge_index", "edge_attr", "edge_weight", "edge_unit")


def register_convolution(conv: Convolution) -> Convolution:
    """Make a convolution of one's own known to files, by its name; usable as a decorator.

    Raises:
        ValueError: If another one has the name.
    """
    name = conv.__name__
    if CONVOLUTIONS.get(name, conv) is not conv:
        raise ValueError(
            f"`conv`: expected a name of its own, got {name!r}, which is taken; rename it"
        )
    CONVOLUTIONS[name] = conv
    return conv


def find_convolution(conv: str | Convolution) -> Convolution:
    """The convolution of a name, or what was given.

    Raises:
        ValueError: If there is none of this name.
        TypeError: If it is neither a name nor a class or function.
    """
    if isinstance(conv, nn.Module):
        raise TypeError(
            "`conv`: expected a name, a class or a function that makes a module for each layer, "
            f"got a {type(conv).__name__}; hand in the class, or lambda width, num_rbf: ..."
        )
    if not isinstance(conv, str):
        if not callable(conv):
            raise TypeError(
                f"`conv`: expected a name, a class or a function, got {type(conv).__name__}; "
                f"names are {sorted(CONVOLUTIONS)}"
            )
        return conv
    if conv in CONVOLUTIONS:
        return CONVOLUTIONS[conv]
    of_pyg: Any = getattr(torch_geometric.nn, conv.removeprefix(PYG), None)
    if conv.startswith(PYG) and isinstance(of_pyg, type) and MessagePassing in of_pyg.__mro__:
        return of_pyg
    raise ValueError(unknown_convolution(conv, CONVOLUTIONS))


def convolution_name(conv: Convolution) -> str:
    """The name that :func:`find_convolution` finds it by.

    Raises:
        ValueError: If it has none.
    """
    for name, known in CONVOLUTIONS.items():
        if known is conv:
            return name
    name = getattr(conv, "__name__", type(conv).__name__)
    if getattr(torch_geometric.nn, name, None) is conv:
        return PYG + name
    raise ValueError(
        f"`conv`: expected a name that files can hold, got {name}; decorate it with "
        "nnmd_graph.nn.conv.register_convolution"
    )


def build_convolution(
    conv: Convolution,
    hidden_channels: int,
    num_rbf: int,
    options: Mapping[str, Any],
    layer: int = 0,
) -> nn.Module:
    """Make the module of one layer.

    Widths go to the parameters of these names: ``hidden_channels``, ``channels``, ``in_channels``
    and ``out_channels`` get the width, ``num_rbf`` and ``edge_dim`` (``dim`` beside ``channels``,
    as in CGConv) the number of radial functions, and ``layer`` the number of the layer. A function
    gets the width and the number of radial functions, in this order.

    Args:
        conv: The class or function.
        hidden_channels: Width H.
        num_rbf: Number of radial functions K.
        options: Further keyword arguments.
        layer: Number of the layer.

    Raises:
        TypeError: If the arguments do not fit, or the module takes no ``edge_attr``.
    """
    name = getattr(conv, "__name__", type(conv).__name__)
    known = {"hidden_channels": hidden_channels, "num_rbf": num_rbf, "layer": layer}
    given: dict[str, Any] = {}
    if inspect.isclass(conv):
        parameters = inspect.signature(conv).parameters
        known |= dict.fromkeys(("channels", "in_channels", "out_channels"), hidden_channels)
        known |= {"edge_dim": num_rbf} | ({"dim": num_rbf} if "channels" in parameters else {})
        given = {key: value for key, value in known.items() if key in parameters}
    try:
        if given:
            module = conv(**(given | dict(options)))
        else:
            module = conv(hidden_channels, num_rbf, **options)
    except TypeError as error:
        raise TypeError(
            f"`conv`: expected a module that is made with hidden_channels={hidden_channels} and "
            f"num_rbf={num_rbf}, got {name}: {error}; hand in a function of these two that makes "
            "the module"
        ) from None
    if not isinstance(module, nn.Module):
        raise TypeError(
            f"`conv`: expected something that makes a torch.nn.Module, got {type(module).__name__} "
            f"from {name}; return the module of one layer"
        )
    takes = inspect.signature(module.forward).parameters
    if "edge_attr" not in takes:
        raise TypeError(
            f"`conv`: expected a module whose forward takes `edge_attr`, got {name} with "
            f"{list(takes)}; without it distances have no way in"
        )
    if isinstance(module, MessagePassing) and "edge_weight" not in takes:
        return EnvelopedConv(module)
    return module


def fields_of(conv: nn.Module) -> tuple[str, ...]:
    """Names of the edge fields that its forward takes, and "vectors" where it does."""
    takes = inspect.signature(conv.forward).parameters
    return tuple(name for name in (*EDGE_FIELDS, "vectors") if name in takes)


def check_convolution(conv: nn.Module, hidden_channels: int, num_rbf: int) -> None:
    """Try a convolution out on four atoms, one of which is about to leave.

    Raises:
        ValueError: If the output has not the shape of x, jumps when a neighbour passes the cutoff,
            or depends on the rest of the batch.
    """
    name = type(conv.conv if isinstance(conv, EnvelopedConv) else conv).__name__
    check_alone("conv", conv, name)
    conv = copy.deepcopy(conv).double().eval()
    draw = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    pairs = torch.tensor([[1, 2, 2, 3], [0, 0, 1, 0]])
    edge_weight = torch.tensor([0.6, 0.5, 0.7, 1e-10], dtype=torch.float64)
    edges = {
        "edge_index": pairs,
        "edge_attr": random(4, num_rbf) * edge_weight[:, None],
        "edge_weight": edge_weight,
        "edge_unit": nn.functional.normalize(random(4, 3)),
    }
    x = random(4, hidden_channels)
    with torch.no_grad():
        near = _tried(conv, x, edges, name)
        gone = {field: value[..., :3] if field == "edge_index" else value[:3]
                for field, value in edges.items()}  # fmt: skip
        far = _tried(conv, x, gone, name)
    remedy = "sum messages times edge_weight (aggr='add') instead of mean or max"
    check_jump("conv", name, near, far, 1e-6, remedy)


def _tried(conv: nn.Module, x: Tensor, edges: dict[str, Tensor], name: str) -> Tensor:
    out = convolve(conv, x, None, edges if getattr(conv, "pairs", False) else both_ways(edges))[0]
    meaning = f"features of the shape of x, {list(x.shape)},"
    check_shape("conv", f"{name}; keep the width", out, tuple(x.shape), meaning)
    return out


def both_ways(edges: dict[str, Tensor]) -> dict[str, Tensor]:
    """Edges in both directions from pairs that are named once."""
    return {
        "edge_index": torch.cat([edges["edge_index"], edges["edge_index"].flip(0)], dim=1),
        "edge_attr": torch.cat([edges["edge_attr"]] * 2),
        "edge_weight": torch.cat([edges["edge_weight"]] * 2),
        "edge_unit": torch.cat([edges["edge_unit"], -edges["edge_unit"]]),
    }


def convolve(
    conv: nn.Module, x: Tensor, vectors: Tensor | None, edges: dict[str, Tensor]
) -> tuple[Tensor, Tensor | None]:
    """Apply a layer: features and, where it has them, vectors."""
    fields = fields_of(conv)
    if "vectors" in fields:
        given = {name: edges[name] for name in fields if name != "vectors"}
        x, vectors = conv(x, vectors=vectors, **given)
        return x, vectors
    return conv(x, **{name: edges[name] for name in fields}), None
