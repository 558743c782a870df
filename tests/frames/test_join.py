"""Measures joined: every tract of any frame, the columns of all."""

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from geomob_dask.errors import InputError
from geomob_dask.frames.join import join

PEOPLE = pd.DataFrame({"people": [1.0, 2.0, 3.0]}, index=["01001000100", "01001000200", "39001000100"])
HOMES = pd.DataFrame(
    {"homes": [20, 30, 40], "kind": ["a", "b", "c"]}, index=["01001000200", "01001000300", "48001000100"]
)


def test_every_tract_of_any_frame_has_a_row():
    found = join(PEOPLE, HOMES)
    assert found.index.tolist() == ["01001000100", "01001000200", "01001000300", "39001000100", "48001000100"]
    np.testing.assert_array_equal(found["people"], [1, 2, np.nan, 3, np.nan])
    np.testing.assert_array_equal(found["homes"], [np.nan, 20, 30, np.nan, 40])
    assert found["kind"].dropna().tolist() == ["a", "b", "c"]
    assert found.index.name == "geoid"


@pytest.mark.parametrize(("left", "right"), [(1, 1), (3, 2), (2, 3)])
def test_any_partitions_are_joined_as_the_whole(left, right):
    found = join(dd.from_pandas(PEOPLE, npartitions=left), dd.from_pandas(HOMES, npartitions=right))
    computed = found.compute(scheduler="synchronous")
    assert computed["people"].equals(join(PEOPLE, HOMES)["people"])
    assert computed["homes"].equals(join(PEOPLE, HOMES)["homes"])
    mixed = join(dd.from_pandas(PEOPLE, npartitions=left), HOMES)
    # Dask turns text of its own frames into its own kind of text.
    pd.testing.assert_frame_equal(mixed.compute(scheduler="synchronous"), computed, check_dtype=False)


def test_integer_keys_are_joined_too():
    found = join(PEOPLE.reset_index(drop=True), HOMES.set_axis([2, 3, 4]))
    assert found.index.tolist() == [0, 1, 2, 3, 4]


def test_a_column_in_two_frames_is_named():
    with pytest.raises(InputError, match=r"'people'.*frame 1.*frame 3"):
        join(PEOPLE, HOMES, PEOPLE)


MSA = pd.Series(["Akron", None, "Dayton"], dtype="str", name="msa")


def test_text_that_two_frames_have_is_joined():
    first, other = PEOPLE.assign(msa=MSA.array), PEOPLE[["people"]].rename(columns={"people": "homes"})
    other = other.assign(msa=pd.array(["Akron", "Toledo", None], dtype="str"))
    for left, right in ((first, other), (dd.from_pandas(first, npartitions=2), dd.from_pandas(other, npartitions=1))):
        found = join(left, right)
        found = found.compute(scheduler="synchronous") if isinstance(found, dd.DataFrame) else found
        assert found.columns.tolist() == ["people", "msa", "homes"]
        assert found["msa"].tolist() == ["Akron", "Toledo", "Dayton"]


def test_text_that_differs_between_frames_is_named():
    other = PEOPLE[[]].assign(msa=pd.array(["Akron", None, "Toledo"], dtype="str"))
    with pytest.raises(InputError, match=r"column 'msa', tract 39001000100: found 'Dayton' and 'Toledo'"):
        join(PEOPLE.assign(msa=MSA.array), other)
    with pytest.raises(InputError, match=r"'msa'.*frame 1.*frame 2"):
        join(PEOPLE.assign(msa=MSA.array), PEOPLE[[]].assign(msa=1.0))
