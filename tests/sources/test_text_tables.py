"""One reader of tables: the same content whatever the form, and errors that name file, row and column."""

import io
import struct
import zipfile
from decimal import Decimal
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomob_dask.errors import InputError
from geomob_dask.settings import Limits
from geomob_dask.sources.text_tables import as_text, open_table, read_texts

HEADER = ["GEOID", "a", "name"]
ROWS = [["01001020100", "1", "Doña Ana"], ["39001961400", "2.5", ""]]
TRUE = pd.DataFrame(ROWS, columns=HEADER, dtype="str")


def text(separator: str = ",") -> str:
    return "\n".join(separator.join(row) for row in [HEADER, *ROWS]) + "\n"


def saved(folder: Path, name: str, data: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def workbook(sheets: dict[str, list[list[object]]]) -> bytes:
    book, buffer = openpyxl.Workbook(), io.BytesIO()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(buffer)
    return buffer.getvalue()


def parquet(columns: dict[str, object]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


# Text --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"])
@pytest.mark.parametrize("name", ["m.csv", "m.tsv", "m.txt"])
def test_separators_and_encodings(tmp_path: Path, separator: str, encoding: str, name: str) -> None:
    # Without its mark UTF-16 is not to be told from other bytes.
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    path = saved(tmp_path, name, mark + text(separator).encode(encoding))
    pd.testing.assert_frame_equal(read_texts(path), TRUE)


@pytest.mark.parametrize(
    ("content", "header", "first"),
    [
        ("\n a , b \n1,2\n", ["a", "b"], ["1", "2"]),
        ('a,"b,c"\n1,"2\n3"\n', ["a", "b,c"], ["1", "2\n3"]),
        (",a\n0,1\n", ["a"], ["1"]),
        ("a,b,\n1,2,\n", ["a", "b"], ["1", "2"]),
        ("a;b,c\n1;2\n", ["a", "b,c"], ["1", "2"]),
        ("a,b;c\n1,2;3\n4,5\n", ["a", "b;c"], ["1", "2;3"]),
        ("a\r\n1\r\n", ["a"], ["1"]),
        ("PAR1,a\n1,2\n", ["PAR1", "a"], ["1", "2"]),
        (f'a,b\n1,"{"9 9," * 40_000}"\n', ["a", "b"], ["1", "9 9," * 40_000]),
        (f'a,b\n1,"{"9 9," * 400_000}"\n2,3\n', ["a", "b"], ["1", "9 9," * 400_000]),
    ],
    ids=[
        "blanks",
        "quotes",
        "row numbers",
        "last comma",
        "comma in a name",
        "semicolons in a value",
        "one column",
        "magic",
        "long value",
        "longer than a block",
    ],
)
def test_ways_to_write_text(tmp_path: Path, content: str, header: list[str], first: list[str]) -> None:
    found = read_texts(saved(tmp_path, "m.csv", content))
    assert list(found) == header
    assert found.iloc[0].tolist() == first


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        (["0,5", "1,25", "7"], ["0.5", "1.25", "7"]),
        (["1,234", "0,5", "NA"], ["1.234", "0.5", "NA"]),
        (["-,5", "1,5e3", ""], ["-.5", "1.5e3", ""]),
        (["0.5", "1.25", "7"], ["0.5", "1.25", "7"]),
        # Thousands or decimals, and nothing in the file that says which: left as it is, for the reader of numbers.
        (["1,234", "2,345", "3"], ["1,234", "2,345", "3"]),
        (["1.234", "0.5", ""], ["1.234", "0.5", ""]),
    ],
)
def test_decimal_commas(tmp_path: Path, numbers: list[str], expected: list[str]) -> None:
    path = saved(tmp_path, "m.csv", "GEOID;a;b\n" + "".join(f"39001961400;{number};1\n" for number in numbers))
    assert read_texts(path)["a"].tolist() == expected


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        (["0,5", "0.25"], ["column 'a'", "'0.25'", "'0,5'", "not both"]),
        (["0,5", "1.234"], ["column 'a'", "'1.234'", "'0,5'"]),
        (["1.234", "2.345"], ["column 'a'", "'1.234'", "semicolons"]),
    ],
)
def test_numbers_that_may_be_read_in_two_ways(tmp_path: Path, numbers: list[str], words: list[str]) -> None:
    path = saved(tmp_path, "m.csv", "GEOID;a\n" + "".join(f"39001961400;{number}\n" for number in numbers))
    with pytest.raises(InputError) as caught:
        open_table(path)
    assert all(word in str(caught.value) for word in ["m.csv", *words]), caught.value


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("a,b\n", "no rows"),
        ("a,b, a\n1,2,3\n", "'a' more than once"),
        ("a,b\n1,2\n1,2,3\n", "row 2: found 3 values separated by commas, expected 2"),
        ("a;b\n1;2\n1\n", "row 2: found 1 values separated by semicolons, expected 2"),
        ("a,b\n1,2\x003\n", "NUL"),
        (b"\xff\xfea\x00,", "UTF-16"),
        ('"' + "x" * 200_000, "field limit"),
        (b"\x1f\x8b\x08\x00", "gzip"),
    ],
)
def test_text_that_is_no_table(tmp_path: Path, content: bytes | str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        open_table(saved(tmp_path, "m.csv", content))
    assert "m.csv" in str(caught.value)
    assert words in str(caught.value)


def test_a_header_of_more_characters_than_a_value_may_have_is_read_or_refused_by_its_columns(tmp_path: Path) -> None:
    names = ["GEOID", *(f"a_measure_of_a_long_name_{number}" for number in range(6000))]
    lines = "\n".join([",".join(names), ",".join(["01001020100", *["1"] * 6000])]) + "\n"
    assert len(",".join(names)) > 131_072
    path = saved(tmp_path, "wide.csv", lines)
    assert open_table(path).names == tuple(names)
    with pytest.raises(InputError, match=r"wide\.csv: found 6,001 columns.*GEOMOB_LIMIT_COLUMNS"):
        open_table(path, limits=Limits(columns=100))


def test_many_columns_of_one_name_are_found_soon(tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(20_000)]
    with pytest.raises(InputError, match="'c7' more than once"):
        open_table(saved(tmp_path, "m.csv", ",".join([*names, "c7"]) + "\n" + "1," * 20_000 + "1\n"))
    path = saved(tmp_path, "n.csv", ",".join(names) + "\n" + ",".join(["1"] * 20_000) + "\n")
    assert len(open_table(path).names) == 20_000
    with pytest.raises(InputError, match=r"n\.csv: found 20,000 columns.*GEOMOB_LIMIT_COLUMNS"):
        open_table(path, limits=Limits(columns=19_999))


def test_more_rows_than_the_limit(tmp_path: Path) -> None:
    for path in (
        saved(tmp_path, "m.csv", "a,b\n" + "1,2\n" * 11),
        saved(tmp_path, "m.parquet", parquet({"a": np.ones(11)})),
        saved(tmp_path, "m.xlsx", workbook({"s": [["a"], *[[1]] * 11]})),
    ):
        with pytest.raises(InputError, match=rf"{path.name}.*rows.*GEOMOB_LIMIT_ROWS"):
            open_table(path, limits=Limits(rows=10))
        assert open_table(path, limits=Limits(rows=11)).rows == 11


# Excel -------------------------------------------------------------------------------------------


def test_cells_of_excel(tmp_path: Path) -> None:
    rows = [
        ["GEOID", "a", "b", 2018.0, "", "t"],
        ["01001020100", 1.0, 0.1, True, None, "x "],
        [None] * 6,
        [39001961400, -2, "#DIV/0!", None, None],
    ]
    found = read_texts(saved(tmp_path, "m.xlsx", workbook({"s": rows})))
    assert list(found) == ["GEOID", "a", "b", "2018", "t"]
    assert found.to_numpy().tolist() == [
        ["01001020100", "1", "0.1", "1", "x"],
        ["39001961400", "-2", "#DIV/0!", "", ""],
    ]


def test_one_of_several_sheets_is_named(tmp_path: Path) -> None:
    book = workbook({"notes": [["Read me"]], "data": [HEADER, *ROWS], "empty": []})
    path = saved(tmp_path, "m.xlsx", book)
    with pytest.raises(InputError, match=r"m\.xlsx: found the sheets 'notes', 'data'; .*--layer"):
        open_table(path, flag="--layer")
    pd.testing.assert_frame_equal(open_table(path, layer="data").texts(), TRUE)
    with pytest.raises(InputError, match=r"m\.xlsx: no sheet 'other'; found 'notes', 'data', 'empty'"):
        open_table(path, layer="other")
    with pytest.raises(InputError, match=r"m\.csv: found a single table"):
        open_table(saved(tmp_path, "m.csv", text()), layer="data")


def test_a_sheet_that_states_a_million_rows(tmp_path: Path) -> None:
    data = workbook({"s": [HEADER, *ROWS]})
    stated = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stated, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b'ref="A1:C3"', b'ref="A1:XFD1048576"'))
    assert b"XFD1048576" in stated.getvalue()
    pd.testing.assert_frame_equal(read_texts(saved(tmp_path, "m.xlsx", stated.getvalue())), TRUE)


def test_workbooks_that_are_none(tmp_path: Path) -> None:
    good = workbook({"s": [HEADER, *ROWS]})
    for name, data in (
        ("m.xlsx", b"PK"),
        ("m.xlsx", text()),
        ("m.xlsx", good[:-40]),
        ("m.xlsx", good.replace(b"PK\x03\x04", b"PK\x03\x05")),
        ("m.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\xff" * 600),
        ("m.xls", b"\xd0\xcf\x11\xe0"),
        ("m.xlsx", workbook({"s": []})),
        ("m.xlsx", workbook({"s": [["a"], [1, 2]]})),
    ):
        with pytest.raises(InputError, match=name):
            open_table(saved(tmp_path, name, data))


def test_what_excel_unpacks_to_is_bounded(tmp_path: Path) -> None:
    path = saved(tmp_path, "m.xlsx", workbook({"s": [["a"], *[["x" * 1000]] * 50]}))
    with pytest.raises(InputError, match=r"m\.xlsx, member .*GEOMOB_LIMIT_BYTES"):
        open_table(path, limits=Limits(bytes=20_000))


# Parquet -----------------------------------------------------------------------------------------

WORDS = ["1", "x", None]
TEXTS = {
    "string": pa.array(WORDS),
    "large": pa.array(WORDS, pa.large_string()),
    "view": pa.array(WORDS, pa.string_view()),
    "binary": pa.array([b"1", b"x", None]),
    "large binary": pa.array([b"1", b"x", None], pa.large_binary()),
    "binary view": pa.array([b"1", b"x", None], pa.binary_view()),
    "fixed": pa.array([b"1", b"x", None], pa.binary(1)),
    "dictionary": pa.array(WORDS).dictionary_encode(),
}
NUMBERS = {
    **{f"f{size}": pa.array(np.array([1, 0.5, np.nan], f"f{size}"), from_pandas=True) for size in (2, 4, 8)},
    "decimal": pa.array([Decimal("1.0"), Decimal("0.5"), None]),
    "dictionary": pa.array([1.0, 0.5, None]).dictionary_encode(),
}
INTEGERS = {
    **{str(kind): pa.array([1, 0, None], kind) for kind in (pa.int8(), pa.uint8(), pa.int64(), pa.uint64())},
    "bool": pa.array([True, False, None]),
}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        *[pytest.param(values, ["1", "x", ""], id=name) for name, values in TEXTS.items()],
        *[pytest.param(values, ["1", "0.5", ""], id=name) for name, values in NUMBERS.items()],
        *[pytest.param(values, ["1", "0", ""], id=name) for name, values in INTEGERS.items()],
        pytest.param(pa.nulls(3), ["", "", ""], id="null"),
    ],
)
def test_types_of_parquet(tmp_path: Path, values: pa.Array, expected: list[str]) -> None:
    table = open_table(saved(tmp_path, "m.parquet", parquet({" a.b ": values})))
    assert table.texts()["a.b"].tolist() == expected


UNUSABLE = {
    "list": pa.array([[1], None]),
    "struct": pa.array([{"x": 1}, None]),
    "map": pa.array([[("x", 1)], None], pa.map_(pa.string(), pa.int64())),
    "day": pa.array([1, None], pa.date32()),
    "uuid": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16, None], pa.binary(16))),
    "outline": pa.array([b"\x01\xff", None]),
}


@pytest.mark.parametrize("name", list(UNUSABLE))
def test_a_column_that_is_no_number_nor_text_stops_only_who_wants_it(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path, "m.parquet", parquet({"odd": UNUSABLE[name], "a": ["1", "2"]}))
    table = open_table(path)
    assert table.names == ("odd", "a")
    assert table.column("a").to_pylist() == ["1", "2"]
    assert list(table.texts()) == ["a"]
    with pytest.raises(InputError, match=r"m\.parquet: column 'odd': holds"):
        table.column("odd")


def damaged_text() -> bytes:
    buffers = [None, pa.py_buffer(struct.pack("<2i", 0, 1)), pa.py_buffer(b"\xff")]
    return parquet({"a": pa.Array.from_buffers(pa.string(), 1, buffers)})


def test_text_of_parquet_that_is_not_utf8(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"m\.parquet: column 'a': holds string that is no text"):
        open_table(saved(tmp_path, "m.parquet", damaged_text())).column("a")


def test_every_byte_of_a_parquet_file_may_be_wrong(tmp_path: Path) -> None:
    good = parquet({"GEOID": ["39001961400", "39001961500"], "a": [1.5, None]})
    refused = 0
    for place in range(0, len(good), 7):
        path = saved(tmp_path, "m.parquet", good[:place] + bytes([good[place] ^ 0xFF]) + good[place + 1 :])
        try:
            open_table(path).texts()
        except InputError as error:
            refused += "m.parquet" in str(error)
    assert refused > 10


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"GEOID,a\n", "Parquet"),
        (parquet({"a": ["1"]})[:-20], "m.parquet"),
        (parquet({"a\0b": ["1"]}), "NUL"),
        (parquet({"a": ["1"], "a ": ["2"]}), "'a' more than once"),
        (parquet({"a": pa.array([], pa.string())}), "no rows"),
    ],
)
def test_parquet_that_is_no_table(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(InputError, match=r"m\.parquet") as caught:
        open_table(saved(tmp_path, "m.parquet", data))
    assert words in str(caught.value)


def test_runs_of_equal_values_are_counted(tmp_path: Path) -> None:
    path = saved(tmp_path, "m.parquet", parquet({"a": np.zeros(100_000)}))
    assert path.stat().st_size < 50_000
    with pytest.raises(InputError, match=r"m\.parquet: .*GEOMOB_LIMIT_BYTES"):
        open_table(path, limits=Limits(bytes=50_000)).column("a")


def test_absent_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"m\.csv: no column 'b'; expected one of 'GEOID', 'a', 'name'"):
        open_table(saved(tmp_path, "m.csv", text())).column("b")


@pytest.mark.parametrize("rows", [[39001961400, 39001961500], [None, 39001961400]])
def test_keys_in_single_precision_are_refused(tmp_path: Path, rows: list[int | None]) -> None:
    values = pa.array(rows, pa.int64()).cast(pa.float32(), safe=False)
    table = open_table(saved(tmp_path, "m.parquet", parquet({"key": values, "a": pa.array([0.5, 4e9], pa.float32())})))
    with pytest.raises(InputError, match=rf"column 'key', row {1 + (rows[0] is None)}: .* do not fit float32"):
        table.texts()
    assert table.texts(["a"])["a"].tolist() == ["0.5", "4000000000"]


@given(st.lists(st.floats() | st.integers(-(2**52), 2**52).map(float) | st.none(), min_size=1, max_size=20))
@settings(max_examples=50)
def test_floats_are_written_to_the_last_bit(numbers: list[float | None]) -> None:
    texts = as_text(pa.chunked_array([pa.array(numbers, pa.float64())]))
    for number, text in zip(numbers, texts, strict=True):
        if number is None or np.isnan(number):
            assert text == ""
        else:
            assert float(text) == number
            assert not text.endswith(".0")
    assert as_text(pa.chunked_array([[39001961400.0, 0.1]])).tolist() == ["39001961400", "0.1"]
