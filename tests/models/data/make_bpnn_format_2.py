"""Write bpnn_format_2.pt and what it predicts: a file as users have it, for later versions to read.

Run once, `python tests/models/data/make_bpnn_format_2.py`, and keep the files: a new format version
gets a script and files of its own.
"""

import json
from pathlib import Path

import ase
import torch

from nnmd_graph import (
    ACSF,
    G1,
    G2,
    G3,
    G4,
    G5,
    AtomicGraph,
    EnergyModel,
    PolynomialNarrow,
    PolynomialRadial,
    PolynomialWide,
    Potential,
)
from nnmd_graph.models.readout import ElementReadout
from nnmd_graph.representations.range_scaling import RangeScaler

HERE = Path(__file__).parent


def main() -> None:
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    functions = [
        G1(neighbors="O", centre="H"),
        G2(eta=0.5, r_s=1.0),
        G3(kappa=2.0, cutoff=3.0),
        G2(eta=0.3, weighted=True),
        G4(eta=0.1, zeta=2.5, lam=-1.0, neighbors=("H", "O"), centre="O"),
        G5(eta=0.1, zeta=4.0, lam=1.0, r_s=0.5, neighbors=("O", "O")),
        PolynomialRadial(r_l=-0.5, polynomial="p2a"),
        PolynomialNarrow(r_l=0.0, theta_l=20.0, theta_h=160.0, polynomial="p3", weighted=True),
        PolynomialWide(r_l=0.0, theta_l=-90.0, theta_h=90.0, polynomial="e", neighbors=("H", "O")),
    ]
    acsf = ACSF(("H", "O"), 3.5, functions, cutoff_function="poly2", inner_cutoff=0.2)
    readout = ElementReadout(
        2, acsf.num_features, [(4, 3), (5,)], [("silu", "cos", "identity"), ("tanh", "identity")]
    )
    scaler = RangeScaler(2, acsf.num_features, "scale_center", s_min=-1.0)
    model = EnergyModel(acsf, readout, scaler=scaler)
    model.fit_features(torch.rand(40, acsf.num_features), torch.arange(40) % 2)
    model.baseline.set({1: -13.6, 8: -432.1}, scale=0.8)
    potential = Potential(model).eval()
    potential.save(HERE / "bpnn_format_2.pt")

    cell = [[3.0, 0.2, 0.0], [0.0, 3.1, 0.4], [-0.3, 0.0, 2.9]]
    positions = [[0, 0, 0], [0.76, 0.59, 0.1], [-0.74, 0.61, 0.2]]
    atoms = ase.Atoms("OHH", positions, cell=cell, pbc=True)
    out = potential(AtomicGraph.from_atoms(atoms, potential.cutoff))
    expected = {
        "symbols": "OHH",
        "positions": positions,
        "cell": cell,
        "pbc": True,
        "energy": out["energy"].item(),
        "forces": out["forces"].tolist(),
        "stress": out["stress"][0].tolist(),
    }
    (HERE / "bpnn_format_2.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
