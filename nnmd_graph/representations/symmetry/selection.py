r"""Choice of a set: the functions of a large pool that are most informative about a data set.

A large pool of symmetry functions is easy to make and expensive to compute, and most of it says
nearly the same. Which functions to keep is read off their values at atoms of the training set,
never off errors. All methods see the functions through their correlation matrix

    C_kl = 1/N sum_i z_ik z_il,   z_ik = (x_ik - mean_k) / sigma_k,

so that units and sizes of the functions play no role.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from ase.data import chemical_symbols
from numpy.typing import NDArray

from nnmd_graph.data.dataset import AtomsDataset
from nnmd_graph.errors import check_choice
from nnmd_graph.graph.atomic_graph import AtomicGraph
from nnmd_graph.graph.geometry import cast
from nnmd_graph.progress import track
from nnmd_graph.representations.symmetry.acsf import ACSF
from nnmd_graph.representations.symmetry.functions import SymmetryFunction

Array = NDArray[np.float64]
Columns = NDArray[np.int64]

MAX_ATOMS = 3000
"""Number of atoms per element for the comparison: a few times the size of a large pool."""

MIN_RANGE = 1e-4
"""Smallest useful range of a function, that of the example of n2p2's ``nnp-prune range``."""

RARE = 0.1
"""Fraction of its range that a function must span over the middle 90 % of atoms."""

ROUNDING = 1e-10
"""Variance, of a total of 1, below which the remainder of a function is rounding noise."""


def select_functions(
    acsf: ACSF,
    dataset: AtomsDataset,
    n: int,
    *,
    method: str = "cur",
    seed: int = 0,
    max_atoms: int = MAX_ATOMS,
    progress: bool = True,
) -> ACSF:
    """Pick the n functions of a pool that are most informative about the atoms of a data set.

    Every element of the set gets n functions of its own, out of those that it has in the pool.

    - ``"cur"``: CUR decomposition. The function with the largest leverage score, its weight in the
      leading singular vector of the features, is taken, the others are made orthogonal to it, and
      so on (G. Imbalzano et al., J. Chem. Phys. 148, 241730 (2018), doi 10.1063/1.5024611).
    - ``"fps"``: farthest-point sampling over the functions, from the first choice of ``"cur"`` on
      (the same paper). The distance is blind to the sign of a function, as a net is.
    - ``"pca-range"``: each of the n leading principal components takes the function that weighs
      most in it and is still free (method B4 of I. T. Jolliffe, J. R. Stat. Soc. C 21, 160 (1972),
      doi 10.2307/2346488), after the rule of ranges below.
    - ``"herding"``: functions that stand for all others. K_ij = 1/F sum_k z_ik z_jk, the similarity
      of atoms that a net sees, is kept as it is with the whole pool: each step takes the function
      that makes the mean square difference smallest (kernel herding, Y. Chen, M. Welling, A. Smola,
      UAI 2010, arXiv:1203.3472). The first three look for functions unlike each other.

    Functions whose value is the same at all atoms are never taken. Two kinds are taken only when
    the others are used up: those whose values span less than 1e-4, as n2p2's ``nnp-prune range``
    drops them, and those that vary at few atoms only, where the middle 90 % of the atoms with such
    neighbours lie within a tenth of the range. Scaled to unit width such a function is huge at
    those few atoms, and all but the last method would choose it early.

    Args:
        acsf: The pool, for example ``ACSF.auto(species, cutoff, recipe="pool")``.
        dataset: Structures to choose by: the training set, as what is tested must not choose.
        n: Number of functions of each element.
        method: ``"cur"``, ``"fps"``, ``"pca-range"`` or ``"herding"``.
        seed: Of the draw of atoms, where an element has more than ``max_atoms``.
        max_atoms: Atoms of each element to compute the functions at.
        progress: Show a bar when it takes more than two seconds.

    Returns:
        A set of the chosen functions in the order of the pool, each with its centre, neighbours
        and cutoff; for one pool, data set and seed always the same.

    Raises:
        TypeError: If ``acsf`` is no ACSF, ``dataset`` no AtomsDataset or ``n`` no integer.
        ValueError: If the method is unknown, n is less than 1 or more than the functions of an
            element that vary, an element does not occur, or the graphs of the data set reach less
            far than the functions.
    """
    check_choice("method", method, sorted(METHODS))
    if isinstance(n, bool) or not isinstance(n, int | np.integer):
        raise TypeError(f"`n`: expected an integer, got {n!r}; give a number of functions")
    features = sample_features(acsf, dataset, max_atoms=max_atoms, seed=seed, progress=progress)
    chosen = []
    for z, x in features.items():
        functions = acsf.functions_of(z)
        columns = _select(x, functions, int(n), method, chemical_symbols[z])
        chosen += [replace(functions[k], centre=z) for k in columns]
    values = acsf.hyper_parameters() | {"functions": [f.to_dict() for f in chosen]}
    return type(acsf).from_hyper_parameters(values)


def sample_features(
    acsf: ACSF,
    dataset: AtomsDataset,
    *,
    max_atoms: int = MAX_ATOMS,
    seed: int = 0,
    progress: bool = True,
) -> dict[int, Array]:
    """Features at a seeded draw of atoms, in float64, by element.

    Only the edges of the drawn atoms are looked at, so large structures cost little.

    Args:
        acsf: The functions.
        dataset: Structures.
        max_atoms: Atoms of each element; all where there are fewer.
        seed: Of the draw.
        progress: Show a bar when it takes more than two seconds.

    Returns:
        [n, F_z] by atomic number z, F_z the number of functions that the element has.

    Raises:
        TypeError: If ``acsf`` is no ACSF or ``dataset`` no AtomsDataset.
        ValueError: If an element of the set does not occur, ``max_atoms`` is less than 2, or the
            graphs of the data set reach less far than the functions.
    """
    _check(acsf, dataset, max_atoms)
    frame = np.repeat(np.arange(len(dataset)), [len(atoms) for atoms in dataset.frames])
    atom = np.concatenate([np.arange(len(atoms)) for atoms in dataset.frames])
    drawn = _draw(acsf.species, dataset, max_atoms, seed)
    rows: dict[int, list[Array]] = {z: [] for z in acsf.species}
    for i in track(np.unique(frame[drawn]).tolist(), "computing features", enabled=progress):
        centres = torch.from_numpy(atom[drawn[frame[drawn] == i]])
        graph = dataset[i]
        with torch.no_grad():
            x = acsf(_around(cast(graph, torch.float64, graph.pos.device), centres))
        for z in rows:
            own = centres[graph.z[centres] == z]
            rows[z].append(x[own, : len(acsf.functions_of(z))].cpu().numpy())
    return {z: np.concatenate(parts) for z, parts in rows.items()}


def _check(acsf: ACSF, dataset: AtomsDataset, max_atoms: int) -> None:
    if not isinstance(acsf, ACSF):
        raise TypeError(
            f"`acsf`: expected an ACSF, got {type(acsf).__name__}; make a pool with ACSF.auto"
        )
    if not isinstance(dataset, AtomsDataset):
        raise TypeError(
            f"`dataset`: expected an AtomsDataset, got {type(dataset).__name__}; make one of the "
            "frames of the training set"
        )
    if not len(dataset):
        raise ValueError("`dataset`: expected at least one structure, got none; check the split")
    if dataset.cutoff < acsf.cutoff:
        raise ValueError(
            f"`dataset`: expected graphs that reach as far as the functions, {acsf.cutoff:g} Å, "
            f"got {dataset.cutoff:g} Å; make it with cutoff={acsf.cutoff:g}"
        )
    if max_atoms < 2:
        raise ValueError(f"`max_atoms`: expected at least 2, got {max_atoms}; the default will do")
    for name, wanted, there in (
        ("dataset", acsf.species, dataset.species),
        ("acsf", dataset.species, acsf.species),
    ):
        missing = [chemical_symbols[z] for z in wanted if z not in there]
        if missing:
            raise ValueError(
                f"`{name}`: expected the elements of the {'set' if name == 'dataset' else 'data'}, "
                f"got none of {', '.join(missing)}; give both the same elements"
            )


def _draw(
    species: tuple[int, ...], dataset: AtomsDataset, max_atoms: int, seed: int
) -> NDArray[np.int64]:
    """Numbers of the drawn atoms among all atoms of the data set, sorted."""
    random = np.random.default_rng(seed)
    numbers = np.concatenate([atoms.numbers for atoms in dataset.frames])
    parts = []
    for z in species:
        own = np.flatnonzero(numbers == z)
        parts.append(own if len(own) <= max_atoms else random.choice(own, max_atoms, replace=False))
    return np.sort(np.concatenate(parts))


def _around(graph: AtomicGraph, centres: torch.Tensor) -> AtomicGraph:
    """A shallow copy of a graph with the edges of some centres only."""
    graph = copy.copy(graph)
    wanted = torch.isin(graph.edge_index[1], centres.to(graph.edge_index.device))
    graph.edge_index = graph.edge_index[:, wanted]
    graph.edge_cell_shift = graph.edge_cell_shift[wanted]
    return graph


def _select(
    x: Array, functions: tuple[SymmetryFunction, ...], n: int, method: str, symbol: str
) -> list[int]:
    """Numbers of n columns of x, sorted."""
    # Rounding makes constant features vary a little; scaled to unit width it would pass for data.
    varying = x.std(axis=0) > 1e-6 * np.abs(x).max(axis=0) + 1e-12
    if not 1 <= n <= varying.sum():
        raise ValueError(
            f"`n`: expected a number between 1 and the number of functions of {symbol} that vary "
            f"over the data, {varying.sum()} of {x.shape[1]}, got {n}; ask for fewer, or give a "
            "larger pool"
        )
    good = _range_rule(x, functions)
    chosen: list[int] = []
    for columns in (np.flatnonzero(varying & good), np.flatnonzero(varying & ~good)):
        wanted = min(n - len(chosen), len(columns))
        if wanted:
            z = x[:, columns]
            z = (z - z.mean(axis=0)) / z.std(axis=0)
            chosen += columns[METHODS[method](z.T @ z / len(z), wanted)].tolist()
    return sorted(chosen)


def _range_rule(x: Array, functions: tuple[SymmetryFunction, ...]) -> NDArray[np.bool_]:
    """Columns that span a sufficient range, not only at a few atoms."""
    good = np.ptp(x, axis=0) >= MIN_RANGE
    neighbors = [str(f.neighbors) for f in functions]
    for kind in set(neighbors):
        columns = np.flatnonzero([each == kind for each in neighbors])
        # In a dilute alloy few atoms have neighbours of the rare element: only these count
        there = x[:, columns][(x[:, columns] != 0.0).any(axis=1)]
        if len(there):
            low, below, above, high = np.percentile(there, [0, 5, 95, 100], axis=0)
            good[columns] &= above - below >= RARE * (high - low)
    return good


def _cur(c: Array, n: int) -> list[int]:
    """Columns by leverage score in the leading singular vector, the rest made orthogonal each time.

    With c = Z^T Z / N the right singular vectors of Z are the eigenvectors of c, and making the
    columns of Z orthogonal to column k takes c_ik c_kj / c_kk off c_ij.
    """
    c = c.copy()
    chosen: list[int] = []
    for _ in range(n):
        score = np.linalg.eigh(c)[1][:, -1] ** 2
        score[np.diag(c) < ROUNDING] = -1.0  # the chosen ones, and the directions they span
        if score.max() < 0.0:
            free = [k for k in range(len(c)) if k not in chosen]
            warnings.warn(
                f"`n`: the first {len(chosen)} functions already determine all others of the pool "
                f"as sums of theirs; the last {n - len(chosen)} of {n} add nothing",
                stacklevel=5,
            )
            return chosen + free[: n - len(chosen)]
        k = int(score.argmax())
        c -= np.outer(c[:, k], c[k]) / c[k, k]
        c[:, k] = c[k] = 0.0
        chosen.append(k)
    return chosen


def _fps(c: Array, n: int) -> list[int]:
    """Columns that are each the farthest from those before: |z_k -+ z_l|^2 / N = 2 - 2 |c_kl|."""
    chosen = _cur(c, 1)
    distance = 2.0 - 2.0 * np.abs(c)
    nearest = distance[chosen[0]]
    while len(chosen) < n:
        nearest[chosen] = -1.0
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, distance[chosen[-1]])
    return chosen


def _principal(c: Array, n: int) -> list[int]:
    """For each leading principal component, the free column of largest weight."""
    components = np.linalg.eigh(c)[1][:, ::-1]
    chosen: list[int] = []
    for component in components.T[:n]:
        weight = np.abs(component)
        weight[chosen] = -1.0
        chosen.append(int(weight.argmax()))
    return chosen


def _herding(c: Array, n: int) -> list[int]:
    """Columns whose mean outer product comes closest to that of all columns, one by one.

    |1/F sum_k z_k z_k^T - 1/n sum_chosen z_k z_k^T|^2 is a sum over the squares of c.
    """
    likeness = c * c
    everyone = likeness.mean(axis=0)
    chosen: list[int] = []
    while len(chosen) < n:
        score = everyone - likeness[chosen].sum(axis=0) / (len(chosen) + 1)
        score[chosen] = -np.inf
        chosen.append(int(score.argmax()))
    return chosen


METHODS: dict[str, Callable[[Array, int], list[int]]] = {
    "cur": _cur,
    "fps": _fps,
    "pca-range": _principal,
    "herding": _herding,
}
