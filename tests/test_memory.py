"""How much memory there is."""

import pytest

from nnmd_graph.memory import available_bytes, in_words


def test_this_machine_has_some_memory() -> None:
    assert 2**26 < available_bytes() < 2**50


@pytest.mark.parametrize(
    ("size", "words"),
    [(1200, "1.2 kB"), (3.21e9, "3.21 GB"), (1e14, "100 TB"), (5e19, "5e+04 PB")],
)
def test_sizes_are_told_in_a_unit_that_suits_them(size: float, words: str) -> None:
    assert in_words(size) == words
