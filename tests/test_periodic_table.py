"""Places in the periodic table."""

import pytest
from ase.data import atomic_numbers

from nnmd_graph.periodic_table import group, nearest_element, period, to_noble_gas


@pytest.mark.parametrize(
    ("element", "place"),
    [
        ("H", (1, 1, 1)),
        ("He", (18, 1, 0)),
        ("Be", (2, 2, 6)),
        ("O", (16, 2, 2)),
        ("Sc", (3, 4, 15)),
        ("Cu", (11, 4, 7)),
        ("La", (3, 6, 29)),
        ("Yb", (3, 6, 16)),
        ("Hf", (4, 6, 14)),
        ("Au", (11, 6, 7)),
        ("Og", (18, 7, 0)),
    ],
)
def test_places(element: str, place: tuple[int, int, int]) -> None:
    z = atomic_numbers[element]
    assert (group(z), period(z), to_noble_gas(z)) == place


@pytest.mark.parametrize(
    ("element", "known", "nearest"),
    [
        ("Na", ["Li", "Mg"], "Li"),
        ("Au", ["Cu", "H"], "Cu"),
        ("S", ["O", "Cl", "Cu"], "O"),
        ("He", ["H", "Xe"], "Xe"),
        ("Eu", ["Gd", "Y", "Ba"], "Gd"),
        ("Hf", ["Zr", "La", "Ta"], "Zr"),
        ("U", ["Nd", "Th"], "Th"),
        ("Cu", ["Cu", "Ag"], "Cu"),
    ],
)
def test_the_nearest_element(element: str, known: list[str], nearest: str) -> None:
    numbers = [atomic_numbers[s] for s in (element, *known, nearest)]
    assert nearest_element(numbers[0], numbers[1:-1]) == numbers[-1]
