"""Chosen regions, overlap, reported groups and the precision of tracts, as a user asks for them on the command line."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from exposure_sample import race_table, saved
from income_country import fill

from geomob_dask.frames.exposure import exposure, interactions
from geomob_dask.frames.exposure_tables import overlap_summary
from geomob_dask.outputs.exposure_reported import compared
from geomob_dask.store import Store

RUN = ("exposure", "--dataset", "race", "--year", 2018)
GEOCORR = "county,tract,state,placefp,placenm,afact,afact2\n"
# Two towns share two tracts, a third has two of its own.
TOWNS = {
    "00100": ("Alder", "91001", 0.4, 0.5),
    "00200": ("Birch", "91001", 0.6, 0.5),
    "00300": ("Cedar", "91003", 1, 1),
}


@pytest.fixture
def url(tmp_path, monkeypatch, job):
    """Return a store with the made-up counts of 2018 and places; tasks run in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEOMOB_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("GEOMOB_CLUSTER", "serial")
    file = saved(race_table(), tmp_path / "race.csv")
    assert job("ingest", "measures", file, "--dataset", "race", "--year", 2018, "--vintage", "2010").code == 0
    rows = []
    for code, (name, county, afact, afact2) in TOWNS.items():
        for tract in ("0002.00", "0003.00"):
            rows.append(f"{county},{tract},91,{code},{name},{afact},{afact2 / 2}\n")
    Path("place.csv").write_text(GEOCORR + "".join(rows))
    assert job("ingest", "regions", "place.csv", "--name", "place", "--vintage", "2010").code == 0
    return str(tmp_path / "store")


def exported(job, *arguments) -> pd.DataFrame:
    done = job(*RUN, *arguments, "--export", "t.csv")
    assert done.code == 0, done.err
    table = pd.read_csv("t.csv", dtype={"county": str, "place": str})
    return table.set_index(table.columns[0])


def test_chosen_regions_have_the_values_of_all(url, job):
    whole = exported(job, "--by", "county")
    Path("few.csv").write_text("state,county,year\n91,1,2018\n93,5,2018\n92,3,2017\n")
    chosen = exported(job, "--by", "county", "--regions", "few.csv")
    pd.testing.assert_frame_equal(chosen, whole.loc[["91001", "93005"]])
    # A file and the codes themselves are one choice, in any order.
    again = job(*RUN, "--by", "county", "--regions", "93005,91001", "--dry-run")
    assert "up to date, nothing to do" in again.out
    done = job(*RUN, "--by", "county", "--regions", "few.csv")
    assert "2 regions from 24 tracts" in done.out
    assert "outside the 2 chosen regions: 120 tracts whole" in done.out
    one_state = exported(job, "--by", "county", "--regions", "few.csv", "--states", "91")
    assert one_state.index.tolist() == ["91001"]


def test_a_backfill_reads_codes_from_a_file_beside_it(url, job):
    Path("night").mkdir()
    Path("night/few.csv").write_text("county\n91001\n93005\n")
    product = "{job: exposure, dataset: race, by: county, regions: few.csv, scope: all}"
    Path("night/night.yaml").write_text(f"name: night\nyears: 2018\nproducts:\n  few: {product}\n")
    done = job("backfill", "night/night.yaml")
    assert done.code == 0, done.err
    again = job(*RUN, "--by", "county", "--regions", "91001,93005", "--dry-run")
    assert "up to date, nothing to do" in again.out


def test_frames_take_the_same_choice():
    table = race_table()
    whole = exposure(table, by="county")
    chosen = exposure(table, by="county", regions=["92001", "91003"])
    pd.testing.assert_frame_equal(chosen, whole.loc[["91003", "92001"]], check_exact=True)
    pairs = interactions(table, by="county", regions=["92001"])
    pd.testing.assert_frame_equal(pairs, interactions(table, by="county").loc["92001":"92001"], check_exact=True)


REFUSED = {
    "code that is not there": (("--regions", "91001,91002"), r"lies in 91002; the nearest is 91001; expected"),
    "zero that is lost": (("--regions", "1001"), r"lies in 1001;"),
    "codes of a file": (
        ("--regions", "odd.csv"),
        r"--regions 7 regions: no tract .* lies in 90001, 90002, .*nearest is",
    ),
    "no such file": (("--regions", "none.csv"), r"none.csv: cannot be read"),
    "file of other regions": (("--regions", "zone.csv"), r"found the columns zone, expected county or region"),
    "file of another year": (("--regions", "old.csv"), r"old.csv: no rows of 2018; found 2011"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_regions_that_are_not_there_are_named_with_the_nearest(url, job, case):
    arguments, message = REFUSED[case]
    Path("odd.csv").write_text("region\n91001\n" + "".join(f"9000{number}\n" for number in range(1, 7)))
    Path("zone.csv").write_text("zone\n91001\n")
    Path("old.csv").write_text("county,year\n91001,2011\n")
    done = job(*RUN, "--by", "county", *arguments)
    assert done.code == 2, done.out
    assert re.search(message, done.err), done.err
    assert Store(url).find("results/exposure") is None


def test_mixing_and_segregation_read_the_same_files(tmp_path, monkeypatch, job):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEOMOB_CLUSTER", "serial")
    fill(str(tmp_path / "store"), tmp_path)
    monkeypatch.setenv("GEOMOB_STORE", str(tmp_path / "store"))
    Path("areas.csv").write_text("area\nwest\n")
    made = ("--dataset", "made", "--year", 2020, "--by", "area", "--regions")
    for command in (("mixing", "--brackets", "deciles"), ("segregation", "--groups", "deciles", "--indices", "gini")):
        named, read = (job(*command, *made, regions, "--export", "t.csv") for regions in ("west", "areas.csv"))
        assert (named.code, read.code) == (0, 0), named.err + read.err
        Path("areas.csv").write_text("area\nwset\n")
        done = job(*command, *made, "areas.csv")
        assert done.code == 2
        assert "lies in wset; the nearest is west" in done.err
        Path("areas.csv").write_text("area\nwest\n")


def test_overlap_is_told_as_in_the_source(url, job):
    done = job(*RUN, "--by", "place", "--report", "r.html")
    assert done.code == 0, done.err
    # Σ afact·afact2 over two tracts each: 0.4·0.5, 0.6·0.5 and 1.
    lowest = "Alder (9100100) 0.200; Birch (9100200) 0.300"
    assert f"0.2000  0.2500  0.3000  0.5000  0.6500  1.0000; 2 regions below 0.75 ({lowest})" in done.out
    page = Path("r.html").read_text(encoding="utf-8")
    assert "Overlap of regions and tracts" in page
    assert lowest in page
    nested = job(*RUN, "--by", "county", "--report", "n.html")
    assert "overlap of regions" not in nested.out
    assert "Overlap of regions" not in Path("n.html").read_text(encoding="utf-8")


def test_the_distribution_is_that_of_rs_summary():
    # summary(c(0.7694, 0.95, 0.99, 1.0008)) in R.
    found = overlap_summary(np.array([0.99, np.nan, 0.7694, 1.0008, 0.95]), pd.Index(list("abcde")))
    numbers = [found[name] for name in ("minimum", "first_quartile", "median", "mean", "third_quartile", "maximum")]
    np.testing.assert_allclose(numbers, [0.7694, 0.90485, 0.97, 0.92755, 0.9927, 1.0008], atol=1e-12)
    assert (found["known"], found["low"], found["lowest"]) == (4, 0, [])
    assert overlap_summary(np.array([np.nan]), pd.Index(["a"])) is None


def cells(page: str) -> list[list[str]]:
    """Return the rows of all tables of a page."""
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    return [re.findall(r'<(?:td|th scope="row")[^>]*>(.*?)</t[dh]>', row) for row in rows]


def test_reported_people_of_groups_are_drawn_below_and_above_the_split(url, job):
    table = exported(job, "--by", "county")
    # The first county is large, and one group is off by a tenth in another.
    counts = table[[f"{group}_count" for group in ("black_nh", "white_nh")]].copy()
    counts.loc["92003", "black_nh_count"] /= 1.1
    counts.assign(people=table["people_count"]).rename_axis("county").to_csv("reported.csv")
    done = job(*RUN, "--by", "county", "--reported", "reported.csv", "--report", "r.html")
    assert done.code == 0, done.err
    page = Path("r.html").read_text(encoding="utf-8")
    assert hashlib.sha256(Path("reported.csv").read_bytes()).hexdigest() in page, "the page names what it was made from"
    rows = {row[0]: row for row in cells(page) if len(row) == 8}
    assert set(rows) == {"All people", "Black, Non-Hispanic", "White, Non-Hispanic"}
    black = table.loc["92003", "black_nh_count"]
    assert rows["Black, Non-Hispanic"][1:3] == ["fewer than 200,000", "12"]
    assert rows["Black, Non-Hispanic"][-1] == f"{black - black / 1.1:+,.0f} (+10.0%) in 92003"
    assert rows["Black, Non-Hispanic"][-2] == f"{11 / 12:.3f}"
    assert "<figcaption>Black, Non-Hispanic: fewer than 200,000 people</figcaption>" in page


def test_regions_are_parted_at_200_000_people(url, job, monkeypatch):
    table = exported(job, "--by", "county")
    monkeypatch.setattr("geomob_dask.outputs.exposure_reported.SPLIT", table["people_count"].sort_values().iloc[4])
    table[["people_count"]].rename(columns={"people_count": "people"}).to_csv("reported.csv")
    assert job(*RUN, "--by", "county", "--reported", "reported.csv", "--report", "r.html").code == 0
    rows = [row for row in cells(Path("r.html").read_text(encoding="utf-8")) if len(row) == 8]
    assert [row[2] for row in rows] == ["4", "8"]


def test_regions_with_both_numbers_are_compared():
    table = pd.DataFrame({"region_name": list("xyz"), "people_count": [10.0, 5.0, 7.0]}, index=list("abc"))
    reported = pd.DataFrame({"people": [8.0, 0.0, np.nan]}, index=list("abd"))
    found = compared(table, reported, "people")
    assert found.index.tolist() == ["a", "b"]
    np.testing.assert_array_equal(found["off"], [0.25, np.nan])


def test_the_report_has_the_precision_of_tracts(url, job):
    done = job(*RUN, "--by", "county,state", "--report", "r.html")
    assert done.code == 0, done.err
    table = race_table()
    people = table[table["B03002_001E"] > 0]
    hispanic = people["B03002_012M"] / 1.645 >= 0.4 * people["B03002_012E"]
    assert re.search(rf"Hispanic +{hispanic.mean():.3f}\n", done.out), done.out
    page = Path("r-county.html").read_text(encoding="utf-8")
    rows = {row[0]: row for row in cells(page) if len(row) == 7}
    assert rows["Hispanic"][1:5:3] == ["its own", f"{hispanic.mean():.3f}"]
    assert {"Other Races and Ethnicities (all margins)", "– Not Hispanic or Latino, Asian alone"} <= rows.keys()
    assert rows["Other Races and Ethnicities"][1] == "one zero estimate&#39;s at most"
    asian = people["B03002_006M"] / 1.645 >= 0.4 * people["B03002_006E"]
    assert rows["– Not Hispanic or Latino, Asian alone"][4] == f"{asian.mean():.3f}"
    # All figures are of a table in the store, so that nothing is computed again for another page.
    again = job(*RUN, "--by", "county,state", "--report", "again.html", "--dry-run")
    assert "up to date, nothing to do" in again.out
    found = Store(url).frame("results/exposure-tracts/b03002_four/race/2018/all-county-corrected-30").compute()
    assert found.groupby(level=0)["tracts"].sum().to_dict() == dict.fromkeys(
        ("black_nh", "hispanic", "other_nh", "white_nh"), len(people)
    )
