"""Errors of a potential on a data set: `print(evaluate(potential, test))`."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch_geometric.loader import DataLoader

from nnmd_graph.data import AtomsDataset
from nnmd_graph.errors import did_you_mean
from nnmd_graph.evaluation.batching import BatchSampler
from nnmd_graph.evaluation.metrics import Metrics, check_labelled
from nnmd_graph.evaluation.predictions import Array, Predictions
from nnmd_graph.graph import AtomicGraph, volume
from nnmd_graph.models import Committee, ExtrapolationReport, Potential
from nnmd_graph.models.extrapolation import reported, why_unknown
from nnmd_graph.progress import track
from nnmd_graph.quantities import OF_EVERY_POTENTIAL, QUANTITIES

NO_GROUP = "(none)"
"""Group of frames that belong to no named group."""


def evaluate(
    potential: Potential | Committee,
    dataset: AtomsDataset | Sequence[AtomicGraph],
    *,
    batch_size: int | None = None,
    device: str | torch.device | None = None,
    progress: bool = False,
    groups: str | None = None,
) -> Metrics:
    """Mean absolute and root mean square errors of energy, forces and stress.

    Where the potential knows the range of its training set, what lies outside of it is counted.
    Labels that are missing are left out, and kinds that the data set has nothing of have no keys.
    The sums run in float64.

    Args:
        potential: the model, or a committee; it is left as it was (device, dtype, training mode).
        dataset: an `AtomsDataset`, or graphs made with a cutoff that is not below the potential's.
        batch_size: structures at once; None fills batches up to a size that fits the memory.
        device: where to compute; None for where the potential is.
        progress: show a bar once it has taken two seconds.
        groups: key in the frames' `info`, e.g. "config_type"; the errors of each group of
            structures then come under the key "groups" too.

    Returns:
        A dict that prints as a table, see `Metrics`.

    Raises:
        ValueError: no structures, no labels at all, a group key that no frame has; what the
            potential refuses (unknown elements, a cutoff that is too small); energies or forces
            that are not finite.
        TypeError: `dataset` holds something else than graphs.
    """
    predictions = _predict(
        potential, dataset, batch_size, device, progress, groups, only_labelled=True
    )
    return Metrics.of(predictions)


def predict(
    potential: Potential | Committee,
    dataset: AtomsDataset | Sequence[AtomicGraph],
    *,
    batch_size: int | None = None,
    device: str | torch.device | None = None,
    progress: bool = False,
    groups: str | None = None,
) -> Predictions:
    """Energy, forces and stress of every structure, labelled or not, beside the labels.

    Arguments and errors as for `evaluate`; a data set without labels is fine.
    """
    return _predict(potential, dataset, batch_size, device, progress, groups, only_labelled=False)


def _predict(
    potential: Potential | Committee,
    dataset: AtomsDataset | Sequence[AtomicGraph],
    batch_size: int | None,
    device: str | torch.device | None,
    progress: bool,
    groups: str | None,
    *,
    only_labelled: bool,
) -> Predictions:
    if len(dataset) == 0:
        raise ValueError("`dataset`: expected one structure or more, got none; check the file")
    names = None if groups is None else _group_names(dataset, groups)
    if isinstance(dataset, AtomsDataset):
        dataset.build(progress=progress)
    elif not all(isinstance(graph, AtomicGraph) for graph in dataset):
        raise TypeError(
            f"`dataset`: expected an AtomsDataset or graphs, got {type(dataset[0]).__name__} in a "
            f"{type(dataset).__name__}; make AtomsDataset(frames, cutoff=potential.cutoff)"
        )
    reference = _references(dataset)
    if only_labelled:  # before minutes of useless work
        check_labelled(*(reference[name] for name in _names(reference)))
    batches = list(BatchSampler(dataset, batch_size))
    loader = DataLoader(dataset, batch_sampler=batches)
    with _ready(potential, device) as model:
        shown = track(loader, "evaluating", total=len(batches), enabled=progress)
        parts = [
            _predict_batch(model, batch, only_labelled, partial(_name, dataset, numbers))
            for batch, numbers in zip(shown, batches, strict=True)
        ]
    arrays = [part for part, _ in parts]
    predicted = {name: np.concatenate([part[name] for part in arrays]) for name in arrays[0]}
    outside = [report for _, report in parts if report is not None]
    num_atoms = reference["num_atoms"]
    has_volume = reference["volume"][:, None, None] > 0  # there is no stress without one
    return Predictions(
        num_atoms=num_atoms,
        z=reference["z"],
        energy_ref=reference["energy"] / num_atoms,
        energy_pred=predicted["energy"] / num_atoms,
        forces_ref=reference["forces"],
        forces_pred=predicted["forces"],
        stress_ref=np.where(has_volume, reference["stress"], np.nan),
        stress_pred=np.where(has_volume, predicted["stress"], np.nan),
        groups=names,
        extrapolation=ExtrapolationReport.joined(outside) if outside else None,
        more={
            name: (reference[name], predicted[name])
            for name in _names(reference)
            if name in predicted and QUANTITIES[name] not in OF_EVERY_POTENTIAL
        },
        **_uncertainties(predicted, num_atoms),
    )


def _predict_batch(
    potential: Potential | Committee,
    batch: Any,
    only_labelled: bool,
    naming: Callable[[int], str],
) -> tuple[dict[str, Array], ExtrapolationReport | None]:
    """Predictions of one batch in float64, NaN for what was not computed, and extrapolation."""
    asked = {
        name: not only_labelled or (name in batch and bool(torch.isfinite(batch[name]).any()))
        for name in ("forces", "stress")
    }
    report = None
    if isinstance(potential, Potential) and why_unknown(potential.model) is None:
        output, report = reported(potential, batch, **asked)
    else:
        output = potential(batch, **asked)
    _check_finite(output, batch, naming)
    arrays = {"energy": _float64(output["energy"])}
    for name in ("forces", "stress"):
        shape = QUANTITIES[name].size(batch.num_graphs, batch.num_nodes)
        arrays[name] = _float64(output[name]) if asked[name] else np.full(shape, np.nan)
    arrays |= {name: _float64(output[name]) for name in potential.quantities}
    if isinstance(potential, Committee):
        arrays["energy_uncertainty"] = _float64(output["energy_uncertainty"])
        missing = np.full((batch.num_nodes, 3), np.nan)
        found = _float64(output["forces_uncertainty"]) if asked["forces"] else missing
        arrays["forces_uncertainty"] = found
    return arrays, report


def _check_finite(output: Any, batch: Any, name: Callable[[int], str]) -> None:
    """Refuse predictions that are not finite, with the name of the structure."""
    bad = ~torch.isfinite(output["energy"])
    if "forces" in output:
        atoms = ~torch.isfinite(output["forces"]).all(1)
        bad = bad.index_fill(0, batch.batch.to(atoms.device)[atoms], True)
    if bool(bad.any()):
        raise ValueError(
            "`potential`: expected finite energies and forces, got others for "
            f"{name(int(torch.nonzero(bad)[0]))}; see whether its atoms are too close, and whether "
            "the potential was trained on anything like it"
        )


def _name(dataset: Any, numbers: Sequence[int], index: int) -> str:
    """Name a structure of a batch."""
    number = numbers[index]
    source = dataset.sources[number] if isinstance(dataset, AtomsDataset) else None
    return f"structure {number}" + (f" ({source})" if source else "")


def _uncertainties(predicted: dict[str, Array], num_atoms: Array) -> dict[str, Array]:
    """Uncertainties of a committee, that of the energy per atom."""
    if "energy_uncertainty" not in predicted:
        return {}
    return {
        "energy_uncertainty": predicted["energy_uncertainty"] / num_atoms,
        "forces_uncertainty": predicted["forces_uncertainty"],
    }


def _references(dataset: AtomsDataset | Sequence[AtomicGraph]) -> dict[str, Any]:
    """Labels of all structures, NaN where missing, with sizes, elements and volumes."""
    wanted = [q for q in QUANTITIES.values() if q in OF_EVERY_POTENTIAL or q.name in dataset[0]]
    columns: dict[str, list[Any]] = {name: [] for name in ("z", *(q.name for q in wanted))}
    num_atoms, volumes = [], []
    for index in range(len(dataset)):
        graph = dataset[index]
        num_atoms.append(graph.num_nodes)
        volumes.append(_float64(volume(graph.cell)))
        columns["z"].append(graph.z.cpu().numpy())
        for quantity in wanted:
            name, missing = quantity.name, np.full(quantity.size(1, graph.num_nodes), np.nan)
            columns[name].append(_float64(graph[name]) if name in graph else missing)
    arrays = {name: np.concatenate(column) for name, column in columns.items()}
    return arrays | {"num_atoms": np.array(num_atoms), "volume": np.concatenate(volumes)}


def _names(reference: dict[str, Any]) -> list[str]:
    """Quantities with labels in the data set."""
    return [name for name in QUANTITIES if name in reference]


def _float64(value: torch.Tensor) -> Array:
    return value.detach().cpu().double().numpy()


def _group_names(dataset: Any, key: str) -> tuple[str, ...]:
    frames = getattr(dataset, "frames", None)
    if frames is None:
        raise ValueError(
            "`groups`: expected frames that name their group, got graphs; give an AtomsDataset"
        )
    if not any(key in atoms.info for atoms in frames):
        keys = sorted({str(name) for atoms in frames for name in atoms.info})
        hint = did_you_mean(key, keys)
        raise ValueError(f"`groups`: expected a key of `atoms.info` ({keys}), got {key!r}{hint}")
    return tuple(str(atoms.info.get(key, NO_GROUP)) for atoms in frames)


@contextlib.contextmanager
def _ready(
    potential: Potential | Committee, device: str | torch.device | None
) -> Iterator[Potential | Committee]:
    """The potential in evaluation mode on `device`; afterwards its modes are restored."""
    if device is not None and torch.device(device) != potential.device:
        potential = copy.deepcopy(potential).to(device)
    modes = {module: module.training for module in potential.modules()}
    potential.eval()
    try:
        yield potential
    finally:
        for module, training in modes.items():
            module.training = training
