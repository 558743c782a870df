"""Areal interpolation of frames: the kernel's numbers, whatever the partitions; totals balance."""

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from exposure_sample import race_table

from geomob_dask.errors import InputError
from geomob_dask.frames.interpolation import Classes, Rate, interpolate
from geomob_dask.transforms.crosswalk import Links, interpolate_extensive


@pytest.fixture(scope="module")
def values():
    table = race_table()
    return table.assign(
        rate=table["B03002_012E"] / table["B03002_001E"].where(table["B03002_001E"] > 0),
        rate_moe=0.01,
        kind=np.where(table["B03002_003E"] > table["B03002_004E"], "w", "b"),
    )


@pytest.fixture(scope="module")
def links(values):
    random = np.random.default_rng(1)
    shares = random.dirichlet([1, 1, 1], size=len(values))
    rows = pd.DataFrame(
        {"region": np.tile(["r1", "r2", ""], len(values)), "afact": shares.ravel()}, index=values.index.repeat(3)
    )
    return rows.rename_axis("geoid")


VARIABLES = {
    "extensive": {"B03002_001E": "B03002_001M", "B03002_012E": None},
    "intensive": {"rate": Rate("B03002_001E", "rate_moe")},
    "categorical": {"kind": Classes(("b", "w"), "B03002_001E")},
}


def computed(frame):
    return frame.compute(scheduler="synchronous")


def test_it_equals_the_kernel_in_any_partitions(values, links):
    linked = links[links["region"] != ""]
    rows = values.index.get_indexer(linked.index)
    codes, names = pd.factorize(linked["region"], sort=True)
    counts, moes = values[["B03002_001E"]].to_numpy(), values[["B03002_001M"]].to_numpy()
    expected = interpolate_extensive(counts, moes, Links(rows, codes, linked["afact"].to_numpy()), len(names))
    found = interpolate(values, links, **VARIABLES)
    np.testing.assert_array_equal(found["B03002_001E"], expected[0][:, 0])
    np.testing.assert_array_equal(found["B03002_001M"], expected[1][:, 0])
    # The rate of a region is the ratio of its counts.
    np.testing.assert_allclose(found["rate"], found["B03002_012E"] / found["B03002_001E"], rtol=1e-12)
    np.testing.assert_allclose(found["kind_b"] + found["kind_w"], 1)
    assert (found["rate_coverage"] == 1).all()
    assert set(found["kind"]) <= {"b", "w"}
    shuffled = values.iloc[np.random.default_rng(3).permutation(len(values))]
    for lazy, by in (
        (dd.from_pandas(values, npartitions=1), links),
        (dd.from_pandas(values, npartitions=3), links),
        (dd.from_pandas(values, npartitions=3), dd.from_pandas(links, npartitions=5)),
        (dd.from_pandas(shuffled, npartitions=5, sort=False), links),
    ):
        other = interpolate(lazy, by, **VARIABLES)
        pd.testing.assert_frame_equal(other._meta, found.iloc[:0])
        pd.testing.assert_frame_equal(computed(other), found, check_exact=True)


def test_margins_and_weights_are_found_by_their_names():
    values = pd.DataFrame({"people": [100.0, 40.0], "people_moe": [6.0, 4.0], "rate": [0.1, 0.4]}, index=[1, 2])
    links = pd.DataFrame({"region": ["town", "town"], "afact": [0.5, 1.0]}, index=[1, 2])
    found = interpolate(values, links, extensive=["people"], intensive={"rate": "people"})
    assert found.loc["town", ["people", "people_moe"]].tolist() == [90, 5]
    assert found.loc["town", "rate"] == pytest.approx((5 + 16) / 90)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"extensive": {"nobody": None}}, "nobody"),
        ({}, "no column named"),
        ({"categorical": {"kind": Classes(("b",), "B03002_001E")}}, "'w'"),
    ],
)
def test_variables_that_are_not_there_are_named(values, links, change, named):
    with pytest.raises(InputError, match=named):
        computed(interpolate(dd.from_pandas(values.assign(kind="w"), npartitions=2), links, **change))


@pytest.mark.parametrize("wrong", [0.8, -0.1, np.nan])
def test_shares_that_create_people_are_refused(values, links, wrong):
    with pytest.raises(InputError, match="91001000100"):
        interpolate(values, links.assign(afact=wrong), extensive=["B03002_001E"])


def test_tracts_in_no_region_at_all_are_an_error(values, links):
    with pytest.raises(InputError, match="no tract lies in a region"):
        interpolate(values, links.assign(region=""), extensive=["B03002_001E"])
