"""How does the error depend on the number and the choice of the symmetry functions?

    python examples/05_choose_functions.py [li.extxyz --cutoff 5.0 --r-min 1.5 --epochs 100]
    python examples/05_choose_functions.py --element Ag

From a large pool, n functions are chosen by each method of `ng.select_functions` at atoms of the
training set, or drawn at random; the same net is trained on each choice with the same budget, and
on the whole pool and the automatic sets. A table (.csv), a plot of the errors against n (.png), and
plots of what the best choice looks like are written. Without a file, crystals of one metal are made
and labelled with ASE's effective-medium potential. Read the spread over `--seeds` before the means:
nets of other first weights differ by some percent.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from matplotlib.figure import Figure

import nnmd_graph as ng
from nnmd_graph.evaluation.set_plots import function_table, plot_feature_values, plot_functions
from nnmd_graph.representations import select_functions

METHODS = ("cur", "fps", "pca-range", "herding", "random")


def make_frames(element: str, count: int) -> list[Atoms]:
    """Strained, rattled crystals with a vacancy in every other one."""
    random = np.random.default_rng(0)
    frames = []
    for n in range(count):
        atoms = bulk(element, cubic=True) * (2, 2, 2)
        strain = random.uniform(-0.04, 0.04, (3, 3))
        atoms.set_cell(atoms.cell @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
        atoms.positions += random.normal(0.0, random.uniform(0.02, 0.15), (len(atoms), 3))
        if n % 2:
            del atoms[0]
        atoms.calc = EMT()
        atoms.get_forces()  # the calculator of each frame keeps energy and forces
        frames.append(atoms)
    return frames


def choose(pool: ng.ACSF, train: ng.AtomsDataset, n: int, method: str, seed: int) -> ng.ACSF:
    """Choose n functions for each element."""
    if method != "random":
        return select_functions(pool, train, n, method=method, seed=seed)
    random = np.random.default_rng(seed)
    chosen = []
    for z in pool.species:
        functions = pool.functions_of(z)
        drawn = sorted(random.permutation(len(functions))[:n])
        values = [functions[k].to_dict() | {"centre": z} for k in drawn]
        chosen += values
    return ng.ACSF.from_hyper_parameters(pool.hyper_parameters() | {"functions": chosen})


def train_and_test(
    acsf: ng.ACSF, parts: tuple[ng.AtomsDataset, ...], epochs: int, seed: int
) -> tuple[float, float]:
    """Energy and force MAE on the test set after a training, meV/atom and meV/Å."""
    train, val, test = parts
    potential = ng.Potential(ng.BPNN(acsf, hidden_channels=(32, 32), seed=seed))
    ng.Trainer(max_epochs=epochs, seed=seed, device="cpu").fit(potential, train, val)
    metrics = ng.evaluate(potential, test)
    return metrics["energy_mae"], metrics["forces_mae"]


def plot(rows: list[dict[str, object]], path: str) -> None:
    """Force MAE over the number of functions, a line for each way of choosing."""
    figure = Figure(figsize=(6.5, 4.2), dpi=150, layout="constrained")
    axes = figure.subplots()
    for name in dict.fromkeys(str(row["choice"]) for row in rows):
        own = [row for row in rows if row["choice"] == name]
        numbers = sorted({int(str(row["functions"])) for row in own})
        values = [
            [float(str(r["forces_mae"])) for r in own if r["functions"] == n] for n in numbers
        ]
        mean, spread = [np.mean(v) for v in values], [np.std(v) for v in values]
        style = "o-" if name in METHODS else "s"
        axes.errorbar(numbers, mean, yerr=spread, fmt=style, ms=5, capsize=3, lw=1.4, label=name)
    for row in rows:
        if row["choice"] == "pool":
            axes.axhline(float(str(row["forces_mae"])), color="#777777", lw=1, ls=":")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")  # 40 rather than 4 x 10^1
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.set_xlabel("functions of each element")
    axes.set_ylabel("force MAE on the test set, meV/Å")
    axes.grid(True, which="both", color="#e6e6e6", lw=0.6)
    axes.legend(frameon=False, fontsize=9)
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", help="labelled structures; default: they are made")
    parser.add_argument("--element", default="Cu", help="metal that EMT knows, without a file")
    parser.add_argument("--frames", type=int, default=80, help="structures to make")
    parser.add_argument("--cutoff", type=float, default=5.0, help="Å")
    parser.add_argument("--r-min", type=float, default=1.5, help="Å, below the shortest bond")
    parser.add_argument("--numbers", type=int, nargs="+", default=[6, 12, 24, 44])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--output", default="choice", help="beginning of the files' names")
    args = parser.parse_args()

    if args.data:
        dataset = ng.AtomsDataset.read(args.data, cutoff=args.cutoff)
    else:
        dataset = ng.AtomsDataset(make_frames(args.element, args.frames), cutoff=args.cutoff)
    print(dataset)
    parts = dataset.split(train=0.7, val=0.1, test=0.2, seed=0, groups="geometry")

    # 1. The pool, and the sets that need no data
    pool = ng.ACSF.auto(dataset.species, args.cutoff, recipe="pool", r_min=args.r_min)
    sets: list[tuple[str, int, ng.ACSF]] = []
    for seed in args.seeds:
        sets.append(("pool", seed, pool))
        for recipe in ("gastegger2018", "imbalzano2018"):
            sets.append((recipe, seed, ng.ACSF.auto(dataset.species, args.cutoff, recipe=recipe)))

        # 2. Choices: by the values at atoms of the training set, never by errors
        for n in args.numbers:
            for method in args.methods:
                sets.append((method, seed, choose(pool, parts[0], n, method, seed)))

    # 3. The same net and budget for each
    rows: list[dict[str, object]] = []
    print(f"{'choice':<14} {'functions':>9} {'seed':>4} {'meV/atom':>9} {'meV/Å':>8}")
    for name, seed, acsf in sets:
        energy, forces = train_and_test(acsf, parts, args.epochs, seed)
        rows.append({"choice": name, "functions": acsf.num_features, "seed": seed,
                     "energy_mae": energy, "forces_mae": forces})  # fmt: skip
        print(
            f"{name:<14} {acsf.num_features:>9} {seed:>4} {energy:>9.3f} {forces:>8.2f}", flush=True
        )
    with Path(f"{args.output}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    plot(rows, f"{args.output}.png")

    # 4. What the smallest choice by the first method looks like
    name = args.methods[0]
    smallest = choose(pool, parts[0], min(args.numbers), name, args.seeds[0])
    print(f"\n{name}, {smallest.num_features} functions:\n{function_table(smallest)}")
    plot_functions(smallest, f"{args.output}_shapes.png", title=name)
    plot_feature_values(pool, parts[0], f"{args.output}_values.png", title="pool, training set")
    print(f"written: {args.output}.csv, .png, _shapes.png, _values.png")


if __name__ == "__main__":
    main()
