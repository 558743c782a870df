"""Regression of an outcome on domains against the normal equations, and descriptive statistics against pandas."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomob_dask.transforms.descriptive import describe
from geomob_dask.transforms.least_squares import least_squares


@given(st.integers(0, 10_000), st.integers(1, 5))
def test_a_regression_solves_the_normal_equations(seed, k):
    rng = np.random.default_rng(seed)
    domains = rng.normal(size=(60, k)) * 10.0 ** rng.integers(-3, 4, k)
    outcome = rng.normal(size=60) + domains[:, 0] / domains[:, 0].std()
    domains[::11, -1] = np.nan
    outcome[5] = np.nan
    found = least_squares(outcome, domains)
    rows = ~np.isnan(np.column_stack([outcome, domains])).any(axis=1)
    x, y = np.column_stack([np.ones(rows.sum()), domains[rows]]), outcome[rows]
    inverse = np.linalg.inv(x.T @ x)
    beta = inverse @ x.T @ y
    rest, free = y - x @ beta, len(y) - k - 1
    assert found.n == len(y)
    np.testing.assert_allclose(found.coefficients, beta, rtol=1e-5, atol=1e-8 * np.abs(beta).max())
    np.testing.assert_allclose(found.errors, np.sqrt(np.diag(inverse) * (rest @ rest) / free), rtol=1e-5)
    assert found.r_squared == pytest.approx(1 - (rest @ rest) / (((y - y.mean()) ** 2).sum()))
    assert found.adjusted == pytest.approx(1 - (1 - found.r_squared) * (len(y) - 1) / free)


def test_one_domain_explains_its_squared_correlation():
    x, y = np.random.default_rng(1).normal(size=(2, 40))
    assert least_squares(x + y, x[:, np.newaxis]).r_squared == pytest.approx(np.corrcoef(x, x + y)[0, 1] ** 2)


def test_a_repeated_domain_explains_no_more_and_has_no_errors():
    a, b, noise = np.random.default_rng(2).normal(size=(3, 50))
    outcome = a - b + noise
    once, twice = (least_squares(outcome, np.column_stack(columns)) for columns in ((a, b), (a, b, a)))
    assert twice.r_squared == pytest.approx(once.r_squared)
    assert twice.adjusted == pytest.approx(once.adjusted)
    assert np.isnan(twice.errors).all()
    assert not np.isnan(once.errors).any()


@pytest.mark.parametrize("outcome", [np.full(9, 2.0), np.r_[1.0, 2.0, np.full(7, np.nan)]])
def test_nothing_to_explain(outcome):
    found = least_squares(outcome, np.random.default_rng(3).normal(size=(9, 2)))
    assert np.isnan([found.r_squared, found.adjusted, *found.coefficients, *found.errors]).all()


@given(st.integers(0, 10_000), st.integers(0, 12))
def test_statistics_are_those_of_pandas(seed, n):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.normal(size=(n, 3)))
    table = table.where(rng.random(table.shape) < 0.7)
    found = describe(table.to_numpy())
    expected = table.describe()
    np.testing.assert_array_equal(found.n, expected.loc["count"])
    np.testing.assert_array_equal(found.missing, table.isna().sum())
    np.testing.assert_allclose(found.mean, expected.loc["mean"])
    np.testing.assert_allclose(found.sd, expected.loc["std"])
    np.testing.assert_allclose(found.quartiles, expected.loc[["min", "25%", "50%", "75%", "max"]])
