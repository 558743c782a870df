"""Names where codes are shown: in tables, lists and on maps, of whatever the data are called."""

import json
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
import shapely
from browser import Visit
from exposure_sample import race_table
from pages import data_of, unpacked

from geomob_dask.outputs.classes import even
from geomob_dask.outputs.maps import Layer, map_page
from geomob_dask.outputs.names import RegionNames, county_labels, places, short, with_counties
from geomob_dask.outputs.palette import OPPORTUNITY
from geomob_dask.sources.measure_names import using_labels

GEOIDS = ["39049000100", "39049000200", "39041000100", "54029000100", "91001000100"]
RIGHT_TO_LEFT = "שם"
FORMULA = "=cmd|' /C calc'!A0</script>"


def test_tables_get_names_beside_their_codes() -> None:
    table = pd.DataFrame({"region": ["18140", "1"], "value": [1.0, 2.0]}, index=["39049000100", "91001000100"])
    named = with_counties(RegionNames("cbsa").named(table))
    assert named.columns.tolist() == ["region", "region_name", "value", "county_name"]
    assert named["region_name"].tolist() == ["Columbus, OH", ""]
    assert named["county_name"].tolist() == ["Franklin County, Ohio", ""]


def test_a_name_of_the_table_stays_where_no_other_is_known() -> None:
    table = pd.DataFrame({"region_name": ["Mine", "Other", ""]}, index=["39049", "39002", "39004"])
    assert RegionNames("county").named(table)["region_name"].tolist() == ["Franklin County, Ohio", "Other", ""]


def test_names_of_a_region_table_come_before_those_of_the_package(tmp_path: Path) -> None:
    names = RegionNames("cbsa", {"18140": "Greater Columbus"})
    assert names.label("18140") == "Greater Columbus (18140)"
    file = tmp_path / "labels.csv"
    file.write_text("name,label\n18140,Home\n")
    with using_labels(file):
        assert names.label("18140") == "Home (18140)"


def test_names_on_an_axis_are_told_apart() -> None:
    names = RegionNames("ward", {"1": "Northside", "2": "Northside", "3": "Southside"})
    assert names.axis(["1", "2", "3", "4"]) == ["Northside (1)", "Northside (2)", "Southside", "4"]


def test_long_names_are_cut_and_keep_their_codes() -> None:
    label = RegionNames("ward", {"7": "x" * 1000}).label("7")
    assert len(label) < 80
    assert label.endswith("… (7)")


def test_a_name_that_runs_from_right_to_left_turns_nothing_around() -> None:
    assert short(RIGHT_TO_LEFT) == f"\u2068{RIGHT_TO_LEFT}\u2069"
    assert "\u202e" not in short("a\u202eb")


def test_a_tooltip_shows_the_county_or_its_number() -> None:
    assert county_labels(GEOIDS) == {
        "39041": "Delaware County",
        "39049": "Franklin County",
        "54029": "Hancock County",
        "91001": "001",
    }


def test_a_map_is_searched_by_states_counties_metros_and_regions() -> None:
    wards = pd.DataFrame(
        {
            "region": ["1", "1", "2", "3", ""],
            "region_name": ["A", "A", "B", "", ""],
            "afact": [1.0, 0.4, 0.6, 1.0, 1.0],
        },
        index=[GEOIDS[0], GEOIDS[1], GEOIDS[1], GEOIDS[2], GEOIDS[3]],
    )
    found = {(one["kind"], one["code"]): one for one in places(GEOIDS, {"ward": wards})}
    assert found["county", "39049"]["name"] == "Franklin County, Ohio"
    assert found["metro", "18140"]["within"] == ["39041", "39049"]
    assert ("county", "91001") not in found
    assert ("ward", "3") not in found
    assert unpacked(found["ward", "1"]["rows"]).tolist() == [0]
    assert unpacked(found["ward", "2"]["rows"]).tolist() == [1]


def test_a_small_region_is_found_by_the_tracts_that_it_shares() -> None:
    village = pd.DataFrame({"region": ["9"], "region_name": ["V"], "afact": [0.01]}, index=[GEOIDS[1]])
    (found,) = (one for one in places(GEOIDS, {"place": village}) if one["kind"] == "place")
    assert unpacked(found["rows"]).tolist() == [1]


def test_metros_of_the_store_take_the_place_of_those_of_2023() -> None:
    own = pd.DataFrame({"region": ["18140"], "region_name": ["Columbus of 2013"], "afact": [1.0]}, index=["39049"])
    metros = [one for one in places(GEOIDS, {"cbsa": own}) if one["kind"] in ("cbsa", "metro")]
    assert [(one["name"], one["within"]) for one in metros] == [("Columbus of 2013", ["39049"])]


def test_the_page_has_the_names_and_the_field_that_finds_them() -> None:
    boxes = [shapely.box(1000 * k, 0, 1000 * (k + 1), 1000) for k in range(len(GEOIDS))]
    tracts = gpd.GeoDataFrame(geometry=boxes, index=pd.Index(GEOIDS, name="geoid"), crs="EPSG:5070")
    values = pd.DataFrame({"value": [1.0, 2.0, 3.0, 4.0, 5.0]}, index=GEOIDS)
    layer = Layer("value", "Value", "", even(OPPORTUNITY, 0, 5))
    page = map_page(tracts, values, [layer], title="T", subtitle="S", missing_note="none")
    data = data_of(page)
    assert data["county_names"]["39049"] == "Franklin County, Ohio"
    assert {"Columbus, OH", "Ohio", "West Virginia"} <= {one["name"] for one in data["places"]}
    assert data["kinds"] == ["metro"]
    assert 'id="matches"' in page


def test_places_are_found_in_a_browser(visit: Visit, tmp_path: Path) -> None:
    boxes = [shapely.box(1000 * k, 0, 1000 * (k + 1), 1000) for k in range(len(GEOIDS))]
    tracts = gpd.GeoDataFrame(geometry=boxes, index=pd.Index(GEOIDS, name="geoid"), crs="EPSG:5070")
    values = pd.DataFrame({"value": [1.0, 2.0, 3.0, 4.0, 5.0]}, index=GEOIDS)
    harm = "</script><b>São José"
    wards = pd.DataFrame({"region": ["7"], "region_name": [harm], "afact": [1.0]}, index=[GEOIDS[2]])
    layer = Layer("value", "Value", "", even(OPPORTUNITY, 0, 5))
    page = map_page(tracts, values, [layer], title="T", subtitle="S", missing_note="n", regions={"ward": wards})
    file = tmp_path / "map.html"
    file.write_text(page, encoding="utf-8")
    shown, seen = visit(file), {}
    for text in ("franklin county", "Columbus", "sao jose", "39049", "39049000200", "Atlantis"):
        shown.locator("#find").fill(text)
        matches = shown.locator("#matches bdi").all_text_contents()
        shown.locator("#find").press("Enter")
        seen[text] = [matches, shown.locator("#found").text_content()]
    assert seen["franklin county"] == [["Franklin County, Ohio"], "Franklin County, Ohio: 2 tracts"]
    assert seen["Columbus"] == [["Columbus, OH"], "Columbus, OH: 3 tracts"]
    assert seen["sao jose"] == [[harm], f"{harm}: 1 tract"]
    assert seen["39049"][1] == "Franklin County, Ohio: 2 tracts"
    assert seen["39049000200"] == [[], "1 tract"]
    assert seen["Atlantis"] == [[], "Nothing of that name or code on this map"]


@pytest.fixture
def counties(job: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with people of counties of Ohio, and regions that have names which would do harm elsewhere."""
    monkeypatch.setenv("GEOMOB_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("GEOMOB_CLUSTER", "serial")
    monkeypatch.chdir(tmp_path)
    table = race_table()
    table = table[table.index.str.startswith("91")].set_axis(
        [f"39{key[2:]}" for key in table.index if key.startswith("91")]
    )
    table.rename_axis("geoid").to_csv("people.csv")
    wards = {key: {"code": "w1", "name": FORMULA} for key in table.index[:20]}
    wards |= {key: {"code": "w2", "name": RIGHT_TO_LEFT * 90} for key in table.index[20:]}
    Path("wards.json").write_text(json.dumps(wards))
    assert job("ingest", "measures", "people.csv", "--dataset", "p", "--year", "2020", "--vintage", "v").code == 0
    assert job("ingest", "regions", "wards.json", "--name", "ward", "--vintage", "v").code == 0
    return tmp_path


def test_counties_have_names_in_tables_and_terminal(job: Callable, counties: Path) -> None:
    options = ("--dataset", "p", "--year", 2020, "--by", "county")
    done = job("exposure", *options, "--export", "exposure.csv", "--interactions", "pairs.csv")
    assert done.code == 0, done.err
    for file in ("exposure.csv", "pairs.csv"):
        table = pd.read_csv(file, dtype=str)
        assert set(table.loc[table["county"] == "39001", "region_name"]) == {"Adams County, Ohio"}
    assert job("segregation", *options, "--groups", "b03002_four", "--export", "s.csv", "--local", "l.csv").code == 0
    assert pd.read_csv("s.csv", dtype=str)["region_name"].str.endswith("County, Ohio").all()
    local = pd.read_csv("l.csv", dtype=str)
    assert local[["region_name", "county_name"]].notna().all(axis=None)
    wrong = job("exposure", *options, "--regions", "39002")
    assert wrong.code == 2
    assert "Adams County, Ohio (39001)" in wrong.err or "County, Ohio (39003)" in wrong.err


def test_names_that_would_do_harm_are_text(job: Callable, counties: Path) -> None:
    options = ("--dataset", "p", "--year", 2020, "--by", "ward")
    files = ("--export", "segregation.csv", "--report", "segregation.html")
    done = job("segregation", *options, "--groups", "b03002_four", *files)
    assert done.code == 0, done.err
    table = pd.read_csv("segregation.csv", dtype=str).set_index("region")
    assert table.loc["w1", "region_name"] == f"'{FORMULA}"
    assert table.loc["w2", "region_name"] == RIGHT_TO_LEFT * 90
    page = Path("segregation.html").read_text(encoding="utf-8")
    assert page.count("</script>") == page.count("<script")
    assert job("exposure", *options, "--export", "exposure.csv", "--report", "exposure.html").code == 0
    assert RIGHT_TO_LEFT * 90 not in done.out


def test_labels_are_shown_and_their_file_is_recorded(job: Callable, counties: Path) -> None:
    Path("labels.csv").write_text("name,label,unit\nhispanic,Latinx,\n39001,Home,\n")
    options = ("--dataset", "p", "--year", 2020, "--by", "county", "--labels", "labels.csv")
    done = job("exposure", *options, "--report", "report.html", "--export", "exposure.csv")
    assert done.code == 0, done.err
    assert "Latinx" in done.out
    assert "Latinx" in Path("report.html").read_text(encoding="utf-8")
    assert pd.read_csv("exposure.csv", dtype=str).set_index("county").loc["39001", "region_name"] == "Home"
    record = json.loads(Path("exposure.csv-metadata.json").read_text())
    assert "labels.csv" in json.dumps(record)
    assert job("exposure", *options[:-1], "absent.csv").code == 2
