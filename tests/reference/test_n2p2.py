"""Symmetry functions, energies and forces against n2p2 (A. Singraber et al., C++).

n2p2 gives each central element functions of its own. Here one set holds the functions of all
elements, and each element's net has weights for its own ones only.
"""

import ase
import numpy as np
import pytest
import torch

from nnmd_graph.graph import AtomicGraph
from nnmd_graph.models import EnergyModel, Potential
from nnmd_graph.models.readout import ElementReadout
from nnmd_graph.representations import ACSF

pytestmark = pytest.mark.usefixtures("float64")

# Type 2, 3 and 9 with shifts and a non-integer zeta: a trimer, small and skewed cells that are
# smaller than the cutoff, an atom without neighbours, a straight line, atoms outside the cell;
# liquid water; copper
CASES = [
    ("syn_cutoff_ct1", (1, 2, 3, 4, 5, 6)),
    ("syn_cutoff_ct2", (1, 2, 3, 4, 5, 6)),
    ("H2O_RPBE-D3", (2,)),
    ("Cu_wide_G5", (1,)),
    ("Cu_narrow_G4", (1,)),
]
cases = pytest.mark.parametrize(("name", "numbers"), CASES, ids=[name for name, _ in CASES])


def acsf_of(reference) -> ACSF:
    functions = [f for z in reference.elements for f in reference.functions()[z]]
    distinct = list(dict.fromkeys(functions))
    cutoff = max(f.cutoff for f in distinct)
    return ACSF(reference.elements, cutoff, distinct, cutoff_function=reference.cutoff_function)


def graph_of(atoms: ase.Atoms, cutoff: float) -> AtomicGraph:
    return AtomicGraph.from_atoms(atoms, cutoff)


@cases
def test_symmetry_functions(n2p2, name: str, numbers) -> None:
    reference = n2p2(name)
    acsf, of_element = acsf_of(reference), reference.functions()
    columns = {z: [acsf.functions.index(f) for f in fs] for z, fs in of_element.items()}
    structures, expected = reference.structures(), reference.features()
    for n in numbers:
        atoms = structures[n]
        x = acsf(graph_of(atoms, acsf.cutoff)).numpy()
        assert len(expected[n]) == len(atoms)
        for i, z in enumerate(atoms.numbers):
            ours = x[i, columns[int(z)]]
            np.testing.assert_allclose(ours, expected[n][i], rtol=1e-10, atol=1e-10)


@cases
def test_energies_and_forces(n2p2, name: str, numbers) -> None:
    reference = n2p2(name)
    potential = potential_of(reference)
    energies, forces = reference.energies(), reference.forces()
    structures = reference.structures()
    for n in numbers:
        out = potential(graph_of(structures[n], potential.cutoff), stress=False)
        assert out["energy"].item() == pytest.approx(energies[n], abs=1e-9 * len(structures[n]))
        scale = max(1.0, np.abs(forces[n]).max())
        np.testing.assert_allclose(out["forces"].numpy(), forces[n], rtol=0, atol=1e-8 * scale)


def potential_of(reference) -> Potential:
    """n2p2's network, with the scaling of its inputs moved into the first layer."""
    acsf, functions = acsf_of(reference), reference.functions()
    hidden = [int(word) for word in reference.setting("global_nodes_short").split()]
    readout = ElementReadout(len(acsf.species), acsf.num_features, hidden, "tanh")
    scaling = reference.rows("scaling.data")
    scaled = reference.setting("scale_symmetry_functions") is not None
    for s, z in enumerate(acsf.species):
        columns = [acsf.functions.index(f) for f in functions[z]]
        rows = scaling[scaling[:, 0] == s + 1]
        assert len(rows) == len(columns)
        width = rows[:, 3] - rows[:, 2] if scaled else np.ones(len(rows))
        mean = rows[:, 4] if scaled else np.zeros(len(rows))
        fill(readout.net.nets[s], reference.weights(z), columns, mean, width)
    model = EnergyModel(acsf, readout)
    unit = reference.energy / float(reference.setting("conv_energy", "1"))
    mean_energy = reference.energy * float(reference.setting("mean_energy", "0"))
    with torch.no_grad():
        each = torch.arange(len(acsf.species))
        isolated = readout(torch.zeros(len(each), acsf.num_features), each)
    lone = {z: unit * e + mean_energy for z, e in zip(acsf.species, isolated.tolist(), strict=True)}
    model.baseline.set(lone, scale=unit)
    return Potential(model).eval()


@torch.no_grad()
def fill(net, weights: np.ndarray, columns: list[int], mean, width) -> None:
    """Weights of one net from n2p2's list: by layer, weights by input and output, then biases."""
    linears = [m for m in net.layers if isinstance(m, torch.nn.Linear)]
    start = 0
    for n, linear in enumerate(linears):
        n_in = len(columns) if n == 0 else linear.in_features
        n_out = linear.out_features
        w = weights[start : start + n_in * n_out].reshape(n_in, n_out)
        b = weights[start + n_in * n_out : start + (n_in + 1) * n_out]
        start += (n_in + 1) * n_out
        if n == 0:
            w, b = w / width[:, None], b - (mean / width) @ w
            linear.weight.zero_()
            linear.weight[:, columns] = torch.from_numpy(w.T.copy())
        else:
            linear.weight.copy_(torch.from_numpy(w.T.copy()))
        linear.bias.copy_(torch.from_numpy(b))
    assert start == len(weights)
