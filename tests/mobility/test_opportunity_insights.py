"""The commuting-zone workbook, counties of zones, the cohort and the Atlas, from files written here."""

import numpy as np
import pandas as pd
import pytest
from mobility_sample import COUNTIES, ZONES, sample_sheets, sheet_rows, write_atlas, write_files, write_xlsx

from geomob_dask.errors import InputError
from geomob_dask.sources.county_zones import Change, county_changes, read_county_zones, zones_of_counties
from geomob_dask.sources.opportunity_atlas import read_atlas
from geomob_dask.sources.opportunity_insights import (
    CHARACTERISTICS,
    OUTCOMES,
    UPWARD_MOBILITY,
    _zone_table,
    minority_tracts,
    read_white_shares,
    read_workbook,
    zone_columns,
)


def test_columns_are_told_apart_and_complete():
    columns = zone_columns()
    names = [column.name for column in columns]
    assert len(set(names)) == len(names)
    assert sum(column.is_feature for column in columns) == 36
    assert UPWARD_MOBILITY in names
    assert all(column.title and column.unit and column.domain for column in columns)
    assert {column.domain for column in zone_columns(OUTCOMES)} == {"outcome"}


def test_cells_come_out_as_they_are(tmp_path):
    book = read_workbook(write_xlsx(tmp_path / "book.xlsx", sample_sheets()))
    assert list(book.characteristics.index) == [f"{zone:05d}" for zone in ZONES]
    for sheet, table in ((CHARACTERISTICS, book.characteristics), (OUTCOMES, book.outcomes)):
        rows = {row[0]: row for row in sheet_rows(sheet) if row and row[0] in ZONES}
        for zone, row in rows.items():
            assert table.loc[f"{zone:05d}", "state"] == ZONES[zone]
            for column, cell in zip(zone_columns(sheet), row[3:], strict=True):
                found = table.loc[f"{zone:05d}", column.name]
                assert np.isnan(found) if cell is None else found == cell
    assert any("college_tuition_usd 1" in line for line in book.lines)


def test_rows_and_columns_may_move(tmp_path):
    """More lines above, a column in between, other columns' order and capitals: the same table."""
    sheets = sample_sheets()
    plain = read_workbook(write_xlsx(tmp_path / "plain.xlsx", sheets))
    rows = [[*row[:3], "x", *reversed(row[3:])] if len(row) > 3 else row for row in sheets[CHARACTERISTICS]]
    rows[4] = [str(cell).upper() for cell in rows[4]]
    sheets[CHARACTERISTICS] = [["note"], [], *rows, [], [None, None]]
    moved = read_workbook(write_xlsx(tmp_path / "moved.xlsx", sheets))
    pd.testing.assert_frame_equal(moved.characteristics, plain.characteristics)


def test_text_that_means_missing(tmp_path):
    sheets = sample_sheets()
    sheets[CHARACTERISTICS][6][5] = "."
    sheets[CHARACTERISTICS][6][6] = " 0.25 "
    table = read_workbook(write_xlsx(tmp_path / "book.xlsx", sheets)).characteristics
    assert np.isnan(table.iloc[0, 4])
    assert table.iloc[0, 5] == 0.25


def refused(tmp_path, change, *words):
    sheets = sample_sheets()
    change(sheets)
    path = write_xlsx(tmp_path / "book.xlsx", sheets)
    with pytest.raises(InputError) as error:
        read_workbook(path)
    for word in ("book.xlsx", *words):
        assert word in str(error.value)


def test_sheet_missing(tmp_path):
    refused(tmp_path, lambda sheets: sheets.pop(OUTCOMES), "no sheet 'Online Data Table 5'", CHARACTERISTICS)


def test_header_missing(tmp_path):
    refused(tmp_path, lambda sheets: sheets[CHARACTERISTICS].pop(4), CHARACTERISTICS, "no header", "CZ, CZ Name, State")


def test_column_missing(tmp_path):
    def change(sheets):
        sheets[OUTCOMES][4][4] = "AM, 70-72 Cohort"

    refused(tmp_path, change, OUTCOMES, "row 5", "'AM, 80-82 Cohort' is there 0 times")


def test_column_twice(tmp_path):
    def change(sheets):
        sheets[CHARACTERISTICS][4].append("gini")

    refused(tmp_path, change, CHARACTERISTICS, "'Gini' is there 2 times")


def test_zone_twice(tmp_path):
    def change(sheets):
        sheets[CHARACTERISTICS].append(list(sheets[CHARACTERISTICS][6]))

    refused(tmp_path, change, CHARACTERISTICS, "zone 100 is there twice", "rows 7 and 13")


def test_no_zone(tmp_path):
    def change(sheets):
        del sheets[OUTCOMES][6:]

    refused(tmp_path, change, OUTCOMES, "no zone below the header in row 5")


@pytest.mark.parametrize("cell", ["x", "-", -7])
def test_first_row_without_a_zone(tmp_path, cell):
    def change(sheets):
        sheets[CHARACTERISTICS][6][0] = cell

    refused(tmp_path, change, CHARACTERISTICS, "row 7", f"found {cell!r} for a zone")


def test_a_zone_in_text_and_rows_cut_short(tmp_path):
    sheets = sample_sheets()
    plain = read_workbook(write_xlsx(tmp_path / "plain.xlsx", sheets)).characteristics
    rows = sheets[CHARACTERISTICS]
    rows[6][0] = str(rows[6][0])
    short = _zone_table(
        [list(rows[4]), ["(1)"], [], *[row[:-1] for row in rows[6:]]], zone_columns(CHARACTERISTICS), "s"
    )
    pd.testing.assert_frame_equal(short.iloc[:, :-1], plain.iloc[:, :-1])
    assert short.iloc[:, -1].isna().all()


@pytest.mark.parametrize(
    ("place", "cell", "words"),
    [
        (0, 302.5, "302.5 for a zone"),
        (0, "total", "'total' for a zone"),
        (2, "Indiana", "two letters of a state"),
        (3, "many", "'many'"),
        (3, "#DIV/0!", "'#DIV/0!'"),
        (3, "inf", "'inf'"),
    ],
)
def test_cell_that_is_something_else(tmp_path, place, cell, words):
    def change(sheets):
        sheets[CHARACTERISTICS][8][place] = cell

    refused(tmp_path, change, CHARACTERISTICS, "row 9", words)


@pytest.mark.parametrize(
    "data", [b"cz,state\n1,2\n", b"PK\x03\x04 and no archive", b"\xd0\xcf\x11\xe0 and no book", b""]
)
def test_no_workbook(tmp_path, data):
    path = tmp_path / "book.xls"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"book\.xls: (not|cannot be read .* expected) a workbook"):
        read_workbook(path)


def test_no_file(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.xls: cannot be read"):
        read_workbook(tmp_path / "nowhere.xls")


# Counties ------------------------------------------------------------------------------------


def test_counties_of_zones(tmp_path):
    zones = read_county_zones(write_files(tmp_path).county_zones)
    assert dict(zones) == {county: f"{zone:05d}" for county, zone in COUNTIES.items()}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cz,state\n100,18\n", "no column 'county'"),
        ("cz,state,county\n100,18,1\n200,18,1\n", "county 18001 lies in the zones 100, 200"),
        ("cz,state,county\n100,18,1\n200,Ohio,1\n", "column state, row 2: found 'Ohio'"),
        ("cz,state,county\n100,18,1001\n", "column county, row 1: found '1001'"),
    ],
)
def test_counties_that_cannot_be_used(tmp_path, text, words):
    path = tmp_path / "cz.csv"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_county_zones(path)
    assert "cz.csv" in str(error.value)
    assert words in str(error.value)


def test_changed_counties_take_the_zone_of_their_land():
    table = pd.Series({"02105": "34109", "02230": "34109", "02261": "34103", "12025": "07000", "51019": "02300"})
    zones, reasons = zones_of_counties(["02282", "02063", "02066", "12086", "51515", "46102", "51019"], table)
    assert dict(zones) == {
        "02063": "34103",
        "02066": "34103",
        "02282": "34109",
        "12086": "07000",
        "51019": "02300",
        "51515": "02300",
    }
    assert reasons["02063"] == "as 02261"
    assert "46102" in reasons
    assert "51019" not in reasons


def test_a_county_of_several_zones_gets_none():
    table = pd.Series({"08001": "00001", "08013": "00002"})
    zones, reasons = zones_of_counties(["08014"], table)
    assert zones.empty
    assert reasons["08014"] == "08001, 08013 lie in several zones: 00001, 00002"


def test_the_fewest_changes_count():
    """02232 stands between 02231 and 02105: what is nearer decides, though what is farther lies elsewhere."""
    chain = [Change(("a",), ("b",), ""), Change(("b",), ("c",), "")]
    zones, _ = zones_of_counties(["a"], pd.Series({"b": "1", "c": "2"}), chain)
    assert dict(zones) == {"a": "1"}
    zones, _ = zones_of_counties(["a"], pd.Series({"c": "2"}), chain)
    assert dict(zones) == {"a": "2"}


def test_planning_regions_cover_connecticut():
    now = {code for change in county_changes() for code in change.now if code.startswith("09")}
    was = {code for change in county_changes() for code in change.was if code.startswith("09")}
    assert now == {f"09{code}" for code in range(110, 191, 10)}
    assert was == {f"090{code:02d}" for code in range(1, 16, 2)}


# The cohort and the Atlas --------------------------------------------------------------------


def test_minority_tracts(tmp_path):
    shares = read_white_shares(write_files(tmp_path).counts)
    assert np.isnan(shares["18001009900"])
    found = shares.index[minority_tracts(shares.to_numpy())]
    mean = np.mean([value for value in shares if value == value])
    assert list(found) == sorted(key for key, value in shares.items() if value < mean)
    assert {key[:5] for key in found} == {"18001", "39001", "39003", "39005"}


@pytest.mark.parametrize("white", [-1, 1001, ""])
def test_counts_that_no_tract_has(tmp_path, white):
    path = tmp_path / "counts.csv"
    path.write_text(f"GEOID,pop2000,nh.white\n18001000100,1000,500\n18001000200,1000,{white}\n")
    with pytest.raises(InputError, match=r"counts\.csv: tract 18001000200"):
        read_white_shares(path)


def test_atlas(tmp_path):
    keys = ["01001020100", "39001000200", "18001000100"]
    frame = read_atlas(write_atlas(tmp_path / "atlas.csv.gz", keys))
    assert list(frame.index) == sorted(keys)
    assert list(frame.columns) == ["kir_pooled_p25"]


@pytest.mark.parametrize(
    ("text", "columns", "words"),
    [
        ("state,county,x\n1,1,2\n", None, "no column 'tract'"),
        ("state,county,tract,x\n1,1,20100,2\n", ["kir_pooled_p25"], "no column 'kir_pooled_p25'; found 'state'"),
        ("state,county,tract,x\n1,1,20100,2\n1,1,20100,3\n", None, "tract 01001020100 is there twice"),
        ("state,county,tract,x\n1,1,20100,many\n", None, "column 'x', tract 01001020100: found 'many'"),
        ("state,county,tract,x\n1,1,,2\n", None, "column tract, row 1: found ''"),
    ],
)
def test_atlas_that_cannot_be_used(tmp_path, text, columns, words):
    path = tmp_path / "atlas.csv"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_atlas(path, columns)
    assert words in str(error.value)
    assert "atlas.csv" in str(error.value)


def test_values_of_the_atlas_that_stand_for_missing_ones(tmp_path):
    path = tmp_path / "atlas.csv"
    path.write_text("state,county,tract,x\n1,1,20100,40\n1,1,20200,-999\n1,1,20300,41\n")
    with pytest.raises(InputError, match=r"column 'x', tract 01001020200: found -999"):
        read_atlas(path)
    assert read_atlas(path, missing=["-999"])["x"].isna().tolist() == [False, True, False]
    assert read_atlas(path, sentinels="keep")["x"].tolist() == [40, -999, 41]


def test_a_column_of_people_that_is_text(tmp_path):
    (tmp_path / "w.csv").write_text("GEOID,pop2000,nh.white\n18001000100,10,many\n18001000200,20,few\n")
    with pytest.raises(InputError, match=r"w\.csv: column 'nh\.white', tract 18001000100: found 'many'"):
        read_white_shares(tmp_path / "w.csv")
