"""The published data sets: where their files are, and how their structures are read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import ase

from nnmd_graph.data.published.checksums import (
    ACETYLACETONE_FILES,
    BOTNET_COMMIT,
    CHENG_COMMIT,
    CHENG_FILE,
    MLEARN_COMMIT,
    MLEARN_FILES,
    RMD17_NPZ_COMMIT,
    RMD17_NPZ_FILES,
    THREE_BPA_FILES,
)
from nnmd_graph.data.published.dataset import PublishedDataset
from nnmd_graph.data.published.formats import read_mlearn, read_npz
from nnmd_graph.data.published.raw_files import RawFile, extract, find
from nnmd_graph.data.reading import read_frames
from nnmd_graph.data.reading.runner import read_runner
from nnmd_graph.errors import check_choice

EXTXYZ = (".extxyz", ".extxyz.gz", ".xyz", ".xyz.gz")
RAW = "https://raw.githubusercontent.com"
BOTNET = "davkovacs/BOTNet-datasets"
CHENG = "BingqingCheng/ab-initio-thermodynamics-of-water"


class MLearn(PublishedDataset):
    """Bulk crystals, strained, with vacancies, surfaces, hot and molten: one element each.

    The stress components come in orders that differ within a file; they are put right, and left
    out for the training sets of Cu and Ni, where the order was not compared with anything. In the
    official split some elastic test structures equal training ones by symmetry (3 of 25 for Si):
    report errors without `info["group"] == "Elastic"` as well. `info` holds `group`.

    Raw files: `data/Si/training.json` and `data/Si/test.json` (also without `data/`) of
    github.com/materialsvirtuallab/mlearn; or `Si_train.extxyz`, `Si_test.extxyz` (.gz too).

    Args:
        root: folder of the raw files.
        element: Ni, Cu, Li, Mo, Si or Ge.
        split: train or test.
        cutoff: see `PublishedDataset`, as are `options`.
    """

    elements: ClassVar[tuple[str, ...]] = tuple(MLEARN_FILES)

    def __init__(
        self,
        root: str | os.PathLike[str],
        element: str,
        split: str = "train",
        *,
        cutoff: float,
        **options: Any,
    ) -> None:
        check_choice("element", element, self.elements)
        self.element = element
        super().__init__(root, split, cutoff, **options)

    def _read(self) -> list[ase.Atoms]:
        name = "training" if self.part == "train" else "test"
        short = f"{self.element}/{name}.json"
        file = RawFile(
            (short, f"data/{short}"),
            f"{RAW}/materialsvirtuallab/mlearn/{MLEARN_COMMIT}/data/{short}",
            f"git:{MLEARN_FILES[self.element][name == 'test']}",
            page=f"https://github.com/materialsvirtuallab/mlearn (data/{short})",
        )
        path = self._obtain(file, _with(f"{self.element}_{self.part}", EXTXYZ))
        if path.suffix == ".json":
            return read_mlearn(path, self.element, self.part)
        return _extxyz(path)


class RMD17(PublishedDataset):
    """Revised MD17: dynamics of small molecules at 500 K, PBE/def2-SVP, hardly any noise.

    Five official folds of 1000 training and 1000 test structures (published models train on 950 of
    the 1000 and validate on 50). `info` holds `md17_index`.

    Raw files: `rmd17_aspirin_train_01.npz` of github.com/andersx/rmd17-npz (1 MB, downloaded); or
    `rmd17.tar.bz2` of figshare, doi 10.6084/m9.figshare.12672038, packed or not
    (`rmd17/npz_data/rmd17_aspirin.npz`, `rmd17/splits/index_train_01.csv`); or, for fold 1,
    `aspirin_train.extxyz` (.gz too).

    Args:
        root: folder of the raw files.
        molecule: aspirin, azobenzene, benzene, ethanol, malonaldehyde, naphthalene, paracetamol,
            salicylic, toluene or uracil.
        split: train or test.
        fold: 1 to 5.
        cutoff: see `PublishedDataset`, as are `options`.
    """

    molecules: ClassVar[tuple[str, ...]] = tuple(sorted({name for name, _ in RMD17_NPZ_FILES}))

    def __init__(
        self,
        root: str | os.PathLike[str],
        molecule: str,
        split: str = "train",
        *,
        fold: int = 1,
        cutoff: float,
        **options: Any,
    ) -> None:
        check_choice("molecule", molecule, self.molecules)
        self.molecule = molecule
        if fold not in range(1, 6):
            raise ValueError(f"`fold`: expected 1, 2, 3, 4 or 5, got {fold!r}")
        self.fold = int(fold)
        super().__init__(root, split, cutoff, **options)

    def _read(self) -> list[ase.Atoms]:
        name = f"rmd17_{self.molecule}_{self.part}_{self.fold:02d}.npz"
        number = RMD17_NPZ_FILES[self.molecule, self.part][self.fold - 1]
        file = RawFile(
            (name, f"rmd17-npz/{name}"),
            f"{RAW}/andersx/rmd17-npz/{RMD17_NPZ_COMMIT}/rmd17-npz/{name}",
            f"git:{number}",
            page="https://github.com/andersx/rmd17-npz or doi 10.6084/m9.figshare.12672038",
        )
        if find(self._root, file.names) is None:
            whole = self._whole()
            if whole is not None:
                self._files += whole
                return read_npz(*whole)
        others = _with(f"{self.molecule}_{self.part}", EXTXYZ) if self.fold == 1 else ()
        path = self._obtain(file, others)
        return read_npz(path) if path.suffix == ".npz" else _extxyz(path)

    def _whole(self) -> tuple[Path, Path] | None:
        """All structures and the numbers of the wanted ones, if the whole set is there."""
        wanted = {
            "npz_data": f"rmd17_{self.molecule}.npz",
            "splits": f"index_{self.part}_{self.fold:02d}.csv",
        }
        found = []
        for folder, name in wanted.items():
            path = find(self._root, (name, f"{folder}/{name}", f"rmd17/{folder}/{name}"))
            archive = find(self._root, ("rmd17.tar.bz2",))
            if path is None and archive is not None:
                target = self._root / "raw" / name
                path = target if extract(archive, f"rmd17/{folder}/{name}", target) else None
            if path is not None:
                found.append(path)
        return (found[0], found[1]) if len(found) == 2 else None


class _BotnetDataset(PublishedDataset):
    """One of the sets of github.com/davkovacs/BOTNet-datasets: a folder of extended XYZ files."""

    folder: ClassVar[str]
    checksums: ClassVar[dict[str, str | None]]

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str = "train_300K",
        *,
        cutoff: float,
        **options: Any,
    ) -> None:
        super().__init__(root, split, cutoff, **options)

    def _read(self) -> list[ase.Atoms]:
        name = f"{self.part}.xyz"
        checksum = self.checksums[self.part]
        file = RawFile(
            (f"{self.folder}/{name}", name),
            checksum and f"{RAW}/{BOTNET}/{BOTNET_COMMIT}/{self.folder}/{name}",
            checksum and f"git:{checksum}",
            archives={f"{self.folder}.tar.gz": f"{self.folder}/{name}"},
            page=f"https://github.com/{BOTNET}",
        )
        return _extxyz(self._obtain(file, _with(self.part, EXTXYZ)))


class Acetylacetone(_BotnetDataset):
    """Acetylacetone: 500 training structures at 300 K, tests at 300 and 600 K, two paths.

    PBE-D3/def2-SVP. `test_dihedral` and `test_H_transfer` have energies only.

    Raw files: those of the folder `dataset_acac` (packed or not) of
    github.com/davkovacs/BOTNet-datasets, e.g. `train_300K.xyz`; also `.extxyz`, `.extxyz.gz`.

    Args:
        root: folder of the raw files.
        split: train_300K, train_600K, test_MD_300K, test_MD_600K, test_dihedral or
            test_H_transfer.
        cutoff: see `PublishedDataset`, as are `options`.
    """

    folder = "dataset_acac"
    checksums = ACETYLACETONE_FILES
    splits = tuple(ACETYLACETONE_FILES)
    isolated_energies: ClassVar[Mapping[int | str, float]] = {
        1: -13.568422178253735,
        6: -1026.8538996116154,
        8: -2037.796869412825,
    }


class ThreeBPA(_BotnetDataset):
    """3-(benzyloxy)pyridin-2-amine: 500 training structures at 300 K, tests up to 1200 K.

    wB97X/6-31G(d). `train_mixedT` is the other official training set; `test_dih` holds scans of
    the dihedral angles, `test_dih_beta120`, `150` and `180` one scan each (in the archive only).

    Raw files: those of the folder `dataset_3BPA` (packed or not) of
    github.com/davkovacs/BOTNet-datasets, e.g. `train_300K.xyz`; also `.extxyz`, `.extxyz.gz`.

    Args:
        root: folder of the raw files.
        split: train_300K, train_mixedT, test_300K, test_600K, test_1200K, test_dih, or
            test_dih_beta120, 150, 180.
        cutoff: see `PublishedDataset`, as are `options`.
    """

    folder = "dataset_3BPA"
    checksums = THREE_BPA_FILES
    splits = tuple(THREE_BPA_FILES)
    isolated_energies: ClassVar[Mapping[int | str, float]] = {
        1: -13.587222780835477,
        6: -1029.4889999855063,
        7: -1484.9814568572233,
        8: -2041.9816003861047,
    }


class H2O(PublishedDataset):
    """Water: liquid, 1593 structures of 64 molecules (revPBE0-D3), or liquid and ice (RPBE-D3).

    There is no official split: draw one with `split(train, val, test)`.

    Raw files, in bohr and hartree: `training-set/input.data` (also without the folder, or in
    `training-set.zip`) of github.com/BingqingCheng/ab-initio-thermodynamics-of-water for
    revPBE0-D3; `input.data` (.gz too) for RPBE-D3, from doi 10.5281/zenodo.2634098 by hand.

    Args:
        root: folder of the raw files.
        functional: revPBE0-D3 or RPBE-D3.
        split: all.
        cutoff: see `PublishedDataset`, as are `options`.
    """

    functionals: ClassVar[tuple[str, ...]] = ("revPBE0-D3", "RPBE-D3")
    splits = ("all",)

    def __init__(
        self,
        root: str | os.PathLike[str],
        functional: str = "revPBE0-D3",
        split: str = "all",
        *,
        cutoff: float,
        **options: Any,
    ) -> None:
        check_choice("functional", functional, self.functionals)
        self.functional = functional
        super().__init__(root, split, cutoff, **options)

    def _read(self) -> list[ase.Atoms]:
        if self.functional == "RPBE-D3":
            names = ("input.data", "input.data.gz")
            file = RawFile(names, page="https://doi.org/10.5281/zenodo.2634098")
        else:
            member = "training-set/input.data"
            file = RawFile(
                (member, "input.data"),
                f"{RAW}/{CHENG}/{CHENG_COMMIT}/{member}",
                f"git:{CHENG_FILE}",
                archives={"training-set.zip": member},
                page=f"https://github.com/{CHENG}",
            )
        return read_runner(self._obtain(file), length_unit="bohr", energy_unit="hartree")


def _with(stem: str, endings: Iterable[str]) -> tuple[str, ...]:
    return tuple(stem + ending for ending in endings)


def _extxyz(path: Path) -> list[ase.Atoms]:
    return [sourced.atoms for sourced in read_frames(path, format="extxyz")]
