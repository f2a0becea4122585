"""How much memory there is, and what is refused for lack of it."""

import math
from pathlib import Path

import pytest

from nnmd_graph import memory
from nnmd_graph.memory import TooLargeError, available_bytes, check_memory, in_words


def test_this_machine_has_some_memory() -> None:
    assert 2**26 < available_bytes() < 2**50


def test_the_limit_of_a_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [tmp_path / name for name in ("max", "current", "stat")]
    texts = (str(3 * 2**20), str(2 * 2**20), f"anon 5\ninactive_file {2**19}\n")
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    monkeypatch.setattr(memory, "_CGROUPS", (tuple(map(str, files)),))
    assert available_bytes() == 2**20 + 2**19
    files[0].write_text("max\n")
    assert available_bytes() > 2**26


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (1200, "1.2 kB"),
        (3.21e9, "3.21 GB"),
        (1e14, "100 TB"),
        (5e19, "5e+04 PB"),
        (10**400, "more than 1e+300 PB"),
    ],
)
def test_sizes_are_told_in_a_unit_that_suits_them(size: float, words: str) -> None:
    assert in_words(size) == words


@pytest.mark.parametrize("value", [10**9, 10**30, 10**5000], ids=["giga", "huge", "absurd"])
def test_what_does_not_fit_is_refused_with_the_largest_that_would(value: int) -> None:
    with pytest.raises(TooLargeError) as caught:
        check_memory(
            "width",
            value,
            lambda n: n * n,
            size=value,
            what="a matrix",
            instead="8 is usual",
            available=2 * 10**10,
        )
    text = str(caught.value)
    assert text.startswith(
        "`width`: expected at most about 100000, so that half of the free memory"
    )
    assert "(20 GB)" in text
    assert text.endswith("8 is usual")
    assert len(text) < 250


def test_what_fits_passes_and_no_size_is_named_where_none_would_do() -> None:
    check_memory("width", 5, lambda n: n * 2**25, size=5, what="", instead="", available=2**30)
    with pytest.raises(TooLargeError, match=r"`functions`: expected less, .* got many: they would"):
        check_memory("functions", "many", 2**31, what="they", instead="", available=2**30)
    with pytest.raises(TooLargeError, match=r"expected at most about 7\.9 Å, .* got 90\.0 Å"):
        check_memory(
            "cutoff", 90.0, lambda r: 1e6 * r**3, size=90.0, unit=" Å", what="", instead="",
            available=10**9,
        )  # fmt: skip
    with pytest.raises(TooLargeError):
        check_memory("cutoff", 1e300, math.inf, what="", instead="")
