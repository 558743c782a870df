"""Commonality against regressions one by one, its identities, and correlations with p-values."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import linregress

from geomob_dask.errors import InputError
from geomob_dask.transforms.validation import associations, commonality


def r_squared(y, columns):
    """R² of an ordinary regression with a constant."""
    design = np.column_stack([np.ones(len(y)), *columns])
    residual = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    return 1 - residual @ residual / ((y - y.mean()) @ (y - y.mean()))


def oracle(y, domains, subset):
    """A subset's coefficient by its textbook sum over the subsets it contains."""
    k = domains.shape[1]
    outside = [j for j in range(k) if j not in subset]
    total = 0.0
    for size in range(len(subset) + 1):
        for inner in combinations(subset, size):
            chosen = [domains[:, j] for j in (*outside, *inner)]
            total -= (-1) ** size * (r_squared(y, chosen) if chosen else 0.0)
    return total


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_coefficients_equal_regressions_one_by_one(seed, k):
    rng = np.random.default_rng(seed)
    domains = rng.normal(size=(40, k)) @ rng.normal(size=(k, k))
    y = domains.mean(axis=1) + rng.normal(size=40)
    found = commonality(y, domains)
    for subset in range(1, 2**k):
        named = [j for j in range(k) if subset >> j & 1]
        assert found.coefficients[subset] == pytest.approx(oracle(y, domains, named), abs=1e-8)
    whole = r_squared(y, list(domains.T))
    assert found.coefficients.sum() == pytest.approx(whole, abs=1e-8)
    for j in range(k):
        having = [s for s in range(2**k) if s >> j & 1]
        assert found.total[j] == pytest.approx(found.coefficients[having].sum(), abs=1e-8)
        assert found.unique[j] == pytest.approx(found.coefficients[1 << j], abs=1e-8)


def test_the_mean_of_its_domains_is_explained_whole():
    domains = np.random.default_rng(3).normal(size=(200, 7)).round(1)
    domains[::9, 2] = np.nan
    assert commonality(domains.mean(axis=1), domains).coefficients.sum() == pytest.approx(1.0)


def test_a_domain_twice_explains_nothing_by_itself():
    a, b = np.random.default_rng(1).normal(size=(2, 50))
    found = commonality(a + b, np.column_stack([a, a, b]))
    np.testing.assert_allclose(found.unique[:2], 0, atol=1e-12)
    assert found.coefficients[0b011] > 0.3


def test_what_cannot_be_explained_is_refused():
    rng = np.random.default_rng(1)
    with pytest.raises(InputError, match="domain number 2 is the same in all 20 rows"):
        commonality(rng.normal(size=20), np.column_stack([rng.normal(size=20), np.ones(20)]))
    with pytest.raises(InputError, match="found 3 complete rows, expected at least 4"):
        commonality(rng.normal(size=3), rng.normal(size=(3, 2)))
    with pytest.raises(InputError, match="17 domains: expected at most 16"):
        commonality(rng.normal(size=30), rng.normal(size=(30, 17)))


def test_associations_equal_a_simple_regression():
    rng = np.random.default_rng(7)
    x = rng.normal(size=60)
    others = np.column_stack([x + rng.normal(size=60), rng.normal(size=60), np.ones(60)])
    others[:5, 0] = np.nan
    first, second, third = associations(x, others)
    line = linregress(x[5:], others[5:, 0])
    assert (first.n, first.r, first.p_unadjusted) == (55, pytest.approx(line.rvalue), pytest.approx(line.pvalue))
    assert second.n == 60
    assert second.p_unadjusted > 1e-4
    assert third.n == 60
    assert np.isnan([third.r, third.p_unadjusted]).all()
