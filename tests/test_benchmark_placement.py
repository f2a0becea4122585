"""The benchmark of structures far from the origin, and that float32 carries them."""

from benchmarks.placement import changes, ethanol, make_models


def test_moving_a_structure_changes_less_than_float32_may() -> None:
    (energy, forces), reordered = changes(make_models()["bpnn"], ethanol(0), seed=0)
    assert energy < 1e-5 and forces < 1e-4
    assert 0.0 < reordered[0] < 1e-4  # so these are float32 energies
