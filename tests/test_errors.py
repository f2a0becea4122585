"""The words that messages share."""

import pytest

from nnmd_graph.errors import did_you_mean, reason


@pytest.mark.parametrize(
    ("name", "hint"),
    [("enrgy", "; did you mean 'energy'?"), ("xyz", ""), (None, ""), ("", ""), (12, "")],
)
def test_the_closest_name_is_hinted_at(name: object, hint: str) -> None:
    assert did_you_mean(name, ["energy", "forces"]) == hint


@pytest.mark.parametrize(
    ("error", "text"),
    [(ValueError("a\nb"), "a"), (KeyError(), "KeyError"), (OSError("\n  full  \n"), "full")],
)
def test_the_reason_is_one_line(error: Exception, text: str) -> None:
    assert reason(error) == text
