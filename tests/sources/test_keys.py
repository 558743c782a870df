"""Keys of tracts: every form that files hold comes out as 11 digits, everything else is refused by row."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomob_dask.errors import InputError
from geomob_dask.sources.keys import KEY_COLUMNS, KeyReport, key_column, tract_geoids
from geomob_dask.sources.states import STATES

ALABAMA, OHIO = "01001020100", "39001961400"


def read(values: object) -> tuple[list[str], KeyReport]:
    keys, report = tract_geoids(values, file="a.csv", column="GEOID")
    return list(keys), report


@pytest.mark.parametrize(
    "values",
    [
        [ALABAMA, OHIO],
        pd.Series([ALABAMA, OHIO], index=[7, 3]),
        pd.Series([ALABAMA, OHIO], dtype=object),
        pd.Categorical([ALABAMA, OHIO]),
        np.array([1001020100, 39001961400]),
        pd.array([1001020100, 39001961400], dtype="Int64"),
        np.array([1001020100.0, 39001961400.0]),
        ["1001020100", "39001961400"],
        ["1001020100.0", "39001961400.0"],
        ["1.0010201e9", "3.90019614E+10"],
        [1001020100, "39001961400"],
        ["1400000US01001020100", "1400000US39001961400"],
        ["14000US01001020100", "140US39001961400"],
        ["\ufeff01001020100", " 39001961400\r"],
        ['"01001020100"', "'39001961400"],
        ['="01001020100"', "39001961400\u00a0"],
    ],
)
def test_every_form_becomes_eleven_digits(values: object) -> None:
    keys, report = read(values)
    assert keys == [ALABAMA, OHIO]
    assert report.rows == 2
    assert not report.unknown


def test_keys_that_lost_their_zero_are_reported() -> None:
    keys, report = read(["1001020100", "39001961400", "6037980000"])
    assert keys == [ALABAMA, OHIO, "06037980000"]
    assert report.padded == (ALABAMA, "06037980000")
    assert "2 keys had lost their leading zero" in report.lines()[0]


def test_a_short_key_among_many_whole_ones_is_a_mistake() -> None:
    whole = [f"1800103{number:04d}" for number in range(50)]
    with pytest.raises(InputError, match=r"row 51: found '8001030100', 10 digits; expected the 11 .*\(and 1 more\)"):
        read([*whole, "8001030100", "8001030200"])
    for cut in (whole[0][1:], whole[0][:-1]):
        with pytest.raises(InputError, match=rf"row 51: found '{cut}', 10 digits"):
            read([*whole, cut])
    assert len(read([*whole, "8001030100", "8001030200", "8001030300"])[1].padded) == 3


@given(
    st.lists(
        st.tuples(st.sampled_from([code for code in STATES if code > "09"]), st.integers(0, 10**9 - 1)), min_size=1
    )
)
@settings(max_examples=50)
def test_text_integers_and_floats_are_the_same_key(parts: list[tuple[str, int]]) -> None:
    texts = [f"{state}{rest:09d}" for state, rest in parts]
    for form in (
        texts,
        [int(text) for text in texts],
        np.array(texts, dtype=float),
        [f"140US{text}" for text in texts],
    ):
        assert read(form)[0] == texts


def test_rows_of_an_unknown_state_are_left_out_and_named() -> None:
    keys, report = tract_geoids([OHIO, "99001000100", "00000000000"], file="a.csv", column="GEOID")
    assert list(keys.notna()) == [True, False, False]
    assert report.unknown == ("99001000100", "00000000000")
    assert report.lines() == ["2 rows left out, their state is unknown: 99001000100, 00000000000"]


def test_reports_add_up() -> None:
    one, other = read([OHIO, "99001000100"])[1], read([1001020100])[1]
    assert one + other == KeyReport(rows=3, padded=(ALABAMA,), unknown=("99001000100",))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([OHIO, "390019614001"], r"row 2: found '390019614001'; expected the 11 digits"),
        ([OHIO, "390019614"], r"row 2: found '390019614'"),
        # 10 digits: no state 03, no county 812 in Alabama, zeros kept elsewhere in the column
        ([OHIO, "3900196140"], r"row 2: found '3900196140', 10 digits; expected the 11"),
        (["18127010100", "1812701010"], r"row 2: found '1812701010', 10 digits"),
        ([ALABAMA, "1001020200"], r"row 2: found '1001020200', 10 digits"),
        ([ALABAMA, "0100102020"], r"row 2: found '0100102020', 10 digits"),
        ([OHIO, "39001961A00"], r"row 2: found '39001961A00'"),
        ([OHIO, "39001 961400"], r"row 2"),
        ([OHIO, "-9001961400"], r"row 2"),
        ([OHIO, "39001961400.5"], r"row 2: found '39001961400.5'"),
        ([OHIO, 39001961400.5], r"row 2"),
        ([39001961400.0, 1e16], r"row 2"),
        ([OHIO, "1.00102010005e9"], r"row 2: found '1.00102010005e9'"),
        (
            ["1.00102E+09", "3.90019614E+10", "1.00102E+09"],
            r"row 1: found '1.00102E\+09' several times, a number rounded",
        ),
        ([OHIO, None], r"row 2: no key; expected"),
        ([OHIO, np.nan, ""], r"row 2: no key; .*\(and 1 more\)"),
        ([39001961400.0, np.nan], r"row 2: no key"),
        ([OHIO, "NA"], r"row 2: no key"),
        ([OHIO, "1400000US"], r"row 2: found '1400000US'"),
        (["0100000US", f"1400000US{OHIO}"], r"row 1: found '0100000US', the row of the whole country"),
        ([OHIO, "0500000US39001"], r"row 2: found '0500000US39001', the row of a county"),
        ([OHIO, "1500000US390019614001"], r"the row of a block group"),
        (["id", f"1400000US{OHIO}"], r"row 1: found 'id', which looks like a second header row as data.census.gov"),
        (["Census tract 2010", OHIO], r"row 1: .* second header row"),
        ([OHIO, "id"], r"row 2: found 'id'; expected"),
        (["-", OHIO], r"row 1: found '-'; expected"),
        (["99001000100"], r"no key of a known state; found 99001000100"),
    ],
)
def test_other_keys_are_refused_by_row(values: list[object], message: str) -> None:
    with pytest.raises(InputError, match=rf"^a\.csv: column GEOID.*{message}"):
        read(values)


def test_the_column_of_keys_is_found_in_order() -> None:
    for number, name in enumerate(KEY_COLUMNS):
        assert key_column(["x", *reversed(KEY_COLUMNS[number:])], file="a.csv") == name


def test_no_column_of_keys_is_refused_with_what_there_is() -> None:
    with pytest.raises(InputError, match=r"a\.csv: no key column; found 'Geoid', 'x', expected one of GEOID, geoid"):
        key_column(["Geoid", "x"], file="a.csv")
    with pytest.raises(InputError, match=r"… \(40 in all\), expected one of"):
        key_column([f"c{number}" for number in range(40)], file="a.csv")
