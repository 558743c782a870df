"""Exact sums: the correctly rounded sum, whatever the order and the partitions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomob_dask.errors import InputError
from geomob_dask.transforms.exact_sums import ExactSums, merged, region_sums

any_double = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300)
near_one = st.floats(min_value=-4.0, max_value=4.0)


@settings(max_examples=300)
@given(st.lists(st.one_of(any_double, near_one), max_size=30))
def test_sum_is_that_of_fsum(numbers: list[float]) -> None:
    values = np.array(numbers, dtype=float)
    total = region_sums(values, np.zeros(len(values), dtype=np.int64), 1)
    assert total[0] == math.fsum(numbers)


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 3), any_double, near_one, st.integers(0, 2)), min_size=1, max_size=40))
def test_any_partitioning_merges_to_the_sum_of_each_region(rows: list[tuple[int, float, float, int]]) -> None:
    region = np.array([row[0] for row in rows])
    values = np.array([row[1:3] for row in rows])
    partition = np.array([row[3] for row in rows])
    parts = [ExactSums.of(values[partition == p], region[partition == p], 4) for p in (2, 0, 1)]
    expected = [[math.fsum(values[region == r, c]) for c in range(2)] for r in range(4)]
    np.testing.assert_array_equal(merged(parts).rounded(), expected)


def test_subnormal_and_cancelling_numbers_are_kept() -> None:
    tiny = 5e-324
    values = np.array([1e300, tiny, -1e300, tiny, 2.0**53, 1.0, tiny])
    region = np.array([0, 0, 0, 0, 1, 1, 1])
    # 2**53 + 1 is halfway between two doubles: the tiny part decides.
    np.testing.assert_array_equal(region_sums(values, region, 2), [2 * tiny, 2.0**53 + 2])


def test_half_way_sums_round_to_even() -> None:
    values = np.array([2.0**53, 1.0, 2.0**53 + 2, 1.0, -(2.0**53), -1.0])
    sums = region_sums(values, np.array([0, 0, 1, 1, 2, 2]), 3)
    np.testing.assert_array_equal(sums, [2.0**53, 2.0**53 + 4, -(2.0**53)])


def test_many_rows_exceed_no_digit() -> None:
    rng = np.random.default_rng(7)
    # More rows than one block, all digits full and of one sign.
    values = np.full(1_200_000, np.nextafter(1.0, 0.0))
    total = region_sums(values, np.zeros(len(values), dtype=np.int64), 1)[0]
    assert total == len(values) * (2**53 - 1) / 2**53
    signed = values * rng.choice([-1.0, 1.0], len(values))
    assert region_sums(signed, np.zeros(len(values), dtype=np.int64), 1)[0] == math.fsum(signed)


def test_region_without_rows_is_zero_and_overflow_is_infinite() -> None:
    largest = np.finfo(float).max
    sums = region_sums(np.array([largest, largest, -largest, -largest]), np.array([0, 0, 2, 2]), 3)
    np.testing.assert_array_equal(sums, [np.inf, 0.0, -np.inf])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_value_that_is_no_number_is_named(bad: float) -> None:
    with pytest.raises(InputError, match="row 1, column 2"):
        ExactSums.of(np.array([[0, 1, 2], [3, 4, bad]]), np.array([0, 0]), 1)


def test_sums_of_other_regions_do_not_merge() -> None:
    with pytest.raises(InputError, match="cannot merge"):
        ExactSums.of(np.ones(2), np.array([0, 1]), 2) + ExactSums.of(np.ones(2), np.array([0, 1]), 3)
