"""The benchmark of mobility models still runs."""

import subprocess
import sys
from pathlib import Path

import pytest
from scripts import benchmark

FILE = Path(__file__).parents[2] / "benchmarks" / "mobility.py"


@pytest.fixture(scope="module")
def script():
    return benchmark("mobility")


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_all_methods_choose_the_same_setting(script):
    sample = script.made_up(150, 9)
    grid = {"C": [0.01, 1.0], "l1_ratio": [0.0, 0.5]}
    table = script.elastic_net(sample, grid, 3, None, ("LogisticRegressionCV", "scikit-learn", "dask-ml"))
    assert len(table) == 4
    assert table["C"].nunique() == table["l1 ratio"].nunique() == 1
    assert (script.growth([60, 120], 9, grid)["rows"] == [60, 120]).all()


def test_help():
    shown = subprocess.run([sys.executable, FILE, "--help"], capture_output=True, text=True, check=True).stdout
    assert "--quick" in shown
    assert "python benchmarks/mobility.py" in shown
