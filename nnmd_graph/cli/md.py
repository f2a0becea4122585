"""`nnmd-graph md`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nnmd_graph.addresses import check_there
from nnmd_graph.cli.console import print_facts, print_line, shown
from nnmd_graph.cli.options import Device, Members, ModelFile, Overwrite, Seed, model_files

if TYPE_CHECKING:
    from ase import Atoms

    from nnmd_graph.workflow import MDResult


def md(
    model: ModelFile,
    start: Annotated[Path, typer.Argument(help="Structure to start from.", show_default=False)],
    temperature: Annotated[float, typer.Option("--temperature", "-T", help="K.")] = 300.0,
    steps: Annotated[int, typer.Option(help="Number of steps.")] = 1000,
    timestep: Annotated[float, typer.Option(help="fs.")] = 1.0,
    ensemble: Annotated[
        str, typer.Option(help="nve (constant energy), or nvt (Langevin, at the temperature).")
    ] = "nve",
    velocities: Annotated[
        str,
        typer.Option(
            help="keep those of the start, drift included, and draw where it has none; or draw."
        ),
    ] = "keep",
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Trajectory: .traj, .extxyz; beside it .csv, .png."),
    ] = Path("md.traj"),
    log_interval: Annotated[int, typer.Option(help="Steps between samples.")] = 10,
    index: Annotated[str, typer.Option(help="Which structure of the file.")] = "-1",
    repeat: Annotated[
        tuple[int, int, int], typer.Option(help="Repeat the cell along its vectors.")
    ] = (1, 1, 1),
    extrapolation: Annotated[
        str,
        typer.Option(help="Atoms outside the training set's range: count, warn, error, ignore."),
    ] = "count",
    max_extrapolations: Annotated[
        int | None,
        typer.Option(help="Stop after so many (pairs of atom and function, over all steps)."),
    ] = None,
    compile: Annotated[
        bool, typer.Option(help="Compile graph convolutions, for long runs; needs a C++ compiler.")
    ] = False,
    committee: Members = None,
    seed: Seed = 0,
    device: Device = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Run molecular dynamics from a structure, and measure how well it conserves energy."""
    check_there([start])
    models = model_files(model, committee)
    from nnmd_graph.cli.loading import load_committee
    from nnmd_graph.folders import check_apart
    from nnmd_graph.workflow import run_md
    from nnmd_graph.workflow.dynamics import md_files

    check_apart(md_files(output).values(), {"start": [start], "model": models})
    potential = load_committee(model, committee, device)
    atoms = _start(start, index, repeat)
    if velocities.lower() == "keep" and atoms.get_momenta().any():
        print_line(
            f"Velocities are those of {shown(start)}, drift included, and not of `--temperature`; "
            "`--velocities draw` draws new ones."
        )
    result = run_md(
        potential,
        atoms,
        temperature=temperature,
        steps=steps,
        timestep=timestep,
        ensemble=ensemble.lower(),
        velocities=velocities.lower(),
        output=output,
        log_interval=log_interval,
        seed=seed,
        device=str(potential.device),
        extrapolation=extrapolation.lower(),
        max_extrapolations=max_extrapolations,
        compile=compile,
        overwrite=overwrite,
        progress=True,
    )
    print_md(result, ensemble.lower())


def _start(file: Path, index: str, repeat: tuple[int, int, int]) -> Atoms:
    from nnmd_graph.data import read_frames

    frames = [frame.atoms for frame in read_frames(file, index=index)]
    if len(frames) != 1:
        raise ValueError(f"`index`: expected one structure, got {len(frames)} by {index!r}")
    if min(repeat) < 1:
        raise ValueError(f"`repeat`: expected three positive integers, got {repeat}")
    return frames[0] * repeat


def print_md(result: MDResult, ensemble: str) -> None:
    """Print the summary of a simulation."""
    length = result.samples[-1, 0]
    facts = {
        "simulated": f"{len(result.atoms)} atoms, {ensemble.upper()}, {length / 1000:g} ps",
        "velocities": result.velocities,
        "mean temperature": f"{result.mean_temperature:.1f} K",
    }
    if ensemble == "nve":
        facts["energy drift"] = f"{result.drift:+.3g} meV/atom (slope of a straight line)"
        facts["end - start"] = f"{result.difference:+.3g} meV/atom"
    steps = max(1, round(length / result.timestep))
    speed = 1e6 * result.seconds / steps / len(result.atoms)
    facts["speed"] = (
        f"{result.seconds / steps * 1000:.1f} ms a step, {speed:.0f} µs a step and atom; "
        f"{result.num_rebuilds} neighbour lists"
    )
    if result.num_extrapolations is not None:
        facts["extrapolation"] = (
            f"in {result.num_extrapolating_steps} of {steps + 1} steps, "
            f"{result.num_extrapolations} pairs of atom and function in all"
        )
    print_facts(facts | {name: shown(path) for name, path in result.files.items()})
