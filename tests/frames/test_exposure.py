"""Exposure of frames: the same bits as on one array, for any partitions, on the user's own columns."""

import dask.dataframe as dd
import dask_geopandas
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from exposure_sample import race_table

from geomob_dask.errors import CountsError, DefinitionError, InputError, RunError, SettingsError
from geomob_dask.frames.exposure import (
    Reported,
    exposure,
    exposures,
    interactions,
    merged_exposures,
    region_sums,
)
from geomob_dask.frames.groups import group_counts, names_of
from geomob_dask.frames.own_rows import value_of
from geomob_dask.frames.regions import regions_of
from geomob_dask.metrics.exposure import exposure_by_region, interactions_by_region, plain_sums
from geomob_dask.metrics.exposure_terms import Mode
from geomob_dask.sources.groups import find_grouping
from geomob_dask.transforms.exact_sums import region_sums as exact_sums


@pytest.fixture(scope="module")
def table():
    return race_table()


@pytest.fixture(scope="module")
def edition(table):
    return find_grouping(table.columns)[1]


@pytest.fixture(scope="module")
def links(table):
    """Return tracts parted at random among regions that do not heed state lines, some of them in none."""
    random = np.random.default_rng(1)
    rows = []
    for geoid in table.index:
        regions = random.choice(6, size=2, replace=False)
        shares = random.dirichlet([1, 1, 1])[:2]
        rows += [(geoid, f"r{region}", "", share, 0.1) for region, share in zip(regions, shares, strict=True)]
    frame = pd.DataFrame(rows, columns=["geoid", "region", "region_name", "afact", "afact2"])
    return frame.set_index("geoid").sort_index()


def computed(frame):
    return frame.compute(scheduler="synchronous")


@pytest.mark.parametrize("mode", list(Mode))
def test_any_partitions_give_the_bits_of_one_array(table, edition, links, mode):
    groups = group_counts(table, edition, table.index)
    rows = table.index.get_indexer(links.index)
    codes, names = pd.factorize(links["region"], sort=True)
    given = (groups.counts[rows], groups.moes[rows], groups.total[rows], codes, len(names))
    share = links["afact"].to_numpy()
    expected = exposure_by_region(*given, share=share, overlap=links["afact2"].to_numpy(), mode=mode)
    pairs = interactions_by_region(*given, share=share, mode=mode)
    whole, whole_pairs = exposure(table, by=links, mode=mode), interactions(table, by=links, mode=mode)
    assert whole.index.tolist() == list(names)
    for place, group in enumerate(groups.names):
        np.testing.assert_array_equal(whole[f"{group}_exposure"], expected.value[:, place])
        np.testing.assert_array_equal(whole[f"{group}_exposure_corrected"], expected.corrected[:, place])
        np.testing.assert_array_equal(whole[f"{group}_exposure_se"], expected.se[:, place])
        np.testing.assert_array_equal(whole[f"{group}_count_cv"], expected.count_cv[:, place])
    np.testing.assert_array_equal(whole_pairs["interaction"], pairs.value.ravel())
    np.testing.assert_array_equal(whole_pairs["interaction_corrected"], pairs.corrected.ravel())
    np.testing.assert_array_equal(whole_pairs["interaction_se"], pairs.se.ravel())
    for partitions in (1, 3, 40):
        lazy = dd.from_pandas(table, npartitions=partitions)
        for by in (links, dd.from_pandas(links, npartitions=2)):
            found = exposure(lazy, by=by, mode=mode)
            pd.testing.assert_frame_equal(found._meta, whole.iloc[:0])
            pd.testing.assert_frame_equal(computed(found), whole, check_exact=True)
        pd.testing.assert_frame_equal(computed(interactions(lazy, by=links, mode=mode)), whole_pairs, check_exact=True)


def test_partitions_need_no_order_where_regions_come_with_the_rows(table):
    shuffled = table.iloc[np.random.default_rng(3).permutation(len(table))]
    lazy = dd.from_pandas(shuffled, npartitions=5, sort=False)
    pd.testing.assert_frame_equal(computed(exposure(lazy, by="county")), exposure(table, by="county"), check_exact=True)


def test_a_column_of_regions(table, edition):
    zones = table.assign(zone=["a", "b", None, "a"] * (len(table) // 4))
    lazy = dd.from_pandas(zones, npartitions=4)
    assert computed(exposure(lazy, by="zone")).index.tolist() == ["a", "b"]
    report = value_of(computed(exposures(lazy, regions_of(lazy, "zone"), edition).report))
    assert report["tracts_outside"] == len(table) // 4
    assert report["people_outside"] == zones.loc[zones["zone"].isna(), "B03002_001E"].sum()
    with pytest.raises(InputError, match="zoo"):
        exposure(lazy, by="zoo")


def test_a_tract_whose_groups_do_not_add_up_is_named(table):
    wrong = table.copy()
    wrong.loc["92003000300", "B03002_003E"] += 1
    wrong.loc["92003000300", "B03002_001E"] += 5
    with pytest.raises(CountsError, match="92003000300"):
        computed(exposure(dd.from_pandas(wrong, npartitions=3), by="county"))


def test_people_that_vanish_on_the_way_fail_the_run(table, edition, links):
    def merged(part, mode=Mode.CORRECTED):
        return merged_exposures([part], groups=names_of(edition), mode=mode, threshold=30, reported=None)

    options = {"groups": edition, "mode": Mode.CORRECTED, "interactions": False}
    part = region_sums(table, links, **options)
    merged(part)
    lost = type(part)(**{**part.__dict__, "people": part.people + 1})
    with pytest.raises(RunError, match=r"people before, .* after"):
        merged(lost)
    # Whole tracts are counted several times as published in 2023: nothing to balance.
    merged(lost, Mode.PUBLISHED_2023)
    with pytest.raises(InputError, match="144 tracts"):
        merged(region_sums(table, links.iloc[:0], **options))


def test_reported_people_are_compared(table):
    people = table["B03002_001E"].groupby(table.index.str[:5]).sum()
    exposure(table, by="county", reported=Reported(people, tolerance=1e-12))
    with pytest.raises(RunError, match="92003"):
        exposure(table, by="county", reported=Reported(people.where(people.index != "92003", people * 1.2)))


def test_thresholds_are_people(table):
    with pytest.raises(SettingsError, match="nan"):
        exposure(table, by="county", threshold=float("nan"))


def test_columns_of_a_geodataframe_with_any_index():
    points = gpd.points_from_xy(range(4), range(4))
    people = {"BLACK": [720, 180, 10, 0], "WHITE": [80, 180, 10, 0], "TOWN": [1, 1, 2, 2]}
    frame = gpd.GeoDataFrame({**people, "TOTAL": [1000, 400, 20, 0]}, geometry=points)
    found = exposure(frame, by="TOWN", groups=["BLACK", "WHITE"], threshold=0)
    assert found["BLACK_exposure"].to_dict() == {"1": 0.18, "2": 0.5}
    # Margins are not known, so neither is the error of a value.
    assert found["BLACK_exposure_se"].isna().all()
    assert found["BLACK_exposure_reason"].str.contains("margin").all()
    rest = exposure(frame, by="TOWN", groups=["BLACK", "WHITE"], total="TOTAL", threshold=0)
    assert rest["other_count"].to_dict() == {"1": 240, "2": 0}
    assert (rest["people_count"] == frame.groupby("TOWN")["TOTAL"].sum().to_numpy()).all()
    margins = frame.assign(BLACK_moe=0.0, WHITE_moe=0.0)
    exact = exposure(margins.set_axis(list("wxyz")), by="TOWN", groups=["BLACK", "WHITE"])
    assert exact["BLACK_exposure_se"]["1"] == 0
    tracts = dask_geopandas.from_geopandas(frame, npartitions=3)
    lazy = exposure(tracts, by="TOWN", groups=["BLACK", "WHITE"], threshold=0)
    pd.testing.assert_frame_equal(computed(lazy), found, check_exact=True)


@pytest.mark.parametrize(
    ("groups", "error", "named"),
    [
        (["a"], DefinitionError, "a"),
        (["a", "a"], DefinitionError, "a, a"),
        (["a", "zoo"], DefinitionError, "zoo"),
        (["a", "negative"], CountsError, "negative"),
    ],
)
def test_columns_that_are_no_groups_are_named(groups, error, named):
    frame = pd.DataFrame({"a": [1.0], "b": [2.0], "negative": [-1.0], "town": ["x"]})
    with pytest.raises(error, match=named):
        exposure(frame, by="town", groups=groups)


def test_a_tract_that_occurs_twice_is_named():
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [2.0, 3.0], "town": ["x", "x"]}, index=["t1", "t1"])
    with pytest.raises(InputError, match="t1"):
        exposure(frame, by="town", groups=["a", "b"])


def test_plain_sums_differ_in_the_last_bits_only(table, edition, links):
    groups = group_counts(table, edition, table.index)
    rows = table.index.get_indexer(links.index)
    codes, names = pd.factorize(links["region"], sort=True)
    given = (groups.counts[rows], groups.moes[rows], groups.total[rows], codes, len(names))
    exact, plain = (exposure_by_region(*given, add=add) for add in (exact_sums, plain_sums))
    for field in ("value", "corrected", "se", "count", "count_se", "people"):
        np.testing.assert_allclose(getattr(plain, field), getattr(exact, field), rtol=1e-9)
