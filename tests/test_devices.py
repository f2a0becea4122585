"""Names of devices: known ones are found, others refused with one message."""

import pytest
import torch

from nnmd_graph.devices import find_device


@pytest.mark.parametrize("name", ["cpu", "auto", torch.device("cpu")])
def test_known_names(name: str | torch.device) -> None:
    assert find_device(name).type in ("cpu", "cuda")


@pytest.mark.parametrize("name", ["tpu", "", "CUDA", "cuda:", "cuda:first", "cuda:-1", "cpu 0"])
def test_unknown_names(name: str) -> None:
    with pytest.raises(ValueError, match="`device`: expected 'auto', 'cpu', 'cuda' or 'cuda:1'"):
        find_device(name)


@pytest.mark.parametrize("name", [None, 0, 1.5, True, ["cpu"]])
def test_what_is_no_name(name: object) -> None:
    with pytest.raises(TypeError, match="`device`: expected"):
        find_device(name)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["cuda", "cuda:99", torch.device("cuda")])
def test_a_device_that_is_not_there(name: str | torch.device) -> None:
    if torch.cuda.is_available() and name != "cuda:99":
        pytest.skip("a GPU is there")
    with pytest.raises(ValueError, match="`device`: expected one"):
        find_device(name)
