"""Intervals of an index from margins of error: against the error by formula, and the same under any order of work."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from geomob_dask.definition import Definition
from geomob_dask.errors import DefinitionError
from geomob_dask.lift import opportunity as lift
from geomob_dask.lift.draws import Drawable, drawable, intervals, margin_columns, one_draw
from geomob_dask.lift.halo import Edges

NO_EDGES = Edges(np.zeros(0, dtype=object), np.zeros(0, dtype=object))
ONE = Definition(
    name="t", population=None, domains={"one": [{"measure": "a", "direction": -1}]}, parameters={"recipe": "z_mean"}
)


def country(errors):
    rng = np.random.default_rng(11)
    states = []
    for state in ("01", "39"):
        keys = pd.Index([f"{state}001{number:06d}" for number in range(30)], dtype="str", name="geoid")
        rows = pd.DataFrame({"a": rng.normal(50, 10, 30), "a_moe": np.tile(errors, 15)}, index=keys)
        block = lift.block(keys, rows, NO_EDGES, ONE)
        states.append((state, drawable(block, rows, ONE, {"a": "a_moe"})))
    return states


def of(states, state, draws):
    return intervals(dict(states)[state].block.keys, [draw[state] for draw in draws])


def test_small_errors_widen_as_the_formula_says():
    states = country([1.645, 0.0])  # a standard error of 1, and none
    draws = [one_draw(states, {}, ONE, 5, 2020, number) for number in range(400)]
    # To first order: z = (x - mean)/s moves with every x, through the mean and s.
    x = np.concatenate([one.block.observed[:, 0] for _, one in states])
    n, z = len(x), (x - x.mean()) / x.std(ddof=1)
    jacobian = (np.eye(n) - 1 / n - np.outer(z, z) / (n - 1)) / x.std(ddof=1)
    expected = np.split(np.sqrt(jacobian**2 @ np.tile([1.0, 0.0], n // 2)), 2)
    for (state, _), se in zip(states, expected, strict=True):
        table = of(states, state, draws)
        assert (table["draws"] == 400).all()
        # 400 draws know a standard error to 3.5 %: 60 of them stay within four times that.
        np.testing.assert_allclose(table["opportunity_se"], se, rtol=0.14)
        np.testing.assert_allclose(table["opportunity_ub"] - table["opportunity_lb"], 2 * 1.645 * se, rtol=0.25)
        assert ((table["rank_lb"] >= 0) & (table["rank_ub"] <= 1) & (table["rank_lb"] <= table["rank_ub"])).all()


def test_without_errors_the_interval_is_the_index():
    states = country([0.0, np.nan])
    draws = [one_draw(states, {}, ONE, 5, 2020, number) for number in range(3)]
    table = of(states, "39", draws)
    np.testing.assert_array_equal(table["opportunity_lb"], table["opportunity_ub"])
    np.testing.assert_array_equal(table["opportunity_lb"], draws[0]["39"][0])
    assert table["opportunity_se"].max() < 1e-14


def test_a_draw_is_named_by_seed_state_year_and_number():
    states = country([3.0, 2.0])
    first = one_draw(states, {}, ONE, 5, 2020, 7)
    again = one_draw(states[::-1], {}, ONE, 5, 2020, 7)
    for state in ("01", "39"):
        np.testing.assert_array_equal(first[state][0], again[state][0])
    for other in ((6, 2020, 7), (5, 2021, 7), (5, 2020, 8)):
        assert (one_draw(states, {}, ONE, *other)["01"][0] != first["01"][0]).any()


def test_missing_values_stay_missing():
    (state, one), _ = country([3.0, 2.0])
    holes = one.block.observed.copy()
    holes[4] = np.nan
    with_hole = Drawable(replace(one.block, observed=holes), one.errors)
    draws = [one_draw([(state, with_hole)], {}, ONE, 5, 2020, number) for number in range(3)]
    table = of([(state, with_hole)], state, draws)
    assert table.isna().any(axis=1).to_numpy().nonzero()[0].tolist() == [4]
    assert table["draws"].iloc[4] == 0


def test_margins_are_found_by_their_names():
    bureau = Definition(name="t", domains={"one": [{"measure": "B19013_001E"}, {"measure": "poverty"}]})
    assert margin_columns(bureau, ["B19013_001E", "B19013_001M", "poverty"]) == {"B19013_001E": "B19013_001M"}
    assert margin_columns(bureau, ["poverty_moe"]) == {"poverty": "poverty_moe"}
    with pytest.raises(
        DefinitionError, match=r"none of its measures has a column of margins; expected .*a_moe among: a"
    ):
        margin_columns(ONE, ["a"])


def test_a_negative_margin_is_named():
    with pytest.raises(DefinitionError, match="column a_moe, tract 01001000000: found -1, expected a margin"):
        country([-1.0, 0.0])
