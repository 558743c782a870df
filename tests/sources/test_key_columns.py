"""Columns of keys: found under the names that publishers give them, in any case, whole or in pieces."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomob_dask.errors import InputError
from geomob_dask.sources.key_columns import KEY_COLUMNS, key_column, key_columns
from geomob_dask.sources.key_pieces import keys_of_pieces, tract_codes
from geomob_dask.sources.keys import tract_geoids
from geomob_dask.sources.measures import read_measures
from geomob_dask.sources.states import STATES


@pytest.mark.parametrize("change", [str, str.lower, str.title])
def test_the_column_of_keys_is_found_in_order_and_any_case(change: type[str]) -> None:
    for number, name in enumerate(KEY_COLUMNS):
        given = change(name)
        assert key_column(["x", *reversed(KEY_COLUMNS[number + 1 :]), given], file="a.csv") == given


def test_a_name_as_it_is_written_comes_before_another_case() -> None:
    assert key_column(["GEOID", "geoid"], file="a.csv") == "GEOID"
    assert key_column(["GEOID", "Tract", "tract"], file="a.csv", named="tract") == "tract"


@pytest.mark.parametrize(
    "names",
    [
        ("STATEFP", "COUNTYFP", "TRACTCE"),
        ("STATEFP10", "COUNTYFP10", "TRACTCE10"),
        ("statefp20", "countyfp20", "tractce20"),
        ("STATE", "COUNTY", "TRACT"),
        ("State", "County", "Tract"),
        ("STATEA", "COUNTYA", "TRACTA"),
    ],
)
def test_pieces_of_a_key_are_found(names: tuple[str, ...]) -> None:
    found = key_columns(["NAME", *names], file="a.csv")
    assert found.names == names
    table = pd.DataFrame([["01", "001", "020100"], ["39", "001", "961400"]], columns=list(names))
    assert found.geoids(table, file="a.csv")[0].tolist() == ["01001020100", "39001961400"]


def test_the_codes_of_nhgis_come_before_its_names() -> None:
    names = ["YEAR", "STATE", "STATEA", "COUNTY", "COUNTYA", "TRACTA"]
    assert key_columns(names, file="a.csv").names == ("STATEA", "COUNTYA", "TRACTA")


def test_columns_that_are_named_are_taken_in_any_case() -> None:
    assert key_columns(["GEOID", "Id2"], file="a.csv", named="id2").names == ("Id2",)
    named = key_columns(["s", "c", "t", "GEOID"], file="a.csv", named="s, c, T")
    assert named.names == ("s", "c", "t")


@pytest.mark.parametrize(
    ("columns", "named", "names"),
    [
        (["x", "y"], None, ["a.csv", "'x'", "GEOID", "--key-column NAME"]),
        (["GEOID_2", "y"], None, ["--key-column GEOID_2"]),
        (["tract_id", "y"], None, ["--key-column tract_id"]),
        (["tract_fips2", "y"], "tract_fips", ["'tract_fips'", "did you mean 'tract_fips2'"]),
        (["s", "c", "t"], "s,c", ["'s,c'", "STATE,COUNTY,TRACT"]),
        (["s", "c", "t"], "s,c,tract", ["'tract'"]),
        ([f"c{number}" for number in range(40)], None, ["(40 in total)"]),
    ],
)
def test_no_column_of_keys_is_refused_with_the_nearest(columns: list[str], named: str | None, names: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        key_columns(columns, file="a.csv", named=named)
    assert [name for name in names if name not in str(caught.value)] == []


@pytest.mark.parametrize(
    ("written", "codes"),
    [
        (["000100", "020102"], ["000100", "020102"]),
        (["0201", "0202"], ["020100", "020200"]),
        (["0201", "020201", "1001"], ["020100", "020201", "100100"]),
        ([20100, 201], ["020100", "000201"]),
        (["20100", "100"], ["020100", "000100"]),
        ([100, 200], ["000100", "000200"]),
        ([1, 201], ["000100", "020100"]),
        ([0, 100, 20100], ["000000", "000100", "020100"]),
        (["0", "1", "201"], ["000000", "000100", "020100"]),
        (["0201.00", "0201.02"], ["020100", "020102"]),
        (["201", "201.02", "020103"], ["020100", "020102", "020103"]),
        ([201.0, 201.1], ["020100", "020110"]),
        ([20100.0, 100.0], ["020100", "000100"]),
        (["20100.0", "100.0"], ["020100", "000100"]),
        (["20100.00", "100.00"], ["020100", "000100"]),
    ],
)
def test_codes_of_tracts_are_judged_as_a_column(written: list[object], codes: list[str]) -> None:
    assert tract_codes(written, "a.csv: column tract").tolist() == codes


@pytest.mark.parametrize(
    ("written", "row", "found"),
    [
        ([201, 202], 1, "201"),
        (["100", "201"], 2, "201"),
        (["020100", "020"], 2, "020"),
        (["020100", "20100"], 2, "20100"),
        (["0201.00", "20100"], 2, "20100"),
        (["000100", "0201.001"], 2, "0201.001"),
        (["000100", "BLK"], 2, "BLK"),
        (["000100", "0001000"], 2, "0001000"),
        (["000100", None], 2, ""),
    ],
)
def test_codes_of_tracts_that_are_unclear_are_refused(written: list[object], row: int, found: str) -> None:
    with pytest.raises(InputError, match=rf"a\.csv: column tract, row {row}: found '{found}'"):
        tract_codes(written, "a.csv: column tract")


@pytest.mark.parametrize(
    ("state", "county", "tract", "key"),
    [
        (["39"], ["001"], ["0201"], "39001020100"),
        ([1], [3], [20100], "01003020100"),
        (["1.0"], ["3.0"], ["20100.0"], "01003020100"),
        (["01"], ["01003"], ["020100"], "01003020100"),
        ([1], [1003], ["020100"], "01003020100"),
        (["01"], ["003"], ["01003020100"], "01003020100"),
        ([1], [3], [1003020100], "01003020100"),
    ],
)
def test_keys_are_put_together_from_pieces(
    state: list[object], county: list[object], tract: list[object], key: str
) -> None:
    pieces = {"state": state, "county": county, "tract": tract}
    assert keys_of_pieces(pieces, ("state", "county", "tract"), file="a.csv").tolist() == [key]


@pytest.mark.parametrize(
    ("pieces", "column"),
    [
        ({"state": ["Ohio"], "county": ["1"]}, "state"),
        ({"state": ["39"], "county": ["Adams"]}, "county"),
        ({"state": ["39"], "county": ["01"]}, "county"),
        ({"state": ["39"], "county": ["18001"]}, "county"),
        ({"state": ["39"], "county": [""]}, "county"),
        ({"county": ["001"]}, "county"),
        ({"state": ["39"], "county": ["001"], "tract": ["39003000100"]}, "tract"),
    ],
)
def test_pieces_that_are_no_codes_or_contradict_each_other_are_refused(
    pieces: dict[str, list[str]], column: str
) -> None:
    with pytest.raises(InputError, match=rf"a\.csv: column {column}, row 1: found '{pieces[column][0]}'"):
        keys_of_pieces(pieces, tuple(pieces), file="a.csv")


def test_measures_are_read_by_pieces_which_are_no_measures(tmp_path: Path) -> None:
    file = tmp_path / "dis.csv"
    file.write_text("STATE,COUNTY,TRACT,people\n39,001,000100,5\n39,001,000200,6\n")
    frame, report = read_measures(file)
    assert frame.index.tolist() == ["39001000100", "39001000200"]
    assert list(frame) == ["people"]
    assert frame["people"].tolist() == [5, 6]
    assert report.left_out == ()


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_measures_with_keys_of_too_few_digits_are_refused(tmp_path: Path, kind: type[np.floating[Any]]) -> None:
    with np.errstate(over="ignore"):
        keys = pa.array(np.array([39001000100, 39003000100], dtype=np.float64).astype(kind))
    pq.write_table(pa.table({"GEOID": keys, "people": [1, 2]}), tmp_path / "m.parquet")
    with pytest.raises(InputError, match=rf"m\.parquet: column 'GEOID', row 1: .* not fit {kind.__name__}"):
        read_measures(tmp_path / "m.parquet")


# Real tracts have codes from 000100 on; suffixes beyond 99 do not exist by form.
TRACTS = st.lists(
    st.tuples(st.sampled_from(sorted(STATES)), st.integers(1, 899), st.integers(100, 999_999)),
    min_size=1,
    max_size=6,
    unique=True,
)


@given(TRACTS)
@settings(max_examples=40)
def test_every_spelling_of_a_key_is_the_same_key(tracts: list[tuple[str, int, int]]) -> None:
    # A code of five digits shows that shorter ones of its column are codes too.
    tracts = [*tracts, ("39", 1, 10_101)]
    keys = [f"{state}{county:03d}{tract:06d}" for state, county, tract in tracts]
    texts = {"state": [key[:2] for key in keys], "county": [key[2:5] for key in keys]}
    numbers = {piece: list(map(int, values)) for piece, values in texts.items()}
    codes = [tract for *_, tract in tracts]
    decimals = [f"{code // 100:04d}.{code % 100:02d}" for code in codes]
    pieces = [
        texts | {"tract": [key[5:] for key in keys]},
        texts | {"tract": decimals},
        texts | {"tract": [key[5:].removesuffix("00") for key in keys]},
        texts | {"tract": keys},
        {"county": [key[:5] for key in keys], "tract": decimals},
        numbers | {"tract": codes},
        numbers | {"tract": list(map(float, codes))},
        numbers | {"tract": list(map(float, decimals))},
    ]
    wholes = [
        keys,
        [f"1400000US{key}" for key in keys],
        [f" '{key}" for key in keys],
        [f"G{key[:2]}0{key[2:5]}0{key[5:]}" for key in keys],
        [f"G{key[:2]}0{key[2:5]}0{key[5:].removesuffix('00')}" for key in keys],
        *(keys_of_pieces(given, tuple(given), file="a") for given in pieces),
    ]
    for whole in wholes:
        assert tract_geoids(whole, file="a", column="key")[0].tolist() == keys
