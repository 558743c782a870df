from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from geomob_dask.errors import InputError, RunError
from geomob_dask.frames.exposure_tables import LONG_COLUMNS, exposure_summary, exposure_table, long_table, points
from geomob_dask.metrics import checks_exposure as checks
from geomob_dask.metrics.exposure import exposure_by_region
from geomob_dask.metrics.exposure_terms import Mode

REGIONS, GROUPS = ["39001", "39003"], ["black_nh", "white_nh"]


@pytest.fixture
def found():
    counts = np.array([[40.0, 500.0], [60.0, 100.0], [12.0, 800.0]])
    return exposure_by_region(counts, np.full((3, 2), 9.0), counts.sum(axis=1), np.array([0, 0, 1]), 2)


def spoiled(found, name, value, region=1, group=1):
    column = getattr(found, name).copy()
    column[region, group] = value
    return replace(found, **{name: column})


@pytest.mark.parametrize(
    ("name", "value", "group", "message"),
    [
        ("shares", 0.99, 1, r"region 39003, white_nh: shares of the group over tracts sum to 0.99, expected 1"),
        ("value", 1.01, 1, r"region 39003, white_nh: exposure is 1.01, expected 0 to 1"),
        ("value", -1e-9, 1, r"region 39003, white_nh: exposure is -1e-09"),
        ("corrected", 1.01, 1, r"region 39003, white_nh: corrected exposure is 1.01, expected 0 to 1"),
        ("upper", 0.0, 1, r"region 39003, white_nh: exposure .* lies outside its bounds"),
        ("value", 0.5, 0, r"region 39003, black_nh: a value is given for 12 people of the group"),
        ("value", np.nan, 1, r"region 39003, white_nh: no value for 800 people of the group"),
        ("reason", 0, 0, r"region 39003, black_nh: the reason does not fit 12 people"),
        ("quality", 1.0, 0, r"region 39003, black_nh: quality is 1 though the value is missing"),
        ("accuracy", 2.0, 0, r"region 39003, black_nh: accuracy is 2 though the value is missing"),
        ("se", 0.1, 0, r"region 39003, black_nh: se is 0.1 though the value is missing"),
    ],
)
def test_a_failed_check_names_the_region_and_group(found, name, value, group, message):
    checks.check_exposures(found, REGIONS, GROUPS)
    with pytest.raises(RunError, match=message):
        checks.check_exposures(spoiled(found, name, value, group=group), REGIONS, GROUPS)


def test_interpolated_totals_are_compared_with_reported_ones():
    reported = np.array([1000.0, np.nan, 10.0])
    checks.check_reported_totals(np.array([1049.0, 7.0, 30.0]), reported, ["a", "b", "c"], least=100)
    with pytest.raises(RunError, match=r"region c: 30.0 interpolated people, 10 reported; .* \(1 of 2 regions\)"):
        checks.check_reported_totals(np.array([1049.0, 7.0, 30.0]), reported, ["a", "b", "c"])
    with pytest.raises(RunError, match=r"region a: nan interpolated people"):
        checks.check_reported_totals(np.array([np.nan, 7.0, 10.0]), reported, ["a", "b", "c"])


NAMES = pd.Series(["Adams", ""], index=pd.Index(REGIONS, dtype="str", name="region"), dtype="str")


def test_wide_table_has_one_row_per_region(found):
    table = exposure_table(found, NAMES, GROUPS)
    assert table.index.tolist() == REGIONS
    assert table["region_name"].tolist() == ["Adams", ""]
    assert set(table["mode"]) == {"corrected"}
    assert table["black_nh_exposure_reason"].tolist() == ["", "suppressed: too few people of the group"]
    assert table["black_nh_count"].tolist() == [100, 12]
    assert table["tracts"].tolist() == [2, 1]
    np.testing.assert_array_equal(table["white_nh_exposure_lb"], found.lower[:, 1])
    np.testing.assert_array_equal(table["white_nh_exposure_corrected"], found.corrected[:, 1])
    assert set(table["bounds_of"]) == {"exposure_corrected"}


def test_the_point_of_a_table_is_what_its_bounds_lie_around(found):
    published = exposure_table(replace(found, mode=Mode.PUBLISHED), NAMES, GROUPS)
    assert set(published["bounds_of"]) == {"exposure"}
    np.testing.assert_array_equal(points(published, "white_nh"), found.value[:, 1])
    # Without a margin there is no correction.
    unknown = exposure_table(replace(found, corrected=np.full((2, 2), np.nan)), NAMES, GROUPS)
    np.testing.assert_array_equal(points(unknown, "white_nh"), found.value[:, 1])


def test_the_summary_counts_grades_and_corrections(found):
    summary = exposure_summary(found, NAMES.index, GROUPS)
    difference = found.corrected[:, 1] - found.value[:, 1]
    assert summary["white_nh"]["correction"] == [np.median(difference), difference[np.argmax(np.abs(difference))]]
    assert sum(summary["white_nh"]["accuracy"]) == summary["white_nh"]["known"] == 2
    assert summary["black_nh"]["quartiles"][1] == found.corrected[0, 0]


def test_long_table_is_the_published_form(found):
    wide = exposure_table(found, NAMES, GROUPS)
    labels = dict(zip(GROUPS, ["Black", "White"], strict=True))
    table = long_table(wide, "county", labels, year=2018, subgroup_type="race-ethnicity")
    assert list(table) == ["year", "state", "county", *LONG_COLUMNS]
    assert table[["state", "county", "subgroup"]].to_numpy().tolist() == [
        ["39", "001", "Black"],
        ["39", "001", "White"],
        ["39", "003", "Black"],
        ["39", "003", "White"],
    ]
    np.testing.assert_array_equal(table["value"], found.corrected.ravel())
    assert pd.isna(table["value_quality"]).tolist() == [False, False, True, False]
    with pytest.raises(InputError, match=r"long form by cbsa: found '39001'"):
        long_table(wide, "cbsa", labels, year=2018, subgroup_type="race-ethnicity")
