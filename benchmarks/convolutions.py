"""Time per atom of graph convolutions on a box of water, beside SchNetPack's of equal size.

    python -m benchmarks.convolutions --reference path/to/n2p2/cases --schnetpack

measures energy + forces with the neighbour list, from `ase.Atoms` to numbers, for 192 atoms of
water, cutoff 5 Å, 20 radial functions, on one thread: `schnet` with six and `painn` with three
convolutions of 128 channels. All take turns, one evaluation each; medians and ratios are printed
and written into --output. Without --reference a box of the same density is made.

SchNetPack takes part where it can be imported (`pip install schnetpack`; 2.1 works with torch
2.13), with random weights, its own data structures and its fastest neighbour list. It wants older
versions of some packages: install it into an environment of its own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import typing
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.timing import HERE, clock, machine, markdown, measured_on, number

if TYPE_CHECKING:
    from ase import Atoms

    from nnmd_graph import Potential

CUTOFF = 5.0
NUM_RBF = 20
LAYERS = {"schnet": 6, "painn": 3}
WARM_UP = 3
Evaluate = Callable[[], Any]


def main() -> None:
    """Measure, print and write."""
    arguments = _arguments()
    result = measure(arguments)
    text = report(result)
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "convolutions.json").write_text(json.dumps(result, indent=1) + "\n")
    (arguments.output / "convolutions.md").write_text(text + "\n")
    print(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--reference", type=Path, help="folder with the n2p2 cases")
    parser.add_argument("--schnetpack", action="store_true", help="beside SchNetPack's")
    parser.add_argument("--compile", action="store_true", help="beside ours, compiled")
    parser.add_argument("--channels", type=int, default=128, help="width of the features")
    parser.add_argument("--rounds", type=int, default=30, help="evaluations of each, in turns")
    parser.add_argument("--output", type=Path, default=HERE / "runs" / "convolutions")
    return parser.parse_args()


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Median µs per atom of each model in each code."""
    import torch

    torch.set_num_threads(1)
    atoms = water_box(arguments.reference)
    makers: dict[str, Callable[[Atoms, str, int], Evaluate]] = {"nnmd_graph": ours}
    if arguments.compile:
        makers["nnmd_graph, compiled"] = ours_compiled
    if arguments.schnetpack and find_spec("schnetpack") is None:
        print("schnetpack: not installed, left out")
    elif arguments.schnetpack:
        makers["schnetpack"] = schnetpack
    names = [(conv, code) for conv in LAYERS for code in makers]
    evaluations = [makers[code](atoms, conv, arguments.channels) for conv, code in names]
    times = in_single_turns(evaluations, arguments.rounds)
    rows = [
        {"conv": conv, "code": code, "layers": LAYERS[conv]}
        | {"us_per_atom": 1e6 * statistics.median(mine) / len(atoms)}
        | {"smallest": 1e6 * min(mine) / len(atoms)}
        for (conv, code), mine in zip(names, times, strict=True)
    ]
    where = machine()
    if "schnetpack" in makers:
        where["schnetpack"] = version("schnetpack")
    return {"machine": where, "atoms": len(atoms), "channels": arguments.channels, "rows": rows}


def in_single_turns(evaluations: Sequence[Evaluate], rounds: int) -> list[list[float]]:
    """Times in s of each evaluation; everyone has one turn in each round."""
    now = clock(threads=1)
    for evaluate in evaluations:
        for _ in range(WARM_UP):
            evaluate()
    times: list[list[float]] = [[] for _ in evaluations]
    for _ in range(rounds):
        for evaluate, mine in zip(evaluations, times, strict=True):
            start = now()
            evaluate()
            mine.append(now() - start)
    return times


def ours(atoms: Atoms, conv: str, channels: int) -> Evaluate:
    """From `ase.Atoms` to energy and forces with this package."""
    import torch

    from nnmd_graph import AtomicGraph

    potential = untrained(atoms, conv, channels)

    def evaluate() -> Any:
        graph = AtomicGraph.from_atoms(atoms, CUTOFF, dtype=torch.float32)
        return potential(graph, stress=False)["forces"]

    return evaluate


def ours_compiled(atoms: Atoms, conv: str, channels: int) -> Evaluate:
    """The same, compiled as for `NNMDCalculator(compile=True)`."""
    import torch

    from nnmd_graph import AtomicGraph
    from nnmd_graph.models.compiled import CompiledPotential

    potential = CompiledPotential(untrained(atoms, conv, channels))

    def evaluate() -> Any:
        graph = AtomicGraph.from_atoms(atoms, CUTOFF, dtype=torch.float32)
        return potential(potential.prepare(graph), stress=False)["forces"]

    return evaluate


def untrained(atoms: Atoms, conv: str, channels: int) -> Potential:
    """Random weights."""
    from nnmd_graph import GCNN, Potential

    model = GCNN(
        set(atoms.numbers), CUTOFF, conv, LAYERS[conv], channels, NUM_RBF, radial="gaussian"
    )
    return Potential(model).float().eval().requires_grad_(False)


def schnetpack(atoms: Atoms, conv: str, channels: int) -> Evaluate:
    """The same with SchNetPack: its model of that name, its default readout."""
    import torch
    import torch.utils.data.dataloader as dataloader

    if not hasattr(dataloader, "T_co"):  # SchNetPack 2.1 imports it; torch 2.13 has it no more
        vars(dataloader)["T_co"] = typing.TypeVar("T_co", covariant=True)
    spk, interfaces, transform = map(
        import_module, ("schnetpack", "schnetpack.interfaces", "schnetpack.transform")
    )

    kinds = {"schnet": spk.representation.SchNet, "painn": spk.representation.PaiNN}
    representation = kinds[conv](
        n_atom_basis=channels,
        n_interactions=LAYERS[conv],
        radial_basis=spk.nn.GaussianRBF(n_rbf=NUM_RBF, cutoff=CUTOFF),
        cutoff_fn=spk.nn.CosineCutoff(CUTOFF),
    )
    model = spk.model.NeuralNetworkPotential(
        representation,
        input_modules=[spk.atomistic.PairwiseDistances()],
        output_modules=[
            spk.atomistic.Atomwise(n_in=channels, output_key="energy"),
            spk.atomistic.Forces(energy_key="energy", force_key="forces"),
        ],
    )
    model = model.float().eval().requires_grad_(False)
    neighbors = transform.MatScipyNeighborList(cutoff=CUTOFF)
    convert = interfaces.AtomsConverter(neighbor_list=neighbors, dtype=torch.float32, device="cpu")

    def evaluate() -> Any:
        return model(convert(atoms))["forces"]

    return evaluate


def water_box(reference: Path | None) -> Atoms:
    """192 atoms of liquid water: the n2p2 case, or molecules on a grid, turned at random."""
    if reference is not None:
        from nnmd_graph.data.reading.runner import read_runner

        path = reference / "H2O_RPBE-D3" / "input.data"
        atoms = read_runner(path, length_unit="bohr", energy_unit="hartree")[0]
        atoms.calc = None
        return atoms
    import ase
    import numpy as np
    from ase.build import molecule

    rng = np.random.default_rng(0)
    box = ase.Atoms(cell=[4 * 3.104] * 3, pbc=True)  # 0.0334 molecules per Å^3, 1 g/cm^3
    for place in np.ndindex(4, 4, 4):
        water = molecule("H2O")
        water.euler_rotate(*rng.uniform(0.0, 360.0, 3), center="COM")
        water.translate(3.104 * (np.array(place) + 0.5) - water.get_center_of_mass())
        box += water
    return box


def report(result: dict[str, Any]) -> str:
    """Table with the ratio to SchNetPack, and the machine."""
    theirs = {r["conv"]: r["us_per_atom"] for r in result["rows"] if r["code"] == "schnetpack"}
    rows = []
    for row in result["rows"]:
        time = row["us_per_atom"]
        there = row["code"] != "schnetpack" and row["conv"] in theirs
        ratio = f"{time / theirs[row['conv']]:.2f}" if there else "-"
        name = f"{row['conv']}, {row['layers']} x {result['channels']}"
        rows.append([name, row["code"], number(time), ratio])
    head = ["model", "code", "energy + forces with neighbour list, µs/atom", "ours / SchNetPack's"]
    about = f"{result['atoms']} atoms of water, {CUTOFF:g} Å, float32, one thread. "
    return f"{markdown(head, rows)}\n\n{about}{measured_on(result['machine'])}"


if __name__ == "__main__":
    main()
