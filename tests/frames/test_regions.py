"""Regions of tracts, in memory and over partitions alike."""

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from geomob_dask.errors import InputError
from geomob_dask.frames.regions import regions_of

TRACTS = ["01001000100", "01003000100", "01003000200", "39001000100", "39003000100"]


def measures() -> pd.DataFrame:
    return pd.DataFrame({"zone": [1.0, np.nan, 2.0, 2.0, 3.0]}, index=pd.Index(TRACTS, dtype="str", name="geoid"))


def table(keys: list[str], regions: list[str], shares: list[float] | float = 1.0) -> pd.DataFrame:
    columns = {"region": regions, "region_name": "", "afact": shares, "afact2": np.nan}
    return pd.DataFrame(columns, index=pd.Index(keys, dtype="str", name="geoid")).astype(
        {"region": "str", "region_name": "str"}
    )


COUNTIES = table(["01003", "39003", "48001"], ["a", "b", "c"])
PIECES = table([TRACTS[0], TRACTS[0], TRACTS[3]], ["x", "y", "x"], [0.25, 0.75, 1.0])


@pytest.mark.parametrize("partitions", [1, 2, 5])
@pytest.mark.parametrize("by", ["county", "state", "nation", "zone", COUNTIES, PIECES])
def test_partitions_change_nothing(partitions: int, by):
    expected = regions_of(measures(), by)
    frame = dd.from_pandas(measures(), npartitions=partitions)
    tables = [by] if isinstance(by, str) else [by, dd.from_pandas(by, npartitions=2)]
    for one in tables:
        lazy = regions_of(frame, one)
        found = lazy.compute(scheduler="synchronous")
        pd.testing.assert_frame_equal(lazy._meta, found.iloc[:0])
        # Dask keeps text in a type of its own.
        pd.testing.assert_frame_equal(found, expected, check_index_type=False)


def test_rows_are_those_of_the_table():
    by_county = regions_of(measures(), COUNTIES)
    assert by_county["region"].to_dict() == {TRACTS[1]: "a", TRACTS[2]: "a", TRACTS[4]: "b"}
    parts = regions_of(measures(), PIECES)
    assert list(zip(parts.index, parts["region"], parts["afact"], strict=True)) == [
        (TRACTS[0], "x", 0.25),
        (TRACTS[0], "y", 0.75),
        (TRACTS[3], "x", 1.0),
    ]
    assert set(regions_of(measures(), "state")["region_name"]) == {"Alabama", "Ohio"}


def test_integer_keys_are_those_of_tracts():
    numbers = measures().set_axis(pd.Index([int(key) for key in TRACTS]))
    for by in ("county", COUNTIES, PIECES):
        found = regions_of(numbers, by)
        assert found["region"].tolist() == regions_of(measures(), by)["region"].tolist()
        assert set(found.index) <= set(numbers.index)


def test_keys_that_are_no_tracts_have_regions_in_a_column_alone():
    frame = measures().reset_index(drop=True).assign(county=["a", "a", "b", "b", "b"])
    assert regions_of(frame, "county")["region"].tolist() == ["a", "a", "b", "b", "b"]
    with pytest.raises(InputError, match="11 digits"):
        regions_of(frame, "state")
    with pytest.raises(InputError, match=r"'metro'.*zone"):
        regions_of(frame, "metro")
