"""The simulation of the index's coverage still runs, and its worlds are what it says."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "coverage_index.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("coverage_index", FILE)
    module = importlib.util.module_from_spec(spec)
    # Its dataclass looks its module up.
    sys.modules["coverage_index"] = module
    spec.loader.exec_module(module)
    return module


def test_a_world_is_a_sample_of_its_truth(benchmark):
    world = benchmark.made(3, 20, 0.4)
    measures = list(world.definition.measures)
    assert not world.truth[measures].isna().any(axis=None)
    gaps = world.observed[measures].isna()
    assert 0.02 < gaps.mean(axis=None) < 0.09
    margins = world.observed[[f"{name}_moe" for name in measures]].set_axis(measures, axis=1)
    assert 0 < margins.isna().mean(axis=None) < 0.03
    z = ((world.observed[measures] - world.truth[measures]) / (margins / 1.645)).stack()
    assert z.std() == pytest.approx(1.0, abs=0.06)
    assert world.observed["poverty_pct"].dropna().between(0, 100).all()
    assert (world.edges.groupby(level=0).size() <= 8).all()


def test_the_tables_are_printed(benchmark, capsys):
    benchmark.main(["--worlds", "1", "--side", "8", "--draws", "4"])
    out = capsys.readouterr().out
    assert "1 worlds of 64 tracts, 4 draws, noise 0.4" in out
    for text in ("by decile of the published index", "by decile of the true index", "imputed or not", "all tracts"):
        assert text in out
    rows = next(benchmark.held(benchmark.made(1, 8, 0.4), 4, 0))
    assert set(rows["published"]) <= set(np.arange(1, 11))
