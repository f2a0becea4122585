"""Potential: energies of a model with forces and stress, the one place with ``autograd.grad``."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import TypedDict

import torch
from ase.data import chemical_symbols
from jaxtyping import Float
from torch import Tensor, nn

from nnmd_graph.devices import find_device
from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.graph.geometry import (
    cast,
    check_graph,
    edge_vectors,
    num_structures,
    strained,
    structure_index,
    volume,
)
from nnmd_graph.models import checkpoint
from nnmd_graph.models.energy_model import EnergyModel
from nnmd_graph.models.extrapolation import ExtrapolationReport, find_extrapolation
from nnmd_graph.models.model_file import model_file
from nnmd_graph.nn.scatter import scatter_sum, take
from nnmd_graph.nn.species import species_ids
from nnmd_graph.representations.precomputed import edge_gradient


class Prediction(TypedDict, total=False):
    """What a potential returns: energy [B] and atomic_energy [N] eV, forces, stress."""

    energy: Tensor
    atomic_energy: Tensor
    forces: Tensor
    stress: Tensor


class Potential(nn.Module):
    """Energy, forces = -dE/dpos and stress = (1/|V|) dE/dstrain of an energy model.

    Computes in the dtype of its weights; energies are summed and returned in float64, so that
    all-electron energies of thousands of eV keep their meV.
    Stress is symmetric and positive under tension. In training mode the outputs carry the
    gradients that training on forces needs; in evaluation mode they are detached.

    Args:
        model: Energy model, graph -> atomic_energy [N], with ``species`` and ``cutoff``.

    Raises:
        TypeError: If the model offers no ``species`` or ``cutoff``.
    """

    def __init__(self, model: EnergyModel) -> None:
        super().__init__()
        if not (isinstance(model, nn.Module) and hasattr(model, "species")):
            raise TypeError(
                f"`model`: expected an energy model with species and cutoff, got "
                f"{type(model).__name__}; pass for example BPNN(ACSF.auto(...))"
            )
        self.model = model

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
        """Floating-point type that it computes in."""
        return self.model.baseline.scale.dtype

    @property
    def device(self) -> torch.device:
        """Device that it computes on."""
        return self.model.baseline.scale.device

    def forward(
        self, graph: AtomicGraph, *, forces: bool = True, stress: bool = True
    ) -> Prediction:
        """Predict one structure or a batch.

        Args:
            graph: AtomicGraph or Batch of them; cast to the potential's dtype and device.
            forces: Whether forces are wanted.
            stress: Whether stress is wanted.

        Returns:
            energy [B] eV, atomic_energy [N] eV, forces [N, 3] eV/Å and stress [B, 3, 3] eV/Å^3
            (zero for a structure whose cell has no volume).

        Raises:
            ValueError: If an element is unknown or the graph does not reach the cutoff.
            TypeError: If it is no graph.
        """
        self._check(graph)
        if torch.is_inference_mode_enabled():  # forces are derivatives, which it would forbid
            with torch.inference_mode(False):
                return _detached(self(_recordable(graph), forces=forces, stress=stress))
        graph = self.cast(graph)
        if "feature_jacobian" in graph and (forces or stress):
            return self._from_features(graph, forces=forces, stress=stress)
        if not (forces or stress):
            with torch.set_grad_enabled(self.training and torch.is_grad_enabled()):
                atomic_energy = self._atomic_energy(graph)
                return {"energy": _total(atomic_energy, graph), "atomic_energy": atomic_energy}
        if not self.training and hasattr(self.model.fixed, "pieces"):
            return self._from_pieces(graph, forces=forces, stress=stress)
        with torch.enable_grad():
            pos, strain, moved = _differentiable(graph, stress)
            atomic_energy = self.model(moved)
            energy = _total(atomic_energy, graph)
            # Isolated atoms only: the energy is a constant, its gradient zero.
            gradients = torch.autograd.grad(
                energy.sum() + 0.0 * (pos.sum() + strain.sum()),
                [pos, strain] if stress else [pos],
                create_graph=self.training,
            )
        out: Prediction = {"energy": energy, "atomic_energy": atomic_energy}
        if forces:
            out["forces"] = -gradients[0]
        if stress:
            out["stress"] = _per_volume(gradients[1], graph)
        return out if self.training else _detached(out)

    def _atomic_energy(self, graph: AtomicGraph) -> Tensor:
        if "features" in graph:
            return self.model.atomic_energy(graph.features, species_ids(graph.z, self.species))
        return self.model(graph)

    def _from_features(self, graph: AtomicGraph, *, forces: bool, stress: bool) -> Prediction:
        """The same from precomputed features: dE/dx from the net, then the chain rule."""
        species_id = species_ids(graph.z, self.species)
        with torch.enable_grad():
            x = graph.features.detach().requires_grad_()
            atomic_energy = self.model.atomic_energy(x, species_id)
            energy = _total(atomic_energy, graph)
            (dx,) = torch.autograd.grad(energy.sum(), x, create_graph=self.training)
            neighbor, centre = graph.edge_index
            by_edge = edge_gradient(graph.feature_jacobian, dx)
            out: Prediction = {"energy": energy, "atomic_energy": atomic_energy}
            if forces:
                out["forces"] = scatter_sum(by_edge, centre, len(x)) - scatter_sum(
                    by_edge, neighbor, len(x)
                )
            if stress:
                each = edge_vectors(graph).unsqueeze(-1) * by_edge.unsqueeze(-2)
                structure = structure_index(graph).index_select(0, centre)
                virial = scatter_sum(each, structure, num_structures(graph))
                out["stress"] = _per_volume(0.5 * (virial + virial.mT), graph)
        return out if self.training else _detached(out)

    def _from_pieces(self, graph: AtomicGraph, *, forces: bool, stress: bool) -> Prediction:
        """The same, a few atoms at a time: memory does not grow with the number of triplets."""
        species_id = species_ids(graph.z, self.species)
        structure = structure_index(graph)
        atomic_energy = torch.zeros_like(graph.pos[:, 0], dtype=torch.float64)
        total = torch.zeros_like(graph.pos)
        virial = graph.pos.new_zeros(num_structures(graph), 3, 3)
        # mypy: torch declares unknown attributes of a module as tensors.
        for piece in self.model.fixed.pieces(graph):  # type: ignore[operator]
            centres = piece.rows.centres
            with torch.enable_grad():
                x = piece.x.requires_grad_()
                e = self.model.atomic_energy(x, take(species_id, centres), centres)
                (dx,) = torch.autograd.grad(e.sum(), x)
            atomic_energy[centres] = e.detach()
            each = piece.add_forces(graph, dx, total)
            virial.index_add_(0, take(structure, centres), each)
        out: Prediction = {"energy": _total(atomic_energy, graph), "atomic_energy": atomic_energy}
        if forces:
            out["forces"] = total
        if stress:
            out["stress"] = _per_volume(0.5 * (virial + virial.mT), graph)
        return out

    def extrapolation(self, graph: AtomicGraph) -> ExtrapolationReport:
        """Which atoms are outside the training set's range, in which function, and how far.

        Args:
            graph: AtomicGraph or Batch of them.

        Returns:
            A sequence, empty where all is inside; ``print`` it, or see ``text()``, ``worst()``,
            ``per_atom`` and ``per_structure``.

        Raises:
            ValueError: If the ranges are unknown (a potential that was not trained, or whose
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
        if self.model.baseline.scale.is_inference():
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

    def compile_sums(self) -> Potential:
        """Compile what a representation offers to compile, for long simulations.

        See :meth:`nnmd_graph.representations.ACSF.compile_sums`; others stay as they are.

        Returns:
            This potential.
        """
        if hasattr(self.model.fixed, "compile_sums"):
            # mypy: torch declares unknown attributes of a module as tensors.
            self.model.fixed.compile_sums()  # type: ignore[operator]
        return self

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


def _differentiable(graph: AtomicGraph, stress: bool) -> tuple[Tensor, Tensor, AtomicGraph]:
    """Positions and strain to differentiate by, and the copy of the graph that depends on them."""
    pos = graph.pos if graph.pos.requires_grad else graph.pos.detach().requires_grad_()
    strain = graph.cell.new_zeros(num_structures(graph), 3, 3, requires_grad=True)
    moved = copy.copy(graph)
    moved.pos = pos
    symmetric = 0.5 * (strain + strain.mT)
    return pos, strain, strained(moved, symmetric) if stress else moved


def _recordable(graph: AtomicGraph) -> AtomicGraph:
    """A graph whose tensors derivatives can be taken by, though inference mode made them."""
    if not any(isinstance(v, Tensor) and v.is_inference() for v in graph.to_dict().values()):
        return graph
    out = copy.copy(graph)
    for key, value in graph.to_dict().items():
        if isinstance(value, Tensor) and value.is_inference():
            out[key] = value.clone()
    return out


def _total(atomic_energy: Float[Tensor, " N"], graph: AtomicGraph) -> Float[Tensor, " B"]:
    return scatter_sum(atomic_energy, structure_index(graph), num_structures(graph))


def _per_volume(virial: Tensor, graph: AtomicGraph) -> Tensor:
    """Virial over volume, zero where there is none."""
    size = volume(graph.cell).view(-1, 1, 1)
    has_volume = size > 0.0
    return torch.where(has_volume, virial / torch.where(has_volume, size, 1.0), 0.0)


def _detached(out: Prediction) -> Prediction:
    # mypy: the values of a TypedDict are objects to it; all of these are tensors.
    return {name: value.detach() for name, value in out.items()}  # type: ignore[attr-defined, return-value]
