"""Common base of the published data sets."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import ase
import torch
import torch_geometric.data

from nnmd_graph.data.dataset import AtomsDataset
from nnmd_graph.data.published.raw_files import RawFile, obtain
from nnmd_graph.errors import check_choice
from nnmd_graph.graph.atomic_graph import AtomicGraph

Transform = Callable[[AtomicGraph], Any]


class PublishedDataset(AtomsDataset, torch_geometric.data.Dataset):
    """A published data set: an `AtomsDataset` that is also a `torch_geometric.data.Dataset`.

    Raw files are looked for under their published names in `root/raw` and `root`, taken out of the
    published archives there, or downloaded into `root/raw`. Energies are in eV, forces in eV/Å,
    stresses in eV/Å^3. Graphs are built when they are asked for; nothing processed is written.

    Args:
        root: folder of the raw files.
        split: official part of the set, one of `splits`.
        cutoff: pairs closer than this become edges, Å.
        download: fetch what is missing.
        transform: applied to each graph on each access.
        progress: show bars for what takes more than two seconds.
        options: `backend` and `dtype` of `AtomsDataset`.

    Raises:
        FileNotFoundError: a raw file is missing; the message says where to get it.
        ValueError: there is no such part, or a file is damaged or not what was published.

    Attributes:
        part: name of the official part (`split` is a method).
        raw_paths: names of the files that it was read from.
        isolated_energies: E0 in eV by atomic number, where the set states them; for
            `Trainer(isolated_energies=...)`.
    """

    splits: ClassVar[tuple[str, ...]] = ("train", "test")
    isolated_energies: ClassVar[Mapping[int | str, float]] = {}

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str,
        cutoff: float,
        *,
        download: bool = True,
        transform: Transform | None = None,
        progress: bool = True,
        **options: Any,
    ) -> None:
        known = {"backend", "dtype"}
        if not options.keys() <= known:
            unknown = min(options.keys() - known)
            raise TypeError(
                f"`{unknown}`: expected options {sorted(known)}, got this one; leave it out"
            )
        check_choice("split", split, self.splits)
        self.part = split
        self._root = Path(root).expanduser()
        self._get = {"download": download, "progress": progress}
        self._files: list[Path] = []
        frames = self._read()
        name = self._files[0].name
        sources = [f"frame {n} of {name!r}" for n in range(len(frames))]
        super().__init__(frames, cutoff, sources=sources, **options)
        # Set as in PyG's own constructor, which would also download and process
        self.root, self.transform = str(self._root), transform
        self.pre_transform = self.pre_filter = self._indices = None
        self.log = self.force_reload = False

    def _read(self) -> list[ase.Atoms]:
        """Structures of the chosen part; notes in `_files` where they come from."""
        raise NotImplementedError

    def _obtain(self, file: RawFile, others: Iterable[str] = ()) -> Path:
        path = obtain(file, self._root, others=tuple(others), **self._get)
        self._files.append(path)
        return path

    @classmethod
    def read(cls, *_: Any, **__: Any) -> NoReturn:
        """Not offered: files of other data are read by `AtomsDataset.read`."""
        raise TypeError(f"`read`: use AtomsDataset.read for files, or {cls.__name__}(root, ...)")

    # ------------------------------------------------------------------------------ PyG's interface
    def __getitem__(self, index: Any) -> Any:
        """Give the graph of one frame, transformed, or the data set of several."""
        item = super().__getitem__(index)
        if self.transform is not None and isinstance(item, AtomicGraph):
            return self.transform(item)
        return item

    def len(self) -> int:
        """Number of structures."""
        return len(self.frames)

    def get(self, idx: int) -> AtomicGraph:
        """Graph of one structure, as it is before `transform`."""
        return AtomsDataset.__getitem__(self, idx)

    def index_select(self, idx: Any) -> PublishedDataset:
        """Data set of some of the structures, as `dataset[idx]`."""
        part: PublishedDataset = self[idx.tolist() if isinstance(idx, torch.Tensor) else idx]
        return part

    @property
    def raw_file_names(self) -> list[str]:
        """Names of the files that it was read from."""
        return [path.name for path in self._files]

    @property
    def raw_paths(self) -> list[str]:
        """Files that it was read from."""
        return [str(path) for path in self._files]
