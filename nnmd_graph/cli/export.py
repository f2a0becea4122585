"""`nnmd-graph export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nnmd_graph.cli.console import print_facts, print_heading, print_line, shown
from nnmd_graph.cli.options import ModelFile, Overwrite, model_files

FORMATS = ("n2p2",)


def export(
    model: ModelFile,
    to: Annotated[
        str, typer.Option(help="n2p2: for n2p2, RuNNer and LAMMPS (pair_style hdnnp).")
    ] = "n2p2",
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the files of the potential.")
    ] = Path("n2p2"),
    length_unit: Annotated[str, typer.Option(help="angstrom, bohr or nm.")] = "angstrom",
    energy_unit: Annotated[
        str, typer.Option(help="eV, meV, hartree, rydberg, kcal/mol or kJ/mol.")
    ] = "eV",
    overwrite: Overwrite = False,
) -> None:
    """Write a model in the format of another program."""
    if to.lower() not in FORMATS:
        raise ValueError(
            f"`to`: expected one of {', '.join(FORMATS)}, got {to!r}; LAMMPS reads n2p2's files, "
            "with pair_style hdnnp"
        )
    model_files(model)
    from nnmd_graph.cli.loading import load_potential
    from nnmd_graph.data.reading.runner import Units
    from nnmd_graph.folders import EXPORT, check_output
    from nnmd_graph.formats.n2p2.read import SETTINGS_FILE
    from nnmd_graph.formats.n2p2.text import lammps_lines
    from nnmd_graph.formats.n2p2.write import save_n2p2
    from nnmd_graph.units import energy_factor, length_factor

    units = Units(length_factor(length_unit), energy_factor(energy_unit))
    check_output(output, EXPORT)
    if (output / SETTINGS_FILE).exists() and not overwrite:
        raise ValueError(
            f"`output`: expected a new folder, got '{output}' with {SETTINGS_FILE}; replace it "
            "(`--overwrite`) or name another folder (`--output`)"
        )
    potential = load_potential(model, "cpu")
    save_n2p2(potential, output, length_unit=length_unit, energy_unit=energy_unit)
    files = sorted(path.name for path in output.iterdir() if path.is_file())
    print_facts({"written": shown(output), "files": ", ".join(files)})
    print_heading("In LAMMPS, with metal units and atom types in this order")
    assert potential.net is not None  # else it could not have been written
    for line in lammps_lines(potential.net, shown(output), units):
        print_line(f"  {line}")
