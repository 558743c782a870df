"""Tables of measures: what is a number is read as it is, what is not is refused by column and tract."""

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomob_dask.errors import InputError
from geomob_dask.sources.matching import match_keys
from geomob_dask.sources.measures import read_measures

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_text(text: str) -> Path:
        file = tmp_path / "m.csv"
        file.write_text(text, encoding="utf-8")
        return file

    return write_text


PLAIN = "GEOID,a,b,name\n39001961500,2,-1.5e3,Brown\n39001961400,1,,Adams\n01001020100,+3,.5,Autauga\n"


def check_plain(frame: pd.DataFrame) -> None:
    assert list(frame.index) == ["01001020100", "39001961400", "39001961500"]
    assert frame.index.name == "geoid"
    assert list(frame.columns) == ["a", "b"]
    assert (frame.dtypes == np.float64).all()
    np.testing.assert_array_equal(frame.to_numpy(), [[3, 0.5], [1, np.nan], [2, -1500]])


def test_a_plain_table(write: Write) -> None:
    frame, report = read_measures(write(PLAIN))
    check_plain(frame)
    assert report.left_out == ("name",)
    assert report.missing == {"b": 1}
    assert report.lines() == [
        "3 rows read from m.csv: 3 tracts, 2 columns of numbers",
        "columns left out, they hold neither numbers nor text that repeats: name",
        "missing values: 1 in all; b 1 (33.3 %)",
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text,
        lambda text: "\n" + text.replace("\n", "\r\n"),
        lambda text: text.replace("GEOID", '"GEOID"').replace("Adams", '"Adams,\nOhio"'),
        lambda text: text.replace("GEOID,a", " GEOID, a"),
        lambda text: "\n".join(
            f"{number}{line}"
            for number, line in zip(["", "1,", "2,", "3,"], ("," + text).split("\n")[:-1], strict=False)
        ),
        lambda text: text.replace("Adams", "Doña Ana"),
    ],
    ids=["mark", "windows", "quotes", "blanks", "row numbers", "letters"],
)
def test_ways_to_write_a_table(write: Write, change: Callable[[str], str]) -> None:
    check_plain(read_measures(write(change(PLAIN)))[0])


def test_latin_letters(tmp_path: Path) -> None:
    file = tmp_path / "m.csv"
    file.write_bytes(PLAIN.replace("Adams", "Doña Ana").encode("latin-1"))
    assert read_measures(file, columns=["name"])[0]["name"].iloc[1] == "Doña Ana"


def test_compressed_and_parquet_tables_are_the_same(tmp_path: Path, write: Write) -> None:
    (tmp_path / "m.csv.gz").write_bytes(gzip.compress(PLAIN.encode()))
    check_plain(read_measures(tmp_path / "m.csv.gz")[0])
    frame, _ = read_measures(write(PLAIN))
    frame.to_parquet(tmp_path / "index.parquet")
    check_plain(read_measures(tmp_path / "index.parquet")[0])
    columns = {
        "geoid": [39001961500, 39001961400, 1001020100],
        "a": pa.array([2, 1, 3], pa.int8()),
        "b": pa.array([-1500, None, 0.5], pa.float32()),
        "name": pa.array(["x", "y", "z"]).dictionary_encode(),
        "day": pa.array([1, 2, 3], pa.date32()),
    }
    pq.write_table(pa.table(columns), tmp_path / "typed.parquet")
    typed, report = read_measures(tmp_path / "typed.parquet")
    check_plain(typed)
    assert report.left_out == ("name", "day")
    assert report.keys.padded == ("01001020100",)


def test_other_types_of_parquet(tmp_path: Path) -> None:
    columns = {
        "GEOID": ["39001961400", "39001961500"],
        "flag": [True, None],
        "nothing": pa.nulls(2),
        "decimal": pa.array([1, 2]).cast(pa.decimal128(21, 2)),
        "text": ["1", None],
        "large": pa.array(["2.5", "."], pa.large_string()),
    }
    pq.write_table(pa.table(columns), tmp_path / "m.parquet")
    frame, report = read_measures(tmp_path / "m.parquet")
    np.testing.assert_array_equal(frame.to_numpy(), [[1, np.nan, 1, 1, 2.5], [np.nan, np.nan, 2, np.nan, np.nan]])
    assert not report.left_out


@given(st.lists(st.floats(-1e100, 1e100, allow_nan=False), min_size=1, max_size=20))
@settings(max_examples=50)
def test_numbers_are_read_to_the_last_bit(tmp_path_factory: pytest.TempPathFactory, numbers: list[float]) -> None:
    file = tmp_path_factory.getbasetemp() / "bits.csv"
    file.write_text("GEOID,a\n" + "".join(f"39001{row:06d},{number!r}\n" for row, number in enumerate(numbers)))
    # An integer written as 1e+22 is a float; one written in digits has to fit.
    assert read_measures(file)[0]["a"].to_numpy().tobytes() == np.array(numbers).tobytes()


@pytest.mark.parametrize("word", ["", " ", "NA", "NaN", "nan", "null", "N/A", "None", "."])
def test_words_for_missing(write: Write, word: str) -> None:
    frame, report = read_measures(write(f"GEOID,a\n39001961400,{word}\n39001961500,1\n"))
    np.testing.assert_array_equal(frame["a"], [np.nan, 1])
    assert report.missing == {"a": 1}


def test_a_column_without_any_value_stays(write: Write) -> None:
    frame, report = read_measures(write("GEOID,a,b\n39001961400,,1\n"))
    assert frame["a"].isna().all()
    assert report.missing == {"a": 1}


def test_columns_in_the_order_asked_for(write: Write) -> None:
    frame, report = read_measures(write(PLAIN), columns=["name", "b", "b"])
    assert list(frame.columns) == ["name", "b"]
    assert frame.loc["39001961400", "name"] == "Adams"
    assert (report.measures, report.texts, report.left_out) == (("b",), ("name",), ())


def test_other_keys_are_no_measures(write: Write) -> None:
    frame, report = read_measures(write("FIPS,GEOID,a\n39001961400,39001961400,1\n"))
    assert list(frame.columns) == ["a"]
    assert report.left_out == ("FIPS",)


def test_rows_of_unknown_states_are_left_out_whatever_they_hold(write: Write) -> None:
    frame, report = read_measures(write("GEOID,a\n39001961400,1\n99001961400,text\n"))
    assert list(frame.index) == ["39001961400"]
    assert report.keys.unknown == ("99001961400",)
    assert report.keys.rows == len(frame) + 1


def test_equal_rows_are_dropped_and_named(write: Write) -> None:
    frame, report = read_measures(write("GEOID,a,b\n39001961500,1,\n39001961400,2,3\n39001961500,1.0,NA\n"))
    assert list(frame["a"]) == [2, 1]
    assert report.duplicates == ("39001961500",)
    assert any("1 row dropped" in line and "39001961500" in line for line in report.lines())


def test_infinite_values_can_be_missing(write: Write) -> None:
    frame, report = read_measures(write("GEOID,a\n39001961400,inf\n39001961500,1\n"), infinite="missing")
    np.testing.assert_array_equal(frame["a"], [np.nan, 1])
    assert report.infinite == {"a": 1}
    assert "a: 1 infinite value made missing" in report.lines()


ONE = "GEOID,a,b\n39001961400,1,2\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"is empty; expected a table of measures"),
        ("GEOID,a\n", r"no rows below the header"),
        ("x,y\n1,2\n", r"no key column; found 'x', 'y', expected one of GEOID, GEO_ID, "),
        ("GEOID,a,a\n39001961400,1,2\n", r"the header has 'a' more than once"),
        ("GEOID,GEOID\n39001961400,1\n", r"the header has 'GEOID' more than once"),
        ("GEOID,a\n39001961400,1,2\n", r"row 1: found 3 values separated by commas, expected 2"),
        (ONE + "39001961500,1", r"row 2: found 2 values separated by commas, expected 3"),
        ("GEOID,name\n39001961400,Adams\n", r"no column of numbers; found 'name'"),
        (ONE + "3900196140,1,2\n", r"column GEOID, row 2: found '3900196140'"),
        (ONE + ",1,2\n", r"column GEOID, row 2: no key"),
        ("GEO_ID,a\nid,Estimate\n1400000US39001961400,1\n", r"column GEO_ID, row 1: found 'id', .* second header row"),
        (ONE + "39001961500,x1,2\n", r"column 'a', tract 39001961500: found 'x1', expected a number"),
        (ONE + '39001961500,"1,000",2\n', r"column 'a', tract 39001961500: found '1,000', expected a number"),
        (ONE + "39001961500,0x10,2\n", r".*found '0x10', expected a number"),
        (ONE + "39001961500,1_0,2\n", r".*found '1_0', expected a number"),
        (ONE + "39001961500,-,2\n", r".*found '-', an annotation of the Census Bureau, expected a number"),
        (
            ONE + "39001961500,1,-666666666\n",
            r"column 'b', tract 39001961500: found -666666666, expected .* code of the",
        ),
        (ONE + "39001961500,1,inf\n", r"column 'b', tract 39001961500: found inf, expected a finite number"),
        (ONE + "39001961500,1,-Infinity\n", r"column 'b', tract 39001961500: found -inf, expected a finite"),
        (ONE + "39001961500,1,1e999\n", r"column 'b', tract 39001961500: found inf, expected a finite"),
        (ONE + "39001961500,9007199254740994,1\n", r"column 'a', .*found 9007199254740994, expected an integer of at"),
        (ONE + "39001961400,1,3\n", r"tract 39001961400: column 'b': found 2.0 and 3.0 in two rows, expected one row"),
        (ONE + "39001961400,1,\n", r"tract 39001961400: column 'b': found 2.0 and nan in two rows"),
    ],
)
def test_what_is_refused(write: Write, text: str, message: str) -> None:
    with pytest.raises(InputError, match=rf"m\.csv: {message}"):
        read_measures(write(text))


def test_large_integers_of_parquet_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "m.parquet"
    pq.write_table(pa.table({"GEOID": ["39001961400"], "a": [2**53 + 2]}), file)
    with pytest.raises(InputError, match=r"column 'a', tract 39001961400: found 9007199254740994, expected an integer"):
        read_measures(file)


def test_a_day_is_no_measure(tmp_path: Path) -> None:
    file = tmp_path / "m.parquet"
    pq.write_table(pa.table({"GEOID": ["39001961400"], "a": pa.array([1], pa.date32())}), file)
    with pytest.raises(InputError, match=r"column 'a': holds date32\[day\]; expected numbers or text"):
        read_measures(file, columns=["a"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.docx", b"PK", r"suffix '\.docx'; expected one of \.csv, \.tsv, "),
        ("m", b"GEOID", r"suffix ''; expected one of"),
        ("m.csv", b"PK\x03\x04\x00\x00", r"not a table of text"),
        ("m.csv", gzip.compress(PLAIN.encode()), r"not a table of text"),
        ("m.csv.gz", PLAIN.encode(), r"cannot be read \(Not a gzipped file"),
        ("m.csv.gz", gzip.compress(PLAIN.encode())[:40], r"cannot be read \(Compressed file ended"),
        ("m.parquet", PLAIN.encode(), r"cannot be read \(.*Parquet magic bytes not found"),
        ("m.parquet", b"", r"is empty"),
        ("m.csv", b'"' + b"x" * 200_000, r"not a table \(field larger than field limit"),
    ],
)
def test_files_that_hold_something_else(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}: {message}"):
        read_measures(tmp_path / name)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there\.csv: cannot be read \(No such file"):
        read_measures(tmp_path / "there.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=r"folder\.csv: cannot be read \(Is a directory"):
        read_measures(tmp_path / "folder.csv")


def test_absent_columns_are_named_with_those_present(write: Write) -> None:
    with pytest.raises(InputError, match=r"no column 'c', 'd'; expected one of 'GEOID', 'a', 'b'"):
        read_measures(write(ONE), columns=["a", "c", "d"])


def test_settings_are_checked(write: Write) -> None:
    with pytest.raises(InputError, match="infinite: found 'drop', expected 'refuse' or 'missing'"):
        read_measures(write(ONE), infinite="drop")


def test_keys_and_polygons_are_compared_by_state() -> None:
    measures = pd.Index(["39001961400", "39035990000", "18001030100"])
    report = match_keys(measures, pd.Index(["39001961400", "01001020100"]))
    assert (report.matched, report.no_polygon, report.no_measures) == (
        1,
        ("18001030100", "39035990000"),
        ("01001020100",),
    )
    assert report.lines() == [
        "with measures and a polygon: 1 tract",
        "with measures and no polygon: 2 tracts in 2 states",
        "  18 Indiana: 18001030100",
        "  39 Ohio: 39035990000",
        "with a polygon and no measures: 1 tract in 1 state",
        "  01 Alabama: 01001020100",
    ]
    assert match_keys(measures, measures).lines() == ["with measures and a polygon: 3 tracts"]


def test_many_states_are_not_all_listed() -> None:
    keys = pd.Index([f"{code:02d}001000100" for code in (*range(16, 43), 44)])
    lines = match_keys(keys, keys[:0]).lines()
    assert lines[1] == "with measures and no polygon: 28 tracts in 28 states"
    assert lines[-1] == "  … and 16 more states"


def test_a_key_column_of_another_name(write: Write) -> None:
    frame, _ = read_measures(write(PLAIN.replace("GEOID", "tract_fips")), key="tract_fips")
    check_plain(frame)
    with pytest.raises(InputError, match=r"no key column 'tract_fips'; found 'GEOID', 'a', 'b', 'name'"):
        read_measures(write(PLAIN), key="tract_fips")


# Text that names regions, and numbers written for people -------------------------------------------


def test_regions_are_kept_as_text_with_their_zeros(write: Write) -> None:
    text = "GEOID,MSA,county,CBSA,a,NAME\n39001961400,Akron ,001,10420,1,Tract 1\n"
    text += "39001961500,Akron,001,10420,2,Tract 2\n39003000100,,003,NA,3,Tract 3\n"
    frame, report = read_measures(write(text))
    assert list(frame.columns) == ["MSA", "county", "CBSA", "a"]
    assert frame["MSA"].tolist()[:2] == ["Akron", "Akron"]
    assert pd.isna(frame["MSA"].iloc[2])
    assert frame["county"].tolist() == ["001", "001", "003"]
    # Digits without a zero in front are a number to everybody.
    np.testing.assert_array_equal(frame["CBSA"], [10420, 10420, np.nan])
    assert (report.texts, report.measures, report.left_out) == (("MSA", "county"), ("CBSA", "a"), ("NAME",))
    assert "columns of text, such as regions (--by NAME): MSA, county" in report.lines()


@pytest.mark.parametrize("zeros", ["0.50", "0", "00", "05 "])
def test_numbers_that_begin_with_a_zero_are_numbers(write: Write, zeros: str) -> None:
    frame, report = read_measures(write(f"GEOID,a\n39001961400,{zeros}\n39001961500,7\n39003000100,7\n"))
    assert report.measures == ("a",)
    assert frame["a"].iloc[0] == float(zeros)


def test_annotations_alone_are_no_regions(write: Write) -> None:
    _, report = read_measures(write("GEOID,a,b\n39001961400,1,-\n39001961500,2,-\n"))
    assert report.left_out == ("b",)


@pytest.mark.parametrize(
    "cells",
    [["1,100", "1,101"], ["0.0%", "15.0%"], ["$5100", "$5101"], ["-$5,100.50", "$1"], ["5 %", "NA"], ["1 234", "2 3"]],
    ids=["thousands", "percent", "dollars", "both", "blank", "spaces"],
)
@pytest.mark.parametrize("asked", [None, ["a"]])
def test_numbers_written_for_people_are_named_by_cell_and_tract(
    write: Write, cells: list[str], asked: list[str] | None
) -> None:
    file = write("GEOID,b,a\n" + "".join(f'3900196{1400 + k},{k},"{cell}"\n' for k, cell in enumerate(cells)))
    with pytest.raises(InputError) as caught:
        read_measures(file, columns=asked)
    assert all(word in str(caught.value) for word in ("column 'a'", "tract 39001961400", repr(cells[0])))


def test_the_nearest_name_of_a_key_column(write: Write) -> None:
    with pytest.raises(InputError, match=r"found 'GEOID_20', 'a'.*--key-column GEOID_20"):
        read_measures(write("GEOID_20,a\n39001961400,1\n"))
    frame, _ = read_measures(write("GEOID_20,a\n39001961400,1\n"), key="GEOID_20")
    assert list(frame.index) == ["39001961400"]


def test_a_column_that_is_not_wanted_stops_nothing(tmp_path: Path) -> None:
    columns = {
        "GEOID": ["39001961400"],
        "a": [1],
        "list": pa.array([[1]]),
        "outline": pa.array([b"\x01\xff"]),
        "id": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16], pa.binary(16))),
    }
    pq.write_table(pa.table(columns), tmp_path / "m.parquet")
    frame, report = read_measures(tmp_path / "m.parquet")
    assert list(frame.columns) == ["a"]
    assert report.left_out == ("list", "outline", "id")
    with pytest.raises(InputError, match=r"m\.parquet: column 'list': holds list"):
        read_measures(tmp_path / "m.parquet", columns=["a", "list"])


def test_sheets_and_members_are_named_by_layer(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.writestr("a.csv", "GEOID,a\n39001961400,1\n")
        archive.writestr("b.csv", "GEOID,a\n39001961400,2\n")
    assert read_measures(tmp_path / "m.zip", layer="b")[0]["a"].tolist() == [2]
    with pytest.raises(InputError, match=r"m\.zip: found 'a\.csv', 'b\.csv'.*--layer"):
        read_measures(tmp_path / "m.zip")
