"""Graph convolutions: one a file; any of PyTorch Geometric with ``edge_attr`` also fits."""

from nnmd_graph.nn.conv.cgcnn import CGCNNConv
from nnmd_graph.nn.conv.enveloped import EnvelopedConv
from nnmd_graph.nn.conv.gat import GATConv
from nnmd_graph.nn.conv.painn import PaiNNConv
from nnmd_graph.nn.conv.registry import CONVOLUTIONS, register_convolution
from nnmd_graph.nn.conv.schnet import SchNetConv
from nnmd_graph.nn.conv.tensornet import TensorNetConv

__all__ = [
    "CONVOLUTIONS",
    "CGCNNConv",
    "EnvelopedConv",
    "GATConv",
    "PaiNNConv",
    "SchNetConv",
    "TensorNetConv",
    "register_convolution",
]
