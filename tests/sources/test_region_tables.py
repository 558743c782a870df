"""Tables of regions as people have them: missing words, codes read as floats, pieces of keys, dated names."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from geomob_dask.errors import InputError
from geomob_dask.frames.regions import regions_of
from geomob_dask.sources.county_zones import read_county_zones
from geomob_dask.sources.geocorr import RegionColumns, read_geocorr
from geomob_dask.sources.opportunity_atlas import read_atlas
from geomob_dask.sources.regions import read_regions
from geomob_dask.sources.reported import read_reported


def saved(tmp_path: Path, text: str, name: str = "r.csv", encoding: str = "utf-8") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("word", ["NA", "", "nan", "NULL", "None", ".", "#N/A"])
def test_missing_words_are_no_region_in_any_form(tmp_path: Path, word: str) -> None:
    codes = {"39001": "10000", "39003": word}
    table = "".join(f"{county},{code}\n" for county, code in codes.items())
    files = [
        saved(tmp_path, f"county,cbsa\n{table}"),
        saved(tmp_path, json.dumps(codes), "r.json"),
        saved(tmp_path, f"county,cbsa,afact\n39001,10000,1\n39003,{word},1\n", "geocorr.csv"),
    ]
    for file in files:
        read = read_regions(file, "cbsa")
        assert read.rows["region"].to_dict() == {"39001": "10000", "39003": ""}
        assert read.lines[-3:-1] == ("1 link of a county to 1 region", "1 county in no region")
    column = pd.DataFrame({"cbsa": list(codes.values())}, index=["39001000100", "39003000100"])
    assert regions_of(column, "cbsa")["region"].to_dict() == {"39001000100": "10000"}


def test_codes_read_as_floats_are_the_codes_in_any_form(tmp_path: Path) -> None:
    files = [
        saved(tmp_path, "county,cbsa\n39001,10000.0\n39003,1.0e4\n"),
        saved(tmp_path, '{"39001": 10000.0, "39003": {"code": "1.0e4", "name": null}, "39005": null}', "r.json"),
        saved(tmp_path, "county,cbsa,afact\n39001.0,10000.0,1\n39003.0,1e+04,1\n", "geocorr.csv"),
    ]
    for file in files:
        rows = read_regions(file, "cbsa").rows
        assert rows["region"][:2].to_dict() == {"39001": "10000", "39003": "10000"}
    for column in (["10000.0", "1.0e4"], [10000.0, 1e4], np.array([1e4, 1e4], dtype=np.float32)):
        frame = pd.DataFrame({"cbsa": column}, index=["39001000100", "39003000100"])
        assert regions_of(frame, "cbsa")["region"].tolist() == ["10000", "10000"]


def test_keys_and_regions_in_single_precision_are_refused(tmp_path: Path) -> None:
    keys, codes = pd.Series([39001000100, 39003000100]), pd.Series([3900100001, 3900300001])
    for frame, column in (
        ({"GEOID": keys.astype("float32"), "cbsa": ["1", "2"]}, "GEOID"),
        ({"GEOID": keys, "cbsa": codes.astype("float32")}, "cbsa"),
        ({"county": [39001, 39003], "cbsa": codes.astype("float32"), "afact": [1, 1]}, "cbsa"),
    ):
        pd.DataFrame(frame).to_parquet(tmp_path / "r.parquet")
        with pytest.raises(InputError, match=rf"r\.parquet: column '{column}', row 1: .* do not fit float32"):
            read_regions(tmp_path / "r.parquet", "cbsa")


def test_a_file_without_any_region_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"r\.csv: found no region in 1 row"):
        read_regions(saved(tmp_path, "county,cbsa\n39001,NA\n"), "cbsa")


@pytest.mark.parametrize(
    ("header", "row", "key"),
    [
        ("state,county,tract", "39,1,0201", "39001020100"),
        ("STATEFP,COUNTYFP,TRACTCE", "39,001,020100", "39001020100"),
        ("Geoid", "1400000US39001020100", "39001020100"),
        ("GISJOIN", "G39000100201", "39001020100"),
        ("STATE,STATEA,COUNTY,COUNTYA", "Ohio,39,Adams,001", "39001"),
        ("state,county,county_fips", "Ohio,Adams,39001", "39001"),
        ("state_fips,county_fips", "39,1", "39001"),
        ("GEO_ID", "0500000US39001", "39001"),
        ("County", "39001.0", "39001"),
    ],
)
def test_keys_of_regions_have_many_names(tmp_path: Path, header: str, row: str, key: str) -> None:
    rows = read_regions(saved(tmp_path, f"{header},zone\n{row},A\n"), "zone").rows
    assert rows["region"].to_dict() == {key: "A"}


GEOCORR = (
    "county14,tract,placefp14,state,placenm14,afact,AFACT2\n"
    '"County","Tract","Place","State","Name","tract to placefp14 allocation factor","placefp14 to tract"\n'
    "39001,0001.00,99999,39,,1,1.0\n39001,0002.00,15000,39,Cañon,1,0.5\n39001,0003.00,15000,39,Cañon,1,0.5\n"
)
MAPS = [
    RegionColumns(),
    RegionColumns(key="county14", region="placefp14", afact="afact"),
    RegionColumns(key="County14", region="PlaceFP14", region_name="PLACENM14", afact="AFACT", afact2="afact2"),
]


@pytest.mark.parametrize("columns", MAPS)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_names_with_a_year_and_a_map_of_columns_are_geocorr(
    tmp_path: Path, columns: RegionColumns, encoding: str
) -> None:
    rows = read_regions(saved(tmp_path, GEOCORR, encoding=encoding), "place", columns).rows
    assert rows["region"].tolist() == ["", "3915000", "3915000"]
    assert rows["region_name"].tolist() == ["", "Cañon", "Cañon"]
    assert rows["afact2"].tolist() == [1.0, 0.5, 0.5]
    assert rows.index.tolist() == ["39001000100", "39001000200", "39001000300"]


def test_a_map_of_columns_may_name_whole_keys_and_other_regions(tmp_path: Path) -> None:
    text = "id,county,tract,zone,afact\n39001000100,39001,0001.00,A,0.25\n39001000100,39001,0001.00,B,0.75\n"
    rows = read_geocorr(saved(tmp_path, text), columns=RegionColumns(key="id", region="zone"))
    assert rows["geoid"].tolist() == ["39001000100"] * 2
    assert rows["region"].tolist() == ["A", "B"]


def test_a_dated_region_is_found_by_its_name(tmp_path: Path) -> None:
    text = "county20,cbsa20,cbsaname20,afact\n39001,10000,Alpha,1\n39003,99999,,1\n"
    rows = read_regions(saved(tmp_path, text), "cbsa").rows
    assert rows["region"].tolist() == ["10000", ""]
    assert rows["region_name"].tolist() == ["Alpha", ""]


def test_a_place_with_its_states_code_keeps_it(tmp_path: Path) -> None:
    text = "county,tract,place,afact\n39001,0001.00,3915000,1\n"
    assert read_geocorr(saved(tmp_path, text))["region"].tolist() == ["3915000"]


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        (RegionColumns(key="conty14"), ["conty14", "did you mean 'county14'"]),
        (RegionColumns(region="placefp15"), ["placefp15", "'placefp14'"]),
        (RegionColumns(afact2="share"), ["share"]),
    ],
)
def test_a_column_that_is_not_there_is_named_with_the_nearest(
    tmp_path: Path, columns: RegionColumns, names: list[str]
) -> None:
    with pytest.raises(InputError) as caught:
        read_regions(saved(tmp_path, GEOCORR), "place", columns)
    assert [name for name in names if name not in str(caught.value)] == []


def test_two_years_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"r\.csv: found the columns county14, county20, expected one of county"):
        read_regions(saved(tmp_path, "county14,county20,place,afact\n39001,39001,15000,1\n"), "place")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"39001": "1", "39001": "2"}', "found '39001' twice"),
        ('{"39001": true}', "key 39001: found True"),
        ('{"39001": {"name": "A"}}', "key 39001: found"),
        ("[" * 100_000, "nested too deep"),
        ('{"39001": ' + "9" * 5000 + "}", "cannot be read"),
    ],
)
def test_json_that_is_damaged_or_says_two_things_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=rf"r\.json.*{message}"):
        read_regions(saved(tmp_path, text, "r.json"), "cbsa")


def test_json_that_is_no_utf_8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"r\.json: cannot be read"):
        read_regions(saved(tmp_path, '{"39001": "Cañon"}', "r.json", "latin-1"), "cbsa")


@pytest.mark.parametrize(
    ("header", "rows", "codes"),
    [
        ("cbsa,people", ["10000.0,5", "2e+04,6"], ["10000", "20000"]),
        ("state,county,people", ["39.0,1.0,5", "39,3,6"], ["39001", "39003"]),
        ("state,county,people", ["39,39001,5", "39,39003,6"], ["39001", "39003"]),
    ],
)
def test_regions_of_reported_people_are_the_codes_of_tables(
    tmp_path: Path, header: str, rows: list[str], codes: list[str]
) -> None:
    found = read_reported(saved(tmp_path, "\n".join([header, *rows, ""])), header.split(",")[-2])
    assert found.to_dict() == dict(zip(codes, [5.0, 6.0], strict=True))


def test_reported_people_of_no_region_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"r\.csv: column cbsa, row 2: found 'NA', expected a region"):
        read_reported(saved(tmp_path, "cbsa,people\n10000,5\nNA,6\n"), "cbsa")


def test_counties_of_zones_and_tracts_of_the_atlas_are_pieces_of_keys(tmp_path: Path) -> None:
    zones = read_county_zones(saved(tmp_path, "cz,state,county\n100,1.0,001\n200,39,3\n"))
    assert zones.to_dict() == {"01001": "00100", "39003": "00200"}
    atlas = read_atlas(saved(tmp_path, "state,county,tract,x\n39,001,0201,5\n39,001,0202,6\n"))
    assert atlas["x"].to_dict() == {"39001020100": 5.0, "39001020200": 6.0}
