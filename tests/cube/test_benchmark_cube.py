"""The benchmark of cubes still runs."""

import importlib.util
from pathlib import Path

FILE = Path(__file__).parents[2] / "benchmarks" / "cube.py"


def test_a_small_cube_is_measured(tmp_path) -> None:
    spec = importlib.util.spec_from_file_location("benchmark_cube", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = module.measure(str(tmp_path), years=2, tracts=100, measures=3)
    assert (found["years"], found["tracts"], found["chunks"]) == (2, 100, 2)
    assert found["cube_mib"] > 0
