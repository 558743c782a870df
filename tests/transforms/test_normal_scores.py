"""Normal scores: a measure's shape goes, its order and its values come back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import skew

from geomob_dask.transforms.normal_scores import normal_scale


@given(st.integers(0, 10_000), st.integers(0, 700))
def test_scores_rise_with_values_and_come_back(seed, n):
    rng = np.random.default_rng(seed)
    x = np.round(np.exp(rng.normal(size=n)), rng.integers(0, 6))
    x[rng.random(n) < 0.1] = np.nan
    scale = normal_scale(x)
    scores = scale.to_scores(x)
    np.testing.assert_array_equal(np.isnan(scores), np.isnan(x))
    order = np.argsort(x)
    assert (np.diff(scores[order][: (~np.isnan(x)).sum()]) >= 0).all()
    np.testing.assert_allclose(scale.to_values(scores), x, rtol=1e-9, atol=1e-9)


def test_a_skewed_measure_has_normal_scores():
    x = np.random.default_rng(1).lognormal(sigma=1.0, size=5_000)
    scores = normal_scale(x).to_scores(x)
    assert skew(x) > 3
    assert abs(skew(scores)) < 0.1
    assert scores.std() == pytest.approx(1.0, abs=0.03)


def test_an_error_is_as_large_as_the_scores_it_spans():
    x = np.random.default_rng(2).lognormal(sigma=0.5, size=5_000)
    scale = normal_scale(x)
    # The score of a lognormal value is log(x) / 0.5: an error of e is one of e / (0.5 x).
    at = np.array([0.7, 1.0, 1.6])
    np.testing.assert_allclose(scale.errors(at, 0.1 * at), 0.2, rtol=0.12)
    assert (scale.errors(at, np.zeros(3)) == 0).all()


@pytest.mark.parametrize("x", [np.zeros(500), np.arange(60.0), np.full(300, np.nan), np.zeros(0)])
def test_a_measure_without_a_shape_stays_as_it_is(x):
    scale = normal_scale(x)
    np.testing.assert_allclose(scale.to_scores(x), x)
    np.testing.assert_allclose(scale.to_values(x), x)
