"""Write bpnn_format_1.pt and what it predicts: a file as users have it, for later versions to read.

Run once, `python tests/models/data/make_bpnn_format_1.py`, and keep the files: a new format version
gets a script and files of its own.
"""

import json
from pathlib import Path

import ase
import torch

from nnmd_graph import ACSF, BPNN, G1, G2, G3, G4, G5, AtomicGraph, Potential

HERE = Path(__file__).parent


def main() -> None:
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    functions = [
        G1(neighbors="O"),
        G2(eta=0.5, r_s=1.0),
        G3(kappa=2.0, cutoff=3.0),
        G4(eta=0.1, zeta=2.5, lam=-1.0, neighbors=("H", "O")),
        G5(eta=0.1, zeta=4.0, lam=1.0, r_s=0.5, neighbors=("O", "O")),
    ]
    acsf = ACSF(("H", "O"), 3.5, functions, cutoff_function="tanh3")
    model = BPNN(acsf, hidden_channels=(4, 3), activation="silu", seed=1)
    model.fit_features(torch.rand(40, acsf.num_features), torch.arange(40) % 2)
    model.baseline.set({1: -13.6, 8: -432.1}, scale=0.8)
    potential = Potential(model).eval()
    potential.save(HERE / "bpnn_format_1.pt")

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
    (HERE / "bpnn_format_1.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
