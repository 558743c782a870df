"""Effective sizes against matrices written out, a table worked by hand, and made-up fields whose truth is known."""

from fractions import Fraction

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geomob_dask.errors import InputError
from geomob_dask.metrics import modified_t_test as kernel
from geomob_dask.metrics.modified_t_test import distance_classes, effective_sizes, fisher_intervals, p_values


def slow_size(x, y, positions, bounds):
    """Return Dutilleul's effective size by its matrices: 1 + tr(BX)·tr(BY) / tr(BXBY), B = I - J/n."""
    n = len(x)
    which = np.full((n, n), -1)
    for i in range(n):
        for j in range(n):
            if i != j:
                apart = np.sqrt(sum((positions[i] - positions[j]) ** 2))
                which[i, j] = next(k for k, bound in enumerate(bounds) if apart <= bound)
    matrices = []
    for values in (x, y):
        matrix = np.eye(n)
        centered = values - values.mean()
        for k in range(len(bounds)):
            pairs = list(zip(*np.nonzero(which == k), strict=True))
            if pairs:
                moran = np.mean([centered[i] * centered[j] for i, j in pairs]) / np.mean(centered**2)
                for i, j in pairs:
                    matrix[i, j] = moran
        matrices.append(matrix)
    middle = np.eye(n) - np.ones((n, n)) / n
    one, other = (middle @ matrix for matrix in matrices)
    return 1 + np.trace(one) * np.trace(other) / np.trace(one @ other)


@given(
    arrays(np.float64, (9, 2), elements=st.integers(-9, 9).map(float)),
    arrays(np.float64, (9, 2), elements=st.integers(0, 6).map(float)),
)
def test_equals_the_matrices_written_out(values, positions):
    assume((np.ptp(values, axis=0) > 0).all())
    bounds = np.array([0.5, 2.0, 4.0, 9.0])
    expected = slow_size(*values.T, positions, bounds)
    assume(0 < expected - 1 < 1e6)
    found = effective_sizes(values[:, 0], values[:, 1:], positions, bounds, capped=False)[0]
    assert found == pytest.approx(expected, rel=1e-6)
    assert effective_sizes(values[:, 0], values[:, 1:], positions, bounds)[0] == min(found, 9)


def test_four_units_on_a_line_by_hand():
    """X = 0, 1, 2, 3 and Y = 0, 0, 1, 1 at 0, 1, 2, 3: six pairs at distance 1, four at 2, two at 3 (both directions).

    Autocorrelations are 1/3, -3/5, -9/5 and 1/3, -1, -1: the rows of X add up to -16/15 at the ends and 16/15 between,
    those of Y to -2/3 and 2/3; tr(BX) = tr(BY) = 4, as all add up to 0.
    """
    x, y = [Fraction(1, 3), Fraction(-3, 5), Fraction(-9, 5)], [Fraction(1, 3), -1, -1]
    variance = 4 + sum(pairs * a * b for pairs, a, b in zip((6, 4, 2), x, y, strict=True))
    variance -= Fraction(2, 4) * 4 * Fraction(16, 15) * Fraction(2, 3)
    assert 1 + 4 * 4 / variance == Fraction(71, 26)
    line = np.arange(4.0)
    found = effective_sizes(line, np.array([[0.0], [0.0], [1.0], [1.0]]), line[:, None], np.array([1.0, 2.0, 3.0]))
    assert found[0] == pytest.approx(71 / 26, rel=1e-12)
    # One unit more than two: hardly any correlation is evidence.
    r = np.corrcoef(line, [0, 0, 1, 1])[0, 1]
    t = r * np.sqrt((71 / 26 - 2) / (1 - r**2))
    assert p_values(np.array([r]), found)[0] == pytest.approx(2 * scipy.stats.t.sf(t, 71 / 26 - 2), rel=1e-12)


def fields(seed, n, reach, samples):
    """Return positions in a square of side 1, and two independent fields, smooth over `reach`, shape (n, samples)."""
    draws = np.random.default_rng(seed)
    positions = draws.uniform(size=(n, 2))
    apart = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    root = np.linalg.cholesky(np.exp(-apart / reach) + 1e-9 * np.eye(n))
    return positions, *(root @ draws.normal(size=(n, samples)) for _ in range(2))


@pytest.mark.parametrize("reach", [0.1, 0.3])
def test_independent_smooth_fields_are_rarely_found_correlated(reach):
    n, samples = 150, 300
    positions, one, other = fields(3, n, reach, samples)
    r = np.array([np.corrcoef(one[:, k], other[:, k])[0, 1] for k in range(samples)])
    sizes = np.array([effective_sizes(one[:, k], other[:, [k]], positions)[0] for k in range(samples)])
    unadjusted = (p_values(r, np.full(samples, float(n))) < 0.05).mean()
    adjusted = (p_values(r, sizes) < 0.05).mean()
    assert unadjusted > 0.18
    # 5 % of 300, give or take two and a half standard errors.
    assert 0.018 < adjusted < 0.082
    # r varies as much as the effective size says.
    assert 1 / np.median(sizes - 1) == pytest.approx(np.var(r), rel=0.35)


def test_adjusted_intervals_hold_the_correlation_of_fields():
    n, samples, rho = 150, 300, 0.6
    positions, one, other = fields(4, n, 0.2, samples)
    other = rho * one + np.sqrt(1 - rho**2) * other
    r = np.array([np.corrcoef(one[:, k], other[:, k])[0, 1] for k in range(samples)])
    sizes = np.array([effective_sizes(one[:, k], other[:, [k]], positions)[0] for k in range(samples)])

    def held(sizes):
        lower, upper = fisher_intervals(r, sizes)
        return ((lower <= rho) & (rho <= upper)).mean()

    assert held(np.full(samples, float(n))) < 0.85
    assert 0.91 < held(sizes) < 0.99


def test_noise_keeps_its_units():
    draws = np.random.default_rng(5)
    positions = draws.uniform(size=(400, 2))
    found = effective_sizes(draws.normal(size=400), draws.normal(size=(400, 30)), positions)
    assert np.median(found) == pytest.approx(400, rel=0.05)
    assert found.max() <= 400


def test_missing_values_are_left_out_column_by_column():
    positions, one, other = fields(6, 80, 0.2, 3)
    index, others = one[:, 0].copy(), other.copy()
    others[:20, 0] = np.nan
    index[-5:] = np.nan
    positions[30] = np.nan
    others[:, 2] = 7.0
    found = effective_sizes(index, others, positions)
    for column, first in ((0, 20), (1, 0)):
        rows = np.setdiff1d(np.arange(first, 75), [30])
        alone = effective_sizes(index[rows], others[rows][:, [column]], positions[rows])
        assert found[column] == pytest.approx(alone[0], rel=1e-12)
    assert np.isnan(found[2])
    each = effective_sizes(np.column_stack([index, one[:, 1], index]), others, positions)
    assert each[0] == pytest.approx(found[0], rel=1e-12)
    assert each[1] == pytest.approx(effective_sizes(one[:, 1], others[:, [1]], positions)[0], rel=1e-12)
    assert np.isnan(effective_sizes(index[:2], others[:2], positions[:2])).all()


def test_units_and_order_change_nothing():
    positions, one, other = fields(7, 120, 0.3, 1)
    found = effective_sizes(one[:, 0], other, positions)[0]
    order = np.random.default_rng(0).permutation(120)
    assert effective_sizes(3 - 2 * one[order, 0], other[order], 1000 * positions[order])[0] == pytest.approx(found)
    assert 3 < found < 100


def test_anchors_stand_for_all_units(monkeypatch):
    """Pairs of a sixth of the units with all give nearly the effective size of all pairs, whatever the blocks."""
    positions, one, other = fields(8, 1200, 0.2, 2)
    exact = effective_sizes(one[:, 0], other, positions)
    monkeypatch.setattr(kernel, "_PAIRS", 5_000)
    np.testing.assert_allclose(effective_sizes(one[:, 0], other, positions), exact, rtol=1e-9)
    monkeypatch.setattr(kernel, "EXACT_UNITS", 1000)
    monkeypatch.setattr(kernel, "ANCHORS", 200)
    np.testing.assert_allclose(effective_sizes(one[:, 0], other, positions), exact, rtol=0.3)


def test_classes_hold_every_pair():
    positions = np.random.default_rng(2).uniform(size=(50, 3)) * 900
    bounds = distance_classes(positions)
    assert (np.diff(bounds) > 0).all()
    assert bounds[-1] >= np.linalg.norm(positions[:, None] - positions[None], axis=2).max()
    assert distance_classes(np.zeros((5, 2))).tolist() == [1.0]
    with pytest.raises(InputError, match="farther apart than the last bound, 10"):
        effective_sizes(positions[:, 0], positions[:, 1:], positions, np.array([5.0, 10.0]))


def test_without_spare_units_nothing_is_said():
    assert np.isnan(p_values(np.array([0.9, 0.9]), np.array([2.0, np.nan]))).all()
    assert np.isnan(fisher_intervals(np.array([0.9]), np.array([3.0]))).all()
    assert p_values(np.array([1.0]), np.array([10.0]))[0] == 0
    found = scipy.stats.pearsonr(np.arange(9.0), np.arange(9.0) % 4)
    assert p_values(np.array([found.statistic]), np.array([9.0]))[0] == pytest.approx(found.pvalue, rel=1e-9)
    lower, upper = fisher_intervals(np.array([found.statistic]), np.array([9.0]), 0.9)
    assert (lower[0], upper[0]) == pytest.approx(tuple(found.confidence_interval(0.9)))
