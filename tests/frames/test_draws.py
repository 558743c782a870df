"""Intervals of an index from margins of error: against the error by formula, and the same under any partitioning."""

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from geomob_dask.definition import Definition
from geomob_dask.errors import DefinitionError, InputError
from geomob_dask.frames.draws import intervals, margins_of
from geomob_dask.frames.opportunity import opportunity

ONE = Definition(
    name="t", population=None, domains={"one": [{"measure": "a", "direction": -1}]}, parameters={"recipe": "z_mean"}
)
NO_EDGES = pd.DataFrame({"neighbor": pd.Series([], dtype="str")}, index=pd.Index([], dtype="str"))


def country(errors):
    rng = np.random.default_rng(11)
    keys = [f"{state}001{number:06d}" for state in ("01", "39") for number in range(30)]
    return pd.DataFrame({"a": rng.normal(50, 10, 60), "a_moe": np.tile(errors, 30)}, index=keys)


def drawn(rows, draws=3, seed=5, year=2020):
    return intervals(rows, rows, NO_EDGES, ONE, draws=draws, seed=seed, year=year)


def test_small_errors_widen_as_the_formula_says():
    rows = country([1.645, 0.0])  # a standard error of 1, and none
    table = drawn(rows, 400)
    # To first order: z = (x - mean)/s moves with every x, through the mean and s.
    x = rows["a"].to_numpy()
    n, z = len(x), (x - x.mean()) / x.std(ddof=1)
    jacobian = (np.eye(n) - 1 / n - np.outer(z, z) / (n - 1)) / x.std(ddof=1)
    expected = np.sqrt(jacobian**2 @ np.tile([1.0, 0.0], n // 2))
    assert (table["draws"] == 400).all()
    # 400 draws know a standard error to 3.5 %: 60 of them stay within four times that.
    np.testing.assert_allclose(table["opportunity_se"], expected, rtol=0.14)
    np.testing.assert_allclose(table["opportunity_ub"] - table["opportunity_lb"], 2 * 1.645 * expected, rtol=0.25)
    assert ((table["rank_lb"] >= 0) & (table["rank_ub"] <= 1) & (table["rank_lb"] <= table["rank_ub"])).all()


def test_without_errors_the_interval_is_the_index():
    rows = country([0.0, np.nan])
    table = drawn(rows)
    np.testing.assert_array_equal(table["opportunity_lb"], table["opportunity_ub"])
    np.testing.assert_array_equal(table["opportunity_lb"], opportunity(rows, rows, NO_EDGES, ONE)["opportunity"])
    assert table["opportunity_se"].max() < 1e-14


@pytest.mark.parametrize("partitions", [1, 2, 7])
def test_draws_do_not_depend_on_partitions(partitions):
    rows = country([3.0, 2.0])
    lazy = intervals(
        dd.from_pandas(rows[[]], npartitions=partitions), rows, one_edge(rows), ONE, draws=3, seed=5, year=2020
    )
    whole = intervals(rows, rows, one_edge(rows), ONE, draws=3, seed=5, year=2020)
    pd.testing.assert_frame_equal(lazy._meta, whole.iloc[:0])
    pd.testing.assert_frame_equal(lazy.compute(scheduler="synchronous"), whole, check_exact=True)


def one_edge(rows):
    """Return one edge: a frame in memory without rows has no place among Dask frames."""
    return pd.DataFrame({"neighbor": [rows.index[1]]}, index=rows.index[:1])


def test_a_draw_is_named_by_seed_state_year_and_number():
    rows = country([3.0, 2.0])
    first = drawn(rows)
    pd.testing.assert_frame_equal(drawn(rows.iloc[::-1]), first, check_exact=True)
    for other in ({"seed": 6}, {"year": 2021}, {"draws": 4}):
        assert (drawn(rows, **other)["opportunity_lb"] != first["opportunity_lb"]).any()
    # Errors of one state do not depend on those of others: ranks do, and so do z-scores.
    exact = rows.assign(a_moe=rows["a_moe"].where(rows.index.str[:2] == "01", 0.0))
    z = Definition.model_validate({**ONE.model_dump(), "parameters": {"recipe": "z_mean"}})
    assert (intervals(exact, exact, NO_EDGES, z, draws=3, seed=5, year=2020)["opportunity_se"] > 0).all()


def test_missing_values_stay_missing():
    rows = country([3.0, 2.0])
    rows.iloc[4, 0] = np.nan
    table = drawn(rows)
    assert table.isna().any(axis=1).to_numpy().nonzero()[0].tolist() == [4]
    assert table["draws"].iloc[4] == 0


def test_margins_are_found_by_their_names():
    acs = Definition(name="t", domains={"one": [{"measure": "B19013_001E"}, {"measure": "poverty"}]})
    assert margins_of(acs, ["B19013_001E", "B19013_001M", "poverty"]) == {"B19013_001E": "B19013_001M"}
    assert margins_of(acs, ["poverty_moe", "poverty"]) == {"poverty": "poverty_moe"}
    with pytest.raises(DefinitionError, match="a_moe"):
        margins_of(ONE, ["a"])


def test_a_negative_margin_is_named():
    with pytest.raises(DefinitionError, match=r"a_moe.*01001000000.*-1"):
        drawn(country([-1.0, 0.0]))


def test_one_draw_has_no_interval():
    with pytest.raises(InputError, match="1"):
        drawn(country([1.0, 1.0]), draws=1)
