"""Intervals from samples of worlds that are less, as and more segregated than is most likely."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomob_dask.metrics.effective_interviews import without_noise
from geomob_dask.metrics.segregation_catalog import INDICES
from geomob_dask.metrics.segregation_draws import DrawKey, sampled_people
from geomob_dask.metrics.segregation_inference import drawn_indices, evaluation
from geomob_dask.metrics.segregation_intervals import WORLDS, inverted
from geomob_dask.metrics.segregation_units import RegionUnits


@settings(max_examples=60)
@given(st.floats(0.3, 1.5), st.floats(-0.1, 0.2), st.floats(0.05, 0.6), st.booleans(), st.floats(-0.15, 0.15))
def test_worlds_whose_samples_lie_on_a_line(slope, shift, middle, falling, off) -> None:
    # The estimate is what the mean, or a quantile, of samples of the world found would be.
    steps = np.array([-0.2, 0, 0.2]) * (-1 if falling else 1)
    centers = middle + steps
    noise = np.random.default_rng(0).normal(0, 0.05, 199)
    draws = shift + slope * centers + noise[:, None]
    estimate = shift + slope * middle + off
    corrected, lower, upper = inverted(np.array(estimate), draws, centers)
    low, high = np.quantile(noise, [0.05, 0.95], method="weibull")
    for found, at in ((corrected, noise.mean()), (lower, high), (upper, low)):
        assert shift + slope * found + at == pytest.approx(estimate, abs=1e-9)
    assert lower < corrected < upper


def test_samples_that_lie_beside_all_worlds_alike_give_the_basic_interval() -> None:
    draws = np.random.default_rng(1).normal(0.3, 0.05, (199, 2, 1)) + np.array([-0.3, 0.0, 0.3])
    centers = np.full((2, 3), 0.25) + np.array([-0.3, 0.0, 0.3])
    corrected, lower, upper = inverted(np.array([0.3, 0.4]), draws, centers)
    low, high = np.quantile(draws[..., 1], [0.05, 0.95], axis=0, method="weibull")
    np.testing.assert_allclose(corrected, [0.3, 0.4] - (draws[..., 1].mean(axis=0) - 0.25))
    np.testing.assert_allclose(lower, [0.3, 0.4] - (high - 0.25))
    np.testing.assert_allclose(upper, [0.3, 0.4] - (low - 0.25))
    # Worlds that do not move the index tell nothing of it: diversity is that of the region.
    still = inverted(np.array([0.3, 0.4]), draws[..., [1, 1, 1]], centers[:, [1, 1, 1]])
    np.testing.assert_allclose(still, [corrected, lower, upper])


def test_intervals_cover_the_index_of_all_people() -> None:
    # A small survey, made 50 times: of 100 people in each of 20 tracts.
    rng = np.random.default_rng(8)
    logs = np.log([0.25, 0.35, 0.4]) + 0.3 * rng.standard_normal((20, 3))
    truth = 2000 * np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
    interviews, names = np.full(20, 100.0), ("mutual_information", "dissimilarity", "isolation")
    kernels = {name: INDICES[name].of for name in names}
    evaluate = evaluation(kernels, RegionUnits.of(truth))
    true = evaluate(truth[None])
    survey = sampled_people(truth, interviews)
    held = {name: [] for name in names}
    errors = {name: [] for name in names}
    for number in range(50):
        counts = survey(DrawKey(1, "survey", 0).generator(number))
        worlds = [without_noise(counts, interviews, errors=errors_) for errors_ in WORLDS]
        around = [
            drawn_indices(sampled_people(world, interviews), evaluate, DrawKey(2, str(number), 0), range(39))
            for world in worlds
        ]
        for name in names:
            centers = np.stack([evaluate(world[None])[name][0] for world in worlds], axis=-1)
            estimate = evaluate(counts[None])[name][0]
            draws = np.stack([one[name] for one in around], axis=-1)
            corrected, lower, upper = inverted(estimate, draws, centers)
            held[name].append(np.mean((lower <= true[name][0]) & (true[name][0] <= upper)))
            errors[name].append([np.mean(one - true[name][0]) for one in (estimate, corrected)])
    for name in names:
        assert np.mean(held[name]) > 0.8, name
        raw, corrected = np.abs(np.mean(errors[name], axis=0))
        assert corrected < max(0.4 * raw, 0.002), name
