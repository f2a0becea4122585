"""Compiled sums are the plain ones to rounding; where no compiler works they stay plain."""

import shutil

import ase.build
import pytest
import torch

from nnmd_graph.graph import AtomicGraph
from nnmd_graph.models import BPNN, Potential
from nnmd_graph.representations import ACSF, G2, G4, G5
from nnmd_graph.representations.symmetry.kernels import compiled

pytestmark = pytest.mark.usefixtures("by_tensors")

FUNCTIONS = [
    G2(eta=0.5, r_s=1.0),
    G4(eta=0.05, zeta=2.0, lam=-1.0, cutoff=4.0, r_s=0.5),
    *(G4(eta=eta, zeta=zeta, lam=1.0) for eta in (0.02, 0.1) for zeta in (1.0, 4.0)),
    G5(eta=0.05, zeta=2.5, lam=-1.0),
]


@pytest.fixture
def fresh() -> None:
    compiled.compiled_narrow.cache_clear()
    compiled.compiled_gaussian.cache_clear()
    compiled.compiled_wide.cache_clear()


def graph_of(dtype: torch.dtype) -> AtomicGraph:
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.4, cubic=True)
    atoms.rattle(0.1, seed=1)
    return AtomicGraph.from_atoms(atoms, 4.5, dtype=dtype)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_same_energies_and_forces(fresh, dtype: torch.dtype) -> None:
    acsf = ACSF(("Na", "Cl"), 4.5, FUNCTIONS[:4] + FUNCTIONS[-1:])
    potential = Potential(BPNN(acsf).to(dtype)).eval()
    plain = potential(graph_of(dtype))
    potential.compile_sums()
    fast = potential(graph_of(dtype))
    limit = 1e-12 if dtype == torch.float64 else 1e-4
    for name in ("energy", "forces", "stress"):
        torch.testing.assert_close(fast[name], plain[name], rtol=limit, atol=limit)


def test_without_a_compiler_it_says_so_and_stays_plain(fresh, no_compiler) -> None:
    acsf = ACSF(("Na", "Cl"), 4.5, FUNCTIONS[:3])
    graph = graph_of(torch.float64)
    plain = acsf(graph)
    acsf.compile_sums()
    with torch.no_grad(), pytest.warns(RuntimeWarning, match="no C\\+\\+ compiler found"):
        torch.testing.assert_close(acsf(graph), plain)


def test_wrong_results_are_noticed(fresh, monkeypatch) -> None:
    def wrong(function, **_):
        return lambda *arguments: tuple(1.01 * part for part in function(*arguments))

    monkeypatch.setattr(torch, "compile", wrong)
    acsf = ACSF(("Na", "Cl"), 4.5, FUNCTIONS[:3]).compile_sums()
    with torch.no_grad(), pytest.warns(RuntimeWarning, match="compiled ones differ"):
        acsf(graph_of(torch.float64))
