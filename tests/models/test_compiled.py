"""Compiled evaluation of graph convolutions: the numbers of the plain one, whatever the size."""

import copy
import pickle
import shutil
from typing import Any

import numpy as np
import pytest
import torch
import torch._inductor.config
from ase import Atoms
from ase.build import bulk, molecule

from nnmd_graph.calculators import NNMDCalculator
from nnmd_graph.graph import AtomicGraph
from nnmd_graph.models import BPNN, GCNN, Potential
from nnmd_graph.models.compiled import CompiledPotential, compile_traced, why_not_compilable
from nnmd_graph.representations import ACSF

pytestmark = pytest.mark.usefixtures("float64")
HAS_COMPILER = any(map(shutil.which, ("c++", "g++", "clang++")))
needs_compiler = pytest.mark.skipif(not HAS_COMPILER, reason="needs a C++ compiler")
CUTOFF = 3.0


def network(**keywords: Any) -> Potential:
    options = {"conv": "schnet", "num_layers": 1, "hidden_channels": 4, "num_rbf": 4} | keywords
    model = GCNN(("H", "O", "Cu"), CUTOFF, seed=1, **options).double()
    model.baseline.set({1: -13.0, 8: -2000.0, 29: -40000.0}, 0.7)
    return Potential(model).eval()


def crystal() -> Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=2)
    return atoms


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything but the compiling: padding, sizes, names."""
    monkeypatch.setattr(
        "nnmd_graph.models.compiled.compile_traced", lambda function, *a, **k: function
    )


def check(found: Any, expected: Any) -> None:
    assert found.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("conv", ["schnet", "painn", "tensornet", "cgcnn", "gat"])
@pytest.mark.parametrize("skin", [0.0, 0.7])
def test_padding_changes_nothing(plain: None, conv: str, skin: float) -> None:
    potential = network(conv=conv, num_layers=2)
    fast = CompiledPotential(potential)
    for atoms in (crystal(), molecule("H2O"), Atoms("O")):
        graph = AtomicGraph.from_atoms(atoms, CUTOFF + skin, dtype=torch.float64)
        stress = bool(atoms.pbc.all())
        check(fast(fast.prepare(graph), stress=stress), potential(graph, stress=stress))
    assert fast.num_compilations == 3


def check_dynamics(potential: Potential, shrink: float) -> CompiledPotential:
    """Atoms that move, then come closer, which makes more pairs."""
    fast, slow = NNMDCalculator(potential, compile=True), NNMDCalculator(potential)
    atoms, random = crystal(), np.random.default_rng(0)
    for step in range(4):
        if step == 2:
            atoms.set_cell(shrink * atoms.cell[:], scale_atoms=True)
        atoms.positions += random.normal(0.0, 0.02, atoms.positions.shape)
        results = []
        for calculator in (fast, slow):
            atoms.calc = calculator
            results.append([atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()])
        for found, expected in zip(*results, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)
    assert fast.num_rebuilds == slow.num_rebuilds > 1
    assert fast._compiled is not None
    return fast._compiled


@pytest.mark.slow
@needs_compiler
def test_compiled_molecular_dynamics() -> None:
    torch._dynamo.reset()
    compiled = check_dynamics(network(), shrink=0.99)
    assert compiled.num_compilations == 1
    assert compiled._function != compiled._plain
    assert pickle.loads(pickle.dumps(compiled))._function is None


def test_more_pairs_than_there_is_room_for(plain: None) -> None:
    assert check_dynamics(network(), shrink=0.9).num_compilations == 2


@pytest.mark.slow
def test_a_missing_compiler_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    missing = {"cpp.cxx": ("no-such-compiler",), "force_disable_caches": True}
    x = torch.ones(3)
    # torch's own patch: pytest's leaves the settings without a compiler
    with (
        torch._inductor.config.patch(missing),
        pytest.warns(RuntimeWarning, match="this stays uncompiled, no compiler works"),
    ):
        function = compile_traced(lambda x: [x.sin()], (x,), "this", torch.float64)
    assert torch.equal(function(x)[0], x.sin())


def test_without_a_compiler_the_plain_evaluation_stays(no_compiler: None) -> None:
    potential = network(hidden_channels=3)
    fast = CompiledPotential(potential)
    graph = AtomicGraph.from_atoms(molecule("H2O"), CUTOFF, dtype=torch.float64)
    with pytest.warns(RuntimeWarning, match="the evaluation stays uncompiled, no compiler works"):
        found = fast(fast.prepare(graph), stress=False)
    check(found, potential(graph, stress=False))


def test_other_results_than_plain_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda traced, **k: lambda x: [1.01 * x, 0.0 * x])
    x = torch.ones(3)
    with pytest.warns(RuntimeWarning, match="compiled results differ"):
        function = compile_traced(lambda x: [x, 1e-3 * x], (x,), "this", torch.float64)
    assert torch.equal(function(x)[0], x)
    monkeypatch.setattr(torch, "compile", lambda traced, **k: lambda x: [x, 0.0 * x])
    with pytest.warns(RuntimeWarning, match="compiled results differ"):
        compile_traced(lambda x: [x, 1e-3 * x], (x,), "this", torch.float64, floor=1e-4)


def test_what_is_not_compiled() -> None:
    symmetry_functions = Potential(BPNN(ACSF.auto(("Cu",), CUTOFF)))
    with pytest.raises(
        ValueError, match="`potential`: expected graph conv.*the representation ACSF"
    ):
        CompiledPotential(symmetry_functions)
    assert why_not_compilable(network(readout="element")) == "the readout ElementReadout"
    assert why_not_compilable(copy.deepcopy(network())) is None
