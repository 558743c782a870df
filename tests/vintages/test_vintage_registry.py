"""Which tracts a year is on, and how codes changed: against the Bureau's own lists of tracts."""

import itertools
import zipfile

import geopandas as gpd
import pandas as pd
import pytest
import shapely
from stores import stored_regions

from geomob_dask.errors import InputError
from geomob_dask.runs.landing import ingest
from geomob_dask.sources.vintages import (
    check_same_codes,
    county_changes,
    differing_codes,
    recoding,
    registry,
    vintage,
    vintage_of,
)
from geomob_dask.store import Store


def _keys(real_data, year):
    table = pd.read_csv(real_data / "crosswalks" / f"tract-county-crosswalk_{year}.csv.gz", dtype=str)
    return set(table["state"] + table["county"] + table["tract"])


def _acs(real_data, year):
    table = pd.read_csv(real_data / "measures" / "acs5" / f"B01003_{year}.csv.gz", dtype=str, usecols=["GEO_ID"])
    return set(table["GEO_ID"].str[9:])


def _moved(keys, target):
    table = recoding(target)
    found = {}
    for source, code in zip(table["source"], table["target"], strict=True):
        found.setdefault(source, []).append(code)
    return {code for key in keys for code in found.get(key, [key])}


@pytest.mark.parametrize(
    ("year", "expected"),
    [(2009, "2000"), (2010, "2010"), (2019, "2010"), (2020, "2020"), (2021, "2020"), (2022, "2022"), (2031, "2022")],
)
def test_every_release_is_on_one_vintage(year, expected):
    assert vintage_of("acs5_b19001", year) == expected


@pytest.mark.parametrize(("dataset", "year"), [("acs5", 2008), ("decennial", 2015), ("mine", 2020)])
def test_what_is_not_known_is_said(dataset, year):
    with pytest.raises(InputError, match=f"{dataset}.*(expected|available)"):
        vintage_of(dataset, year)


def test_an_unknown_vintage_names_the_known():
    with pytest.raises(InputError, match="'2015': not known; available: 2000, census2010, 2010, 2020, 2022"):
        vintage("2015")


def test_registry_refers_to_itself_only():
    for spans in registry().datasets.values():
        assert all(span.vintage in registry().vintages for span in spans)
        for before, after in itertools.pairwise(spans):
            assert before.years[1] is not None
            assert before.years[1] < after.years[0]


def test_changes_of_counties_are_of_their_kind():
    sizes = {"recode": (1, 1), "merge": (1, 1), "split": (1, 2), "part": None, "reshaped": (8, 9)}
    for change in county_changes():
        assert all(len(code) == 5 and code[:2] == change.was[0][:2] for code in (*change.was, *change.now))
        if sizes[change.kind]:
            assert (len(change.was), len(change.now)) == sizes[change.kind]
    assert {change.was for change in county_changes("recode")} == {("12025",), ("46113",), ("02270",)}


def test_connecticut_is_one_to_one_both_ways():
    forth, back = recoding("2022"), recoding("2020")
    land = forth[forth["kind"] == "recode"]
    assert len(land) == 879
    assert land["source"].is_unique
    assert land["target"].is_unique
    assert (land["source"].str[5:] == land["target"].str[5:]).all()
    there = dict(zip(land["source"], land["target"], strict=True))
    again = {row.target: row.source for row in back.itertuples() if row.kind == "recode"}
    assert again == there
    # Of water too, nothing is given away twice.
    assert forth.groupby("source")["weight"].sum().eq(1.0).all()
    assert back.groupby("source")["weight"].sum().eq(1.0).all()


def test_the_counties_of_the_registry_are_those_of_its_tracts():
    change = county_changes("reshaped")[0]
    table = recoding("2022")
    assert set(table["source"].str[:5]) == set(change.was)
    assert set(table["target"].str[:5]) == set(change.now)


@pytest.mark.real_data
def test_connecticut_as_the_state_publishes_it(real_data):
    published = pd.read_csv(real_data / "crosswalks" / "tract_crosswalk_2022_connecticut.csv.gz", dtype=str)
    published = dict(zip(published["tract_fips_2020"], published["Tract_fips_2022"], strict=True))
    table = recoding("2022")
    table = table[table["kind"] == "recode"]
    assert dict(zip(table["source"], table["target"], strict=True)) == published


@pytest.mark.real_data
def test_releases_become_each_other_whole_country(real_data):
    assert _moved(_acs(real_data, 2021), "2022") == _acs(real_data, 2022)
    assert _moved(_acs(real_data, 2022), "2020") == _acs(real_data, 2021)


@pytest.mark.real_data
def test_tracts_of_2010_become_those_of_2018(real_data):
    counted = set()
    with zipfile.ZipFile(real_data / "tracts" / "gazetteer_2010.zip") as archive:
        for name in (name for name in archive.namelist() if name.endswith(".txt")):
            lines = archive.read(name).decode("latin-1").splitlines()
            counted |= {line.split()[1] for line in lines if line.split()}
    in_2018 = _keys(real_data, 2018)
    assert len(counted - in_2018) == 26
    assert _moved(counted, "2010") == in_2018
    # Back again, but for the tract of water that was joined to another.
    assert counted - _moved(in_2018, "census2010") == {"36085008900"}


@pytest.mark.real_data
def test_county_changes_are_in_the_published_lists(real_data):
    counties = {year: {key[:5] for key in _keys(real_data, year)} for year in (2018, 2020, 2022)}
    for change in county_changes():
        last = 2018 if change.year <= 2018 else 2020 if change.year == 2019 else 2022
        assert set(change.now) <= counties[last], change.note
        if change.kind != "part":
            assert not set(change.was) & counties[last], change.note
        if change.year > 2018:
            assert set(change.was) <= counties[2018], change.note


# Two tables of different codes -------------------------------------------------------------------


def test_connecticut_by_counties_and_by_regions_is_told():
    with pytest.raises(InputError) as told:
        check_same_codes(["09110528100", "39001961400"], ["09013528100", "39001961400"], left_name="measures mine 2023")
    message = str(told.value)
    assert "Connecticut: 1 of measures mine 2023 (09110528100) have codes of vintage 2022" in message
    assert "09013528100" in message
    assert message.endswith("--to 2020")


def test_counties_are_compared_where_one_table_is_of_counties():
    assert [one.state for one in differing_codes(["09110", "09120"], ["09013528100"])] == ["09"]
    assert [one.state for one in differing_codes(["02261000300"], ["02063", "02066"])] == ["02"]


@pytest.mark.parametrize(
    ("older", "newer", "gone"),
    [
        (["51515", "51019"], ["51019"], "51515"),
        (["51515050100", "51019050200"], ["51019"], "51515"),
        (["51560", "51005"], ["51005"], "51560"),
        (["02201"], ["02198"], "02201"),
    ],
)
def test_a_county_that_was_joined_to_another_is_no_mere_absence(older, newer, gone):
    assert [one.left for one in differing_codes(older, newer)] == [(gone,)]
    assert [one.right for one in differing_codes(newer, older)] == [(gone,)]
    assert not differing_codes(older, older)
    assert not differing_codes(newer, newer)


def test_counties_that_gave_land_and_went_on_tell_nothing():
    assert not differing_codes(["08001", "08013", "08014"], ["08014"])
    assert not differing_codes(["08001"], ["08014"])
    # Another county than the one that took it in.
    assert not differing_codes(["51515", "51019"], ["51001"])


@pytest.mark.parametrize(
    ("older", "newer", "state"),
    [
        ("46113940500", "46102940500", "46"),
        ("02270000100", "02158000100", "02"),
        ("51515050100", "51019050100", "51"),
        ("36053940101", "36053030101", "36"),
        ("04019002701", "04019002704", "04"),
    ],
)
def test_single_tracts_are_told_both_ways(older, newer, state):
    assert [(one.state, one.left_vintage) for one in differing_codes([older], [newer])] == [(state, "census2010")]
    assert [(one.state, one.left_vintage) for one in differing_codes([newer], [older])] == [(state, "2010")]


def test_what_is_merely_absent_is_no_difference():
    assert not differing_codes(["09110528100"], ["39001961400"])
    assert not differing_codes([], ["09013528100"])
    # Both tables hold both: no tract is lost.
    both = ["09110528100", "09013528100"]
    assert not differing_codes(both, both)
    # Water: nobody lives there.
    assert not differing_codes(["36085008900"], ["36085009700"])


def test_joins_in_the_product_say_so(tmp_path):
    """Measures by planning regions do not meet regions, or polygons, by counties."""
    store = Store(str(tmp_path / "store"))
    (tmp_path / "regions.csv").write_text("county,metro\n09003,25540\n39001,18140\n")
    ingest(
        store,
        "regions",
        file=str(tmp_path / "regions.csv"),
        name="metro",
        vintage="2022",
        key_column="county",
        region_column="metro",
    )
    measures = pd.DataFrame({"people": [1.0]}, index=pd.Index(["09110528100"], name="geoid"))
    with pytest.raises(InputError, match=r"Connecticut: 1 of measures .09110. have codes of vintage 2022"):
        stored_regions(store, "metro", "2022", "09", measures)
    ohio = measures.set_axis(pd.Index(["39001000100"], name="geoid"))
    assert stored_regions(store, "metro", "2022", "39", ohio)["region"].to_list() == ["18140"]


def test_an_ingest_tells_codes_that_do_not_meet_the_polygons(tmp_path):
    store = Store(str(tmp_path / "store"))
    squares = gpd.GeoDataFrame(
        {"GEOID": ["09013528100"]}, geometry=[shapely.box(-72, 41, -71.9, 41.1)], crs="EPSG:4269"
    )
    squares.to_file(tmp_path / "tracts.geojson", driver="GeoJSON")
    ingest(store, "tracts", files=[str(tmp_path / "tracts.geojson")], vintage="2020")
    (tmp_path / "m.csv").write_text("GEOID,a_count\n09110528100,1\n")
    done = ingest(store, "measures", file=str(tmp_path / "m.csv"), dataset="mine", year=2023, vintage="2020")
    assert any("1 of polygons of 2020 (09013528100) of vintage 2020" in line for line in done.lines)
