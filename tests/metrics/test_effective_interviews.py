"""How many interviews stand behind counts, and the counts without the noise of their sample."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomob_dask.errors import CountsError
from geomob_dask.metrics.effective_interviews import composition_noise, effective_interviews, without_noise
from geomob_dask.metrics.poisson_excess import poisson_excess

ONE = np.zeros(50, dtype=np.int64)


def interviews_of(counts, variances, of_total=None, region=ONE, n_regions=1):
    noise = composition_noise(counts, variances, of_total)
    return effective_interviews(np.sum(counts, axis=1), *noise, region[: len(counts)], n_regions)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.floats(1.0, 60.0), st.booleans())
def test_margins_of_a_sample_give_its_interviews(seed: int, weight: float, fixed: bool) -> None:
    # Where all tracts have one rate, nothing is lost by borrowing; the remainder and an empty cell say nothing.
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 900, (12, 4)) * 1.0
    counts[rng.random(12) < 0.3, 0] = 0
    people = counts.sum(axis=1, keepdims=True)
    # Weighted up to people that are known, or with the people sampled too.
    variances = weight * counts * (1 - counts / people) if fixed else weight * counts
    of_total = np.zeros(12) if fixed else weight * people[:, 0]
    variances[counts == 0] = 49.0
    np.testing.assert_allclose(interviews_of(counts, variances, of_total), people[:, 0] / weight)
    variances[:, 3] = np.nan
    np.testing.assert_allclose(interviews_of(counts, variances, of_total), people[:, 0] / weight)


def test_regions_and_the_order_of_units_do_not_mix() -> None:
    rng = np.random.default_rng(1)
    counts, region = rng.integers(0, 300, (30, 3)) * 1.0, rng.integers(0, 3, 30)
    variances = rng.uniform(5, 50, (30, 1)) * counts
    variances[5] = np.nan
    together = interviews_of(counts, variances, region=region, n_regions=3)
    order = rng.permutation(30)
    np.testing.assert_array_equal(
        interviews_of(counts[order], variances[order], region=region[order], n_regions=3), together[order]
    )
    alone = region == 1
    np.testing.assert_array_equal(interviews_of(counts[alone], variances[alone]), together[alone])
    np.testing.assert_array_equal(
        without_noise(counts, together, region, 3)[alone], without_noise(counts[alone], together[alone])
    )


def test_units_that_say_little() -> None:
    counts = np.array([[400.0, 0], [300, 100], [0, 0], [1, 0]])
    found = interviews_of(counts, np.array([[900.0, 50], [3000, 1000], [50, 50], [400, 50]]))
    # Of one group: as its region. Never more interviews than people, never none where somebody lives.
    np.testing.assert_allclose(found, [40.0, 40.0, 0.0, 1.0])
    assert interviews_of(counts[:1], np.array([[4000.0, 50]])).tolist() == [40.0]
    assert np.isnan(interviews_of(counts, np.full(counts.shape, np.nan))[[0, 1]]).all()
    np.testing.assert_array_equal(interviews_of(counts, np.zeros(counts.shape)), counts.sum(axis=1))


def test_counts_without_noise_vary_as_the_true_shares() -> None:
    rng = np.random.default_rng(4)
    share = rng.beta(2, 3, 4000)
    interviews = rng.integers(10, 60, 4000) * 1.0
    found = rng.binomial(interviews.astype(int), share) / interviews
    world = without_noise(np.column_stack([found, 1 - found]) * 500.0, interviews)
    np.testing.assert_allclose(world.sum(axis=1), 500.0)
    assert np.var(found) > 1.15 * np.var(share)
    assert np.var(world[:, 0] / 500) == pytest.approx(np.var(share), rel=0.05)
    # A full count of many people keeps its shares; an even sample is even.
    many = without_noise([[300.0, 100], [50, 200], [0, 0]], np.array([1e12, 1e12, 0.0]))
    np.testing.assert_allclose(many, [[300, 100], [50, 200], [0, 0]], rtol=1e-9)
    assert without_noise([[51.0, 49], [49, 51]], np.array([100.0, 100])).tolist() == [[50, 50], [50, 50]]
    assert without_noise(np.zeros((0, 2)), np.zeros(0)).shape == (0, 2)


@settings(max_examples=60)
@given(st.floats(0.0, 300.0))
def test_what_a_poisson_count_adds_is_that_of_loops(mean: float) -> None:
    expected, weight = 0.0, math.exp(-mean)
    for count in range(1, 800):
        weight *= mean / count
        expected += weight * count * math.log(count)
    expected -= mean * math.log(mean) if mean > 0 else 0.0
    assert poisson_excess(np.array(mean)) == pytest.approx(2 * expected, abs=1e-4)


def test_what_cannot_be_noise() -> None:
    with pytest.raises(CountsError, match=r"variances have shape \(1, 1\)"):
        composition_noise([[1, 2]], [[1]])
    with pytest.raises(CountsError, match="variance of -1"):
        composition_noise([[1, 2]], [[1, -1.0]])
    with pytest.raises(CountsError, match="found -2"):
        without_noise([[1, -2]], np.ones(1))
