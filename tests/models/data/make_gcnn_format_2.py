"""Write gcnn_format_2.pt and what it predicts, see make_bpnn_format_2.py."""

import json
from pathlib import Path

import ase
import torch

from nnmd_graph import GCNN, AtomicGraph, Potential

HERE = Path(__file__).parent


def main() -> None:
    torch.set_default_dtype(torch.float64)
    model = GCNN(("H", "O"), 3.5, "painn", num_layers=2, hidden_channels=8, num_rbf=4)
    model.baseline.set({1: -13.6, 8: -432.1}, scale=0.8)
    potential = Potential(model).eval()
    potential.save(HERE / "gcnn_format_2.pt")

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
    (HERE / "gcnn_format_2.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
