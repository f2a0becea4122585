"""The complete workflow on generated data: structures, training, evaluation, MD."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ase.io
from ase.build import bulk

from nnmd_graph.choices import QUICKSTART_EPOCHS
from nnmd_graph.files import replacing
from nnmd_graph.folders import check_output
from nnmd_graph.workflow.dynamics import MDResult, run_md
from nnmd_graph.workflow.training import TrainingResult, train_from_config

CONFIG = """\
# Other settings have their defaults; run/config.yaml shows all settings with their meaning.
data: {{train: copper.extxyz}}
training: {{max_epochs: {max_epochs}}}
seed: {seed}
"""
TEMPERATURE = 300.0
STEPS, TIMESTEP = 500, 2.0


@dataclass(frozen=True)
class QuickstartResult:
    """Results of the quickstart.

    Attributes:
        folder: everything is in here.
        data: the structures, an extxyz file.
        config: the settings of the training.
        start: the structure that MD started from.
        training: the trained potential and its errors.
        md: the simulation.
    """

    folder: Path
    data: Path
    config: Path
    start: Path
    training: TrainingResult
    md: MDResult


def run_quickstart(
    output: str | os.PathLike[str] = "quickstart",
    *,
    seed: int = 0,
    max_epochs: int = QUICKSTART_EPOCHS,
    overwrite: bool = False,
    progress: bool = False,
    say: Callable[[str], None] = lambda step: None,
) -> QuickstartResult:
    """Make data, train on them as `nnmd-graph train` does, evaluate, run NVE MD.

    Args:
        output: folder for everything.
        seed: of data, training and velocities.
        max_epochs: length of the training.
        overwrite: replace what an earlier quickstart left in the folder.
        progress: show progress bars.
        say: is told what is being done, for example `print`.

    Raises:
        ValueError: the folder holds a quickstart and `overwrite` is not set.
    """
    from nnmd_graph.workflow.copper import copper_frames  # it can be run as a script too

    folder = Path(output)
    data, config, start = (folder / n for n in ("copper.extxyz", "train.yaml", "start.extxyz"))
    check_output(folder, "a quickstart")
    there = [file for file in (data, config, start) if file.exists()]
    if there and not (overwrite and data in there):
        raise ValueError(
            f"`output`: expected a new folder, got '{folder}', which is there; replace it "
            "(`overwrite=True`) or name another one (`output`)"
        )
    say("Making data: copper, labelled by ASE's effective-medium potential")
    with replacing(data) as temporary:
        ase.io.write(temporary, copper_frames(seed), format="extxyz")
    say(f"Training a Behler-Parrinello network for {max_epochs} epochs")
    with replacing(config) as temporary:
        temporary.write_text(CONFIG.format(max_epochs=max_epochs, seed=seed), encoding="utf-8")
    training = train_from_config(config, folder / "run", overwrite=overwrite, progress=progress)

    atoms = bulk("Cu", cubic=True) * (3, 3, 3)
    with replacing(start) as temporary:
        ase.io.write(temporary, atoms, format="extxyz")
    say(f"Molecular dynamics: {len(atoms)} atoms, NVE, {STEPS} steps of {TIMESTEP:g} fs")
    md = run_md(
        training.potential,
        atoms,
        temperature=2 * TEMPERATURE,  # half of it becomes potential energy of the relaxed lattice
        steps=STEPS,
        timestep=TIMESTEP,
        output=folder / "md.traj",
        seed=seed,
        overwrite=overwrite,
        progress=progress,
    )
    return QuickstartResult(folder, data, config, start, training, md)
