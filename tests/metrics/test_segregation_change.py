"""Decomposition of change over years (Elbers 2021)."""

import numpy as np
import oracles_segregation as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geomob_dask.errors import CountsError, DefinitionError
from geomob_dask.metrics.counts import Floats
from geomob_dask.metrics.segregation_change import SegregationChange, segregation_change
from geomob_dask.metrics.segregation_multi_group import information_theory, mutual_information, relative_diversity
from geomob_dask.metrics.segregation_sums import RegionSums

# The example of the paper's own program: two units, four groups.
FIRST = np.array([[40.0, 30, 20, 10], [5, 10, 15, 20]])
SECOND = np.array([[20.0, 20, 20, 15], [5, 10, 10, 15]])
PARTS = ("removals", "additions", "unit_marginal", "group_marginal", "structural")

positive = arrays(np.int64, (4, 3), elements=st.integers(1, 50)).map(lambda table: table.astype(float))
with_zeros = arrays(np.int64, (4, 3), elements=st.one_of(st.just(0), st.integers(1, 50))).map(
    lambda table: table.astype(float)
)


def total(change: SegregationChange) -> Floats:
    return sum(getattr(change, part) for part in PARTS)


def by_loops(first: Floats, second: Floats) -> dict[str, float]:
    """M of the eight tables of either year's margins and structure, averaged over the orders."""
    years = [first.tolist(), second.tolist()]
    rows = [[sum(unit) / oracle.people(t) for unit in t] for t in years]
    columns = [oracle.shares(oracle.totals(t)) for t in years]

    def m(group: int, unit: int, structure: int) -> float:
        return oracle.mutual_information(oracle.fitted(years[structure], rows[unit], columns[group]))

    return {
        "structural": 0.5 * (m(0, 0, 1) - m(0, 0, 0) + m(1, 1, 1) - m(1, 1, 0)),
        "unit_marginal": 0.25 * sum(m(g, 1, s) - m(g, 0, s) for g in (0, 1) for s in (0, 1)),
        "group_marginal": 0.25 * sum(m(1, u, s) - m(0, u, s) for u in (0, 1) for s in (0, 1)),
    }


@settings(max_examples=6)
@given(positive, positive)
def test_parts_are_those_of_loops(first: Floats, second: Floats) -> None:
    change = segregation_change(first, second)
    for part, value in by_loops(first, second).items():
        np.testing.assert_allclose(getattr(change, part), value, atol=1e-7, err_msg=part)


@settings(max_examples=8)
@given(with_zeros, with_zeros)
@pytest.mark.parametrize("index", [mutual_information, information_theory])
def test_parts_add_up_and_years_can_be_exchanged(index, first: Floats, second: Floats) -> None:
    there = segregation_change(first, second, index=index)
    back = segregation_change(second, first, index=index)
    np.testing.assert_array_equal(there.first, index(RegionSums.of(first)))
    np.testing.assert_array_equal(there.second, index(RegionSums.of(second)))
    if np.isnan(total(there)).any():
        assert np.isnan(total(back)).any()
        return
    np.testing.assert_allclose(total(there), there.second - there.first, atol=1e-8)
    for part, other in zip(PARTS, ("additions", "removals", *PARTS[2:]), strict=True):
        np.testing.assert_allclose(getattr(there, part), -getattr(back, other), atol=1e-7, err_msg=part)


def test_units_and_groups_can_be_exchanged() -> None:
    straight, turned = segregation_change(FIRST, SECOND), segregation_change(FIRST.T, SECOND.T)
    for part, other in zip(
        PARTS, ("removals", "additions", "group_marginal", "unit_marginal", "structural"), strict=True
    ):
        np.testing.assert_allclose(getattr(straight, part), getattr(turned, other), atol=1e-9, err_msg=part)


def test_scaling_rows_or_columns_is_no_structural_change() -> None:
    table = np.array([[25.0, 25], [28, 2], [2, 18]])
    rows = segregation_change(table, table * np.array([[1.0], [1], [2]]))
    np.testing.assert_allclose(rows.structural, 0.0, atol=1e-9)
    both = segregation_change(table, table * np.array([[3.0], [1], [2]]) * np.array([[1.0, 4.0]]))
    np.testing.assert_allclose(both.structural, 0.0, atol=1e-9)
    assert abs(both.unit_marginal[0]) > 1e-3
    assert abs(both.group_marginal[0]) > 1e-3


def test_same_margins_change_in_structure_alone() -> None:
    change = segregation_change([[30.0, 10], [10, 30]], [[20.0, 20], [20, 20]])
    np.testing.assert_allclose(change.structural, change.second - change.first, atol=1e-9)
    np.testing.assert_allclose([change.unit_marginal, change.group_marginal], 0.0, atol=1e-9)


def test_new_and_lost_units_are_additions_and_removals() -> None:
    # Units a and b in both years, c only in the first and d only in the second.
    first = np.array([[0.0, 30, 20, 10], [5, 10, 15, 20], [4, 3, 2, 1], [0, 0, 0, 0]])
    second = np.array([[40.0, 20, 20, 15], [5, 10, 10, 0], [0, 0, 0, 0], [1, 2, 3, 4]])
    change = segregation_change(first, second)
    kept = [oracle.mutual_information(t[:2].tolist()) for t in (first, second)]
    whole = [oracle.mutual_information(t.tolist()) for t in (first, second)]
    np.testing.assert_allclose(change.removals, kept[0] - whole[0], atol=1e-12)
    np.testing.assert_allclose(change.additions, whole[1] - kept[1], atol=1e-12)
    np.testing.assert_allclose(total(change), whole[1] - whole[0], atol=1e-8)
    # Measured in thousands, the structure is the same but for the filled cell.
    smaller = segregation_change(first / 1000, second)
    np.testing.assert_allclose(smaller.structural, change.structural, atol=0.2)


def test_no_unit_in_common() -> None:
    change = segregation_change([[5.0, 5], [0, 0]], [[0.0, 0], [9, 1]])
    assert np.isnan(change.structural[0])
    assert change.first[0] == 0.0


@settings(max_examples=10)
@given(positive, positive, positive, positive)
def test_regions_do_not_touch_each_other(a: Floats, b: Floats, c: Floats, d: Floats) -> None:
    region = np.array([1, 0, 0, 1, 0, 1, 1, 0])
    first, second = np.zeros((8, 3)), np.zeros((8, 3))
    first[region == 0], first[region == 1], second[region == 0], second[region == 1] = a, b, c, d
    together = segregation_change(first, second, region)
    for r, (one, other) in enumerate([(a, c), (b, d)]):
        alone = segregation_change(one, other)
        for part in PARTS:
            np.testing.assert_array_equal(getattr(together, part)[r], getattr(alone, part)[0])


def test_what_cannot_be_decomposed() -> None:
    with pytest.raises(CountsError, match=r"shape \(2, 3\), expected \(2, 4\)"):
        segregation_change(FIRST, SECOND[:, :3])
    with pytest.raises(CountsError, match="found nan"):
        segregation_change(FIRST * np.nan, SECOND)
    with pytest.raises(DefinitionError, match="another index"):
        segregation_change(FIRST, SECOND, index=relative_diversity)
