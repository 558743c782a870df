"""Values that no measure can have are refused by column and tract; values that look odd and may be true are not."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geomob_dask.errors import InputError
from geomob_dask.sources.measures import read_measures
from geomob_dask.sources.sentinels import sentinel


def table(folder: Path, values: list[object], name: str = "a") -> Path:
    rows = "".join(f"39001{place:06d},{value},{place}\n" for place, value in enumerate(values, start=100))
    file = folder / "m.csv"
    file.write_text(f"GEOID,{name},other\n{rows}")
    return file


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([21, 22, 31, -999, -999], -999),
        ([21, 22, 31, -9999], -9999),
        ([0.1, 0.2, -99], -99),
        ([-0.5, 0.4, 0.1, -999], -999),
        ([-3, 2, 1, -99], -99),
        ([5, 6, -888, -777, -999], -999),
        ([5, 6, -888, -777], -888),
        ([-999, -999], -999),
        ([1, 2, float(np.float32(-666666666))], float(np.float32(-666666666))),
        ([1, 2, -6.67e8], -6.67e8),
        ([1, 2, 30, 9999], 9999),
        ([1, 2, 400, 99999, 99999], 99999),
        ([0.5, 999999], 999999),
        ([1e5, 2e5, -999], -999),
        # Net migration and the like: nothing lies far outside.
        ([-1200, 1500, 20, -999], None),
        ([-300, 500, -999], None),
        ([-120, 80, -99], None),
        ([-125.5, -67.1, -99], None),
        ([-6e8, 9e8, -666666600], None),
        ([60_000, 99_999], None),
        ([1000, 9999], None),
        ([9999], None),
        ([-999], None),
        ([99, 999, 12], None),
        ([-9, -1, 5], None),
        ([-99.5, 1, 2], None),
    ],
)
def test_sentinels(values: list[float], found: float | None) -> None:
    assert sentinel(np.array(values, dtype=np.float64)) == found


def test_a_sentinel_is_named_with_what_to_do(tmp_path: Path) -> None:
    file = table(tmp_path, [21, 22, -999, 31, -999])
    with pytest.raises(InputError) as caught:
        read_measures(file)
    for word in ("m.csv", "'a'", "39001000102", "-999", "2 of 5", "--missing -999", "--sentinels keep"):
        assert word in str(caught.value)
    frame, report = read_measures(file, missing=["-999"])
    np.testing.assert_array_equal(frame["a"], [21, 22, np.nan, 31, np.nan])
    assert report.missing == {"a": 2}
    kept, _ = read_measures(file, sentinels="keep")
    np.testing.assert_array_equal(kept["a"], [21, 22, -999, 31, -999])


@pytest.mark.parametrize("given", [["-999"], ["-999.0"], ["-9.99e2"], ["-888", "-999"]])
@pytest.mark.parametrize("written", ["-999", "-999.0", "-999.00", "-9.99E+02"])
def test_declared_numbers_compare_as_numbers(tmp_path: Path, given: list[str], written: str) -> None:
    frame, _ = read_measures(table(tmp_path, [21, written, 22]), missing=given)
    np.testing.assert_array_equal(frame["a"], [21, np.nan, 22])


def test_declared_words(tmp_path: Path) -> None:
    frame, _ = read_measures(table(tmp_path, [21, "Suppressed", "*"]), missing=["suppressed", "*"])
    np.testing.assert_array_equal(frame["a"], [21, np.nan, np.nan])


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64(), pa.int64(), pa.string(), pa.decimal128(21, 1)])
@pytest.mark.parametrize("code", [-999, -666666666])
def test_declared_numbers_in_every_type(tmp_path: Path, kind: pa.DataType, code: int) -> None:
    values = pa.array([1, code, 2], pa.int64()).cast(kind, safe=False)
    geoids = ["39001000100", "39001000200", "39001000300"]
    pq.write_table(pa.table({"GEOID": geoids, "a": values}), tmp_path / "m.parquet")
    frame, _ = read_measures(tmp_path / "m.parquet", missing=[str(code)])
    np.testing.assert_array_equal(frame["a"], [1, np.nan, 2])
    with pytest.raises(InputError, match=r"column 'a', tract 39001000200: found -(999|6666666)"):
        read_measures(tmp_path / "m.parquet")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("a", 1e308, "at most 1e"),
        ("a", -1e200, "at most 1e"),
        ("population", -1, "0 or more"),
        ("pop2000", -5, "0 or more"),
        ("black_count", -3, "0 or more"),
        ("poor_share", -0.1, "0 or more"),
        ("poor_share", 1e6, "at most 100"),
        ("poor_pct", 1e6, "at most 10,000"),
    ],
)
def test_impossible_values_are_refused(tmp_path: Path, name: str, value: float, expected: str) -> None:
    with pytest.raises(InputError, match=rf"column '{name}', tract 39001000101: found .*{expected}"):
        read_measures(table(tmp_path, [1, value, 3], name))


@pytest.mark.parametrize(
    ("name", "value"),
    [("people_change_count", -3), ("net_count", -3), ("poor_share_change", -0.1), ("internet_pct", 99), ("a", 1e99)],
)
def test_possible_values_are_read(tmp_path: Path, name: str, value: float) -> None:
    frame, report = read_measures(table(tmp_path, [1, value, 3], name))
    assert frame[name].iloc[1] == value
    assert not report.odd


def test_percentages_outside_of_their_range_are_told(tmp_path: Path) -> None:
    frame, report = read_measures(table(tmp_path, [1, 250, -4, 100], "crowded_pct"))
    assert frame["crowded_pct"].iloc[1] == 250
    (line,) = report.odd
    assert all(word in line for word in ("crowded_pct", "2 values", "250", "39001000101"))
    assert line in report.lines()
    # The largest of all values may be one that is fine.
    (line,) = read_measures(table(tmp_path, [50, -5, 90], "crowded_pct"))[1].odd
    assert all(word in line for word in ("1 value ", "such as -5 in", "39001000101"))
