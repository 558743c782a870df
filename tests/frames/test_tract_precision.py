"""Precision of tracts' counts of frames: the same for any partitions, margins of zero estimates as in the source."""

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from exposure_sample import race_table

from geomob_dask.frames.groups import GroupColumns
from geomob_dask.frames.own_rows import value_of
from geomob_dask.frames.tract_precision import ALL_MARGINS, DETAILED, USED, tract_precision
from geomob_dask.sources.groups import Edition, find_grouping

OTHERS = [f"B03002_00{line}E" for line in range(5, 10)]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return race_table()


@pytest.fixture(scope="module")
def edition(table: pd.DataFrame) -> Edition:
    return find_grouping(table.columns)[1]


def of(rows: list[dict], group: str, margin: str) -> list[dict]:
    return [row for row in rows if (row["group"], row["margin"]) == (group, margin)]


def test_margins_of_zero_estimates_count_once_where_they_are_used(edition: Edition) -> None:
    """Of 8 people ±3 and two zero estimates ±4 and ±2: 5 / 1.645 / 8 = 0.380, and with all √29 / 1.645 / 8 = 0.409."""
    table = race_table().iloc[[1]] * 0.0
    table[["B03002_001E", "B03002_003E", "B03002_005E"]] = 100.0, 92.0, 8.0
    table[["B03002_005M", "B03002_006M", "B03002_007M"]] = 3.0, 4.0, 2.0
    rows = value_of(tract_precision(table, edition).report)
    (used,), (whole,) = (of(rows, "other_nh", margin) for margin in (USED, ALL_MARGINS))
    assert (used["with_cv"], used["over_good"], used["over_fair"]) == (1, 1, 0)
    assert (whole["with_cv"], whole["over_good"], whole["over_fair"]) == (1, 1, 1)
    parts = of(rows, "other_nh", DETAILED)
    assert [row["column"] for row in parts] == OTHERS
    assert [row["over_fair"] for row in parts] == [0, 1, 1, 0, 0]
    assert [row["nobody"] for row in parts] == [0, 1, 1, 0, 0]
    # Nobody and no margin: no coefficient.
    assert [row["without_cv"] for row in parts] == [0, 0, 0, 1, 1]
    assert not of(rows, "white_nh", ALL_MARGINS)


def test_shares_are_those_of_the_sources_own_steps(table: pd.DataFrame, edition: Edition) -> None:
    """The source's pivots and ranks, as they are written there, for one group."""
    people = table[table["B03002_001E"] > 0]
    long = pd.DataFrame(
        {
            "value": people[OTHERS].to_numpy().ravel(),
            "moe": people[[name.replace("E", "M") for name in OTHERS]].to_numpy().ravel(),
            "tract": np.repeat(people.index.to_numpy(), len(OTHERS)),
        }
    )
    rank = long.groupby("tract")["moe"].rank(method="first", ascending=False).where(long["value"] == 0, 5)
    rank = rank.where(rank == rank.groupby(long["tract"]).transform("min"), 0)
    kept = long[(long["value"] != 0) | (rank != 0)]
    reduced, original = (np.sqrt((rows["moe"] ** 2).groupby(rows["tract"]).sum()) / 1.645 for rows in (kept, long))
    count = people[OTHERS].sum(axis=1)
    rows = value_of(tract_precision(table, edition).report)
    for margin, se in ((USED, reduced), (ALL_MARGINS, original)):
        (row,) = of(rows, "other_nh", margin)
        assert row["with_cv"] == len(people)
        assert row["over_fair"] == (se / count >= 0.4).sum()
    assert of(rows, "other_nh", USED)[0]["over_fair"] < of(rows, "other_nh", ALL_MARGINS)[0]["over_fair"]


def test_any_partitions_give_the_same(table: pd.DataFrame, edition: Edition) -> None:
    whole = tract_precision(table, edition)
    assert whole.cells.groupby("group")["tracts"].sum().to_dict() == dict.fromkeys(
        ("black_nh", "hispanic", "other_nh", "white_nh"), int((table["B03002_001E"] > 0).sum())
    )
    shuffled = table.iloc[np.random.default_rng(3).permutation(len(table))]
    for frame, partitions in ((table, 1), (table, 7), (shuffled, 5)):
        lazy = tract_precision(dd.from_pandas(frame, npartitions=partitions, sort=False), edition)
        pd.testing.assert_frame_equal(lazy.cells._meta, whole.cells.iloc[:0])
        pd.testing.assert_frame_equal(lazy.cells.compute(scheduler="synchronous"), whole.cells, check_exact=True)
        assert value_of(lazy.report.compute(scheduler="synchronous")) == value_of(whole.report)


def test_columns_of_ones_own_and_a_group_that_is_left() -> None:
    tracts = pd.DataFrame({"a": [10.0, 0.0], "a_moe": [1.0, 5.0], "people": [20.0, 30.0]}, index=["x", "y"])
    groups = GroupColumns(("a",), ("a_moe",), total="people")
    rows = value_of(tract_precision(tracts, groups).report)
    assert [(row["group"], row["margin"], row["with_cv"], row["without_cv"]) for row in rows] == [
        ("a", USED, 2, 0),
        ("other", USED, 0, 2),
    ]
    assert (rows[0]["over_fair"], rows[0]["nobody"]) == (1, 1)
    assert set(tract_precision(tracts, groups).cells.index) == {"a"}
