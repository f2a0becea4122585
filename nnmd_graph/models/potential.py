"""Potential: energies of a model with forces and stress."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import torch
from ase.data import chemical_symbols
from torch import Tensor, nn

from nnmd_graph.addresses import model_file
from nnmd_graph.devices import find_device
from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.graph.geometry import cast, check_graph
from nnmd_graph.models import checkpoint
from nnmd_graph.models.energy_model import EnergyModel, net_of
from nnmd_graph.models.evaluators import Prediction, Wanted, detached
from nnmd_graph.models.extrapolation import ExtrapolationReport, find_extrapolation
from nnmd_graph.models.term import EnergyTerm, PlainTerm


class Potential(nn.Module):
    """Energy, forces = -dE/dpos and stress = (1/|V|) dE/dstrain of an energy model.

    Computes in the dtype of its weights; energies are summed and returned in float64, so that
    all-electron energies of thousands of eV keep their meV.
    Stress is symmetric and positive under tension. In training mode the outputs carry the
    gradients that training on forces needs; in evaluation mode they are detached.

    Args:
        model: An energy term: a model such as ``BPNN(acsf)``, a sum of terms
            (:class:`nnmd_graph.SumModel`), one of one's own (:class:`nnmd_graph.EnergyTerm`), or
            any module graph -> atomic_energy [N] with ``species`` and ``cutoff``.

    Raises:
        TypeError: If the model offers no ``species`` or ``cutoff``.
    """

    model: EnergyTerm

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model if isinstance(model, EnergyTerm) else PlainTerm(model)

    @property
    def species(self) -> tuple[int, ...]:
        """Elements, sorted atomic numbers."""
        return self.model.species

    @property
    def cutoff(self) -> float:
        """Radius in Å that graphs must reach."""
        return self.model.cutoff

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the computation."""
        return self.model.dtype

    @property
    def device(self) -> torch.device:
        """Device of the computation."""
        return self.model.device

    @property
    def quantities(self) -> tuple[str, ...]:
        """Names of further predictions beside energy, forces and stress."""
        return self.model.quantities

    @property
    def net(self) -> EnergyModel | None:
        """The model that is fitted to what the other terms leave; None: there is none."""
        return net_of(self.model)

    def forward(
        self,
        graph: AtomicGraph,
        *,
        forces: bool = True,
        stress: bool = True,
        heads: bool = True,
    ) -> Prediction:
        """Predict one structure or a batch.

        Args:
            graph: AtomicGraph or Batch of them; cast to the potential's dtype and device.
            forces: Whether forces are wanted.
            stress: Whether stress is wanted.
            heads: Whether what heads predict (``quantities``) is wanted, if there are any.

        Returns:
            energy [B] eV, atomic_energy [N] eV, forces [N, 3] eV/Å and stress [B, 3, 3] eV/Å^3
            (zero for a structure whose cell has no volume); and the ``quantities``.

        Raises:
            ValueError: If an element is unknown or the graph does not reach the cutoff.
            TypeError: If it is no graph.
        """
        self._check(graph)
        if torch.is_inference_mode_enabled():  # forces are derivatives, which it would forbid
            with torch.inference_mode(False):
                asked = {"forces": forces, "stress": stress, "heads": heads}
                return detached(self(_recordable(graph), **asked))
        graph = self.cast(graph)
        evaluator = self.model.evaluator(graph, training=self.training)
        out = evaluator(graph, Wanted(forces, stress, gradients=self.training))
        if heads and self.quantities:
            with torch.set_grad_enabled(self.training and torch.is_grad_enabled()):
                out |= self.model.outputs(graph)  # type: ignore[typeddict-item]  # more names
        return out

    def extrapolation(self, graph: AtomicGraph) -> ExtrapolationReport:
        """Atoms outside the limits of the training set, with function and distance.

        Args:
            graph: AtomicGraph or Batch of them.

        Returns:
            A sequence, empty where all is inside; ``print`` it, or see ``text()``, ``worst()``,
            ``per_atom`` and ``per_structure``.

        Raises:
            ValueError: If the limits are unknown (a potential that was not trained, or whose
                features are trained themselves), or for what ``forward`` refuses.
        """
        self._check(graph)
        with torch.inference_mode(False):
            return find_extrapolation(self.model, self.cast(_recordable(graph)))

    def cast(self, graph: AtomicGraph) -> AtomicGraph:
        """The graph in the potential's dtype and on its device; itself if it is there already."""
        if graph.pos.dtype == self.dtype and graph.pos.device == self.device:
            return graph
        return cast(graph, self.dtype, self.device)

    def _check(self, graph: AtomicGraph) -> None:
        check_graph(graph)
        if self.model.one.is_inference():
            raise ValueError(
                "`potential`: expected weights that derivatives can go through, got ones made "
                "inside torch.inference_mode(); make, load or move the potential outside of it"
            )
        reach = float(graph.cutoff.min()) if "cutoff" in graph else self.cutoff
        if reach < self.cutoff - 1e-9:
            raise ValueError(
                f"`cutoff` of the graph: expected at least that of the potential, {self.cutoff} Å, "
                f"got {reach} Å; build the graph with cutoff={self.cutoff}"
            )

    def extra_repr(self) -> str:
        """Elements and cutoff for ``print``."""
        return f"{', '.join(chemical_symbols[z] for z in self.species)}; cutoff={self.cutoff} Å"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write hyper-parameters, weights and format version; loadable without unpickling code."""
        checkpoint.save(self.model, Path(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: str | torch.device = "cpu") -> Potential:
        """Read a potential written by :meth:`save`, in evaluation mode.

        Args:
            path: Model file, or the folder of a run, whose ``model.pt`` is read.
            device: Where the weights go.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is damaged, foreign or of an unknown format version.
        """
        with torch.inference_mode(False):  # forces differentiate through the weights
            return cls(checkpoint.load(model_file(path), find_device(device))).eval()


def _recordable(graph: AtomicGraph) -> AtomicGraph:
    """A copy of a graph made in inference mode that autograd can record."""
    if not any(isinstance(v, Tensor) and v.is_inference() for v in graph.to_dict().values()):
        return graph
    out = copy.copy(graph)
    for key, value in graph.to_dict().items():
        if isinstance(value, Tensor) and value.is_inference():
            out[key] = value.clone()
    return out
