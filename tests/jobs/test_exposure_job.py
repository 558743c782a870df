"""The command lines of exposure and of what it needs, as a user runs them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from census_server import broken_json, serving, status
from exposure_sample import metro_json, race_table, saved
from pages import data_of, numbers
from stores import contents

from geomob_dask.store import Provenance, Store

ROOT = Path(__file__).parents[2]


@pytest.fixture
def url(tmp_path, monkeypatch, job):
    """Return a store with the made-up counts of 2018; tasks run in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEOMOB_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("GEOMOB_CLUSTER", "serial")
    file = saved(race_table(), tmp_path / "race.csv")
    assert job("ingest", "measures", file, "--dataset", "race", "--year", 2018, "--vintage", "2010").code == 0
    return str(tmp_path / "store")


def test_from_files_to_tables_and_report(url, job, tmp_path):
    Path("metro.json").write_text(json.dumps(metro_json()))
    done = job("ingest", "regions", "metro.json", "--name", "cbsa", "--vintage", "2010")
    assert done.code == 0, done.err
    assert "4 links of a county to 3 regions" in done.out
    arguments = ["exposure", "--dataset", "race", "--year", 2018, "--by", "county"]
    done = job(
        *arguments,
        *("--export", "c.csv", "--long", "l.csv", "--interactions", "i.parquet", "--report", "r.html"),
        *("--as", "published"),
    )
    assert done.code == 0, done.err
    assert "12 regions from 144 tracts, groups b03002_four, mode published" in done.out
    assert "by quality 1, 2, 3 of the count" in done.out
    assert "not in these values nor in their bounds" in done.out
    wide = pd.read_csv("c.csv", dtype={"county": str})
    assert set(wide["bounds_of"]) == {"exposure"}
    assert wide.columns[:6].tolist() == ["county", "region_name", "mode", "tracts", "people_count", "overlap"]
    for suffix in ("exposure", "exposure_lb", "exposure_ub", "exposure_quality", "exposure_reason", "count_se"):
        assert f"hispanic_{suffix}" in wide
    assert set(wide["mode"]) == {"published"}
    long = pd.read_csv("l.csv", dtype={"state": str, "county": str})
    columns = "year state county subgroup_type subgroup value value_lb value_ub value_quality"
    assert list(long) == columns.split()
    assert (long["state"] + long["county"])[::4].tolist() == wide["county"].tolist()
    black = long[long["subgroup"] == "Black, Non-Hispanic"]["value"]
    np.testing.assert_allclose(black, wide["black_nh_exposure"])
    pairs = pd.read_parquet("i.parquet")
    others = pairs[pairs["group"] != pairs["other"]].groupby(["county", "group"])["interaction"].sum()
    np.testing.assert_allclose(others.xs("hispanic", level="group"), wide["hispanic_exposure"])
    page = Path("r.html").read_text(encoding="utf-8")
    assert "Exposure by county, race 2018" in page
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=", page)
    again = job(*arguments, "--as", "published", "--dry-run", "--interactions", "i.csv")
    assert "up to date, nothing to do" in again.out


def test_a_map_needs_polygons_and_shows_every_region(url, job):
    arguments = ["exposure", "--dataset", "race", "--year", 2018, "--by", "county", "--map", "m.html"]
    done = job(*arguments)
    assert done.code == 2
    assert all(word in done.err for word in ("--map m.html", "vintage 2010"))
    geoids = race_table().index
    west = np.arange(len(geoids)) % 12 * 1000.0
    south = np.arange(len(geoids)) // 12 * 1000.0
    squares = gpd.GeoDataFrame(
        {"GEOID": geoids}, geometry=shapely.box(west, south, west + 1000, south + 1000), crs="EPSG:5070"
    )
    squares.iloc[1:].to_parquet("squares.parquet")
    assert job("ingest", "tracts", "squares.parquet", "--vintage", "2010").code == 0
    done = job(*arguments)
    assert done.code == 0, done.err
    page = Path("m.html").read_text(encoding="utf-8")
    assert "Exposure by county, race 2018" in page
    assert "Not drawn" not in page, "a county is drawn without one of its tracts"
    # What stands under the pointer: the county's own value, to three places.
    table = Store(url).frame("results/exposure/b03002_four/race/2018/all-county-corrected-30").compute()
    shown = {layer["label"]: numbers(layer["values"]) for layer in data_of(page)["layers"]}
    np.testing.assert_allclose(shown["Hispanic"], table["hispanic_exposure_corrected"].sort_index(), atol=5e-4)


def test_bounds_lie_around_the_corrected_exposure_beside_the_uncorrected_one(url, job):
    arguments = ("exposure", "--dataset", "race", "--year", 2018, "--by", "state")
    done = job(*arguments, "--export", "c.csv", "--interactions", "i.csv", "--report", "r.html")
    assert done.code == 0, done.err
    assert "exposure to everybody else, corrected for noise in the tracts' counts" in done.out
    assert "correction for noise: median" in done.out
    job(*arguments, "--as", "published", "--export", "p.csv")
    corrected, published = (pd.read_csv(file, index_col=0) for file in ("c.csv", "p.csv"))
    assert set(corrected["bounds_of"]) == {"exposure_corrected"}
    for column in ("exposure", "exposure_quality", "exposure_corrected", "isolation", "count_se"):
        np.testing.assert_array_equal(corrected[f"hispanic_{column}"], published[f"hispanic_{column}"])
    for table, point in ((corrected, "exposure_corrected"), (published, "exposure")):
        middle = (table["hispanic_exposure_lb"] + table["hispanic_exposure_ub"]) / 2
        np.testing.assert_allclose(middle, table[f"hispanic_{point}"])
    pairs = pd.read_csv("i.csv")
    others = pairs[pairs["group"] != pairs["other"]].groupby(["state", "group"])["interaction_corrected"].sum()
    np.testing.assert_allclose(others.xs("hispanic", level="group"), corrected["hispanic_exposure_corrected"])
    assert "Accuracy of the exposure 1" in Path("r.html").read_text(encoding="utf-8")


def test_several_years_and_regions_are_one_table(url, job):
    file = saved(race_table(1), Path("more.csv"))
    job("ingest", "measures", file, "--dataset", "race", "--year", 2019, "--vintage", "2010")
    done = job(
        *("exposure", "--dataset", "race", "--year", "2018-2019", "--by", "county,state", "--export", "t.csv"),
    )
    assert done.code == 0, done.err
    table = pd.read_csv("t.csv", dtype={"region": str})
    assert table.groupby(["year", "by"]).size().to_dict() == {
        (2018, "county"): 12,
        (2018, "state"): 3,
        (2019, "county"): 12,
        (2019, "state"): 3,
    }


def test_each_kind_of_region_has_a_report_of_its_own(url, job):
    done = job("exposure", "--dataset", "race", "--year", 2018, "--by", "county,state", "--report", "page.html")
    assert done.code == 0, done.err
    assert not Path("page.html").exists()
    for by in ("county", "state"):
        assert f"Exposure by {by}, race 2018" in Path(f"page-{by}.html").read_text(encoding="utf-8")
        assert f"wrote page-{by}.html" in done.out


def test_a_grouping_of_the_users_own(url, job, tmp_path):
    Path("mine.yaml").write_text(
        """
        name: two
        title: Hispanic and others
        subgroup_type: origin
        editions:
          - total: [B03002_001E, B03002_001M]
            groups:
              - {name: hispanic, label: Hispanic, parts: [[B03002_012E, B03002_012M]]}
              - {name: others, label: Others, remainder: true}
        """
    )
    arguments = ["exposure", "--dataset", "race", "--year", 2018, "--by", "state"]
    done = job(*arguments, "--groups", "mine.yaml", "--export", "two.csv")
    assert done.code == 0, done.err
    job(*arguments, "--export", "four.csv")
    two, four = pd.read_csv("two.csv"), pd.read_csv("four.csv")
    np.testing.assert_array_equal(two["hispanic_exposure"], four["hispanic_exposure"])
    assert "black_nh_exposure" not in two


def test_reported_people_are_compared_and_drawn(url, job):
    people = race_table()["B03002_001E"]
    by_state = people.groupby(people.index.str[:2]).sum().rename_axis("state")
    by_state.rename("population").to_csv("reported.csv")
    arguments = ["exposure", "--dataset", "race", "--year", 2018, "--by", "state"]
    done = job(*arguments, "--reported", "reported.csv", "--report", "r.html")
    assert done.code == 0, done.err
    assert "Interpolated against reported people" in Path("r.html").read_text(encoding="utf-8")
    (by_state * 1.2).rename("population").to_csv("reported.csv")
    # The result is there already: the comparison fails the run all the same.
    done = job(*arguments, "--reported", "reported.csv")
    assert done.code == 1
    assert "interpolated people" in done.err


RUN = ("exposure", "--dataset", "race", "--year", "2018", "--by", "county")
BAD_RUNS = {
    "no such dataset": (
        ("exposure", "--dataset", "rice", "--year", "2018", "--by", "county"),
        r"no measures/rice/2018",
    ),
    "no such year": (("exposure", "--dataset", "race", "--year", "1999", "--by", "county"), r"no measures/race/1999"),
    "no year at all": (
        ("exposure", "--dataset", "race", "--year", "20x8", "--by", "county"),
        r"found '20x8', expected a",
    ),
    "years backwards": (
        ("exposure", "--dataset", "race", "--year", "2019-2018", "--by", "county"),
        r"found '2019-2018'",
    ),
    "no such regions": (
        ("exposure", "--dataset", "race", "--year", "2018", "--by", "place"),
        r"--by place: expected county",
    ),
    "no such state": ((*RUN, "--states", "OH"), r"no state 39; expected one of: 91, 92, 93"),
    "no such mode": ((*RUN, "--as", "published-1999"), r"--as published-1999: expected one of published-2023"),
    "threshold below zero": ((*RUN, "--threshold=-1"), r"--threshold -1.0: expected zero or more"),
    "no such grouping": ((*RUN, "--groups", "mine.yaml"), r"groups 'mine.yaml': neither a file nor groups"),
    "grouping of another table": ((*RUN, "--groups", "dp05_four"), r"groups dp05_four: the table has no column DP05"),
    "grouping that overlaps": ((*RUN, "--groups", "overlap.yaml"), r"overlap.yaml.*B03002_012E.* are used twice"),
    "long form of states": ((*RUN[:-1], "state", "--long", "l.csv"), r"--long l.csv: found --by state"),
    "report that is no page": ((*RUN, "--report", "r.csv"), r"--report r.csv: found the suffix '.csv'"),
    "map without polygons": ((*RUN, "--map", "m.html"), r"--map m.html: .*vintage 2010"),
    "regions on a map": ((*RUN, "--export", "t.gpkg"), r"--export t.gpkg: found the suffix '.gpkg'"),
    "report to nowhere": ((*RUN, "--report", "no/where.html"), r"--report no/where.html: no folder"),
    "export of no kind": ((*RUN, "--export", "t.xls"), r"found the suffix '.xls'"),
    "reported without codes": ((*RUN, "--reported", "race.csv"), r"race.csv: found the columns .*, expected county or"),
    "reported of none": ((*RUN, "--reported", "elsewhere.csv"), r"none of their regions \(39001"),
}


@pytest.mark.parametrize("case", BAD_RUNS)
def test_bad_usage_is_named_and_the_store_is_untouched(url, job, case):
    arguments, message = BAD_RUNS[case]
    Path("overlap.yaml").write_text(
        """
        {name: twice, title: t, subgroup_type: s, editions: [{total: [B03002_001E, B03002_001M], groups: [
        {name: a, label: a, parts: [[B03002_012E, B03002_012M]]},
        {name: b, label: b, parts: [[B03002_012E, B03002_012M]]}]}]}
        """
    )
    Path("elsewhere.csv").write_text("county,population\n39001,5\n")
    _refused(url, job, arguments, message)


def _refused(url, job, arguments, message, code=2):
    before = contents(Store(url))
    done = job(*arguments)
    assert done.code == code, done.out + done.err
    assert done.err.startswith("error: ")
    assert pd.Series([done.err]).str.contains(message, regex=True)[0], done.err
    assert contents(Store(url)) == before


def _table(change):
    table = race_table()
    change(table)
    return table


TRACT = "92003000300"
BAD_COUNTS = {
    "negative count": (
        lambda t: t.__setitem__("B03002_012E", -t["B03002_012E"]),
        r"B03002_012E: found -\d+, expected zero",
    ),
    "group above its total": (
        lambda t: t.loc.__setitem__((TRACT, "B03002_003E"), 87654.0),
        rf"tract {TRACT}, column B03002_003E: found 87654 people, expected no more than",
    ),
    "groups that do not add up": (
        lambda t: t.loc.__setitem__((TRACT, "B03002_001E"), t.loc[TRACT, "B03002_001E"] + 7),
        rf"tract {TRACT}: groups .* sum to",
    ),
    "negative margin": (
        lambda t: t.loc.__setitem__((TRACT, "B03002_003M"), -3.0),
        rf"{TRACT}, column B03002_003M: found -3",
    ),
    "margin column missing": (lambda t: t.pop("B03002_003M"), r"no grouping fits the columns"),
}


@pytest.mark.parametrize("case", BAD_COUNTS)
def test_counts_that_cannot_be_are_named_and_the_store_is_untouched(url, job, case):
    change, message = BAD_COUNTS[case]
    saved(_table(change), Path("bad.csv"))
    assert job("ingest", "measures", "bad.csv", "--dataset", "bad", "--year", 2018, "--vintage", "2010").code == 0
    _refused(url, job, ("exposure", "--dataset", "bad", "--year", 2018, "--by", "county"), message)


def test_a_margin_that_is_missing_leaves_the_value_and_takes_its_error(url, job):
    saved(_table(lambda t: t.loc.__setitem__((TRACT, "B03002_012M"), np.nan)), Path("gap.csv"))
    job("ingest", "measures", "gap.csv", "--dataset", "gap", "--year", 2018, "--vintage", "2010")
    done = job("exposure", "--dataset", "gap", "--year", 2018, "--by", "county", "--export", "g.csv")
    assert done.code == 0
    row = pd.read_csv("g.csv", dtype={"county": str}).set_index("county").loc["92003"]
    assert 0 < row["hispanic_exposure"] < 1
    assert np.isnan(row["hispanic_exposure_se"])
    assert np.isnan(row["hispanic_exposure_quality"])
    assert row["hispanic_exposure_reason"].startswith("value given; a tract's margin of error is missing")


def test_jam_values_are_for_the_door_of_the_survey(url, job):
    saved(_table(lambda t: t.loc.__setitem__((TRACT, "B03002_012M"), -555555555)), Path("jam.csv"))
    measures = ("ingest", "measures", "jam.csv", "--dataset", "jam", "--year", 2018, "--vintage", "2010")
    _refused(url, job, measures, rf"column 'B03002_012M', tract {TRACT}: found -555555555")
    table = race_table().rename_axis("GEO_ID")
    table.index = "1400000US" + table.index
    table.loc[f"1400000US{TRACT}", "B03002_012M"] = -555555555
    table.to_csv("acs.csv")
    done = job("ingest", "acs", "--file", "acs.csv", "--year", 2018, "--dataset", "jam")
    assert done.code == 0, done.err
    assert "1 number: controlled estimate: no sampling error" in done.out
    assert job("exposure", "--dataset", "jam", "--year", 2018, "--by", "county").code == 0


GEOCORR = "county,tract,state,placefp,placenm,afact,afact2\n"
BAD_REGIONS = {
    "share above one": (
        GEOCORR + "91001,0001.00,91,00100,Town,1.2,1\n",
        r"found the share 1.2, expected one from 0 to 1",
    ),
    "shares that do not add up": (
        GEOCORR + "91001,0001.00,91,00100,Town,0.8,1\n91001,0001.00,91,00200,Else,0.7,1\n",
        r"shares sum to 1.5, expected 1 at most",
    ),
    "place in two states": (
        GEOCORR + "92001,0001.00,91,00100,Town,1,1\n",
        r"place 9100100 is linked to .* another state",
    ),
    "shares the other way round": (
        GEOCORR + "c,t,s,p,n,placefp to tract allocation factor,x\n91001,0001.00,91,00100,Town,1,1\n",
        r"afact is labeled 'placefp to tract allocation factor'",
    ),
    "no regions column": ("GEOID,zone\n91001000100,1\n", r"expected one of place, region, code"),
    "no file": (None, r"bad.csv: cannot be read"),
}


@pytest.mark.parametrize("case", BAD_REGIONS)
def test_crosswalks_that_cannot_be_are_named_and_the_store_is_untouched(url, job, case):
    text, message = BAD_REGIONS[case]
    if text is not None:
        Path("bad.csv").write_text(text)
    _refused(url, job, ("ingest", "regions", "bad.csv", "--name", "place", "--vintage", "2010"), message)


def test_a_wrong_years_crosswalk_fails_and_a_tract_in_no_place_does_not(url, job):
    tracts = race_table().index
    rows = [f"{g[:5]},{g[5:9]}.{g[9:]},{g[:2]},00100,Town,0.5,0.01\n" for g in tracts[5:]]
    Path("place.csv").write_text(GEOCORR + "".join(rows))
    assert job("ingest", "regions", "place.csv", "--name", "place", "--vintage", "2010").code == 0
    done = job("exposure", "--dataset", "race", "--year", 2018, "--by", "place")
    assert done.code == 0, done.err
    assert "in no region: 5 tracts whole" in done.out
    assert "what shares of tracts are shares of is not recorded" in done.out
    Path("place.csv").write_text((GEOCORR + "".join(rows)).replace("00.00", "00.50"))
    job("ingest", "regions", "place.csv", "--name", "other", "--vintage", "2010")
    Path("place.csv").write_text(GEOCORR + "".join(row.replace(".00,", ".55,") for row in rows))
    job("ingest", "regions", "place.csv", "--name", "wrong", "--vintage", "2010")
    wrong = ("exposure", "--dataset", "race", "--year", 2018, "--by", "wrong")
    _refused(url, job, wrong, r"of the crosswalk are not in the table")


def test_the_kind_of_weights_goes_from_the_regions_to_every_output(url, job, monkeypatch):
    geoids = race_table().index
    west, south = np.arange(len(geoids)) % 12 * 0.01 - 83.0, np.arange(len(geoids)) // 12 * 0.01 + 40.0
    squares = gpd.GeoDataFrame(
        {"GEOID": geoids}, geometry=shapely.box(west, south, west + 0.01, south + 0.01), crs=4269
    )
    squares.to_parquet("squares.parquet")
    towns = gpd.GeoDataFrame(
        {"GEOID": ["9100100", "9200100"]},
        geometry=[shapely.box(-82.995, 40.0, -82.945, 40.02), shapely.box(-82.995, 40.045, -82.945, 40.06)],
        crs=4269,
    )
    towns.to_parquet("towns.parquet")
    assert job("ingest", "tracts", "squares.parquet", "--vintage", "2010").code == 0
    # All people of a tract live in its west, of which the towns' first tracts have none.
    blocks = pd.DataFrame({"block": geoids + "1000", "people": 10, "lon": west + 0.002, "lat": south + 0.005})
    blocks.iloc[1:].to_csv("blocks.csv", index=False)
    places = ("ingest", "places", "towns.parquet", "--vintage", "2010", "--cluster", "serial")
    _only_planned(url, job, monkeypatch, places)
    found = {}
    for name, more, kind in (("area", (), "AREA"), ("people", ("--weights", "blocks.csv"), "shares of their people")):
        done = job(*places, "--name", name, *more)
        assert done.code == 0, done.err
        assert kind in done.out
        done = job(
            *("exposure", "--dataset", "race", "--year", 2018, "--by", name),
            *("--export", f"{name}.csv", "--report", f"{name}.html"),
        )
        assert done.code == 0, done.err
        assert f"weights: shares of tracts are shares of their {kind.removeprefix('shares of their ')}" in done.out
        assert ("accuracy is one grade lower in 2 regions" in done.out) == (name == "area")
        assert kind in Path(f"{name}.html").read_text(encoding="utf-8")
        found[name] = pd.read_csv(f"{name}.csv", index_col=0)
        assert set(found[name]["weights"]) == {name}
        collection = f"results/exposure/b03002_four/race/2018/all-{name}-corrected-30"
        assert Store(url).snapshot(collection).attributes["weights"] == name
    # By area the towns have half of their first and last tracts; of their people, none of the first, all of the last.
    table = Store(url).frame("regions/people/2010").compute()
    linked = table[table["region"] == "9200100"]
    assert sorted(linked["afact"].unique()) == [1.0]
    assert not (found["area"]["people_count"] == found["people"]["people_count"]).all()
    # Of a table that was stored without its kind, it is not known.
    store = Store(url)
    parts = {state: store.put("regions/old/2010", state, part) for state, part in table.groupby(table.index.str[:2])}
    store.commit("regions/old/2010", parts, Provenance("ingest", {}), {"key": "tract"})
    done = job("exposure", "--dataset", "race", "--year", 2018, "--by", "old", "--export", "old.csv")
    assert done.code == 0, done.err
    assert "is not recorded: perhaps of area" in done.out
    assert set(pd.read_csv("old.csv")["weights"]) == {"not recorded"}


def _only_planned(url, job, monkeypatch, places):
    """A dry run starts no cluster, compares nothing and writes nothing."""
    before = Store(url).objects.listing()
    with monkeypatch.context() as patch:
        for used in ("geomob_dask.cli.connect", "geomob_dask.runs.places.computed"):
            patch.setattr(used, lambda *_, **__: pytest.fail("a dry run started or computed something"))
        done = job(*places, "--name", "people", "--weights", "blocks.csv", "--dry-run")
    assert done.code == 0, done.err
    assert "cluster: serial, of the kind serial" in done.out
    assert f"96 tracts in 2 states would be in {url}/regions/people/2010" in done.out
    assert "2 regions from 1 file" in done.out
    assert "shares of their people" in done.out
    assert Store(url).objects.listing() == before


def test_blocks_of_other_tracts_are_refused(url, job):
    Path("blocks.csv").write_text("block,people,lon,lat\n390010001001000,5,-83,40\n")
    square = gpd.GeoDataFrame({"GEOID": ["91001000100"]}, geometry=[shapely.box(-83, 40, -82.9, 40.1)], crs=4269)
    square.to_parquet("square.parquet")
    square.assign(GEOID="9100100").to_parquet("town.parquet")
    assert job("ingest", "tracts", "square.parquet", "--vintage", "2010").code == 0
    places = ("ingest", "places", "town.parquet", "--vintage", "2010", "--cluster", "serial")
    _refused(
        url, job, (*places, "--weights", "blocks.csv"), r"blocks.csv: found blocks of tracts such as 39001000100, none"
    )
    _refused(url, job, (*places, "--people-column", "n"), r"--people-column n: expected --weights FILE")


# The Census API ----------------------------------------------------------------------------------


@pytest.fixture
def census(url, monkeypatch):
    monkeypatch.delenv("CENSUS_API_KEY", raising=False)
    with serving() as server:
        monkeypatch.setenv("GEOMOB_CENSUS_URL", server.url)
        yield server


ACS = ("ingest", "acs", "--year", "2020", "--table", "B01003", "--states", "39,53", "--budget", "0", "--timeout", "1")


def test_a_table_of_the_api_goes_on_where_it_stopped(census, url, job):
    plan = job(*ACS, "--dry-run")
    assert plan.code == 0
    assert "states to ask for: 39, 53" in plan.out
    census.failures = {"53": [broken_json] * 9}
    done = job(*ACS)
    assert done.code == 1
    assert "state 53: 127.0.0.1" in done.err
    assert "found text that is not JSON or breaks off" in done.err
    assert Store(url).find("measures/acs5_b01003/2020") is None
    assert "states to ask for: 53" in job(*ACS, "--dry-run").out
    census.failures, census.asked = {}, []
    done = job(*ACS)
    assert done.code == 0, done.err
    assert [place for _, place, _ in census.asked] == ["53"]
    assert "4 tracts in 2 states are in" in done.out
    store = Store(url)
    table = store.frame("measures/acs5_b01003/2020").compute()
    assert table["B01003_001M"].tolist() == [0.0] * 4
    reasons = store.frame("reasons/acs5_b01003/2020").compute()
    assert set(reasons["reason"]) == {"controlled estimate: no sampling error"}


@pytest.mark.parametrize(
    ("arguments", "failure", "message"),
    [
        ((), status(400, b"error: unknown variable"), r"status 400: error: unknown variable"),
        ((), status(403, b"no"), r"the server refuses the key"),
        (("--table", "B99999"), None, r"table 'B99999': not known; .*vailable: "),
        (("--year", "2008"), None, r"no variables are listed for 2008"),
        (("--states", "97"), None, r"unknown state '97'"),
        (("--concurrency", "0"), None, r"found concurrency 0"),
    ],
)
def test_what_the_api_does_not_know_is_named(census, url, job, arguments, failure, message):
    census.failures = {"39": [failure]} if failure else {}
    # The last of two values of one option counts.
    done = job(*ACS, *arguments)
    assert done.code == 2, done.err
    assert pd.Series([done.err]).str.contains(message, regex=True)[0], done.err
    assert Store(url).find("measures/acs5_b01003/2020") is None


def test_a_half_downloaded_file_is_refused(url, job):
    Path("half.zip").write_bytes(b"PK\x03\x04half of it")
    _refused(url, job, ("ingest", "acs", "--file", "half.zip", "--year", 2018), r"half.zip: cannot be read")
    Path("page.json").write_text("<html>busy</html>")
    _refused(url, job, ("ingest", "acs", "--file", "page.json", "--year", 2018), r"page.json: found a web page")


def test_the_shell_sees_the_exit_code(url, tmp_path):
    command = [sys.executable, str(ROOT / "jobs" / "exposure.py"), *RUN[1:], "--as", "x", "--store", url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "--as x" in done.stderr
