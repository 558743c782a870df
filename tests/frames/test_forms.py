"""The three forms: own rows, halo, reduction; in memory and over partitions alike."""

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from geomob_dask.errors import InputError
from geomob_dask.frames.align import aligned
from geomob_dask.frames.halo import halo, near_partitions
from geomob_dask.frames.keys import codes_like, to_codes, to_text
from geomob_dask.frames.own_rows import own_rows, value_of
from geomob_dask.frames.reduction import partials, reduced, reduced_rows

CALLS: list[int] = []


def total(part: pd.DataFrame) -> float:
    return float(part["x"].sum())


def added(values: list[float]) -> float:
    CALLS.append(len(values))
    return sum(values)


def less(part: pd.DataFrame, by: pd.DataFrame, *, times: int = 1) -> pd.DataFrame:
    return part - value_of(by) * times


def largest(frames: list[pd.DataFrame]) -> float:
    return max(float(frame["x"].max()) for frame in frames if len(frame))


def table(n: int = 10) -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(float(n))})


@pytest.mark.parametrize("partitions", [1, 3, 10])
def test_reductions_are_broadcast_to_own_rows(partitions: int):
    frame = dd.from_pandas(table(), npartitions=partitions)
    lazy = own_rows(less, frame, reduced(added, partials(total, frame)), meta=table(0), times=2)
    memory = own_rows(less, table(), reduced(added, partials(total, table())), meta=table(0), times=2)
    pd.testing.assert_frame_equal(lazy.compute(scheduler="synchronous"), memory)
    assert lazy.divisions == frame.divisions


def test_a_reduction_runs_once_however_many_partitions_use_it():
    frame = dd.from_pandas(table(), npartitions=5)
    CALLS.clear()
    own_rows(less, frame, reduced(added, partials(total, frame)), meta=table(0)).compute(scheduler="synchronous")
    assert CALLS == [5]


def test_rows_of_all_partitions_are_merged():
    frame = dd.from_pandas(table(), npartitions=4)
    found = reduced_rows(largest, frame).compute(scheduler="synchronous")
    assert value_of(found) == 9 == value_of(reduced_rows(largest, table()))


def test_a_halo_holds_what_near_partitions_offer():
    frame = dd.from_pandas(table(9), npartitions=3)
    near = halo(frame, [[1], [0, 2], []])
    parts = [near.partitions[number].compute(scheduler="synchronous")["x"].tolist() for number in range(3)]
    assert parts == [[3, 4, 5], [0, 1, 2, 6, 7, 8], []]
    assert halo(frame).partitions[1].compute(scheduler="synchronous")["x"].tolist() == [0, 1, 2, 6, 7, 8]
    assert halo(table(9)).empty


def test_rows_for_one_partition_travel_to_that_alone():
    rows = table(9).assign(home=[0, 1, 2, 2, 2, 0, 0, 1, 1])
    frame = halo(dd.from_pandas(rows, npartitions=3), to="home")
    parts = [frame.partitions[number].compute(scheduler="synchronous")["x"].tolist() for number in range(3)]
    assert parts == [[5, 6], [1, 7, 8], [2, 3, 4]]


def test_names_near_each_other_become_numbers():
    assert near_partitions({"39": ["18", "54"], "18": ["39"]}, ["18", "39"]) == [[1], [0]]
    assert near_partitions(None, ["18", "39"]) is None


def test_a_halo_refuses_keys_of_two_kinds():
    codes = pd.DataFrame({"x": [1.0]}, index=[1001020100])
    text = pd.DataFrame({"x": [1.0]}, index=["a"])
    frame = dd.from_map(lambda part: part, [codes, text], meta=codes.iloc[:0])
    with pytest.raises(InputError, match="1001020100, a"):
        halo(frame, [[0, 1], []]).compute(scheduler="synchronous")


def test_keys_come_back_as_they_were():
    keys = pd.Index(["01001020100", "56045951300"], dtype="str", name="geoid")
    codes = to_codes(keys)
    assert codes.tolist() == [1001020100, 56045951300]
    assert to_text(codes).equals(keys)
    assert to_text(codes).name == "geoid"
    other = pd.Index(["0100102010", "56045951300"], dtype="str")
    assert to_codes(other).tolist() == other.tolist()
    assert to_codes(pd.RangeIndex(2)).tolist() == [0, 1]
    assert codes_like(pd.Series(["01001020100"]), codes).tolist() == [1001020100]


def test_frames_are_aligned_by_the_first_ones_divisions():
    left = dd.from_pandas(table(12), npartitions=3)
    right = dd.from_pandas(table(12).iloc[2:], npartitions=2)
    one, other, memory = aligned(left=left, right=right, memory=table(14))
    assert one.npartitions == other.npartitions == memory.npartitions == 3
    assert other.divisions == one.divisions
    assert len(memory.compute(scheduler="synchronous")) == 14
    assert other.partitions[0].compute(scheduler="synchronous").index.max() == one.divisions[1] - 1


def test_frames_without_divisions_are_refused():
    with pytest.raises(InputError, match="right"):
        aligned(left=table(), right=dd.from_pandas(table(), npartitions=2).clear_divisions())
