"""Published values and real tables; skipped by name without GEOMOB_DATA."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from geomob_dask.frames.exposure import exposure
from geomob_dask.frames.groups import group_counts
from geomob_dask.frames.interpolation import interpolate
from geomob_dask.frames.overlay import area_weights
from geomob_dask.metrics.checks_exposure import check_exposures
from geomob_dask.metrics.exposure import exposure_by_region
from geomob_dask.metrics.exposure_terms import Mode
from geomob_dask.sources import geocorr
from geomob_dask.sources.acs_files import check_whole_country, read_file
from geomob_dask.sources.groups import find_grouping
from geomob_dask.sources.keys import tract_geoids
from geomob_dask.transforms.margins_of_error import proportion_moe

pytestmark = pytest.mark.real_data
PLACE_STATES = ("08", "39", "53")


@pytest.fixture(scope="module")
def ten_states(real_data):
    file = real_data / "exposure" / "acs5_2018_race_10_states.csv.gz"
    table = pd.read_csv(file)
    table["geoid"] = tract_geoids(table["GEOID"], file=str(file), column="GEOID")[0]
    _, edition = find_grouping(table.columns, 2018)
    return table["geoid"], group_counts(table, edition, table["geoid"])


@pytest.fixture(scope="module")
def counties(ten_states):
    geoids, groups = ten_states
    codes, names = pd.factorize(geoids.str[:5], sort=True)
    found = exposure_by_region(groups.counts, groups.moes, groups.total, codes, len(names))
    check_exposures(found, list(names), groups.names)
    return groups.names, pd.Index(names), found


def test_all_counties_repeat_the_published_exposures(real_data, counties):
    groups, names, found = counties
    assert len(names) == 711
    published = pd.read_csv(
        real_data / "exposure" / "published_county_exposure_2018_OH_WA.csv", dtype={"state": str, "county": str}
    )
    rows = names.get_indexer(published["state"] + published["county"])
    for group in groups:
        value = published[f"share_{group}_exposure"].to_numpy()
        quality = published[f"share_{group}_exposure_quality"].to_numpy()
        column = groups.index(group)
        # assert_allclose takes a NaN for equal to a NaN only.
        np.testing.assert_allclose(found.value[rows, column], value, rtol=0, atol=1e-9)
        if group == "other_nh":
            # Their margin is not in the file; that of a difference is too wide, but in a county of one tract whose
            # total is controlled.
            kinder = found.quality[rows, column] < quality
            assert names[rows[kinder]].tolist() == ["53013"]
        else:
            np.testing.assert_array_equal(found.quality[rows, column], quality)


def test_a_published_flag_needs_the_margin_of_a_tract_where_nobody_lives(real_data, ten_states, counties):
    geoids, groups = ten_states
    names, index, found = counties
    pacific, black = index.get_loc("53049"), names.index("black_nh")
    published = pd.read_csv(real_data / "exposure" / "published_county_exposure_2018_OH_WA.csv", dtype=str)
    row = published[(published["state"] == "53") & (published["county"] == "049")].iloc[0]
    assert float(row["share_black_nh_exposure_quality"]) == found.quality[pacific, black] == 3
    codes = published["state"] + published["county"]
    empty = (groups.total == 0) & geoids.str[:5].isin(codes).to_numpy()
    assert geoids[empty].str[:5].nunique() == 22
    there = geoids.str.startswith("53049").to_numpy() & (groups.total > 0)
    given = (groups.counts[there], groups.moes[there], groups.total[there])
    without = exposure_by_region(*given, np.zeros(there.sum(), np.int64), 1)
    # The numbers of docs/exposure.md.
    assert found.count[pacific, black] == 72
    assert [round(float(one), 3) for one in (found.count_cv[pacific, black], without.count_cv[0, black])] == [
        0.401,
        0.388,
    ]
    assert without.quality[0, black] == 2


def test_places_by_area_in_three_modes_balance_to_the_last_person(real_data, ten_states):
    geoids, groups = ten_states
    tracts = gpd.read_parquet(real_data / "tracts" / "cb500k_2010_vintage.parquet", columns=["GEOID", "geometry"])
    tracts = tracts[tracts["GEOID"].str[:2].isin(PLACE_STATES)]
    places = pd.concat(
        [
            gpd.read_file(real_data / "places" / f"tl_2019_{state}_place.zip", columns=["GEOID"])
            for state in PLACE_STATES
        ]
    )
    tracts, places = (
        layer.set_geometry(shapely.make_valid(layer.geometry.to_numpy())).set_crs("EPSG:4269").set_index("GEOID")
        for layer in (tracts, places)
    )
    links = area_weights(tracts, places).sort_index()
    here = geoids.str[:2].isin(PLACE_STATES).to_numpy()
    total = pd.DataFrame({"people": groups.total[here]}, index=geoids[here].to_numpy())
    columns = {name: groups.counts[here, place] for place, name in enumerate(groups.names)}
    margins = {f"{name}_moe": groups.moes[here, place] for place, name in enumerate(groups.names)}
    counts = total.assign(**columns, **margins)
    # Each run balances to the last person, or fails.
    by_mode = {mode: exposure(counts, by=links, groups=groups.names, mode=mode) for mode in Mode}
    whole, published, corrected = by_mode.values()
    assert len(corrected) == len(places) == 2299
    people = interpolate(total, links, extensive=["people"])["people"]
    np.testing.assert_allclose(corrected["people_count"], people, rtol=1e-12)
    for name in groups.names:
        np.testing.assert_array_equal(published[f"{name}_exposure"], corrected[f"{name}_exposure"])
        assert (corrected[f"{name}_count_se"] <= published[f"{name}_count_se"]).all()
        assert (published[f"{name}_count_se"] <= whole[f"{name}_count_se"]).all()
    assert (whole["people_count"] >= corrected["people_count"]).all()
    assert whole["people_count"].sum() > 1.5 * corrected["people_count"].sum()
    # About 870,000 are reported; its edge has many fields, and areas spread people over them.
    columbus = "3918000"
    assert 750_000 < corrected["people_count"][columbus] < 870_000 < whole["people_count"][columbus]
    assert 0.7 < corrected["overlap"][columbus] <= 1


def test_the_countrys_own_row_is_no_tract_and_tracts_sum_to_it(real_data):
    table = read_file(real_data / "exposure" / "acs5_2018_B02001_all_states.zip")
    assert len(table.tracts) == 74_001
    assert table.others["GEO_ID"].tolist() == ["0100000US"]
    grouping, edition = find_grouping(table.tracts.columns, 2018)
    assert grouping.name == "b02001_races"
    for column in edition.columns[::2]:
        check_whole_country(table, column)
    groups = group_counts(table.tracts, edition, table.tracts["geoid"])
    assert set(table.reasons["reason"]) == {"controlled estimate: no sampling error"}
    assert not np.isnan(groups.moes).any()


@pytest.mark.parametrize("name", ["B01003_2024", "B19083_2020", "B19113_2021", "B25077_2023", "B26001_2022"])
def test_every_code_and_annotation_of_real_tables_is_known(real_data, name):
    table = read_file(real_data / "measures" / "acs5" / f"{name}.csv.gz")
    numbers = table.tracts.drop(columns="geoid")
    missing = numbers.isna().sum().sum()
    coded = table.reasons["reason"].str.contains("coded|controlled").sum()
    assert missing == len(table.reasons) - coded
    assert numbers.min().min() >= 0


@pytest.mark.parametrize(
    "name",
    [
        "geocorr2018_county_place_2010_thru_2019",
        "geocorr2022_county_place_2022_onwards",
        "geocorr2022_ct_planning_region_to_place",
    ],
)
def test_real_geocorr_files_add_up(real_data, name):
    table = geocorr.read_geocorr(real_data / "crosswalks" / f"{name}.csv.gz", complete=True)
    assert table["region"].str.fullmatch("([0-9]{7})?").all()
    np.testing.assert_allclose(table.groupby("geoid")["afact"].sum(), 1, atol=1e-3)


def test_no_uncertain_share_of_ten_states_is_certain(real_data):
    table = pd.read_csv(real_data / "exposure" / "acs5_2018_race_10_states.csv.gz")
    total, total_moe = table["totraceE"], table["totraceM"]
    whole = 0
    for group in ("White", "Black", "Asian", "Latinx"):
        count, margin = table[f"{group}E"], table[f"{group}M"]
        found = proportion_moe(count, margin, total, total_moe)
        uncertain = (total > 0) & (margin > 0) & total_moe.notna()
        assert (found[uncertain] > 0).all()
        whole += int(((count == total) & uncertain).sum())
    assert whole == 23
