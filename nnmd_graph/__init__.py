"""Behler-Parrinello and graph neural network potentials on PyTorch Geometric.

import nnmd_graph as ng

dataset = ng.AtomsDataset.read("li.extxyz", cutoff=5.0)
train, val, test = dataset.split(train=0.8, val=0.1, test=0.1, seed=0)
potential = ng.Potential(ng.BPNN(ng.ACSF.auto(species=dataset.species, cutoff=5.0)))
ng.Trainer(max_epochs=200, seed=0).fit(potential, train, val)
print(ng.evaluate(potential, test))
"""

from typing import TYPE_CHECKING

from nnmd_graph.lazy import lazy_names

if TYPE_CHECKING:
    from nnmd_graph.calculators.ase import NNMDCalculator
    from nnmd_graph.comparison.protocol import compare
    from nnmd_graph.data.dataset import AtomsDataset
    from nnmd_graph.data.reading.runner import read_runner, write_runner
    from nnmd_graph.evaluation.evaluate import evaluate
    from nnmd_graph.formats.n2p2.read import load_n2p2
    from nnmd_graph.formats.n2p2.write import save_n2p2
    from nnmd_graph.graph.atomic_graph import AtomicGraph
    from nnmd_graph.graph.neighbors import radius_graph
    from nnmd_graph.models.committee import Committee
    from nnmd_graph.models.energy_model import BPNN, EnergyModel
    from nnmd_graph.models.gcnn import GCNN
    from nnmd_graph.models.heads import Charges, Head
    from nnmd_graph.models.potential import Potential
    from nnmd_graph.models.readout import Readout
    from nnmd_graph.models.sum_model import SumModel
    from nnmd_graph.models.term import EnergyTerm
    from nnmd_graph.models.terms.repulsion import ZBL
    from nnmd_graph.quantities import Quantity, register_quantity
    from nnmd_graph.representations.representation import FixedRepresentation, Representation
    from nnmd_graph.representations.stacked import stack
    from nnmd_graph.representations.symmetry.acsf import ACSF
    from nnmd_graph.representations.symmetry.embedded import EmbeddedACSF
    from nnmd_graph.representations.symmetry.functions import (
        G1,
        G2,
        G3,
        G4,
        G5,
        SymmetryFunction,
    )
    from nnmd_graph.representations.symmetry.polynomials import (
        PolynomialNarrow,
        PolynomialRadial,
        PolynomialWide,
    )
    from nnmd_graph.representations.symmetry.selection import select_functions
    from nnmd_graph.training.callbacks import Callback
    from nnmd_graph.training.loss import EnergyForcesLoss, Loss, LossTerm
    from nnmd_graph.training.steps.step import Step
    from nnmd_graph.training.trainer import Trainer
    from nnmd_graph.versions import __version__ as __version__
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "ACSF",
    "BPNN",
    "G1",
    "G2",
    "G3",
    "G4",
    "G5",
    "GCNN",
    "ZBL",
    "AtomicGraph",
    "AtomsDataset",
    "Callback",
    "Charges",
    "Committee",
    "EmbeddedACSF",
    "EnergyForcesLoss",
    "EnergyModel",
    "EnergyTerm",
    "FixedRepresentation",
    "Head",
    "Loss",
    "LossTerm",
    "NNMDCalculator",
    "PolynomialNarrow",
    "PolynomialRadial",
    "PolynomialWide",
    "Potential",
    "Quantity",
    "Readout",
    "Representation",
    "Step",
    "SumModel",
    "SymmetryFunction",
    "Trainer",
    "compare",
    "evaluate",
    "load_n2p2",
    "radius_graph",
    "read_runner",
    "register_quantity",
    "save_n2p2",
    "select_functions",
    "stack",
    "write_runner",
]
