"""Break the physics on purpose, one place at a time: the related tests must fail.

    python tests/mutations.py --only 3,5

copies the tracked files to a temporary folder, makes sure that the related tests pass there, then
applies each mutation of the table, runs its tests, and takes it back. Who shortens the tests runs
it; who moves a line of the table writes the line anew here. Twenty minutes on one core for all.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Mutation:
    """A mistake: in each file, text that stands there once, and what takes its place."""

    what: str
    edits: tuple[tuple[str, str, str], ...]
    tests: str


PHYSICS = "tests/physics/test_models.py"
M, R, T = "nnmd_graph/models/", "nnmd_graph/representations/", "nnmd_graph/training/"
CORE = "nnmd_graph/native/core/"
MUTATIONS = {
    1: Mutation(
        "sign of the stress on the autograd path",
        (
            (
                M + "evaluators.py",
                "per_volume(gradients[1], graph)",
                "per_volume(-gradients[1], graph)",
            ),
        ),
        f"{PHYSICS}::TestSchNet",
    ),
    2: Mutation(
        "factor 2 of G4 and G5",
        (
            (R + "symmetry/kernels/factors.py", "values = [2.0 if power", "values = [1.0 if power"),
            (
                R + "symmetry/kernels/factors.py",
                "slopes = [power[0] *",
                "slopes = [0.5 * power[0] *",
            ),
            (
                R + "symmetry/kernels/factors.py",
                "return [2.0 ** (1.0 - zeta)",
                "return [2.0 ** (-zeta)",
            ),
            (
                R + "symmetry/kernels/moments.py",
                "np.stack([2.0 ** (1.0 - zeta)",
                "np.stack([2.0 ** (-zeta)",
            ),
        ),
        "tests/representations/symmetry/test_acsf_values.py",
    ),
    3: Mutation(
        "no self-images in the neighbour list",
        (("nnmd_graph/graph/neighbors.py", "near = d < r_c", "near = (d < r_c) & (i != j)"),),
        "tests/graph/test_neighbors.py",
    ),
    4: Mutation(
        "sign of E0",
        ((M + "baseline.py", "return take(self.iso", "return -take(self.iso"),),
        "tests/models/test_baseline.py",
    ),
    5: Mutation(
        "structure weights ignored in the loss",
        ((T + "loss.py", 'weight = graph.weight if "weight" in graph else None', "weight = None"),),
        "tests/training/test_weights.py",
    ),
    6: Mutation(
        "training loader drops the last incomplete batch",
        (
            (
                T + "run.py",
                "self.batch_size, shuffle=",
                "self.batch_size, drop_last=True, shuffle=",
            ),
        ),
        "tests/training/test_epochs.py tests/training/test_trainer.py",
    ),
    7: Mutation(
        "last evaluation batch dropped",
        (
            (
                "nnmd_graph/evaluation/evaluate.py",
                "batches = list(BatchSampler(dataset, batch_size))",
                "batches = (whole := list(BatchSampler(dataset, batch_size)))[:-1] or whole",
            ),
        ),
        "tests/evaluation/test_evaluate.py",
    ),
    8: Mutation(
        "averaged weights neither validated nor kept",
        (
            (
                T + "run.py",
                "= self.potential if average is None else average.module",
                "= self.potential",
            ),
        ),
        "tests/training/test_trainer.py",
    ),
    9: Mutation(
        "gradient clipping off",
        ((T + "steps/step.py", "if self.gradient_clip:", "if False:"),),
        "tests/training/test_trainer.py",
    ),
    10: Mutation(
        "chunked evaluation without the force on the neighbour",
        (
            (
                R + "chunks.py",
                "forces.index_add_(0, neighbor, by_edge.reshape(-1, 3), alpha=-1)",
                "pass",
            ),
        ),
        f"{PHYSICS}::TestBPNNByTensors",
    ),
    11: Mutation(
        "list kept for the whole skin instead of half of it",
        (("nnmd_graph/calculators/ase.py", "(0.5 * self.skin) ** 2", "self.skin**2"),),
        "tests/calculators/test_ase.py",
    ),
    12: Mutation(
        "PaiNN: the reversed edge keeps its unit vector",
        (("nnmd_graph/nn/conv/painn.py", "(i, j, -unit)", "(i, j, unit)"),),
        f"tests/nn/conv/test_painn.py {PHYSICS}::TestPaiNN",
    ),
    13: Mutation(
        "G5 by moments: the terms j = k not taken off",
        (
            (
                R + "symmetry/kernels/moments.py",
                "0.5 * (sums - rho.square().sum(-1, keepdim=True) * at_zero)",
                "0.5 * sums",
            ),
            (
                R + "symmetry/kernels/moments.py",
                "keepdim=True) if self.same_table else None",
                "keepdim=True) * 0.0",
            ),
        ),
        "tests/representations/symmetry/kernels/test_moments.py",
    ),
    14: Mutation(
        "committee spread with M - 1 in place of M",
        (
            (
                M + "committee.py",
                'stacked["energy"].std(0, correction=0)',
                'stacked["energy"].std(0, correction=1)',
            ),
            (
                M + "committee.py",
                'stacked["forces"].std(0, correction=0)',
                'stacked["forces"].std(0, correction=1)',
            ),
        ),
        "tests/models/test_committee.py",
    ),
    15: Mutation(
        "n2p2 files: eta converted by a length, not its square",
        (
            (
                "nnmd_graph/formats/n2p2/functions.py",
                "return value / (length * length)",
                "return value / length",
            ),
        ),
        "tests/formats/n2p2/test_read.py",
    ),
    16: Mutation(
        "refit of E0 not per atom",
        (
            (T + "transfer.py", "(table / atoms.unsqueeze(1))[there]", "table[there]"),
            (T + "transfer.py", "(error.cpu() / atoms)[there]", "error.cpu()[there]"),
        ),
        "tests/training/test_transfer.py tests/training/test_start.py",
    ),
    17: Mutation(
        "L-BFGS closure misses the last of several batches",
        (
            (
                T + "steps/lbfgs.py",
                "every(loader):\n                out = self.module(",
                "list(loader)[:-1] or loader:\n                out = self.module(",
            ),
        ),
        "tests/training/test_epochs.py",
    ),
    18: Mutation(
        "feature scaling fitted over all elements together",
        (
            (
                R + "scaler.py",
                "return x if len(self.mean) == 1 else x[species_id == row]",
                "return x",
            ),
        ),
        "tests/representations/test_scaling.py",
    ),
    19: Mutation(
        "best epoch = last epoch",
        ((T + "run.py", "if loss < at.best_loss:", "if True:"),),
        "tests/training/test_trainer.py",
    ),
    20: Mutation(
        "attention: envelope left out of the denominator",
        (
            (
                "nnmd_graph/nn/conv/gat.py",
                "own_share + scatter_sum(share, i, len(x))",
                "own_share + scatter_sum(torch.exp(score - take(largest, i)), i, len(x))",
            ),
        ),
        f"tests/nn/conv/test_gat.py {PHYSICS}::TestGAT",
    ),
    21: Mutation(
        "NVE drift not per atom",
        (
            (
                "nnmd_graph/workflow/dynamics.py",
                "(total - total[0]) / len(self.atoms) / MEV",
                "(total - total[0]) / MEV",
            ),
        ),
        "tests/workflow/test_dynamics.py",
    ),
    22: Mutation(
        "native core: force of the distance between neighbours on one of them only",
        ((CORE + "pairs.h", "        along_k += apart;\n", ""),),
        f"{PHYSICS}::TestBPNNCosine",
    ),
    23: Mutation(
        "native core: forces without the scale of the energies",
        ((CORE + "nets.h", "back[0] = T(factor);", "back[0] = T(1);"),),
        f"{PHYSICS}::TestBPNNCosine",
    ),
    24: Mutation(
        "native core: change of narrow functions without that of the distance between neighbours",
        ((CORE + "sums.h", " + product * slope * load<T>(to.d_square + i)", ""),),
        "tests/representations/symmetry/test_native.py",
    ),
}


def check(mutation: Mutation, folder: Path) -> None:
    """Refuse a mutation whose text does not stand exactly once."""
    for file, old, _ in mutation.edits:
        count = (folder / file).read_text(encoding="utf-8").count(old)
        if count != 1:
            raise SystemExit(
                f"{mutation.what}: expected {old!r} once in {file}, got it {count} times; "
                "look where the code went and change the table of tests/mutations.py"
            )


def copy_of_tree(folder: Path) -> None:
    """What is tracked, as it is now."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)


def run_tests(folder: Path, tests: list[str]) -> tuple[int, str]:
    """Exit status of pytest up to the first failure, and the name of that."""
    shared = os.environ.get("NNMD_GRAPH_SHARED", str(ROOT.parent / "shared"))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "--no-header",
            "-p",
            "no:cacheprovider",
            *tests,
        ],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "NNMD_GRAPH_SHARED": shared},
        capture_output=True,
        text=True,
    )
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.M)
    if done.returncode not in (0, 1):
        failed = [f"pytest ended with {done.returncode}: {done.stdout[-300:]}{done.stderr[-300:]}"]
    return done.returncode, failed[0] if failed else ""


def run(numbers: list[int], folder: Path) -> int:
    """Print a line for each mutation; the number of those that were not caught."""
    copy_of_tree(folder)
    for number in numbers:
        check(MUTATIONS[number], folder)
    tests = sorted({name for n in numbers for name in MUTATIONS[n].tests.split()})
    status, failed = run_tests(folder, tests)
    if status:
        raise SystemExit(f"the tests fail without a mutation: {failed}")
    missed = 0
    print("| # | mutation | caught | by | s |\n|---|---|---|---|---|", flush=True)
    for number in numbers:
        mutation, start = MUTATIONS[number], time.monotonic()
        before = {file: (folder / file).read_text(encoding="utf-8") for file, *_ in mutation.edits}
        for file, old, new in mutation.edits:
            text = (folder / file).read_text(encoding="utf-8")
            (folder / file).write_text(text.replace(old, new), encoding="utf-8")
        status, failed = run_tests(folder, mutation.tests.split())
        for file, text in before.items():
            (folder / file).write_text(text, encoding="utf-8")
        missed += status != 1
        caught = {0: "**no**", 1: "yes"}.get(status, "**broken**")
        seconds = time.monotonic() - start
        print(f"| {number} | {mutation.what} | {caught} | {failed} | {seconds:.0f} |", flush=True)
    return missed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", help="numbers of mutations, as 3,5")
    chosen = parser.parse_args().only
    numbers = [int(n) for n in chosen.split(",")] if chosen else list(MUTATIONS)
    with tempfile.TemporaryDirectory() as folder:
        missed = run(numbers, Path(folder))
    raise SystemExit(f"{missed} of {len(numbers)} not caught" if missed else 0)


if __name__ == "__main__":
    main()
