"""The benchmark of neighbors still runs, and its methods agree."""

import subprocess
import sys
from pathlib import Path

import pytest
import shapely
from scripts import benchmark

FILE = Path(__file__).parents[2] / "benchmarks" / "neighbors.py"


@pytest.fixture(scope="module")
def script():
    return benchmark("neighbors")


def test_the_mesh_is_a_coverage_in_fifty_sorted_tiles(script):
    cells = script.mesh(200)
    assert len(cells) == 200
    assert cells.index.is_monotonic_increasing
    assert cells.index.str[:2].nunique() == 50
    assert cells.is_valid.all()
    assert (shapely.get_num_coordinates(cells.geometry.array) == 45).all()
    assert shapely.coverage_is_valid(cells.geometry.array)


def test_all_methods_find_the_same_pairs(script):
    found = [script.measure(method, "200") for method in script.METHODS]
    found.append(script.measure_on_dask("200", 1))
    # 10 × 20 cells: edges, and two corners at each of 9 × 19 inner nodes.
    assert [run["pairs"] for run in found] == [9 * 20 + 10 * 19 + 2 * 9 * 19] * 4
    assert {run["cells"] for run in found} == {200}


def test_help():
    shown = subprocess.run([sys.executable, FILE, "--help"], capture_output=True, text=True, check=True).stdout
    assert "--cells" in shown
    assert "python benchmarks/neighbors.py" in shown
