"""Permutation importance of known models."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from geomob_dask.errors import InputError
from geomob_dask.models.permutation_importance import permutation_importance


def accuracy(model, values, codes):
    return model.score(values, codes)


class Threshold:
    """Predict by the sign of one column."""

    def __init__(self, column):
        self.column = column

    def score(self, values, codes):
        return float(np.mean((values[:, self.column] > 0) == codes))


def test_only_the_column_that_is_used_counts():
    draws = np.random.default_rng(1)
    values = draws.normal(size=(400, 3))
    codes = (values[:, 1] > 0).astype(int)
    before = values.copy()
    groups = {"first": [0], "second": [1], "rest": [0, 2]}
    found = permutation_importance(Threshold(1), values, codes, groups, accuracy, repeats=20)
    np.testing.assert_array_equal(values, before)
    assert found.names[0] == "second"
    assert found.score == 1.0
    assert found.loss[0] == pytest.approx(0.5, abs=0.05)
    assert found.lower[0] <= found.loss[0] <= found.upper[0]
    np.testing.assert_array_equal(found.loss[1:], 0.0)
    again = permutation_importance(Threshold(1), values, codes, groups, accuracy, repeats=20)
    np.testing.assert_array_equal(found.loss, again.loss)


def test_twins_hide_each_other_unless_shuffled_together():
    draws = np.random.default_rng(5)
    codes = draws.integers(2, size=600)
    signal = codes * 3.0 + draws.normal(size=600)
    values = np.column_stack([signal, signal + 0.01 * draws.normal(size=600), draws.normal(size=600)])
    model = LogisticRegression().fit(values[:300], codes[:300])
    groups = {"one": [0], "other": [1], "family": [0, 1], "idle": [2]}
    found = permutation_importance(model, values[300:], codes[300:], groups, accuracy, repeats=20)
    loss = dict(zip(found.names, found.loss, strict=True))
    assert found.names[0] == "family"
    assert loss["family"] > 1.5 * max(loss["one"], loss["other"])
    assert loss["family"] == pytest.approx(found.score - 0.5, abs=0.06)


@pytest.mark.parametrize("groups", [{"none": []}, {"beyond": [3]}, {"below": [-1]}])
def test_groups_that_are_not_there(groups):
    with pytest.raises(InputError, match=next(iter(groups))):
        permutation_importance(Threshold(0), np.ones((4, 3)), np.ones(4, int), groups, accuracy)
