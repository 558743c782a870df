"""The simulation of the index's coverage still runs, and its worlds are what it says."""

import numpy as np
import pytest
from scripts import benchmark


@pytest.fixture(scope="module")
def script():
    return benchmark("coverage_index")


def test_a_world_is_a_sample_of_its_truth(script):
    world = script.made(3, 20, 0.4)
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


def test_the_tables_are_printed(script, capsys):
    script.main(["--worlds", "1", "--side", "8", "--draws", "4"])
    out = capsys.readouterr().out
    assert "1 worlds of 64 tracts, 4 draws, noise 0.4" in out
    for text in ("by decile of the published index", "by decile of the true index", "imputed or not", "all tracts"):
        assert text in out
    rows = next(script.held(script.made(1, 8, 0.4), 4, 0))
    assert set(rows["published"]) <= set(np.arange(1, 11))
