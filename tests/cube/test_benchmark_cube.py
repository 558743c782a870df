"""The benchmark of cubes still runs."""

from scripts import benchmark


def test_a_small_cube_is_measured(tmp_path) -> None:
    found = benchmark("cube").measure(str(tmp_path), years=2, tracts=100, measures=3)
    assert (found["years"], found["tracts"], found["chunks"]) == (2, 100, 2)
    assert found["cube_mib"] > 0
