"""Correlations against SciPy, their intervals, and distributions against plain loops."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geomob_dask.errors import InputError
from geomob_dask.models.exploration import correlation_matrix, correlations, density, distribution

tables = arrays(np.float64, (12, 3), elements=st.integers(-20, 20).map(float))


def gappy(seed=1, units=80, features=4):
    draws = np.random.default_rng(seed)
    outcome = draws.normal(size=units)
    values = draws.normal(size=(units, features)) + outcome[:, None] * np.linspace(-1, 1, features)
    values[draws.random(values.shape) < 0.1] = np.nan
    return values, outcome


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_correlations_are_those_of_scipy(method):
    values, outcome = gappy()
    found = correlations(values, outcome, method=method, level=0.9)
    for column in range(values.shape[1]):
        both = ~np.isnan(values[:, column])
        assert found.units[column] == both.sum()
        if method == "pearson":
            expected = scipy.stats.pearsonr(values[both, column], outcome[both])
            interval = expected.confidence_interval(0.9)
            assert found.lower[column] == pytest.approx(interval.low, abs=1e-12)
            assert found.upper[column] == pytest.approx(interval.high, abs=1e-12)
        else:
            expected = scipy.stats.spearmanr(values[both, column], outcome[both])
        assert found.r[column] == pytest.approx(expected.statistic, abs=1e-12)
        assert found.lower[column] < found.r[column] < found.upper[column]


def test_interval_of_spearman_by_hand():
    values = np.arange(20.0)[:, None]
    outcome = np.array([*range(10, 20), *range(10)], dtype=float)
    found = correlations(values, outcome, method="spearman")
    r = 1 - 6 * 20 * 100 / (20 * (400 - 1))
    assert found.r[0] == pytest.approx(r, abs=1e-12)
    reach = 1.959963984540054 * np.sqrt((1 + r**2 / 2) / 17)
    assert found.lower[0] == pytest.approx(np.tanh(np.arctanh(r) - reach), abs=1e-12)
    assert found.upper[0] == pytest.approx(np.tanh(np.arctanh(r) + reach), abs=1e-12)


@given(tables, st.floats(0.1, 9), st.integers(-9, 9))
def test_a_change_of_units_changes_nothing(values, stretch, shift):
    outcome = np.arange(12.0) ** 2
    plain = correlations(values, outcome)
    moved = correlations(values * stretch + shift, outcome)
    turned = correlations(-values, outcome)
    np.testing.assert_allclose(moved.r, plain.r, atol=1e-9)
    np.testing.assert_allclose(turned.r, -plain.r, atol=1e-12)
    np.testing.assert_allclose(turned.lower, -plain.upper, atol=1e-12)


def test_bootstrap_is_near_fisher_and_repeats():
    values, outcome = gappy(units=400)
    fisher = correlations(values, outcome)
    drawn = correlations(values, outcome, bootstrap=400, seed=7)
    again = correlations(values, outcome, bootstrap=400, seed=7)
    other = correlations(values, outcome, bootstrap=400, seed=8)
    np.testing.assert_array_equal(drawn.lower, again.lower)
    assert (drawn.lower != other.lower).all()
    np.testing.assert_allclose(drawn.lower, fisher.lower, atol=0.05)
    np.testing.assert_allclose(drawn.upper, fisher.upper, atol=0.05)


def test_intervals_cover_the_truth():
    """Of 300 samples of a correlation of 0.5, about 95 in 100 intervals hold it."""
    draws = np.random.default_rng(3)
    held = 0
    for _ in range(300):
        outcome = draws.normal(size=60)
        found = correlations((0.5 * outcome + np.sqrt(0.75) * draws.normal(size=60))[:, None], outcome)
        held += bool(found.lower[0] <= 0.5 <= found.upper[0])
    assert 270 <= held <= 297


def test_what_cannot_be_correlated_is_missing():
    values = np.column_stack([np.ones(6), [1, 2, 3, np.nan, np.nan, np.nan], np.arange(6.0)])
    found = correlations(values, np.arange(6.0))
    assert np.isnan(found.r[:2]).all()
    assert np.isnan(found.lower[:2]).all()
    assert found.units.tolist() == [6, 3, 6]
    assert found.r[2] == pytest.approx(1.0)


def test_matrix_is_that_of_numpy_where_nothing_is_missing():
    values = gappy()[0]
    whole = values[~np.isnan(values).any(axis=1)]
    r, units = correlation_matrix(whole)
    np.testing.assert_allclose(r, np.corrcoef(whole.T), atol=1e-12)
    assert (units == len(whole)).all()
    spearman, _ = correlation_matrix(whole, method="spearman")
    np.testing.assert_allclose(spearman, scipy.stats.spearmanr(whole).statistic, atol=1e-12)


def test_matrix_leaves_missing_out_pair_by_pair():
    values = gappy()[0]
    r, units = correlation_matrix(values)
    np.testing.assert_array_equal(r, r.T)
    np.testing.assert_array_equal(np.diag(r), 1.0)
    both = ~np.isnan(values[:, 0]) & ~np.isnan(values[:, 3])
    assert units[0, 3] == both.sum()
    assert r[0, 3] == pytest.approx(np.corrcoef(values[both, 0], values[both, 3])[0, 1], abs=1e-12)


def test_density_is_a_sum_of_normal_curves():
    values = np.array([1.0, 2.0, 4.0, np.nan, 7.5])
    known = values[~np.isnan(values)]
    width = known.std(ddof=1) * len(known) ** (-1 / 5)
    points = np.linspace(-12, 20, 2001)
    expected = [np.mean([scipy.stats.norm.pdf(point, one, width) for one in known]) for point in points[::100]]
    found = density(values, points)
    np.testing.assert_allclose(found[::100], expected, rtol=1e-10)
    assert np.trapezoid(found, points) == pytest.approx(1, abs=1e-6)


@given(st.lists(st.integers(0, 15).map(float), min_size=2, max_size=40), st.integers(1, 7))
def test_distribution_by_plain_counting(values, bins):
    found = distribution(np.array([*values, np.nan]), bins=bins)
    assert found.missing == 1
    assert found.counts.sum() == len(values)
    for point, share in zip(found.points, found.cumulative, strict=True):
        assert share == pytest.approx(sum(value <= point for value in values) / len(values))
    for place in range(bins):
        low, high = found.edges[place], found.edges[place + 1]
        last = place == bins - 1
        assert found.counts[place] == sum(low <= value < high or (last and value == high) for value in values)
    assert found.mean == pytest.approx(sum(values) / len(values))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: correlations(np.ones((4, 1)), np.ones(4), method="kendall"), "method: found 'kendall'"),
        (lambda: correlations(np.ones((4, 1)), np.ones(4), level=95), "level: found 95"),
        (lambda: distribution(np.array([1.0, np.nan])), "found 1 values"),
        (lambda: distribution(np.arange(4.0), bins=0), "bins: found 0"),
    ],
)
def test_bad_requests(call, words):
    with pytest.raises(InputError, match=words):
        call()
