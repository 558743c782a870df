"""Draws of small areas' measures: against the normal posterior by formula, and the linking model against its field."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.ndimage import gaussian_filter

from geomob_dask.graph.neighborhoods import others_once_removed
from geomob_dask.transforms.fay_herriot import Prior, drawn, moments, neighbor_prior, reflected

SIDE = 60


def grid(side):
    """Return the queen adjacency of a square grid."""
    line = sparse.diags_array([1.0, 1.0, 1.0], offsets=[-1, 0, 1], shape=(side, side))
    queen = sparse.csr_array(sparse.kron(line, line) - sparse.eye_array(side * side))
    queen.eliminate_zeros()
    queen.sort_indices()
    return queen


def posterior(x, error, mean, covariance):
    """Return the posterior of one tract's true measures: kriging from the observed ones."""
    seen = ~np.isnan(x)
    among = covariance[np.ix_(seen, seen)] + np.diag(error[seen] ** 2)
    gain = covariance[:, seen] @ np.linalg.inv(among)
    return mean + gain @ (x[seen] - mean[seen]), covariance - gain @ covariance[seen]


@given(st.integers(0, 10_000), st.integers(1, 5))
def test_a_draw_has_the_posterior_by_formula(seed, n_measures):
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(n_measures, n_measures + 2))
    correlation = np.corrcoef(factor) if n_measures > 1 else np.eye(1)
    mean, spread = rng.normal(size=n_measures), rng.uniform(0.5, 3, n_measures)
    x = np.where(rng.random(n_measures) < 0.3, np.nan, rng.normal(0, 3, n_measures))
    error = rng.uniform(0.1, 2, n_measures) * (rng.random(n_measures) < 0.8)
    # The draw is affine in the random numbers: a basis of them gives its mean and its covariance.
    basis = np.vstack([np.zeros(2 * n_measures), np.eye(2 * n_measures)])
    n = len(basis)
    prior = Prior(np.tile(mean, (n, 1)), np.tile(spread, (n, 1)), correlation)
    found = drawn(np.tile(x, (n, 1)), np.tile(error, (n, 1)), prior, basis[:, :n_measures], basis[:, n_measures:])
    moved = found[1:] - found[0]
    expected, covariance = posterior(x, error, mean, correlation * np.outer(spread, spread))
    scale = np.outer(spread, spread)
    np.testing.assert_allclose(found[0], expected, atol=1e-4 * np.abs(np.nan_to_num(x) - mean).max() + 1e-4)
    np.testing.assert_allclose(moved.T @ moved / scale, covariance / scale, atol=2e-3)
    known = ~np.isnan(x) & (error == 0)
    assert (found[:, known] == x[known]).all()


def test_moments_solve_their_equation():
    rng = np.random.default_rng(3)
    noise = rng.uniform(0.1, 9.0, 4_000)
    x = 5 + 2 * rng.normal(size=4_000) + np.sqrt(noise) * rng.normal(size=4_000)
    x[::7] = np.nan
    field, known = moments(x, noise), ~np.isnan(x)
    weights = np.where(known, 1 / (field.variance + noise), 0.0)
    assert np.nansum(weights * (x - field.mean) ** 2) == pytest.approx(known.sum() - 1, rel=1e-9)
    assert field.mean == pytest.approx(np.nansum(weights * x) / weights.sum())
    np.testing.assert_array_equal(field.weights, weights)
    # 3,429 values tell a variance of 4 to 4 %.
    assert field.variance == pytest.approx(4.0, rel=0.16)


def test_noise_alone_leaves_a_small_variance():
    x = np.random.default_rng(4).normal(size=800)
    assert moments(x, np.full(800, 4.0)).variance == pytest.approx(x.var(ddof=1) * 0.05)


@pytest.mark.parametrize("noise", [0.0, 0.7])
def test_tracts_scatter_about_the_prediction_as_the_model_says(noise):
    rng = np.random.default_rng(5)
    smooth = gaussian_filter(rng.normal(size=(SIDE, SIDE)), 2.0)
    true = (smooth / smooth.std() + 0.5 * rng.normal(size=(SIDE, SIDE))).reshape(-1, 1)
    errors = noise * rng.uniform(0.5, 1.5, true.shape)
    seen = true + errors * rng.normal(size=true.shape)
    # A third of the tracts, and all near a few, are not observed: many have few neighbors that are, some none.
    queen = grid(SIDE)
    hidden = (rng.random(len(true)) < 0.35) | (queen @ (rng.random(len(true)) < 0.04) > 0)
    prior = neighbor_prior(np.where(hidden[:, np.newaxis], np.nan, seen), errors, queen, others_once_removed(queen))
    z = ((true - prior.mean) / prior.spread)[:, 0]
    counts = queen @ (~hidden).astype(float)
    for rows in (hidden, ~hidden, hidden & (counts == 0), hidden & (counts == 1), hidden & (counts > 4)):
        assert z[rows].std() == pytest.approx(1.0, abs=0.12 + 2 / np.sqrt(rows.sum()))
        assert (np.abs(z[rows]) < 1.645).mean() == pytest.approx(0.9, abs=0.03 + 0.6 / np.sqrt(rows.sum()))
    many, one, none = (np.median(prior.spread[hidden & here]) for here in (counts > 4, counts == 1, counts == 0))
    assert many < min(one, none)


def test_deviations_of_measures_are_correlated_without_their_noise():
    rng = np.random.default_rng(6)
    true = rng.normal(size=(5_000, 3)) @ np.linalg.cholesky([[1, 0.6, -0.3], [0.6, 1, 0], [-0.3, 0, 1]]).T
    errors = rng.uniform(0.3, 1.5, true.shape)
    seen = np.where(rng.random(true.shape) < 0.2, np.nan, true + errors * rng.normal(size=true.shape))
    found = neighbor_prior(seen, errors).correlation
    np.testing.assert_allclose(found, [[1, 0.6, -0.3], [0.6, 1, 0], [-0.3, 0, 1]], atol=0.06)


def test_a_wider_level_has_wider_deviations():
    rng = np.random.default_rng(7)
    smooth = gaussian_filter(rng.normal(size=(SIDE, SIDE)), 3.0)
    smooth /= smooth.std()
    true = (smooth + (0.2 + 0.4 * (smooth > 0)) * rng.normal(size=smooth.shape)).reshape(-1, 1)
    prior = neighbor_prior(true, np.zeros(true.shape), grid(SIDE))
    z = (true - prior.mean) / prior.spread
    for rows in (smooth.ravel() > 0.5, smooth.ravel() < -0.5):
        assert z[rows].std() == pytest.approx(1.0, abs=0.1)


def test_a_measure_without_variance_is_left_alone():
    values = np.array([[2.0], [2.0], [np.nan]])
    prior = neighbor_prior(values, np.ones(values.shape))
    numbers = np.full(values.shape, 1.5)
    assert drawn(values, np.ones(values.shape), prior, numbers, numbers).tolist() == [[2.0]] * 3


@given(st.integers(0, 10_000))
def test_tracts_once_removed_without_neighbors(seed):
    rng = np.random.default_rng(seed)
    n = 9
    one_way = np.triu(rng.random((n, n)) < 0.25, 1)
    matrix = (one_way | one_way.T).astype(float)
    found = others_once_removed(sparse.csr_array(matrix)).toarray()
    expected = [
        [float(i != j and not matrix[i, j] and any(matrix[i, k] and matrix[k, j] for k in range(n))) for j in range(n)]
        for i in range(n)
    ]
    np.testing.assert_array_equal(found, expected)


@given(st.floats(-500, 500), st.floats(-50, 50), st.floats(0, 80))
def test_reflected_values_lie_in_their_range(value, low, width):
    found = float(reflected(np.array(value), np.array(low), np.array(low + width)))
    assert low <= found <= low + width
    if low <= value <= low + width:
        assert found == value
