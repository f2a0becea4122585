"""Files of potentials: what was saved comes back to the last bit, and nothing else is accepted."""

import json
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import ase
import numpy as np
import pytest
import torch

from nnmd_graph.formats.n2p2.write import save_n2p2
from nnmd_graph.models import BPNN, EnergyModel, Potential, checkpoint
from nnmd_graph.models.readout import ElementReadout
from nnmd_graph.representations import ACSF, G2
from nnmd_graph.representations.range_scaling import RangeScaler

DATA = Path(__file__).parent / "data"


@pytest.fixture
def registered(coordination, monkeypatch: pytest.MonkeyPatch):
    """Let a test register classes without leaving them behind."""
    # Another test of this process may have registered a class of the same name.
    others = {k: v for k, v in checkpoint.MODULES.items() if k != coordination.__name__}
    monkeypatch.setattr(checkpoint, "MODULES", others)
    return checkpoint.register(coordination)


@pytest.fixture
def saved(make_potential, tmp_path: Path) -> Path:
    make_potential().save(tmp_path / "model.pt")
    return tmp_path / "model.pt"


def rewritten(path: Path, **changes) -> Path:
    checkpoint.save_tensors(torch.load(path, weights_only=True) | changes, path)
    return path


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_comes_back_to_the_last_bit(make_potential, dtype, crystal, graph_of, tmp_path) -> None:
    potential = make_potential(dtype).eval()
    potential.save(tmp_path / "model.pt")
    again = Potential.load(tmp_path / "model.pt")
    assert again.dtype == dtype
    assert not again.training
    before, after = potential.state_dict(), again.state_dict()
    assert before.keys() == after.keys()
    for name in before:
        assert before[name].dtype == after[name].dtype
        assert torch.equal(before[name], after[name]), name
    graph = graph_of(crystal)
    one, other = potential(graph), again(graph)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_default_dtype_at_loading_does_not_matter(saved, float64) -> None:
    assert Potential.load(saved).dtype == torch.float64
    torch.set_default_dtype(torch.float32)
    assert Potential.load(saved).dtype == torch.float64


def test_paths_may_be_text_and_folders_are_made(make_potential, tmp_path) -> None:
    path = str(tmp_path / "new" / "folder" / "model.pt")
    make_potential().save(path)
    assert Potential.load(path).species == (1, 6, 8)


def test_file_holds_plain_values_only(saved) -> None:
    """No pickled classes: loadable with weights_only, hyper-parameters as in a JSON file."""
    values = torch.load(saved, weights_only=True)
    assert values.keys() == {"format", "format_version", "hyper_parameters", "state"}
    assert (values["format"], values["format_version"]) == ("nnmd_graph", 3)
    json.dumps(values["hyper_parameters"])
    assert all(isinstance(t, torch.Tensor) for t in values["state"].values())
    with zipfile.ZipFile(saved) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("data.pkl"))
        assert b"nnmd_graph.models" not in archive.read(name)


def test_numbers_of_numpy_can_be_saved(tmp_path) -> None:
    acsf = ACSF(("H",), np.float64(4.0), [G2(eta=eta) for eta in np.geomspace(0.1, 1.0, 3)])
    Potential(BPNN(acsf, hidden_channels=list(np.array([4, 4])))).save(tmp_path / "model.pt")
    assert Potential.load(tmp_path / "model.pt").model.representation.functions == acsf.functions


def test_no_scaler(acsf, tmp_path) -> None:
    model = EnergyModel(acsf, ElementReadout(3, acsf.num_features, (4,)))
    Potential(model).save(tmp_path / "model.pt")
    assert Potential.load(tmp_path / "model.pt").model.scaler is None


def test_scaler_and_nets_as_in_n2p2(acsf, graph_of, water, tmp_path, float64) -> None:
    scaler = RangeScaler(3, acsf.num_features, "sigma", s_min=-1.0)
    readout = ElementReadout(
        3, acsf.num_features, [(4, 3), (2,), (5, 3)],
        [("cos", "harmonic", "tanh"), ("relu", "identity"), ("tanh", "tanh", "identity")],
    )  # fmt: skip
    model = EnergyModel(acsf, readout, scaler=scaler)
    model.fit_features(torch.rand(40, acsf.num_features), torch.arange(40) % 3)
    potential = Potential(model).eval()
    potential.save(tmp_path / "model.pt")
    again = Potential.load(tmp_path / "model.pt")
    assert repr(again.model.scaler) == repr(scaler)
    graph = graph_of(water)
    assert torch.equal(again(graph)["forces"], potential(graph)["forces"])
    assert torch.equal(again.model.ranges.minimum, model.ranges.minimum)


# -- modules of one's own ---------------------------------------------------------------------


def test_registered_module_comes_back(registered, crystal, graph_of, tmp_path, float64) -> None:
    model = EnergyModel(registered([6, 8], 3.5), ElementReadout(2, 2, (4,)))
    torch.nn.init.constant_(model.representation.power, 2.5)
    potential = Potential(model).eval()
    potential.save(tmp_path / "model.pt")
    again = Potential.load(tmp_path / "model.pt")
    assert type(again.model.representation) is registered
    graph = graph_of(crystal)
    assert torch.equal(again(graph)["forces"], potential(graph)["forces"])


def test_module_that_is_not_registered_is_not_saved(coordination, tmp_path) -> None:
    model = EnergyModel(coordination([6, 8], 3.5), ElementReadout(2, 2, (4,)))
    with pytest.raises(ValueError, match=r"`model`.*got Coordination.*checkpoint.register"):
        Potential(model).save(tmp_path / "model.pt")
    assert not list(tmp_path.iterdir())


def test_module_that_is_not_registered_is_not_loaded(registered, tmp_path, monkeypatch) -> None:
    model = EnergyModel(registered([6, 8], 3.5), ElementReadout(2, 2, (4,)))
    Potential(model).save(tmp_path / "model.pt")
    monkeypatch.delitem(checkpoint.MODULES, "Coordination")
    with pytest.raises(ValueError, match=r"`path`.*'ACSF'.*got 'Coordination'; import the file"):
        Potential.load(tmp_path / "model.pt")


def test_two_modules_of_one_name(registered) -> None:
    assert checkpoint.register(registered) is registered
    other = type("ACSF", (torch.nn.Module,), {})
    with pytest.raises(ValueError, match="`module`.*'ACSF', which is taken; rename it"):
        checkpoint.register(other)


# -- files that are something else ------------------------------------------------------------


def test_no_file(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"`path`: expected a file, got '.*none.pt'"):
        Potential.load(tmp_path / "none.pt")
    with pytest.raises(FileNotFoundError, match=r"`path`: expected a file"):
        Potential.load(tmp_path)


@pytest.mark.parametrize("part", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_truncated(saved, part: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(part * len(content))])
    with pytest.raises(ValueError, match=r"`path`.*'.*model.pt'.*damaged or foreign.*save"):
        Potential.load(saved)


def test_overwritten_in_the_middle(saved) -> None:
    content = bytearray(saved.read_bytes())
    content[200:600] = b"\0" * 400
    saved.write_bytes(content)
    with pytest.raises(ValueError, match="`path`"):
        Potential.load(saved)


@pytest.mark.parametrize(
    "content",
    [b"hello", b"PK\x03\x04", b"\x80\x04N.", b".", b"\x80\x02s.", b"\x80\x02J\0", b"1 2 3\n" * 100],
)
def test_some_other_file(tmp_path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"`path`: expected a file written by nnmd_graph, got"):
        Potential.load(path)


class Evil:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, (str(DATA.parent / "broken_in"),)


@pytest.mark.parametrize("how", ["pickle", "torch"])
def test_pickled_code_does_not_run(tmp_path, how: str) -> None:
    path = tmp_path / "evil.pt"
    if how == "pickle":
        path.write_bytes(pickle.dumps({"format": "nnmd_graph", "state": Evil()}))
    else:
        torch.save({"format": "nnmd_graph", "state": Evil()}, path)
    why = "it holds more than tensors" if how == "torch" else "File is not a zip file"
    with pytest.raises(ValueError, match=f"damaged or foreign .{why}"):
        Potential.load(path)
    assert not (DATA.parent / "broken_in").exists()


@pytest.mark.parametrize("other", [torch.zeros(3), OrderedDict(weight=torch.zeros(3)), [1], {}])
def test_tensors_of_someone_else(tmp_path, other) -> None:
    torch.save(other, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"written by nnmd_graph.*something else.*Potential.save"):
        Potential.load(tmp_path / "other.pt")


@pytest.mark.parametrize("version", [4, 0, None, "1"])
def test_format_version_that_is_not_known(saved, version) -> None:
    rewritten(saved, format_version=version)
    with pytest.raises(ValueError, match=rf"format version 1 to 3, got {version} .*update"):
        Potential.load(saved)


@pytest.mark.parametrize(
    "changes",
    [
        {"state": {}},
        {"hyper_parameters": {}},
        {"hyper_parameters": None},
        {"state": {"weight": torch.zeros(2)}},
    ],
)
def test_parts_are_missing(saved, changes) -> None:
    rewritten(saved, **changes)
    with pytest.raises(ValueError, match=r"`path`: expected a complete model.*does not fit"):
        Potential.load(saved)


@pytest.mark.parametrize("dtype", ["float63", "load"])
def test_unknown_dtype(saved, dtype: str) -> None:
    values = torch.load(saved, weights_only=True)["hyper_parameters"]
    rewritten(saved, hyper_parameters=values | {"dtype": dtype})
    with pytest.raises(ValueError, match="`path`: expected a complete model"):
        Potential.load(saved)


# -- writing ----------------------------------------------------------------------------------


def test_failed_write_leaves_the_old_file(make_potential, saved, monkeypatch) -> None:
    old = saved.read_bytes()

    def full_disk(values, file) -> None:
        file.write(b"half of it")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="no space"):
        make_potential(seed=2).save(saved)
    assert saved.read_bytes() == old
    assert list(saved.parent.iterdir()) == [saved]


def test_nothing_is_left_beside_the_file(make_potential, saved) -> None:
    make_potential(seed=2).save(saved)
    assert list(saved.parent.iterdir()) == [saved]
    mask = os.umask(0)
    os.umask(mask)
    assert saved.stat().st_mode & 0o777 == 0o666 & ~mask


# -- files of earlier versions ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["bpnn_format_1", "bpnn_format_2", "gcnn_format_2"])
def test_stored_files(graph_of, name: str) -> None:
    """Written by data/make_*.py; their energies must not change with the code."""
    expected = json.loads((DATA / f"{name}.json").read_text())
    potential = Potential.load(DATA / f"{name}.pt")
    atoms = ase.Atoms(
        expected["symbols"], expected["positions"], cell=expected["cell"], pbc=expected["pbc"]
    )
    out = potential(graph_of(atoms, potential.cutoff))
    assert out["energy"].item() == pytest.approx(expected["energy"], rel=1e-12)
    np.testing.assert_allclose(out["forces"].numpy(), expected["forces"], rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(out["stress"][0].numpy(), expected["stress"], rtol=1e-9, atol=1e-12)
    if name.startswith("bpnn"):
        assert potential.model.ranges.fitted == (name == "bpnn_format_2")


# -- numbers that are none --------------------------------------------------------------------


def spoilt(potential: Potential, name: str, value: float) -> Potential:
    tensor = dict(potential.state_dict())[name]
    tensor.view(-1)[-1] = value
    return potential


SPOILT = [
    ("model.readout.net.nets.0.layers.0.weight", float("nan")),
    ("model.scaler.matrix", float("inf")),
    ("model.scaler.mean", float("nan")),
    ("model.baseline.isolated_energies", -float("inf")),
    ("model.baseline.scale", float("nan")),
    ("model.ranges.minimum", float("nan")),
    ("model.ranges.maximum", float("inf")),
]


@pytest.mark.parametrize(("name", "value"), SPOILT)
def test_numbers_that_are_none_are_neither_saved_nor_exported(
    make_potential, tmp_path, name: str, value: float
) -> None:
    potential = spoilt(make_potential(), name, value)
    short = name.removeprefix("model.")
    with pytest.raises(ValueError, match=rf"`potential`: .*got NaN or infinity in {short}"):
        potential.save(tmp_path / "model.pt")
    with pytest.raises(ValueError, match=rf"`potential`: .*got NaN or infinity in {short}"):
        save_n2p2(potential, tmp_path / "n2p2")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "value"), SPOILT)
def test_numbers_that_are_none_are_not_loaded(saved, name: str, value: float) -> None:
    state = torch.load(saved, weights_only=True)["state"]
    state[name.removeprefix("model.")].view(-1)[-1] = value
    rewritten(saved, state=state)
    with pytest.raises(ValueError, match=rf"NaN or infinity in {name[6:]} of '.*model.pt'"):
        Potential.load(saved)


def test_settings_of_a_model_that_are_no_numbers_name_the_file(saved) -> None:
    values = torch.load(saved, weights_only=True)["hyper_parameters"]
    for cutoff in (float("nan"), float("inf"), "six"):
        rewritten(saved, hyper_parameters=values | {"cutoff": cutoff})
        with pytest.raises(ValueError, match=r"model.pt"):
            Potential.load(saved)


def test_limits_that_are_not_known_are_no_fault(acsf, tmp_path) -> None:
    potential = Potential(BPNN(acsf))
    assert not torch.isfinite(potential.model.ranges.minimum).any()
    potential.save(tmp_path / "model.pt")
    assert not Potential.load(tmp_path / "model.pt").model.ranges.fitted
