"""The benchmark of mobility models still runs."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "mobility.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("benchmark_mobility", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_all_methods_choose_the_same_setting(benchmark):
    sample = benchmark.made_up(150, 9)
    grid = {"C": [0.01, 1.0], "l1_ratio": [0.0, 0.5]}
    table = benchmark.elastic_net(sample, grid, 3, None, ("LogisticRegressionCV", "scikit-learn", "dask-ml"))
    assert len(table) == 4
    assert table["C"].nunique() == table["l1 ratio"].nunique() == 1
    assert (benchmark.growth([60, 120], 9, grid)["rows"] == [60, 120]).all()


def test_help():
    shown = subprocess.run([sys.executable, FILE, "--help"], capture_output=True, text=True, check=True).stdout
    assert "--quick" in shown
    assert "python benchmarks/mobility.py" in shown
