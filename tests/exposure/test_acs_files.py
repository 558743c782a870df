import gzip
import json
import zipfile

import numpy as np
import pytest

from geomob_dask.errors import DefinitionError, InputError
from geomob_dask.sources.acs_files import check_whole_country, read_file
from geomob_dask.sources.acs_tables import Query, query

HEADER = "GEO_ID,NAME,B02001_001E,B02001_001M,B02001_002E,B02001_002M"
LABELS = '"id","Geographic Area Name","Estimate!!Total","Margin of Error!!Total","Estimate!!White","Margin!!White"'
ROWS = [
    '"0100000US","United States",400,*****,250,9',
    '"1400000US39001000200","Census Tract 2, Adams County, Ohio",300,20,200,15',
    '"1400000US39001000100","Census Tract 1, Adams County, Ohio",100,*****,50,**',
    '"1400000US72001956300","Census Tract 9563, Adjuntas Municipio, Puerto Rico",77,5,7,3',
]


def saved(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode("utf-8-sig"))
    return path


def census_csv(*rows):
    return "\n".join([HEADER, LABELS, *rows]) + "\n"


def test_tracts_and_the_whole_country_are_told_apart(tmp_path):
    table = read_file(saved(tmp_path, "B02001.csv", census_csv(*ROWS)))
    assert table.tracts["geoid"].tolist() == ["39001000100", "39001000200", "72001956300"]
    assert table.tracts["B02001_001M"].tolist() == [0, 20, 5]
    assert np.isnan(table.tracts["B02001_002M"][0])
    assert table.others["GEO_ID"].tolist() == ["0100000US"]
    assert table.reasons["geoid"].tolist() == ["39001000100", "39001000100"]
    check_whole_country(table, "B02001_001E")


def test_tracts_that_do_not_sum_to_the_country_are_named(tmp_path):
    table = read_file(saved(tmp_path, "B02001.csv", census_csv(ROWS[0], ROWS[1])))
    with pytest.raises(InputError, match=r"b\.csv: column B02001_001E: tracts sum to 300, expected the country's 400"):
        check_whole_country(table, "B02001_001E", where="b.csv")


def test_the_same_table_zipped_with_trailing_commas_and_as_json(tmp_path):
    expected = read_file(saved(tmp_path, "plain.csv", census_csv(*ROWS)))
    newer = "\n".join(f"{row}," for row in census_csv(*ROWS).splitlines())
    with zipfile.ZipFile(tmp_path / "B02001.zip", "w") as archive:
        archive.writestr("ACSDT5Y2022.B02001-Data.csv", newer)
        archive.writestr("ACSDT5Y2022.B02001-Column-Metadata.csv", "Column Name,Label\n")
    codes = {"*****": "-555555555", "**": "-222222222"}
    cells = [[codes.get(cell, cell) for cell in row.split(",")[-4:]] for row in ROWS[1:]]
    geoids = [row[10:21] for row in ROWS[1:]]
    answer = [
        [*HEADER.split(",")[2:], "state", "county", "tract"],
        *([*row, geoid[:2], geoid[2:5], geoid[5:]] for row, geoid in zip(cells, geoids, strict=True)),
    ]
    for path in (tmp_path / "B02001.zip", saved(tmp_path, "B02001.json", "")):
        if path.suffix == ".json":
            path.write_text(json.dumps(answer))
        table = read_file(path)
        assert table.tracts.equals(expected.tracts)
        assert table.reasons.equals(expected.reasons)


def test_api_columns_with_annotations_and_unpadded_codes(tmp_path):
    text = (
        "year,state,county,tract,B19113_001E,B19113_001EA,B19113_001M,B19113_001MA\n"
        '2021,1,1,20100,250001,"250,000+",-333333333,***\n'
        "2021,1,1,20200,-666666666,-,-222222222,**\n"
    )
    table = read_file(saved(tmp_path, "B19113_2021.csv.gz", text))
    assert table.tracts["geoid"].tolist() == ["01001020100", "01001020200"]
    np.testing.assert_array_equal(table.tracts["B19113_001E"], [250001, np.nan])
    assert table.tracts["B19113_001M"].isna().all()
    assert len(table.reasons) == 4


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", census_csv(ROWS[0]), r"a.csv: found no tract among 1 rows \(0100000US\), expected 1400000US"),
        ("b.csv", census_csv(ROWS[1], ROWS[1]), r"b.csv: tract 39001000200 is there twice \(1 such rows\)"),
        ("c.csv", census_csv(ROWS[1].replace("300", "3OO")), r"column B02001_001E, tract 39001000200: found '3OO'"),
        ("d.csv", "<!DOCTYPE html><html>busy</html>", r"d.csv: found '<!DOCTYPE html>.*expected a table"),
        ("e.csv", "GEOID,POP\n39001000100,4\n", r"e.csv: found the columns GEOID, POP, expected estimates such as"),
        ("e2.csv", "ID,POP\n39001000100,4\n", r"e2.csv: no key column; found 'ID', 'POP', expected one of GEOID"),
        ("f.csv", "GEO_ID,POP\n1400000US39001000100,4\n", r"expected estimates such as B01003_001E"),
        ("g.csv", "GEO_ID,A_001E,A_001E\n1400000US39001000100,4,5\n", r"g.csv: the header has 'A_001E' more than once"),
        ("h.json", '[["A_001E", "state"], ["1"', r"h.json: found text that is not JSON or breaks off"),
        ("i.json", '{"error": "x"}', r"i.json: found .*expected a list of rows"),
        ("j.json", '[["A_001E", "state", "county", "tract"], ["1", "39"]]', r"row 1: found 2 cells, expected 4"),
        ("k.zip", "PK broken", r"k.zip: cannot be read"),
        ("l.csv", 'GEO_ID,A_001E\n1400000US39001000100,"4\n', r"l.csv: ends within quotes"),
    ],
)
def test_files_that_are_not_whole_or_not_tables_are_named(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_file(path)


def test_a_file_cut_off_in_its_compression_is_named(tmp_path):
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(gzip.compress(census_csv(*ROWS).encode())[:-20])
    with pytest.raises(InputError, match=r"cut.csv.gz: "):
        read_file(path)


def test_variables_by_year():
    assert len(query("B19001", 2009).variables) == 34
    assert query("B19113", 2020).variables == ("B19113_001E", "B19113_001M", "B19113_001EA", "B19113_001MA")
    assert query("DP05", 2016).path == "2016/acs/acs5/profile"
    with pytest.raises(
        DefinitionError, match=r"table DP05: no variables are listed for 2009; they are for 2010 to 2016"
    ):
        query("DP05", 2009)
    with pytest.raises(DefinitionError, match=r"table 'B99999': .*B01003, B02001"):
        query("B99999", 2020)


def test_a_long_table_is_asked_for_in_blocks_the_api_takes():
    asked = Query("X", 2020, "p", tuple(f"X_{line:03d}E" for line in range(120)))
    assert [len(block) for block in asked.blocks] == [50, 50, 20]
    assert sum(asked.blocks, ()) == asked.variables
