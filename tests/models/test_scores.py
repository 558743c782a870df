"""Scores against scikit-learn's and plain counts; intervals against new samples."""

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from geomob_dask.errors import InputError
from geomob_dask.models.folds import Fold, stratified_folds
from geomob_dask.models.scores import (
    BASELINES,
    accuracy,
    auc,
    baseline_shares,
    brier,
    calibration_curve,
    confusion,
    interval,
    log_loss,
    score_table,
)


def predictions(n, n_classes, seed):
    rng = np.random.default_rng(seed)
    codes = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, n)])
    # Rounded, so that predictions tie.
    shares = np.round(rng.dirichlet(np.ones(n_classes), len(codes)), 1) + 0.01
    return codes, shares / shares.sum(axis=1, keepdims=True)


@settings(max_examples=50)
@given(st.integers(1, 60), st.sampled_from([2, 4]), st.integers(0, 10**6))
def test_scores_are_those_of_scikit_learn(n, n_classes, seed):
    codes, shares = predictions(n, n_classes, seed)
    assert accuracy(codes, shares) == sklearn.metrics.accuracy_score(codes, shares.argmax(axis=1))
    assert log_loss(codes, shares) == pytest.approx(sklearn.metrics.log_loss(codes, shares))
    score = shares[:, 1] if n_classes == 2 else shares
    assert auc(codes, shares) == pytest.approx(sklearn.metrics.roc_auc_score(codes, score, multi_class="ovr"))
    assert (confusion(codes, shares) == sklearn.metrics.confusion_matrix(codes, shares.argmax(axis=1))).all()
    plain = sum(
        (shares[unit, k] - (codes[unit] == k)) ** 2 for unit in range(len(codes)) for k in range(n_classes)
    ) / len(codes)
    assert brier(codes, shares) == pytest.approx(plain)


def test_scores_of_the_perfect_and_the_indifferent():
    codes = np.array([0, 1, 2, 3])
    sure, flat = np.eye(4), np.full((4, 4), 0.25)
    assert (accuracy(codes, sure), auc(codes, sure), log_loss(codes, sure), brier(codes, sure)) == (1, 1, 0, 0)
    assert (auc(codes, flat), log_loss(codes, flat), brier(codes, flat)) == (0.5, pytest.approx(np.log(4)), 0.75)
    assert np.isfinite(log_loss(codes, np.roll(sure, 1, axis=1)))
    assert np.isnan(auc(np.zeros(4, int), flat))


@settings(max_examples=30)
@given(st.integers(5, 200), st.integers(2, 12), st.integers(0, 10**6))
def test_calibration_bins_hold_every_unit_once(n, n_bins, seed):
    rng = np.random.default_rng(seed)
    share = np.round(rng.random(n), 1)
    hit = rng.random(n) < share
    table = calibration_curve(hit, share, n_bins)
    assert table["units"].sum() == n
    assert len(table) <= n_bins
    assert (table["predicted"] * table["units"]).sum() == pytest.approx(share.sum())
    assert (table["observed"] * table["units"]).sum() == pytest.approx(hit.sum())
    assert (table["predicted"].diff().dropna() > 0).all()
    assert table["lower"].le(table["observed"] + 1e-12).all()
    assert table["upper"].ge(table["observed"] - 1e-12).all()


def test_the_interval_covers_the_accuracy_on_new_units():
    """Models of 60 units, five folds twice: their true accuracy (on 4,000 new units) is in the 95 % interval."""
    truth = np.array([1.0, -0.5, 0.0, 0.0])
    rng = np.random.default_rng(0)

    def draw(n):
        x = rng.standard_normal((n, 4))
        return x, (x @ truth + rng.logistic(size=n) > 0).astype(np.int64)

    def fitted(x, y):
        return np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), y - 0.5, rcond=None)[0]

    def right(w, x, y):
        return ((np.column_stack([x, np.ones(len(x))]) @ w > 0) == y).mean()

    inside, plain = 0, 0
    new = draw(4_000)
    for seed in range(150):
        x, y = draw(60)
        folds = stratified_folds(y, 5, 2, seed)
        values = np.array([right(fitted(x[f.train], y[f.train]), x[f.test], y[f.test]) for f in folds])
        true = right(fitted(x, y), *new)
        mean, lower, upper = interval(values, 0.25)
        inside += lower <= true <= upper
        half = 2.262 * values.std(ddof=1) / np.sqrt(10)
        plain += mean - half <= true <= mean + half
    assert 0.9 <= inside / 150 <= 1
    # Without the correction it would cover too seldom.
    assert plain < inside


def test_intervals_of_little():
    assert np.isnan(interval([np.nan], 0.2)).all()
    mean, lower, upper = interval([0.5, np.nan], 0.2)
    assert mean == 0.5
    assert np.isnan([lower, upper]).all()
    assert interval([0.5, 0.5, 0.5], 0.2) == (0.5, 0.5, 0.5)
    # By hand: s² = 0.01, (1/3 + 0.25)·s² = 0.0058333, t(0.975, 2) = 4.302653.
    assert interval([0.6, 0.7, 0.8], 0.25) == pytest.approx((0.7, 0.371377, 1.028623), abs=1e-5)


def test_the_table_of_scores():
    codes, shares = predictions(56, 4, 0)
    folds = stratified_folds(codes, 4)
    table = score_table(codes, [(fold, shares[fold.test]) for fold in folds])
    each = [accuracy(codes[fold.test], shares[fold.test]) for fold in folds]
    assert table.loc["accuracy", ["value", "lower", "upper"]].tolist() == pytest.approx(interval(each, 1 / 3))
    assert list(table.index) == ["accuracy", "auc", "log_loss", "brier"]
    assert (table["folds"] == 4).all()
    train = score_table(codes, [(fold, shares[fold.train]) for fold in folds], sample="train")
    assert train.loc["brier", "value"] == pytest.approx(brier(codes, shares), abs=0.05)
    assert train[["lower", "upper"]].isna().all(axis=None), "the interval is of scores on new units"
    with pytest.raises(InputError, match="no folds"):
        score_table(codes, [])


def test_naive_predictions():
    codes = np.array([0, 0, 0, 1, 1, 0, 1, 1])
    states = np.array(["IN", "IN", "OH", "OH", "OH", "KY", "IN", "OH"])
    values = np.column_stack([np.arange(8.0) % 3, codes + np.array([0.1, 0.2, 0.3, 0.1, 0.2, np.nan, 0.1, 0.2])])
    fold = Fold(0, 0, np.array([0, 1, 2, 3, 4]), np.array([5, 6, 7]))
    found = {name: baseline_shares(name, fold, values, codes, states, 2) for name in BASELINES}
    assert found["majority"].tolist() == [[1, 0]] * 3
    assert found["prior"] == pytest.approx(np.array([[0.6, 0.4]] * 3))
    # Kentucky is not trained on; Indiana has two of class 0 there, Ohio one and two of class 1.
    assert found["state"] == pytest.approx(np.array([[0.6, 0.4], [2.6 / 3, 0.4 / 3], [1.6 / 4, 2.4 / 4]]))
    assert found["feature"].argmax(axis=1).tolist()[1:] == [1, 1]
    for shares in found.values():
        assert shares.sum(axis=1) == pytest.approx(1)
    with pytest.raises(InputError, match="expected one of: majority, prior, state, feature"):
        baseline_shares("best", fold, values, codes, states, 2)
