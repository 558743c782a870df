"""Mutual information against Ross's formula in plain loops."""

import numpy as np
import pytest
from scipy.special import digamma

from geomob_dask.errors import InputError
from geomob_dask.models.mutual_information import mutual_information


def planted(units=300, seed=2):
    """Return a strong, a weak and an idle feature, and classes."""
    draws = np.random.default_rng(seed)
    codes = draws.integers(2, size=units)
    strong = codes * 2.5 + draws.normal(size=units)
    weak = codes * 1.0 + draws.normal(size=units)
    return np.column_stack([draws.normal(size=units), weak, strong]), codes


def ross(x, y, nearest):
    """Ross (2014), equation 1, point by point."""
    total = 0.0
    for i in range(len(x)):
        own = [abs(x[i] - x[j]) for j in range(len(x)) if j != i and y[j] == y[i]]
        radius = sorted(own)[nearest - 1]
        inside = sum(abs(x[i] - x[j]) <= radius for j in range(len(x)) if j != i)
        same = sum(y[j] == y[i] for j in range(len(x)))
        # scikit-learn counts the neighbors nearer than the k-th, and the point itself.
        total += digamma(len(x)) + digamma(nearest) - digamma(same) - digamma(inside)
    return max(total / len(x), 0.0)


def test_estimate_is_that_of_the_formula():
    values, codes = planted(units=90)
    found = mutual_information(values, codes, repeats=0)
    expected = [ross(values[:, column], codes, 3) for column in range(3)]
    np.testing.assert_allclose(found.nats, expected, atol=1e-6)
    assert np.isnan(found.lower).all()


def test_order_intervals_and_what_is_missing():
    values, codes = planted()
    values[:40, 0] = np.nan
    found = mutual_information(values, codes, repeats=20)
    assert found.order.tolist() == [2, 1, 0]
    assert found.units.tolist() == [260, 300, 300]
    assert (found.lower >= 0).all()
    assert ((found.lower <= found.nats) & (found.nats <= found.upper)).all()
    assert found.lower[2] > found.upper[1]
    assert found.lower[0] == 0
    # A feature is judged by the units that have it.
    alone = mutual_information(values[40:, :1], codes[40:], repeats=20)
    assert alone.nats[0] == found.nats[0]
    assert alone.upper[0] == found.upper[0]


def test_a_feature_is_judged_by_itself_and_a_seed_repeats():
    values, codes = planted()
    whole = mutual_information(values, codes, repeats=5, seed=4)
    np.testing.assert_array_equal(whole.upper, mutual_information(values, codes, repeats=5, seed=4).upper)
    np.testing.assert_array_equal(whole.nats[:2], mutual_information(values[:, :2], codes, repeats=5, seed=4).nats)
    assert (whole.upper != mutual_information(values, codes, repeats=5, seed=5).upper).any()


def test_a_named_feature_is_judged_the_same_alone_and_beside_others():
    values, codes = planted()
    values[:, 1] = values[:, 1].round()
    names = ["idle", "weak", "strong"]
    whole = mutual_information(values, codes, names=names, repeats=4)
    alone = [mutual_information(values[:, [k]], codes, names=[names[k]], repeats=4) for k in range(3)]
    for field in ("nats", "lower", "upper", "units"):
        np.testing.assert_array_equal([getattr(one, field)[0] for one in alone], getattr(whole, field))


def test_ties_are_averaged_over_runs():
    draws = np.random.default_rng(0)
    codes = draws.integers(2, size=200)
    values = (draws.integers(4, size=200) + codes)[:, None].astype(float)
    single = np.array([mutual_information(values, codes, repeats=0, runs=1, seed=seed).nats[0] for seed in range(12)])
    many = np.array([mutual_information(values, codes, repeats=0, runs=25, seed=seed).nats[0] for seed in range(12)])
    assert single.std() > 2 * many.std()


def test_halves_estimate_the_error_of_the_whole():
    """The interval's half width is near 1.96 standard deviations of the estimate over fresh samples."""
    estimates, widths = [], []
    for seed in range(25):
        values, codes = planted(units=240, seed=seed)
        found = mutual_information(values[:, 2:], codes, repeats=12, seed=seed)
        estimates.append(found.nats[0])
        widths.append((found.upper[0] - found.nats[0]) / 1.96)
    assert 0.6 < np.mean(widths) / np.std(estimates, ddof=1) < 1.7


def test_too_few_units_of_a_class_are_named():
    values, codes = planted(units=60)
    values[codes == 1, 1] = np.nan
    with pytest.raises(InputError, match="feature 'weak': found 0 units of class 1 that have it, expected 8"):
        mutual_information(values, codes, names=["idle", "weak", "strong"])
    with pytest.raises(InputError, match="feature number 1"):
        mutual_information(values, codes)


@pytest.mark.parametrize("options", [{"repeats": 1}, {"repeats": -2}, {"runs": 0}])
def test_no_such_runs(options):
    with pytest.raises(InputError, match="expected"):
        mutual_information(*planted(units=40), **options)
