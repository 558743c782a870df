"""What leaked in the source leaks here, and what is inside the folds does not."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from geomob_dask.errors import InputError
from geomob_dask.models.labels import binary_labels
from geomob_dask.models.leakage import PREPARATIONS, leak_scores, leaks, leaky_features
from geomob_dask.models.study import Feature, Study


def noise(units=200, features=1, seed=0) -> Study:
    """Return a study whose features know nothing of its outcome."""
    draws = np.random.default_rng(seed)
    keys = np.array([f"{number:05d}" for number in range(units)], dtype=object)
    values = draws.normal(size=(units, features))
    values[draws.random(values.shape) < 0.05] = np.nan
    return Study(
        name="noise",
        keys=keys,
        labels=keys,
        states=keys,
        features=tuple(Feature(f"x{number}", "", "d", "") for number in range(features)),
        values=values,
        outcome=draws.normal(size=units),
        outcome_name="y",
        outcome_title="y",
        pairs=np.zeros((0, 2), dtype=np.int64),
    )


@pytest.fixture(scope="module")
def scores():
    study = noise()
    codes = binary_labels(study.outcome).codes
    return [leak_scores(study, codes, LogisticRegression(), seed, clusters=2) for seed in range(12)]


def test_clusters_that_hold_the_target_beat_chance_on_noise(scores):
    found = {leak.preparation: leak for leak in leaks(scores)}
    assert set(found) == set(PREPARATIONS)
    for name in ("inside", "clusters_inside", "scaled_before", "clusters_before"):
        assert found[name].accuracy == pytest.approx(0.5, abs=0.1), name
    assert found["clusters_hold_target"].accuracy > 0.65
    assert found["clusters_hold_target"].lower > 0
    assert found["inside"].worth == 0
    assert found["inside"].lower == found["inside"].upper == 0


def test_scores_repeat(scores):
    study = noise()
    codes = binary_labels(study.outcome).codes
    assert leak_scores(study, codes, LogisticRegression(), 3, clusters=2) == scores[3]


def test_interval_by_hand():
    made = [dict.fromkeys(PREPARATIONS, 0.5) | {"scaled_before": 0.5 + gain} for gain in (0.0, 0.1, 0.2)]
    found = next(leak for leak in leaks(made, test_share=0.2) if leak.preparation == "scaled_before")
    assert found.worth == pytest.approx(0.1)
    assert (found.lowest, found.highest) == (0.5, 0.7)
    # t of 2 degrees of freedom: 4.302653; s = 0.1; 1/3 + 0.2/0.8.
    assert found.upper - found.worth == pytest.approx(4.302652729911275 * 0.1 * np.sqrt(1 / 3 + 0.25))


def test_leaky_features_move_with_the_target_only_if_they_hold_it():
    study = noise(features=2)
    turned = noise(features=2)
    object.__setattr__(turned, "outcome", study.outcome[::-1].copy())
    np.testing.assert_array_equal(
        leaky_features(study, 0, clusters=2, holds_target=False),
        leaky_features(turned, 0, clusters=2, holds_target=False),
    )
    assert (leaky_features(study, 0, clusters=2) != leaky_features(turned, 0, clusters=2)).any()
    assert leaky_features(study, 0).shape == (200, 3)


def test_bad_requests_for_leaks(scores):
    with pytest.raises(InputError, match="splits: found 1"):
        leaks(scores[:1])
    study = noise()
    with pytest.raises(InputError, match="test_share: found 1"):
        leak_scores(study, binary_labels(study.outcome).codes, LogisticRegression(), 0, test_share=1)
