"""Keys of tracts: every form that files hold comes out as 11 digits, everything else is refused by row."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomob_dask.errors import InputError
from geomob_dask.sources.keys import KeyReport, tract_geoids
from geomob_dask.sources.region_codes import region_codes
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
    assert "2 keys without the leading zero" in report.lines()[0]


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
    assert report.lines() == ["2 rows left out, of unknown state: 99001000100, 00000000000"]


def test_reports_add_up() -> None:
    one, other = read([OHIO, "99001000100"])[1], read([1001020100])[1]
    assert one + other == KeyReport(rows=3, padded=(ALABAMA,), unknown=("99001000100",))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            [OHIO, "390019614001"],
            r"row 2: found '390019614001', the row of a block group: sum .*; expected the 11 digits",
        ),
        (
            [OHIO, 390019614001000],
            r"row 2: found '390019614001000', the row of a block: sum such rows to tracts beforehand",
        ),
        ([OHIO, "39001961400100"], r"row 2: found '39001961400100'; expected the 11 digits"),
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
        ([OHIO, "0500000US39001"], r"row 2: found '0500000US39001', the row of a county: remove it"),
        ([OHIO, "1500000US390019614001"], r"the row of a block group: sum such rows to tracts beforehand"),
        ([OHIO, "1000000US390019614001000"], r"the row of a block: sum such rows to tracts beforehand"),
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


@pytest.mark.parametrize("values", [["G0100010020100", "G3900010961400"], ["G01000100201", "G39000109614"]])
def test_keys_of_nhgis_lose_the_zeros_behind_state_and_county(values: list[str]) -> None:
    assert read(values)[0] == [ALABAMA, OHIO]


@pytest.mark.parametrize("value", ["G0110010020100", "G010001002010", "G01000100201X", "G01000100"])
def test_other_keys_of_nhgis_are_refused(value: str) -> None:
    with pytest.raises(InputError, match=f"row 2: found '{value}'"):
        read(["G0100010020100", value])


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([39001950100], dtype="float32"),
        pd.Series([39001950100], dtype="Float32"),
        pd.Series([39001950100.0], dtype=pd.ArrowDtype(pa.float32())),
        [np.float32(39001950100)],
    ],
)
def test_keys_of_single_precision_are_lost(values: object) -> None:
    with pytest.raises(InputError, match=r"column GEOID, row 1: found 39001948160; 11 digits do not fit float32"):
        read(values)


def test_keys_of_half_precision_are_lost() -> None:
    with pytest.raises(InputError, match=r"row 1: found inf; .* does not fit float16"):
        read(np.array([np.inf], dtype=np.float16))


@pytest.mark.parametrize("dtype", ["float64", "Float64", pd.ArrowDtype(pa.float64())])
def test_doubles_hold_every_key(dtype: object) -> None:
    assert read(pd.Series([1001020100.0, 39001961400.0], dtype=dtype))[0] == [ALABAMA, OHIO]
    with pytest.raises(InputError, match=r"row 1: found 39001961400\d+; 20 digits do not fit float64"):
        read(pd.Series([39001961400e9], dtype=dtype))


@pytest.mark.parametrize(
    ("values", "codes"),
    [
        (["10000.0", "1.0e4", "1e+04", "10000.", ' ="10000" '], ["10000"] * 5),
        (["NA", "n/a", " ", ".", "None", None, "#N/A", "<NA>"], [""] * 8),
        ([10000.0, np.nan], ["10000", ""]),
        (pd.Series([10000, None], dtype="Int64"), ["10000", ""]),
        (pd.Series([10000, None], dtype="float32"), ["10000", ""]),
        (["1E4", "2.5", "-", "Nantucket", "0100"], ["1E4", "2.5", "-", "Nantucket", "0100"]),
    ],
)
def test_codes_of_regions_are_the_same_text(values: object, codes: list[str]) -> None:
    assert region_codes(values, "a.csv: column cbsa").tolist() == codes


def test_codes_of_regions_that_were_rounded_are_refused() -> None:
    with pytest.raises(InputError, match=r"a\.csv: column zone, row 2: found 3900194816; 10 digits do not fit float32"):
        region_codes(np.array([1, 3900194816], dtype=np.float32), "a.csv: column zone")
