"""Writing potentials for n2p2: the same energies and forces come back, the rest is refused."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from torch_geometric.data import Batch

from nnmd_graph.formats.n2p2 import load_n2p2, save_n2p2
from nnmd_graph.graph import AtomicGraph
from nnmd_graph.models import BPNN, EnergyModel, Potential
from nnmd_graph.models.readout import ElementReadout
from nnmd_graph.nn.species import species_ids
from nnmd_graph.representations import ACSF, G1, G2, G3, G4, G5
from nnmd_graph.representations.range_scaling import KINDS, RangeScaler
from nnmd_graph.representations.symmetry.polynomials import (
    PolynomialNarrow,
    PolynomialRadial,
    PolynomialWide,
)

pytestmark = pytest.mark.usefixtures("float64")

SPECIES = ("H", "C", "O")
R_C = 4.0
ENERGIES = {1: -13.6, 6: -1036.2, 8: -2041.3}
UNITS = [("angstrom", "eV"), ("bohr", "hartree")]
FUNCTIONS = [
    G1(),
    G2(eta=0.5, r_s=1.0),
    G2(eta=0.1, cutoff=3.0),
    G4(eta=0.05, zeta=2.5, lam=-1.0, neighbors=("H", "O")),
    G5(eta=0.1, zeta=4.0, lam=1.0, r_s=0.5, neighbors=("O", "O"), centre="H"),
    G2(eta=0.3, weighted=True),
    G4(eta=0.1, zeta=1.0, lam=1.0, weighted=True, centre="O"),
    PolynomialRadial(r_l=-1.0, polynomial="p3a", centre="C"),
    PolynomialWide(r_l=0.5, theta_l=30.0, theta_h=150.0, polynomial="e", centre="O", weighted=True),
    PolynomialNarrow(r_l=0.1, theta_l=-90.0, theta_h=90.0, neighbors=("C", "H")),
]


@pytest.fixture(scope="module")
def batch() -> Batch:
    """Molecules of eight atoms: something for every function."""
    rng = np.random.default_rng(0)
    grid = np.array([[x, y, z] for x in range(2) for y in range(2) for z in range(2)])
    graphs = []
    for _ in range(5):
        positions = 1.3 * grid + rng.uniform(-0.3, 0.3, size=(8, 3))
        atoms = Atoms("H3C2O3", positions)
        graphs.append(AtomicGraph.from_atoms(atoms, R_C, dtype=torch.float64))
    return Batch.from_data_list(graphs)


@pytest.fixture
def acsf() -> ACSF:
    return ACSF(SPECIES, R_C, FUNCTIONS, cutoff_function="poly2", inner_cutoff=0.1)


@pytest.fixture
def fitted(batch: Batch) -> Callable[[EnergyModel], Potential]:
    """Scaling, limits and baseline as after training."""

    def fit(model: EnergyModel, scale: float = 0.7) -> Potential:
        x = model.representation(batch)
        model.fit_features(x, species_ids(batch.z, model.species))
        model.baseline.set(ENERGIES, scale=scale)
        return Potential(model).eval()

    return fit


def same(one: Potential, other: Potential, batch: Batch, rtol: float = 1e-12) -> None:
    before, after = one(batch, stress=False), other(batch, stress=False)
    torch.testing.assert_close(after["atomic_energy"], before["atomic_energy"], rtol=0, atol=3e-12)
    force = before["forces"].abs().max().item()
    torch.testing.assert_close(after["forces"], before["forces"], rtol=0, atol=rtol * force)


# ------------------------------------------------------------------------------- what comes back
@pytest.mark.slow
@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("activation", ["tanh", "softplus", "gaussian"])
def test_the_scaling_of_this_package_is_folded_in(
    acsf, fitted, batch, tmp_path: Path, units, activation
) -> None:
    potential = fitted(BPNN(acsf, (6, 5), activation, seed=1))
    save_n2p2(potential, tmp_path, length_unit=units[0], energy_unit=units[1])
    again = load_n2p2(tmp_path)
    assert again.model.scaler.kind == "center"
    same(potential, again, batch, rtol=1e-11)
    energies = again.model.baseline.isolated_energies
    torch.testing.assert_close(energies, potential.model.baseline.isolated_energies)
    assert "conv_energy" not in (tmp_path / "input.nn").read_text()


def test_energies_of_lone_atoms_can_be_read(acsf, fitted, tmp_path: Path) -> None:
    save_n2p2(fitted(BPNN(acsf, (4,))), tmp_path)
    text = (tmp_path / "input.nn").read_text()
    assert "atom_energy H -13.6\natom_energy C -1036.2\natom_energy O -2041.3\n" in text


@pytest.mark.slow
@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_scaling_of_n2p2_stays(acsf, fitted, batch, tmp_path: Path, units, kind: str) -> None:
    scaler = RangeScaler(3, acsf.num_features, kind, s_min=-0.5, s_max=1.5)
    readout = ElementReadout(3, acsf.num_features, (5, 4), seed=1)
    potential = fitted(EnergyModel(acsf, readout, scaler=scaler))
    save_n2p2(potential, tmp_path, length_unit=units[0], energy_unit=units[1])
    again = load_n2p2(tmp_path)
    assert again.model.scaler.kind == kind
    same(potential, again, batch)


def test_without_scaling(acsf, fitted, batch, tmp_path: Path) -> None:
    potential = fitted(EnergyModel(acsf, ElementReadout(3, acsf.num_features, (4,))))
    save_n2p2(potential, tmp_path)
    again = load_n2p2(tmp_path)
    assert again.model.scaler.kind == "none"
    same(potential, again, batch)


def test_an_output_that_is_not_linear(acsf, fitted, batch, tmp_path: Path) -> None:
    """The scale cannot be folded into it, and stands in the internal units."""
    potential = fitted(BPNN(acsf, (4,), ("tanh", "tanh")))
    save_n2p2(potential, tmp_path)
    assert re.search(r"^conv_energy 1\.428", (tmp_path / "input.nn").read_text(), re.M)
    same(potential, load_n2p2(tmp_path), batch, rtol=1e-11)


def test_layers_of_elements(acsf, fitted, batch, tmp_path: Path) -> None:
    activation = [("tanh", "cos", "identity")] * 2 + [("softplus", "cos", "identity")]
    readout = ElementReadout(3, acsf.num_features, [(5, 4), (6, 4), (5, 4)], activation)
    potential = fitted(EnergyModel(acsf, readout))
    save_n2p2(potential, tmp_path)
    text = (tmp_path / "input.nn").read_text()
    assert "element_nodes_short C 6 4\nelement_activation_short O p c l\n" in text
    same(potential, load_n2p2(tmp_path), batch)


def test_float32_is_written_to_its_last_bit(acsf, fitted, batch, tmp_path: Path) -> None:
    potential = fitted(BPNN(acsf, (4,))).float()
    save_n2p2(potential, tmp_path)
    same(potential.double(), load_n2p2(tmp_path), batch, rtol=1e-11)
    assert potential.dtype == torch.float64, "only by the line above"


def test_the_potential_is_left_alone(acsf, fitted, tmp_path: Path) -> None:
    potential = fitted(BPNN(acsf, (4,))).float().train()
    before = {name: value.clone() for name, value in potential.state_dict().items()}
    save_n2p2(potential, tmp_path)
    assert potential.dtype == torch.float32 and potential.training
    assert all(torch.equal(before[k], v) for k, v in potential.state_dict().items())


def test_a_feature_of_no_function_that_was_trained(fitted, batch, tmp_path: Path) -> None:
    """Elements with fewer functions have features that are always zero, and weights there."""
    acsf = ACSF(SPECIES, R_C, [G2(eta=0.5), G2(eta=2.0, centre="O"), G2(eta=0.1, centre="O")])
    scaler = RangeScaler(3, acsf.num_features, "scale", s_min=-1.0, s_max=1.0)
    readout = ElementReadout(3, acsf.num_features, (4,), seed=1)
    potential = fitted(EnergyModel(acsf, readout, scaler=scaler))
    save_n2p2(potential, tmp_path)
    same(potential, load_n2p2(tmp_path), batch)


def test_functions_that_did_not_vary(fitted, batch, tmp_path: Path) -> None:
    acsf = ACSF(SPECIES, R_C, [G2(eta=0.5), G2(eta=1.0, cutoff=0.2)])
    for kind in ("scale", "sigma"):
        scaler = RangeScaler(3, acsf.num_features, kind)
        readout = ElementReadout(3, acsf.num_features, (4,), seed=1)
        potential = fitted(EnergyModel(acsf, readout, scaler=scaler))
        save_n2p2(potential, tmp_path / kind)
        same(potential, load_n2p2(tmp_path / kind), batch)


# -------------------------------------------------------------------------------------- the files
def test_ranges_means_and_spreads_are_written(acsf, fitted, batch, tmp_path: Path) -> None:
    potential = fitted(BPNN(acsf, (4,)))
    save_n2p2(potential, tmp_path)
    again = load_n2p2(tmp_path)
    x, ids = again.model.representation(batch), species_ids(batch.z, (1, 6, 8))
    for s, z in enumerate((1, 6, 8)):
        rows = x[ids == s][:, : len(again.model.representation.functions_of(z))]
        n, scaler = rows.shape[1], again.model.scaler
        for buffer, values in (
            (scaler.minimum, rows.amin(0)),
            (scaler.maximum, rows.amax(0)),
            (scaler.mean, rows.mean(0)),
        ):
            torch.testing.assert_close(buffer[s, :n], values)
        torch.testing.assert_close(scaler.sigma[s, :n], rows.std(0, correction=0))
    assert len(again.extrapolation(batch)) == 0


def test_ranges_that_are_not_known(acsf, batch, tmp_path: Path) -> None:
    potential = Potential(BPNN(acsf, (4,))).eval()
    save_n2p2(potential, tmp_path)
    assert len(load_n2p2(tmp_path).extrapolation(batch)) == 0


def test_lammps_is_told_the_units_and_a_cutoff_that_reaches(acsf, fitted, tmp_path: Path) -> None:
    save_n2p2(fitted(BPNN(acsf, (4,))), tmp_path, length_unit="bohr", energy_unit="hartree")
    text = (tmp_path / "input.nn").read_text()
    (cutoff,) = re.findall(r"pair_style hdnnp (\S+) dir", text)
    assert R_C < float(cutoff) < R_C + 2e-4
    assert "cflength 1.88972" in text and "cfenergy 0.036749" in text
    assert "pair_coeff * * H C O" in text


def test_files_are_replaced_and_nothing_is_left_beside_them(acsf, fitted, tmp_path: Path) -> None:
    potential = fitted(BPNN(acsf, (4,)))
    for _ in range(2):
        save_n2p2(potential, tmp_path / "new" / "folder")
    names = [f"weights.{z:03d}.data" for z in (1, 6, 8)]
    there = sorted(path.name for path in (tmp_path / "new" / "folder").iterdir())
    assert there == sorted(["input.nn", "scaling.data", *names])


# ------------------------------------------------------------------------ what n2p2 does not know
@pytest.mark.parametrize(
    ("function", "name"),
    [
        (G3(kappa=1.0), "n2p2 has no G3"),
        (G5(eta=0.1, zeta=1.0, lam=1.0, weighted=True), "n2p2 has no weighted G5"),
        (G1(weighted=True, centre="O"), None),
        (PolynomialRadial(r_l=0.0, polynomial="ea"), "n2p2 has no polynomial 'ea'"),
    ],
)
def test_functions(fitted, tmp_path: Path, function, name: str | None) -> None:
    potential = fitted(BPNN(ACSF(SPECIES, R_C, [G2(eta=1.0), function]), (4,)))
    if name is None:
        save_n2p2(potential, tmp_path)
        return
    with pytest.raises(ValueError, match=rf"`potential`: {name}.*leave the function out"):
        save_n2p2(potential, tmp_path)
    assert not list(tmp_path.iterdir())


def test_one_function_in_two_forms(fitted, tmp_path: Path) -> None:
    potential = fitted(BPNN(ACSF(["H", "C", "O"], R_C, [G1(), G2(eta=0.0)]), (4,)))
    with pytest.raises(
        ValueError, match="functions that differ in n2p2's form, got 'symfunction_s"
    ):
        save_n2p2(potential, tmp_path)


@pytest.mark.parametrize("activation", ["silu", "gelu"])
def test_activations(acsf, fitted, tmp_path: Path, activation: str) -> None:
    with pytest.raises(ValueError, match=rf"activations that n2p2 knows \(.*got '{activation}'"):
        save_n2p2(fitted(BPNN(acsf, (4,), activation)), tmp_path)


@pytest.mark.parametrize(
    ("hidden", "activation", "message"),
    [
        ((), "tanh", "expected nets with hidden layers, got one without"),
        ([(4,), (4,), (5,)], "tanh", r"first hidden layers only, got \(4,\) and \(5,\) \(O\)"),
        ([(4,), (4, 4), (4,)], "tanh", r"first hidden layers only, got \(4,\) and \(4, 4\) \(C\)"),
        ((4,), [("tanh", "identity")] * 2 + [("tanh", "tanh")], "one activation of the output"),
        ((4,), [(name, "identity") for name in ("tanh", "cos", "relu")], "net of one element at m"),
    ],
)
def test_nets(acsf, fitted, tmp_path: Path, hidden, activation, message: str) -> None:
    readout = ElementReadout(3, acsf.num_features, hidden, activation)
    with pytest.raises(ValueError, match=f"`potential`: .*{message}"):
        save_n2p2(fitted(EnergyModel(acsf, readout)), tmp_path)


def test_other_modules(acsf, fitted, tmp_path: Path) -> None:
    class Own(ACSF):
        pass

    class OwnReadout(ElementReadout):
        pass

    own = Own(SPECIES, R_C, [G2(eta=1.0)])
    with pytest.raises(ValueError, match=r"a representation that n2p2 knows \(ACSF\), got Own"):
        save_n2p2(fitted(BPNN(own, (4,))), tmp_path)
    readout = OwnReadout(3, acsf.num_features, (4,))
    with pytest.raises(ValueError, match="a readout that n2p2 knows .*got OwnReadout"):
        save_n2p2(fitted(EnergyModel(acsf, readout)), tmp_path)
    with pytest.raises(TypeError, match="`potential`: expected a Potential, got ACSF"):
        save_n2p2(acsf, tmp_path)
    with pytest.raises(ValueError, match="`length_unit`: expected one of"):
        save_n2p2(fitted(BPNN(acsf, (4,))), tmp_path, length_unit="mile")


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ([G4(eta=0.1, zeta=1.0, lam=1.0, r_s=-0.5)], "takes a negative shift for 0"),
        ([G5(eta=0.1, zeta=1.0, lam=0.0)], "gives NaN as forces for lambda = 0"),
        (
            [
                PolynomialNarrow(r_l=0.0, theta_l=0.0, theta_h=180.0, polynomial=name)
                for name in ("p1", "p2")
            ],
            "mixes up polynomials of the same range",
        ),
    ],
)
def test_a_warning_says_where_n2p2_errs(
    fitted, batch, tmp_path: Path, functions, message: str
) -> None:
    potential = fitted(BPNN(ACSF(SPECIES, R_C, [G2(eta=1.0), *functions]), (4,)))
    with pytest.warns(UserWarning, match=f"`potential`: n2p2 {message}: 'symfunction_short"):
        save_n2p2(potential, tmp_path)
    same(potential, load_n2p2(tmp_path), batch, rtol=1e-11)
