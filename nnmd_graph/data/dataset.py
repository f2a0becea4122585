"""AtomsDataset: labelled structures whose graphs are built once."""

import copy
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain
from typing import Any, overload

import ase
import numpy as np
import torch
from ase.data import chemical_symbols
from numpy.typing import NDArray
from torch.utils.data import Dataset

from nnmd_graph.data.duplicates import geometry_groups, shared, warn_of_shared
from nnmd_graph.data.frames import as_list, check_sources, check_structure, positions_of, snapshot
from nnmd_graph.data.isolated import isolated_atoms, split_with_isolated
from nnmd_graph.data.label_checks import warn_of_suspicious_labels
from nnmd_graph.data.label_keys import (
    check_keys,
    check_quantities,
    wanted_quantities,
    warn_of_unread_labels,
)
from nnmd_graph.data.reading import read_frames
from nnmd_graph.data.split import groups_by_key
from nnmd_graph.data.stated_units import UnitReader, converted
from nnmd_graph.graph import AtomicGraph, Labels, radius_graph, read_labels
from nnmd_graph.graph.labels import Key, check_range
from nnmd_graph.graph.neighbors import BYTES_OF_EDGE, check_cutoff, check_edges, estimated_edges
from nnmd_graph.progress import track
from nnmd_graph.quantities import OF_EVERY_POTENTIAL, quantity_of
from nnmd_graph.tables import html_of
from nnmd_graph.units import EV_AND_ANGSTROM

Selector = slice | Sequence[int] | Sequence[bool] | NDArray[Any] | torch.Tensor


class AtomsDataset(Dataset[AtomicGraph]):
    """Structures with energies, forces and stresses, as graphs.

    `dataset[3]` is an `AtomicGraph` with labels, `dataset[:10]` another `AtomsDataset`. A graph is
    built when it is first asked for, or by `build`, and kept in memory; parts of a data set share
    the graphs. Labels that a frame lacks are NaN in its graph; atoms whose force is NaN in a frame
    where others have one count as without a label.

    The energy is `energy` of ASE's calculator, which many DFT readers fill with the value
    extrapolated to zero electronic width, while the forces are the derivative of the free energy.
    Where that matters (metals with a large width) take `energy_key="free_energy"`.

    Args:
        frames: structures; any mix of sizes, elements and periodicities.
        cutoff: pairs closer than this become edges, Å.
        energy_key: name of the energy in `atoms.info`, or of a calculator result; default:
            the calculator's `energy`, else its `free_energy`.
        forces_key: name of the forces in `atoms.arrays`; default: the calculator's.
        stress_key: name of the stress (6, 9 or 3x3 numbers, eV/Å^3, tension positive) in
            `atoms.info`; default: the calculator's.
        virial_key: name of the virial (6, 9 or 3x3 numbers, eV) in `atoms.info`, from which the
            stress is taken: -virial / V, the convention of GAP, NEP and dpdata. The same happens
            if `stress_key` names something that is called a virial.
        weight_key: name of the weight of a structure in `atoms.info`, a positive number that
            multiplies its squared errors in training; frames without it count 1. Default: no
            weights.
        quantities: further labels to read, ["dipole", "charges"], or with the names that they have
            in the frames, {"dipole": "mu"}; e and Å. See :mod:`nnmd_graph.quantities`.
        energy_unit: unit of the energies in the frames, e.g. "hartree", see `nnmd_graph.units`;
            default: as the frames state (`energy_unit=hartree` among the keys of extended XYZ),
            else eV. Frames and labels of the data set are always in eV and Å.
        length_unit: unit of positions and cells, e.g. "bohr"; default: as stated, else Å.
        forces_unit: e.g. "hartree/bohr"; default: as stated, else energy_unit/length_unit.
        stress_unit: e.g. "GPa" or "kbar"; default: as stated, else energy_unit/length_unit^3.
        backend: neighbour search, see `radius_graph`.
        dtype: floating type of the graphs; default: the present `torch.get_default_dtype()`.
        sources: what to call each frame in messages, e.g. "frame 17 of 'li.extxyz'".

    Raises:
        ValueError: no frames; a frame without atoms, with positions, a cell or labels that are
            not finite, with forces of the wrong shape, or periodic without a volume; a key
            that no frame has; a cutoff that is not positive.
        TypeError: a frame is not an `ase.Atoms`, the dtype not a floating one.

    Attributes:
        frames: the structures, list of ase.Atoms: copies, so the caller's are never changed.
        labels: list of `Labels`, one for each frame.
        sources: list of str, where each frame came from; errors use it.
        cutoff: radius that the edges are searched with, Å.
    """

    def __init__(
        self,
        frames: Iterable[ase.Atoms],
        cutoff: float,
        *,
        energy_key: Key = None,
        forces_key: Key = None,
        stress_key: Key = None,
        virial_key: Key = None,
        weight_key: str | None = None,
        quantities: Iterable[str] | Mapping[str, Key] = (),
        energy_unit: str | None = None,
        length_unit: str | None = None,
        forces_unit: str | None = None,
        stress_unit: str | None = None,
        backend: str = "vesin",
        dtype: torch.dtype | None = None,
        sources: Sequence[str] | None = None,
    ) -> None:
        self.cutoff = check_cutoff(cutoff)
        self.backend = backend
        self.dtype = torch.get_default_dtype() if dtype is None else dtype
        if not (isinstance(self.dtype, torch.dtype) and self.dtype.is_floating_point):
            raise TypeError(
                f"`dtype`: expected a floating dtype, got {dtype!r}; write torch.float32"
            )
        # A search for one atom shows at once whether the backend is known and installed
        radius_graph(np.zeros((1, 3)), np.zeros((3, 3)), [False] * 3, cutoff, backend=backend)
        given = as_list(frames)
        self.sources = check_sources(sources, len(given))
        keys: dict[str, Any] = {"energy_key": energy_key, "forces_key": forces_key}
        keys |= {"stress_key": stress_key, "virial_key": virial_key, "weight_key": weight_key}
        units = {"length_unit": length_unit, "energy_unit": energy_unit}
        units |= {"forces_unit": forces_unit, "stress_unit": stress_unit}
        self.labels: list[Labels]
        self.quantities = wanted_quantities(quantities)
        self._take(given, keys, UnitReader(units, keys))
        check_keys(self.frames, self.labels, keys)
        check_quantities(self)
        warn_of_unread_labels(self, keys)
        if weight_key is not None:
            self.labels = [one if one.weight else replace(one, weight=1.0) for one in self.labels]
        warn_of_suspicious_labels(self)
        # Parts of this data set share the list and find their graphs by these numbers
        self._graphs: list[AtomicGraph | None] = [None] * len(self.frames)
        self._numbers = np.arange(len(self.frames))

    def _take(self, given: list[ase.Atoms], keys: dict[str, Any], reader: UnitReader) -> None:
        """Read the labels, and copy the structures."""
        self.frames: list[ase.Atoms] = []
        self.labels = []
        for i, atoms in enumerate(track(given, "reading labels")):
            try:
                check_structure(atoms)
                units = reader.units(atoms, i)
                labels = read_labels(atoms, **keys, quantities=self.quantities, units=units)
                check_range(labels, self.dtype)
                if units != EV_AND_ANGSTROM:
                    atoms = converted(atoms, labels, units, keys, reader.stated(atoms))
                self.frames.append(snapshot(atoms, labels))
            except (ValueError, TypeError) as error:
                kind = TypeError if isinstance(error, TypeError) else ValueError
                raise kind(f"`frames[{i}]`{self._origin(i)}: {error}") from error
            self.labels.append(labels)
        reader.warn(self.sources)

    @classmethod
    def read(
        cls,
        path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        cutoff: float,
        *,
        index: int | str | slice | None = None,
        format: str | None = None,
        progress: bool = True,
        **kwargs: Any,
    ) -> "AtomsDataset":
        """Read structures from one file or several: extxyz, traj, ase.db, GPAW, VASP, ...

        Args:
            path: file name or names; compressed files (.gz, .bz2, .xz) too. Behind an "@" in a
                name stand the frames that are wanted of that file: "li.extxyz@::10".
            cutoff: pairs closer than this become edges, Å.
            index: which frames of each file that names none, as in `ase.io.read`; default: all.
            format: ASE's name of the format; default: guessed. See `read_frames`.
            progress: show a bar when it takes more than two seconds.
            **kwargs: see `AtomsDataset`.

        Returns:
            The data set, frames in the order of the files.

        Raises:
            FileNotFoundError: a file is not there.
            ValueError: a file cannot be read or holds no frames; what `AtomsDataset` refuses.
        """
        check_cutoff(cutoff)  # before minutes of reading
        paths = [path] if isinstance(path, (str, os.PathLike)) else list(path)
        if not paths:
            raise ValueError("`path`: expected a file name or several, got an empty list; name one")
        # All names and formats are checked before the first file is read
        chosen = ":" if index is None else index
        files = [read_frames(p, index=chosen, format=format) for p in paths]
        frames, sources = [], []
        for sourced in track(chain.from_iterable(files), "reading structures", enabled=progress):
            frames.append(sourced.atoms)
            sources.append(sourced.source)
        return cls(frames, cutoff, sources=sources, **kwargs)

    # ------------------------------------------------------------------------- looking into it
    @cached_property
    def species(self) -> tuple[int, ...]:
        """Atomic numbers of the elements that occur, sorted."""
        found = {int(z) for atoms in self.frames for z in np.unique(atoms.numbers)}
        return tuple(sorted(found))

    def has(self, label: str) -> int:
        """Count the frames that have a label.

        Args:
            label: "energy", "forces", "stress", or another quantity.

        Raises:
            ValueError: there is no such label.
        """
        quantity_of(label, "label")
        return sum(labels.get(label) is not None for labels in self.labels)

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of energy, forces, stress and of the further quantities that were asked for."""
        return (*(quantity.name for quantity in OF_EVERY_POTENTIAL), *self.quantities)

    @cached_property
    def isolated(self) -> NDArray[np.bool_]:
        """Which frames are isolated atoms: one atom without neighbours within the cutoff, [B].

        They tell E0 of their elements and are always trained on, see `split`.
        """
        return isolated_atoms(self.frames, self.cutoff)

    def name(self, i: int) -> str:
        """Name a frame in messages: its origin, or its number."""
        return self.sources[i] or f"frame {i}"

    def __len__(self) -> int:
        """Number of structures."""
        return len(self.frames)

    def __repr__(self) -> str:
        """Summarise the contents in one line."""
        elements = " ".join(chemical_symbols[z] for z in self.species)
        labels = ", ".join(f"{label} {self.has(label)}" for label in self.label_names)
        return (
            f"{type(self).__name__}({len(self)} frames of {elements or 'nothing'}, "
            f"cutoff {self.cutoff:g} Å, {labels})"
        )

    def _repr_html_(self) -> str:
        rows = [("structures", str(len(self))), ("cutoff", f"{self.cutoff:g} Å")]
        rows += [("elements", " ".join(chemical_symbols[z] for z in self.species) or "none")]
        return html_of(
            (), rows + [(f"with {label}", str(self.has(label))) for label in self.label_names]
        )

    # ---------------------------------------------------------------------------------- graphs
    @overload
    def __getitem__(self, index: int) -> AtomicGraph: ...
    @overload
    def __getitem__(self, index: Selector) -> "AtomsDataset": ...
    def __getitem__(self, index: Any) -> "AtomicGraph | AtomsDataset":
        """Give the graph of one frame, or the data set of several.

        The tensors of a graph are those in memory; the graph around them is a copy, so that
        `dataset[0].to("cuda")` leaves the data set where it is.

        Args:
            index: an int; a slice, a list or array of numbers, or a mask.

        Raises:
            IndexError: out of range.
            ValueError: the graph cannot be built, e.g. because two atoms are on top of each other.
            TypeError: `index` is none of these.
        """
        if isinstance(index, (int, np.integer)) and not isinstance(index, bool):
            if not -len(self) <= index < len(self):
                raise IndexError(f"`index`: expected a frame of {len(self)}, got {index}")
            return copy.copy(self._graph(int(index) % len(self)))
        return self._part(positions_of(index, len(self)))

    def __iter__(self) -> Iterator[AtomicGraph]:
        """Go through the graphs."""
        return (self[i] for i in range(len(self)))

    def build(self, progress: bool = True) -> "AtomsDataset":
        """Build all graphs now.

        Args:
            progress: show a bar when it takes more than two seconds.

        Returns:
            The data set itself.

        Raises:
            ValueError: a graph cannot be built, e.g. because two atoms are on top of each other.
        """
        if any(self._graphs[n] is None for n in self._numbers):
            check_edges(self.estimated_edges, self.cutoff, BYTES_OF_EDGE, "the graphs")
        for i in track(range(len(self)), "building graphs", enabled=progress):
            self._graph(i)
        return self

    def estimated_edges(self, cutoff: float | None = None) -> float:
        """Estimate the edges of all graphs from those of a few, without building any.

        Args:
            cutoff: Å; default: that of the data set.
        """
        few = np.unique(np.linspace(0, len(self) - 1, min(len(self), 64)).astype(int))
        frames = [self.frames[i] for i in few]
        reach = self.cutoff if cutoff is None else cutoff
        found = [estimated_edges(a.positions, a.cell.array, a.pbc, reach) for a in frames]
        return float(np.sum(found)) / max(len(few), 1) * len(self)

    def split(
        self,
        train: float,
        val: float,
        test: float = 0,
        *,
        seed: int = 0,
        groups: str | Sequence[Any] | None = None,
    ) -> "tuple[AtomsDataset, AtomsDataset, AtomsDataset]":
        """Draw three disjoint parts at random; the same seed draws the same parts.

        Frames that show the same structure, or follow each other closely in a simulation, make
        the test too easy if some of them are trained on; `groups` keeps them together. Isolated
        atoms, frames of one atom without neighbours within the cutoff, always go into the
        training set: the energies E0 are read off them.

        Args:
            train: fraction (float) or number (int) of frames; so are `val` and `test`. Fractions
                (of the frames that are no isolated atoms) that sum to 1 use every frame; an
                explicit 0 leaves a part empty.
            val: see `train`.
            test: see `train`.
            seed: of the random draw.
            groups: None (each frame on its own); "geometry" (equal structures stay together, also
                wrapped, rotated or renumbered ones, see `geometry_groups`); any other str: a key
                of `atoms.info`, e.g. "config_type"; or a label for each frame. With groups the
                sizes are as close to the wanted ones as the groups allow.

        Returns:
            Training, validation and test set, frames in their old order.

        Raises:
            ValueError: the parts are larger than the set, or one would be empty; there is no such
                key.
            TypeError: fractions and numbers are mixed.
        """
        labels = self._group_labels(groups) if isinstance(groups, str) else groups
        parts = split_with_isolated(self.isolated, train, val, test, seed=seed, groups=labels)
        a, b, c = (self._part(part) for part in parts)
        if groups is None:
            for name, part in (("val", b), ("test", c)):
                warn_of_shared(name, a, part, shared(a, part))
        return a, b, c

    def _group_labels(self, groups: str) -> Sequence[Any]:
        if groups == "geometry":
            graphs = track(self, "comparing structures", total=len(self))
            return geometry_groups(graphs).tolist()
        return groups_by_key(self.frames, groups)

    def _part(self, positions: NDArray[np.int64]) -> "AtomsDataset":
        part = copy.copy(self)
        for name in ("species", "isolated"):
            part.__dict__.pop(name, None)
        part.frames = [self.frames[i] for i in positions]
        part.labels = [self.labels[i] for i in positions]
        part.sources = [self.sources[i] for i in positions]
        part._numbers = self._numbers[positions]
        return part

    def _graph(self, i: int) -> AtomicGraph:
        number = int(self._numbers[i])
        graph = self._graphs[number]
        if graph is None:
            try:
                graph = AtomicGraph.from_atoms(
                    self.frames[i],
                    self.cutoff,
                    backend=self.backend,
                    dtype=self.dtype,
                    labels=self.labels[i],
                )
            except ValueError as error:
                raise ValueError(f"`frames[{i}]`{self._origin(i)}: {error}") from error
            self._graphs[number] = graph
        return graph

    def _origin(self, i: int) -> str:
        return f" ({self.sources[i]})" if self.sources[i] else ""
