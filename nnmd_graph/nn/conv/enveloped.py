"""Convolutions of PyTorch Geometric, made smooth at the cutoff."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import silu
from torch_geometric.nn import MessagePassing

from nnmd_graph.nn.scatter import scatter_sum, take


class EnvelopedConv(nn.Module):
    r"""Any PyG convolution that takes ``edge_attr``, its messages times the envelope.

    .. math:: x'_i = x_i + silu(conv(x)_i), \quad m_{ij} \to u_{ij} m_{ij}

    with u_ij = edge_weight. Attention weights alpha_ij, normalised over the neighbours by the
    convolution, are normalised anew with the envelope:

    .. math:: \alpha_{ij} \to u_{ij} \alpha_{ij} / \sum_k u_{ik} \alpha_{ik}

    where the atom itself is one of the neighbours k, with u = 1 and edge_attr = 0: so the sum never
    vanishes, and a neighbour that leaves does so smoothly.

    Args:
        conv: The convolution. Its own loops (``add_self_loops``) are switched off: they would
            replace the edges between an atom and its periodic images.

    Shapes:
        x [N, H], edge_index [2, E], edge_attr [E, K], edge_weight [E] -> [N, H].

    Raises:
        ValueError: If the convolution changes the width.
    """

    def __init__(self, conv: MessagePassing) -> None:
        super().__init__()
        if hasattr(conv, "add_self_loops"):  # PyG's classes declare nothing in common
            conv.add_self_loops = False
        self.conv = conv

    def forward(
        self, x: Tensor, edge_index: Tensor, edge_attr: Tensor, edge_weight: Tensor
    ) -> Tensor:
        """Features after the convolution, [N, H]."""
        if _attends(self.conv):
            atoms = torch.arange(len(x), device=x.device)
            edge_index = torch.cat([edge_index, atoms.expand(2, -1)], dim=1)
            edge_attr = torch.cat([edge_attr, edge_attr.new_zeros(len(x), edge_attr.shape[1])])
            edge_weight = torch.cat([edge_weight, edge_weight.new_ones(len(x))])
        centre = edge_index[1]

        def weighted(module: nn.Module, inputs: tuple[dict[str, Any]], message: Tensor) -> Tensor:
            alpha = inputs[0].get("alpha", getattr(module, "_alpha", None))
            if alpha is None:
                return message * edge_weight.view(-1, *[1] * (message.dim() - 1))
            share = alpha * edge_weight.unsqueeze(-1)
            total = scatter_sum(share, centre, len(x)).clamp(min=torch.finfo(x.dtype).tiny)
            return message * (edge_weight.unsqueeze(-1) / take(total, centre)).unsqueeze(-1)

        # For this call only: a hook that stays would hold on to the edges of a graph.
        hook = self.conv.register_message_forward_hook(weighted)
        try:
            out = self.conv(x=x, edge_index=edge_index, edge_attr=edge_attr)
        finally:
            hook.remove()
        if out.shape != x.shape:
            raise ValueError(
                f"`conv`: expected features of the shape of x, {list(x.shape)}, got "
                f"{list(out.shape)} from {type(self.conv).__name__}; with several heads say "
                "concat=False"
            )
        return x + silu(out)


def _attends(conv: MessagePassing) -> bool:
    """Tell whether it normalises over the neighbours: GATConv, GATv2Conv, TransformerConv.

    By the names that these classes of PyG use, as they declare nothing in common.
    """
    return "alpha" in conv.inspector.get_param_dict("message") or hasattr(conv, "_alpha")
