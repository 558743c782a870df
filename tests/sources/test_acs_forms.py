"""ACS tables as people have them: of tidycensus, censusdis and NHGIS, in Latin-1, with signs, codes, annotations."""

import gzip
import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from geomob_dask.errors import InputError
from geomob_dask.sources.acs_files import read_file

TRACTS = ["39001000100", "39001000200"]
CELLS = [["1000", "50"], ["1001", "51"]]


def saved(tmp_path: Path, text: str, name: str = "a.csv", encoding: str = "utf-8") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def table(header: str, keys: list[str], cells: list[list[str]] = CELLS, names: str = "B01003_001E,B01003_001M") -> str:
    rows = (f"{key},{','.join(row)}" for key, row in zip(keys, cells, strict=True))
    return "\n".join([f"{header},{names}", *rows, ""])


def check(path: Path) -> None:
    found = read_file(path)
    assert found.tracts["geoid"].tolist() == TRACTS
    assert found.tracts["B01003_001E"].tolist() == [1000, 1001]
    assert found.tracts["B01003_001M"].tolist() == [50, 51]
    assert len(found.others) == 0


@pytest.mark.parametrize(
    ("header", "keys"),
    [
        ("GEO_ID", [f"1400000US{tract}" for tract in TRACTS]),
        ("geo_id", [f"1400000US{tract}" for tract in TRACTS]),
        ("GEOID", TRACTS),
        ("GEOIDFQ", [f"1400000US{tract}" for tract in TRACTS]),
        ("GISJOIN", ["G3900010000100", "G3900010000200"]),
        ("STATE,COUNTY,TRACT", ["39,001,000100", "39,001,000200"]),
        ("state,county,tract", ["39,1,100", "39,1,200"]),
        ("state,county,tract", ["39,001,0001", "39,001,0002"]),
        ("State,County,Tract", ["39,001,0001.00", "39,001,0002.00"]),
        ("STATEFP,COUNTYFP,TRACTCE", ["39,001,000100", "39,001,000200"]),
    ],
)
def test_keys_have_many_names(tmp_path: Path, header: str, keys: list[str]) -> None:
    check(saved(tmp_path, table(header, keys)))


def test_keys_of_another_name_are_named(tmp_path: Path) -> None:
    path = saved(tmp_path, table("Tract_Id", TRACTS))
    with pytest.raises(InputError, match=r"a\.csv: no key column; found 'Tract_Id'.*--key-column Tract_Id"):
        read_file(path)
    assert read_file(path, key="tract_id").tracts["geoid"].tolist() == TRACTS


def test_a_table_in_latin_1_is_read(tmp_path: Path) -> None:
    cells = [[f'"Doña Ana {number}"', *row] for number, row in enumerate(CELLS)]
    text = table("GEO_ID", TRACTS, cells, "NAME,B01003_001E,B01003_001M")
    for encoding in ("latin-1", "utf-8", "utf-8-sig", "utf-16"):
        check(saved(tmp_path, text, encoding=encoding))


def test_names_of_columns_may_be_in_lower_case(tmp_path: Path) -> None:
    check(saved(tmp_path, table("geoid", TRACTS, names="b01003_001e,b01003_001m")))


@pytest.mark.parametrize("sign", ["±", "+/-", "+/- "])
def test_margins_may_have_their_sign(tmp_path: Path, sign: str) -> None:
    check(saved(tmp_path, table("GEOID", TRACTS, [['"1,000"', f"{sign}50"], ['"1,001"', f"{sign}51"]])))


def test_a_long_table_of_tidycensus_is_the_wide_one(tmp_path: Path) -> None:
    rows = [
        f'{tract},"Tract {tract}",{variable},{estimate},{moe}'
        for tract, estimates in zip(TRACTS, ((1000, 250001), (1001, "NA")), strict=True)
        for variable, estimate, moe in zip(("B01003_001", "B19013_001"), estimates, (50, "NA"), strict=True)
    ]
    found = read_file(saved(tmp_path, "\n".join(["GEOID,NAME,variable,estimate,moe", *rows, ""])))
    assert list(found.tracts) == ["geoid", "B01003_001E", "B01003_001M", "B19013_001E", "B19013_001M"]
    assert found.tracts["B01003_001M"].tolist() == [50, 50]
    np.testing.assert_array_equal(found.tracts["B19013_001E"], [250001, np.nan])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["39001000100,income,1,1"], "column variable, row 1: found 'income'"),
        (["39001000100,B01003_001,1,1"] * 2, "area 39001000100 has B01003_001 twice"),
    ],
)
def test_a_long_table_of_other_names_is_refused(tmp_path: Path, rows: list[str], message: str) -> None:
    with pytest.raises(InputError, match=rf"a\.csv: .*{message}"):
        read_file(saved(tmp_path, "\n".join(["GEOID,variable,estimate,moe", *rows, ""])))


MEDIANS = {"B25037_001E": ["1960", "0"], "B25037_001EA": ["", "1939-"], "B25037_001M": ["5", "-333333333"]}


def test_a_bottom_code_is_the_same_number_in_every_form(tmp_path: Path) -> None:
    frame = pd.DataFrame({"GEO_ID": TRACTS, **MEDIANS})
    frame.to_csv(tmp_path / "api.csv", index=False)
    frame.to_parquet(tmp_path / "api.parquet")
    answer = [list(frame), *frame.replace({"": None}).to_numpy().tolist()]
    (tmp_path / "api.json").write_text(json.dumps(answer))
    printed = pd.DataFrame({"GEO_ID": TRACTS, "B25037_001E": ["1960", "1939-"], "B25037_001M": ["5", "***"]})
    printed.to_csv(tmp_path / "printed.csv", index=False)
    for name in ("api.csv", "api.parquet", "api.json", "printed.csv"):
        found = read_file(tmp_path / name)
        assert found.tracts["B25037_001E"].tolist() == [1960, 1938]
        np.testing.assert_array_equal(found.tracts["B25037_001M"], [5, np.nan])
        assert found.reasons["reason"].str.split(":").str[0].tolist() == [
            "bottom-coded",
            "median in an open-ended interval",
        ]


def test_codes_in_single_precision_are_codes(tmp_path: Path) -> None:
    numbers = np.array([1000, -666666666], dtype=np.float32)
    pd.DataFrame({"GEOID": TRACTS, "B01003_001E": numbers}).to_parquet(tmp_path / "a.parquet")
    found = read_file(tmp_path / "a.parquet")
    np.testing.assert_array_equal(found.tracts["B01003_001E"], [1000, np.nan])


def test_keys_in_single_precision_are_refused(tmp_path: Path) -> None:
    keys = np.array([39001950100, 39001950200], dtype=np.float32)
    pd.DataFrame({"GEOID": keys, "B01003_001E": [1, 2]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet: column 'GEOID', row 1: .* do not fit float32"):
        read_file(tmp_path / "a.parquet")


def test_a_tract_that_is_cut_short_is_no_row_of_another_area(tmp_path: Path) -> None:
    text = table("GEO_ID", ["1400000US39001000100", "1400000US3900100020"])
    with pytest.raises(InputError, match=r"a\.csv: column GEO_ID, row 2: found '1400000US3900100020'"):
        read_file(saved(tmp_path, text))


def test_rows_of_other_areas_stay_apart_and_keep_their_places(tmp_path: Path) -> None:
    text = table("GEO_ID", ["0500000US39001", *TRACTS, "160XX00US3915000"], [["5", "1"], *CELLS, ["6", "1"]])
    found = read_file(saved(tmp_path, text))
    assert found.tracts["geoid"].tolist() == TRACTS
    assert found.others["GEO_ID"].tolist() == ["0500000US39001", "160XX00US3915000"]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("a.csv", b"GEO_ID,B01003_001E\n1400000US39001000100,\x00\n"),
        ("a.csv", b""),
        ("a.csv", b"GEO_ID,B01003_001E\n" + b'"' * 7),
        ("a.csv.gz", b"no gzip"),
        ("a.csv.gz", gzip.compress(b"GEO_ID,B01003_001E\n" * 1000)[:-30] + b"\0" * 22),
        ("a.zip", b"PK\x03\x04 no zip"),
        ("a.json", b"[" * 100_000),
        ("a.json", b"\xff\xfe\x00"),
        ("a.json", b'[["GEO_ID", ["x"]], ["1400000US39001000100", 1]]'),
        ("a.json", b'[["GEO_ID", "GEO_ID"], ["1400000US39001000100", 1]]'),
        ("a.json", b'[["GEO_ID", "B01003_001E"], ["1400000US39001000100", {"a": 1}]]'),
        ("a.json", b'[["GEO_ID", "B01003_001E"], [null, 1]]'),
        ("a.json", b'{"a": ' + b"9" * 5000 + b"}"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, name: str, body: bytes) -> None:
    (tmp_path / name).write_bytes(body)
    with pytest.raises(InputError, match=rf"{name}"):
        read_file(tmp_path / name)


def test_a_zip_with_a_broken_member_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ACSDT5Y2022.B01003-Data.csv", table("GEO_ID", TRACTS) * 20)
    body = bytearray((tmp_path / "a.zip").read_bytes())
    body[60:70] = b"\xff" * 10
    (tmp_path / "a.zip").write_bytes(body)
    with pytest.raises(InputError, match=r"a\.zip, member ACSDT5Y2022\.B01003-Data\.csv: "):
        read_file(tmp_path / "a.zip")
