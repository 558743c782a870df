"""Intervals of an index: against the error by formula, what they hold, and the same under any partitioning."""

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from geomob_dask.definition import Definition
from geomob_dask.errors import DefinitionError, InputError
from geomob_dask.frames.drawn_measures import drawable, fit, rows_of_draw
from geomob_dask.frames.draws import intervals, margins_of
from geomob_dask.frames.opportunity import opportunity, rows_and_pairs
from geomob_dask.sources.kinds import Kind

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


TWO = Definition(
    name="two",
    population=None,
    domains={"one": [{"measure": "a"}, {"measure": "b", "direction": -1}], "two": [{"measure": "c_pct"}]},
)


def lattice(side, seed, missing=0.15, noise=0.5):
    """Return true measures of a grid of tracts in two states, what is observed of them, and edges."""
    rng = np.random.default_rng(seed)
    keys = [f"{'01' if number < side * side // 2 else '39'}001{number:06d}" for number in range(side * side)]
    row, column = np.divmod(np.arange(side * side), side)
    steps = [(0, 1), (0, -1), (1, 0), (-1, 0)]
    pairs = [
        (keys[i], keys[i + a * side + b])
        for i in range(len(keys))
        for a, b in steps
        if 0 <= row[i] + a < side > column[i] + b >= 0
    ]
    edges = pd.DataFrame({"neighbor": [b for _, b in pairs]}, index=[a for a, _ in pairs])
    slope = (row + column) / side - 1
    true = pd.DataFrame({name: slope + 0.5 * rng.normal(size=len(keys)) for name in ("a", "b")}, index=keys)
    true["c_pct"] = 100 / (1 + np.exp(3 - slope - 0.6 * rng.normal(size=len(keys))))
    seen = true.copy()
    for name in ("a", "b", "c_pct"):
        error = noise * true[name].std() * rng.uniform(0.5, 1.5, len(keys))
        seen[name] += error * rng.normal(size=len(keys))
        seen.loc[rng.random(len(keys)) < missing, name] = np.nan
        seen[f"{name}_moe"] = 1.645 * error
    seen["c_pct"] = seen["c_pct"].clip(0, 100)
    return true, seen, edges


def test_intervals_hold_the_truth_imputed_or_not():
    held, width, imputed = [], [], []
    for seed in range(3):
        true, seen, edges = lattice(15, seed)
        table = intervals(seen, seen, edges, TWO, draws=40, seed=seed)
        truth = opportunity(true, true, edges, TWO)["opportunity"]
        held.append(truth.between(table["opportunity_lb"], table["opportunity_ub"]))
        width.append(table["opportunity_ub"] - table["opportunity_lb"])
        cells = seen[["a", "b", "c_pct"]].isna().sum(axis=1)
        assert (table["cells_imputed"] == cells).all()
        imputed.append(cells > 0)
    held, width, imputed = pd.concat(held), pd.concat(width), pd.concat(imputed)
    assert imputed.sum() > 200
    for rows in (imputed, ~imputed):
        # Tracts of a world go together: wider than the binomial error of one in 70.
        assert held[rows].mean() == pytest.approx(0.9, abs=0.05)
    assert width[imputed].median() > 1.15 * width[~imputed].median()


def test_the_interval_belongs_to_the_corrected_index():
    _, seen, edges = lattice(12, 3, missing=0.0)
    table = intervals(seen, seen, edges, TWO, draws=40)
    for name in ("opportunity", "rank"):
        assert (table[f"{name}_lb"] <= table[f"{name}_corrected"]).all()
        assert (table[f"{name}_corrected"] <= table[f"{name}_ub"]).all()
    published = opportunity(seen, seen, edges, TWO)["opportunity"].rank().sub(1) / (len(seen) - 1)
    np.testing.assert_allclose(table["rank"], published)
    # Noise spreads ranks: those at both ends lie farther out than is likely.
    assert table["rank_corrected"][table["rank"] > 0.9].mean() < 0.95
    assert table["rank_corrected"][table["rank"] < 0.1].mean() > 0.05


def fitted(seen, edges, definition=TWO, ranges=None):
    rows, pairs = rows_and_pairs(seen, seen, edges, definition)
    margins = margins_of(definition, list(seen.columns))
    return fit(
        drawable(rows, seen, definition=definition, margins=margins), pairs, definition=definition, ranges=ranges or {}
    )


def test_draws_of_shares_stay_in_their_range():
    _, seen, edges = lattice(12, 4)
    assert (seen["c_pct"] == 0).any()
    free, held = (fitted(seen, edges, ranges=ranges) for ranges in ({}, {"c_pct": (0.0, 100.0)}))
    drawn = [np.stack([rows_of_draw(one, TWO, 1, 2020, k)["c_pct"] for k in range(9)]) for one in (free, held)]
    assert drawn[0].min() < 0
    assert drawn[1].min() >= 0
    inside = (drawn[0] >= 0) & (drawn[0] <= 100) & (free.prior.mean == held.prior.mean)[:, 2]
    np.testing.assert_array_equal(drawn[1][inside], drawn[0][inside])


def test_the_kind_of_a_column_gives_its_range():
    _, seen, edges = lattice(12, 4)
    renamed = seen.rename(columns={"c_pct": "c", "c_pct_moe": "c_moe"})
    plain = TWO.model_dump()
    plain["domains"]["two"][0]["measure"] = "c"
    definition = Definition.model_validate(plain)
    kinds = {"c": Kind(kind="share", of=("part", "whole"), scale=100.0)}
    named = intervals(seen, seen, edges, TWO, draws=4)
    pd.testing.assert_frame_equal(intervals(renamed, renamed, edges, definition, draws=4, kinds=kinds), named)
    assert not intervals(renamed, renamed, edges, definition, draws=4).equals(named)


def test_a_value_without_a_margin_is_named_and_not_exact():
    _, seen, edges = lattice(12, 5, missing=0.0)
    top = seen["a"].idxmax()
    seen.loc[[seen.index[40], top], "a_moe"] = np.nan
    found = fitted(seen, edges)
    assert [names for names in found.unknown if names] == ["a", "a"]
    place = list(found.rows.index)
    high = np.quantile(seen["a_moe"].dropna() / 1.645, 0.95)
    for key in (seen.index[40], top):
        assert found.errors[place.index(int(key)), 0] == pytest.approx(high)
    # A top code: the truth is this or more.
    drawn = np.array([rows_of_draw(found, TWO, 1, 2020, k).loc[int(top), "a"] for k in range(20)])
    assert drawn.min() >= seen.loc[top, "a"]
    assert drawn.std() > 0
    table = intervals(seen, seen, edges, TWO, draws=4)
    assert table["without_margin"][table["without_margin"] != ""].to_dict() == {seen.index[40]: "a", top: "a"}


@pytest.mark.parametrize("partitions", [1, 2, 7])
def test_imputed_draws_do_not_depend_on_partitions(partitions):
    _, seen, edges = lattice(8, 6)
    whole = intervals(seen, seen, edges, TWO, draws=3, seed=5, year=2020)
    lazy = intervals(dd.from_pandas(seen[[]], npartitions=partitions), seen, edges, TWO, draws=3, seed=5, year=2020)
    pd.testing.assert_frame_equal(lazy._meta, whole.iloc[:0])
    pd.testing.assert_frame_equal(lazy.compute(scheduler="synchronous"), whole, check_exact=True)


def test_a_tract_without_an_index_has_none_in_draws():
    _, seen, edges = lattice(8, 7)
    alone = pd.DataFrame({name: [np.nan] for name in seen}, index=["39001999999"])
    rows = pd.concat([seen, alone])
    table = intervals(rows, rows, edges, TWO, draws=3)
    assert np.isnan(opportunity(rows, rows, edges, TWO)["opportunity"].iloc[-1])
    assert table.iloc[-1][["draws", "cells_imputed"]].tolist() == [0, 0]
    assert table["reason"].iloc[-1] != ""
    assert (table["draws"].iloc[:-1] == 3).all()


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
