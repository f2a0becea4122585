"""A message names what its reader can change: an argument, a key of the config, an option."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ase.io
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from typer.testing import CliRunner

import nnmd_graph as ng
from nnmd_graph.cli import app
from nnmd_graph.naming import naming, renamed, spelled
from nnmd_graph.workflow.training import train_from_config

FLAGS = {"key": "--key", "overwrite": "--overwrite", "frames": "FILES"}
YAML = {"key": "data.key", "frames": "data.train"}


@pytest.mark.parametrize(
    ("message", "flags", "keys"),
    [
        ("`key`: expected a, got b", "`--key`: expected a, got b", "`data.key`: expected a, got b"),
        ("pass key='dft' or so", "pass `--key dft` or so", "pass `data.key: 'dft'` or so"),
        ("pass key='a b'", "pass `--key 'a b'`", "pass `data.key: 'a b'`"),
        ("or `key=3`;", "or `--key 3`;", "or `data.key: 3`;"),
        ("with key=':2'; go", "with `--key :2`; go", "with `data.key: ':2'`; go"),
        ("use `overwrite=True`", "use `--overwrite`", "use `overwrite=True`"),
        ("`key[3]`: no", "`--key[3]`: no", "`data.key[3]`: no"),
        ("`frames[3]` (frame 3 of 'a'): bad", "frame 3 of 'a': bad", "frame 3 of 'a': bad"),
        ("`frames[3]`: bad", "`FILES[3]`: bad", "`data.train[3]`: bad"),
        *[
            (text, text, text)
            for text in (
                "the key is key", "`keys`: no", "`my.key`: no", "'key=3' stands in line 2",
                "`Potential(key)`: no", "a == b", "monkey=3", "",
            )
        ],
    ],
)  # fmt: skip
def test_arguments_get_the_names_of_the_interface(message: str, flags: str, keys: str) -> None:
    assert spelled(message, FLAGS) == flags
    assert spelled(message, YAML) == keys


def test_layers_rename_one_after_the_other_and_leave_no_trace() -> None:
    with naming({"data.key": "--key"}), naming(lambda: {"key": "data.key"}):
        assert renamed("`key`: no") == "`--key`: no"
    assert renamed("`key`: no") == "`key`: no"
    with pytest.raises(TypeError, match="`--key`: no"), naming({"data.key": "--key"}):
        with naming({"key": "data.key"}):
            raise TypeError("`key`: no")
    with pytest.raises(KeyError) as caught, naming({"a": "b"}):
        raise KeyError(3)
    assert caught.value.args == (3,)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    frames = []
    for n in range(12):
        atoms = Atoms("Cu2", [[0, 0, 0], [0, 0, 2.4 + 0.02 * n]])
        atoms.info["dft_energy"] = -1.0
        atoms.calc = SinglePointCalculator(atoms, energy=-0.1 * n, forces=[[0, 0, 1], [0, 0, -1]])
        frames.append(atoms)
    ase.io.write(tmp_path / "a.xyz", frames)
    (tmp_path / "cut.xyz").write_text((tmp_path / "a.xyz").read_text()[:900])
    bare = [Atoms(a.numbers, a.positions, info={"dft_energy": 1.0}) for a in frames]
    ase.io.write(tmp_path / "bare.xyz", bare)
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


def said(*arguments: str, status: int = 2) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == status, result.output
    return result.stderr


@pytest.mark.parametrize(
    ("command", "begin"),
    [
        ("info a.xyz --energy-key dft", "`--energy-key`: expected a key of the frames"),
        ("info a.xyz --forces-key f", "`--forces-key`: expected a key"),
        ("info a.xyz --cutoff -1", "`--cutoff`: expected"),
        ("info b.xyz", "`FILES`: expected a file, got 'b.xyz'"),
        ("info cut.xyz", "`FILES`: expected extxyz frames in 'cut.xyz'"),
        ("train b.xyz", "`SOURCES`: expected a file"),
        ("train a.xyz --val b.xyz", "`--val`: expected a file"),
        ("train a.xyz --test cut.xyz", "`--test`: expected extxyz frames"),
        ("train a.xyz --weight-key w", "`--weight-key`: expected a key"),
        ("train a.xyz --cutoff -2", "`--cutoff` in the options: expected a number"),
        ("train a.xyz --max-epochs 0", "`--max-epochs` in the options: expected a number"),
        ("train a.xyz --model bpn", "`--model` in the options: "),
        ("train a.xyz --from nothing.pt", "`--from`: expected a file"),
        ("train a.xyz --from a.xyz", "`--from`: expected a file written by nnmd_graph"),
        ("train", "`SOURCES`: expected a data file or a config file"),
        ("evaluate a.xyz a.xyz", "`MODEL`: expected a file written by nnmd_graph"),
        ("md nothing.pt a.xyz", "`MODEL`: expected a file"),
        ("evaluate nothing.pt a.xyz --committee b.pt", "`MODEL`: expected a file"),
    ],
)
def test_a_command_speaks_of_its_options(folder: Path, command: str, begin: str) -> None:
    assert f"Error: {begin}" in said(*command.split())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "begin"),
    [
        ("data: {train: b.xyz}", "`data.train`: expected a file"),
        ("data: {train: a.xyz, val: b.xyz}", "`data.val`: expected a file"),
        ("data: {train: a.xyz, test: cut.xyz}", "`data.test`: expected extxyz"),
        ("data: {train: a.xyz, energy_key: dft}", "`data.energy_key`: expected a key"),
        ("data: {train: a.xyz, stress_key: s}", "`data.stress_key`: expected a key"),
        ("data: {train: a.xyz, groups: kind}", "`data.groups`: expected 'geometry' or a key"),
        ("data: {train: a.xyz, split: {train: 20, val: 1, test: 1}}", "`data.split.train`"),
        ("data: {train: a.xyz}\ntransfer: {from: a.xyz}", "`transfer.from`: expected a file"),
        (
            "data: {train: a.xyz}\ntraining: {batch_size: 50}",
            "`training.batch_size`: expected at most",
        ),
        ("data: {train: a.xyz}\nloss: {energy: 0, forces: 0}", "`loss.energy`, `loss.forces` and"),
        (
            "data: {train: a.xyz}\ntraining: {isolated_energies: {Xx: 1}}",
            "`training.isolated_energ",
        ),
        ("data: {train: a.xyz}\nmodel: {hidden_channels: [0]}", "`model.hidden_channels"),
    ],
)
def test_a_config_is_told_its_keys(folder: Path, settings: str, begin: str) -> None:
    (folder / "c.yaml").write_text(settings + "\n")
    assert f"Error: {begin}" in said("train", "c.yaml")
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        train_from_config("c.yaml", folder / "other")
    assert str(caught.value).startswith(begin)


def test_an_option_that_was_typed_beside_a_config_is_named(folder: Path) -> None:
    (folder / "c.yaml").write_text("data: {train: a.xyz}\n")
    assert "`--energy-key`: expected" in said("train", "c.yaml", "--energy-key", "e")
    assert "`data.train`: expected a file" in said("train", "c.yaml", "b.xyz")


def test_warnings_speak_of_options_and_keys_too(folder: Path) -> None:
    printed = said("info", "bare.xyz", status=0)
    assert "`FILES`: no frame has a calculator with energy" in printed
    assert "pass `--energy-key dft_energy`" in printed
    (folder / "c.yaml").write_text("data: {train: bare.xyz}\n")
    printed = said("train", "c.yaml")
    assert "pass `data.energy_key: 'dft_energy'`" in printed


@pytest.mark.parametrize(
    ("arguments", "begin"),
    [
        ({"energy_key": "dft"}, "`energy_key`: expected a key"),
        ({"path": "b.xyz"}, "`path`: expected a file"),
        ({"cutoff": 0.0}, "`cutoff`: expected"),
        ({"index": "a"}, "`index`: expected a number"),
        ({"format": "xy"}, "`format`: expected a name"),
    ],
)
def test_python_is_told_its_arguments(folder: Path, arguments: dict[str, Any], begin: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        ng.AtomsDataset.read(**{"path": "a.xyz", "cutoff": 3.0} | arguments)
    assert str(caught.value).startswith(begin)
